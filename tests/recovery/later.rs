//! Pieces of the index that come when they are needed, and are damaged by then: they are built from
//! the log, and what is wrong with that is told.

use kv::error::Kind;
use kv::format::name::{self, INDEX};

use super::checkpoint::closed_with_a_checkpoint;
use super::*;
use crate::common::seed;

/// The files with no piece of the checkpoint left: only its beginning.
fn without_pieces(sample: &Sample) -> Files {
    let mut files = sample.files.clone();
    let index = files.get_mut(INDEX).expect("there is a checkpoint");
    // Behind the beginning comes room for the list of a thousand segments more.
    index[40_000..].fill(0);
    files
}

#[test]
fn damaged_pieces_are_built_from_hints_or_from_the_log() {
    let (sample, dead) = closed_with_a_checkpoint();
    let mut files = without_pieces(&sample);
    for has_hints in [true, false] {
        if !has_hints {
            remove_hints(&mut files);
        }
        let opened = open(&files).expect("it opens");
        assert_eq!(opened.index_from(), AT_CLOSE);
        opened.must_hold_all(&sample);
        // Those that were dead are not counted again.
        assert_eq!(opened.engine.dead_bytes(), dead);
    }
}

/// So many keys that most pieces with a deleted one have another that is there.
#[test]
fn deleted_keys_do_not_come_back_when_pieces_are_built() {
    let mut builder = begin(seed());
    (0..200).for_each(|number| builder.put(&format!("key {number}"), 1));
    (0..200).step_by(2).for_each(|number| builder.delete(&format!("key {number}")));
    builder.seal();
    builder.checkpoint();
    let sample = builder.closed("half of it deleted");
    let opened = open(&without_pieces(&sample)).expect("it opens");
    assert_eq!(opened.index_from(), AT_CLOSE);
    opened.must_hold_all(&sample);
}

/// A key would be missing without a word.
#[test]
fn a_piece_is_not_built_from_a_damaged_segment() {
    let (sample, _) = closed_with_a_checkpoint();
    let last = &sample.states[sample.states.len() - 1];
    for segment in [1, 4] {
        let mut files = without_pieces(&sample);
        remove_hints(&mut files);
        damage_record(&mut files, segment, if segment == 1 { 3 } else { 0 });
        let opened = open(&files).expect("nobody reads records");
        assert_eq!(opened.index_from(), AT_CLOSE);
        for key in last.keys() {
            let error = opened.failure_of(key);
            let path = format!("shelf/{}", name::segment(segment));
            assert_eq!(error.place().map(|(path, _)| path), Some(path.as_str()), "{error}");
            assert!(error.to_string().contains("the checksum of the record"), "{error}");
        }
    }
}

#[test]
fn a_piece_is_not_built_without_a_segment_that_is_gone() {
    let (sample, _) = closed_with_a_checkpoint();
    let last = &sample.states[sample.states.len() - 1];
    let mut files = without_pieces(&sample);
    remove_hints(&mut files);
    let shelf = shelf_of(&files);
    let opened = open_in(shelf.storage(), small()).expect("it opens");
    shelf.storage().remove(&name::segment(2)).expect("it was there");
    for key in last.keys() {
        let error = opened.failure_of(key);
        assert_eq!(error.kind(), Kind::Corrupt, "{error}");
        let text = error.to_string();
        assert!(text.contains("00000002.seg") && text.contains("the file is missing"), "{text}");
    }
}
