#!/bin/sh
# What distributions ask of an installed shared library, by readelf and nm: its name, symbols with
# versions, nothing undefined, no search path, and its size.
# usage: library.sh LIBRARY SONAME MAP BYTES   (MAP: cmake/libkv.map or none; BYTES: 0 for any)
set -eu
library=$1 soname=$2 map=$3 bytes=$4
LC_ALL=C
export LC_ALL
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() {
    echo "$library: $*" >&2
    exit 1
}

dynamic=$(readelf --dynamic --wide "$library")
echo "$dynamic" | grep -q "(SONAME).*\[$soname\]" || fail "its SONAME is not $soname"
echo "$dynamic" | grep -E '\((RPATH|RUNPATH|TEXTREL)\)' && fail "it should not have that"
echo "$dynamic" | grep -q BIND_NOW || fail "it binds lazily"
readelf --segments --wide "$library" >"$work/segments"
grep -q GNU_RELRO "$work/segments" || fail "it has no RELRO"
grep GNU_STACK "$work/segments" | grep -q ' RWE ' && fail "its stack is executable"

# The system's own libraries, and no other.
others=$(echo "$dynamic" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' \
    | grep -Ev '^(lib(c|m|gcc_s|pthread|dl|rt|util)|ld-linux[-a-z0-9_]*)\.so\.' || :)
[ -z "$others" ] || fail "it needs $others"

# Every name that is looked up elsewhere has a version, or may be missing.
unknown=$(nm --dynamic --undefined-only "$library" | grep -v '@' | awk '$1 == "U" { print $2 }')
[ -z "$unknown" ] || fail "undefined: $unknown"

# The map's names, each with the version of its block; a version is a symbol of its own.
exported=$(nm --dynamic --defined-only "$library" | awk '{ print $3 }' \
    | sed 's/^\(KV_[0-9.]*\)@@.*/\1/' | sort)
if [ "$map" = none ]; then
    ! echo "$exported" | grep -Ev '^kv_[a-z0-9_]+$' || fail "it exports that"
else
    wanted=$(awk '/^KV_/ { version = $1; print version }
        /^ *kv_/ { sub(";", "", $1); print $1 "@@" version }' "$map" | sort)
    [ "$exported" = "$wanted" ] || fail "it exports:
$exported
and not what $map says"
fi

if [ "$bytes" -gt 0 ]; then
    strip --strip-unneeded -o "$work/stripped" "$library"
    size=$(wc -c <"$work/stripped")
    [ "$size" -le "$bytes" ] || fail "$size bytes when stripped, more than $bytes"
    echo "$size bytes when stripped, of at most $bytes"
fi
