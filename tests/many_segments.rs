//! Ten thousand segments: maps and descriptors stay below their bounds, and every key is found.

mod common;

use std::path::Path;

use common::TempDir;
use kv::db::Db;
use kv::options::{Options, ReadMode, SyncLevel};

const SEGMENTS: u64 = 10_000;
/// Records of this length fill a segment by two.
const VALUE: usize = 2000;

fn key(number: u64) -> [u8; 8] {
    number.to_be_bytes()
}

fn value(number: u64) -> Vec<u8> {
    let mut value = vec![number as u8; VALUE];
    value[..8].copy_from_slice(&key(number));
    value
}

fn options(read_mode: ReadMode) -> Options {
    Options { segment_size: 8 << 10, sync: SyncLevel::None, read_mode, ..Options::default() }
}

/// How many entries a directory of /proc/self has, or lines one of its files.
fn count(what: &str) -> usize {
    let path = Path::new("/proc/self").join(what);
    match std::fs::read_dir(&path) {
        Ok(entries) => entries.count(),
        Err(_) => std::fs::read_to_string(path).expect("it is there").lines().count(),
    }
}

fn all_are_there(db: &Db, keys: u64) {
    // In two orders: each segment is opened, closed and opened again.
    for number in (0..keys).chain((0..keys).rev().step_by(3)) {
        let right = db.get(&key(number), |found| found == value(number)).expect("get");
        assert_eq!(right, Some(true), "key {number}");
    }
}

#[test]
fn ten_thousand_segments_stay_within_bounds() {
    // This is about counts, not about a disk.
    let directory = TempDir::in_memory("many-segments");
    let path = directory.join("db");
    let keys = SEGMENTS * 2;
    for mode in [ReadMode::Pread, ReadMode::Mmap] {
        let (files, maps) = (count("fd"), count("maps"));
        let db = Db::open(&path, &options(mode)).expect("it opens");
        if mode == ReadMode::Pread {
            (0..keys).for_each(|number| db.put(&key(number), &value(number)).expect("put"));
            // Full segments that wait for being sealed are open, too.
            db.sync().expect("sync");
        }
        all_are_there(&db, keys);
        let bound = options(mode).open_segments();
        let open = db.engine().open_segments();
        assert!(open <= bound && open > bound / 2, "{open} files are open, of {bound}");
        // Some that were closed may wait to be freed, and the segment that is written is open too.
        let slack = 64;
        let (more_files, more_maps) = (count("fd") - files, count("maps") - maps);
        match mode {
            ReadMode::Pread => {
                assert!(
                    more_files <= bound + slack && more_maps <= slack,
                    "{more_files}, {more_maps}"
                );
            }
            ReadMode::Mmap => {
                assert!(
                    more_files <= slack && more_maps <= bound + slack,
                    "{more_files}, {more_maps}"
                );
            }
        }
        db.close().expect("close");
    }
}
