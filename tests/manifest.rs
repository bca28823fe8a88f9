//! The manifest as a file: what is in it comes back after any number of openings, what does not
//! belong to it is refused or removed, and it does not grow for ever.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::TempDir;
use kv::error::Kind;
use kv::format::manifest::{Edit, SealedSegment, Tail, HEADER_LEN};
use kv::format::segment::{SegmentHeader, SegmentKind};
use kv::format::{Expiring, FORMAT_VERSION};
use kv::manifest::{self, Manifest, State};
use kv::storage::posix::PosixStorage;

/// Longer than this, a manifest is written anew.
const LONG: u64 = 256 << 10;
/// Longer than this, it is none.
const LONGEST: u64 = 1 << 30;

fn file_of(path: &Path) -> PathBuf {
    path.join("MANIFEST")
}

fn header(id: u64) -> SegmentHeader {
    let kind = if id.is_multiple_of(2) { SegmentKind::Compacted } else { SegmentKind::Log };
    SegmentHeader { id, salt: id as u32 * 7, kind, base_sequence: id * 100, horizon: id }
}

fn seal(id: u64, expiring: Expiring) -> Edit {
    let next_sequence = id * 100 + 50;
    Edit::Seal(SealedSegment { id, len: 8192, records: 30, next_sequence, expiring })
}

/// Edits after which every part of the state differs from its beginning.
fn edits() -> Vec<Edit> {
    vec![
        Edit::Add(header(1)),
        Edit::Add(header(2)),
        Edit::Add(header(3)),
        seal(1, Expiring { bytes: 64, first: 5, last: 9 }),
        seal(2, Expiring::default()),
        Edit::Remove { id: 2 },
        Edit::NextId { id: 90 },
        Edit::NextSequence { sequence: 7000 },
        Edit::Time { now_ms: 1_700_000_000_000 },
        Edit::Closed(Tail { id: 3, len: 4096, next_sequence: 7000 }),
    ]
}

/// A directory with a manifest that has these edits.
fn begun(name: &str) -> (TempDir, PathBuf, PosixStorage, State) {
    let directory = TempDir::in_memory(name);
    let path = directory.join("db");
    let storage = PosixStorage::open(&path, true).unwrap();
    let mut manifest = Manifest::create(&storage).unwrap();
    manifest.append(&edits()).unwrap();
    let state = manifest.state().clone();
    assert_eq!(manifest.file_len(), fs::metadata(file_of(&path)).unwrap().len());
    (directory, path, storage, state)
}

#[test]
fn no_edits_leave_no_frame() {
    let (_directory, path, storage, state) = begun("none");
    let before = fs::read(file_of(&path)).unwrap();
    let mut manifest = Manifest::open(&storage).unwrap();
    manifest.append(&[]).unwrap();
    assert_eq!(fs::read(file_of(&path)).unwrap(), before);
    assert_eq!(manifest.state(), &state);
}

#[test]
fn a_manifest_that_is_written_anew_says_the_same() {
    let (_directory, path, storage, state) = begun("anew");
    let (live, closed) = (&state.segments, state.closed.unwrap());
    assert_eq!(live.keys().copied().collect::<Vec<_>>(), [1, 3]);
    assert!(live[&1].sealed.is_some() && live[&3].sealed.is_none());
    assert_eq!((state.next_id, state.next_sequence), (90, 7000));
    assert_eq!((state.time_ms, closed.len), (1_700_000_000_000, 4096));
    assert_eq!((state.first_of(1), state.end_of(1)), (Some(120), Some(150)));
    assert_eq!((state.first_of(3), state.end_of(3), state.first_of(2)), (Some(300), None, None));
    let found = manifest::read(&storage).unwrap();
    assert_eq!((&found.state, found.frames), (&state, 2));
    let anew = Manifest::write_anew(&storage, found.identity, found.state).unwrap();
    assert_eq!(anew.state(), &state);
    assert_eq!(anew.file_len(), fs::metadata(file_of(&path)).unwrap().len());
    let read = manifest::read(&storage).unwrap();
    assert_eq!((read.identity, read.state, read.frames), (found.identity, state, 1));
}

#[test]
fn frames_that_only_tell_the_time_are_not_counted_and_take_back_no_close() {
    let (_directory, _path, storage, state) = begun("time");
    let mut manifest = Manifest::open(&storage).unwrap();
    let now_ms = state.time_ms + 5;
    manifest.append(&[Edit::Time { now_ms }]).unwrap();
    manifest.append(&[Edit::Time { now_ms: 7 }]).unwrap();
    let read = manifest::read(&storage).unwrap();
    assert_eq!((read.frames, read.state.closed), (2, state.closed));
    assert_eq!(read.state.time_ms, now_ms, "it never goes back");
    manifest.append(&[Edit::Opened, Edit::Time { now_ms }]).unwrap();
    let read = manifest::read(&storage).unwrap();
    assert_eq!((read.frames, read.state.closed), (3, None));
}

