#!/bin/sh
# Builds libkv for other systems, as far as this machine has what that takes; what it has not, it
# says and leaves out: make portability.
#   - compiled for each Linux of 64 bits, and refused in one sentence for others
#   - for 64-bit ARM: the shared library, with programs of tests/c run by qemu
#   - for musl: the static library, in programs that need nothing
# usage: portability.sh   (CARGO_TARGET_DIR, CARGO_FLAGS)
set -eu
cd "$(dirname "$0")/.."
work=$PWD/build/portability
: "${CARGO_TARGET_DIR:=$PWD/target}"
export CARGO_TARGET_DIR
works="aarch64-unknown-linux-gnu aarch64-unknown-linux-musl riscv64gc-unknown-linux-gnu
    x86_64-unknown-linux-gnu x86_64-unknown-linux-musl"
refused="aarch64-apple-darwin i686-unknown-linux-gnu x86_64-pc-windows-msvc"
left_out=0

leave_out() {
    echo "left out: $*"
    left_out=$((left_out + 1))
}

# Whether there is Rust's standard library for a target, after an attempt to get it.
has_std() {
    [ -d "$(rustc --print sysroot)/lib/rustlib/$1/lib" ] \
        || { command -v rustup >/dev/null && timeout 120 rustup --quiet target add "$1" 2>/dev/null; }
}

check() {
    # shellcheck disable=SC2086
    cargo check --quiet ${CARGO_FLAGS:-} --lib --target "$1" >"$work/check.log" 2>&1
}

check_all() {
    for target in $works; do
        if ! has_std "$target"; then
            leave_out "$target: its standard library is not to be had"
        elif check "$target"; then
            echo "$target: compiles"
        else
            cat "$work/check.log" >&2
            exit 1
        fi
    done
    for target in $refused; do
        if ! has_std "$target"; then
            leave_out "$target: its standard library is not to be had"
        elif check "$target" || ! grep -q 'error: libkv@.*: libkv needs' "$work/check.log" \
            || [ "$(grep -c '^error' "$work/check.log")" -ne 2 ]; then
            cat "$work/check.log" >&2
            echo "$target: it should be refused in one sentence" >&2
            exit 1
        else
            echo "$target: $(sed -n 's/^error: libkv@[^ ]* /refused: /p' "$work/check.log")"
        fi
    done
}

# build NAME TARGET COMPILER OPTION...: by CMake, into $work/NAME.
build() {
    name=$1 target=$2 compiler=$3
    shift 3
    flags=$(echo "${CARGO_FLAGS:-}" | tr -s ' ' ';')
    cmake -S . -B "$work/$name" -DCMAKE_BUILD_TYPE=Debug -DCMAKE_C_COMPILER="$compiler" \
        -DKV_CARGO_TARGET="$target" -DKV_CARGO_TARGET_DIR="$CARGO_TARGET_DIR" \
        -DKV_CARGO_FLAGS="$flags" -DKV_BUILD_TESTS=OFF -DKV_BUILD_EXAMPLES=OFF \
        -DKV_BUILD_TOOLS=OFF "$@" >"$work/$name.log" 2>&1 \
        && cmake --build "$work/$name" >>"$work/$name.log" 2>&1 \
        || { cat "$work/$name.log" >&2; exit 1; }
}

# run_tests NAME RUNNER -- COMPILER...: programs of tests/c, in directories of their own.
run_tests() {
    name=$1 runner=$2
    shift 3
    for test in library api batch scan threads; do
        directory=$work/$name/run/$test
        rm -rf "$directory"
        mkdir -p "$directory"
        # The words after the source are arguments for the linker.
        compiler=$1
        (shift && "$compiler" -std=gnu11 -O1 -Iinclude -Itests/c "tests/c/${test}_test.c" \
            -o "$directory/program" "$@")
        # shellcheck disable=SC2086
        (cd "$directory" && TMPDIR=$directory timeout 300 $runner ./program)
    done
}

arm() {
    target=aarch64-unknown-linux-gnu
    if ! has_std $target || ! command -v aarch64-linux-gnu-gcc >/dev/null \
        || ! command -v qemu-aarch64 >/dev/null; then
        leave_out "running on 64-bit ARM: it takes Rust's library for $target," \
            "gcc-aarch64-linux-gnu, libc6-dev-arm64-cross and qemu-user"
        return
    fi
    build arm $target aarch64-linux-gnu-gcc -DCMAKE_SYSTEM_NAME=Linux \
        -DCMAKE_SYSTEM_PROCESSOR=aarch64
    sh tests/consumer/library.sh "$work/arm/lib/libkv.so" libkv.so.1 cmake/libkv.map 0
    run_tests arm "qemu-aarch64 -L /usr/aarch64-linux-gnu -E LD_LIBRARY_PATH=$work/arm/lib" -- \
        aarch64-linux-gnu-gcc "-L$work/arm/lib" -lkv -lpthread
    echo "64-bit ARM: the shared library runs, by qemu"
}

musl() {
    target=x86_64-unknown-linux-musl
    if ! has_std $target || ! command -v musl-gcc >/dev/null; then
        leave_out "a program linked with musl: it takes Rust's library for $target, and musl-tools"
        return
    fi
    build musl $target musl-gcc -DKV_BUILD_SHARED=OFF
    # A gcc for glibc unwinds with functions of glibc's; Rust brings what musl needs.
    own=$(rustc --print sysroot)/lib/rustlib/$target/lib/self-contained
    run_tests musl "" -- musl-gcc -static "$work/musl/lib/libkv.a" "-L$own" -lunwind -lpthread
    readelf --dynamic "$work/musl/run/api/program" | grep -q 'There is no dynamic section'
    echo "musl: the static library runs, in programs that need nothing"
}

mkdir -p "$work"
check_all
arm
musl
[ "$left_out" -eq 0 ] || echo "$left_out left out, for what this machine has not"
