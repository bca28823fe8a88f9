//! Verifying: nothing is found in a sound database, however it was left, and all damage in another.
//!
//! What an open or a read refuses must be reported as damage, and what they cannot see (records
//! that nobody wants any more, bytes that must be zero, a checkpoint) must be reported as well.
//! What is in a gap is nobody's.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;
mod damage;

use std::path::Path;

use common::{copy_directory, seed, Random, TempDir};
use damage::kinds::{append, cut, flip, overwrite, replace};
use damage::{read_files, Answer, Bench, Builder, Damage, Sample};
use kv::db::{self, Db, Form, Report, Subject, WriteBatch, WriteOptions, WriteSync};
use kv::format::name::{parse_segment, INDEX, MANIFEST};
use kv::format::segment::HEADER_PAGE;
use kv::options::{CompactionMode, Options, SyncLevel};

fn verify(path: &Path) -> Report {
    let before = read_files(path);
    let report = db::verify(path).unwrap();
    assert!(read_files(path) == before, "verifying has changed a file");
    report
}

/// Verifies a database with which nothing is wrong.
fn must_be_sound(path: &Path, context: &str) -> Report {
    let report = verify(path);
    assert_eq!(report.counts, [0; 3], "{context}: {}", report.render(Form::Text));
    report
}

fn figure(report: &Report, name: &str) -> u64 {
    report.figures.iter().find(|(known, _)| *known == name).unwrap().1
}