#[test]
fn opening_removes_an_interrupted_write_and_leaves_a_good_manifest_alone() {
    let (_directory, path, storage, state) = begun("tidy");
    let good = fs::read(file_of(&path)).unwrap();
    Manifest::open(&storage).unwrap().tidy(&storage).unwrap();
    assert_eq!(fs::read(file_of(&path)).unwrap(), good, "it was written anew for nothing");
    for torn in [1, 7, 8, 40] {
        let mut bytes = good.clone();
        bytes.extend(vec![7; torn]);
        fs::write(file_of(&path), &bytes).unwrap();
        let mut manifest = Manifest::open(&storage).unwrap();
        assert_eq!(manifest.file_len(), good.len() as u64);
        manifest.tidy(&storage).unwrap();
        assert_eq!(manifest::read(&storage).unwrap().frames, 1, "it was not written anew");
        // What is appended now is not behind garbage.
        manifest.append(&[Edit::NextId { id: 91 }]).unwrap();
        assert_eq!(manifest::read(&storage).unwrap().state.next_id, 91);
        assert_eq!(manifest::read(&storage).unwrap().state.segments, state.segments);
    }
}

#[test]
fn a_manifest_that_has_become_long_is_written_anew_when_it_is_opened() {
    let (_directory, path, storage, _) = begun("long");
    let mut manifest = Manifest::open(&storage).unwrap();
    let many: Vec<Edit> = (0..1000).map(|id| Edit::NextId { id }).collect();
    while manifest.file_len() <= LONG {
        let len = manifest.file_len();
        let mut opened = Manifest::open(&storage).unwrap();
        opened.tidy(&storage).unwrap();
        assert_eq!(opened.file_len(), len, "it was not long yet");
        manifest.append(&many).unwrap();
    }
    let state = manifest.state().clone();
    let mut opened = Manifest::open(&storage).unwrap();
    opened.tidy(&storage).unwrap();
    assert!(opened.file_len() < 1000 && fs::metadata(file_of(&path)).unwrap().len() < 1000);
    assert_eq!(manifest::read(&storage).unwrap().state, state);
}

#[test]
fn a_manifest_without_its_first_frame_is_damaged_and_not_empty() {
    let (_directory, path, storage, _) = begun("first");
    let good = fs::read(file_of(&path)).unwrap();
    for len in [HEADER_LEN, HEADER_LEN + 1, HEADER_LEN + 20] {
        fs::write(file_of(&path), &good[..len]).unwrap();
        let error = manifest::read(&storage).err().unwrap();
        assert_eq!((error.kind(), error.place().unwrap().1), (Kind::Corrupt, HEADER_LEN as u64));
    }
}

/// An interrupted write is the last one. Whatever has a whole frame behind it was on the medium.
#[test]
fn damage_in_a_frame_is_a_torn_end_only_if_no_whole_one_follows() {
    let (_directory, path, storage, before) = begun("middle");
    let start = fs::metadata(file_of(&path)).unwrap().len() as usize;
    let mut manifest = Manifest::open(&storage).unwrap();
    manifest.append(&[Edit::NextId { id: 91 }, Edit::Opened]).unwrap();
    let end = manifest.file_len() as usize;
    let alone = fs::read(file_of(&path)).unwrap();
    manifest.append(&[Edit::NextId { id: 92 }]).unwrap();
    let followed = fs::read(file_of(&path)).unwrap();
    for at in start..end {
        for bit in 0..8 {
            let (mut torn, mut damaged) = (alone.clone(), followed.clone());
            torn[at] ^= 1 << bit;
            damaged[at] ^= 1 << bit;
            fs::write(file_of(&path), &torn).unwrap();
            assert_eq!(manifest::read(&storage).unwrap().state, before, "byte {at}, bit {bit}");
            fs::write(file_of(&path), &damaged).unwrap();
            let error = manifest::read(&storage).err().unwrap();
            assert_eq!(error.place().unwrap().1, start as u64, "byte {at}, bit {bit}: {error}");
        }
    }
}

/// Whatever follows a torn frame may be taken for the length of a long one, at every offset. To
/// look at all of these would take hours.
#[test]
fn a_manifest_made_to_keep_its_reader_busy_is_damaged() {
    let (_directory, path, storage, _) = begun("busy");
    let mut bytes = fs::read(file_of(&path)).unwrap();
    let start = bytes.len() as u64;
    let len = start + (768 << 10);
    for at in (start..len).step_by(8) {
        let frame_len = ((len - at) / 2) as u32;
        bytes.extend_from_slice(&[frame_len.to_le_bytes(), [7; 4]].concat());
    }
    fs::write(file_of(&path), &bytes).unwrap();
    let error = manifest::read(&storage).err().unwrap();
    assert_eq!((error.kind(), error.place().unwrap().1), (Kind::Corrupt, start));
}

