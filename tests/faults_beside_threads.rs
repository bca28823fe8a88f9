//! Calls of the storage fail for good while a database is used as programs use it: several threads
//! write and read, and its own threads seal, sync, allocate ahead, compact and write checkpoints.
//! Which call fails when is the machine's choice; what must hold is not. No call hangs and none is
//! wrong meanwhile; when the fault is over the database goes on, or says why it is read-only; it
//! closes, opens again at once, and holds what was acknowledged.
#![allow(clippy::print_stdout, reason = "a test says how much it has done")]

mod common;
mod faulty;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::time::Duration;

use common::watchdog::Watchdog;
use common::TempDir;
use faulty::{Act, Call, Calls, Fault, Faulty, Of};
use kv::db::Db;
use kv::error::Kind;
use kv::options::{Options, SyncLevel};
use kv::storage::posix::PosixStorage;

const WRITERS: u8 = 3;
/// Keys of each writer.
const KEYS: u8 = 8;
const VALUE: usize = 9_000;

/// What each writer knows of its keys: the round that was acknowledged last, and those after it
/// whose outcome is unknown.
type Known = Vec<(u32, Vec<u32>)>;

fn key(writer: u8, number: u8) -> [u8; 2] {
    [writer, number]
}

fn value(writer: u8, number: u8, round: u32) -> Vec<u8> {
    let mut value = vec![writer ^ number ^ round as u8; VALUE];
    value[..4].copy_from_slice(&round.to_le_bytes());
    value
}

fn round_of(writer: u8, number: u8, found: &[u8]) -> u32 {
    let round = u32::from_le_bytes(*found.first_chunk().expect("a value is long"));
    assert!(found == value(writer, number, round), "a value that nobody wrote");
    round
}

fn open(directory: &TempDir, calls: &Calls, sync: SyncLevel) -> Db {
    let inner = PosixStorage::open(&directory.join("db"), true).expect("the directory opens");
    let options = Options {
        segment_size: 128 << 10,
        sync,
        sync_interval_ms: 3,
        compaction_garbage_percent: 10,
        ..Options::default()
    };
    Db::open_in(Faulty::over(Arc::new(inner), calls), &options).expect("it opens")
}

/// Writes its keys again and again until it is told to stop.
fn write(db: &Db, writer: u8, stop: &AtomicBool, known: &mut Known) {
    for round in 1.. {
        for number in 0..KEYS {
            if stop.load(Ordering::Relaxed) {
                return;
            }
            let put = db.put(&key(writer, number), &value(writer, number, round));
            let (acknowledged, in_doubt) = &mut known[usize::from(number)];
            match put {
                Ok(()) => {
                    *acknowledged = round;
                    in_doubt.clear();
                }
                Err(error) if matches!(error.kind(), Kind::Io | Kind::UnknownOutcome) => {
                    in_doubt.push(round);
                }
                Err(error) => assert_ne!(error.kind(), Kind::Corrupt, "{error}"),
            }
        }
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// Each key has what was acknowledged last, or what is in doubt.
fn check(db: &Db, known: &[Known], is_faulty: bool) {
    for (writer, known) in (0..).zip(known) {
        for (number, (acknowledged, in_doubt)) in (0..).zip(known) {
            match db.get(&key(writer, number), |found| round_of(writer, number, found)) {
                Ok(found) => {
                    let found = found.unwrap_or(0);
                    let is_right = found == *acknowledged || in_doubt.contains(&found);
                    assert!(is_right, "key {writer} {number}: {found}, not {acknowledged}");
                }
                Err(error) => assert!(is_faulty && error.kind() != Kind::Corrupt, "{error}"),
            }
        }
    }
}

/// What else a program does, with whatever result.
fn look_after(db: &Db, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        let _ = (db.compact(), db.sync());
        db.engine().checkpoint();
        if let Ok(mut iter) = db.open_iter(None, b"") {
            while db.advance(&mut iter).is_ok_and(|more| more) {}
            db.close_iter(iter);
        }
        drop((db.stats(), db.metrics()));
    }
}

/// One fault. Answers whether it struck, and whether the database is read-only for it.
fn run(call: Call, errno: i32, sync: SyncLevel) -> (bool, bool) {
    let (directory, calls) = (TempDir::in_memory("faults-beside"), Calls::default());
    let db = open(&directory, &calls, sync);
    let mut known: Vec<Known> = vec![vec![(0, Vec::new()); usize::from(KEYS)]; WRITERS.into()];
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for (writer, known) in (0..).zip(&mut known) {
            let (db, stop) = (&db, &stop);
            scope.spawn(move || write(db, writer, stop, known));
        }
        scope.spawn(|| look_after(&db, &stop));
        std::thread::sleep(Duration::from_millis(15));
        calls.arm(Some(Fault { call, after: 0, lasting: true, errno }));
        std::thread::sleep(Duration::from_millis(25));
        stop.store(true, Ordering::Relaxed);
    });
    check(&db, &known, true);
    let has_struck = calls.struck() > 0;
    calls.disarm();
    check(&db, &known, false);
    let is_latched = db.engine().latch().cause().is_some();
    let put = db.put(b"after", b"value");
    match put {
        Err(error) if is_latched => {
            assert_eq!(error.kind(), Kind::ReadOnly, "{error}");
            assert!(error.to_string().contains("fault of the test"), "no cause: {error}");
        }
        put => put.expect("it goes on"),
    }
    assert_eq!(db.close().is_ok(), !is_latched);
    let db = open(&directory, &calls, sync);
    check(&db, &known, false);
    db.put(b"after", b"value").expect("it is written to");
    db.compact().expect("it is compacted");
    db.close().expect("it is closed");
    (has_struck, is_latched)
}

#[test]
fn nothing_hangs_and_nothing_is_wrong() {
    use Act::{Allocate, Create, Cut, Map, MapAppend, Open, Rename, SyncDirectory, Write};
    let watchdog = Watchdog::start(Duration::from_secs(120));
    let of = |act, of| Call { act, of };
    let calls = [
        (of(Create, Of::Segment), &[5, 28, 24, 13][..]),
        (of(Write, Of::Segment), &[5, 28]),
        (of(Allocate, Of::Segment), &[5, 28, 122]),
        (of(Act::Sync, Of::Segment), &[5, 28]),
        (of(Cut, Of::Segment), &[5]),
        (of(Map, Of::Segment), &[12]),
        (of(MapAppend, Of::Segment), &[12]),
        (of(Open, Of::Segment), &[5, 24]),
        (of(Act::Read, Of::Segment), &[5]),
        (of(Write, Of::Manifest), &[5, 28]),
        (of(Act::Sync, Of::Manifest), &[5]),
        (of(SyncDirectory, Of::Directory), &[5]),
        (of(Write, Of::Index), &[5, 28]),
        (of(Rename, Of::Index), &[5]),
        (of(Write, Of::Hint), &[28]),
    ];
    let (mut struck, mut latched, mut all) = (0, 0, 0);
    for sync in [SyncLevel::Interval, SyncLevel::Always] {
        for (call, errnos) in calls {
            for &errno in errnos {
                watchdog.begin(&format!("{call:?} fails with {errno} under {sync:?}"));
                let (has_struck, is_latched) = run(call, errno, sync);
                struck += u32::from(has_struck);
                latched += u32::from(is_latched);
                all += 1;
            }
        }
    }
    println!("{all} faults: {struck} struck, {latched} made it read-only");
    assert!(struck > all / 2 && latched > 0 && latched < struck, "{all}, {struck}, {latched}");
}
