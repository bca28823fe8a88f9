//! The segment that is being written, by itself: what it allocates and gives back, when it asks for
//! more, what it leaves on the medium. Its numbers are those of one file on a simulated disk.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;

use std::sync::Arc;

use common::sim_disk::fault::{Fault, Operation, EIO};
use common::sim_disk::SimDisk;
use common::{Random, TempDir};
use kv::epoch;
use kv::error::Kind;
use kv::format::encode::Prepared;
use kv::format::name;
use kv::format::record::{Class, RecordKind, SEAL_LEN};
use kv::format::segment::{SegmentHeader, SegmentKind, SyncMark, HEADER_PAGE};
use kv::options::ReadMode;
use kv::segment::active::{create_file, ActiveSegment};
use kv::segment::full::write_mark;
use kv::segment::open::Opener;
use kv::segment::scan::{Item, Scan};
use kv::segment::table::SegmentTable;
use kv::storage::posix::PosixStorage;
use kv::storage::{File, Storage};

const UUID: [u8; 16] = [3; 16];
const SALT: u32 = 0x5a17;
/// What a new segment has blocks for.
const FIRST: u64 = 64 << 10;
const BLOCK: u64 = 4096;
const KEY: &[u8] = b"some key";
/// What a record with that key has besides its value.
const LEAST: usize = 24;

struct Bench {
    disk: SimDisk,
    table: SegmentTable,
    file: Arc<dyn File>,
    active: ActiveSegment,
}

fn header(id: u64, kind: SegmentKind) -> SegmentHeader {
    SegmentHeader { id, salt: SALT, kind, base_sequence: 1, horizon: 0 }
}

fn begin_on(
    storage: &dyn Storage,
    table: &SegmentTable,
    header: SegmentHeader,
    capacity: u64,
) -> (Arc<dyn File>, ActiveSegment) {
    let file = create_file(storage, &header, &UUID).unwrap();
    let begun = ActiveSegment::begin(storage, table, Arc::clone(&file), header, capacity);
    (file, begun.unwrap())
}

fn begin(capacity: u64) -> Bench {
    let (disk, table) = (SimDisk::new(1), SegmentTable::new().expect("there is memory"));
    let (file, active) = begin_on(&disk, &table, header(1, SegmentKind::Log), capacity);
    Bench { disk, table, file, active }
}

/// Appends a record of `len` bytes, for which there is room.
fn append(active: &mut ActiveSegment, len: usize) {
    let value = vec![7; len - LEAST];
    let record = Prepared::new(RecordKind::Put, KEY, &value);
    assert_eq!(record.len, len);
    active.append(&record, KEY, &value, 1 + active.records());
}

impl Bench {
    /// Bytes of records that can be appended before anything must be allocated.
    fn room(&self) -> usize {
        (self.file.len().unwrap() - self.active.len()) as usize - SEAL_LEN
    }

    /// Allocates what is to come next, as another thread does.
    fn allocate_ahead(&mut self) {
        while let Some(step) = self.active.next_step(u64::MAX) {
            let step = step.allocate().unwrap().unwrap();
            assert!(self.active.grow(&step));
        }
    }
}

#[test]
fn there_is_room_to_the_last_allocated_byte_and_none_behind_it() {
    let mut bench = begin(1 << 20);
    let room = bench.room();
    assert_eq!(room as u64, FIRST - HEADER_PAGE as u64 - SEAL_LEN as u64);
    assert!(bench.active.has_room(room) && !bench.active.has_room(room + 8));
    assert_eq!((bench.active.missing(room), bench.active.missing(room + 8)), (0, 8));
    let before = bench.disk.operations();
    assert!(bench.active.make_room(room, u64::MAX).unwrap());
    assert_eq!(bench.disk.operations(), before, "blocks were allocated for nothing");
    // No more than is missing if no more is allowed, else a step.
    assert!(bench.active.make_room(room + 8, 0).unwrap());
    assert_eq!(bench.file.len().unwrap(), FIRST + 8);
    assert!(bench.active.has_room(room + 8) && !bench.active.has_room(room + 16));
    assert!(bench.active.make_room(room + 16, u64::MAX).unwrap());
    assert!(bench.file.len().unwrap() > FIRST + BLOCK);
    // What does not fit into the segment at all leaves room for the seal.
    assert!(!bench.active.make_room(1 << 20, u64::MAX).unwrap());
    assert_eq!(bench.active.missing(1 << 20), 0);
    append(&mut bench.active, room + 16);
    assert_eq!(bench.active.seal(2).len, FIRST + 16);
}

#[test]
fn the_thread_that_allocates_ahead_is_called_once_about_half_way() {
    let mut bench = begin(4 << 20);
    assert!(bench.active.comes_near_limit(), "a new segment has blocks to come");
    bench.allocate_ahead();
    let ahead = bench.room();
    assert!(ahead as u64 > FIRST);
    let mut used = 0;
    while !bench.active.comes_near_limit() {
        append(&mut bench.active, 1000);
        used += 1000;
        assert!(bench.active.has_room(0), "it was not called");
    }
    assert!((ahead / 4..ahead * 3 / 4).contains(&used), "called after {used} of {ahead} bytes");
    append(&mut bench.active, 1000);
    assert!(!bench.active.comes_near_limit(), "it was called twice");
    assert!(bench.active.next_step(u64::MAX).is_some());
}

