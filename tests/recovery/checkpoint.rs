//! What a checkpoint of the index spares an open, what the log adds to it, and which is none.

use kv::error::Kind;
use kv::format::checkpoint::{decode_len, Checkpoint, FIXED_LEN};
use kv::format::name::INDEX;
use kv::index::PIECES;
use kv::options::Options;
use kv::segment::table::MAX_PAGES;

use super::*;
use crate::common::seed;

/// Full segments, one that is not, and what was overwritten and deleted; with a checkpoint of the
/// moment of closing.
pub fn closed_with_a_checkpoint() -> (Sample, Vec<(u64, u64)>) {
    let mut builder = begin(seed());
    fill_three_segments(&mut builder);
    builder.delete("key 1");
    builder.put("key 0", LONG);
    builder.delete("key 6");
    builder.put("last", 10);
    builder.seal();
    builder.checkpoint();
    let dead = builder.engine().dead_bytes();
    (builder.closed("closed with a checkpoint"), dead)
}

#[test]
fn a_database_closed_with_a_checkpoint_is_opened_from_it() {
    let (sample, dead) = closed_with_a_checkpoint();
    let opened = open(&sample.files).expect("it opens");
    assert_eq!(opened.index_from(), AT_CLOSE);
    assert_eq!(opened.engine.dead_bytes(), dead);
    opened.must_hold_all(&sample);
}

/// How a database ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Closed,
    /// Killed, with all full segments noted as sealed.
    Sealed,
    Killed,
}

/// `more` writes after a checkpoint: to the segment that was written then, and to later ones. The
/// first of them replaces a record that the checkpoint knows.
fn written_after(more: usize, ending: Ending) -> (Sample, Vec<(u64, u64)>) {
    let mut builder = begin(seed());
    fill_three_segments(&mut builder);
    builder.delete("key 11");
    builder.checkpoint();
    for number in 0..more {
        let key = format!("key {number}");
        match number % 3 {
            0 => builder.put(&key, if number < 3 { 30 } else { LONG }),
            1 => builder.delete(&key),
            _ => builder.put(&format!("new {number}"), if number < 3 { 30 } else { LONG }),
        }
    }
    if ending != Ending::Killed {
        builder.seal();
    }
    let dead = builder.engine().dead_bytes();
    let name = "written after a checkpoint";
    let is_closed = ending == Ending::Closed;
    (if is_closed { builder.closed(name) } else { builder.killed(name) }, dead)
}

#[test]
fn what_was_written_after_a_checkpoint_comes_from_the_log() {
    for more in 1..=9 {
        for ending in [Ending::Closed, Ending::Sealed, Ending::Killed] {
            let (sample, dead) = written_after(more, ending);
            let opened = open(&sample.files).expect("it opens");
            assert_eq!(opened.index_from(), EARLIER, "{more}, {ending:?}");
            assert_eq!(opened.engine.dead_bytes(), dead, "{more}, {ending:?}");
            opened.must_hold_all(&sample);
        }
    }
}

/// Nothing was written since: but what the checkpoint points to is somewhere else.
#[test]
fn a_checkpoint_is_not_of_the_moment_of_closing_if_segments_were_compacted_since() {
    let mut builder = begin(seed());
    fill_three_segments(&mut builder);
    // The second segment goes, the first record of which is dead.
    builder.put("key 4", LONG);
    builder.seal();
    builder.checkpoint();
    builder.compact();
    let dead = builder.engine().dead_bytes();
    let sample = builder.closed("compacted after a checkpoint");
    assert_eq!(segment_ids(&sample.files), [1, 3, 4, 5]);
    let opened = open(&sample.files).expect("it opens");
    assert_eq!(opened.index_from(), EARLIER);
    opened.must_hold_all(&sample);
    assert_eq!(opened.engine.dead_bytes(), dead);
}

/// A longer segment may be written now than when the checkpoint was made, and does not fit into its
/// place among the locations.
#[test]
fn a_checkpoint_is_none_if_a_segment_cannot_be_where_it_was() {
    for ending in [Ending::Closed, Ending::Killed] {
        let (mut sample, _) = closed_with_a_checkpoint();
        if ending == Ending::Killed {
            (sample, _) = written_after(2, ending);
        }
        let longer = Options { segment_size: 3 << 20, ..small() };
        let shelf = shelf_of(&sample.files);
        let opened = open_in(shelf.storage(), longer).expect("it opens");
        assert_eq!(opened.index_from(), LOG, "{ending:?}");
        opened.must_hold_all(&sample);
        assert!(!shelf.files().contains_key(INDEX), "it must not pass for a good one later");
    }
}

/// The same index with another beginning, under a checksum that fits.
fn with_beginning(index: &[u8], change: impl FnOnce(&mut Checkpoint)) -> Vec<u8> {
    let fixed = index.first_chunk::<FIXED_LEN>().expect("it is long");
    let uuid: [u8; 16] = index[16..32].try_into().expect("it is long");
    let file_len = index.len() as u64;
    let len = decode_len(fixed, &uuid, PIECES as u32, file_len).expect("it is a checkpoint");
    let decoded = Checkpoint::decode(&index[..len], file_len).expect("there is memory");
    let mut checkpoint = decoded.expect("it is whole");
    change(&mut checkpoint);
    let beginning = checkpoint.encode(&uuid).expect("there is memory");
    [&beginning, &index[beginning.len()..]].concat()
}

