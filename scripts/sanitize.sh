#!/bin/sh
# Runs the tests in Rust and in C under a sanitizer of the compiler, or says why it cannot.
# usage: sanitize.sh address|thread [rust|c]
#
# The sanitizers are for nightly compilers; a stable one of the same release has them too, and gives
# them to who asks by RUSTC_BOOTSTRAP. ThreadSanitizer has to see every atomic of the program, so it
# builds the standard library anew, from its sources (rust-src): with the one that is shipped, each
# last drop of an Arc is a false report, since its fence is compiled away from what the sanitizer
# knows.
set -eu
cd "$(dirname "$0")/.."

kind=$1
part=${2:-all}
case $kind in
    address) short=asan ;;
    thread) short=tsan ;;
    *) echo "usage: sanitize.sh address|thread [rust|c]" >&2; exit 1 ;;
esac

skip() {
    echo "==> not run: ${kind} sanitizer: $1"
    exit 0
}

target=$(rustc -vV | sed -n 's/^host: //p')
sysroot=$(rustc --print sysroot)
runtime=$(find "$sysroot/lib/rustlib/$target/lib" -name "librustc*_rt.$short.a" 2>/dev/null | head -n 1)
[ -n "$runtime" ] || skip "this compiler comes without its runtime"

export RUSTC_BOOTSTRAP=1
export RUSTFLAGS="-Zsanitizer=$kind --cfg kv_sanitized"
build_std=
if [ "$kind" = thread ]; then
    [ -d "$sysroot/lib/rustlib/src/rust/library/std" ] \
        || rustup component add rust-src >/dev/null 2>&1 \
        || skip "it needs the sources of the standard library: rustup component add rust-src"
    build_std=-Zbuild-std
else
    RUSTFLAGS="$RUSTFLAGS -Cunsafe-allow-abi-mismatch=sanitizer"
fi
target_dir=${CARGO_TARGET_DIR:-target}/sanitize-$kind
export CARGO_TARGET_DIR="$target_dir"

# Reports end a test with another status. Allocations that are too long answer NULL, as they do
# without a sanitizer. The symbolizer shows names where there is one.
common=allocator_may_return_null=1:exitcode=66
export ASAN_OPTIONS="$common:detect_leaks=1:detect_stack_use_after_return=1"
export TSAN_OPTIONS="$common:history_size=4:die_after_fork=0:suppressions=$PWD/tests/sanitize/thread.txt"
export LSAN_OPTIONS="suppressions=$PWD/tests/sanitize/leak.txt"

# Tests in Rust: those that work with real files and threads, and the units. Those on the simulated
# disk go through the same rooms, with histories for hours.
rust_tests="backup compaction events group iterators linearizable live_damage many metrics
options restore running_faults snapshots space spare stats threads ttl writes"

run_rust() {
    tests=
    for test in $rust_tests; do
        tests="$tests --test $test"
    done
    # shellcheck disable=SC2086
    KV_TEST_SECONDS=2 cargo test ${CARGO_FLAGS:-} --quiet --target "$target" $build_std --lib $tests
}

# Not in C: stacks and limits that a sanitizer itself goes beyond.
left_out="stack_test limits_test"

run_c() {
    # shellcheck disable=SC2086
    cargo rustc ${CARGO_FLAGS:-} --quiet --target "$target" $build_std --lib --crate-type staticlib
    library=$target_dir/$target/debug/libkv.a
    place=$target_dir/c
    mkdir -p "$place"
    failed=0
    ran=0
    for source in tests/c/*_test.c; do
        name=$(basename "$source" .c)
        case " $left_out " in *" $name "*) continue ;; esac
        cc -std=c11 -O1 -g -fPIE -fsanitize="$kind" -Iinclude -c "$source" -o "$place/$name.o"
        # The compiler's own runtime, which knows what its code asks for, and no other.
        cc -pie "$place/$name.o" "$library" -Wl,--whole-archive "$runtime" \
            -Wl,--no-whole-archive -rdynamic -lstdc++ -lpthread -ldl -lm -lrt -lgcc_s -o "$place/$name"
        directory=$(mktemp -d)
        ran=$((ran + 1))
        if ! TMPDIR=$directory timeout 600 "$place/$name" >"$place/$name.log" 2>&1; then
            failed=$((failed + 1))
            echo "$name under the $kind sanitizer:" >&2
            head -n 100 "$place/$name.log" >&2
        fi
        rm -rf "$directory"
    done
    echo "==> $kind sanitizer: $ran programs in C, $failed failed"
    [ "$failed" -eq 0 ]
}

case $part in
    rust) run_rust ;;
    c) run_c ;;
    all) run_rust && run_c ;;
esac
