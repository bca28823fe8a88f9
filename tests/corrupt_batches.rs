//! Damaged batches: each is there whole or not at all, and where it was on the medium it is there,
//! or whoever reads it hears that it is damaged. Values that expire and gaps are among them.

mod common;
mod damage;

use std::path::Path;

use common::{seed, TempDir};
use damage::judge::{flip_and_cut, overwrite_blocks};
use damage::kinds::flip;
use damage::{options, Bench, Builder, Sample};
use kv::db::{Db, WriteBatch, WriteSync};
use kv::error::Kind;
use kv::format::encode::{Extra, Prepared};
use kv::format::name::parse_hint;
use kv::format::record::{record_len, Mark, MarkBuilder, RecordKind, HEADER_LEN};
use kv::format::segment::{SegmentHeader, HEADER_PAGE};
use kv::options::OnDamage;

/// Longer than what is left of a segment that holds another such.
const FILLER: usize = 700_000;

/// Batches, values that expire and a gap, in a log that was killed.
fn killed_in_batches() -> Sample {
    let mut builder = Builder::new(seed() + 6);
    builder.write_all_kinds();
    builder.sync();
    builder.batch(&[("a", Some(17)), ("e", Some(5)), ("b", None)]);
    builder.put_around("f", 9, "e");
    builder.batch(&[("b", Some(1)), ("a", None)]);
    builder.put("g", 0);
    builder.batch(&[("c", Some(7)), ("e", None), ("h", Some(100))]);
    builder.killed("killed in batches")
}

/// The same kinds, closed.
fn closed_with_batches() -> Sample {
    let mut builder = Builder::new(seed() + 7);
    builder.write_all_kinds();
    builder.reopen();
    builder.batch(&[("a", Some(17)), ("e", Some(5)), ("b", None)]);
    builder.closed("closed with batches")
}

/// A sealed segment of the log with batches, then another.
fn batches_in_segments() -> Sample {
    let mut builder = Builder::new(seed() + 8);
    builder.put("filler", FILLER);
    builder.write_all_kinds();
    builder.put("filler 2", FILLER);
    builder.batch(&[("a", Some(30)), ("b", Some(3)), ("c", Some(90)), ("d", None)]);
    builder.sync();
    builder.closed("batches in segments")
}

#[test]
fn every_bit_and_every_length_of_batches_and_gaps() {
    flip_and_cut(&killed_in_batches(), 1);
    flip_and_cut(&closed_with_batches(), 1);
}

/// A batch that was sealed is whole, or whoever reads its segment hears that it is damaged. What is
/// in a gap is nobody's.
#[test]
fn bits_of_batches_in_sealed_segments() {
    let mut sample = batches_in_segments();
    for has_hints in [true, false] {
        if !has_hints {
            sample.files.retain(|name, _| parse_hint(name).is_none());
        }
        let file = sample.segments()[0].to_owned();
        let start = HEADER_PAGE + record_len("filler".len(), FILLER, 0);
        let mut bench = Bench::new(&sample);
        for bit in start * 8..sample.files[&file].len() * 8 {
            bench.judge(&flip(&sample, &file, bit));
        }
        let Bench { cases, opened, .. } = bench;
        // Without its hint, all of a segment is read.
        let gap = record_len("around".len(), 50, 0) - HEADER_LEN;
        assert!(has_hints || opened == gap as u64 * 8, "{opened} of {cases}");
        assert!(opened < cases / 4, "{opened} of {cases}");
    }
}

#[test]
fn overwritten_blocks_of_batches() {
    overwrite_blocks(&killed_in_batches());
    overwrite_blocks(&closed_with_batches());
}

/// What a forged batch of two puts says wrongly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lie {
    Nothing,
    /// The mark counts one record more.
    Count,
    /// The first record is another one that verifies.
    Record,
    /// The mark is in a batch of its own.
    Start,
    /// The mark is missing.
    Mark,
    /// A record between is not of the batch.
    Between,
}

