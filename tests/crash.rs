//! Power cuts and kills at every operation of random histories, on a simulated disk: what is
//! reopened must be a prefix of the history that lacks nothing synced (`histories/crash.rs`).
//!
//! `KV_TEST_SEED` gives another seed (a failure names the one of its history); `KV_CRASH_SECONDS`
//! sets how long to go on, instead of a fixed number of states.

mod common;
mod histories;

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::Arc;

use common::sim_disk::SimDisk;
use common::store::Store;
use common::Random;
use histories::plan::Kind;
use histories::run_all;
use kv::db::{WriteBatch, WriteOptions, WriteSync, Written};
use kv::engine::Engine;
use kv::options::{Options, SyncLevel};

/// States in a usual run.
const STATES: u64 = 50_000;
/// States in which files were changed.
const DAMAGED_STATES: u64 = 5_000;

#[test]
fn what_a_crash_leaves_is_a_prefix() {
    run_all(Kind::Crash, STATES);
}

#[test]
fn what_is_damaged_is_told() {
    run_all(Kind::Damage, DAMAGED_STATES);
}

#[test]
fn a_log_that_lost_all_its_records_goes_on() {
    let options = Options { segment_size: 128 << 10, sync: SyncLevel::None, ..Options::default() };
    for seed in 0..50 {
        let mut random = Random(seed);
        let disk = SimDisk::new(seed);
        let store = Store::open(&disk, &options, false).expect("a new database opens");
        for number in 0..4_u8 {
            store.engine().put(&[number], &random.bytes(60_000)).expect("put");
        }
        let cut = disk.look(|state| state.cut(&mut random));
        let store = Store::open(&cut, &options, false).expect("it opens after a power cut");
        // The first does not fit into what is left of the log's last segment.
        store.engine().put(b"long", &random.bytes(200_000)).expect("put");
        store.engine().put(b"short", b"value").expect("put");
        let killed = cut.look(|state| state.kill(&mut random));
        let store = Store::open(&killed, &options, false).expect("it opens after a kill");
        for (key, len) in [(&b"long"[..], 200_000), (b"short", 5)] {
            let found = store.engine().value_len(key).expect("read");
            assert_eq!(found, Some(len), "seed {seed}");
        }
    }
}

/// Who asks for a write to be on the medium gets the value there, or its absence, even if nothing
/// had to be written.
#[test]
fn what_need_not_be_written_is_on_the_medium_all_the_same() {
    let options = Options { segment_size: 128 << 10, sync: SyncLevel::None, ..Options::default() };
    let is_equal =
        WriteOptions { skip_if_equal: true, sync: WriteSync::Yes, ..WriteOptions::default() };
    let mut deletes = WriteBatch::new();
    deletes.delete(b"gone").expect("delete");
    deletes.delete(b"never there").expect("delete");
    for seed in 0..50 {
        let mut random = Random(seed);
        let disk = SimDisk::new(seed);
        let store = Store::open(&disk, &options, false).expect("a new database opens");
        let engine = store.engine();
        engine.put(b"gone", b"value").expect("put");
        engine.sync().expect("sync");
        engine.delete(b"gone").expect("delete");
        if seed % 2 == 0 {
            engine.write(&deletes, WriteSync::Yes).expect("write");
        } else {
            engine.put(b"equal", b"value").expect("put");
            let written = engine.put_with(b"equal", b"value", &is_equal).expect("put_with");
            assert!(matches!(written, Written::Unchanged(_)));
        }
        let cut = disk.look(|state| state.cut(&mut random));
        let store = Store::open(&cut, &options, false).expect("it opens after a power cut");
        let found = |key: &[u8]| store.engine().value_len(key).expect("read");
        assert_eq!(found(b"gone"), None, "seed {seed}");
        assert!(seed % 2 == 0 || found(b"equal") == Some(5), "seed {seed}");
    }
}

/// A checkpoint is not of one moment: what is written while it is comes from the log.
#[test]
fn what_is_written_beside_a_checkpoint_is_not_lost() {
    let options = Options { segment_size: 128 << 10, sync: SyncLevel::None, ..Options::default() };
    let disk = SimDisk::new(1);
    let store = Store::open(&disk, &options, false).expect("a new database opens");
    let Store::Alone(engine) = &store else { panic!("it has no threads") };
    engine.put(&[0], b"before").expect("put");
    let (beside, written) = (Arc::clone(engine), Arc::new(AtomicU8::new(1)));
    let count = Arc::clone(&written);
    disk.set_interlude(Some(Box::new(move || {
        let number = count.fetch_add(1, Ordering::SeqCst);
        beside.put(&[number], b"beside").expect("put");
    })));
    engine.checkpoint();
    disk.set_interlude(None);
    let written = written.load(Ordering::SeqCst);
    assert!(written > 1, "something is written beside it");
    let killed = disk.look(|state| state.kill(&mut Random(1)));
    let store = Store::open(&killed, &options, false).expect("it opens after a kill");
    for number in 0..written {
        let found = store.engine().value_len(&[number]).expect("read");
        assert_eq!(found, Some(6), "key {number}");
    }
}

/// A piece of a checkpoint may point to a record that was replaced before the checkpoint was whole,
/// by one whose segment has been compacted away since. It was counted as dead once more after the
/// next open, and with it the last live record of its segment seemed to be dead.
#[test]
fn what_was_written_beside_a_checkpoint_may_be_compacted_away() {
    static VALUE: [u8; 60_000] = [7; 60_000];
    let options = Options { segment_size: 128 << 10, sync: SyncLevel::None, ..Options::default() };
    let disk = SimDisk::new(1);
    let store = Store::open(&disk, &options, false).expect("a new database opens");
    let Store::Alone(engine) = &store else { panic!("it has no threads") };
    // Two records fit into a segment.
    let put = |engine: &Engine, keys: [&[u8]; 2]| {
        keys.iter().for_each(|key| engine.put(key, &VALUE).expect("put"));
    };
    put(engine, [b"replaced", b"lasting."]);
    let (beside, is_first) = (Arc::clone(engine), AtomicBool::new(true));
    disk.set_interlude(Some(Box::new(move || {
        if is_first.swap(false, Ordering::SeqCst) {
            put(&beside, [b"replaced", b"another."]);
        }
    })));
    engine.checkpoint();
    disk.set_interlude(None);
    let segments = |engine: &Engine| engine.stats().segments;
    put(engine, [b"replaced", b"another."]);
    put(engine, [b"later 1.", b"later 2."]);
    let before = segments(engine);
    assert!(engine.compact_if_due().expect("compact"), "a segment is dead");
    assert_eq!(segments(engine), before - 1, "only what was written beside the checkpoint goes");
    let killed = disk.look(|state| state.kill(&mut Random(1)));
    let store = Store::open(&killed, &options, false).expect("it opens after a kill");
    while store.engine().compact_if_due().expect("compact") {}
    for key in [b"replaced", b"lasting.", b"another.", b"later 1.", b"later 2."] {
        let found = store.engine().value_len(key).expect("read");
        assert_eq!(found, Some(VALUE.len()), "{key:?}");
    }
}
