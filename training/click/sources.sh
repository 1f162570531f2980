#!/bin/sh
# Unpacks into the folder $1 the free pictures that the click networks are trained on (nothing is installed): photos and stamps as
# training/slider/photos.sh has them, clip art, emoji fonts, the pictures of GCompris, and sets of emoji. Drawings in SVG need
# rsvg-convert (librsvg2-bin), the sets npm. Licences (see docs/models/click.md): GPL-2+, GPL-3+, AGPL-3, CC-BY-SA-3.0/4.0, CC-BY-4.0,
# CC0-1.0, MIT, Apache-2.0, OFL-1.1, public domain.
set -e
target=${1:?usage: sources.sh FOLDER}
here=$(cd "$(dirname "$0")" && pwd)
sh "$here/../slider/photos.sh" "$target/photos"
mkdir -p "$target/debian" && cd "$target/debian"
apt-get download openclipart-png gcompris-qt-data fonts-noto-color-emoji fonts-symbola firefox-esr
for package in *.deb; do dpkg -x "$package" "${package%%_*}" && rm "$package"; done
# Emoji of other hands, as drawings with names in JSON.
mkdir -p "$target/icons" && cd "$target/icons"
for set in fluent-emoji fluent-emoji-flat fxemoji openmoji emojione emojione-v1 noto-v1; do
  npm pack --silent "@iconify-json/$set" && mkdir -p "$set"
  tar -xzf "iconify-json-$set"-[0-9]*.tgz -C "$set" && rm "iconify-json-$set"-[0-9]*.tgz
done
