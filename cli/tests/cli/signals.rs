//! Ctrl-C: a command ends tidily, and says what it leaves. And no progress where there is no
//! terminal.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command};
use std::thread;
use std::time::{Duration, Instant};

use crate::common::{command, finish, make, records, Place};
use crate::kv;

fn interrupt(child: &Child) {
    let sent = Command::new("sh").args(["-c", &format!("kill -INT {}", child.id())]).status();
    assert!(sent.unwrap().success());
}

#[test]
fn watch_ends_well() {
    let place = Place::new("signal-watch");
    let db = place.join("db");
    make(&db, &records(11, 10));
    let args = ["watch".into(), db.into(), "-i".into(), "20ms".into(), "--json".into()];
    let mut child = command(&args).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.next().unwrap().unwrap().starts_with('{'));
    interrupt(&child);
    let ran = finish(child, b"");
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
}

#[test]
fn an_import_that_waits_for_its_input_hears_it_and_says_what_it_leaves() {
    let place = Place::new("signal-import");
    let db = place.join("db");
    let args =
        ["import".into(), db.clone().into(), "--create".into(), "--batch".into(), "10".into()];
    let mut child = command(&args).spawn().unwrap();
    let mut to = child.stdin.take().unwrap();
    let lines: String = (0..25).map(|n| format!("{{\"key\":\"{n}\",\"value\":\"\"}}\n")).collect();
    to.write_all(lines.as_bytes()).unwrap();
    // It listens before it opens the database.
    let begun = Instant::now();
    while !db.join("MANIFEST").exists() {
        assert!(begun.elapsed() < Duration::from_secs(100), "it does not begin");
        thread::sleep(Duration::from_millis(10));
    }
    thread::sleep(Duration::from_millis(500));
    interrupt(&child);
    let mut ended = None;
    while ended.is_none() {
        assert!(begun.elapsed() < Duration::from_secs(100), "it does not end");
        ended = child.try_wait().unwrap();
        thread::sleep(Duration::from_millis(10));
    }
    let out = child.wait_with_output().unwrap();
    drop(to);
    let err = String::from_utf8(out.stderr).unwrap();
    assert_eq!(out.status.code(), Some(130), "{err}");
    assert!(err.starts_with("kv: interrupted; ") && err.contains("records are in the database"));
    kv!["verify", &db].ok();
    let count = kv!["count", &db].ok();
    assert!(err.contains(&format!(" {} records", count.text().trim())), "{err} {count:?}");
}

#[test]
fn bench_removes_its_directory() {
    let place = Place::new("signal-bench");
    let mut args = vec!["bench".into(), "--dir".into(), place.path().into()];
    // It reads on and on, and fills no disk.
    let on_and_on = ["--keys", "1000", "--operations", "1000000000000", "--workloads", "read"];
    args.extend(on_and_on.map(OsString::from));
    let child = command(&args).spawn().unwrap();
    let begun = Instant::now();
    while std::fs::read_dir(place.path()).unwrap().count() == 0 {
        assert!(begun.elapsed() < Duration::from_secs(100), "it does not begin");
        thread::sleep(Duration::from_millis(10));
    }
    thread::sleep(Duration::from_millis(100));
    interrupt(&child);
    let ran = finish(child, b"").failed(130);
    assert!(ran.err.contains("directory of the benchmark is removed"), "{ran:?}");
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0);
}

#[test]
fn nothing_moves_where_there_is_no_terminal() {
    let place = Place::new("progress");
    let db = place.join("db");
    make(&db, &records(12, 20_000));
    make(&db, &records(12, 20_000));
    let file = place.join("f.jsonl");
    // Each of them says nothing at all on standard error.
    kv!["verify", &db].ok();
    kv!["compact", &db].ok();
    kv!["backup", &db, place.join("b")].ok();
    kv!["restore", place.join("b"), place.join("r")].ok();
    kv!["salvage", &db, place.join("s")].ok();
    kv!["export", &db, &file].ok();
    kv!["import", place.join("i"), &file, "--create"].ok();
    kv!["bench", "--dir", place.path(), "--keys", "5000", "--json"].ok();
}