#[test]
fn a_checkpoint_that_no_library_writes_is_none() {
    let (sample, _) = closed_with_a_checkpoint();
    let index = &sample.files[INDEX];
    let first = |index: &[u8]| {
        let mut first = 0;
        with_beginning(index, |checkpoint| {
            let filled = checkpoint.pieces.iter().filter(|piece| !piece.is_empty());
            first = filled.map(|piece| piece.offset as usize).min().expect("there are keys");
        });
        first
    };
    let beyond = with_beginning(index, |checkpoint| {
        let last = checkpoint.segments.last_mut().expect("it knows segments");
        last.first_page = MAX_PAGES as u32;
    });
    // The pieces are as they were, but not at multiples of 64.
    let (before, pieces) = index.split_at(first(index));
    let moved = with_beginning(&[before, &[0; 8], pieces].concat(), |checkpoint| {
        let filled = checkpoint.pieces.iter_mut().filter(|piece| !piece.is_empty());
        filled.for_each(|piece| piece.offset += 8);
    });
    let same = with_beginning(index, |_| ());
    for (index, from) in [(same, AT_CLOSE), (beyond, LOG), (moved, LOG)] {
        let mut files = sample.files.clone();
        files.insert(INDEX.into(), index);
        let shelf = shelf_of(&files);
        let opened = open_in(shelf.storage(), small()).expect("it opens");
        assert_eq!(opened.index_from(), from);
        opened.must_hold_all(&sample);
        assert_eq!(shelf.files().contains_key(INDEX), from == AT_CLOSE);
    }
}

/// Of segments without hints, and with a damaged record each: whoever read one would tell.
#[test]
fn segments_that_a_checkpoint_reflects_are_not_read() {
    let mut builder = begin(seed());
    fill_three_segments(&mut builder);
    builder.checkpoint();
    // The third segment is full, so that it ends where the checkpoint does.
    builder.put("next", LONG);
    builder.seal();
    let mut sample = builder.killed("killed after a checkpoint");
    remove_hints(&mut sample.files);
    for segment in [1, 2, 3] {
        damage_record(&mut sample.files, segment, 0);
    }
    let opened = open(&sample.files).expect("nobody reads the damaged records");
    assert_eq!(opened.index_from(), EARLIER);
    for key in sample.keys.iter().map(|key| &**key) {
        let is_damaged = [&b"key 0"[..], b"key 4", b"key 8"].contains(&key);
        match opened.engine.get(key, <[u8]>::len) {
            Ok(found) => assert!(found == Some(LONG) && !is_damaged),
            Err(error) => assert!(error.kind() == Kind::Corrupt && is_damaged, "{error}"),
        }
    }
}

/// A segment of which a checkpoint reflects a part has a hint: only records that are news are
/// compared with what the index has.
#[test]
fn records_that_a_checkpoint_reflects_are_not_compared_again() {
    let mut builder = begin(seed());
    builder.put("twice", LONG);
    builder.put("twice", LONG);
    builder.checkpoint();
    ["new 1", "new 2", "new 3"].iter().for_each(|key| builder.put(key, LONG));
    builder.seal();
    let mut sample = builder.killed("killed after a checkpoint");
    assert!(sample.files.contains_key("00000001.hint"));
    // It was replaced by the second.
    damage_record(&mut sample.files, 1, 0);
    let opened = open(&sample.files).expect("nobody reads the damaged record");
    assert_eq!(opened.index_from(), EARLIER);
    opened.must_hold_all(&sample);
}

/// The one who reads the end of the log tells what is wrong with it, and opens the rest.
#[test]
fn the_damaged_end_of_a_closed_log_is_told_or_passed_over_as_the_options_say() {
    let (sample, _) = closed_with_a_checkpoint();
    let mut files = sample.files.clone();
    bytes_of(&mut files, 4)[40] ^= 1;
    let error = refused(&files);
    assert_eq!(error.place(), Some(("shelf/00000004.seg", 0)), "{error}");
    let opened = open_in(shelf_of(&files).storage(), read_only()).expect("what is left opens");
    assert_eq!(opened.index_from(), LOG);
    let damaged = opened.of(Event::Damaged);
    assert_eq!((damaged.len(), damaged[0].text.as_str()), (1, error.to_string().as_str()));
    let last = &sample.states[sample.states.len() - 1];
    for key in ["key 2", "key 3", "key 7", "key 11"] {
        let found = opened.engine.value_len(key.as_bytes()).expect("it can be read");
        assert_eq!(found, len_of(last, key), "{key}");
    }
}

/// It points into the segment that is not there.
#[test]
fn no_checkpoint_counts_where_a_segment_is_missing() {
    let (sample, _) = closed_with_a_checkpoint();
    let mut files = sample.files.clone();
    files.remove("00000002.seg");
    let opened = open_in(shelf_of(&files).storage(), read_only()).expect("what is left opens");
    assert_eq!(opened.index_from(), LOG);
    let last = &sample.states[sample.states.len() - 1];
    for key in &sample.keys {
        let is_gone = [&b"key 4"[..], b"key 5", b"key 7"].contains(&&**key);
        let found = opened.engine.value_len(key).expect("it can be read");
        assert_eq!(found, last.get(key).map(|value| value.len()).filter(|_| !is_gone));
    }
}
