#!/bin/sh
# Tests what bindings/ has for one language, with that language's own tools, against an installed
# copy of libkv, build/languages/prefix. What this machine lacks is installed, or said and left out.
# usage: check-language.sh go|python|node|java, at the top; `make check-go` and so on install first
set -eu

TOP=$PWD
WORK=$TOP/build/languages
PREFIX=$WORK/prefix
LIBDIR=$(dirname "$(find "$PREFIX" -name libkv.so.1)")

leave_out() {
    echo "==> $1: left out: $2"
    exit 0
}

need() {
    language=$1
    shift
    scripts/install-tools.sh "$@" || leave_out "$language" "its tools cannot be had"
}

# The program in a language that README.md shows.
of_readme() {
    awk -v fence="\`\`\`$1" '$0 == fence {on = 1; next} /^```/ {on = 0} on' "$TOP/README.md"
}

check_go() {
    need Go go=golang-go pkg-config=pkg-config cc=gcc
    PKG_CONFIG_PATH=$LIBDIR/pkgconfig LD_LIBRARY_PATH=$LIBDIR
    export PKG_CONFIG_PATH LD_LIBRARY_PATH
    GOCACHE=$WORK/go-cache GOTOOLCHAIN=local GOPROXY=off GOFLAGS=-count=1
    export GOCACHE GOTOOLCHAIN GOPROXY GOFLAGS
    cd bindings/go
    unformatted=$(gofmt -l .)
    [ -z "$unformatted" ] || { echo "run gofmt -w on: $unformatted" >&2; exit 1; }
    go vet .
    GODEBUG=cgocheck=2 go test .
    go test -race .
    # That they run; what they measure so is nothing.
    go test -run '^$' -bench . -benchtime 1000x . >"$WORK/go-bench.txt" \
        || { cat "$WORK/go-bench.txt" >&2; exit 1; }
    check_go_user
}

# A module of somebody else's, as README.md says; and with the static library.
check_go_user() {
    rm -rf "$WORK/go-user"
    mkdir -p "$WORK/go-user"
    cp example_test.go "$WORK/go-user/"
    of_readme go >"$WORK/go-user/app_test.go"
    sed -i 's/^package kv_test/package app/' "$WORK/go-user/example_test.go"
    cd "$WORK/go-user"
    go mod init app 2>/dev/null
    go mod edit -replace example.org/libkv/kv="$TOP/bindings/go"
    go mod tidy 2>/dev/null
    go test -run 'TestPlanet|Example' .
    CGO_LDFLAGS=$LIBDIR/libkv.a
    export CGO_LDFLAGS
    env -u LD_LIBRARY_PATH go test -run TestPlanet .
}

check_python() {
    need Python python3=python3 python3:venv=python3-venv python3:ensurepip=python3-venv \
        Python.h=python3-dev pkg-config=pkg-config cc=gcc
    # Debian has them in a package of their own, named after the version.
    testsuite=lib$(basename "$(readlink -f "$(command -v python3)")")-testsuite
    scripts/install-tools.sh "python3:test.mapping_tests=$testsuite" \
        || echo "==> Python: the standard library's tests of mappings are missing"
    rm -rf "$WORK/python-source" "$WORK/python-wheels" "$WORK/python-build" "$WORK/python"
    # The wheel is made of a copy: setuptools leaves files where it builds.
    cp -R bindings/python "$WORK/python-source"
    cp Cargo.toml "$WORK/python-source/"
    python3 -m venv "$WORK/python-build"
    "$WORK/python-build/bin/pip" install -q --disable-pip-version-check \
        'setuptools>=70.1' 'cffi>=1.16' wheel \
        || leave_out Python "setuptools and cffi cannot be had from the package index"
    KV_PREFIX=$PREFIX "$WORK/python-build/bin/pip" wheel -q --disable-pip-version-check \
        --no-build-isolation -w "$WORK/python-wheels" "$WORK/python-source"
    # As a user has it: nothing but the wheel, and no libkv beside it.
    python3 -m venv "$WORK/python"
    "$WORK/python/bin/pip" install -q --disable-pip-version-check --no-index \
        --find-links "$WORK/python-wheels" libkv
    cd bindings/python
    PYTHONDONTWRITEBYTECODE=1 "$WORK/python/bin/python" -W error -m unittest discover -s tests
    mkdir -p "$WORK/python-user"
    of_readme python >"$WORK/python-user/test_app.py"
    (cd "$WORK/python-user" && "$WORK/python/bin/python" -W error -m unittest)
    "$WORK/python/bin/python" benchmark.py 1000 >"$WORK/python-bench.txt"
    "$WORK/python-build/bin/pip" install -q --disable-pip-version-check mypy \
        || leave_out mypy "it cannot be had from the package index"
    cd "$WORK"
    python-build/bin/mypy --strict --cache-dir "$WORK/mypy" \
        --python-executable "$WORK/python/bin/python" -p libkv
}

check_node() {
    command -v node >/dev/null && command -v npm >/dev/null || leave_out Node "there is none here"
    npm install --silent --no-audit --no-fund --prefix "$WORK/node" koffi@2 >"$WORK/npm.txt" 2>&1 \
        || leave_out Node "koffi cannot be had from the package index"
    rm -rf "$WORK/node-db"
    cp bindings/node/example.mjs "$WORK/node/"
    LIBKV=$LIBDIR/libkv.so.1 node "$WORK/node/example.mjs" "$WORK/node-db"
}

check_java() {
    command -v javac >/dev/null || leave_out Java "there is no JDK here"
    jar=/usr/share/java/jna.jar
    [ -e "$jar" ] || scripts/install-tools.sh jna.jar=libjna-java || leave_out Java "JNA is missing"
    rm -rf "$WORK/java-db"
    java -Djna.library.path="$LIBDIR" -cp "$jar" bindings/java/Example.java "$WORK/java-db"
}

mkdir -p "$WORK"
case ${1-} in
    go | python | node | java) "check_$1" ;;
    *) sed -n 's/^# usage: //p' "$0" >&2; exit 2 ;;
esac
