//! Which segment a location means, what is known of a segment's bytes, and which files are open:
//! places that are dealt out, kept and given back, figures that add up, files that make room.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;

use std::sync::Arc;

use common::sim_disk::SimDisk;
use kv::epoch;
use kv::error::{Kind, Result};
use kv::format::checkpoint::KnownSegment;
use kv::format::encode::Prepared;
use kv::format::record::{Class, RecordKind};
use kv::format::segment::{SegmentHeader, SegmentKind, HEADER_PAGE};
use kv::format::{name, Expiring};
use kv::index::Location;
use kv::options::ReadMode;
use kv::segment::open::Opener;
use kv::segment::table::{SegmentTable, MAX_PAGES, PAGE_UNITS};
use kv::segment::{Segment, Source};
use kv::storage::Storage;

/// Bytes that a page stands for.
const PAGE: u64 = 8 * PAGE_UNITS;
const SALT: u32 = 0x5a17;
/// Where the first record begins.
const START: u64 = HEADER_PAGE as u64;

fn header(id: u64) -> SegmentHeader {
    SegmentHeader { id, salt: SALT, kind: SegmentKind::Log, base_sequence: 1, horizon: 0 }
}

fn make(id: u64, base: u64) -> Segment {
    let disk = SimDisk::new(1);
    let opener = Opener::new(disk.storage(), ReadMode::Mmap, 4);
    Segment::new(header(id), &disk, Source::Sealed(opener.sealed(id, 8192)), base)
}

fn try_add(table: &SegmentTable, id: u64, pages: u64) -> Result<Arc<Segment>> {
    // The last page is taken in part.
    table.add(id, pages * PAGE - 8, |base| make(id, base))
}

/// Adds a segment of so many pages; answers which is its first.
fn add(table: &SegmentTable, id: u64, pages: u64) -> u64 {
    let added = try_add(table, id, pages).unwrap();
    assert_eq!((added.header.id, added.base() % PAGE_UNITS), (id, 0));
    added.base() / PAGE_UNITS
}

fn known(id: u64, first_page: u32, pages: u32) -> KnownSegment {
    let (dead, tombstones, dead_expiring, expiring) = (0, 0, 0, Expiring::default());
    KnownSegment { id, first_page, pages, dead, tombstones, dead_expiring, expiring }
}

/// The segment that each page means, if any does.
fn pages<const N: usize>(table: &SegmentTable) -> [u64; N] {
    let guard = epoch::pin().unwrap();
    std::array::from_fn(|page| {
        let location = Location(page as u64 * PAGE_UNITS + 77);
        let found = table.pinned(&guard).of(location);
        found.map_or(0, |segment| segment.header.id)
    })
}

#[test]
fn a_segment_lies_in_the_first_place_that_is_large_enough() {
    let table = SegmentTable::new().expect("there is memory");
    assert_eq!([add(&table, 1, 2), add(&table, 2, 1), add(&table, 3, 3)], [0, 2, 3]);
    assert_eq!(pages(&table), [1, 1, 2, 3, 3, 3, 0]);
    table.discard(&table.find(2).unwrap());
    assert!(table.find(2).is_none());
    assert_eq!(pages(&table), [1, 1, 0, 3, 3, 3, 0]);
    assert_eq!(add(&table, 4, 2), 6, "it is too long for the place of one page");
    assert_eq!(add(&table, 5, 1), 2, "it fits exactly");
    table.remove(&[table.find(1).unwrap(), table.find(3).unwrap()]);
    assert_eq!(pages(&table), [0, 0, 5, 0, 0, 0, 4, 4, 0]);
    assert_eq!([add(&table, 6, 1), add(&table, 7, 2), add(&table, 8, 2)], [0, 3, 8]);
    assert_eq!(pages(&table), [6, 0, 5, 7, 7, 0, 4, 4, 8, 8, 0]);
    let ids: Vec<u64> =
        table.all().expect("there is memory").iter().map(|segment| segment.header.id).collect();
    assert_eq!(ids, [6, 5, 7, 4, 8]);
}

