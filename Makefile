# The short commands. This only drives: cargo builds the library, CMake the C side.
#
# Variables: DEMO_ARGS (arguments of the demo), CARGO_FLAGS (such as --locked), JOBS,
#            PREFIX and DESTDIR (for install), BENCH_ARGS.

MAKEFLAGS += --no-print-directory
SHELL = /bin/sh
JOBS ?= $(shell nproc 2>/dev/null || echo 2)
PREFIX ?= /usr/local
DEMO_ARGS ?=
BENCH_ARGS ?=
CARGO_FLAGS ?=
DAMAGE_PROFILE ?= release

# rustup installs cargo where not every shell looks.
export PATH := $(PATH):$(or $(CARGO_HOME),$(HOME)/.cargo)/bin

# One directory for all that cargo builds: a second one would build the dependencies again.
TARGET_DIR := $(abspath $(or $(CARGO_TARGET_DIR),target))
empty :=
semicolon := ;
space := $(empty) $(empty)
TOOLS = OFF
CONFIGURE = cmake -S . -DKV_CARGO_TARGET_DIR="$(TARGET_DIR)" -DKV_BUILD_TOOLS=$(TOOLS) \
	-DKV_CARGO_FLAGS="$(subst $(space),$(semicolon),$(strip $(CARGO_FLAGS)))"
CARGO = CARGO_TARGET_DIR="$(TARGET_DIR)" cargo

# What users get, which is what is measured: built by `make build`, with link-time optimisation,
# which rustc leaves out of what `cargo build` makes (cmake/Library.cmake says why).
SHIPPED = $(abspath build/release/lib/libkv.so)

# command=package: what the targets need, besides Rust.
BUILD_TOOLS = cc=gcc c++=g++ cmake=cmake
CHECK_TOOLS = $(BUILD_TOOLS) nm=binutils pkg-config=pkg-config valgrind=valgrind groff=groff-base

.PHONY: help demo check build test lint header install install-tools clean
.PHONY: test-wrong-turns
.PHONY: build-tools openmetrics-parser check-c-debug check-c-release test-rust test-schedules
.NOTPARALLEL:

help:
	@echo "make demo           install what is missing, build, and run the demo (DEMO_ARGS=...)"
	@echo "make check          all checks and tests: Rust, C, C++, valgrind, installed programs"
	@echo "make build          the libraries and the examples, in build/release"
	@echo "make test           the tests alone, without valgrind"
	@echo "make cli            the command line, kv (docs/CLI.md); make check-cli tests it"
	@echo "make check-languages  the bindings in bindings/: check-go, check-python, check-node,"
	@echo "                    check-java (docs/LANGUAGES.md)"
	@echo "make test-wrong-turns  mistakes in the library, to see that the tests notice them"
	@echo "make lint           formatting and clippy"
	@echo "make sanitize       the tests under AddressSanitizer and ThreadSanitizer"
	@echo "make guard          what one operation costs, counted: it must not have grown"
	@echo "make header         refresh include/kv.h from src/ffi"
	@echo "make bench          libkv beside LMDB, LevelDB, RocksDB and others (BENCH_ARGS=--quick)"
	@echo "make bench-calls    the benchmarks of single operations (BENCH_ARGS=...)"
	@echo "make bench-engine   every promised figure with its target (BENCH_ARGS=--quick)"
	@echo "make torture-fs     kills, power cuts, failing disks and calls on this machine's kernel"
	@echo "                    (PART=kill|power|errors|syscalls|full|memory, SECONDS=, ROUNDS=, SEED=)"
	@echo "make damage         small databases damaged at every bit, length, block and file: hours"
	@echo "make key-flood      ten million keys of each kind that should collide, and do not"
	@echo "make mutants        changes that no test notices (SHARD=1/8; docs/MUTANTS.md)"
	@echo "make fuzz           coverage-guided fuzzing (SECONDS=600 SEED=... TARGET=directory)"
	@echo "make docs           the reference of all functions as HTML, in build/docs/html (Doxygen)"
	@echo "make manual         the manual pages of all functions, in build/docs/man3"
	@echo "make install        install build/release to PREFIX ($(PREFIX)), below DESTDIR"
	@echo "make abi            what compiled programs rely on has not changed since the last release"
	@echo "make portability    64-bit ARM by qemu, musl, systems that are refused"
	@echo "make deb            Debian's packages, in build/deb: built, read by lintian, and tested"
	@echo "make rpm            RPM packages, in build/rpm"
	@echo "make install-tools  install the Debian packages that the above need"
	@echo "make torture        power cuts of a simulated disk (SECONDS=..., SEED=..., REPLAY=...)"
	@echo "make clean          remove all that was built"