#[test]
fn a_file_that_is_longer_than_any_manifest_is_not_read() {
    let (_directory, path, storage, _) = begun("endless");
    let file = fs::File::options().write(true).open(file_of(&path)).unwrap();
    file.set_len(LONGEST + 1).unwrap();
    let error = manifest::read(&storage).err().unwrap();
    assert_eq!((error.kind(), error.place().unwrap().1), (Kind::Corrupt, LONGEST));
}

/// So that no older libkv opens what is written from now on.
#[test]
fn a_manifest_of_an_older_version_is_written_anew() {
    let (_directory, path, storage, state) = begun("older");
    let mut old = fs::read(file_of(&path)).unwrap();
    old[8] = 1;
    let sum = crc32fast::hash(&old[..HEADER_LEN - 4]).to_le_bytes();
    old[HEADER_LEN - 4..HEADER_LEN].copy_from_slice(&sum);
    fs::write(file_of(&path), &old).unwrap();
    let mut manifest = Manifest::open(&storage).unwrap();
    assert_eq!(manifest.state(), &state);
    manifest.tidy(&storage).unwrap();
    assert_eq!(u32::from(fs::read(file_of(&path)).unwrap()[8]), FORMAT_VERSION);
    assert_eq!(manifest::read(&storage).unwrap().state, state);
}

/// Edits that contradict the ones before them, in frames that verify.
#[test]
fn edits_that_make_no_sense_are_damage() {
    let most = 1 << 62;
    for edit in [
        Edit::Add(header(0)),
        Edit::Add(header(1)),
        Edit::Remove { id: 2 },
        seal(2, Expiring::default()),
        Edit::NextId { id: most },
        Edit::NextSequence { sequence: most },
        Edit::Time { now_ms: most },
        Edit::Remove { id: most },
        Edit::Add(SegmentHeader { base_sequence: most, ..header(9) }),
        Edit::Add(SegmentHeader { horizon: most, ..header(9) }),
        Edit::Closed(Tail { id: 3, len: 8, next_sequence: most }),
    ] {
        let (_directory, _path, storage, _) = begun("nonsense");
        let mut manifest = Manifest::open(&storage).unwrap();
        assert_eq!(manifest.append(&[edit]).unwrap_err().kind(), Kind::Internal, "{edit:?}");
        assert_eq!(manifest::read(&storage).err().unwrap().kind(), Kind::Corrupt, "{edit:?}");
    }
}

/// What kv_destroy() asks before it removes anything.
#[test]
fn the_manifest_of_something_else_is_not_ours_and_a_damaged_one_is() {
    let (_directory, path, storage, _) = begun("owner");
    let good = fs::read(file_of(&path)).unwrap();
    let judged = |bytes: &[u8]| {
        fs::write(file_of(&path), bytes).unwrap();
        manifest::check_owner(&storage).map_err(|error| error.kind())
    };
    assert_eq!(judged(&good), Ok(()));
    assert_eq!(judged(&good[..HEADER_LEN]), Ok(()));
    assert_eq!(judged(&good[..HEADER_LEN - 1]), Ok(()), "it was cut");
    let mut damaged = good.clone();
    damaged[20] ^= 1;
    assert_eq!(judged(&damaged), Ok(()));
    let mut other = good.clone();
    other[..8].copy_from_slice(b"Manifest");
    assert_eq!(judged(&other), Err(Kind::NotADatabase));
    assert_eq!(judged(&other[..HEADER_LEN]), Err(Kind::NotADatabase));
    let mut newer = good.clone();
    newer[8] = 99;
    assert_eq!(judged(&newer), Err(Kind::NewerFormat));
}

/// A log would go on in it, and what is written there must not have what a log may have.
#[test]
fn a_segment_that_compaction_has_not_finished_is_damage() {
    let (_directory, path, storage, _) = begun("unfinished");
    let mut manifest = Manifest::open(&storage).unwrap();
    manifest.append(&[Edit::Add(header(4)), seal(4, Expiring::default())]).unwrap();
    drop(Manifest::open(&storage).unwrap());
    let end = manifest.file_len();
    manifest.append(&[Edit::Add(header(6))]).unwrap();
    let error = Manifest::open(&storage).map(drop).unwrap_err();
    assert_eq!(error.kind(), Kind::Corrupt);
    let (file, text) = (file_of(&path).display().to_string(), error.to_string());
    assert!(text.starts_with(&format!("{file} is damaged at byte {end}: ")), "{text}");
}