/// The records of a batch as they stand at the beginning of a segment.
fn forged(header: &SegmentHeader, lie: Lie) -> Vec<u8> {
    let record = |key: &[u8], value: &[u8], is_in_batch, mark| {
        let extra = Extra { is_in_batch, mark, expiry: None };
        Prepared::with(RecordKind::Put, key, value, &extra)
    };
    let first = record(b"one", b"1", lie != Lie::Start, None);
    let other = record(b"one", b"2", true, None);
    let between = record(b"between", b"", false, None);
    let mut builder = MarkBuilder::default();
    builder.add(first.crc);
    let Mark { count, sum } = builder.mark();
    let mark = Mark { count: count + u32::from(lie == Lie::Count), sum };
    let last = record(b"two", b"1", true, (lie != Lie::Mark).then_some(mark));
    let mut parts = vec![(&first, &b"one1"[..])];
    match lie {
        Lie::Record => parts[0] = (&other, b"one2"),
        Lie::Between => parts.push((&between, b"between")),
        _ => {}
    }
    parts.push((&last, b"two1"));
    let mut out = Vec::new();
    for (number, (record, text)) in parts.into_iter().enumerate() {
        let start = out.len();
        let placed = record.place(header.salt, (HEADER_PAGE + start) as u64, number as u32);
        for part in [&placed[..], &record.head, record.fields(), text] {
            out.extend_from_slice(part);
        }
        out.resize(start + record.len, 0);
    }
    out
}

/// A database whose only segment has a batch of "one" and "two" at its beginning, as a lie has it.
fn lay_out(path: &Path, lie: Lie, is_closed: bool) {
    let db = Db::open(path, &options(OnDamage::Fail)).expect("open");
    let mut batch = WriteBatch::new();
    batch.put(b"one", b"1", 0).expect("put");
    batch.put(b"two", b"1", 0).expect("put");
    db.write(&batch, WriteSync::AsOpened).expect("write");
    let copy = path.with_extension("copy");
    common::copy_directory(path, &copy);
    db.close().expect("close");
    if !is_closed {
        std::fs::remove_dir_all(path).expect("it can be removed");
        std::fs::rename(&copy, path).expect("it can be renamed");
    }
    let segment = &common::segments_in(path)[0];
    let mut bytes = std::fs::read(segment).expect("the segment can be read");
    let uuid = bytes[16..32].try_into().expect("a uuid");
    let header = SegmentHeader::decode(&bytes, &uuid).expect("a header");
    let forged = forged(&header, lie);
    if lie == Lie::Nothing {
        assert!(bytes[HEADER_PAGE..].starts_with(&forged), "the forger knows the format");
    }
    let end = HEADER_PAGE + forged.len();
    bytes.resize(bytes.len().max(end), 0);
    bytes[HEADER_PAGE..end].copy_from_slice(&forged);
    if is_closed {
        bytes.truncate(HEADER_PAGE + self::forged(&header, Lie::Nothing).len());
    }
    std::fs::write(segment, bytes).expect("the segment can be written");
}

/// Records that verify one by one are no batch if they are not those that its mark is of.
#[test]
fn a_batch_is_what_its_mark_says_or_nothing() {
    for lie in [Lie::Count, Lie::Record, Lie::Start, Lie::Mark, Lie::Between, Lie::Nothing] {
        for is_closed in [true, false] {
            let place = TempDir::in_memory("forged");
            lay_out(&place.join("db"), lie, is_closed);
            let context = format!("{lie:?}, closed: {is_closed}");
            match Db::open(&place.join("db"), &options(OnDamage::Fail)) {
                Err(error) => {
                    assert!(is_closed && lie != Lie::Nothing, "{context}: {error}");
                    assert_eq!(error.kind(), Kind::Corrupt, "{context}: {error}");
                }
                Ok(db) => {
                    assert!(!is_closed || lie == Lie::Nothing, "{context}: it opens");
                    let found = [b"one", b"two"].map(|key| db.value_len(key).expect(&context));
                    let expected = match lie {
                        Lie::Nothing => [Some(1); 2],
                        // The first record is no part of it.
                        Lie::Start => [Some(1), None],
                        _ => [None; 2],
                    };
                    assert_eq!(found, expected, "{context}");
                    // Sequences go on from the last whole record.
                    db.put(b"next", b"").expect(&context);
                    let version = 1 + found.iter().flatten().count() as u64;
                    assert_eq!(db.version(b"next").expect(&context), Some(version), "{context}");
                }
            }
        }
    }
}
