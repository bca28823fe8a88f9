//! Golden databases: files that an earlier libkv wrote, kept for ever, must open and hold what they
//! held.
//!
//! `tests/golden/v1` has format version 1: `closed`, which was closed, `killed`, as a kill leaves
//! it, and `checkpointed`, closed with a hint and a checkpoint, which came later. `tests/golden/v2`
//! has the same with what version 2 brought, and `everything`, where also sequences are so far
//! apart that compaction needs the wide field, and a sealed segment of the log has all kinds of
//! records; and `timed`, whose files know how far the clock was. A new format version gets a
//! directory of its own:
//!
//! ```text
//! KV_WRITE_GOLDEN=1 cargo test --test golden
//! ```
//!
//! writes what is missing of the current version. It does not overwrite: remove the old one first,
//! if no release has it.

mod common;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use common::sim_disk::SimDisk;
use common::store::Store;
use common::{copy_directory, segments_in, Random, TempDir};
use kv::clock::{ManualTime, TimeSource};
use kv::db::{Db, WriteBatch, WriteOptions, WriteSync};
use kv::engine::Engine;
use kv::error::Kind;
use kv::format::manifest::{decode_frame, encode_frame, Edit, Frame, Tail, HEADER_LEN};
use kv::format::{name, FORMAT_VERSION};
use kv::options::{CompactionMode, Options, SyncLevel};

/// The databases of a version.
fn names(version: u32) -> &'static [&'static str] {
    const NAMES: [&str; 5] = ["closed", "killed", "checkpointed", "everything", "timed"];
    if version == 1 {
        &NAMES[..3]
    } else {
        &NAMES
    }
}

/// Values, and in how many milliseconds they expire.
type Contents = BTreeMap<Vec<u8>, (Vec<u8>, Option<u64>)>;

/// What the clock says whenever a golden database is written or read.
const NOW_MS: u64 = 1_800_000_000_000;
const AN_HOUR: u64 = 3_600_000;

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

/// What only version 2 can hold.
fn write_third(db: &Db) {
    let an_hour = WriteOptions { ttl_ms: AN_HOUR, ..WriteOptions::default() };
    db.put_with(b"hourly", b"for a while", &an_hour).expect("put_with");
    db.put(b"touched", &LONG).expect("put");
    assert!(db.touch(b"touched", 2 * AN_HOUR).expect("touch"));
    let sum = db.add(b"counter", 7).and_then(|_| db.add(b"counter", -9)).expect("add");
    assert!(sum < 0);
    let mut batch = WriteBatch::new();
    batch.put(b"batch 1", b"", 0).expect("put");
    batch.put(b"batch 2", &LONG, 0).expect("put");
    batch.delete(b"grape").expect("delete");
    batch.put(b"batch 3", b"expires too", 3 * AN_HOUR).expect("put");
    db.write(&batch, WriteSync::AsOpened).expect("write");
    // What comes between leaves a gap.
    let mut reservation = db.reserve(b"reserved", 77, &WriteOptions::default()).expect("reserve");
    db.put(b"beside", b"a reservation").expect("put");
    reservation.fill(&[7; 77]);
    db.commit(reservation).expect("commit");
}

fn contents(version: u32, name: &str) -> Contents {
    let mut contents = Contents::new();
    for (key, value) in FIRST.iter().chain(&SECOND) {
        match value {
            Some(value) => contents.insert(key.to_vec(), (value.to_vec(), None)),
            None => contents.remove(*key),
        };
    }
    if version == 1 {
        return contents;
    }
    contents.remove(&b"grape"[..]);
    let counter = if name == "everything" { -4_i64 } else { -2 };
    let third: [(&[u8], &[u8], u64); 8] = [
        (b"hourly", b"for a while", AN_HOUR),
        (b"touched", &LONG, 2 * AN_HOUR),
        (b"counter", &counter.to_le_bytes(), 0),
        (b"batch 1", b"", 0),
        (b"batch 2", &LONG, 0),
        (b"batch 3", b"expires too", 3 * AN_HOUR),
        (b"beside", b"a reservation", 0),
        (b"reserved", &[7; 77], 0),
    ];
    for (key, value, ttl_ms) in third {
        contents.insert(key.to_vec(), (value.to_vec(), (ttl_ms > 0).then_some(ttl_ms)));
    }
    contents
}

