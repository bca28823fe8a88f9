//! Segments as they are read: by walks in both ways that there are, one record at a time, with
//! damage in them. They are made byte by byte.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;

use std::sync::Arc;

use common::sim_disk::SimDisk;
use kv::epoch;
use kv::format::encode::{encode_moved, Moved, Prepared};
use kv::format::name;
use kv::format::record::{Class, Record, RecordKind, Seal, HEADER_LEN};
use kv::format::segment::{SegmentHeader, SegmentKind, HEADER_PAGE};
use kv::format::MAX_NUMBER;
use kv::segment::scan::{Item, Scan};
use kv::segment::walk::{Ending, Step, Walk};
use kv::segment::{Body, Segment, Source};
use kv::storage::Storage;

const SALT: u32 = 0x5a17;
const START: u64 = HEADER_PAGE as u64;

fn header(id: u64) -> SegmentHeader {
    SegmentHeader { id, salt: SALT, kind: SegmentKind::Log, base_sequence: 1, horizon: 0 }
}

/// A segment's bytes.
struct Bytes {
    header: SegmentHeader,
    bytes: Vec<u8>,
    records: u64,
}

impl Bytes {
    fn new(header: SegmentHeader) -> Bytes {
        Bytes { header, bytes: header.encode(&[3; 16]), records: 0 }
    }

    fn add(&mut self, record: &Prepared, parts: &[&[u8]]) {
        let start = self.bytes.len();
        self.bytes.extend(record.place(SALT, start as u64, self.records as u32));
        self.bytes.extend(record.head);
        parts.iter().for_each(|part| self.bytes.extend(*part));
        self.bytes.resize(start + record.len, 0);
        self.records += 1;
    }

    fn put(&mut self, len: usize) -> &mut Bytes {
        let value = vec![self.records as u8; len];
        self.add(&Prepared::new(RecordKind::Put, b"key", &value), &[b"key", &value]);
        self
    }

    /// The shortest record there is.
    fn gap(&mut self) -> &mut Bytes {
        self.add(&Prepared::gap(0), &[]);
        self
    }

    fn seal(&mut self, seal: Seal) -> &mut Bytes {
        let at = self.bytes.len() as u64;
        self.bytes.extend(seal.encode(SALT, at));
        self
    }

    fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// The segment's file, on a disk of its own.
    fn disk(&self) -> SimDisk {
        let disk = SimDisk::new(1);
        let file = disk.create(&name::segment(self.header.id)).unwrap();
        file.write_at(&self.bytes, 0).unwrap();
        disk
    }

    fn scan(&self) -> Scan {
        let file = self.disk().open(&name::segment(self.header.id), false).unwrap();
        Scan::new(file, self.header, self.len())
    }

    /// The segment, read through a map and through its file, and the disk that it is on.
    fn in_both_ways(&self) -> [(SimDisk, Arc<Segment>); 2] {
        [true, false].map(|is_mapped| {
            let disk = self.disk();
            let file = disk.open(&name::segment(self.header.id), false).unwrap();
            let body = match is_mapped {
                true => Body::Mapped(file.map(self.len()).unwrap()),
                false => Body::File(file, self.len()),
            };
            let segment = Segment::new(self.header, &disk, Source::Active(body), 0);
            (disk, Arc::new(segment))
        })
    }

    /// Walks through it in both ways.
    fn walks(&self, ending: Ending) -> [Walk; 2] {
        let guard = epoch::pin().unwrap();
        let hold = |segment: &Arc<Segment>| segment.hold(&guard).unwrap();
        self.in_both_ways().map(|(_, segment)| Walk::new(hold(&segment), self.len(), ending, true))
    }
}

fn is_record(item: &Item) -> bool {
    matches!(item, Item::Record(_))
}

/// What a step meets, in a word, and where.
fn met(step: &Step) -> (&'static str, u64) {
    match step {
        Step::Record(_, offset) => ("record", *offset),
        Step::End => ("end", 0),
        Step::Outside => ("outside", 0),
        Step::Damage(_) => ("damage", 0),
    }
}

#[test]
fn the_shortest_record_at_the_very_end_is_met_by_all_who_read() {
    let mut bytes = Bytes::new(header(1));
    bytes.put(5).gap();
    let last = bytes.len() - HEADER_LEN as u64;
    let mut scan = bytes.scan();
    assert!(is_record(&scan.next_item().unwrap()) && is_record(&scan.next_item().unwrap()));
    assert!(matches!(scan.next_item().unwrap(), Item::End));
    assert_eq!((scan.whole().records, scan.whole().offset), (2, bytes.len()));
    for mut walk in bytes.walks(Ending::There) {
        assert_eq!(met(&walk.step(true).unwrap()), ("record", START));
        assert_eq!(met(&walk.step(true).unwrap()), ("record", last));
        assert_eq!((met(&walk.step(true).unwrap()), walk.offset()), (("end", 0), bytes.len()));
    }
    let guard = epoch::pin().unwrap();
    for (_, segment) in bytes.in_both_ways() {
        let mut scratch = Vec::new();
        let record = segment.record(&guard, last, &mut scratch).unwrap();
        assert_eq!(record.header.class(), Class::Gap);
    }
}

