//! Restoring: all of a backup is verified, and what is restored holds what was backed up. Damage is
//! named, and nothing is left of what was begun.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;

use common::{copy_directory, seed, segments_in, Random, TempDir};
use kv::db::{self, Db};
use kv::error::Kind;
use kv::options::{CompactionMode, Options, SyncLevel};

type Model = BTreeMap<Vec<u8>, Vec<u8>>;

fn options() -> Options {
    Options {
        segment_size: 128 << 10,
        sync: SyncLevel::None,
        compaction: CompactionMode::Manual,
        ..Options::default()
    }
}

/// A database with several segments, some of them compacted.
fn fill(path: &Path, random: &mut Random) -> (Db, Model) {
    let (db, mut model) = (Db::open(path, &options()).unwrap(), Model::new());
    for number in 0..600_u64 {
        let key = format!("key {}", random.below(200)).into_bytes();
        let value = random.bytes(1500);
        db.put(&key, &value).unwrap();
        model.insert(key, value);
        if number == 300 {
            db.compact().unwrap();
        }
    }
    (db, model)
}

fn must_hold(path: &Path, model: &Model) {
    let db = Db::open(path, &options()).unwrap();
    for (key, value) in model {
        assert_eq!(db.get(key, <[u8]>::to_vec).unwrap().as_ref(), Some(value));
    }
    assert_eq!(db.stats().keys as usize, model.len());
    db.close().unwrap();
}

#[test]
fn damage_in_a_backup_is_named_and_leaves_nothing() {
    let directory = TempDir::new("restore-damage");
    let (backup, to) = (directory.join("backup"), directory.join("to"));
    let mut random = Random(seed());
    let (db, model) = fill(&directory.join("db"), &mut random);
    db.engine().write_due_hints();
    db.engine().checkpoint();
    db.backup(&backup).unwrap();
    db.close().unwrap();
    let mut named = 0;
    for _ in 0..150 {
        let damaged = directory.join("damaged");
        copy_directory(&backup, &damaged);
        let files: Vec<_> = fs::read_dir(&damaged).unwrap().map(|f| f.unwrap().path()).collect();
        let path = &files[random.below(files.len() as u64) as usize];
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let len = fs::metadata(path).unwrap().len();
        let file = fs::File::options().read(true).write(true).open(path).unwrap();
        if name.ends_with(".seg") && random.below(4) == 0 {
            file.set_len(random.below(len)).unwrap();
        } else {
            let (at, mut byte) = (random.below(len.max(1)), [0]);
            if len > 0 {
                file.read_exact_at(&mut byte, at).unwrap();
            }
            file.write_all_at(&[byte[0] ^ 1 << random.below(8)], at).unwrap();
        }
        match db::restore(&damaged, &to) {
            Ok(()) => {
                must_hold(&to, &model);
                fs::remove_dir_all(&to).unwrap();
            }
            Err(error) => {
                named += 1;
                let text = error.to_string();
                // A flipped bit can make a version that is not known, or no manifest at all.
                let kinds = [Kind::Corrupt, Kind::NewerFormat, Kind::NotADatabase];
                assert!(kinds.contains(&error.kind()) && text.contains(&name), "{name}: {text}");
                assert!(!to.exists() && !directory.join("to.partial").exists());
            }
        }
        fs::remove_dir_all(&damaged).unwrap();
    }
    assert!(named > 30, "{named} of 150 were damage");
    db::restore(&backup, &to).unwrap();
    must_hold(&to, &model);
}

#[test]
fn every_flipped_byte_of_a_small_backup_is_noticed_or_of_no_account() {
    let directory = TempDir::in_memory("restore-flips");
    let (backup, to) = (directory.join("backup"), directory.join("to"));
    let db = Db::open(&directory.join("db"), &options()).unwrap();
    let mut model = Model::new();
    for number in 0..3_u8 {
        db.put(&[number], &[number; 20]).unwrap();
        model.insert(vec![number], vec![number; 20]);
    }
    db.backup(&backup).unwrap();
    db.close().unwrap();
    let segments = segments_in(&backup);
    assert_eq!(segments.len(), 1);
    let whole = fs::read(&segments[0]).unwrap();
    for at in (0..72).chain(4096..whole.len()) {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x10;
        fs::write(&segments[0], &damaged).unwrap();
        match db::restore(&backup, &to) {
            // Bytes that mean nothing.
            Ok(()) => {
                must_hold(&to, &model);
                fs::remove_dir_all(&to).unwrap();
                assert!((68..72).contains(&at), "byte {at}");
            }
            Err(error) => assert_eq!(error.kind(), Kind::Corrupt, "byte {at}: {error}"),
        }
    }
}

#[test]
fn what_a_crash_left_can_be_restored() {
    let directory = TempDir::new("restore-crashed");
    let (source, crashed) = (directory.join("db"), directory.join("crashed"));
    let mut random = Random(seed());
    let (db, model) = fill(&source, &mut random);
    db.pause_compaction();
    copy_directory(&source, &crashed);
    // A torn write behind what was acknowledged.
    let last = segments_in(&crashed).into_iter().rev().find(|path| {
        let bytes = fs::read(path).unwrap();
        bytes[4096..].iter().any(|&byte| byte != 0)
    });
    let last = last.unwrap();
    let end = fs::read(&last).unwrap().iter().rposition(|&byte| byte != 0).unwrap() as u64;
    let file = fs::File::options().write(true).open(&last).unwrap();
    file.write_all_at(&[0xee; 40], end.next_multiple_of(8) + 8).unwrap();
    db::restore(&crashed, &directory.join("to")).unwrap();
    must_hold(&directory.join("to"), &model);
    must_hold(&crashed, &model);
    db.close().unwrap();
    // And one that was closed.
    db::restore(&source, &directory.join("closed")).unwrap();
    must_hold(&directory.join("closed"), &model);
}

#[test]
fn databases_of_the_first_version_can_be_restored() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1");
    let directory = TempDir::new("restore-golden");
    for entry in fs::read_dir(golden).unwrap() {
        let from = entry.unwrap().path();
        if !from.join("MANIFEST").exists() {
            continue;
        }
        // The golden files are not to be touched, nor locked.
        let (copy, to) = (directory.join("copy"), directory.join("to"));
        copy_directory(&from, &copy);
        db::restore(&copy, &to).unwrap();
        let keys = |path: &Path| Db::open(path, &Options::default()).unwrap().stats().keys;
        assert_eq!(keys(&to), keys(&copy), "{}", from.display());
        fs::remove_dir_all(&copy).unwrap();
        fs::remove_dir_all(&to).unwrap();
    }
}