demo: build
	@echo "==> demo $(DEMO_ARGS)"
	@build/release/examples-c/demo $(DEMO_ARGS)

build: build-tools
	@echo "==> building the libraries and the examples (build/release)"
	@$(CONFIGURE) -B build/release -DCMAKE_BUILD_TYPE=Release --log-level=NOTICE
	@cmake --build build/release --target examples -j $(JOBS)

# Every part prints its own result; the last line is reached only when all have passed.
check: install-tools openmetrics-parser lint test-rust test-wrong-turns test-schedules \
		check-cli check-c-debug check-c-release check-languages check-manual check-documents \
		check-reference abi check-deb guard check-torture-fs sanitize-quick
	@echo "==> all checks passed"

test: build-tools test-rust test-schedules check-c-debug

lint:
	@$(CARGO) fmt --version >/dev/null && $(CARGO) clippy --version >/dev/null \
		|| { echo "Please run: rustup component add rustfmt clippy" >&2; exit 1; }
	@echo "==> formatting"
	@$(CARGO) fmt --check
	@echo "==> clippy"
	@$(CARGO) clippy $(CARGO_FLAGS) --all-targets -- -D warnings
	@$(CARGO) clippy $(CARGO_FLAGS) --test torture -- -D warnings

test-rust:
	@echo "==> tests in Rust"
	@$(CARGO) test $(CARGO_FLAGS)

# The library with its mistakes is another one: the tests are built once more, with it.
test-wrong-turns:
	@echo "==> wrong turns, each of which a test must notice"
	@$(CARGO) clippy $(CARGO_FLAGS) --features wrong-turns --test wrong_turns -- -D warnings
	@$(CARGO) test $(CARGO_FLAGS) --features wrong-turns --test wrong_turns -- --nocapture

# A package of its own, with a directory of its own: it builds the sources against other atomics.
test-schedules:
	@echo "==> schedules of the rooms without locks"
	@cd tests/loom && cargo fmt --check \
		&& CARGO_TARGET_DIR="$(TARGET_DIR)/schedules" cargo run --quiet $(CARGO_FLAGS)

# What is shipped is what valgrind looks at; the debug build has checks of its own.
check-c-debug:
	@echo "==> C and C++, debug (build/debug)"
	@$(CONFIGURE) -B build/debug -DCMAKE_BUILD_TYPE=Debug --log-level=NOTICE
	@cmake --build build/debug -j $(JOBS)
	@cd build/debug && ctest -j $(JOBS) --output-on-failure --label-exclude valgrind

check-c-release:
	@echo "==> C and C++, release (build/release)"
	@$(CONFIGURE) -B build/release -DCMAKE_BUILD_TYPE=Release --log-level=NOTICE
	@cmake --build build/release -j $(JOBS)
	@cd build/release && ctest -j $(JOBS) --output-on-failure

# The bindings, against a copy that is installed in build/languages/prefix.
.PHONY: check-languages languages-prefix check-go check-python check-node check-java
check-languages: check-go check-python check-node check-java

languages-prefix: build
	@cmake --install build/release --prefix build/languages/prefix >/dev/null

check-go check-python check-node check-java: check-%: languages-prefix
	@echo "==> from another language: $*"
	@scripts/check-language.sh $*

# A package of its own (tests/guard/): instructions, system calls, allocations and cache lines of
# one operation of the shipped library, against tests/guard/bounds.tsv; KV_UPDATE_GUARD=1 records.
.PHONY: guard
guard: build
	@echo "==> what one operation costs"
	@scripts/install-tools.sh valgrind=valgrind
	@cd tests/guard && cargo fmt --check && export CARGO_TARGET_DIR="$(TARGET_DIR)/guard" \
		&& cargo test --quiet --release $(CARGO_FLAGS) \
		&& LIBRARY="$(SHIPPED)" cargo run --quiet --release $(CARGO_FLAGS)

header:
	@echo "==> include/kv.h"
	@KV_UPDATE_HEADER=1 $(CARGO) test $(CARGO_FLAGS) --test header
	@git diff --stat -- include || true