#[test]
fn a_record_is_the_same_through_a_map_and_through_its_file() {
    let mut bytes = Bytes::new(header(1));
    bytes.put(1).put(1005).put(1006).put(3000).gap().put(0).put(70_000);
    let guard = epoch::pin().unwrap();
    let [(_, mapped), (_, read)] = bytes.in_both_ways();
    let mut records = 0;
    // Nobody looks where no record begins; and yet nothing is made of what is there.
    for offset in (0..bytes.len() + 32).step_by(8) {
        let (mut one, mut other) = (Vec::new(), Vec::new());
        let one = mapped.record(&guard, offset, &mut one);
        let other = read.record(&guard, offset, &mut other);
        match (one, other) {
            (Ok(one), Ok(other)) => {
                assert!(one.bytes() == other.bytes(), "at {offset}");
                records += u32::from(mapped.verify(&one, offset).is_ok());
            }
            (one, other) => assert_eq!(one.err().unwrap().place(), other.err().unwrap().place()),
        }
    }
    assert_eq!(records, 7);
}

#[test]
fn a_seal_counts_the_records_and_knows_the_next_sequence() {
    let right = Seal { records: 2, next_sequence: 3 };
    for (seal, is_right) in [
        (right, true),
        (Seal { records: 3, ..right }, false),
        (Seal { records: 1, ..right }, false),
        (Seal { next_sequence: 4, ..right }, false),
        (Seal { next_sequence: 2, ..right }, false),
    ] {
        let mut bytes = Bytes::new(header(1));
        bytes.put(5).put(6).seal(seal);
        let mut scan = bytes.scan();
        assert!(is_record(&scan.next_item().unwrap()) && is_record(&scan.next_item().unwrap()));
        match scan.next_item().unwrap() {
            Item::Seal(found) => assert!(is_right && found == seal, "{seal:?} is believed"),
            Item::Damage(_) => assert!(!is_right, "{seal:?} is right"),
            _ => panic!("there is a seal"),
        }
    }
}

#[test]
fn sequences_are_in_range_and_the_first_is_the_one_that_is_expected() {
    let base_sequence = MAX_NUMBER - 2;
    for (delta, is_whole) in
        [(0, true), (1, true), (2, false), (3, false), (u64::MAX, false), (1 << 62, false)]
    {
        let mut bytes = Bytes::new(SegmentHeader { base_sequence, ..header(1) });
        let mut source = Bytes::new(header(1));
        source.put(5);
        let source = Record::decode(&source.bytes[HEADER_PAGE..]).unwrap();
        encode_moved(&Moved::new(&source, delta), SALT, START, &mut bytes.bytes)
            .expect("there is memory");
        assert_eq!(is_record(&bytes.scan().next_item().unwrap()), is_whole, "{delta}");
    }
    let mut bytes = Bytes::new(header(1));
    bytes.put(5);
    for (expected, is_whole) in [(1, true), (0, false), (2, false)] {
        let mut scan = bytes.scan();
        scan.expect(expected);
        assert_eq!(is_record(&scan.next_item().unwrap()), is_whole, "{expected}");
    }
}

#[test]
fn zeros_are_the_end_and_anything_else_that_is_no_record_is_damage() {
    for rest in [0, 1, 8, 15, 16, 17, 4096] {
        let mut bytes = Bytes::new(header(1));
        bytes.put(5);
        let end = bytes.bytes.len();
        bytes.bytes.resize(end + rest, 0);
        for dirty in (0..=rest.min(HEADER_LEN)).map(|at| at.checked_sub(1)) {
            let mut bytes = Bytes { bytes: bytes.bytes.clone(), ..bytes };
            dirty.into_iter().for_each(|at| bytes.bytes[end + at] = 1);
            let mut scan = bytes.scan();
            assert!(is_record(&scan.next_item().unwrap()));
            let is_end = matches!(scan.next_item().unwrap(), Item::End);
            assert_eq!(is_end, dirty.is_none(), "byte {dirty:?} of {rest}");
            assert_eq!((scan.offset(), scan.whole().offset), (end as u64, end as u64));
            if rest < HEADER_LEN {
                continue;
            }
            for (ending, at_zeros) in
                [(Ending::Zeros, "end"), (Ending::There, "damage"), (Ending::Seal, "damage")]
            {
                for mut walk in bytes.walks(ending) {
                    assert_eq!(met(&walk.step(true).unwrap()).0, "record");
                    let found = met(&walk.step(true).unwrap()).0;
                    let expected = if dirty.is_none() { at_zeros } else { "damage" };
                    assert_eq!(found, expected, "byte {dirty:?} of {rest}, {ending:?}");
                }
            }
        }
    }
}

