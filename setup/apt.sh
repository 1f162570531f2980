#!/bin/sh
# Installs the Debian packages that are named, where we may: as root, or with a sudo that asks no password.
set -eu
command -v apt-get >/dev/null 2>&1 || exit 1
if [ "$(id -u)" = 0 ]; then
    root() { env DEBIAN_FRONTEND=noninteractive "$@"; }
elif sudo -n true 2>/dev/null; then
    root() { sudo -n env DEBIAN_FRONTEND=noninteractive "$@"; }
else
    exit 1
fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT
install() {
    root apt-get update </dev/null && root apt-get install --yes --no-install-recommends "$@" </dev/null
}
install "$@" >"$log" 2>&1 || { tail -n 20 "$log" >&2; exit 1; }
