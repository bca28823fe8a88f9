//! Backups on a simulated disk: the power is cut at every operation of a backup, operations fail,
//! and other work goes on in its midst. Source and backup must open, each with a prefix of the
//! history: the source as ever, the backup with what the old one held, or the new one
//! (`histories/backup.rs`).
//!
//! `KV_TEST_SEED` gives another seed (a failure names the one of its history); `KV_CRASH_SECONDS`
//! sets how long to go on, instead of a fixed number of states.

mod common;
mod histories;

use std::ffi::OsStr;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};

use common::content::{content_of, Content};
use common::history::key;
use common::sim_disk::fault::{Fault, EIO, ENOSPC};
use common::sim_disk::SimDisk;
use common::Random;
use histories::backup::backup;
use histories::plan::Kind;
use histories::run_all;
use kv::engine::backup::restore::restore;
use kv::engine::{recover, Engine};
use kv::error;
use kv::options::{Options, SyncLevel};

/// States in a usual run.
const STATES: u64 = 3_000;

#[test]
fn a_crash_in_a_backup_leaves_the_old_one_or_the_new() {
    run_all(Kind::Backup, STATES);
}

/// A database with some segments, of which none waits to be sealed, and a disk.
fn filled(seed: u64) -> (SimDisk, Engine, Options) {
    let mut random = Random(seed);
    let options = Options { segment_size: 96 << 10, sync: SyncLevel::None, ..Options::default() };
    let disk = SimDisk::new(seed);
    let engine = recover::open(disk.storage(), options.clone()).expect("a new database opens");
    for number in 0..60 {
        let value = random.bytes(6000);
        engine.put(&key(number % 30), &value).expect("put");
    }
    while engine.seal_in_background() {}
    engine.write_due_hints();
    engine.checkpoint();
    (disk, engine, options)
}

fn open(disk: &SimDisk, options: &Options) -> Engine {
    recover::open(disk.storage(), options.clone()).expect("it opens")
}

fn read(engine: &Engine) -> Content {
    content_of(engine, 0).expect("it can be read")
}

#[test]
fn a_backup_that_fails_leaves_nothing_behind() {
    for (errno, lasting) in [(ENOSPC, true), (EIO, false)] {
        let (disk, engine, options) = filled(1);
        backup(&engine, &disk).expect("backup");
        let old = read(&open(&disk.parent().disk_in("backup").expect("a backup"), &options));
        let mut failures = 0;
        for after in 0.. {
            engine.put(&key(1), &[after as u8; 5000]).expect("put");
            while engine.seal_in_background() {}
            disk.set_fault(Some(Fault { of: None, after, lasting, errno }));
            let struck = disk.struck();
            let made = backup(&engine, &disk);
            let has_struck = disk.struck() > struck;
            disk.set_fault(None);
            assert_eq!(engine.latch().cause().map(|e| e.to_string()), None, "{after}");
            let there = disk.parent().disk_in("backup").expect("the old one stays");
            let found = read(&open(&there, &options));
            let Err(error) = made else {
                assert_eq!(found, read(&engine), "{after}");
                if has_struck {
                    continue;
                }
                break;
            };
            failures += 1;
            let expected = if errno == ENOSPC { error::Kind::NoSpace } else { error::Kind::Io };
            assert_eq!(error.kind(), expected, "{after}: {error}");
            if errno == ENOSPC {
                assert_eq!(found, old, "{after}");
                let names = disk.listing();
                assert!(!names.contains("partial"), "{after}: {names}");
            }
        }
        assert!(failures > 5, "{failures} failures");
        backup(&engine, &disk).expect("backup");
        assert!(!disk.listing().contains("partial"), "{}", disk.listing());
    }
}

#[test]
fn a_crash_in_a_restoration_leaves_all_or_nothing() {
    for seed in 0..5 {
        let (disk, engine, options) = filled(seed);
        backup(&engine, &disk).expect("backup");
        let content = read(&engine);
        drop(engine);
        let left: Arc<Mutex<Vec<SimDisk>>> = Arc::default();
        let (cuts, mut random) = (Arc::clone(&left), Random(seed));
        disk.watch(Box::new(move |state, _| {
            cuts.lock().expect("no panic").push(state.cut(&mut random));
        }));
        let from = disk.parent().disk_in("backup").expect("a backup");
        let bring = |from: &SimDisk| {
            let mut tell = |_: &_| ControlFlow::Continue(());
            restore(from, &from.parent(), OsStr::new("restored"), &mut tell)
        };
        bring(&from).expect("restore");
        assert_eq!(bring(&from).expect_err("it is there").kind(), error::Kind::AlreadyExists);
        disk.unwatch();
        let mut cuts = std::mem::take(&mut *left.lock().expect("no panic"));
        cuts.push(disk.look(|state| state.cut(&mut Random(seed))));
        let last = cuts.len() - 1;
        for (at, cut) in cuts.iter().enumerate() {
            let from = cut.parent().disk_in("backup").expect("the backup stays");
            match cut.parent().disk_in("restored") {
                Some(there) => assert_eq!(read(&open(&there, &options)), content),
                None => {
                    assert!(at < last, "it is there when that was reported");
                    bring(&from).expect("restore after a crash");
                }
            }
            assert_eq!(read(&open(&from, &options)), content);
        }
    }
}
