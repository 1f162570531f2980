#!/bin/sh
# Unpacks the free pictures that training/slider/data.py cuts its backgrounds from into the folder $1 (nothing is installed).
# Licences (see docs/models/slider.md): GPL-2+, CC-BY-SA-3.0/4.0, CC-BY-4.0, CC0-1.0, MIT, BSD-3-Clause.
set -e
target=${1:?usage: photos.sh FOLDER}
mkdir -p "$target" && cd "$target"
apt-get download gnome-backgrounds mate-backgrounds plasma-workspace-wallpapers lomiri-wallpapers-16.04 \
  lomiri-wallpapers-20.04 ukui-wallpapers tuxpaint-stamps-default
for package in *.deb; do dpkg -x "$package" . && rm "$package"; done
python3 -m pip download --no-deps --only-binary :all: scikit-image scikit-learn
for wheel in *.whl; do python3 -m zipfile -e "$wheel" wheels && rm "$wheel"; done
