//! A directory that others may write to, or read: what they plant under the names of files is never
//! followed, opened or waited for, and what libkv makes there is for its owner alone.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "failures panic, skips are told")]

mod common;
#[path = "hostile/plant.rs"]
mod plant;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{mpsc, Arc};
use std::time::Duration;

use common::{copy_directory, TempDir};
use kv::db::{self, Db};
use kv::error::{Error, Kind, Result};
use kv::options::{CompactionMode, OnDamage, Options, SyncLevel};
use plant::{Outside, Thing, THINGS};

/// Longer than anything here takes, on any machine.
const PATIENCE: Duration = Duration::from_secs(100);
const KEYS: u32 = 200;
/// The sealed segments, the one that is written, and the spare one behind it.
const LIVE: [&str; 3] = ["00000001.seg", "00000002.seg", "00000003.seg"];
/// What is there, and must be.
const NEEDED: [&str; 2] = ["MANIFEST", "00000001.seg"];
/// What is there and can be done without, or may come to be there.
const OTHERS: [&str; 9] = [
    "LOCK",
    "INDEX",
    "INDEX.new",
    "MANIFEST.new",
    "PARTIAL",
    "00000001.hint",
    "00000002.hint",
    "00000099.hint",
    "00000099.seg",
];

fn options() -> Options {
    Options {
        segment_size: 128 << 10,
        sync: SyncLevel::None,
        compaction: CompactionMode::Manual,
        ..Options::default()
    }
}

fn key(number: u32) -> Vec<u8> {
    format!("key {number}").into_bytes()
}

fn value(number: u32) -> Vec<u8> {
    vec![number as u8; 1500]
}

/// Makes a database with two sealed segments, hints and a checkpoint.
fn make(path: &Path) {
    let db = Db::open(path, &options()).unwrap();
    for number in 0..KEYS {
        db.put(&key(number), &value(number)).unwrap();
    }
    // Opened again, it knows which segments are full and have no hints.
    db.close().unwrap();
    let db = Db::open(path, &options()).unwrap();
    db.engine().write_due_hints();
    db.engine().checkpoint();
    db.close().unwrap();
    for name in LIVE.iter().chain(&NEEDED).chain(&["LOCK", "INDEX", "00000001.hint"]) {
        assert!(path.join(name).exists(), "{name}: the test wants it");
    }
}

/// An error unless every key has its value.
fn must_hold_all(db: &Db) -> Result<()> {
    for number in 0..KEYS {
        let found = db.get(&key(number), |found| found == value(number))?;
        assert_eq!(found, Some(true), "key {number}");
    }
    Ok(())
}

/// What `work` answers. It must answer soon.
fn in_time<T: Send + 'static>(what: &str, work: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, answer) = mpsc::channel();
    let worker = std::thread::spawn(move || drop(done.send(work())));
    match answer.recv_timeout(PATIENCE) {
        Ok(answer) => answer,
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("{what}: it hangs"),
        Err(mpsc::RecvTimeoutError::Disconnected) => match worker.join() {
            Err(panic) => std::panic::resume_unwind(panic),
            Ok(()) => unreachable!("it has answered"),
        },
    }
}

fn names(error: &Error, name: &str, what: &str) {
    assert!(error.to_string().contains(name), "{what}: the error names no file: {error}");
    let kinds = [Kind::Corrupt, Kind::PermissionDenied, Kind::Io, Kind::NotADatabase];
    assert!(kinds.contains(&error.kind()), "{what}: {:?}: {error}", error.kind());
}

/// Runs `work` on a copy of a database in which each thing in turn has each of these names.
fn with_each_planted(
    names: &[&str],
    test: &str,
    work: impl Fn(PathBuf) -> Result<()> + Clone + Send + 'static,
    judge: impl Fn(Thing, &str, &str, Result<()>),
) {
    let directory = TempDir::in_memory(test);
    let (original, path) = (directory.join("original"), directory.join("db"));
    make(&original);
    for &thing in &THINGS {
        for name in names {
            let outside = Outside::new(&directory.join("outside"), &original.join(name));
            copy_directory(&original, &path);
            if !outside.plant(thing, &path.join(name)) {
                println!("{thing:?} cannot be made here");
                continue;
            }
            let what = format!("{test}: {thing:?} as {name}");
            let (work, at) = (work.clone(), path.clone());
            judge(thing, name, &what, in_time(&what, move || work(at)));
            outside.must_be_as_it_was(&what);
            let _ = fs::remove_dir_all(&path);
        }
    }
}

fn open_and_read(path: &Path, options: &Options) -> Result<()> {
    let db = Db::open(path, options)?;
    must_hold_all(&db)?;
    db.close()
}

#[test]
fn what_a_database_needs_must_be_a_file_of_its_own() {
    let work = |path: PathBuf| open_and_read(&path, &options());
    with_each_planted(&NEEDED, "needed", work, |thing, name, what, result| match result {
        // A sealed segment is only read, and has a second name in each backup.
        Ok(()) => assert!(thing == Thing::HardLink && name != "MANIFEST", "{what}"),
        Err(error) => names(&error, name, what),
    });
}