#[test]
fn places_are_kept_for_segments_to_come_until_they_are_given_up() {
    let table = SegmentTable::new().expect("there is memory");
    table.keep([known(10, 0, 2), known(11, 5, 1), known(12, 8, 1)].iter());
    assert_eq!([add(&table, 20, 2), add(&table, 21, 1), add(&table, 22, 3)], [2, 4, 9]);
    assert_eq!(add(&table, 10, 1), 0, "its place was kept");
    assert_eq!(add(&table, 11, 2), 6, "its place has become too small");
    table.keep_no_more();
    assert_eq!([add(&table, 12, 1), add(&table, 23, 1), add(&table, 24, 1)], [1, 5, 8]);
    assert_eq!(pages(&table), [10, 12, 20, 20, 21, 23, 11, 11, 24, 22, 22, 22, 0]);
    let places = table.places().expect("there is memory");
    let places: Vec<_> = places.iter().map(|it| (it.id, it.first_page, it.pages)).collect();
    assert_eq!(places[..3], [(10, 0, 1), (12, 1, 1), (20, 2, 2)]);
}

#[test]
fn there_is_a_last_page_and_nothing_behind_it() {
    let table = SegmentTable::new().expect("there is memory");
    table.keep([known(10, 0, MAX_PAGES as u32 - 1)].iter());
    let refused = |pages| try_add(&table, 20, pages).err().map(|error| error.kind());
    assert_eq!(refused(2), Some(Kind::NoSpace));
    assert_eq!(add(&table, 20, 1), MAX_PAGES as u64 - 1);
    assert_eq!(refused(1), Some(Kind::NoSpace));
    assert!(table.pinned(&epoch::pin().unwrap()).of(Location(u64::MAX >> 24)).is_ok());
}

#[test]
fn a_segment_that_is_gone_does_not_take_the_place_of_its_successor() {
    let table = SegmentTable::new().expect("there is memory");
    add(&table, 1, 1);
    let old = table.find(1).unwrap();
    let another_form = Arc::new(make(1, 0));
    table.replace(&another_form);
    assert!(Arc::ptr_eq(&table.find(1).unwrap(), &another_form));
    assert!(!Arc::ptr_eq(&old, &another_form));
    table.discard(&old);
    add(&table, 2, 1);
    table.replace(&old);
    assert_eq!(pages(&table), [2, 0]);
    table.remove(&[old]);
    assert_eq!(pages(&table), [2, 0]);
    assert!(table.find(2).is_some());
}

#[test]
fn what_is_known_of_a_segment_comes_back() {
    let segment = make(1, 0);
    let figures = |segment: &Segment| {
        (segment.dead(), segment.tombstones(), segment.dead_expiring(), segment.expiring())
    };
    segment.add_dead(100, Class::Put);
    segment.add_dead(20, Class::Tombstone);
    segment.add_dead(3000, Class::ExpiringPut);
    segment.add_dead(7, Class::Gap);
    assert_eq!(figures(&segment), (3127, 20, 3000, Expiring::default()));
    let expiring = Expiring { bytes: 500, first: 3, last: 9 };
    let known =
        KnownSegment { dead: 10, tombstones: 5, dead_expiring: 4, expiring, ..known(1, 0, 1) };
    segment.set_usage(&known);
    assert_eq!(figures(&segment), (10, 5, 4, expiring));
    // A checkpoint is older than the segment: what expires can only be more.
    let older = Expiring { bytes: 400, first: 4, last: 5 };
    segment.set_usage(&KnownSegment { dead: 11, expiring: older, ..known });
    assert_eq!(figures(&segment), (11, 5, 4, expiring));
    let newer = Expiring { bytes: 600, first: 2, last: 11 };
    segment.set_usage(&KnownSegment { expiring: newer, ..known });
    assert_eq!(segment.expiring(), newer);
    // All that is not dead has expired.
    assert_eq!((segment.expired(1), segment.expired(11)), (0, 596));
    assert_eq!(segment.disk_bytes(), 8192, "nothing is allocated ahead");
    assert!(!segment.is_moving());
    for is_moving in [true, false] {
        segment.set_moving(is_moving);
        assert_eq!(segment.is_moving(), is_moving);
    }
}

