//! Damage under an open database: whoever meets it hears of it, and everything else goes on.
//!
//! A byte of one value in a sealed segment is changed in the file while the database has it open;
//! then single bits of all files, and their lengths, under both ways of reading.

mod common;
mod damage;

use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use common::{seed, segments_in, Random, TempDir};
use damage::reads::Reader;
use damage::trial::check_place;
use damage::{read_files, small, Damage, Sample};
use kv::clock::{ManualTime, TimeSource};
use kv::db::{Db, WriteBatch, WriteOptions, WriteSync};
use kv::error::{Error, Kind};
use kv::format::name::parse_segment;
use kv::format::record::HEADER_LEN;
use kv::options::{CompactionMode, Options, ReadMode, SyncLevel};

/// Bits of each file that are flipped, and lengths to which it is cut.
const DRAWN: u64 = 120;

/// Changes a byte in the middle of the value that consists of `byte`.
fn change_value(path: &Path, byte: u8) {
    for segment in segments_in(path) {
        let bytes = std::fs::read(&segment).expect("the segment can be read");
        if let Some(at) = bytes.windows(100).position(|window| window == [byte; 100]) {
            let file = std::fs::File::options().write(true).open(&segment);
            let file = file.expect("the segment can be written");
            file.write_all_at(&[!byte], at as u64 + 50).expect("the segment can be written");
            return;
        }
    }
    panic!("the value is nowhere");
}

fn run(read_mode: ReadMode) {
    let directory = TempDir::new("live-damage");
    let path = directory.join("db");
    let options = Options {
        segment_size: 1 << 20,
        sync: SyncLevel::None,
        compaction: CompactionMode::Manual,
        read_mode,
        ..Options::default()
    };
    let db = Db::open(&path, &options).expect("a new database opens");
    for number in 0..10_u8 {
        db.put(&[number], &vec![number; 300_000]).expect("put");
    }
    db.delete(&[9]).expect("delete");
    db.sync().expect("sync");
    change_value(&path, 1);

    let error = db.get(&[1], |value| value.len()).expect_err("the value is damaged");
    assert_eq!(error.kind(), Kind::Corrupt);
    assert!(error.to_string().contains(".seg is damaged at byte "), "{error}");
    assert_eq!(db.view(&[1]).err().map(|error| error.kind()), Some(Kind::Corrupt));
    db.delete(&[2]).expect("delete, which makes the segment worth compacting");
    let error = db.compact().expect_err("compaction does not copy what is damaged");
    assert_eq!(error.kind(), Kind::Corrupt);

    for number in [0, 3, 4, 5, 6, 7, 8] {
        let whole = db.get(&[number], |value| value == vec![number; 300_000]).expect("get");
        assert_eq!(whole, Some(true), "key {number}");
    }
    db.put(&[1], b"written anew").expect("put in the place of what is damaged");
    let found = db.get(&[1], <[u8]>::to_vec).expect("get");
    assert_eq!(found.as_deref(), Some(&b"written anew"[..]));
    db.close().expect("close");
    let error = Db::open(&path, &options).err().expect("what was damaged is still there");
    assert_eq!(error.kind(), Kind::Corrupt);
}

/// With hints an open reads no records. So it is the read that meets the damage, and never answers
/// with an older value.
#[test]
fn damage_behind_a_hint_is_told_to_who_reads_it() {
    let directory = TempDir::new("live-damage");
    let path = directory.join("db");
    let options = Options {
        segment_size: 1 << 20,
        sync: SyncLevel::None,
        compaction: CompactionMode::Manual,
        ..Options::default()
    };
    let db = Db::open(&path, &options).expect("a new database opens");
    for number in 0..10_u8 {
        db.put(&[number], &vec![number; 300_000]).expect("put");
    }
    db.sync().expect("sync");
    db.engine().write_due_hints();
    db.close().expect("close");
    change_value(&path, 1);
    let db = Db::open(&path, &options).expect("the hint spares reading the records");
    for number in 0..10_u8 {
        let found = db.get(&[number], |value| value == vec![number; 300_000]);
        match number {
            1 => assert_eq!(found.err().map(|error| error.kind()), Some(Kind::Corrupt)),
            _ => assert_eq!(found.expect("get"), Some(true), "key {number}"),
        }
    }
    db.close().expect("close");
    for segment in segments_in(&path) {
        let _ = std::fs::remove_file(segment.with_extension("hint"));
    }
    let error = Db::open(&path, &options).err().expect("without a hint all records are read");
    assert_eq!(error.kind(), Kind::Corrupt);
}

