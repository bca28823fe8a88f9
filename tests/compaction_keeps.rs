//! What compaction may leave out, and what it must keep: tombstones, and what stands for expired
//! values, as long as an older record of their key can come back, and no longer.
//!
//! Segments are small and filled to the byte. What comes back is seen when the database is opened
//! after a kill: then its index is built anew.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;

use std::ops::ControlFlow;

use common::sim_disk::fault::{Operation, EIO};
use common::sized::{Sized, TOMBSTONE};

const SEGMENT: u64 = 16 << 10;

/// How a key goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Deleted,
    Expired,
}

const ENDS: [End; 2] = [End::Deleted, End::Expired];

/// Lets key 1 go, which an older segment holds.
fn end(db: &Sized, end: End) {
    match end {
        End::Deleted => db.delete(1),
        End::Expired => db.put_for_a_second(1, 104),
    }
}

#[test]
fn nothing_stays_of_what_no_older_segment_can_hold() {
    let db = Sized::new(SEGMENT);
    // An older segment, in which nothing is dead: it holds no record of a key that has gone.
    db.put(1, 104);
    db.put(2, db.room() - 104);
    db.put(3, 104);
    db.delete(3);
    db.put_for_a_second(4, 104);
    db.put(5, 104);
    db.time.advance(2000);
    db.engine.compact().unwrap();
    let stats = db.engine.stats();
    assert_eq!((stats.bytes_compacted, stats.dead_bytes, stats.keys), (104, 0, 3));
    let db = db.after_a_kill();
    assert!((1..6).all(|key| db.has(key) == [1, 2, 5].contains(&key)));
}

#[test]
fn what_has_gone_stays_so_while_an_older_segment_between_the_victims_is_left_alone() {
    let db = Sized::new(SEGMENT);
    // A segment before all, so that the victims do not begin with the first record.
    (10..22).for_each(|key| db.put(key, 1000));
    // Much garbage; the old records of what goes; and much garbage again, behind them.
    db.put(30, 3000);
    db.overwrite(31, 1104, 8);
    db.put(40, 12_000);
    db.put(1, 104);
    db.put(2, 104);
    db.put(50, 104);
    db.put_for_a_second(2, 104);
    db.delete(1);
    db.overwrite(51, 1104, 10);
    db.overwrite(51, 984, 1);
    db.put(60, 104);
    db.time.advance(2000);
    assert!(db.engine.compact_if_due().unwrap());
    let stats = db.engine.stats();
    assert_eq!(stats.bytes_compaction_read as usize, 3000 + 8 * 1104 + db.room());
    let live = 3000 + 1104 + 104 + 984;
    assert_eq!(stats.bytes_compacted as usize, live + 2 * TOMBSTONE);
    let check = |db: &Sized| {
        let there = [30, 31, 40, 50, 51, 60];
        assert!((10..22).chain(there).all(|key| db.has(key)));
    };
    let killed = db.after_a_kill();
    assert!(!killed.has(1) && !killed.has(2), "an older value is back");
    check(&killed);
    // What comes later is newer than what stands for what has gone.
    db.put(2, 104);
    db.put(1, 104);
    let killed = db.after_a_kill();
    assert!(killed.has(1) && killed.has(2), "a newer value is hidden");
    check(&killed);
}

#[test]
fn the_first_write_after_a_compaction_hides_what_that_has_copied() {
    for how in ENDS {
        let db = Sized::new(SEGMENT);
        db.put(1, 104);
        db.put(2, 12_000);
        db.overwrite(3, 104, 2);
        db.engine.compact().unwrap();
        assert_eq!(db.engine.stats().bytes_compacted, 12_104);
        end(&db, how);
        db.overwrite(4, 1000, 11);
        db.put(5, 2000);
        db.time.advance(2000);
        let before = db.engine.stats().bytes_compaction_read;
        assert!(db.engine.compact_if_due().unwrap());
        let read = (db.engine.stats().bytes_compaction_read - before) as usize;
        let of_the_key = if how == End::Deleted { TOMBSTONE } else { 104 };
        assert_eq!(read, 11_104 + of_the_key, "only the segment of that write");
        let db = db.after_a_kill();
        assert!((1..6).all(|key| db.has(key) == (key != 1)), "{how:?}");
    }
}