fn options() -> Options {
    let time = Arc::new(ManualTime::default());
    time.advance(NOW_MS);
    Options {
        segment_size: 1 << 20,
        sync: SyncLevel::None,
        compaction: CompactionMode::Manual,
        time: TimeSource::Manual(time),
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
    write_third(&db);
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
    write_third(&db);
    db.engine().write_due_hints();
    db.engine().checkpoint();
    db.close().expect("close");
    keep(&path, to);
}

/// The files know how far the clock was: the header page, since it was synced, and the manifest.
fn write_timed(scratch: &TempDir, to: &Path) {
    let path = scratch.join("timed");
    let db = Db::open(&path, &options()).expect("a new database opens");
    write(&db, &FIRST);
    write(&db, &SECOND);
    write_third(&db);
    db.sync().expect("sync");
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
    write_third(&db);
    keep(&path, to);
    // Most of the zeros that were allocated ahead are not worth keeping.
    for segment in segments_in(to) {
        let mut bytes = std::fs::read(&segment).expect("the segment can be read");
        let used = bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
        bytes.truncate(used.next_multiple_of(4096));
        std::fs::write(&segment, bytes).expect("the segment can be written");
    }
}

/// With a gap of 2^33 in the sequences, as if so many writes had been compacted away, and a sealed
/// segment of the log that was not compacted.
fn write_everything(scratch: &TempDir, to: &Path) {
    let path = scratch.join("everything");
    let db = Db::open(&path, &options()).expect("a new database opens");
    write(&db, &FIRST);
    db.compact().expect("compact");
    db.close().expect("close");
    skip_sequences(&path, 1 << 33);
    let db = Db::open(&path, &options()).expect("it opens again");
    write(&db, &SECOND);
    write_third(&db);
    db.put(b"grape", b"to be deleted by the next batch").expect("put");
    db.compact().expect("compact");
    write_third(&db);
    // Its first step is to end the active segment.
    let cancelled = db.compact_with(|_| ControlFlow::Break(()));
    assert_eq!(cancelled.map_err(|error| error.kind()), Err(Kind::Cancelled));
    let mut batch = WriteBatch::new();
    batch.put(b"batch 1", b"", 0).expect("put");
    batch.put(b"touched", &LONG, 2 * AN_HOUR).expect("put");
    db.write(&batch, WriteSync::AsOpened).expect("write");
    db.engine().write_due_hints();
    db.engine().checkpoint();
    db.close().expect("close");
    keep(&path, to);
}

/// Lets the sequences of a closed database, whose last segment is empty, go on at `next`.
fn skip_sequences(path: &Path, next: u64) {
    let manifest = path.join(name::MANIFEST);
    let mut bytes = std::fs::read(&manifest).expect("the manifest can be read");
    let uuid: [u8; 16] = bytes[16..32].try_into().expect("a uuid");
    let (mut at, mut closed) = (HEADER_LEN as u64, None);
    while let Frame::Edits(edits, end) = decode_frame(&bytes, &uuid, at).expect("there is memory") {
        closed = edits.iter().rev().find_map(|edit| match edit {
            Edit::Closed(tail) => Some(*tail),
            _ => None,
        });
        at = end;
    }
    let id = closed.expect("it was closed").id;
    let tail = Tail { id: 0, len: 0, next_sequence: next };
    let edits = [Edit::Remove { id }, Edit::NextSequence { sequence: next }, Edit::Closed(tail)];
    bytes.extend(encode_frame(&edits, &uuid, at).expect("there is memory"));
    std::fs::write(&manifest, bytes).expect("the manifest can be written");
    std::fs::remove_file(path.join(name::segment(id))).expect("the segment is there");
}

fn write_golden() {
    let directory = golden(FORMAT_VERSION);
    std::fs::create_dir_all(&directory).expect("the directory can be created");
    let scratch = TempDir::new("golden");
    let writers: [fn(&TempDir, &Path); 5] =
        [write_closed, write_killed, write_checkpointed, write_everything, write_timed];
    for (name, write) in names(FORMAT_VERSION).iter().zip(writers) {
        // Golden files stay as they are.
        if !directory.join(name).exists() {
            write(&scratch, &directory.join(name));
        }
    }
}

fn check(engine: &Engine, contents: &Contents, context: &str) {
    for (key, (value, left)) in contents {
        let found = engine.get(key, <[u8]>::to_vec).expect(context);
        assert_eq!(found.as_ref(), Some(value), "{context}: key {key:?}");
        assert_eq!(engine.ttl(key).expect(context), Some(*left), "{context}: key {key:?}");
    }
    assert_eq!(engine.len(), contents.len(), "{context}: number of keys");
}

/// The format version in the header of a manifest.
fn version_of(manifest: &[u8]) -> u32 {
    u32::from_le_bytes(manifest[8..12].try_into().expect("four bytes"))
}

/// Opens a copy of a golden database, and goes on with it.
fn try_golden(version: u32, name: &str, without: &[&str]) {
    let context = format!("format version {version}, {name}, without {without:?}");
    let scratch = TempDir::new("golden");
    let path = scratch.join("db");
    copy_directory(&golden(version).join(name), &path);
    let files = std::fs::read_dir(&path).expect("the directory can be read");
    for file in files.map(|file| file.expect("the directory can be read").path()) {
        if without.iter().any(|suffix| file.to_string_lossy().ends_with(suffix)) {
            std::fs::remove_file(file).expect("the file can be removed");
        }
    }
    let manifest = || std::fs::read(path.join(name::MANIFEST)).expect("the manifest can be read");
    let had_index = path.join(name::INDEX).exists();
    assert_eq!(version_of(&manifest()), version, "{context}");
    let mut contents = contents(version, name);
    let db = Db::open(&path, &options()).expect(&context);
    // Before anything is written that an older libkv does not know.
    assert_eq!(version_of(&manifest()), FORMAT_VERSION, "{context}");
    // One that is not believed is removed.
    let has_index = had_index && version == FORMAT_VERSION;
    assert_eq!(path.join(name::INDEX).exists(), has_index, "{context}");
    check(db.engine(), &contents, &context);
    let mut batch = WriteBatch::new();
    batch.put(b"new", b"value", 0).expect("put");
    batch.put(b"new and short", b"", AN_HOUR).expect("put");
    db.write(&batch, WriteSync::AsOpened).expect(&context);
    contents.insert(b"new".to_vec(), (b"value".to_vec(), None));
    contents.insert(b"new and short".to_vec(), (Vec::new(), Some(AN_HOUR)));
    check(db.engine(), &contents, &context);
    db.compact().expect(&context);
    check(db.engine(), &contents, &context);
    if name == "everything" {
        let versions = [&b"cherry"[..], b"new"].map(|key| db.version(key).expect(&context));
        assert!(versions[0] < Some(100) && versions[1] > Some(1 << 33), "{versions:?}");
    }
    db.close().expect(&context);
    let db = Db::open(&path, &options()).expect(&context);
    check(db.engine(), &contents, &context);
}

#[test]
fn every_format_version_opens_and_goes_on() {
    if std::env::var_os("KV_WRITE_GOLDEN").is_some() {
        write_golden();
    }
    for version in 1..=FORMAT_VERSION {
        for name in names(version) {
            try_golden(version, name, &[]);
            try_golden(version, name, &["INDEX"]);
            try_golden(version, name, &["INDEX", ".hint"]);
        }
    }
}

/// A database of an older version opens wherever the power is cut: while it gets the new version,
/// and in its first new-style writes.
#[test]
fn a_power_cut_at_any_moment_of_an_upgrade() {
    let mut random = Random(common::seed());
    for name in names(1) {
        let disk = SimDisk::new(random.next());
        for entry in std::fs::read_dir(golden(1).join(name)).expect("the directory can be read") {
            let path = entry.expect("the directory can be read").path();
            let bytes = std::fs::read(&path).expect("the file can be read");
            let name = path.file_name().expect("it has a name").to_string_lossy().into_owned();
            let file = disk.storage().create(&name).expect("create");
            file.write_at(&bytes, 0).and_then(|()| file.sync()).expect("write");
        }
        disk.storage().sync_directory().expect("sync");
        let cuts = Arc::new(Mutex::new(Vec::new()));
        let (left, mut chance) = (Arc::clone(&cuts), Random(random.next()));
        disk.watch(Box::new(move |state, _| {
            let mut left = left.lock().expect("no panic");
            left.extend((0..8).map(|_| state.cut(&mut chance)));
        }));
        let store = Store::open(&disk, &options(), false).expect("it opens");
        let mut batch = WriteBatch::new();
        batch.put(b"new", b"value", 0).expect("put");
        batch.delete(b"apple").expect("delete");
        store.engine().write(&batch, WriteSync::Yes).expect("write");
        store.engine().compact().expect("compact");
        store.close().expect("close");
        disk.unwatch();
        let before = contents(1, name);
        let mut after = before.clone();
        after.remove(&b"apple"[..]);
        after.insert(b"new".to_vec(), (b"value".to_vec(), None));
        for (number, cut) in std::mem::take(&mut *cuts.lock().expect("no panic")).iter().enumerate()
        {
            let context = format!("{name}, cut {number}, {}", cut.listing());
            let store = Store::open(cut, &options(), false);
            let store = store.unwrap_or_else(|error| panic!("{context}: {error}"));
            let is_new = store.engine().value_len(b"new").expect(&context).is_some();
            check(store.engine(), if is_new { &after } else { &before }, &context);
        }
    }
}
