#!/bin/sh
# What programs that were compiled with the last release rely on: compares the functions and types
# of the library's interface, by its debug information, with tests/abi/libkv.so.1.abi.
# usage: abi.sh check|baseline|self-test   (CARGO_TARGET_DIR, CARGO_FLAGS; needs abidw and abidiff)
#   check      fails if a program could break: what is gone, or has another type or size. A struct
#              that begins with its size may grow, but a person has to see it
#   baseline   writes the file anew: for a release, or a change that is meant to be one
#   self-test  shows that check notices what it should, by changes of the file
set -eu
cd "$(dirname "$0")/.."
baseline=tests/abi/libkv.so.1.abi
work=build/abi

# Only libkv's own types, and without places in its sources. A directory of cargo's of its own,
# since the target is named; a minute at most.
dump() {
    target=$(rustc -vV | sed -n 's/^host: //p')
    # shellcheck disable=SC2086
    cargo rustc --quiet ${CARGO_FLAGS:-} --lib --crate-type cdylib --target "$target" \
        -- -C debuginfo=2 -C opt-level=0 -C codegen-units=1
    abidw --no-show-locs --no-comp-dir-path --no-corpus-path --no-elf-needed \
        --no-parameter-names --type-id-style hash --out-file "$work/whole.abi" \
        "${CARGO_TARGET_DIR:-target}/$target/debug/libkv.so"
    # Without parts that are empty, and the modules, between which things may move.
    sed -e '/<abi-instr/{N;/<\/abi-instr>/d;}' -e 's/ comp-dir-path=.[^ >]*//' \
        -e "s/path='[^']*'/path='libkv'/" \
        -e '/<namespace-decl/d' -e '/<\/namespace-decl>/d' "$work/whole.abi" >"$1"
}

# The report, and whether nothing is in it. New functions are no change.
compare() {
    abidiff --no-added-syms --suppressions tests/abi/suppressions.ini "$1" "$2"
}

check() {
    dump "$work/now.abi"
    if ! compare "$baseline" "$work/now.abi" >"$work/report"; then
        cat "$work/report" >&2
        echo "Programs that were compiled with the last release could break. If they do not, or shall," >&2
        echo "CHANGELOG.md says so under ABI, and: make abi-baseline" >&2
        exit 1
    fi
    echo "the interface is that of $baseline: $(grep -c '<function-decl' "$work/now.abi") functions"
}

# expect RESULT NAME: changes the baseline as the sed script in standard input says, and compares.
expect() {
    sed -f - "$baseline" >"$work/changed.abi"
    if cmp -s "$baseline" "$work/changed.abi"; then
        echo "$2: the script changes nothing" >&2
        exit 1
    fi
    result=passes
    compare "$baseline" "$work/changed.abi" >"$work/report" || result=fails
    if [ "$result" != "$1" ]; then
        cat "$work/report" >&2
        echo "$2: it $result, and should not" >&2
        exit 1
    fi
}

# A baseline changed backwards is a library changed forwards.
self_test() {
    # The numbers of types in the file.
    u64=$(sed -n "s/.*<type-decl name='u64'.* id='\([^']*\)'.*/\1/p" "$baseline")
    i32=$(sed -n "s/.*<type-decl name='i32'.* id='\([^']*\)'.*/\1/p" "$baseline")
    expect fails "a function is gone" <<S
/<elf-symbol name='kv_exists'/d
/<function-decl name='kv_exists'/,/<\/function-decl>/d
S
    expect fails "an argument has another type" <<S
/<function-decl name='kv_touch'/,/<\/function-decl>/s/type-id='$u64'/type-id='$i32'/
S
    expect fails "a function returns another type" <<S
/<function-decl name='kv_sync'/,/<\/function-decl>/s/<return type-id='[^']*'/<return type-id='$u64'/
S
    expect fails "a member of a struct has another type" <<S
/<class-decl name='kv_write_options_t'/,/<\/class-decl>/{
/name='ttl_ms'/s/type-id='$u64'/type-id='$i32'/
}
S
    expect fails "a struct of fixed size has grown" <<S
/<class-decl name='kv_result_t'/,/<\/class-decl>/{
s/size-in-bits='192'/size-in-bits='256'/
/<\/class-decl>/i<data-member access='public' layout-offset-in-bits='192'>\\
<var-decl name='more' type-id='$u64' visibility='default'/></data-member>
}
S
    expect fails "a struct that says its size has grown" <<S
/<class-decl name='kv_stats_t'/,/<\/class-decl>/{
s/size-in-bits='2304'/size-in-bits='2368'/
/<\/class-decl>/i<data-member access='public' layout-offset-in-bits='2304'>\\
<var-decl name='more' type-id='$u64' visibility='default'/></data-member>
}
S
    expect passes "there is a new function" <<S
/<elf-symbol name='kv_exists'/{p;s/kv_exists/kv_new/;}
S
    echo "changes that break programs are noticed, those that do not are let through"
}

mkdir -p "$work"
case $1 in
check) check ;;
baseline) dump "$baseline" && git diff --stat -- "$baseline" ;;
self-test) self_test ;;
*) sed -n 's/^# usage: //p' "$0" >&2 && exit 2 ;;
esac