/// A segment of one record, in a file that is opened when it is read.
fn sealed(disk: &SimDisk, opener: &Arc<Opener>, id: u64) -> Arc<Segment> {
    let mut bytes = header(id).encode(&[3; 16]);
    let record = Prepared::new(RecordKind::Put, b"key", b"value");
    bytes.extend(record.place(SALT, START, 0));
    bytes.extend(record.head);
    bytes.extend(b"keyvalue");
    disk.create(&name::segment(id)).unwrap().write_at(&bytes, 0).unwrap();
    let source = Source::Sealed(opener.sealed(id, bytes.len() as u64));
    Arc::new(Segment::new(header(id), disk, source, 0))
}

/// Whether the record of a segment could be read without opening its file.
fn was_open(disk: &SimDisk, segment: &Segment, mode: ReadMode) -> bool {
    let (guard, mut scratch) = (epoch::pin().unwrap(), Vec::new());
    let before = disk.operations();
    let record = segment.record(&guard, START, &mut scratch).unwrap();
    segment.verify(&record, START).unwrap();
    disk.operations() - before == u64::from(mode == ReadMode::Pread)
}

#[test]
fn the_file_that_was_not_read_for_longest_is_closed_when_there_are_too_many() {
    for mode in [ReadMode::Mmap, ReadMode::Pread] {
        let disk = SimDisk::new(1);
        let opener = Opener::new(disk.storage(), mode, 3);
        let mut segments: Vec<_> = (1..5).map(|id| sealed(&disk, &opener, id)).collect();
        assert_eq!(opener.open_files(), 0);
        for (at, segment) in segments.iter().enumerate() {
            assert!(!was_open(&disk, segment, mode) && was_open(&disk, segment, mode));
            assert_eq!(opener.open_files(), (at + 1).min(3));
        }
        // The first had to go for the last. The third is read, the second is not.
        assert!(was_open(&disk, &segments[2], mode) && !was_open(&disk, &segments[0], mode));
        for at in [0, 2, 3] {
            assert!(was_open(&disk, &segments[at], mode), "segment {at} was read since");
        }
        assert!(!was_open(&disk, &segments[1], mode), "this one has not");
        assert_eq!(opener.open_files(), 3);
        let guard = epoch::pin().unwrap();
        let is_mapped = segments[1].map(&guard).unwrap().is_some();
        assert_eq!(is_mapped, mode == ReadMode::Mmap);
        // Those that are gone need no room.
        segments.truncate(2);
        assert_eq!(opener.open_files(), 2);
    }
}

#[test]
fn a_segment_that_is_kept_open_outlives_its_name_and_its_place_among_the_open() {
    for is_kept in [true, false] {
        let disk = SimDisk::new(1);
        let opener = Opener::new(disk.storage(), ReadMode::Mmap, 1);
        let segments = [sealed(&disk, &opener, 1), sealed(&disk, &opener, 2)];
        let guard = epoch::pin().unwrap();
        if is_kept {
            segments[0].keep_open(&guard).unwrap();
        }
        disk.remove(&name::segment(1)).unwrap();
        assert!(!was_open(&disk, &segments[1], ReadMode::Mmap));
        match segments[0].hold(&guard) {
            Ok(hold) => {
                let mut scratch = Vec::new();
                let record = hold.record(START, &mut scratch).unwrap();
                assert!(is_kept && record.key() == b"key");
            }
            Err(error) => assert_eq!((is_kept, error.kind()), (false, Kind::Corrupt)),
        }
    }
}
