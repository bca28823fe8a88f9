//! What is opened, what is made, what is refused, and what reading leaves as it was.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use kv::db::Db;
use kv::options::{CompactionMode, Options};

use crate::common::{files, make, records, small, Place};
use crate::kv;

#[test]
fn a_missing_database_is_3_and_is_not_made() {
    let place = Place::new("missing");
    let db = place.join("db");
    let to = place.join("to");
    for ran in [
        kv!["get", &db, "k"],
        kv!["put", &db, "k", "v"],
        kv!["delete", &db, "k"],
        kv!["scan", &db],
        kv!["count", &db],
        kv!["stats", &db],
        kv!["verify", &db],
        kv!["salvage", &db, &to],
        kv!["compact", &db],
        kv!["backup", &db, &to],
        kv!["restore", &db, &to],
        kv!["import", &db, "-"],
        kv!["export", &db, &to],
        kv!["watch", &db, "-n", "1"],
    ] {
        ran.failed(3);
    }
    let error = kv!["get", &db, "k", "--json"].failed(3).error();
    assert_eq!((&error["kind"], &error["exit_code"]), (&"does_not_exist".into(), &3.into()));
    assert!(kv!["put", &db, "k", "v"].failed(3).err.contains("--create"));
    // Nor where there is a directory, with something in it or without.
    for name in [None, Some("notes")] {
        fs::create_dir_all(&db).unwrap();
        name.iter().for_each(|name| fs::write(db.join(name), "mine").unwrap());
        kv!["get", &db, "k"].failed(3);
        kv!["watch", &db, "-n", "1"].failed(3);
        let left: Vec<String> = files(&db).into_iter().map(|(name, _)| name).collect();
        assert_eq!(left, name.map(str::to_owned).into_iter().collect::<Vec<_>>());
        assert!(!db.join("LOCK").exists());
    }
    kv!["put", &db, "k", "v", "--create"].failed(3);
    kv!["get", db.join("notes"), "k"].failed(3);
    kv!["get", "redis://host", "k"].failed(2);
    assert!(!to.exists());
}

#[test]
fn a_database_in_use_is_4_and_says_by_whom() {
    let place = Place::new("in-use");
    let path = place.join("db");
    make(&path, &records(3, 100));
    let db = Db::open(&path, &small()).unwrap();
    db.put(b"k", b"v").unwrap();
    db.sync().unwrap();
    let (to, pid) = (place.join("to"), std::process::id().to_string());
    for ran in [
        kv!["get", &path, "k"],
        kv!["put", &path, "k", "w"],
        kv!["put", &path, "k", "w", "--create"],
        kv!["delete", &path, "k"],
        kv!["scan", &path],
        kv!["count", &path],
        kv!["stats", &path],
        kv!["compact", &path],
        kv!["backup", &path, &to],
        kv!["salvage", &path, &to],
        kv!["export", &path, &to],
    ] {
        assert!(ran.failed(4).err.contains(&pid));
    }
    let error = kv!["get", &path, "k", "--json"].failed(4).error();
    assert_eq!(error["kind"], "locked");
    // What only looks works beside its owner.
    assert_eq!(kv!["verify", &path, "--json"].ok().json()["in_use"], true);
    kv!["watch", &path, "-n", "1", "-i", "1ms"].ok();
    assert_eq!(db.get(b"k", <[u8]>::to_vec).unwrap().as_deref(), Some(&b"v"[..]));
    db.close().unwrap();
    assert_eq!(kv!["get", &path, "k"].ok().out, b"v");
}

/// Opens a database until the background has nothing left to do but to compact.
fn settle(path: &Path) {
    let options = Options { compaction: CompactionMode::Manual, ..small() };
    let begun = Instant::now();
    loop {
        let before = files(path);
        let db = Db::open(path, &options).unwrap();
        thread::sleep(Duration::from_millis(500));
        db.close().unwrap();
        if files(path) == before {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(100), "each open writes something");
    }
}

#[test]
fn reading_writes_nothing_but_the_lock() {
    let place = Place::new("reading");
    let db = place.join("db");
    let mut all = records(4, 5000);
    all.iter_mut().for_each(|(_, _, expiry)| *expiry = None);
    make(&db, &all);
    // Garbage enough that the background would compact.
    make(&db, &all);
    make(&db, &all);
    settle(&db);
    let before = files(&db);
    for to in ["first", "second"] {
        kv!["get", &db, "empty"].ok();
        kv!["get", &db, "none"].failed(1);
        kv!["scan", &db].ok();
        kv!["count", &db].ok();
        kv!["stats", &db].ok();
        kv!["verify", &db].ok();
        kv!["export", &db].with(0);
        kv!["backup", &db, place.join(to)].ok();
        kv!["watch", &db, "-n", "1", "-i", "1ms"].ok();
    }
    assert!(files(&db) == before, "a command that reads has changed a file");
}

#[test]
fn options_of_the_library_are_set_by_name() {
    let place = Place::new("options");
    let db = place.join("db");
    let made =
        kv!["put", &db, "k", "v", "--create", "-o", "segment_size=1MiB", "-o", "sync=always"];
    made.ok();
    kv!["get", &db, "k", "--option", "read_mode=pread"].ok();
    assert!(kv!["get", &db, "k", "-o", "snyc=none"].failed(2).err.contains("segment_size"));
    assert!(kv!["get", &db, "k", "-o", "sync=never"].failed(2).err.contains("interval"));
    kv!["get", &db, "k", "-o", "sync"].failed(2);
    for name in ["create_if_missing=true", "error_if_exists=false"] {
        assert!(kv!["get", &db, "k", "-o", name].failed(2).err.contains("--create"));
    }
}
