#!/bin/sh
# Installs the Debian packages of those commands that are missing, or says which to install.
# usage: install-tools.sh COMMAND=PACKAGE ... (python3:MODULE for a module of Python, lib:NAME for a
# library that the compiler finds as -lNAME, Python.h for Python's headers)
set -eu

# Whether there is this command, this module, or this library.
is_there() {
    case $1 in
        python3:*)
            for python in python3 /usr/bin/python3; do
                "$python" -c "import ${1#python3:}" 2>/dev/null && return 0
            done
            return 1
            ;;
        Python.h)
            python3 -c 'import os, sysconfig
os.stat(sysconfig.get_path("include") + "/Python.h")' 2>/dev/null
            ;;
        lib:*) find /usr/lib /usr/local/lib -name "lib${1#lib:}.so" 2>/dev/null | grep -q . ;;
        *) command -v "$1" >/dev/null 2>&1 ;;
    esac
}

missing=
for pair in "$@"; do
    is_there "${pair%%=*}" || missing="$missing ${pair#*=}"
done

if [ -n "$missing" ]; then
    if ! command -v apt-get >/dev/null 2>&1; then
        echo "Missing; install what your system calls these Debian packages:$missing" >&2
        exit 1
    elif [ "$(id -u)" -eq 0 ]; then
        as_root=
    elif sudo -n true 2>/dev/null; then
        as_root=sudo
    else
        echo "Missing, and only root can install it. Please run:" >&2
        echo "    sudo apt-get update && sudo apt-get install$missing" >&2
        exit 1
    fi
    echo "==> installing$missing"
    # Old lists may still do; if they do not, the next command says so.
    $as_root apt-get update -qq || echo "apt-get update failed; trying with the lists there are"
    # shellcheck disable=SC2086
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
        -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 --no-install-recommends $missing >/dev/null
fi

rust=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$(dirname "$0")/../Cargo.toml")
if ! command -v cargo >/dev/null 2>&1 || ! command -v rustc >/dev/null 2>&1; then
    echo "Rust is missing: install version $rust or newer from https://rustup.rs" >&2
    echo "(the packages of a stable Debian are older)." >&2
    exit 1
fi