#[test]
fn a_segment_with_all_its_blocks_asks_for_a_successor_once_and_for_no_blocks() {
    let capacity = 256 << 10;
    let mut bench = begin(capacity);
    bench.allocate_ahead();
    while bench.file.len().unwrap() < capacity {
        append(&mut bench.active, 1000);
        bench.allocate_ahead();
    }
    assert!(bench.active.wants_successor() && bench.active.next_step(u64::MAX).is_none());
    while bench.active.has_room(1000) {
        assert!(!bench.active.comes_near_limit(), "there is nothing to allocate");
        append(&mut bench.active, 1000);
    }
}

#[test]
fn a_successor_is_wanted_while_most_of_the_segment_is_free_but_not_at_once() {
    let capacity = 1 << 20;
    let mut bench = begin(capacity);
    while !bench.active.wants_successor() {
        assert!(bench.active.len() < capacity / 4, "nobody asks for a successor");
        if bench.active.comes_near_limit() {
            bench.allocate_ahead();
        }
        append(&mut bench.active, 1000);
    }
    assert!(bench.active.len() > capacity / 16, "at once");
    assert!(bench.active.comes_near_limit(), "nobody is told");
}

#[test]
fn the_first_blocks_of_a_large_segment_are_prepared_as_far_as_is_allowed() {
    let directory = TempDir::in_memory("prepared");
    let storage = PosixStorage::open(&directory.join("db"), true).unwrap();
    let table = SegmentTable::new().expect("there is memory");
    for (id, capacity, allowed, prepared) in [
        (1, 16 << 20, u64::MAX, 256 << 10),
        (2, 16 << 20, 100 << 10, 100 << 10),
        (3, 1 << 20, 0, 0),
    ] {
        let header = header(id, SegmentKind::Log);
        let (file, mut active) = begin_on(&storage, &table, header, capacity);
        let step = active.prepare_first_step(allowed).unwrap().unwrap();
        step.populate();
        let len = prepared.max(FIRST);
        assert_eq!((file.len().unwrap(), active.segment().disk_bytes()), (len, len));
        assert!(active.has_room(len as usize - HEADER_PAGE - SEAL_LEN));
    }
}

#[test]
fn what_is_given_back_is_allocated_again_and_steps_from_before_are_void() {
    let mut bench = begin(2 << 20);
    append(&mut bench.active, 30_000);
    let late = bench.active.next_step(u64::MAX).unwrap();
    assert!(bench.active.make_room(bench.room() + 8, u64::MAX).unwrap());
    let grown = bench.file.len().unwrap();
    assert_eq!(bench.active.segment().disk_bytes(), grown);
    // Another thread has allocated a step, and has not said so yet.
    let finished = late.allocate().unwrap().unwrap();
    bench.active.trim().unwrap();
    let kept = bench.file.len().unwrap();
    assert!(kept < grown && kept >= bench.active.len() + FIRST, "{kept} of {grown} are left");
    assert_eq!((kept % BLOCK, bench.active.segment().disk_bytes()), (0, kept));
    assert!(!bench.active.grow(&finished), "it has lost these blocks");
    assert!(!bench.active.has_room(bench.room() + 8));
    assert!(bench.active.comes_near_limit(), "more can be allocated again");
    let before = bench.disk.operations();
    bench.active.trim().unwrap();
    assert_eq!(bench.disk.operations(), before, "there is nothing to give back");
    let more = bench.room() + 8;
    assert!(bench.active.make_room(more, u64::MAX).unwrap() && bench.active.has_room(more));
}

#[test]
fn a_step_is_void_if_it_was_planned_before_blocks_were_given_back() {
    let mut bench = begin(2 << 20);
    let late = bench.active.next_step(u64::MAX).unwrap();
    bench.allocate_ahead();
    bench.active.trim().unwrap();
    let kept = bench.file.len().unwrap();
    assert!(late.allocate().unwrap().is_none());
    assert_eq!(bench.file.len().unwrap(), kept);
}

#[test]
fn blocks_of_another_segment_are_not_believed() {
    let mut bench = begin(1 << 20);
    let second = header(2, SegmentKind::Log);
    let (_, mut other) = begin_on(&bench.disk, &bench.table, second, 1 << 20);
    let step = other.next_step(u64::MAX).unwrap().allocate().unwrap().unwrap();
    assert!(!bench.active.grow(&step) && !bench.active.has_room(bench.room() + 8));
    assert!(other.grow(&step));
}

