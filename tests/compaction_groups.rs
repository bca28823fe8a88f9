//! Compaction group by group: how victims are divided, what is told and counted of them, and what
//! becomes of a group that is given up.
//!
//! Segments are small and filled to the byte, so that all figures are exact.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;

use std::ops::ControlFlow;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use common::sim_disk::fault::{Operation, EMFILE, ENOSPC};
use common::sized::{Sized, TOMBSTONE};
use kv::engine::compact::policy::{Candidate, Limits, View};
use kv::engine::compact::Progress;
use kv::error::Kind;
use kv::format::name;
use kv::notice::{Event, Level, Listeners, Notice};

const SEGMENT: u64 = 16 << 10;
/// Half of what a segment has room for.
const HALF: usize = 6128;

/// Fills four segments whose second halves are dead; the fifth one holds tombstones alone.
fn fill_by_halves(db: &Sized) {
    assert_eq!(db.room(), 2 * HALF);
    for key in 0..4 {
        db.put(key, HALF);
        db.put(100 + key, HALF);
    }
    (100..104).for_each(|key| db.delete(key));
}

#[test]
fn victims_whose_live_records_fill_one_segment_go_together() {
    let db = Sized::new(SEGMENT);
    fill_by_halves(&db);
    let mut told: Vec<Progress> = Vec::new();
    db.engine
        .compact_with(&mut |progress| {
            let stats = db.engine.stats();
            assert!(stats.is_compacting);
            assert_eq!(
                (stats.compaction_done, stats.compaction_total),
                (progress.done_bytes, progress.total_bytes)
            );
            told.push(*progress);
            ControlFlow::Continue(())
        })
        .unwrap();
    let segment = 2 * HALF as u64;
    let total_bytes = 4 * segment + 4 * TOMBSTONE as u64;
    let progress = |done_bytes, segments_done| Progress {
        total_bytes,
        done_bytes,
        segments_total: 5,
        segments_done,
    };
    let expected = [
        progress(segment, 0),
        progress(2 * segment, 0),
        progress(3 * segment, 2),
        progress(4 * segment, 2),
        progress(total_bytes, 2),
    ];
    assert_eq!(told, expected);
    let stats = db.engine.stats();
    assert_eq!((stats.is_compacting, stats.compaction_done, stats.compaction_total), (false, 0, 0));
    // Nobody needs the tombstones: they go unread.
    assert_eq!((stats.bytes_compaction_read, stats.bytes_compacted), (4 * segment, 2 * segment));
    assert_eq!((stats.segments_removed, stats.compactions, stats.keys), (5, 1, 4));
    assert_eq!((stats.sealed_segments, stats.dead_bytes), (2, 0));
    assert!((0..4).all(|key| db.has(key)));
}

#[test]
fn where_there_is_no_garbage_nothing_is_touched() {
    let db = Sized::new(SEGMENT);
    (0..5).for_each(|key| db.put(key, HALF));
    let files = db.files(".seg");
    db.engine.compact().unwrap();
    let stats = db.engine.stats();
    assert_eq!((stats.bytes_compaction_read, stats.segments_removed), (0, 0));
    assert_eq!((stats.sealed_segments, stats.compactions), (2, 1));
    assert_eq!(db.files(".seg"), files);
}