fn golden(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

#[test]
fn golden_databases_of_all_versions_are_sound() {
    let directory = TempDir::new("verify-golden");
    let names = ["closed", "killed", "checkpointed", "everything", "timed"];
    for (version, count) in [("v1", 3), ("v2", 5)] {
        for name in &names[..count] {
            let copy = directory.join(&format!("{version}-{name}"));
            copy_directory(&golden(version).join(name), &copy);
            let report = must_be_sound(&copy, &format!("{version}/{name}"));
            assert!(figure(&report, "records") > 10);
        }
    }
}

const KEYS: u64 = 120;

/// Writes of all kinds.
fn write(db: &Db, steps: u64, random: &mut Random) {
    let key = |random: &mut Random| format!("key {}", random.below(KEYS)).into_bytes();
    for _ in 0..steps {
        let (name, len) = (key(random), random.below(1500) as usize);
        let value = random.bytes(len);
        match random.below(12) {
            0..=4 => db.put(&name, &value).unwrap(),
            5 | 6 => drop(db.delete(&name).unwrap()),
            7 => {
                let ttl_ms = 1 + random.below(3) * random.below(100_000);
                let options = WriteOptions { ttl_ms, ..WriteOptions::default() };
                db.put_with(&name, &value, &options).unwrap();
            }
            8 => {
                let options = WriteOptions::default();
                let mut reservation = db.reserve(&name, len, &options).unwrap();
                reservation.fill(&value);
                match random.below(3) {
                    0 => db.abort(reservation),
                    other => {
                        if other == 1 {
                            db.put(&key(random), b"meanwhile").unwrap();
                        }
                        db.commit(reservation).unwrap();
                    }
                }
            }
            _ => {
                let mut batch = WriteBatch::new();
                for _ in 0..random.below(6) {
                    match random.below(3) {
                        0 => batch.delete(&key(random)).unwrap(),
                        ttl_ms => batch.put(&key(random), &value[..len / 2], ttl_ms - 1).unwrap(),
                    }
                }
                db.write(&batch, WriteSync::AsOpened).unwrap();
            }
        }
    }
}

/// Small segments, so that there are many.
fn options() -> Options {
    Options {
        segment_size: 32 << 10,
        sync: SyncLevel::None,
        compaction: CompactionMode::Manual,
        ..Options::default()
    }
}

#[test]
fn whatever_was_done_to_a_database_it_is_sound() {
    let directory = TempDir::in_memory("verify-sound");
    let path = directory.join("db");
    let mut random = Random(seed());
    for round in 0..40 {
        let mode = [CompactionMode::Manual, CompactionMode::Auto][round % 2];
        let db = Db::open(&path, &Options { compaction: mode, ..options() }).unwrap();
        for step in 0..4 {
            let context = format!("round {round}, step {step}");
            write(&db, 150, &mut random);
            match random.below(6) {
                0 => db.sync().unwrap(),
                1 => db.compact().unwrap(),
                2 => db.engine().write_due_hints(),
                3 => db.engine().checkpoint(),
                _ => {}
            }
            // While it is open, and as a kill would leave it.
            let report = verify_open(&path);
            assert_eq!(report.counts[2], 0, "{context}: {}", report.render(Form::Text));
            db.pause_compaction();
            let killed = directory.join("killed");
            copy_directory(&path, &killed);
            db.resume_compaction();
            let report = verify(&killed);
            // Files of compaction, hints and spare segments may be left.
            assert_eq!(report.counts[1..], [0; 2], "{context}: {}", report.render(Form::Text));
            assert_eq!(figure(&report, "keys_compared"), count_in(&killed), "{context}");
            std::fs::remove_dir_all(&killed).unwrap();
        }
        if random.below(2) == 0 {
            db.engine().checkpoint();
        }
        db.close().unwrap();
        let report = must_be_sound(&path, &format!("round {round}, closed"));
        assert!(!report.is_in_use);
    }
}

fn verify_open(path: &Path) -> Report {
    let report = db::verify(path).unwrap();
    assert!(report.is_in_use);
    report
}

/// How many keys it has.
fn count_in(path: &Path) -> u64 {
    let db = Db::open(path, &options()).unwrap();
    let count = db.count();
    db.close().unwrap();
    count
}

/// Tries one damage, at the open and by verifying.
fn judge(bench: &mut Bench, damage: &[&Damage]) {
    let what: Vec<&str> = damage.iter().map(|damage| damage.what.as_str()).collect();
    let context = format!("{}, {}", bench.sample.name, what.join(" and "));
    bench.lay_out(damage);
    let before = bench.cases.is_multiple_of(64).then(|| read_files(&bench.path()));
    let report = db::verify(&bench.path()).unwrap_or_else(|error| panic!("{context}: {error}"));
    if let Some(before) = before {
        assert!(read_files(&bench.path()) == before, "{context}: a file was changed");
    }
    let text = report.render(Form::Text);
    let found: u64 = report.counts.iter().sum();
    let all = bench.sample.states.len() - 1;
    match bench.try_damage(damage) {
        Answer::Refused => assert!(report.has_damage(), "{context}: refused, but {text}"),
        Answer::Holds(writes) => {
            assert!(
                writes == all || found > 0,
                "{context}: {writes} of {all} are left, but {text}"
            );
        }
    }
    let is_flip = what[0].contains("flipped");
    assert!(found > 0 || !is_flip || bench.sample.name.contains("gap"), "{context}: {text}");
    // Where a whole file is another one, others may seem to be strange.
    let is_named = |damage: &&Damage| {
        text.contains(&damage.file) || text.contains(MANIFEST) || damage.what.contains("another")
    };
    assert!(found == 0 || damage.iter().any(is_named), "{context}: {text}");
}

fn flips_and_cuts(sample: &Sample, stride: usize) {
    let mut bench = Bench::new(sample);
    for (file, bytes) in &sample.files {
        // A checkpoint is long, and zeros for the most part.
        let stride = if file == INDEX { 40 * stride + 1 } else { stride };
        for bit in (0..bytes.len() * 8).step_by(stride) {
            judge(&mut bench, &[&flip(sample, file, bit)]);
        }
        for len in (0..bytes.len()).step_by(stride.div_ceil(2)) {
            judge(&mut bench, &[&cut(sample, file, len)]);
        }
    }
}

/// Closed, with sealed segments, a hint and a checkpoint.
fn closed() -> Sample {
    closed_of(seed())
}

fn closed_of(seed: u64) -> Sample {
    let mut builder = Builder::new(seed);
    builder.write_some();
    builder.compact();
    builder.put("key 1", 300);
    builder.batch(&[("key 2", Some(30)), ("b", Some(0)), ("key 1", None)]);
    builder.put_for_a_day("a day", 13);
    builder.checkpoint();
    builder.put("the last", 100);
    builder.closed("closed")
}

/// Killed, with some writes on the medium and some not.
fn killed(name: &'static str) -> Sample {
    let mut builder = Builder::new(seed() + 1);
    builder.write_some();
    builder.sync();
    if name.contains("gap") {
        builder.write_all_kinds();
    } else {
        builder.put("key 1", 50);
        builder.batch(&[("key 2", Some(30)), ("b", Some(0)), ("key 1", None)]);
        builder.put("key 5", 0);
    }
    builder.killed(name)
}

#[test]
fn flipped_bits_and_cuts_are_found() {
    flips_and_cuts(&closed(), 101);
    flips_and_cuts(&killed("killed"), 61);
    flips_and_cuts(&killed("killed with a gap"), 101);
}

#[test]
fn blocks_and_files_that_are_not_as_they_were_are_found() {
    let other = closed_of(seed() + 5);
    for sample in [closed(), killed("killed")] {
        let mut bench = Bench::new(&sample);
        let mut random = Random(seed());
        for (file, bytes) in &sample.files {
            for block in 0..bytes.len().div_ceil(512).min(40) {
                let source = random.below((bytes.len() as u64 / 512).max(1)) as usize;
                for source in [None, (bytes.len() >= 512).then_some(source)] {
                    judge(&mut bench, &[&overwrite(&sample, file, block, source)]);
                }
            }
            for len in [1, 8, 100, 5000] {
                judge(&mut bench, &[&append(&sample, file, &random.bytes(len))]);
            }
            if file != MANIFEST {
                judge(&mut bench, &[&replace(&sample, file, None, "nothing")]);
            }
            let foreign = other.files.get(file).map(Vec::as_slice);
            judge(&mut bench, &[&replace(&sample, file, foreign, "that of another database")]);
        }
    }
}

#[test]
fn all_of_many_damages_are_found() {
    let sample = closed();
    let largest = sample.segments().into_iter().max_by_key(|name| sample.files[*name].len());
    let file = largest.unwrap();
    let mut bytes = sample.files[file].clone();
    let places = [HEADER_PAGE + 30, (HEADER_PAGE + bytes.len()) / 2, bytes.len() - 60];
    places.iter().for_each(|&at| bytes[at] ^= 0x10);
    let mut bench = Bench::new(&sample);
    let damage = replace(&sample, file, Some(&bytes), "itself with three damages");
    bench.lay_out(&[&damage, &replace(&sample, "INDEX", None, "nothing")]);
    let report = verify(&bench.path());
    let found: Vec<_> = report.problems.iter().filter(|p| p.subject == Subject::Record).collect();
    assert_eq!(found.len(), 3, "{}", report.render(Form::Text));
    for (problem, at) in found.iter().zip(places) {
        let range = problem.offset..problem.offset + problem.len;
        assert!(problem.file == file && range.contains(&(at as u64)), "{problem:?}");
    }
}

/// What is no file under a file's name: neither verifying nor salvaging follows, waits or fails.
#[test]
fn what_is_no_file_is_found() {
    let sample = closed();
    let bench_directory = TempDir::in_memory("verify-planted");
    for file in sample.files.keys() {
        for plant in ["link", "directory", "pipe"] {
            let path = bench_directory.join(&format!("{file}-{plant}"));
            std::fs::create_dir(&path).unwrap();
            for (name, bytes) in sample.files.iter().filter(|(name, _)| *name != file) {
                std::fs::write(path.join(name), bytes).unwrap();
            }
            let place = path.join(file);
            match plant {
                "link" => std::os::unix::fs::symlink("/dev/zero", &place).unwrap(),
                "directory" => std::fs::create_dir(&place).unwrap(),
                _ => {
                    let made = std::process::Command::new("mkfifo").arg(&place).status();
                    assert!(made.unwrap().success());
                }
            }
            let report = db::verify(&path).unwrap();
            let text = report.render(Form::Text);
            let is_spare = parse_segment(file).is_none() && file != MANIFEST;
            assert!(report.has_damage() != is_spare, "{file}, {plant}: {text}");
            assert!(text.contains(file) && text.contains("not a regular file"), "{text}");
            let to = bench_directory.join(&format!("{file}-{plant}-saved"));
            let report = db::salvage(&path, &to).unwrap();
            assert_eq!(report.has_damage(), !is_spare, "{}", report.render(Form::Text));
        }
    }
}