bench: bench-peers

bench-calls:
	@$(CARGO) bench $(CARGO_FLAGS) $(BENCH_ARGS)

bench-engine:
	@$(CARGO) bench $(CARGO_FLAGS) --bench scale -- $(BENCH_ARGS)

# libkv beside other engines: a package of its own (benches/peers/), which loads libkv.so and
# whatever of the others this machine has. It names those that are missing, and goes on.
.PHONY: bench bench-calls bench-engine bench-peers bench-peers-tools bench-peers-build check-peers
PEER_LIBRARIES = lib:lmdb=liblmdb-dev lib:leveldb=libleveldb-dev lib:rocksdb=librocksdb-dev \
	lib:tkrzw=libtkrzw-dev lib:kyotocabinet=libkyotocabinet-dev
PEERS = LIBKV="$(SHIPPED)" "$(TARGET_DIR)/peers/release/kv-peers"

bench-peers: bench-peers-tools bench-peers-build
	@$(PEERS) $(BENCH_ARGS)

bench-peers-tools:
	@scripts/install-tools.sh $(PEER_LIBRARIES) || echo "==> going on without them"

bench-peers-build: build
	@cd benches/peers && CARGO_TARGET_DIR="$(TARGET_DIR)/peers" \
		cargo build --quiet --release $(CARGO_FLAGS)

# Its own tests, and every workload of every engine that is there, small.
check-peers: bench-peers-build
	@echo "==> libkv beside other engines, small"
	@cd benches/peers && cargo fmt --check \
		&& CARGO_TARGET_DIR="$(TARGET_DIR)/peers" cargo test --quiet $(CARGO_FLAGS)
	@$(PEERS) --quick

# The command line: a package of its own (cli/), for what it needs is not the library's.
.PHONY: cli check-cli
CLI = cd cli && CARGO_TARGET_DIR="$(TARGET_DIR)/cli" cargo

cli:
	@$(CLI) build --release $(CARGO_FLAGS)
	@echo "==> $(TARGET_DIR)/cli/release/kv"

check-cli:
	@echo "==> the command line"
	@cd cli && cargo fmt --check
	@$(CLI) clippy --quiet $(CARGO_FLAGS) --all-targets -- -D warnings
	@$(CLI) test --quiet $(CARGO_FLAGS)

# The reference: HTML by Doxygen, for which every warning is an error; and manual pages, which a
# package of its own (docs/manual/) makes of the same header.
.PHONY: docs manual check-manual check-documents check-reference reference-tools
VERSION = $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml)
MANUAL = cd docs/manual && CARGO_TARGET_DIR="$(TARGET_DIR)/manual" cargo

docs: reference-tools manual
	@rm -rf build/docs/html && mkdir -p build/docs
	@KV_VERSION="$(VERSION)" doxygen docs/Doxyfile
	@echo "==> build/docs/html/index.html"

reference-tools:
	@scripts/install-tools.sh doxygen=doxygen

manual:
	@$(MANUAL) run --quiet $(CARGO_FLAGS) -- ../.. ../../build/docs/man3
	@echo "==> build/docs/man3 (man -l build/docs/man3/libkv.3)"

check-manual:
	@echo "==> the manual pages"
	@cd docs/manual && cargo fmt --check
	@$(MANUAL) clippy --quiet $(CARGO_FLAGS) --all-targets -- -D warnings
	@$(MANUAL) test --quiet $(CARGO_FLAGS)

check-reference:
	@echo "==> the reference"
	@$(MAKE) docs || { command -v doxygen >/dev/null && exit 1; \
		echo "==> no Doxygen: the reference is not made"; }

# What README.md, the cookbook and the migration notes show is built and run (tests/documents/),
# with the library of build/release installed to a directory of its own.
DOCUMENTS = cd tests/documents && CARGO_TARGET_DIR="$(TARGET_DIR)/documents" cargo

check-documents: build
	@echo "==> what the documents show"
	@scripts/install-tools.sh lib:leveldb=libleveldb-dev lib:lmdb=liblmdb-dev \
		|| echo "==> going on without what brings data from them"
	@cd tests/documents && cargo fmt --check
	@$(DOCUMENTS) clippy --quiet $(CARGO_FLAGS) --all-targets -- -D warnings
	@$(DOCUMENTS) test --quiet $(CARGO_FLAGS)
	@$(DOCUMENTS) run --quiet $(CARGO_FLAGS) -- ../..

