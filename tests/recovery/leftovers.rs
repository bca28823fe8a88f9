//! Files that the manifest does not know: what a crash leaves is removed, and what a damaged
//! manifest has lost is damage.

use kv::format::name::{self, INDEX_NEW, MANIFEST, MANIFEST_NEW, PARTIAL};
use kv::format::segment::HEADER_PAGE;

use super::*;
use crate::common::seed;

#[test]
fn what_a_crash_leaves_is_removed_and_nothing_else() {
    let mut builder = begin(seed());
    fill_three_segments(&mut builder);
    let sample = builder.closed("closed");
    let mut files = sample.files.clone();
    for left in [MANIFEST_NEW, INDEX_NEW, PARTIAL, "00000099.hint"] {
        files.insert(left.into(), b"left".to_vec());
    }
    for (id, len) in [(96, 0), (97, 100), (98, HEADER_PAGE), (99, 3 * HEADER_PAGE)] {
        files.insert(name::segment(id), vec![0; len]);
    }
    let shelf = shelf_of(&files);
    let opened = open_in(shelf.storage(), small()).expect("it opens");
    opened.must_hold_all(&sample);
    let names = |files: &Files| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&shelf.files()), names(&sample.files));
}

/// A database of which `before` are the files at an early moment.
fn grown() -> (Files, Sample) {
    let mut builder = begin(seed());
    builder.put("key 0", LONG);
    let before = builder.files();
    (1..12).for_each(|number| builder.put(&format!("key {number}"), LONG));
    (before, builder.closed("grown"))
}

#[test]
fn a_manifest_that_has_lost_a_segment_of_the_log_is_damaged() {
    let (before, after) = grown();
    let mut with_next = before.clone();
    let mut with_all = before;
    for id in segment_ids(&after.files) {
        let bytes = &after.files[&name::segment(id)];
        with_all.insert(name::segment(id), bytes.clone());
        if id == 2 {
            // The very next id.
            with_next.insert(name::segment(id), bytes.clone());
        }
    }
    for files in [&with_all, &with_next] {
        let error = refused(files);
        assert_eq!(error.place(), Some(("shelf/MANIFEST", 0)), "{error}");
        assert!(error.to_string().contains("00000002.seg"), "{error}");
    }
    // Without a whole record it is one that the manifest has not known yet.
    damage_record(&mut with_next, 2, 0);
    let shelf = shelf_of(&with_next);
    let opened = open_in(shelf.storage(), small()).expect("it opens");
    opened.must_hold(&after, 1);
    assert_eq!(segment_ids(&shelf.files()), [1]);
}

/// What compaction writes is known to the manifest only when all of it is on the medium. If it has
/// records that are newer than the manifest, that has lost its end.
#[test]
fn what_an_interrupted_compaction_leaves_is_removed() {
    let mut builder = begin(seed());
    builder.put("key 0", LONG);
    let early = builder.files();
    (1..12).for_each(|number| builder.put(&format!("key {number}"), LONG));
    builder.put("key 0", LONG);
    builder.seal();
    let before = builder.files();
    builder.compact();
    let sample = builder.closed("compacted");
    assert_eq!(segment_ids(&sample.files), [2, 3, 4, 5]);
    let with_output = |files: &Files| {
        let mut files = files.clone();
        files.insert(name::segment(5), sample.files[&name::segment(5)].clone());
        files
    };
    let shelf = shelf_of(&with_output(&before));
    let opened = open_in(shelf.storage(), small()).expect("it opens");
    opened.must_hold_all(&sample);
    assert_eq!(segment_ids(&shelf.files()), [1, 2, 3, 4]);
    let error = refused(&with_output(&early));
    assert_eq!(error.place(), Some(("shelf/MANIFEST", 0)), "{error}");
    // What the manifest has let go is a leftover, whatever is in it.
    let mut files = sample.files.clone();
    files.insert(name::segment(1), before[&name::segment(1)].clone());
    let shelf = shelf_of(&files);
    let opened = open_in(shelf.storage(), small()).expect("it opens");
    opened.must_hold_all(&sample);
    assert_eq!(segment_ids(&shelf.files()), [2, 3, 4, 5]);
    assert!(shelf.files().contains_key(MANIFEST));
}