#[test]
fn a_step_that_the_disk_has_no_room_for_is_as_long_as_the_record() {
    let mut bench = begin(1 << 20);
    bench.disk.set_capacity(FIRST + 2 * BLOCK);
    let len = bench.room() + BLOCK as usize + 8;
    assert!(bench.active.make_room(len, u64::MAX).unwrap(), "there was room for the record");
    assert_eq!(bench.file.len().unwrap(), FIRST + 2 * BLOCK);
    let refused = bench.active.make_room(len + 2 * BLOCK as usize, u64::MAX);
    assert_eq!(refused.unwrap_err().kind(), Kind::NoSpace);
    append(&mut bench.active, len);
    // Another failure is one, and not a reason to try again.
    bench.disk.set_capacity(1 << 30);
    let fault = Fault { of: Some(Operation::Allocate), after: 0, lasting: false, errno: EIO };
    bench.disk.set_fault(Some(fault));
    let failed = bench.active.make_room(100_000, u64::MAX);
    assert_eq!(failed.unwrap_err().kind(), Kind::Io);
    assert!(bench.active.make_room(100_000, u64::MAX).unwrap());
}

#[test]
fn a_value_that_fills_its_hole_to_the_last_allocated_byte_becomes_a_record() {
    let mut bench = begin(1 << 20);
    let len = bench.room() + 8;
    assert!(bench.active.make_room(len, 0).unwrap() && !bench.active.has_room(len + 8));
    // Somebody else has been here: what is not the value must become zeros.
    let mut hole = bench.active.open_hole(LEAST, len - LEAST, len);
    hole.fill(&vec![0xff; len - LEAST]);
    bench.active.close_hole();
    let value = vec![9; len - LEAST - 3];
    let record = Prepared::new(RecordKind::Put, KEY, &value);
    assert_eq!(record.len, len);
    let mut hole = bench.active.open_hole(record.lead_len(KEY.len()), value.len(), len);
    hole.fill(&value);
    let offset = bench.active.fill_hole(&record, KEY, value.len(), 1);
    assert_eq!((offset, bench.active.records()), (HEADER_PAGE as u64, 1));
    let full = bench.active.seal(2);
    let mut scan = Scan::new(Arc::clone(&full.file), full.segment.header, full.len);
    let Item::Record(found) = scan.next_item().unwrap() else { panic!("it is no record") };
    assert!(found.record.key() == KEY && found.record.value() == value);
    assert!(matches!(scan.next_item().unwrap(), Item::Seal(seal) if seal.records == 1));
}

/// A power cut takes nothing of a segment that was synced, whoever writes it.
#[test]
fn a_segment_that_was_synced_is_on_the_medium_and_its_mark_says_how_far() {
    for kind in [SegmentKind::Log, SegmentKind::Compacted] {
        let (disk, table) = (SimDisk::new(1), SegmentTable::new().expect("there is memory"));
        let (_, mut active) = begin_on(&disk, &table, header(1, kind), 1 << 20);
        disk.sync_directory().unwrap();
        (0..20).for_each(|_| append(&mut active, 1000));
        let mut full = active.seal(21);
        full.settle(&Opener::new(disk.storage(), ReadMode::Mmap, 4)).unwrap();
        assert_eq!(full.segment.disk_bytes(), full.len);
        full.sync().unwrap();
        disk.watch(Box::new(|_, _| {}));
        for seed in 0..20 {
            let cut = disk.look(|state| state.cut(&mut Random(seed)));
            let file = cut.open(&name::segment(1), false).unwrap();
            assert_eq!(file.len().unwrap(), full.len, "{kind:?}, seed {seed}");
            let mut scan = Scan::new(file, full.segment.header, full.len);
            for _ in 0..20 {
                assert!(matches!(scan.next_item().unwrap(), Item::Record(_)), "{kind:?}");
            }
            assert!(matches!(scan.next_item().unwrap(), Item::Seal(_)), "{kind:?}");
        }
        let (mut page, marked) = ([0; HEADER_PAGE], |page: &[u8]| SyncMark::decode(page, SALT));
        for (turn, offset) in [(1, 5000), (2, full.len)] {
            write_mark(&*full.file, SALT, offset, turn).unwrap();
            full.file.read_at(&mut page, 0).unwrap();
            assert_eq!(marked(&page).offset, offset);
        }
        assert_eq!(SegmentHeader::decode(&page, &UUID), Ok(full.segment.header));
    }
}

#[test]
fn a_gap_is_dead_and_its_hole_stays_with_the_one_who_fills_it() {
    let mut bench = begin(1 << 20);
    let mut hole = bench.active.open_hole(LEAST, 1000, 1024);
    bench.active.pass_hole(&Prepared::gap(1024 - 16), 1);
    append(&mut bench.active, 1000);
    hole.fill(&[0xff; 1000]);
    assert_eq!(bench.active.segment().dead(), 1024);
    let guard = epoch::pin().unwrap();
    let (segment, mut scratch) = (Arc::clone(bench.active.segment()), Vec::new());
    let record = segment.record(&guard, HEADER_PAGE as u64, &mut scratch).unwrap();
    assert_eq!(record.header.class(), Class::Gap);
    let (next, mut scratch) = (HEADER_PAGE as u64 + 1024, Vec::new());
    let record = segment.record(&guard, next, &mut scratch).unwrap();
    segment.verify(&record, next).unwrap();
    assert_eq!((record.key(), segment.sequence(&record)), (KEY, 2));
}
