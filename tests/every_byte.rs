//! Small databases, damaged in every way: each bit flipped, each length cut, blocks and files
//! overwritten, exchanged, of another time and of other databases. Whatever was done, each of all
//! kinds of reads gives what was written last, or says which file is damaged, and where.
//!
//! A wrong, old or missing value, a panic, an endless loop and a demand for more memory than the
//! longest file has are failures. Where a database was not closed, and there only, the newest
//! writes may be missing, those that no sync mark covers: exactly those behind the damage.
//!
//! The tests draw some of the cases, another part with another KV_TEST_SEED. KV_DAMAGE=all tries
//! each of them (`make damage`).

mod common;
mod damage;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Mutex;

use common::seed;
use damage::cases::{drawn, Case, Cases};
use damage::heap::Counting;
use damage::small;
use damage::tally::Tally;
use damage::trial::Trial;
use damage::{is_everything_asked_for, Damage, Files, Sample};

#[global_allocator]
static HEAP: Counting = Counting;

/// Cases of each kind that are drawn.
const DRAWN: usize = 1_000;
/// The same for a database that is open.
const DRAWN_WHILE_OPEN: usize = 400;
/// Cases that a thread takes at once.
const AT_ONCE: usize = 256;
/// If all are tried, one case in so many is written to, compacted, opened again, or read in the
/// other mode; if some are drawn, each.
const CLOSELY: u64 = 8;
/// Of a checkpoint that is not the only thing an open goes by, one bit in so many is tried.
const STRIDE: usize = 17;

#[allow(clippy::print_stdout, reason = "how much was tried is the point of the test")]
fn damage_everything(make: fn(u64) -> Sample, stride: usize) {
    let sample = make(seed());
    // The same history with other random numbers, and another history.
    let others: [Files; 2] = [make(seed() + 1).files, small::checkpointed(seed() + 2).files];
    let cases = Cases::new(&sample, &others).with_stride(stride);
    let bytes: usize = sample.files.values().map(Vec::len).sum();
    println!("{}: {} files, {bytes} bytes", sample.name, sample.files.len());
    let mut all = Tally::default();
    for (kind, list) in cases.all() {
        let list = if is_everything_asked_for() { list } else { drawn(list, DRAWN) };
        let tally = judge(&sample, &cases, &list, Trial::judge);
        println!("{}, {kind}: {}", sample.name, tally.in_words());
        all.add(&tally);
    }
    println!("{}, in all: {}", sample.name, all.in_words());
    assert!(all.refused > 0 && all.unharmed > 0, "both are there");
}

/// Damages the files of a database that is open: they are not looked at again, but read and mapped.
#[allow(clippy::print_stdout, reason = "how much was tried is the point of the test")]
fn damage_while_open(make: fn(u64) -> Sample) {
    let sample = make(seed());
    let others: [Files; 2] = [make(seed() + 1).files, small::checkpointed(seed() + 2).files];
    let cases = Cases::new(&sample, &others);
    let drawn_of = if is_everything_asked_for() { DRAWN_WHILE_OPEN * 40 } else { DRAWN_WHILE_OPEN };
    for (kind, list) in cases.all() {
        let tally = judge(&sample, &cases, &drawn(list, drawn_of), Trial::judge_while_open);
        println!("{}, open, {kind}: {}", sample.name, tally.in_words());
    }
}

/// Judges all cases of a list, on all processors.
fn judge<'s>(
    sample: &'s Sample,
    cases: &Cases,
    list: &[Case],
    one: fn(&mut Trial<'s>, &[Damage]),
) -> Tally {
    let (next, all) = (AtomicUsize::new(0), Mutex::new(Tally::default()));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut trial = Trial::new(sample);
                trial.closely = if is_everything_asked_for() { CLOSELY } else { 1 };
                loop {
                    let from = next.fetch_add(AT_ONCE, Ordering::Relaxed);
                    let Some(rest) = list.get(from..).filter(|rest| !rest.is_empty()) else {
                        break;
                    };
                    for case in &rest[..rest.len().min(AT_ONCE)] {
                        if let Some(damage) = cases.damage(*case) {
                            one(&mut trial, &damage);
                        }
                    }
                }
                all.lock().expect("no thread has failed").add(&trial.tally);
            });
        }
    });
    let tally = *all.lock().expect("no thread has failed");
    tally
}

#[test]
fn damage_to_a_database_with_a_checkpoint() {
    damage_everything(small::checkpointed, 1);
}

#[test]
fn damage_to_a_database_with_an_older_checkpoint() {
    damage_everything(small::partly_checkpointed, STRIDE);
}

#[test]
fn damage_to_a_database_with_hints() {
    damage_everything(small::hinted, STRIDE);
}

#[test]
fn damage_to_a_database_that_is_nothing_but_its_log() {
    damage_everything(small::bare, STRIDE);
}

#[test]
fn damage_to_a_database_that_was_killed() {
    damage_everything(small::killed, STRIDE);
}

#[test]
fn damage_to_a_database_that_was_killed_after_a_sync() {
    damage_everything(small::killed_when_synced, STRIDE);
}

#[test]
fn damage_to_databases_that_are_open() {
    damage_while_open(small::checkpointed);
    damage_while_open(small::hinted);
    damage_while_open(small::killed);
}