/// Where there is little room, segments that need least of it come first: not the oldest ones.
#[test]
fn a_full_disk_is_no_reason_to_forget_what_hides_older_values() {
    for how in ENDS {
        let db = Sized::new(8 * SEGMENT);
        db.put(1, 104);
        db.put(2, db.room() - 104);
        end(&db, how);
        db.put(3, db.room() - 104);
        // The active segment holds no garbage.
        db.overwrite(3, 104, 1);
        db.seal();
        let storage = db.disk.storage();
        let (free, total) = storage.free_bytes().map(|bytes| (bytes.free, bytes.total)).unwrap();
        // The second segment can be compacted then, the first cannot.
        db.disk.set_capacity(total - free + (100 << 10));
        db.time.advance(2000);
        let mut written = Vec::new();
        let compacted = db.engine.compact_with(&mut |progress| {
            written.push(db.engine.stats().bytes_compacted as usize);
            match progress.segments_done {
                0 => ControlFlow::Continue(()),
                _ => ControlFlow::Break(()),
            }
        });
        assert!(compacted.is_err() && db.engine.stats().segments_removed == 1);
        assert_eq!(written[0], TOMBSTONE, "it is read, though no value in it is needed");
        let db = db.after_a_kill();
        assert!((1..4).all(|key| db.has(key) == (key != 1)), "{how:?}");
    }
}

#[test]
fn a_segment_in_which_all_is_replaced_goes_unread_whatever_is_older() {
    let db = Sized::new(SEGMENT);
    db.put(1, 104);
    db.put(2, db.room() - 104);
    // The first segment has dead records from here on.
    db.put(1, 104);
    db.put(3, db.room() - 104);
    db.put(1, 104);
    db.put(3, 104);
    assert!(db.engine.compact_if_due().unwrap());
    let stats = db.engine.stats();
    assert_eq!((stats.segments_removed, stats.bytes_compaction_read), (1, 0));
    let db = db.after_a_kill();
    assert!((1..4).all(|key| db.has(key)));
}

/// The pieces of the index are brought before the segment goes that they point into.
#[test]
fn a_segment_that_has_expired_stays_while_the_index_cannot_be_read() {
    let db = Sized::new(SEGMENT);
    (0..40).for_each(|key| db.put_for_a_second(key, 304));
    (100..103).for_each(|key| db.put(key, 304));
    let db = db.closed_and_opened();
    db.time.advance(2000);
    db.put(103, 104);
    assert_eq!(db.engine.stats().keys, 44);
    db.fail(Operation::Read, EIO, true);
    assert!(db.engine.compact_if_due().is_err());
    db.disk.set_fault(None);
    assert!(!db.engine.stats().is_read_only);
    assert!(db.engine.compact_if_due().unwrap());
    let stats = db.engine.stats();
    assert_eq!((stats.keys, stats.segments_removed, stats.bytes_compaction_read), (4, 1, 0));
    // Another segment takes the place of the one that went.
    (200..280).for_each(|key| db.put(key, 304));
    let is_there = |key| (100..104).contains(&key) || (200..280).contains(&key);
    assert!((0..300).all(|key| db.has(key) == is_there(key)));
}

/// Records in the active segment, in bytes, and whether it is ended: live ones, dead ones, and
/// those that have expired. A quarter of a segment is 4096 bytes.
#[test]
fn the_end_of_the_log_is_left_when_a_quarter_of_a_segment_has_expired_in_it() {
    let cases = [
        ((6000, 0, 4096), true),
        ((6000, 0, 4088), false),
        ((0, 3000, 1096), true),
        ((0, 2992, 1096), false),
        ((0, 6000, 0), false),
        ((6000, 3000, 1096), false),
    ];
    for (case @ (live, dead, expired), is_ended) in cases {
        let db = Sized::new(SEGMENT);
        if live > 0 {
            db.put(1, live);
        }
        if dead > 0 {
            db.put(2, dead - TOMBSTONE);
            db.delete(2);
        }
        if expired > 0 {
            db.put_for_a_second(3, expired);
        }
        db.engine.compact_if_due().unwrap();
        assert_eq!(db.engine.stats().rolls, 1, "{case:?}: nothing has expired yet");
        db.time.advance(2000);
        db.engine.compact_if_due().unwrap();
        assert_eq!(db.engine.stats().rolls, 1 + u64::from(is_ended), "{case:?}");
    }
}
