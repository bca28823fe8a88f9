#!/bin/sh
# Builds the Debian packages from a copy of the sources, has lintian read them, and tests them where
# nothing else is installed: make deb.
# usage: deb.sh build|lint|test   (CARGO_TARGET_DIR: where cargo builds; CARGO_FLAGS: for cargo)
set -eu
cd "$(dirname "$0")/.."
work=$PWD/build/deb
source=$work/libkv
root=$work/root
# debootstrap, chroot and the like are where not every shell looks.
PATH=$PATH:/usr/sbin:/sbin

# The packages are native ones: debian/ is put where dpkg-buildpackage wants it, in a copy.
build() {
    rm -rf "$source" "$work"/*.deb "$work"/*.changes "$work"/*.buildinfo
    mkdir -p "$source"
    # The times of files are kept, so that cargo sees what has changed.
    tar -c --exclude=./.git --exclude=./build --exclude=./.cache --exclude=target \
        --exclude=./packaging/debian . | tar -x -C "$source"
    cp -a packaging/debian "$source/debian"
    check_version
    # Cargo and rustc are rustup's, as a rule, and so no packages: -d.
    (cd "$source" && KV_CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$PWD/../../../target}" \
        KV_CARGO_FLAGS="${CARGO_FLAGS:---locked}" dpkg-buildpackage -us -uc -b -d) >"$work/build.log" 2>&1 \
        || { tail -40 "$work/build.log" >&2; exit 1; }
    (cd "$work" && ls -l ./*.deb | awk '{ print $9, $5, "bytes" }')
}

# Cargo.toml says which version it is; the packages have to say the same.
check_version() {
    version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
    packaged=$(sed -n '1s/.*(\(.*\)).*/\1/p' packaging/debian/changelog)
    if [ "$version" != "$packaged" ]; then
        echo "packaging/debian/changelog is of $packaged, Cargo.toml of $version" >&2
        exit 1
    fi
}

lint() {
    lintian --fail-on error,warning --allow-root "$work"/*.changes
    echo "lintian has no error and no warning"
}

# In a new system of the same release if that can be made, which needs root; else in a directory.
# LIBKV_DEB_ROOT=no takes the directory at once.
test_packages() {
    if [ "${LIBKV_DEB_ROOT:-}" != no ] && make_root; then
        in_root
    else
        echo "==> testing the packages unpacked in a directory"
        in_directory
    fi
}

# Makes the new system from where this one has its packages; it is kept for the next time.
make_root() {
    [ ! -e "$root/made" ] || return 0
    if [ "$(id -u)" -ne 0 ] || ! command -v debootstrap >/dev/null; then
        echo "==> a new system is made by root, with debootstrap, and not here"
        return 1
    fi
    codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
    # shellcheck disable=SC2016
    mirror=$(apt-get indextargets --format '$(CODENAME) $(COMPONENT) $(REPO_URI)' \
        'Created-By: Packages' | awk -v c="$codename" '$1 == c && $2 == "main" { print $3; exit }')
    rm -rf "$root"
    echo "==> making a new system: $codename"
    if ! debootstrap --variant=minbase --include=cmake,gcc,libc6-dev,make,pkg-config \
        "$codename" "$root" "$mirror" >"$work/root.log" 2>&1; then
        tail -5 "$work/root.log"
        rm -rf "$root"
        return 1
    fi
    # Half of what it takes of the disk, and for nothing: what it needs is installed.
    rm -f "$root"/var/cache/apt/archives/*.deb
    touch "$root/made"
}

# Installed by apt as README.md says, tested, and removed without a trace.
in_root() {
    rm -rf "$root/packages"
    mkdir "$root/packages"
    cp "$work"/*.deb packaging/debian/tests/build-c "$root/packages"
    installed_files >"$work/files.before"
    names=$(cd "$work" && ls ./*.deb | sed 's,^\./\([^_]*\)_.*,\1,')
    # shellcheck disable=SC2086
    if ! chroot "$root" env -i PATH=/usr/bin:/bin:/usr/sbin:/sbin LC_ALL=C \
        DEBIAN_FRONTEND=noninteractive sh -eu -c 'apt-get install -y --no-install-recommends /packages/*.deb >/packages/log 2>&1 \
            || { cat /packages/log; exit 1; }
        sh /packages/build-c
        apt-get purge -y "$@" >/packages/log 2>&1 || { cat /packages/log; exit 1; }' sh $names
    then
        # What is left of them would be in the way of the next ones.
        rm -rf "$root"
        exit 1
    fi
    installed_files >"$work/files.after"
    if ! diff "$work/files.before" "$work/files.after"; then
        echo "the packages leave these files behind" >&2
        rm -rf "$root"
        exit 1
    fi
    echo "installed, used and removed in a new system"
}

# What the system and its packages keep for themselves changes with any package.
installed_files() {
    (cd "$root" && find etc usr lib lib64 bin opt -xdev | grep -v '^etc/ld\.so\.cache$' | sort)
}

in_directory() {
    rm -rf "$work/unpacked"
    for package in "$work"/*.deb; do
        dpkg-deb -x "$package" "$work/unpacked"
    done
    libdir=$(dirname "$(find "$work/unpacked/usr/lib" -name libkv.a)")
    PATH=$work/unpacked/usr/bin:$PATH LD_LIBRARY_PATH=$libdir PKG_CONFIG_PATH=$libdir/pkgconfig \
        CMAKE_PREFIX_PATH=$work/unpacked/usr sh packaging/debian/tests/build-c
}

case $1 in
build) build ;;
lint) lint ;;
test) test_packages ;;
*) sed -n 's/^# usage: //p' "$0" >&2 && exit 2 ;;
esac