#[test]
fn damage_is_told_to_who_meets_it() {
    run(ReadMode::Mmap);
    run(ReadMode::Pread);
}

/// That a value has expired is believed of no damaged record, neither by who reads nor by who
/// writes.
#[test]
fn a_damaged_time_makes_no_value_expire() {
    let directory = TempDir::new("live-damage");
    let path = directory.join("db");
    let time = Arc::new(ManualTime::default());
    time.advance(1_800_000_000_000);
    let options = Options {
        time: TimeSource::Manual(time),
        compaction: CompactionMode::Manual,
        ..Options::default()
    };
    let db = Db::open(&path, &options).expect("a new database opens");
    let until = WriteOptions { ttl_ms: 5_000, ..WriteOptions::default() };
    db.put_with(b"key", &7_i64.to_le_bytes(), &until).expect("put_with");
    let segment = &segments_in(&path)[0];
    let expiry = 1_800_000_005_000_u64.to_le_bytes();
    let bytes = std::fs::read(segment).expect("the segment can be read");
    let at = bytes.windows(8).position(|window| window == expiry).expect("it is in the segment");
    let file = std::fs::File::options().write(true).open(segment);
    file.and_then(|file| file.write_all_at(&[0], at as u64 + 5)).expect("it can be written");

    let absent = WriteOptions { if_absent: true, ..WriteOptions::default() };
    let snapshot = db.engine().open_snapshot().expect("a snapshot");
    let errors = [
        db.get(b"key", <[u8]>::len).map(|_| ()),
        db.ttl(b"key").map(|_| ()),
        db.engine().get_at(&snapshot, b"key", <[u8]>::len).map(|_| ()),
        db.put_with(b"key", b"value", &absent).map(|_| ()),
        db.delete(b"key").map(|_| ()),
        db.add(b"key", 1).map(|_| ()),
        db.touch(b"key", 0).map(|_| ()),
    ];
    for (number, result) in errors.into_iter().enumerate() {
        assert_eq!(result.map_err(|error| error.kind()), Err(Kind::Corrupt), "call {number}");
    }
    db.engine().close_snapshot(snapshot);
}

/// A version or a time is believed of no damaged record by who writes on its condition, or keeps
/// it.
#[test]
fn a_damaged_record_meets_no_condition_and_gives_no_time_on() {
    let directory = TempDir::new("live-damage");
    let path = directory.join("db");
    let options = Options { compaction: CompactionMode::Manual, ..Options::default() };
    let db = Db::open(&path, &options).expect("a new database opens");
    let until = WriteOptions { ttl_ms: 3_600_000, ..WriteOptions::default() };
    db.put_with(b"the key", b"value", &until).expect("put_with");
    let version = db.version(b"the key").expect("version").expect("it is there");
    let segment = &segments_in(&path)[0];
    let bytes = std::fs::read(segment).expect("the segment can be read");
    let key = bytes.windows(7).position(|window| window == b"the key").expect("it is there");
    let file = std::fs::File::options().write(true).open(segment).expect("it can be written");
    let change = |at: usize, bit: u8| {
        file.write_all_at(&[bytes[at] ^ bit], at as u64).expect("it can be written");
    };

    let keeping = WriteOptions { keep_ttl: true, ..WriteOptions::default() };
    let on = |if_version| WriteOptions { if_version, ..WriteOptions::default() };
    // The fifth byte of the time, which is before the key, and the lowest of the sequence.
    for (at, bit) in [(key - 3, 1), (key - 20, 2)] {
        change(at, bit);
        let reserved = |options| db.reserve(b"the key", 5, options).and_then(|r| db.commit(r));
        let errors = [
            db.put_with(b"the key", b"value", &keeping),
            db.put_with(b"the key", b"value", &on(version)),
            db.put_with(b"the key", b"value", &on(version ^ 2)),
            db.delete_with(b"the key", &on(version)),
            db.delete_with(b"the key", &on(version ^ 2)),
            reserved(&keeping),
            reserved(&on(version ^ 2)),
        ];
        for (number, result) in errors.into_iter().enumerate() {
            assert_eq!(result.map_err(|error| error.kind()), Err(Kind::Corrupt), "call {number}");
        }
        change(at, 0);
    }
    assert_eq!(db.version(b"the key").expect("version"), Some(version), "nothing was written");
}

