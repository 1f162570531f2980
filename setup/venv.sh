#!/bin/sh
# Makes the virtual environment $1 with the first Python that is new enough; PYTHON=... picks one by hand.
set -eu
venv=$1

new_enough() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

python=
for candidate in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do
    if new_enough "$candidate"; then python=$candidate && break; fi
done
if [ -z "$python" ]; then
    echo "Legible needs Python 3.11 or newer, and ${PYTHON:-python3} is not: install it, or name it with PYTHON=/path/to/python3." >&2
    exit 1
fi

make_venv() {
    "$python" -m venv --clear "$venv"
}

# Debian and Ubuntu ship Python without ensurepip; their package python3.X-venv brings it.
if ! "$python" -c 'import ensurepip' 2>/dev/null; then
    package=$("$python" -c 'import sys; print("python3.%d-venv" % sys.version_info[1])')
    echo "This Python cannot make a virtual environment yet; installing $package"
    sh setup/apt.sh "$package" || {
        echo "Please install $package (for example: sudo apt-get install $package) and run make again." >&2
        exit 1
    }
fi

echo "Creating $venv with $("$python" --version)"
make_venv || { rm -rf "$venv"; exit 1; }
