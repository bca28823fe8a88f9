#!/bin/sh
# Fuzzes the library: builds fuzz/ with cargo-fuzz and lets the targets take turns.
#
#     scripts/fuzz.sh run SECONDS [SEED [TARGET...]]   fuzz for so long, in all
#     scripts/fuzz.sh keep [TARGET...]                 put what is worth it into fuzz/corpus
#
# What is found goes to WORK (target/fuzz by default): inputs to corpus/, failures to artifacts/,
# and a line for each turn to tally.tsv: when, target, seconds of processor time, executions,
# coverage, inputs, failures. Failures are kept, told in the end, and make it exit with 1.
set -eu

cd "$(dirname "$0")/.."
ALL="record segment manifest hint checkpoint directory api"
TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}
WORK=${WORK:-$TARGET_DIR/fuzz}
# Longest turn, and longest time for one input: on a busy machine much of it is waiting.
TURN=${TURN:-300}
TIMEOUT=${TIMEOUT:-60}
# No input of the corpus may be longer.
KEPT_LEN=${KEPT_LEN:-4096}
PATH="$PATH:${CARGO_HOME:-$HOME/.cargo}/bin:$TARGET_DIR/tools/bin"

# The sanitizer needs a compiler that takes unstable flags.
if rustup toolchain list 2>/dev/null | grep -q '^nightly'; then
    toolchain=+nightly
else
    toolchain=
    export RUSTC_BOOTSTRAP=1
fi

build() {
    # Programs that are built already.
    [ -z "${BINARIES:-}" ] || {
        binaries=$BINARIES
        return
    }
    command -v cargo-fuzz >/dev/null || {
        echo "==> installing cargo-fuzz to $TARGET_DIR/tools"
        cargo install cargo-fuzz --locked --quiet --root "$TARGET_DIR/tools"
    }
    for target in $targets; do
        # shellcheck disable=SC2086
        cargo $toolchain fuzz build --target-dir "$TARGET_DIR/libfuzzer" "$target"
    done
    binaries=$(dirname "$(find "$TARGET_DIR/libfuzzer" -path '*/release/record' | head -n 1)")
}

# libFuzzer's, for all runs. A file may not lead to more memory than this; leaks are looked for by
# other tests; freed memory is kept for a while only, since each open frees a lot.
options() {
    echo -timeout="$TIMEOUT" -rss_limit_mb=2048 -malloc_limit_mb=64 -detect_leaks=0 \
        -len_control=0 -report_slow_units="$TIMEOUT"
}
export ASAN_OPTIONS="${ASAN_OPTIONS:-quarantine_size_mb=16:malloc_context_size=4}"

# Prints the processor seconds of all programs that were run so far.
spent() {
    times >"$WORK/times.$$"
    awk 'NR == 2 { split($0, t, "[ms ]+"); print 60 * (t[1] + t[3]) + t[2] + t[4] }' \
        "$WORK/times.$$"
}

# turn TARGET SECONDS SEED
turn() {
    mkdir -p "$WORK/corpus/$1" "$WORK/artifacts/$1" "$WORK/logs"
    log=$WORK/logs/$1.log
    before=$(mktemp)
    after=$(mktemp)
    spent >"$before"
    # shellcheck disable=SC2046
    "$binaries/$1" $(options) -max_total_time="$2" -seed="$3" -print_final_stats=1 -print_funcs=0 \
        $(test -f "fuzz/$1.dict" && echo "-dict=fuzz/$1.dict") \
        -artifact_prefix="$WORK/artifacts/$1/" "$WORK/corpus/$1" "fuzz/corpus/$1" \
        >"$log" 2>&1 || true
    spent >"$after"
    seconds=$(paste "$before" "$after" | awk '{ printf "%.0f", $2 - $1 }')
    rm -f "$before" "$after" "$WORK/times.$$"
    executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    coverage=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$log" | tail -n 1)
    failures=$(find "$WORK/artifacts/$1" -type f | wc -l)
    inputs=$(find "$WORK/corpus/$1" -type f | wc -l)
    printf '%s\t%s\t%s\t%s\t%s\t%s\t%s\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$1" "$seconds" \
        "${executions:-?}" "${coverage:-?}" "$inputs" "$failures" >>"$WORK/tally.tsv"
    echo "$1: $seconds s of processor time, ${executions:-?} executions, coverage ${coverage:-?}," \
        "$inputs inputs, $failures failures"
}

run() {
    seconds=$1
    seed=$2
    build
    memory=$(test -d /dev/shm && echo /dev/shm || echo /tmp)
    KV_FUZZ_DIRECTORY=$(mktemp -d "$memory/kv-fuzz-XXXXXX")
    export KV_FUZZ_DIRECTORY
    trap 'rm -rf "$KV_FUZZ_DIRECTORY"' EXIT
    trap 'exit 130' INT TERM
    share=$((seconds / $(echo "$targets" | wc -w)))
    share=$((share > TURN ? TURN : share < 1 ? 1 : share))
    until=$(($(date +%s) + seconds))
    while [ "$(date +%s)" -lt "$until" ]; do
        for target in $targets; do
            left=$((until - $(date +%s)))
            [ "$left" -gt 0 ] || break
            turn "$target" $((share < left ? share : left)) "$seed"
            seed=$((seed + 1))
        done
    done
    echo "==> in all, since $WORK/tally.tsv was begun:"
    awk -F '\t' '{ s[$2] += $3; n[$2] += $4; a += $3; b += $4 }
        END { for (t in s) printf "%-12s %8d s %12d executions\n", t, s[t], n[t]
            printf "%-12s %8d s %12d executions\n", "all", a, b }' "$WORK/tally.tsv"
    failed=0
    for target in $targets; do
        for input in "$WORK/artifacts/$target"/*; do
            [ -f "$input" ] || continue
            failed=1
            echo "FAILED: $binaries/$target $input"
        done
    done
    return $failed
}

keep() {
    build
    for target in $targets; do
        mkdir -p "$WORK/corpus/$target" "$WORK/kept"
        rm -rf "$WORK/kept/$target"
        mkdir "$WORK/kept/$target"
        # Named ones stay: they were found the hard way, or begin the rest.
        find "fuzz/corpus/$target" -type f -name '*-*' -exec cp {} "$WORK/kept/$target" \;
        # shellcheck disable=SC2046
        "$binaries/$target" $(options) -merge=1 -max_len="$KEPT_LEN" "$WORK/kept/$target" \
            "fuzz/corpus/$target" "$WORK/corpus/$target" >"$WORK/merge.log" 2>&1
        rm -rf "fuzz/corpus/$target"
        cp -R "$WORK/kept/$target" "fuzz/corpus/$target"
        echo "$target: $(find "fuzz/corpus/$target" -type f | wc -l) inputs," \
            "$(du -bs "fuzz/corpus/$target" | cut -f 1) bytes"
    done
}

mkdir -p "$WORK"
what=${1:-}
case $what in
run)
    seconds=${2:?how long}
    seed=${3:-$(date +%s)}
    shift $(($# < 3 ? $# : 3))
    targets=${*:-$ALL}
    run "$seconds" "$seed"
    ;;
keep)
    shift
    targets=${*:-$ALL}
    keep
    ;;
*)
    sed -n '2,10s/^# \{0,1\}//p' "$0"
    exit 2
    ;;
esac
