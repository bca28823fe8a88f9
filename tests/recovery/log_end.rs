//! Where the log ends, and whether it may end there.

use kv::format::encode::Prepared;
use kv::format::name::{self, INDEX};
use kv::format::record::RecordKind;
use kv::format::segment::{SegmentHeader, SyncMark, HEADER_PAGE};
use kv::options::Options;

use super::checkpoint::closed_with_a_checkpoint;
use super::*;
use crate::common::seed;

#[test]
fn the_end_of_a_closed_log_has_the_length_that_it_had() {
    let (mut sample, _) = closed_with_a_checkpoint();
    for has_checkpoint in [true, false] {
        if !has_checkpoint {
            sample.files.remove(INDEX);
        }
        let len = sample.files["00000004.seg"].len();
        for new_len in [len - 8, len + 8, len + 4096] {
            let mut files = sample.files.clone();
            bytes_of(&mut files, 4).resize(new_len, 0);
            let error = refused(&files);
            let place = ("shelf/00000004.seg", len.min(new_len) as u64);
            assert_eq!(error.place(), Some(place), "{error}");
            let what = format!("the file has {new_len} bytes, not {len}");
            assert!(error.to_string().contains(&what), "{error}");
        }
    }
}

#[test]
fn a_torn_end_is_cut_and_told_once() {
    let mut builder = begin(seed());
    fill_three_segments(&mut builder);
    let mut sample = builder.killed("killed");
    let opened = open(&sample.files).expect("it opens");
    assert!(opened.of(Event::TailCut).is_empty(), "its end is whole");
    let bytes = bytes_of(&mut sample.files, 3);
    let end = log::read(bytes).end;
    bytes[end..end + 40].fill(0x5a);
    let shelf = shelf_of(&sample.files);
    let opened = open_in(shelf.storage(), small()).expect("it opens");
    opened.must_hold_all(&sample);
    let told = opened.of(Event::TailCut);
    assert_eq!(told.len(), 1);
    assert_eq!((told[0].level, told[0].figures.segment), (Level::Warn, 3));
    assert_eq!(told[0].figures.bytes, end as u64);
    drop(opened);
    let opened = open_in(shelf.storage(), small()).expect("it opens again");
    assert!(opened.of(Event::TailCut).is_empty(), "it was cut");
}

/// Says in a segment's file that so many bytes of it are on the medium.
fn mark(bytes: &mut [u8], offset: u64) {
    let (header, _) = SegmentHeader::decode_of_any(bytes).expect("it is a segment");
    let (at, mark) = SyncMark { offset }.encode(header.salt, 0);
    bytes[at as usize..][..mark.len()].copy_from_slice(&mark);
}

/// A sync reaches a segment only after those before it.
#[test]
fn what_is_behind_the_end_of_the_log_is_dropped_unless_it_was_synced() {
    let mut builder = begin(seed());
    fill_three_segments(&mut builder);
    builder.put("behind", LONG);
    let mut sample = builder.killed("killed");
    damage_record(&mut sample.files, 3, 2);
    for (synced, is_damage) in [(0, false), (4096, false), (4104, true)] {
        let mut files = sample.files.clone();
        mark(bytes_of(&mut files, 4), synced);
        if is_damage {
            let error = refused(&files);
            let end = log::read(&sample.files["00000003.seg"]).ends[1] as u64;
            assert_eq!(error.place(), Some(("shelf/00000003.seg", end)), "{error}");
            continue;
        }
        let shelf = shelf_of(&files);
        let opened = open_in(shelf.storage(), small()).expect("it opens");
        opened.must_hold(&sample, 10);
        assert_eq!(segment_ids(&shelf.files()), [1, 2, 3]);
    }
}

/// Killed when the second segment, which was made early, has just got its first record. The first
/// is full, and noted as sealed or not.
fn gone_on_in_a_spare_segment(is_sealed: bool) -> Sample {
    let mut builder = begin(seed());
    (0..2).for_each(|number| builder.put(&format!("key {number}"), LONG));
    builder.prepare_spare();
    (2..5).for_each(|number| builder.put(&format!("key {number}"), LONG));
    if is_sealed {
        builder.seal();
    }
    builder.killed("gone on in a spare segment")
}

/// The base of a segment that was made early is lower than the sequence of its first record.
#[test]
fn sequences_go_on_behind_a_segment_that_has_lost_all_its_records() {
    for is_sealed in [true, false] {
        let mut sample = gone_on_in_a_spare_segment(is_sealed);
        bytes_of(&mut sample.files, 2)[HEADER_PAGE..].fill(0);
        let shelf = shelf_of(&sample.files);
        let opened = open_in(shelf.storage(), small()).expect("it opens");
        opened.must_hold(&sample, 4);
        opened.engine.put(b"key 4", b"again").expect("put");
        drop(opened);
        let opened = open_in(shelf.storage(), small()).expect("it opens after a kill");
        let found = opened.engine.value_len(b"key 4").expect("it can be read");
        assert_eq!((found, opened.engine.len()), (Some(5), 5), "sealed: {is_sealed}");
    }
}

/// All that came before a sealed segment was on the medium when it was sealed.
#[test]
fn a_log_that_ends_before_what_was_sealed_is_damaged() {
    let mut sample = gone_on_in_a_spare_segment(true);
    let bytes = bytes_of(&mut sample.files, 2);
    let (header, _) = SegmentHeader::decode_of_any(bytes).expect("it is a segment");
    // Its record has the sequence of one that is in the first segment.
    let (key, value) = (b"old", [7; 13]);
    let record = Prepared::new(RecordKind::Put, key, &value);
    let placed = record.place(header.salt, HEADER_PAGE as u64, 0);
    let record = [&placed[..], &record.head, key, &value].concat();
    bytes[HEADER_PAGE..].fill(0);
    bytes[HEADER_PAGE..][..record.len()].copy_from_slice(&record);
    let error = refused(&sample.files);
    assert!(error.to_string().contains("00000002.seg"), "{error}");
    assert!(error.to_string().contains("the log ends before what was compacted"), "{error}");
}

#[test]
fn a_segment_longer_than_segments_are_now_is_sealed_and_the_log_goes_on() {
    let longer = Options { segment_size: 64 << 10, ..small() };
    let mut builder = Builder::with(seed(), longer);
    (0..20).for_each(|number| builder.put(&format!("key {number}"), LONG));
    let sample = builder.closed("closed");
    let shelf = shelf_of(&sample.files);
    let opened = open_in(shelf.storage(), small()).expect("it opens");
    opened.must_hold_all(&sample);
    opened.engine.put(b"more", b"value").expect("put");
    opened.engine.shut_down().expect("close");
    assert_eq!(segment_ids(&shelf.files()), [1, 2]);
    drop(opened);
    let opened = open_in(shelf.storage(), small()).expect("it opens again");
    assert_eq!(opened.engine.value_len(b"more").expect("it can be read"), Some(5));
    for key in &sample.keys {
        assert_eq!(opened.engine.value_len(key).expect("it can be read"), Some(LONG));
    }
}

#[test]
fn a_live_segment_without_a_file_is_damage() {
    let (sample, _) = closed_with_a_checkpoint();
    for id in segment_ids(&sample.files) {
        let mut files = sample.files.clone();
        files.remove(&name::segment(id));
        let error = refused(&files);
        let path = format!("shelf/{}", name::segment(id));
        assert_eq!(error.place(), Some((path.as_str(), 0)), "{error}");
        assert!(error.to_string().contains("the file is missing"), "{error}");
    }
}