install: TOOLS = ON
install: build
	@cmake --build build/release -j $(JOBS)
	@cmake --install build/release --prefix "$(PREFIX)"

install-tools:
	@scripts/install-tools.sh $(CHECK_TOOLS)

# Other systems, as far as this machine has what that takes (scripts/portability.sh); minutes.
.PHONY: portability
PORTABILITY_TOOLS = aarch64-linux-gnu-gcc=gcc-aarch64-linux-gnu\ libc6-dev-arm64-cross \
	qemu-aarch64=qemu-user musl-gcc=musl-tools

portability: build-tools
	@scripts/install-tools.sh $(PORTABILITY_TOOLS) || echo "==> going on without them"
	@CARGO_TARGET_DIR="$(TARGET_DIR)" CARGO_FLAGS="$(CARGO_FLAGS)" scripts/portability.sh

# The interface beside that of the last release (scripts/abi.sh, tests/abi/).
.PHONY: abi abi-baseline
ABI = env CARGO_TARGET_DIR="$(TARGET_DIR)" CARGO_FLAGS="$(CARGO_FLAGS)" scripts/abi.sh

abi:
	@echo "==> the ABI, beside the last release's"
	@if ! scripts/install-tools.sh abidw=abigail-tools abidiff=abigail-tools; then \
		echo "==> no libabigail: the ABI is not compared"; \
	elif [ "$$(uname -m)" != x86_64 ]; then echo "==> its baseline is of x86_64: not compared"; \
	else $(ABI) self-test && $(ABI) check; fi

abi-baseline:
	@scripts/install-tools.sh abidw=abigail-tools abidiff=abigail-tools
	@$(ABI) baseline

# Debian's packages, built from a copy of the sources, read by lintian, and tested in a system where
# nothing else is installed. Without Debian's tools there are none, and the checks go on.
.PHONY: deb check-deb
DEB_TOOLS = dpkg-buildpackage=dpkg-dev dh=debhelper lintian=lintian debootstrap=debootstrap
DEB = env CARGO_TARGET_DIR="$(TARGET_DIR)" CARGO_FLAGS="$(CARGO_FLAGS)" scripts/deb.sh

deb: build-tools
	@PATH="$$PATH:/usr/sbin:/sbin" scripts/install-tools.sh $(DEB_TOOLS)
	@echo "==> Debian's packages (build/deb)"
	@$(DEB) build
	@$(DEB) lint
	@$(DEB) test

.PHONY: rpm
rpm: build-tools
	@scripts/install-tools.sh rpmbuild=rpm rpm2cpio=rpm2cpio cpio=cpio
	@scripts/install-tools.sh rpmlint=rpmlint || echo "==> going on without it"
	@echo "==> RPM packages (build/rpm)"
	@CARGO_TARGET_DIR="$(TARGET_DIR)" scripts/rpm.sh

check-deb:
	@if PATH="$$PATH:/usr/sbin:/sbin" scripts/install-tools.sh $(DEB_TOOLS); then $(MAKE) deb; \
		else echo "==> no Debian tools: its packages are neither built nor tested"; fi

# What is told to Prometheus is read by its own parser, where that can be had.
openmetrics-parser:
	@scripts/install-tools.sh python3=python3 python3:prometheus_client=python3-prometheus-client \
		|| echo "==> no parser of OpenMetrics: what kv_metrics() tells is not read by it"

build-tools:
	@scripts/install-tools.sh $(BUILD_TOOLS)

# Every case of the tests of damaged files, of which `cargo test` draws some.
.PHONY: damage
damage:
	@echo "==> every bit, length, block and file of small databases"
	@KV_DAMAGE=all $(CARGO) test $(CARGO_FLAGS) --profile $(DAMAGE_PROFILE) \
		--test every_byte --test rescue_every_byte -- --nocapture --test-threads=1

clean:
	rm -rf build "$(TARGET_DIR)"

# A package of its own (tests/torture_fs/). What this machine cannot do, it says and leaves out.
.PHONY: torture-fs torture-fs-tools torture-fs-build check-torture-fs
TORTURE_FS_TOOLS = strace=strace qemu-storage-daemon=qemu-system-common nbdkit=nbdkit \
	nbdfuse=libnbd-bin fusermount3=fuse3 mkfs.ext4=e2fsprogs mkfs.xfs=xfsprogs \
	mkfs.btrfs=btrfs-progs
