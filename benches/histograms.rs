//! What the option latency_histograms costs puts and gets.
//!
//! `cargo bench --bench histograms -- [--keys N] [--pairs N] [--dir DIR]`
//!
//! One database; slices of 20,000 operations on random keys of 16 bytes with values of 100, with
//! histograms on and off in turn, within one process, so that both see the same machine. The table
//! shows the medians of each, by the processor time of the thread, and the median of the ratios.
#![allow(unsafe_code, reason = "a thread's processor time has no safe interface")]
#![allow(clippy::print_stdout, reason = "a benchmark prints its table")]

#[path = "engine/common.rs"]
mod common;

use std::path::PathBuf;

use common::{key, random, thread_ns};
use kv::db::Db;
use kv::options::{CompactionMode, Options, SyncLevel};

/// Operations in a slice.
const SLICE: u64 = 20_000;

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}

/// Nanoseconds per operation of one slice.
fn slice(db: &Db, is_on: bool, seed: &mut u64, work: &dyn Fn(u64)) -> f64 {
    db.engine().histograms().switch(is_on);
    let began = thread_ns();
    for _ in 0..SLICE {
        *seed += 1;
        work(random(*seed));
    }
    (thread_ns() - began) as f64 / SLICE as f64
}

/// Runs pairs of slices, and prints what came out.
fn compare(db: &Db, what: &str, pairs: usize, work: &dyn Fn(u64)) {
    let (mut on, mut off, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    let mut seed = 0;
    for pair in 0..pairs {
        let is_first_on = pair % 2 == 0;
        let first = slice(db, is_first_on, &mut seed, work);
        let second = slice(db, !is_first_on, &mut seed, work);
        let (with, without) = if is_first_on { (first, second) } else { (second, first) };
        on.push(with);
        off.push(without);
        ratios.push(with / without);
    }
    println!(
        "{what:<14} on {:7.1} ns, off {:7.1} ns, ratio {:.4}",
        median(on),
        median(off),
        median(ratios)
    );
}

fn main() {
    let (mut keys, mut pairs) = (1_000_000, 300);
    let mut directory = std::env::temp_dir();
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    while let Some(name) = arguments.next() {
        let value = arguments.next().unwrap_or_else(|| panic!("{name} needs a value"));
        match name.as_str() {
            "--keys" => keys = value.parse().expect("--keys needs a number"),
            "--pairs" => pairs = value.parse().expect("--pairs needs a number"),
            "--dir" => directory = PathBuf::from(value),
            _ => panic!("unknown argument {name}; there are --keys --pairs --dir"),
        }
    }
    let path = directory.join(format!("kv-histograms-{}", std::process::id()));
    let options = Options {
        sync: SyncLevel::None,
        compaction: CompactionMode::Manual,
        latency_histograms: true,
        ..Options::default()
    };
    let db = Db::open(&path, &options).expect("a new database opens");
    let put = |i: u64| db.put(&key(i % keys), &[7; 100]).expect("a put succeeds");
    let get = |i: u64| {
        let found = db.get(&key(i % keys), |value| value[0] == 7).expect("a get succeeds");
        assert_eq!(found, Some(true));
    };
    let miss = |i: u64| {
        assert!(db.get(&key(keys + i % keys), |_| ()).expect("a get succeeds").is_none());
    };
    (0..keys).for_each(put);
    println!("{keys} keys, {pairs} pairs of slices of {SLICE} operations");
    compare(&db, "get", pairs, &get);
    compare(&db, "get, missing", pairs, &miss);
    compare(&db, "put, overwrite", pairs, &put);
    let told = db.latency(0).expect("gets are timed");
    println!("gets timed: {}, median {} ns", told.times.count, told.times.quantile(500));
    drop(db);
    kv::db::destroy(&path).expect("the database can be removed");
}
