//! A power cut may leave the name of a segment that compaction removed, with the bytes of a file
//! that has got its blocks since: ext4 with `data=writeback` gives them away before the name is
//! gone for good. The manifest has let such a file go, so it is a leftover, whatever of this
//! database is in it.

mod common;

use kv::db::Db;
use kv::error::Kind;
use kv::options::Options;

use common::{segments_in, TempDir};

const KEYS: u64 = 300;

fn options() -> Options {
    Options { segment_size: 1 << 20, ..Options::default() }
}

fn fill(db: &Db, mark: u8) {
    for key in 0..KEYS {
        db.put(&key.to_le_bytes(), &[mark; 8_000]).expect("put");
    }
}

fn must_hold(db: &Db, mark: u8) {
    for key in 0..KEYS {
        let found = db.get(&key.to_le_bytes(), |value| value == [mark; 8_000]);
        assert_eq!(found.expect("get"), Some(true), "key {key}");
    }
}

#[test]
fn a_removed_segment_with_the_bytes_of_another_file_is_a_leftover() {
    let directory = TempDir::new("reused-blocks");
    let path = directory.join("db");
    let db = Db::open(&path, &options()).expect("open");
    fill(&db, 1);
    let removed = segments_in(&path).remove(0);
    let foreign = {
        let path = directory.join("other");
        fill(&Db::open(&path, &options()).expect("open"), 3);
        std::fs::read(segments_in(&path).remove(0)).expect("a segment can be read")
    };
    fill(&db, 2);
    db.compact().expect("compact");
    db.close().expect("close");
    assert!(!removed.exists(), "compaction removes the first segment");
    let other = std::fs::read(segments_in(&path).remove(0)).expect("a segment can be read");
    // Who put a segment of another database there may have no other.
    std::fs::write(&removed, &foreign).expect("the file can be written");
    let refused = Db::open(&path, &options()).err().expect("it is not ours to remove");
    assert_eq!(refused.kind(), Kind::Corrupt);
    assert!(refused.to_string().contains("00000001.seg"), "{refused}");
    assert!(std::fs::read(&removed).is_ok_and(|found| found == foreign), "it stays as it is");
    for bytes in [other, vec![0; 4096], Vec::new()] {
        std::fs::write(&removed, bytes).expect("the leftover can be written");
        let db = Db::open(&path, &options()).expect("a leftover is no damage");
        must_hold(&db, 2);
        assert!(!removed.exists(), "an open removes it");
        db.close().expect("close");
    }
}
