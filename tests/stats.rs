//! The figures that an open database gives of itself: bytes live and dead, on disk, put.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;

use common::{bytes_in, TempDir};
use kv::db::{Db, SegmentStats};
use kv::options::{CompactionMode, Options, SyncLevel};

/// Bytes of a record with a key of 8 bytes and a value of 96.
const RECORD: u64 = 16 + 8 + 96;
/// Bytes of a tombstone of such a key.
const TOMBSTONE: u64 = 16 + 8;

fn options() -> Options {
    Options {
        segment_size: 1 << 20,
        sync: SyncLevel::None,
        compaction: CompactionMode::Manual,
        ..Options::default()
    }
}

fn put(db: &Db, keys: std::ops::Range<u64>) {
    keys.for_each(|key| db.put(&key.to_le_bytes(), &[7; 96]).unwrap());
}

#[test]
fn live_and_dead_bytes_are_counted_to_the_byte_and_the_same_after_an_open() {
    let directory = TempDir::new("stats");
    let path = directory.join("db");
    let db = Db::open(&path, &options()).unwrap();
    put(&db, 0..500);
    put(&db, 0..100);
    (0..50_u64).for_each(|key| assert!(db.delete(&key.to_le_bytes()).unwrap()));
    let stats = db.stats();
    assert_eq!(stats.keys, 450);
    assert_eq!(stats.live_bytes, 450 * RECORD);
    assert_eq!(stats.dead_bytes, 150 * RECORD + 50 * TOMBSTONE);
    assert_eq!(stats.bytes_put, 600 * RECORD + 50 * TOMBSTONE);
    assert_eq!((stats.segments, stats.bytes_compacted), (1, 0));
    assert_eq!((stats.writes, stats.deletes), (650, 50));
    assert_eq!((stats.unsynced_writes, stats.sealed_segments, stats.snapshots), (650, 0, 0));
    assert!(stats.opened_unix_ms > 1_600_000_000_000 && !stats.is_read_only);
    db.sync().unwrap();
    assert_eq!(db.stats().unsynced_writes, 0);
    db.close().unwrap();
    let db = Db::open(&path, &options()).unwrap();
    let again = db.stats();
    assert_eq!((again.live_bytes, again.dead_bytes), (stats.live_bytes, stats.dead_bytes));
    assert_eq!((again.bytes_put, again.writes, again.unsynced_writes), (0, 0, 0));
    put(&db, 0..3);
    assert_eq!(db.stats().bytes_put, 3 * RECORD);
}

#[test]
fn bytes_put_and_bytes_on_disk_are_counted_over_several_segments() {
    let directory = TempDir::new("stats");
    let path = directory.join("db");
    let db = Db::open(&path, &options()).unwrap();
    put(&db, 0..50_000);
    let stats = db.stats();
    assert_eq!(stats.bytes_put, 50_000 * RECORD);
    assert_eq!((stats.live_bytes, stats.dead_bytes), (50_000 * RECORD, 0));
    assert!(stats.segments >= 5 && stats.writes == 50_000);
    assert!(stats.index_bytes >= 8 * 50_000);
    let segments = db.segments().unwrap();
    let sum = |of: fn(&SegmentStats) -> u64| segments.iter().map(of).sum::<u64>();
    assert_eq!(segments.len() as u64, stats.segments);
    assert!(segments.windows(2).all(|two| two[0].id < two[1].id));
    assert_eq!((sum(|s| s.live_bytes), sum(|s| s.dead_bytes)), (50_000 * RECORD, 0));
    assert_eq!(sum(|s| u64::from(s.is_active)), 1);
    db.sync().unwrap();
    let (said, found) = (db.stats().disk_bytes, bytes_in(&path));
    // What is not counted is the lock file; allocation goes on in the background.
    assert!(said <= found && found <= said + (2 << 20), "{said} bytes, found {found}");
}