/// A disk that writes an older record to the place of the newer one, both whole, gives no older
/// value: a record stands where it was written or nowhere.
#[test]
fn a_record_in_the_place_of_another_is_damage() {
    let directory = TempDir::new("live-damage");
    let path = directory.join("db");
    let options = Options { compaction: CompactionMode::Manual, ..Options::default() };
    let db = Db::open(&path, &options).expect("a new database opens");
    for value in *b"on" {
        db.put(b"the key", &[value; 300]).expect("put");
    }
    let segment = &segments_in(&path)[0];
    let bytes = std::fs::read(segment).expect("the segment can be read");
    let keys = bytes.windows(7).enumerate().filter(|(_, window)| window == b"the key");
    let places: Vec<usize> = keys.map(|(at, _)| at - HEADER_LEN).collect();
    let [old, new] = places[..] else { panic!("two records have the key: {places:?}") };
    let file = std::fs::File::options().write(true).open(segment).expect("it can be written");
    file.write_all_at(&bytes[old..new], new as u64).expect("it can be written");
    let found = db.get(b"the key", |value| value[0]).map_err(|error| error.kind());
    assert_eq!(found, Err(Kind::Corrupt));
    let found = db.value_len(b"the key").map_err(|error| error.kind());
    assert_eq!(found, Err(Kind::Corrupt));
}

/// A database with one small value each under "key 0" to "key 3" in one segment, and where their
/// records begin.
fn four_records() -> (TempDir, Db, std::fs::File, [usize; 4]) {
    let directory = TempDir::new("live-damage");
    let options = Options { compaction: CompactionMode::Manual, ..Options::default() };
    let db = Db::open(&directory.join("db"), &options).expect("a new database opens");
    let keys = [0, 1, 2, 3].map(|number| format!("key {number}"));
    keys.iter().for_each(|key| db.put(key.as_bytes(), b"then").expect("put"));
    let segment = &segments_in(&directory.join("db"))[0];
    let bytes = std::fs::read(segment).expect("the segment can be read");
    let places = keys.map(|key| {
        let found = bytes.windows(key.len()).position(|window| window == key.as_bytes());
        found.expect("the key is in the segment") - HEADER_LEN
    });
    let file = std::fs::File::options().read(true).write(true).open(segment);
    (directory, db, file.expect("the segment can be written"), places)
}

/// A record whose sequence is damaged, so that it looks newer than a snapshot which sees it, was
/// not kept for that when it was replaced: the snapshot's reads said "not found".
#[test]
fn a_damaged_sequence_hides_no_replaced_record_from_a_snapshot() {
    let (_directory, db, file, places) = four_records();
    let snapshot = db.open_snapshot().expect("a snapshot");
    // Above all others by the highest byte of what is added to the base.
    places.iter().for_each(|&at| file.write_all_at(&[0x40], at as u64 + 7).expect("write"));
    db.put(b"key 0", b"now").expect("put");
    assert!(db.delete(b"key 1").expect("delete"));
    let mut batch = WriteBatch::new();
    batch.put(b"key 2", b"now", 0).expect("put");
    batch.delete(b"key 3").expect("delete");
    db.write(&batch, WriteSync::AsOpened).expect("write");
    for key in [b"key 0", b"key 1", b"key 2", b"key 3"] {
        let found = db.get_at(&snapshot, key, <[u8]>::to_vec);
        assert_eq!(found.map_err(|error| error.kind()), Err(Kind::Corrupt), "{key:?}");
    }
    let mut iter = db.open_iter(Some(&snapshot), b"").expect("an iterator");
    assert_eq!(db.advance(&mut iter).map_err(|error| error.kind()), Err(Kind::Corrupt));
    db.close_iter(iter);
    db.close_snapshot(snapshot);
    let found = db.get(b"key 0", <[u8]>::to_vec).expect("get");
    assert_eq!(found.as_deref(), Some(&b"now"[..]), "what was written since is whole");
}