#[test]
fn of_a_database_that_is_opened_in_part_no_value_comes_from_elsewhere() {
    let work = |path: PathBuf| {
        let db = Db::open(&path, &Options { on_damage: OnDamage::ReadOnly, ..options() })?;
        for number in 0..KEYS {
            // Its segment may be missing.
            let found = db.get(&key(number), |found| found == value(number))?;
            assert_ne!(found, Some(false), "key {number}");
        }
        db.close()
    };
    let all = ["MANIFEST", LIVE[0], LIVE[1], LIVE[2]];
    with_each_planted(&all, "in-part", work, |thing, name, what, result| match result {
        Ok(()) => assert!(name != "MANIFEST" && (thing != Thing::HardLink || name != LIVE[2])),
        Err(error) => names(&error, name, what),
    });
}

#[test]
fn the_end_of_the_log_is_not_written_through_a_second_name() {
    let name = LIVE[2];
    let work = |path: PathBuf| open_and_read(&path, &options());
    with_each_planted(&[name], "tail", work, |_, name, what, result| {
        names(&result.unwrap_err(), name, what);
    });
}

#[test]
fn what_can_be_done_without_is_taken_for_missing_or_named() {
    let work = |path: PathBuf| open_and_read(&path, &options());
    with_each_planted(&OTHERS, "others", work, |thing, name, what, result| {
        // A lock is held through a descriptor, and one with other names is not written to.
        let is_harmless = match name {
            "LOCK" | "00000099.seg" => thing == Thing::HardLink,
            "INDEX" | "00000001.hint" | "00000002.hint" => true,
            _ => thing != Thing::Directory,
        };
        match result {
            Ok(()) => assert!(is_harmless, "{what}"),
            Err(error) => {
                assert!(!is_harmless, "{what}: {error}");
                names(&error, name, what);
            }
        }
    });
}

#[test]
fn what_is_planted_under_a_database_that_is_open_is_never_written_to() {
    let next = ["00000004.seg", "00000005.seg", "00000006.seg", "00000004.hint"];
    let all: Vec<&str> = NEEDED.iter().chain(&OTHERS).chain(&next).copied().collect();
    let directory = TempDir::in_memory("running");
    let (original, path) = (directory.join("original"), directory.join("db"));
    make(&original);
    for &thing in &THINGS {
        for name in &all {
            let what = format!("running: {thing:?} as {name}");
            let outside = Outside::new(&directory.join("outside"), &original.join(name));
            copy_directory(&original, &path);
            let db = Db::open(&path, &options()).unwrap();
            if outside.plant(thing, &path.join(name)) {
                let backup = directory.join("backup");
                in_time(&what, move || work_on(&db, &backup));
                outside.must_be_as_it_was(&what);
                let _ = fs::remove_dir_all(directory.join("backup"));
            }
            fs::remove_dir_all(&path).unwrap();
        }
    }
}

/// Whatever writes files. Any of it may fail; no value may be another.
fn work_on(db: &Db, backup: &Path) {
    let results = [
        (0..KEYS).try_for_each(|number| db.put(&key(number), &value(number))),
        db.sync(),
        db.compact(),
        db.backup(backup),
    ];
    db.engine().write_due_hints();
    db.engine().checkpoint();
    for number in 0..KEYS {
        if let Ok(found) = db.get(&key(number), |found| found == value(number)) {
            assert_eq!(found, Some(true), "key {number}");
        }
    }
    drop(results);
}

#[test]
fn destroying_a_database_removes_names_and_nothing_behind_them() {
    let all: Vec<&str> = NEEDED.iter().chain(&OTHERS).chain(&LIVE).copied().collect();
    let work = |path: PathBuf| db::destroy(&path);
    with_each_planted(&all, "destroy", work, |thing, name, what, result| match result {
        Ok(()) => assert!(thing != Thing::Directory, "{what}"),
        Err(error) => names(&error, name, what),
    });
}

#[test]
fn restoring_follows_nothing_that_is_planted_in_a_backup() {
    let all: Vec<&str> = NEEDED.iter().chain(&OTHERS).chain(&LIVE).copied().collect();
    let work = |path: PathBuf| {
        let to = path.with_file_name("restored");
        let restored = db::restore(&path, &to);
        if restored.is_ok() {
            open_and_read(&to, &options()).unwrap();
        }
        let _ = fs::remove_dir_all(to);
        restored
    };
    with_each_planted(&all, "restore", work, |thing, name, what, result| match result {
        Ok(()) => {
            let is_needed = NEEDED.contains(&name) || LIVE.contains(&name);
            assert!(thing == Thing::HardLink || !is_needed, "{what}");
        }
        Err(error) => names(&error, name, what),
    });
}

