//! What fuzzing has found and kept, run again without a fuzzer: every input of `fuzz/corpus`, each
//! by the function that libFuzzer calls.
//!
//! `KV_WRITE_SEEDS=directory cargo test --test corpus` writes what fuzzing begins with, made of the
//! golden databases, to directories in that one.

#[path = "../fuzz/src/lib.rs"]
mod fuzz;

use std::panic::{catch_unwind, AssertUnwindSafe};
use std::path::PathBuf;

/// What a target does with an input.
type Run = fn(&[u8]);

/// Runs all that is kept of a target.
fn replay(target: &str, run: Run) {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let entries = std::fs::read_dir(&directory).expect("there is a corpus");
    let mut paths: Vec<PathBuf> =
        entries.map(|entry| entry.expect("the corpus can be read").path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{target}: the corpus is empty");
    for path in paths {
        let bytes = std::fs::read(&path).expect("an input can be read");
        let done = catch_unwind(AssertUnwindSafe(|| run(&bytes)));
        assert!(done.is_ok(), "{} fails", path.display());
    }
}

#[test]
fn records() {
    replay("record", fuzz::record::run);
}

#[test]
fn segments() {
    replay("segment", fuzz::segment::run);
}

#[test]
fn manifests() {
    replay("manifest", fuzz::manifest::run);
}

#[test]
fn hints() {
    replay("hint", fuzz::hint::run);
}

#[test]
fn checkpoints() {
    replay("checkpoint", fuzz::checkpoint::run);
}

#[test]
fn directories() {
    replay("directory", fuzz::directory::run);
}

#[test]
fn calls() {
    replay("api", fuzz::api::run);
}

#[test]
fn seeds_are_written_where_that_is_asked_for() {
    let seeds = fuzz::seeds::all();
    assert!(seeds.len() > 100);
    let Some(directory) = std::env::var_os("KV_WRITE_SEEDS").map(PathBuf::from) else { return };
    for (target, name, bytes) in seeds {
        std::fs::create_dir_all(directory.join(target)).expect("a directory can be made");
        std::fs::write(directory.join(target).join(name), bytes).expect("a seed can be written");
    }
}