#[test]
fn a_walk_that_must_end_with_a_seal_is_not_content_without() {
    let mut bytes = Bytes::new(header(1));
    let ends = |bytes: &Bytes, ending| {
        bytes.walks(ending).map(|mut walk| loop {
            match met(&walk.step(true).unwrap()).0 {
                "record" => {}
                other => return other,
            }
        })
    };
    assert_eq!(ends(&bytes, Ending::There), ["end"; 2], "a segment without records");
    bytes.put(5).put(6);
    assert_eq!(ends(&bytes, Ending::Seal), ["damage"; 2]);
    assert_eq!(ends(&bytes, Ending::There), ["end"; 2]);
    bytes.seal(Seal { records: 2, next_sequence: 3 });
    assert_eq!(ends(&bytes, Ending::Seal), ["end"; 2]);
}

#[test]
fn a_walk_goes_on_behind_a_damaged_record_if_a_whole_one_follows() {
    let mut bytes = Bytes::new(header(1));
    bytes.put(5).put(4).put(3);
    let len = (bytes.len() - START) / 3;
    let damaged = |records: &[u64]| {
        let mut harmed = Bytes { bytes: bytes.bytes.clone(), ..bytes };
        for record in records {
            harmed.bytes[(START + record * len) as usize + HEADER_LEN] ^= 1;
        }
        harmed.walks(Ending::There)
    };
    for mut walk in damaged(&[1]) {
        assert_eq!(met(&walk.step(true).unwrap()), ("record", START));
        assert_eq!(met(&walk.step(true).unwrap()).0, "damage");
        assert_eq!(walk.offset(), START + len, "the walk is where it was");
        assert_eq!(met(&walk.step(true).unwrap()).0, "damage");
        assert!(walk.pass_damage().unwrap());
        assert_eq!(met(&walk.step(true).unwrap()), ("record", START + 2 * len));
        assert_eq!(met(&walk.step(true).unwrap()).0, "end");
    }
    for records in [&[0, 1][..], &[0, 1, 2]] {
        for mut walk in damaged(records) {
            assert_eq!(met(&walk.step(true).unwrap()).0, "damage");
            assert!(!walk.pass_damage().unwrap(), "nothing tells that a record begins there");
            assert_eq!((met(&walk.step(true).unwrap()).0, walk.offset()), ("end", bytes.len()));
        }
    }
    for mut walk in damaged(&[2]) {
        assert_eq!(met(&walk.step(true).unwrap()).0, "record");
        assert_eq!(met(&walk.step(true).unwrap()).0, "record");
        assert_eq!(met(&walk.step(true).unwrap()).0, "damage");
        assert!(!walk.pass_damage().unwrap());
    }
    for mut walk in bytes.walks(Ending::Seal) {
        assert_eq!(met(&walk.step(true).unwrap()).0, "record");
        walk.stop();
        assert_eq!((met(&walk.step(true).unwrap()).0, walk.offset()), ("end", bytes.len()));
    }
}

/// A window of a mebibyte: what is in it is not read again, and stays where it is unless it may
/// move.
#[test]
fn a_segment_is_read_in_a_few_large_pieces() {
    let mut bytes = Bytes::new(header(1));
    for _ in 0..150 {
        bytes.put(10_000);
    }
    let disk = bytes.disk();
    let file = disk.open(&name::segment(1), false).unwrap();
    let before = disk.operations();
    let mut scan = Scan::new(Arc::clone(&file), bytes.header, bytes.len());
    (0..150).for_each(|_| assert!(is_record(&scan.next_item().unwrap())));
    assert!(matches!(scan.next_item().unwrap(), Item::End));
    assert_eq!(disk.operations() - before, 2);

    let [_, (disk, segment)] = bytes.in_both_ways();
    let hold = segment.hold(&epoch::pin().unwrap()).unwrap();
    let mut walk = Walk::new(hold, bytes.len(), Ending::There, true);
    let before = disk.operations();
    assert_eq!(met(&walk.step(true).unwrap()).0, "record");
    let (mut steps, mut moves) = (1, 0);
    loop {
        match met(&walk.step(false).unwrap()).0 {
            "record" => steps += 1,
            "outside" => {
                assert_eq!(met(&walk.step(true).unwrap()).0, "record");
                (steps, moves) = (steps + 1, moves + 1);
            }
            other => break assert_eq!(other, "end"),
        }
    }
    assert_eq!((steps, moves, disk.operations() - before), (150, 1, 2));
}
