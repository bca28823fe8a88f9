//! One segment: any bytes behind a header are walked through as the format says, by each of the
//! ways that the library has, and what was found makes a hint that is believed.

use std::collections::BTreeMap;
use std::sync::Arc;

use kv::epoch;
use kv::format::hint::Digest;
use kv::format::manifest::SealedSegment;
use kv::format::name;
use kv::format::record::{Class, RecordKind};
use kv::format::segment::{SegmentHeader, SegmentKind};
use kv::segment::digest::{self, End};
use kv::segment::scan::{Item, Scan};
use kv::segment::walk::{Ending, Step, Walk};
use kv::segment::{Body, Segment, Source};
use kv::storage::Storage;

use super::disk::Disk;
use super::input::Input;
use super::model::{self, Contents, Mend, Who};

const UUID: [u8; 16] = [7; 16];
/// Bits of the first byte.
const COMPACTED: u8 = 1;
const KNOWS_FIRST: u8 = 2;

/// Walks through a segment.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let (how, mend) = (input.u8(), Mend(input.u8()));
    let kind = if how & COMPACTED != 0 { SegmentKind::Compacted } else { SegmentKind::Log };
    let (salt, base_sequence, first) = (input.u32(), input.u64() >> 2, input.u16());
    let header = SegmentHeader { id: 1, salt, kind, base_sequence, horizon: 0 };
    let mut bytes = header.encode(&UUID);
    bytes.extend_from_slice(input.rest());
    let first = base_sequence.saturating_add(u64::from(first));
    let first = (how & KNOWS_FIRST != 0).then_some(first);
    let who = Who { salt, kind: kind.number(), base_sequence, first };
    model::mend(&mut bytes, &who, mend);

    let contents = model::segment(&bytes, &who);
    let files = BTreeMap::from([(name::segment(1), bytes.clone())]);
    let disk = Disk::new(&files, 0);
    let scanned = |disk: &Disk| {
        let file = disk.open(&name::segment(1), false).expect("the file is there");
        let mut scan = Scan::new(file, header, bytes.len() as u64);
        first.into_iter().for_each(|first| scan.expect(first));
        scan
    };
    is_scanned(scanned(&disk), &contents);
    is_digested(scanned(&disk), &header, &contents);
    let file = disk.open(&name::segment(1), false).expect("the file is there");
    let len = bytes.len() as u64;
    let map = file.map(len).expect("memory can be mapped");
    for body in [Body::Mapped(map), Body::File(file, len)] {
        let segment = Segment::new(header, &disk, Source::Active(body), 0);
        is_walked(&Arc::new(segment), &bytes, how);
    }
}

/// The scan that recovery and compaction do.
fn is_scanned(mut scan: Scan, contents: &Contents) {
    for (expected, expected_sequence) in &contents.met {
        let Ok(Item::Record(found)) = scan.next_item() else { panic!("no record is found") };
        assert_eq!((found.offset, found.sequence), (expected.offset, *expected_sequence));
        assert_eq!(found.record.expiry(), expected.expiry);
        if found.record.header.kind != RecordKind::Gap {
            assert_eq!(found.record.key(), expected.key);
            assert_eq!(found.record.value(), expected.value);
        }
    }
    let end = match scan.next_item().expect("memory can be read") {
        Item::Record(found) => panic!("there is no record at {}", found.offset),
        Item::Seal(_) => model::End::Seal,
        Item::End => model::End::Zeros,
        Item::Damage(_) => model::End::Damage,
    };
    assert_eq!((end, scan.offset()), (contents.end, contents.end_at as u64));
    let whole = scan.whole();
    assert_eq!(whole.offset, contents.counted_to as u64);
    assert_eq!(whole.records, contents.counted as u64);
    assert_eq!(whole.next_sequence, contents.next_sequence);
}

/// Some hash that keys could have.
fn hash(key: &[u8]) -> u64 {
    u64::from(crc32fast::hash(key)) << 32 | key.len() as u64
}

/// The digest has what counts, and comes back from a hint.
fn is_digested(mut scan: Scan, header: &SegmentHeader, contents: &Contents) {
    let walked = digest::of_scan(&mut scan, header.kind, hash).expect("memory can be read");
    let counted = &contents.met[..contents.counted];
    let says_the_same = |digest: &Digest| {
        let mut entries = digest.entries();
        for (record, sequence) in counted {
            let entry = entries.next().expect("each record has an entry");
            let class = match (record.head.kind, record.expiry) {
                (model::TOMBSTONE, _) => Class::Tombstone,
                (model::GAP, _) => Class::Gap,
                (_, Some(_)) => Class::ExpiringPut,
                (_, None) => Class::Put,
            };
            let hash = if class == Class::Gap { 0 } else { hash(&record.key) };
            assert_eq!((entry.hash, entry.class), (hash, class));
            assert_eq!((entry.offset, entry.sequence), (record.offset, *sequence));
            assert_eq!(entry.len, record.head.len as u64);
        }
        assert!(entries.next().is_none());
        assert_eq!(digest.records(), counted.len() as u64);
    };
    says_the_same(&walked.digest);
    let lens = counted.iter().filter(|(record, _)| record.expiry.is_some());
    assert_eq!(walked.expiring.bytes, lens.map(|(record, _)| record.head.len as u64).sum::<u64>());
    let End::Seal(seal) = walked.end else { return };
    let sealed = SealedSegment {
        id: header.id,
        len: scan.offset(),
        records: seal.records,
        next_sequence: seal.next_sequence,
        expiring: walked.expiring,
    };
    let hint = walked.digest.encode(&UUID, header, &sealed);
    let again = Digest::decode(hint, &UUID, header, &sealed).expect("a true hint is believed");
    says_the_same(&again);
}

/// The walk that iterators do: it meets whole records only, goes on behind damage and ends.
fn is_walked(segment: &Arc<Segment>, bytes: &[u8], how: u8) {
    let guard = epoch::pin().expect("a thread can be pinned");
    let hold = segment.hold(&guard).expect("an active segment is held");
    drop(guard);
    let salt = segment.header.salt;
    let ending = match how >> 2 & 3 {
        0 => Ending::Zeros,
        1 | 3 => Ending::Seal,
        _ => Ending::There,
    };
    let mut walk = Walk::new(hold, bytes.len() as u64, ending, true);
    let mut steps = 0;
    loop {
        steps += 1;
        assert!(steps <= bytes.len() / 8, "a walk goes round in circles");
        match walk.step(true).expect("memory can be read") {
            Step::Record(record, offset) => {
                let whole = model::record(&bytes[offset as usize..], salt, offset);
                let whole = whole.expect("a record that verifies");
                assert_eq!(whole.head.kind == model::GAP, record.header.kind == RecordKind::Gap);
                if whole.head.kind != model::GAP {
                    assert_eq!((record.key(), record.value()), (&whole.key[..], &whole.value[..]));
                }
            }
            Step::End => break,
            Step::Outside => panic!("a window that may move is no obstacle"),
            Step::Damage(_) => {
                if !walk.pass_damage().expect("memory can be read") {
                    break;
                }
            }
        }
    }
    let guard = epoch::pin().expect("a thread can be pinned");
    // Where an index that is wrong may point to; most of them are no records, and errors are slow.
    for offset in (4088..bytes.len() as u64 + 64).step_by(8).take(64) {
        let mut scratch = Vec::new();
        if let Ok(record) = segment.record(&guard, offset, &mut scratch) {
            let whole = model::record(&bytes[offset as usize..], salt, offset);
            assert_eq!(segment.verify(&record, offset).is_ok(), whole.is_some());
        }
    }
}