#[test]
fn a_backup_goes_through_nothing_that_is_planted_in_its_place() {
    let directory = TempDir::in_memory("backup-place");
    let path = directory.join("db");
    make(&path);
    let db = Arc::new(Db::open(&path, &options()).unwrap());
    for &thing in &THINGS {
        for name in ["backup", "backup.partial", "backup.old"] {
            let what = format!("backup: {thing:?} as {name}");
            let at = directory.join(name);
            let outside = Outside::new(&directory.join("outside"), &path.join("MANIFEST"));
            if outside.plant(thing, &at) {
                let (db, to) = (Arc::clone(&db), directory.join("backup"));
                let result = in_time(&what, move || db.backup(&to));
                outside.must_be_as_it_was(&what);
                if let Err(error) = result {
                    assert!(error.to_string().contains(name), "{what}: {error}");
                }
            }
            for name in ["backup", "backup.partial", "backup.old"] {
                let at = directory.join(name);
                let _ = fs::remove_file(&at).or_else(|_| fs::remove_dir_all(&at));
            }
        }
    }
}

/// Two names are exchanged all the while: the file, and a link to a secret or a pipe.
#[test]
fn exchanging_a_file_while_it_is_opened_leads_nowhere_else() {
    let directory = TempDir::in_memory("exchange");
    let path = directory.join("db");
    make(&path);
    for name in ["MANIFEST", "00000001.seg", "00000003.seg", "LOCK", "INDEX"] {
        for thing in [Thing::LinkToFile, Thing::Pipe] {
            let outside = Outside::new(&directory.join("outside"), &path.join(name));
            let (one, other) = (path.join(name), directory.join("other"));
            assert!(outside.plant(thing, &other));
            let is_over = Arc::new(AtomicBool::new(false));
            let flag = Arc::clone(&is_over);
            let attacker = std::thread::spawn(move || {
                let mut turns = 0_u64;
                while !flag.load(Ordering::Relaxed) || turns % 2 == 1 {
                    plant::exchange(&one, &other);
                    turns += 1;
                }
                turns
            });
            let what = format!("{thing:?} exchanged with {name}");
            for _ in 0..60 {
                let at = path.clone();
                let options = Options { create_if_missing: false, ..options() };
                match in_time(&what, move || open_and_read(&at, &options)) {
                    Ok(()) => {}
                    Err(error) => names(&error, "db/", &what),
                }
                outside.must_be_as_it_was(&what);
            }
            is_over.store(true, Ordering::Relaxed);
            assert!(attacker.join().unwrap() > 0);
            fs::remove_file(directory.join("other")).unwrap();
        }
    }
    open_and_read(&path, &options()).unwrap();
}

/// Not a test of its own: the next one runs it, with each umask.
#[test]
#[ignore = "run by modes_are_what_was_asked_for_whatever_the_umask_is"]
fn make_a_database_and_a_backup_of_it() {
    let Some(path) = std::env::var_os("KV_TEST_PATH").map(PathBuf::from) else { return };
    let mut options = options();
    if let Some(mode) = std::env::var_os("KV_TEST_MODE") {
        options.set_text("file_mode", mode.to_str().unwrap()).unwrap();
    }
    let db = Db::open(&path.join("db"), &options).unwrap();
    for number in 0..KEYS {
        db.put(&key(number), &value(number)).unwrap();
    }
    db.engine().write_due_hints();
    db.engine().checkpoint();
    db.compact().unwrap();
    db.backup(&path.join("backup")).unwrap();
    db::restore(&path.join("backup"), &path.join("restored")).unwrap();
    db.close().unwrap();
    open_and_read(&path.join("db"), &options).unwrap();
}

#[test]
fn modes_are_what_was_asked_for_whatever_the_umask_is() {
    for umask in ["000", "022", "077", "777"] {
        for mode in [None, Some("0640"), Some("0666")] {
            let directory = TempDir::in_memory("modes");
            let mut child = std::process::Command::new("sh");
            let run = format!("umask {umask}; exec \"$0\" --ignored --exact \"$1\"");
            child.args(["-c", &run]).arg(std::env::current_exe().unwrap());
            child.arg("make_a_database_and_a_backup_of_it");
            child.env("KV_TEST_PATH", directory.join("")).env_remove("KV_TEST_MODE");
            child.envs(mode.map(|mode| ("KV_TEST_MODE", mode)));
            let output = child.output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
            let (file, above) = match mode {
                None => (0o600, 0o700),
                Some("0640") => (0o640, 0o750),
                Some(_) => (0o666, 0o777),
            };
            for (name, file, above) in
                [("db", file, above), ("backup", file, above), ("restored", 0o600, 0o700)]
            {
                let at = directory.join(name);
                let what = format!("umask {umask}, file_mode {mode:?}: {name}");
                assert_eq!(fs::metadata(&at).unwrap().mode() & 0o7777, above, "{what}");
                let mut count = 0;
                for entry in fs::read_dir(&at).unwrap().map(|entry| entry.unwrap()) {
                    let data = entry.metadata().unwrap();
                    // One that a restored database shares with its backup has the backup's mode.
                    let is_shared = name == "restored" && data.nlink() > 1;
                    let found = data.mode() & 0o7777;
                    assert!(found == file || is_shared, "{what}: {:?}: {found:o}", entry.path());
                    count += 1;
                }
                assert!(count > 4, "{what}");
            }
        }
    }
}
