//! Golden databases: files that an earlier libkv wrote, kept for ever, must open and hold what they
//! held.
//!
//! `tests/golden/v1` has format version 1: `closed`, which was closed, `killed`, as a kill leaves
//! it, and `checkpointed`, closed with a hint and a checkpoint, which came later. A new format
//! version gets a directory of its own:
//!
//! ```text
//! KV_WRITE_GOLDEN=1 cargo test --test golden
//! ```
//!
//! writes what is missing of the current version. It does not overwrite: remove the old one first,
//! if no release has it.

mod common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use common::{copy_directory, segments_in, TempDir};
use kv::db::Db;
use kv::format::{name, FORMAT_VERSION};
use kv::options::{CompactionMode, Options, SyncLevel};

/// The databases of each version.
const NAMES: [&str; 3] = ["closed", "killed", "checkpointed"];

type Contents = BTreeMap<Vec<u8>, Vec<u8>>;

/// A key and what it is set to; `None` deletes it.
type Write<'a> = (&'a [u8], Option<&'a [u8]>);

/// Longer than a record's fixed part, and not a multiple of eight.
const LONG: [u8; 301] = [0x5a; 301];

/// What is written first, and then compacted or synced: puts, overwrites, deletions.
const FIRST: [Write; 10] = [
    (b"apple", Some(b"red")),
    (b"banana", Some(b"")),
    (b"cherry", Some(&LONG)),
    (b"doomed", Some(b"soon")),
    (b"elder", Some(b"to be deleted later")),
    (b"apple", Some(b"green")),
    (b"doomed", None),
    (b"\0", Some(b"a key of one zero byte")),
    (b"\xff\xfe\0key", Some(b"\0value\0\xff")),
    (&LONG, Some(b"a long key")),
];

/// What is written after that.
const SECOND: [Write; 6] = [
    (b"apple", Some(b"eaten")),
    (b"elder", None),
    (b"fig", Some(&LONG)),
    (b"fig", Some(b"")),
    (b"doomed", Some(b"back again")),
    (b"grape", Some(b"the last")),
];

fn contents() -> Contents {
    let mut contents = Contents::new();
    for (key, value) in FIRST.iter().chain(&SECOND) {
        match value {
            Some(value) => contents.insert(key.to_vec(), value.to_vec()),
            None => contents.remove(*key),
        };
    }
    contents
}

fn options() -> Options {
    Options {
        segment_size: 1 << 20,
        sync: SyncLevel::None,
        compaction: CompactionMode::Manual,
        ..Options::default()
    }
}

fn golden(version: u32) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/v{version}"))
}

fn write(db: &Db, writes: &[Write]) {
    for (key, value) in writes {
        match value {
            Some(value) => db.put(key, value).expect("put"),
            None => assert!(db.delete(key).expect("delete"), "the key was there"),
        }
    }
}

/// Copies a database without its lock file, which says nothing of it.
fn keep(from: &Path, to: &Path) {
    copy_directory(from, to);
    std::fs::remove_file(to.join(name::LOCK)).expect("the lock file was copied");
}

/// Two sessions, with a compaction in the first, and closed.
fn write_closed(scratch: &TempDir, to: &Path) {
    let path = scratch.join("closed");
    let db = Db::open(&path, &options()).expect("a new database opens");
    write(&db, &FIRST);
    db.compact().expect("compact");
    db.close().expect("close");
    let db = Db::open(&path, &options()).expect("it opens again");
    write(&db, &SECOND);
    db.close().expect("close");
    keep(&path, to);
}

/// As `closed`, with a hint and a checkpoint.
fn write_checkpointed(scratch: &TempDir, to: &Path) {
    let path = scratch.join("checkpointed");
    let db = Db::open(&path, &options()).expect("a new database opens");
    write(&db, &FIRST);
    db.compact().expect("compact");
    write(&db, &SECOND);
    db.engine().write_due_hints();
    db.engine().checkpoint();
    db.close().expect("close");
    keep(&path, to);
}

/// Some of it on the medium, some not, and copied while it is open.
fn write_killed(scratch: &TempDir, to: &Path) {
    let path = scratch.join("killed");
    let db = Db::open(&path, &options()).expect("a new database opens");
    write(&db, &FIRST);
    db.sync().expect("sync");
    write(&db, &SECOND);
    keep(&path, to);
    // Most of the zeros that were allocated ahead are not worth keeping.
    for segment in segments_in(to) {
        let mut bytes = std::fs::read(&segment).expect("the segment can be read");
        let used = bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
        bytes.truncate(used.next_multiple_of(4096));
        std::fs::write(&segment, bytes).expect("the segment can be written");
    }
}

fn write_golden() {
    let directory = golden(FORMAT_VERSION);
    std::fs::create_dir_all(&directory).expect("the directory can be created");
    let scratch = TempDir::new("golden");
    let writers: [fn(&TempDir, &Path); 3] = [write_closed, write_killed, write_checkpointed];
    for (name, write) in NAMES.into_iter().zip(writers) {
        // Golden files stay as they are.
        if !directory.join(name).exists() {
            write(&scratch, &directory.join(name));
        }
    }
}

fn check(db: &Db, contents: &Contents, context: &str) {
    for (key, value) in contents {
        let found = db.get(key, <[u8]>::to_vec).expect(context);
        assert_eq!(found.as_ref(), Some(value), "{context}: key {key:?}");
    }
    assert_eq!(db.engine().len(), contents.len(), "{context}: number of keys");
}

#[test]
fn every_format_version_opens_and_goes_on() {
    if std::env::var_os("KV_WRITE_GOLDEN").is_some() {
        write_golden();
    }
    let scratch = TempDir::new("golden");
    for version in 1..=FORMAT_VERSION {
        for name in NAMES {
            let context = format!("format version {version}, {name}");
            let path = scratch.join(&format!("v{version}-{name}"));
            copy_directory(&golden(version).join(name), &path);
            let mut contents = contents();
            let db = Db::open(&path, &options()).expect(&context);
            // One that is not believed is removed.
            assert_eq!(path.join(name::INDEX).exists(), name == "checkpointed", "{context}");
            check(&db, &contents, &context);
            db.put(b"new", b"value").expect(&context);
            contents.insert(b"new".to_vec(), b"value".to_vec());
            db.compact().expect(&context);
            check(&db, &contents, &context);
            db.close().expect(&context);
            let db = Db::open(&path, &options()).expect(&context);
            check(&db, &contents, &context);
        }
    }
}