/// Zeros in the place of a record, in a segment that was not sealed, ended an iterator without a
/// word.
#[test]
fn zeros_in_the_place_of_a_record_do_not_end_an_iterator() {
    let (_directory, db, file, places) = four_records();
    file.write_all_at(&vec![0; places[2] - places[1]], places[1] as u64).expect("write");
    let mut iter = db.open_iter(None, b"").expect("an iterator");
    assert!(db.advance(&mut iter).expect("the first one is whole"));
    let error = db.advance(&mut iter).expect_err("the second one is not");
    assert_eq!(error.place().map(|(_, offset)| offset), Some(places[1] as u64), "{error}");
    assert!(!db.advance(&mut iter).expect("and then it ends"));
    db.close_iter(iter);
}

/// A sample in a directory of its own, open.
fn open_sample(sample: &Sample, read_mode: ReadMode) -> (TempDir, Db, Options) {
    let directory = TempDir::in_memory("live-damage");
    std::fs::create_dir(directory.join("db")).expect("the directory can be created");
    for (name, bytes) in &sample.files {
        std::fs::write(directory.join("db").join(name), bytes).expect("a file is written");
    }
    let options = Options { read_mode, ..sample.options.clone() };
    let db = Db::open(&directory.join("db"), &options).expect("it is intact");
    (directory, db, options)
}

/// Reads everything in every way while something is damaged; answers how many keys are.
fn read_damaged(db: &Db, sample: &Sample, file: &str, (from, to): (usize, usize)) -> usize {
    let what = format!("{file}, bytes {from} to {to}");
    let damage = Damage { what, file: file.into(), from, to, bytes: None, stage: None };
    let hear = |error: &Error| check_place(error, std::slice::from_ref(&damage));
    let reader = Reader { engine: db.engine(), keys: &sample.keys, hear: &hear };
    reader.read_all(&sample.states[sample.states.len() - 1])
}

/// One bit after the other is flipped in the files of an open database, and flipped back. In
/// `mmap` mode the maps show it at once; the segment that is written is mapped in either mode.
#[test]
fn bits_of_open_files_are_told_or_do_not_matter() {
    for sample in [small::checkpointed(seed()), small::killed(seed())] {
        for read_mode in [ReadMode::Mmap, ReadMode::Pread] {
            let (directory, db, options) = open_sample(&sample, read_mode);
            let (mut random, mut told) = (Random(seed()), 0);
            for (name, bytes) in &read_files(&directory.join("db")) {
                let opened =
                    std::fs::File::options().write(true).open(directory.join("db").join(name));
                let file = opened.expect("the file can be written");
                let end = bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
                for _ in 0..DRAWN.min(end as u64) {
                    let (at, bit) = (random.below(end as u64) as usize, random.below(8));
                    let put = |byte: u8| file.write_all_at(&[byte], at as u64).expect("write");
                    put(bytes[at] ^ (1 << bit));
                    let damaged = read_damaged(&db, &sample, name, (at, at + 1));
                    assert!(damaged == 0 || parse_segment(name).is_some(), "{name} matters");
                    told += usize::from(damaged > 0);
                    put(bytes[at]);
                }
            }
            assert!(told > 0, "{}: some of them matter", sample.name);
            assert_eq!(read_damaged(&db, &sample, "", (0, 0)), 0, "all is as it was");
            db.close().expect("close");
            let db = Db::open(&directory.join("db"), &options).expect("it opens again");
            assert_eq!(read_damaged(&db, &sample, "", (0, 0)), 0, "all is as it was");
        }
    }
}

/// What reads with `pread` learns that a file was cut; a map would raise SIGBUS.
#[test]
fn files_that_were_cut_while_they_were_open_are_told() {
    let sample = small::checkpointed(seed());
    let (directory, db, _) = open_sample(&sample, ReadMode::Pread);
    assert_eq!(read_damaged(&db, &sample, "", (0, 0)), 0);
    let (mut random, mut told) = (Random(seed()), 0);
    // The last one is the one that is written, which is always mapped.
    let segments = sample.segments();
    for name in &segments[..segments.len() - 1] {
        let bytes = &sample.files[*name];
        let file = std::fs::File::options().write(true).open(directory.join("db").join(name));
        let file = file.expect("the file can be written");
        for _ in 0..DRAWN {
            let len = random.below(bytes.len() as u64) as usize;
            file.set_len(len as u64).expect("it can be cut");
            told += usize::from(read_damaged(&db, &sample, name, (len, bytes.len())) > 0);
            file.write_all_at(&bytes[len..], len as u64).expect("it can be written");
        }
    }
    assert!(told > 0, "some of them matter");
    assert_eq!(read_damaged(&db, &sample, "", (0, 0)), 0, "all is as it was");
}
