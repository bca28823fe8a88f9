//! Reading many keys at once: each result is that of a single read, whatever the others are.

mod common;

use std::os::unix::fs::FileExt;

use common::{seed, segments_in, Random, TempDir};
use kv::db::Db;
use kv::error::{Error, Kind, Result};
use kv::options::{CompactionMode, Options, ReadMode, SyncLevel};

fn options(read_mode: ReadMode) -> Options {
    Options {
        segment_size: 1 << 20,
        sync: SyncLevel::None,
        compaction: CompactionMode::Manual,
        read_mode,
        ..Options::default()
    }
}

/// Reads the keys at once, copied and in place; both must say the same.
fn read(db: &Db, keys: &[&[u8]]) -> Vec<Result<Option<Vec<u8>>>> {
    let mut copied: Vec<_> = (0..keys.len()).map(|_| None).collect();
    let take = |at: usize, found: Result<Option<&[u8]>>| {
        assert!(copied[at].is_none(), "key {at} is told twice");
        copied[at] = Some(found.map(|value| value.map(<[u8]>::to_vec)));
    };
    db.get_many(keys.len(), |at| Ok(keys[at]), take).expect("get_many");
    let views = db.view_many(keys.len(), |at| Ok(keys[at])).expect("view_many");
    assert_eq!(views.len(), keys.len());
    let copied: Vec<_> = copied.into_iter().map(|found| found.expect("each key is told")).collect();
    for (at, found) in copied.iter().enumerate() {
        let kind = |error: &Error| error.kind();
        assert_eq!(found.as_ref().err().map(kind), views.value(at).as_ref().err().map(kind));
        if let (Ok(copied), Ok(viewed)) = (found, views.value(at)) {
            assert_eq!(copied.as_deref(), viewed);
        }
    }
    copied
}

fn agrees_with_single_reads(read_mode: ReadMode) {
    let directory = TempDir::new("many");
    let db = Db::open(&directory.join("db"), &options(read_mode)).expect("open");
    let mut random = Random(seed());
    let key = |number: u64| [&number.to_be_bytes()[..], &vec![7; number as usize % 50]].concat();
    for number in 0..5_000 {
        let len = match number % 1_000 {
            0 => 300_000,
            1 => 0,
            _ => random.below(300),
        };
        db.put(&key(number), &random.bytes(len as usize)).expect("put");
    }
    for number in (0..5_000).step_by(7) {
        assert!(db.delete(&key(number)).expect("delete"));
    }
    for count in [0, 1, 31, 32, 33, 1_000] {
        let keys: Vec<Vec<u8>> = (0..count).map(|_| key(random.below(6_000))).collect();
        let keys: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
        for (key, found) in keys.iter().zip(read(&db, &keys)) {
            let single = db.get(key, <[u8]>::to_vec).expect("get");
            assert_eq!(found.expect("found or not"), single, "{key:?}");
        }
    }
    let keys: Vec<Vec<u8>> = (0..100).map(|number| key(50 * number)).collect();
    let views = db.view_many(100, |at| Ok(&keys[at])).expect("view_many");
    let before: Vec<_> = (0..100).map(|at| db.get(&keys[at], <[u8]>::to_vec)).collect();
    (0..100).for_each(|at| db.put(&keys[at], b"new").expect("put"));
    db.compact().expect("compact");
    db.close().expect("close");
    for (at, before) in before.into_iter().enumerate() {
        let before = before.expect("get");
        assert_eq!(views.value(at).expect("a view stays"), before.as_deref());
    }
}

#[test]
fn many_reads_agree_with_single_ones() {
    agrees_with_single_reads(ReadMode::Mmap);
    agrees_with_single_reads(ReadMode::Pread);
}

#[test]
fn what_is_wrong_with_one_key_concerns_it_alone() {
    let directory = TempDir::new("many");
    let path = directory.join("db");
    for read_mode in [ReadMode::Mmap, ReadMode::Pread] {
        let db = Db::open(&path, &options(read_mode)).expect("open");
        for number in 0..40_u8 {
            let len = if number == 39 { 100_000 } else { 200 };
            db.put(&[number], &vec![number; len]).expect("put");
        }
        db.sync().expect("sync");
        let segment = segments_in(&path).pop().expect("there is a segment");
        let bytes = std::fs::read(&segment).expect("the segment can be read");
        let file = std::fs::File::options().write(true).open(&segment).expect("it can be written");
        for number in [3, 39] {
            let at = bytes.windows(100).position(|window| window == [number; 100]);
            let at = at.expect("the value is there") as u64 + 50;
            file.write_all_at(&[!number], at).expect("the segment can be written");
        }
        let long = vec![1; 70_000];
        let keys: [&[u8]; 9] = [&[0], &[3], &[], &[38], &long, &[39], &[200], &[0], &[1]];
        let found = read(&db, &keys);
        let kinds: Vec<_> = found.iter().map(|f| f.as_ref().err().map(Error::kind)).collect();
        let (damaged, empty) = (Some(Kind::Corrupt), Some(Kind::EmptyKey));
        let expected =
            [None, damaged, empty, None, Some(Kind::KeyTooLong), damaged, None, None, None];
        assert_eq!(kinds, expected);
        for (key, found) in keys.iter().zip(found) {
            if let Ok(found) = found {
                let expected = (key[0] < 40).then(|| vec![key[0]; 200]);
                assert_eq!(found, expected);
            }
        }
        drop(db);
        std::fs::remove_dir_all(&path).expect("the database can be removed");
    }
}
