#!/bin/sh
# Builds the RPM packages from a tarball of the sources, has rpmlint read them if it is there, and
# tests them unpacked in a directory: make rpm.
# usage: rpm.sh   (CARGO_TARGET_DIR: where cargo builds)
set -eu
cd "$(dirname "$0")/.."
work=$PWD/build/rpm
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
packaged=$(sed -n 's/^Version: *//p' packaging/rpm/libkv.spec)
if [ "$version" != "$packaged" ]; then
    echo "packaging/rpm/libkv.spec is of $packaged, Cargo.toml of $version" >&2
    exit 1
fi

rm -rf "$work"
mkdir -p "$work/SOURCES"
tar -cz --exclude=./.git --exclude=./build --exclude=./.cache --exclude=target \
    --transform "s,^\.,libkv-$version," -f "$work/SOURCES/libkv-$version.tar.gz" .
# Cargo and rustc are rustup's, as a rule, and on a system without RPM nothing is a package of it.
rpmbuild -bb --nodeps --define "_topdir $work" \
    --define "kv_cargo_target_dir ${CARGO_TARGET_DIR:-$PWD/target}" packaging/rpm/libkv.spec \
    >"$work/build.log" 2>&1 || { tail -40 "$work/build.log" >&2; exit 1; }
ls -l "$work"/RPMS/*/*.rpm | awk '{ print $9, $5, "bytes" }' | sed "s,$work/,,"

if command -v rpmlint >/dev/null; then
    rpmlint --strict --config packaging/rpm/rpmlint.toml "$work"/RPMS/*/*.rpm \
        packaging/rpm/libkv.spec
else
    echo "rpmlint is not there: nobody else has read the packages"
fi

# By their versions, symbols become dependencies.
rpm --query --provides --package "$work"/RPMS/*/libkv-"$version"-*.rpm \
    | grep -F 'libkv.so.1(KV_1.0)(64bit)'

mkdir "$work/unpacked"
for package in "$work"/RPMS/*/*.rpm; do
    rpm2cpio "$package" | (cd "$work/unpacked" && cpio --quiet -idm)
done
libdir=$(dirname "$(find "$work/unpacked/usr" -name libkv.a)")
PATH=$work/unpacked/usr/bin:$PATH LD_LIBRARY_PATH=$libdir PKG_CONFIG_PATH=$libdir/pkgconfig \
    kv_DIR=$libdir/cmake/kv sh packaging/debian/tests/build-c