#[test]
fn the_caller_is_asked_after_each_128_kib() {
    let db = Sized::new(1 << 20);
    (0..300).for_each(|key| db.put(key, 1024));
    db.delete(0);
    let mut told = Vec::new();
    db.engine
        .compact_with(&mut |progress| {
            told.push(progress.done_bytes);
            ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(told, [128 << 10, 256 << 10, 300 * 1024 + TOMBSTONE as u64]);
}

#[test]
fn a_compaction_that_is_cancelled_leaves_no_file_behind() {
    let db = Sized::new(SEGMENT);
    fill_by_halves(&db);
    let (mut calls, mut files) = (0, Vec::new());
    let compacted = db.engine.compact_with(&mut |_| {
        calls += 1;
        files = db.files(".seg");
        if calls == 2 {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    assert_eq!((compacted.unwrap_err().kind(), calls), (Kind::Cancelled, 2));
    // The five, an empty one at the end of the log, and the output that was given up.
    assert_eq!((files.len(), db.files(".seg").len()), (7, 6));
    assert_eq!((db.engine.stats().segments_removed, db.engine.stats().keys), (0, 4));
    db.engine.compact().unwrap();
    assert_eq!(db.engine.stats().segments_removed, 5);
    let db = db.after_a_kill();
    assert!((0..4).all(|key| db.has(key)));
}

#[test]
fn each_group_is_told_with_what_it_freed_and_so_is_the_end() {
    let heard: Arc<Mutex<Vec<Notice>>> = Arc::default();
    let keep = {
        let heard = Arc::clone(&heard);
        move |notice: &Notice| heard.lock().unwrap().push(notice.clone())
    };
    let log = Some((Level::Debug, Arc::new(keep) as _));
    let db = Sized::told(SEGMENT, Listeners { log, events: None });
    fill_by_halves(&db);
    db.engine.compact_with(&mut |_| ControlFlow::Break(())).unwrap_err();
    db.engine.compact().unwrap();
    // What was told is delivered by then.
    drop(db);
    let heard = heard.lock().unwrap();
    let groups: Vec<(u64, u64)> = heard
        .iter()
        .filter(|notice| notice.event == Some(Event::Compacted))
        .map(|notice| (notice.figures.count, notice.figures.bytes))
        .collect();
    let half = HALF as u64;
    assert_eq!(groups, [(2, 2 * half), (3, 2 * half + 4 * TOMBSTONE as u64)]);
    let level = |part: &str| {
        let found = heard.iter().find(|notice| notice.text.as_str().contains(part));
        found.map(|notice| notice.level)
    };
    assert_eq!(level("compaction is done"), Some(Level::Info));
    assert_eq!(level("compaction ended early"), Some(Level::Info), "as it was asked to");
}

#[test]
fn pressure_counts_what_is_not_sealed_as_well() {
    let db = Sized::new(16 * SEGMENT);
    db.put(1, 16_000);
    db.put_for_a_second(2, 8000);
    db.put(3, db.room() - 24_000);
    db.overwrite(1, 16_000, 14);
    db.put_for_a_second(4, 30_000);
    db.time.advance(2000);
    assert!(!db.engine.compact_if_due().unwrap(), "there is too little to be had of the first");
    let sealed = Candidate {
        id: 1,
        bytes: db.room() as u64,
        dead: 16_000,
        expired: 8000,
        tombstones: 0,
        needed_from: 0,
        end: 0,
        is_damaged: false,
    };
    let view = View {
        sealed: vec![sealed],
        unsealed_bytes: 14 * 16_000 + 30_000,
        unsealed_dead: 13 * 16_000,
        unsealed_expired: 30_000,
        ..View::default()
    };
    let limits = Limits::new(view.live(), 23, 16 * SEGMENT);
    let expected = (view.pressure(&limits) * 1000.0) as u32;
    assert!(expected > 100, "{expected}");
    assert_eq!(db.engine.control().pressure.load(Ordering::Relaxed), expected);
}

/// All tombstones are needed because of a segment that cannot be read, so that copying the one
/// behind it, which holds others back, frees nothing.
#[test]
fn a_group_that_frees_nothing_is_the_last_one_for_now() {
    let db = Sized::new(SEGMENT);
    (0..306).for_each(|key| db.put(key, 40));
    for first in [0, 140] {
        (first..first + 140).for_each(|key| db.delete(key));
        db.put(1000 + first, db.room() - 140 * TOMBSTONE);
    }
    db.put(2000, 104);
    db.seal();
    let file = db.disk.storage().open(&name::segment(1), true).unwrap();
    file.write_at(&[0xff; 8], 5000).unwrap();
    assert_eq!(db.engine.compact_if_due().unwrap_err().kind(), Kind::Corrupt);
    let read = db.engine.stats().bytes_compaction_read;
    assert!(!db.engine.compact_if_due().unwrap());
    let stats = db.engine.stats();
    assert_eq!(stats.bytes_compaction_read - read, db.room() as u64);
    assert_eq!((stats.bytes_compacted, stats.segments_removed), (db.room() as u64, 1));
}

/// A segment that goes unread, so that compaction writes to the manifest alone.
fn with_one_that_goes(db: &Sized) {
    db.put(1, db.room());
    db.put(1, 104);
    db.seal();
}

#[test]
fn a_manifest_that_finds_no_room_changes_nothing() {
    let db = Sized::new(SEGMENT);
    with_one_that_goes(&db);
    db.fail(Operation::Write, ENOSPC, false);
    assert_eq!(db.engine.compact_if_due().unwrap_err().kind(), Kind::NoSpace);
    assert!(!db.engine.stats().is_read_only && db.has(1));
    assert!(db.engine.compact_if_due().unwrap());
    assert_eq!(db.engine.stats().segments_removed, 1);
}

#[test]
fn a_file_is_kept_open_for_those_who_read_it_and_for_nobody_else() {
    let db = Sized::new(SEGMENT);
    with_one_that_goes(&db);
    // Opened again, it is not read yet.
    let db = db.closed_and_opened();
    db.put(2, 104);
    db.fail(Operation::Open, EMFILE, true);
    assert!(db.engine.compact_if_due().unwrap());
    assert_eq!(db.files(".seg").len(), 1, "it need not be opened");

    let db = Sized::new(SEGMENT);
    fill_by_halves(&db);
    let db = db.closed_and_opened();
    let before = db.files(".seg");
    let mut iter = db.engine.open_iter(None, b"").unwrap();
    db.engine.compact().unwrap();
    assert!(db.files(".seg").iter().all(|name| !before.contains(name)), "the names are gone");
    let mut count = 0;
    while db.engine.advance(&mut iter).unwrap() {
        count += 1;
    }
    assert_eq!(count, 4, "what has no name is read all the same");
    db.engine.close_iter(iter);
}

#[test]
fn a_large_checkpoint_goes_when_a_caller_has_made_the_database_small() {
    let db = Sized::new(SEGMENT);
    fill_by_halves(&db);
    db.engine.checkpoint();
    let file = db.disk.storage().open(name::INDEX, true).unwrap();
    db.engine.compact().unwrap();
    assert_eq!(db.files(name::INDEX).len(), 1, "it is small itself");
    file.write_at(b"at its end", 600 << 10).unwrap();
    db.engine.compact().unwrap();
    assert_eq!(db.files(name::INDEX).len(), 0);
}
