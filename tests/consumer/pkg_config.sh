#!/bin/sh
# Builds and runs app.c or app.cpp with what pkg-config says.
# usage: pkg_config.sh c|cpp shared|static|alone LIBDIR WORKDIR   (compilers: CC, CXX; static: libkv
# is, alone: the whole program is, and needs nothing of the system)
set -eu
language=$1 kind=$2 libdir=$3 work=$4
export PKG_CONFIG_PATH="$libdir/pkgconfig"

case $language in
c) compiler=${CC:-cc} ;;
cpp) compiler=${CXX:-c++} ;;
esac

case $kind in
shared) libraries=$(pkg-config --libs kv) ;;
# Where both libraries are installed, -lkv is the shared one, also with --static.
static) libraries=$(pkg-config --static --libs kv | sed 's/-lkv/-l:libkv.a/') ;;
alone) libraries="-static $(pkg-config --static --libs kv)" ;;
esac

rm -rf "$work"
mkdir -p "$work"
# The words of the answer are arguments of their own.
# shellcheck disable=SC2046,SC2086
"$compiler" -Wall -Wextra -Werror "$(dirname "$0")/app.$language" -o "$work/app" \
    $(pkg-config --cflags kv) $libraries

if [ "$kind" = alone ] && readelf --dynamic --wide "$work/app" | grep '(NEEDED)'; then
    echo "$work/app needs that, where nothing should be needed" >&2
    exit 1
fi
if [ "$kind" = shared ]; then
    LD_LIBRARY_PATH=$libdir "$work/app" "$work/app.db"
else
    "$work/app" "$work/app.db"
fi