TORTURE_FS = "$(TARGET_DIR)/torture-fs/release/kv-torture-fs" \
	LIBRARY="$(SHIPPED)"
PART ?=
SECONDS ?=
ROUNDS ?=
SEED ?=

torture-fs: torture-fs-tools torture-fs-build
	@$(TORTURE_FS) PART=$(PART) SECONDS=$(SECONDS) ROUNDS=$(ROUNDS) SEED=$(SEED)

torture-fs-tools:
	@PATH="$$PATH:/usr/sbin:/sbin" scripts/install-tools.sh $(TORTURE_FS_TOOLS) \
		|| echo "==> going on without them"

torture-fs-build: build
	@cd tests/torture_fs && CARGO_TARGET_DIR="$(TARGET_DIR)/torture-fs" \
		cargo build --quiet --release $(CARGO_FLAGS)

# A slice of it, with the tools that there are.
check-torture-fs: torture-fs-build
	@echo "==> a slice of make torture-fs"
	@cd tests/torture_fs && cargo fmt --check
	@$(TORTURE_FS) SECONDS=2 SEED=$(SEED)

.PHONY: key-flood mutants

# Counts work, not time; minutes, most of them for finding the keys.
key-flood:
	@KV_FLOOD_KEYS=10000000 $(CARGO) test $(CARGO_FLAGS) --release --lib -- --nocapture flood

# Which small changes of these rooms does no test notice? All of them are built into one copy of the
# library, in MUTANTS_DIR; outcomes are kept there, and a run goes on where the last one ended.
MUTATED = src/format src/segment src/engine/recover src/engine/compact
MUTANTS_DIR ?= $(TARGET_DIR)/mutants
SHARD ?= 1/1

mutants:
	@command -v cargo-mutants >/dev/null || cargo install cargo-mutants --locked
	@mkdir -p "$(MUTANTS_DIR)"
	@cargo mutants --list --json -f src/manifest.rs $(MUTATED:%=-f '%/**') \
		> "$(MUTANTS_DIR)/list.json"
	@cd tests/mutants && cargo fmt --check \
		&& CARGO_TARGET_DIR="$(MUTANTS_DIR)/tool" cargo build --quiet $(CARGO_FLAGS)
	@nice -n 19 "$(MUTANTS_DIR)/tool/debug/kv-mutants" . "$(MUTANTS_DIR)/list.json" \
		"$(MUTANTS_DIR)" "$(MUTANTS_DIR)/outcomes.jsonl" $(SHARD)

# The compiler's sanitizers, over the tests in Rust and in C; what this machine lacks is said.
.PHONY: sanitize sanitize-quick
sanitize:
	@echo "==> AddressSanitizer"
	@CARGO_TARGET_DIR="$(TARGET_DIR)" scripts/sanitize.sh address
	@echo "==> ThreadSanitizer"
	@CARGO_TARGET_DIR="$(TARGET_DIR)" scripts/sanitize.sh thread

# The part for every check: the programs in C, with the library's memory watched.
sanitize-quick:
	@echo "==> AddressSanitizer, C"
	@CARGO_TARGET_DIR="$(TARGET_DIR)" scripts/sanitize.sh address c

# Random histories on a simulated disk, cut at every operation, for SECONDS; REPLAY is what a
# failure prints, KINDS some of crash,expiry,backup,fault,damage.
.PHONY: torture
TORTURE_ARGS = $(if $(REPLAY),--replay $(REPLAY),$(if $(SECONDS),--seconds $(SECONDS)) \
	$(if $(SEED),--seed $(SEED)) $(if $(KINDS),--kinds $(KINDS)))
torture:
	@echo "==> torture"
	@$(CARGO) test $(CARGO_FLAGS) --profile torture --test torture -- $(TORTURE_ARGS)

# Fuzzing: SECONDS in all, which the targets share; TARGET, one or several, or all. What it finds
# stays in target/fuzz; `scripts/fuzz.sh keep` takes what is worth it into the corpus, which
# `cargo test --test corpus` runs again.
.PHONY: fuzz
fuzz: build-tools
	@CARGO_TARGET_DIR="$(TARGET_DIR)" scripts/fuzz.sh run $(or $(SECONDS),600) \
		$(or $(SEED),$$(date +%s)) $(TARGET)
