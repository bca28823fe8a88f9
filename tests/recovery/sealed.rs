//! Sealed segments: what is demanded of their ends, what their hints spare, and what is left where
//! one is damaged.

use kv::error::Kind;
use kv::format::manifest::{Edit, SealedSegment};
use kv::format::record::SEAL_LEN;
use kv::format::{name, Expiring};
use kv::manifest::Manifest;
use kv::options::Options;

use super::checkpoint::closed_with_a_checkpoint;
use super::*;
use crate::common::seed;

/// Even where neither hint nor checkpoint lets an open read records.
#[test]
fn every_byte_of_a_seal_counts() {
    let (mut sample, _) = closed_with_a_checkpoint();
    for at in 0..SEAL_LEN {
        let seal = |files: &mut Files| {
            let bytes = bytes_of(files, 2);
            let from = bytes.len() - SEAL_LEN;
            bytes[from + at] ^= 0x10;
            from as u64
        };
        let from = seal(&mut sample.files);
        let error = refused(&sample.files);
        assert_eq!(error.place(), Some(("shelf/00000002.seg", from)), "byte {at}: {error}");
        seal(&mut sample.files);
    }
    open(&sample.files).expect("it is as it was");
}

#[test]
fn a_manifest_that_counts_other_records_than_the_seal_is_refused() {
    let mut builder = begin(seed());
    fill_three_segments(&mut builder);
    let sample = builder.killed("killed");
    for records in [4, 5] {
        let shelf = shelf_of(&sample.files);
        let len = sample.files["00000001.seg"].len() as u64;
        let end = log::read(&sample.files["00000001.seg"]).end as u64;
        assert!(len >= end);
        let sealed = SealedSegment {
            id: 1,
            len: end,
            records,
            next_sequence: 5,
            expiring: Expiring::default(),
        };
        Manifest::open(&shelf).and_then(|mut m| m.append(&[Edit::Seal(sealed)])).expect("an edit");
        let mut files = shelf.files();
        bytes_of(&mut files, 1).truncate(end as usize);
        if records == 4 {
            open(&files).expect("it opens").must_hold_all(&sample);
        } else {
            let error = refused(&files);
            assert!(error.to_string().contains("the seal is not the one in the manifest"));
            assert!(error.to_string().contains("00000001.seg"), "{error}");
        }
    }
}

/// Full segments with hints, one that is not full, and no checkpoint.
fn hinted() -> Sample {
    let mut builder = begin(seed());
    fill_three_segments(&mut builder);
    builder.put("key 4", LONG);
    builder.closed("with hints")
}

#[test]
fn the_records_of_a_segment_with_a_hint_are_not_read() {
    let sample = hinted();
    let mut files = sample.files.clone();
    damage_record(&mut files, 1, 1);
    let opened = open(&files).expect("nobody reads the damaged record");
    assert_eq!(opened.index_from(), LOG);
    assert_eq!(opened.failure_of(b"key 1").kind(), Kind::Corrupt);
    for key in sample.keys.iter().filter(|key| *key != b"key 1") {
        assert_eq!(opened.engine.value_len(key).expect("it can be read"), Some(LONG));
    }
    remove_hints(&mut files);
    assert_eq!(refused(&files).place().map(|(path, _)| path), Some("shelf/00000001.seg"));
}

#[test]
fn a_missing_hint_is_written_anew() {
    let mut sample = hinted();
    let hint = sample.files.remove(&name::hint(2)).expect("it has a hint");
    let shelf = shelf_of(&sample.files);
    let opened = open_in(shelf.storage(), small()).expect("it opens");
    opened.engine.write_due_hints();
    assert_eq!(shelf.files().get(&name::hint(2)), Some(&hint));
    opened.must_hold_all(&sample);
}

/// A record of the second segment has to be compared with a damaged one.
#[test]
fn of_a_database_opened_in_part_what_comes_behind_the_damage_is_there() {
    let mut builder = begin(seed());
    for segment in 0..4 {
        builder.put(if segment < 2 { "twice" } else { "filler" }, LONG);
        (0..3).for_each(|number| builder.put(&format!("key {segment} {number}"), LONG));
    }
    builder.put("last", 10);
    let mut sample = builder.closed("overwritten");
    damage_record(&mut sample.files, 1, 0);
    let error = refused(&sample.files);
    assert_eq!(error.place().map(|(path, _)| path), Some("shelf/00000001.seg"), "{error}");
    let opened = open_in(shelf_of(&sample.files).storage(), read_only()).expect("a part opens");
    for key in ["key 0 0", "key 0 2", "key 2 0", "filler", "key 3 2", "last"] {
        let found = opened.engine.value_len(key.as_bytes()).expect("it can be read");
        let last = &sample.states[sample.states.len() - 1];
        assert_eq!(found, len_of(last, key), "{key}");
    }
}

/// Records begin in several pages of locations.
#[test]
fn segments_longer_than_a_page_of_locations_come_back() {
    let longer = Options { segment_size: 3 << 20, ..small() };
    let mut builder = Builder::with(seed(), longer);
    for number in 0..7 {
        builder.put(&format!("key {number}"), 700_000);
    }
    let sample = builder.closed("long");
    assert_eq!(segment_ids(&sample.files), [1, 2]);
    let opened = open_in(shelf_of(&sample.files).storage(), sample.options.clone());
    opened.expect("it opens").must_hold_all(&sample);
}
