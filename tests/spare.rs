//! The spare segment: going on in it costs the one who writes no operation of the disk, a record
//! that is too long for it gets it enlarged, and nothing is left of it in a closed database.

mod common;

use std::sync::Arc;

use common::sim_disk::fault::{Fault, Operation, ENOMEM, ENOSPC};
use common::sim_disk::SimDisk;
use common::store::Store;
use kv::error::Kind;
use kv::format::name;
use kv::format::segment::{SegmentHeader, SegmentKind};
use kv::options::{Options, ReadMode, SyncLevel};
use kv::segment::active::{create_file, ActiveSegment};
use kv::segment::open::Opener;
use kv::segment::table::SegmentTable;
use kv::storage::Storage;

const SEGMENT_SIZE: u64 = 128 << 10;
/// A record that fills a quarter of a segment, nearly.
const QUARTER: usize = 30_000;

fn options() -> Options {
    Options { segment_size: SEGMENT_SIZE, sync: SyncLevel::None, ..Options::default() }
}

fn open(disk: &SimDisk) -> Store {
    Store::open(disk, &options(), false).expect("the database opens")
}

/// Puts values of `len` bytes under the keys of `numbers`.
fn put(store: &Store, numbers: std::ops::Range<u8>, len: usize) {
    for number in numbers {
        store.engine().put(&[number], &vec![number; len]).expect("put");
    }
}

fn check(store: &Store, numbers: std::ops::Range<u8>, len: usize) {
    for number in numbers {
        let found = store.engine().get(&[number], <[u8]>::to_vec).expect("get");
        assert_eq!(found, Some(vec![number; len]), "key {number}");
    }
}

#[test]
fn going_on_in_a_spare_segment_costs_no_operation() {
    let disk = SimDisk::new(1);
    let store = open(&disk);
    put(&store, 0..4, QUARTER);
    store.engine().prepare_spare(true).expect("a spare segment");
    let before = disk.operations();
    put(&store, 4..5, QUARTER);
    assert_eq!(disk.operations(), before, "{}", disk.listing());
    check(&store, 0..5, QUARTER);
    // Without one it costs several.
    put(&store, 5..9, QUARTER);
    assert!(disk.operations() > before + 5);
    store.close().expect("close");
    check(&open(&disk), 0..9, QUARTER);
}

#[test]
fn a_long_record_fits_into_a_spare_segment_that_is_enlarged() {
    let disk = SimDisk::new(2);
    let store = open(&disk);
    put(&store, 0..3, QUARTER);
    store.engine().prepare_spare(false).expect("a spare segment");
    let names = disk.listing();
    // The first time there is no memory for the larger map.
    let fault = Fault { of: Some(Operation::MapAppend), after: 0, lasting: false, errno: ENOMEM };
    disk.set_fault(Some(fault));
    let refused = store.engine().put(b"long", &[7; 400_000]).map_err(|error| error.kind());
    assert_eq!(refused, Err(Kind::OutOfMemory));
    store.engine().put(b"long", &[7; 400_000]).expect("it fits");
    put(&store, 3..6, QUARTER);
    assert!(disk.listing().contains("00000003.seg") && !names.contains("00000003.seg"));
    store.engine().sync().expect("sync");
    drop(store);
    let store = open(&disk);
    assert_eq!(store.engine().value_len(b"long").expect("read"), Some(400_000));
    check(&store, 0..6, QUARTER);
}

#[test]
fn a_closed_database_has_no_spare_segment() {
    let disk = SimDisk::new(3);
    let store = open(&disk);
    put(&store, 0..2, QUARTER);
    store.engine().prepare_spare(false).expect("a spare segment");
    assert!(disk.listing().contains("00000002.seg"), "{}", disk.listing());
    store.close().expect("close");
    assert!(!disk.listing().contains("00000002.seg"), "{}", disk.listing());
    check(&open(&disk), 0..2, QUARTER);
}

#[test]
fn a_disk_too_full_for_a_spare_segment_is_no_failure() {
    let disk = SimDisk::new(4);
    let store = open(&disk);
    put(&store, 0..1, QUARTER);
    disk.set_fault(Some(Fault { of: None, after: 0, lasting: true, errno: ENOSPC }));
    let kind = store.engine().prepare_spare(false).map_err(|error| error.kind());
    assert_eq!(kind, Err(Kind::NoSpace));
    disk.set_fault(None);
    put(&store, 1..9, QUARTER);
    store.close().expect("close");
    check(&open(&disk), 0..9, QUARTER);
}

#[test]
fn a_segment_that_was_cut_does_not_grow_again() {
    let disk = SimDisk::new(5);
    let storage: Arc<dyn Storage> = disk.storage();
    let table = SegmentTable::new().expect("there is memory");
    let kind = SegmentKind::Log;
    let header = SegmentHeader { id: 1, salt: 7, kind, base_sequence: 1, horizon: 0 };
    let file = create_file(&*storage, &header, &[0; 16]).expect("a file");
    let begun = ActiveSegment::begin(&*storage, &table, Arc::clone(&file), header, 1 << 20);
    let mut active = begun.expect("a segment");
    let late = active.next_step(u64::MAX).expect("a new segment has blocks to come");
    // It is full and cut while another thread is about to allocate.
    let mut full = active.seal(1);
    full.settle(&Opener::new(storage, ReadMode::Mmap, 4)).expect("it is cut");
    assert!(late.allocate().expect("nothing fails").is_none());
    assert_eq!(file.len().expect("its length"), full.len, "{}", name::segment(1));
}
