#!/bin/sh
# What the tests need beside Python: PostgreSQL, Redis, nginx, Chromium with a Chinese font, and the languages of the sample code.
# Installs only what is missing. Without the right to, it says what to install; with CI=true that is a failure.
set -u

have() {
    command -v "$1" >/dev/null 2>&1
}
missing() {
    packages="$packages $*"
}

packages=
have postgres || ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || missing postgresql
have redis-server || missing redis-server
have nginx || [ -x /usr/sbin/nginx ] || missing nginx-light
have openssl || missing openssl
have sqlite3 || missing sqlite3
have systemd-analyze || missing systemd
docker compose version >/dev/null 2>&1 || have docker-compose || missing docker-compose
have chromium || have chromium-browser || have google-chrome || missing chromium
{ have fc-list && fc-list :lang=zh | grep -q .; } || missing fontconfig fonts-wqy-zenhei
{ have php && php -m | grep -qix curl; } || missing php-cli php-curl
have curl || missing curl
have node || missing nodejs
have go || missing golang-go
have javac || missing default-jdk-headless
{ have mcs && have mono && [ -e /usr/lib/mono/4.5/System.Net.Http.dll ]; } || missing mono-mcs mono-runtime libmono-system-net-http4.0-cil
[ -n "$packages" ] || exit 0

echo "Installing for the tests:$packages"
# shellcheck disable=SC2086 - one word a package
sh setup/apt.sh $packages && exit 0

echo "Please install these for the tests (names as in Debian):$packages" >&2
if [ "${CI:-}" = true ]; then exit 1; fi
echo "Without them, the tests that need them are skipped." >&2
