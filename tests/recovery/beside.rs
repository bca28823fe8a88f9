//! Opens that need the simulated disk: writes beside a checkpoint, calls that fail, and what a
//! failed sync has left in the cache.

use std::sync::atomic::{AtomicBool, Ordering};

use kv::error::Kind;
use kv::format::name::INDEX;

use super::*;
use crate::common::sim_disk::fault::{Fault, Operation, EIO};
use crate::common::sim_disk::SimDisk;
use crate::common::store::Store;
use crate::common::Random;

const SHORT: usize = 300;

fn put(engine: &Engine, keys: std::ops::Range<u8>, value: u8) {
    keys.for_each(|key| engine.put(&[key], &[value; SHORT]).expect("put"));
}

fn value_of(engine: &Engine, key: u8) -> Option<u8> {
    let value = engine.get(&[key], |value| (value.len(), value[0])).expect("it can be read");
    value.map(|(len, first)| {
        assert_eq!(len, SHORT);
        first
    })
}

fn killed(disk: &SimDisk) -> SimDisk {
    disk.look(|state| state.kill(&mut Random(1)))
}

/// A checkpoint counts what was written while its pieces were copied, but does not reflect it.
#[test]
fn what_was_written_beside_a_checkpoint_is_not_missed_and_not_counted_twice() {
    for is_closed in [true, false] {
        let disk = SimDisk::new(1);
        let store = Store::open(&disk, &small(), false).expect("it opens");
        let Store::Alone(engine) = &store else { panic!("it has no threads") };
        put(engine, 0..8, 1);
        let (beside, is_first) = (Arc::clone(engine), AtomicBool::new(true));
        disk.set_interlude(Some(Box::new(move || {
            if is_first.swap(false, Ordering::SeqCst) {
                put(&beside, 0..4, 2);
                assert!(beside.delete(&[5]).expect("delete"));
            }
        })));
        engine.checkpoint();
        disk.set_interlude(None);
        let dead = engine.dead_bytes();
        assert_eq!(value_of(engine, 0), Some(2), "something was written beside it");
        if is_closed {
            // Without another checkpoint.
            engine.shut_down().expect("close");
        }
        let opened = open_in(killed(&disk).storage(), small()).expect("it opens");
        assert_eq!(opened.index_from(), EARLIER);
        assert_eq!(opened.engine.dead_bytes(), dead);
        for key in 0..8 {
            let expected = if key < 4 { Some(2) } else { Some(1).filter(|_| key != 5) };
            assert_eq!(value_of(&opened.engine, key), expected, "key {key}");
        }
    }
}

/// A disk with a database that was closed with a checkpoint.
fn closed() -> SimDisk {
    let disk = SimDisk::new(2);
    let store = Store::open(&disk, &small(), false).expect("it opens");
    put(store.engine(), 0..30, 1);
    store.close().expect("close");
    disk
}

/// That a file cannot be read now does not mean that it is damaged.
#[test]
fn a_call_that_fails_while_a_database_is_opened_is_told_as_that() {
    let disk = closed();
    for operation in [Operation::Open, Operation::Read] {
        let (mut failed, mut done_without) = (0, 0);
        for after in 0.. {
            let disk = killed(&disk);
            let fault = Fault { of: Some(operation), after, lasting: false, errno: EIO };
            disk.set_fault(Some(fault));
            let opened = open_in(disk.storage(), small());
            if disk.struck() == 0 {
                assert_eq!(opened.expect("nothing fails").index_from(), AT_CLOSE);
                break;
            }
            match opened {
                // The checkpoint alone can be done without.
                Ok(opened) => {
                    assert_eq!(opened.index_from(), LOG, "{operation:?} {after}");
                    done_without += 1;
                }
                Err(error) => {
                    assert_eq!(error.kind(), Kind::Io, "{operation:?} {after}: {error}");
                    failed += 1;
                }
            }
        }
        assert!(failed > 2 && (1..=2).contains(&done_without), "{failed}, {done_without}");
    }
}

/// The same when a piece of the index is built from the log.
#[test]
fn a_call_that_fails_while_the_index_is_built_is_told_as_that() {
    let disk = closed();
    let storage = disk.storage();
    let index = storage.open(INDEX, true).expect("the checkpoint is there");
    // What comes behind its beginning.
    let from = index.len().expect("its length") - 4096;
    index.write_at(&[0; 4096], from).expect("the checkpoint is damaged");
    let opened = open_in(storage, small()).expect("it opens");
    assert_eq!(opened.index_from(), AT_CLOSE);
    let fault = Fault { of: Some(Operation::Open), after: 0, lasting: true, errno: EIO };
    disk.set_fault(Some(fault));
    let found: Vec<_> = (0..30).map(|key| opened.engine.value_len(&[key])).collect();
    let failed: Vec<Kind> = found.into_iter().filter_map(|r| r.err()).map(|e| e.kind()).collect();
    assert!(!failed.is_empty() && failed.iter().all(|&kind| kind == Kind::Io), "{failed:?}");
    disk.set_fault(None);
    (0..30).for_each(|key| assert_eq!(value_of(&opened.engine, key), Some(1), "key {key}"));
}

/// Pages that a failed sync dropped look as if they were on the medium, until the cache goes.
#[test]
fn what_a_failed_sync_left_in_the_cache_is_not_believed() {
    for seed in 0..20 {
        let disk = SimDisk::new(seed);
        let store = Store::open(&disk, &small(), false).expect("it opens");
        put(store.engine(), 0..2, 1);
        store.engine().sync().expect("sync");
        put(store.engine(), 2..9, 1);
        let fault = Fault { of: Some(Operation::Sync), after: 0, lasting: false, errno: EIO };
        disk.set_fault(Some(fault));
        assert!(store.engine().sync().is_err());
        let after = killed(&disk);
        let opened = open_in(after.storage(), small()).expect("it opens after a kill");
        let found: Vec<_> = (0..9).map(|key| value_of(&opened.engine, key)).collect();
        assert!(found.starts_with(&[Some(1); 2]), "{found:?}");
        put(&opened.engine, 20..21, 1);
        opened.engine.sync().expect("sync");
        let cut = after.look(|state| state.cut(&mut Random(seed)));
        let opened = open_in(cut.storage(), small()).expect("it opens after a power cut");
        let again: Vec<_> = (0..9).map(|key| value_of(&opened.engine, key)).collect();
        assert_eq!((found, value_of(&opened.engine, 20)), (again, Some(1)), "seed {seed}");
    }
}
