//! top: a database that another process, or this one, has open, seen from outside.

use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use kv::db::Db;
use kv::options::{CompactionMode, Options};

use crate::common::{command, finish, make, records, small, Place};
use crate::kv;

/// Whoever waits longer than this waits for nothing.
const PATIENCE: Duration = Duration::from_secs(100);

fn published() -> Options {
    Options { publish_stats_ms: 100, compaction: CompactionMode::Manual, ..small() }
}

/// Waits until what is published has this in it.
#[track_caller]
fn wait_for(db: &Path, part: &str) {
    let begun = Instant::now();
    while !fs::read_to_string(db.join("STATS")).is_ok_and(|text| text.contains(part)) {
        assert!(begun.elapsed() < PATIENCE, "it does not come: {part}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// A database that this process has open, with 1,000 keys that were put twice.
fn opened(db: &Path, options: &Options) -> Db {
    let open = Db::open(db, options).unwrap();
    for round in 0..2_000_u64 {
        open.put(&(round % 1_000).to_le_bytes(), &[7; 1_000]).unwrap();
    }
    wait_for(db, "\nlibkv_writes_total 2000\n");
    open
}

#[test]
fn top_says_what_is_missing() {
    let place = Place::new("top-missing");
    let db = place.join("db");
    for _ in 0..2 {
        assert!(kv!["top", &db].failed(3).err.contains("db"));
        fs::create_dir_all(&db).unwrap();
    }
    make(&db, &records(13, 10));
    let ran = kv!["top", &db].failed(1);
    for part in ["publishes no figures", "kv_options_set(options, \"publish_stats_ms\", \"1000\")"]
    {
        assert!(ran.err.contains(part), "{ran:?}");
    }
    assert_eq!(kv!["top", &db, "--json"].failed(1).error()["kind"], "not_published");
    kv!["top", &db, "--interval", "0"].with(2);
    kv!["top"].with(2);
    for torn in ["", "# libkv figures 1\n# time 5", "\0\0\0\0", "# libkv figures 99\n# EOF\n"] {
        fs::write(db.join("STATS"), torn).unwrap();
        assert!(kv!["top", &db, "--once"].failed(1).err.contains("torn"));
    }
    fs::remove_file(db.join("STATS")).unwrap();
    std::os::unix::fs::symlink("/dev/zero", db.join("STATS")).unwrap();
    let ran = kv!["top", &db, "--once", "--json"].failed(1);
    assert_eq!(ran.error()["kind"], "unreadable");
}

#[test]
fn top_shows_what_a_database_has_done_and_needs_no_histograms() {
    let place = Place::new("top-once");
    let db = place.join("db");
    let open = opened(&db, &Options { latency_histograms: true, ..published() });
    let text = kv!["top", &db, "--once"].ok();
    let process = format!("process {}", std::process::id());
    let parts = ["keys 1000 ", &process, "\nput ", "p99.9", "one in 32", ".seg [", "live"];
    for part in parts {
        assert!(text.text().contains(part), "{part}: {text:?}");
    }
    assert!(text.text().lines().all(|line| line.chars().count() <= 80), "{text:?}");
    let told = kv!["top", &db, "--once", "--json"].ok().json();
    assert_eq!(
        (told["keys"].as_u64(), told["latency_histograms"].as_bool()),
        (Some(1000), Some(true))
    );
    assert_eq!(told["pid"].as_u64(), Some(std::process::id().into()));
    let stats = open.stats();
    for (name, figure) in [("live_bytes", stats.live_bytes), ("dead_bytes", stats.dead_bytes)] {
        assert_eq!(told[name].as_u64(), Some(figure), "{name}");
        let of_each =
            told["segments"].as_array().unwrap().iter().map(|s| s[name].as_u64().unwrap());
        assert_eq!(of_each.sum::<u64>(), figure, "{name}");
    }
    let seconds = told["seconds"].as_f64().unwrap();
    let puts = told["puts_per_second"].as_f64().unwrap() * seconds;
    assert!((puts - 2000.0).abs() < 1.0, "{told}");
    assert!(told["write_amplification"].as_f64() >= Some(1.0));
    let operations = told["operations"].as_array().unwrap();
    let put = operations.iter().find(|operation| operation["name"] == "put").unwrap();
    assert_eq!(put["timed_one_in"], 32);
    let ns = |name: &str| put[name].as_u64().unwrap();
    assert!(0 < ns("p50_ns") && ns("p50_ns") <= ns("p99_ns"));
    assert!(ns("p99_9_ns") <= ns("longest_ns_since_opening"));
    open.close().unwrap();
    let open = opened(&place.join("untimed"), &published());
    let text = kv!["top", place.join("untimed"), "--once"].ok();
    assert!(text.text().contains("the program sets the option latency_histograms"), "{text:?}");
    open.close().unwrap();
    kv!["top", &db, "--once"].failed(1);
}

/// A process of kv, and its lines.
fn lines_of(args: &[&str], db: &Path) -> (Child, impl Iterator<Item = String>) {
    let mut all: Vec<OsString> = vec!["top".into(), db.into()];
    all.extend(args.iter().map(OsString::from));
    let mut child = command(&all).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    (child, lines.map(|line| line.unwrap()))
}

#[test]
fn top_writes_a_line_for_each_interval_until_the_database_is_closed() {
    let place = Place::new("top-lines");
    let db = place.join("db");
    let open = opened(&db, &published());
    let (child, mut lines) = lines_of(&["--json", "-i", "150ms"], &db);
    let begun = Instant::now();
    let mut most: f64 = 0.0;
    let mut key = 0_u64;
    let mut told = 0;
    // Something happens, and is seen.
    while most == 0.0 || told < 3 {
        assert!(begun.elapsed() < PATIENCE, "no puts are seen");
        for _ in 0..100 {
            open.put(&key.to_le_bytes(), b"value").unwrap();
            key += 1;
        }
        let line: serde_json::Value = serde_json::from_str(&lines.next().unwrap()).unwrap();
        most = most.max(line["puts_per_second"].as_f64().unwrap());
        assert!(line["segments"].is_null(), "{line}");
        told += 1;
    }
    // Nothing happens, and that is seen.
    let is_quiet = |line: String| {
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        line["puts_per_second"].as_f64() == Some(0.0)
            && line["keys"].as_u64() == Some(key.max(1000))
    };
    while !is_quiet(lines.next().unwrap()) {
        assert!(begun.elapsed() < PATIENCE, "puts are seen for ever");
    }
    open.close().unwrap();
    assert!(lines.count() < 1000);
    let ran = finish(child, b"");
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.err.contains("was closed"), "{ran:?}");
}

#[test]
fn top_ends_well_when_it_is_interrupted_and_has_columns() {
    let place = Place::new("top-signal");
    let db = place.join("db");
    let open = opened(&db, &published());
    let (child, mut lines) = lines_of(&["-i", "20ms"], &db);
    assert!(lines.next().unwrap().contains("puts/s"));
    let columns = lines.next().unwrap();
    assert!(columns.contains(" 1000 ") && columns.contains("MiB"), "{columns}");
    let sent = Command::new("sh").args(["-c", &format!("kill -INT {}", child.id())]).status();
    assert!(sent.unwrap().success());
    drop(lines);
    let ran = finish(child, b"");
    // Nobody reads its output any more, or it has heard the signal.
    assert!(ran.code == 0 || ran.code == 141, "{ran:?}");
    open.close().unwrap();
}

/// A process that has a database open and waits for more to import.
fn importing(db: &Path) -> (Child, std::process::ChildStdin) {
    let args = ["import".into(), db.into(), "--create".into(), "--batch".into(), "10".into()];
    let mut child = command(&args).spawn().unwrap();
    let mut to = child.stdin.take().unwrap();
    let lines: String = (0..20).map(|n| format!("{{\"key\":\"{n}\",\"value\":\"\"}}\n")).collect();
    to.write_all(lines.as_bytes()).unwrap();
    wait_for(db, "\nlibkv_keys 20\n");
    (child, to)
}

#[test]
fn top_watches_another_process_and_says_when_it_is_gone() {
    let place = Place::new("top-stale");
    let db = place.join("db");
    let (mut child, to) = importing(&db);
    let told = kv!["top", &db, "--once", "--json"].ok().json();
    assert_eq!((told["pid"].as_u64(), told["keys"].as_u64()), (Some(child.id().into()), Some(20)));
    kv!["stats", &db].failed(4);
    let (top, mut lines) = lines_of(&["-i", "50ms"], &db);
    assert!(lines.next().is_some());
    child.kill().unwrap();
    // Dead, though nobody has waited for it.
    assert!(lines.count() < 1000);
    let ran = finish(top, b"").failed(1);
    assert!(ran.err.contains("is gone") && ran.err.contains(&child.id().to_string()), "{ran:?}");
    child.wait().unwrap();
    drop(to);
    assert_eq!(kv!["top", &db, "--json"].failed(1).error()["kind"], "stale");
    kv!["verify", &db].ok();
    assert_eq!(kv!["count", &db].ok().text().trim(), "20");
    assert!(!db.join("STATS").exists());
    assert_eq!(kv!["top", &db, "--json"].failed(1).error()["kind"], "not_published");
}

#[test]
fn long_commands_publish_and_short_ones_do_not_unless_told() {
    let place = Place::new("top-long");
    let mut args: Vec<OsString> = vec!["bench".into(), "--dir".into(), place.path().into()];
    let on_and_on = ["--keys", "1000", "--operations", "1000000000000", "--workloads", "read"];
    args.extend(on_and_on.map(OsString::from));
    let child = command(&args).spawn().unwrap();
    let db = place.join(&format!("kv-bench-{}", child.id())).join("db");
    wait_for(&db, "\nlibkv_keys 1000\n");
    assert_eq!(kv!["top", &db, "--once", "--json"].ok().json()["keys"], 1000);
    let sent = Command::new("sh").args(["-c", &format!("kill -INT {}", child.id())]).status();
    assert!(sent.unwrap().success());
    finish(child, b"").failed(130);
    kv!["put", place.join("short"), "a", "b", "--create", "-o", "publish_stats_ms=1"].failed(2);
}

/// What a terminal gets while a shell runs `commands` on it, and the file `said` of that place.
/// `feed` is given what has come so far, and answers what is typed.
fn on_a_terminal(
    commands: &str,
    place: &Path,
    mut feed: impl FnMut(&str) -> Option<&'static str>,
) -> (String, PathBuf) {
    let script = place.join("commands");
    fs::write(&script, commands).unwrap();
    let run = format!("timeout --foreground 100 sh {}", script.display());
    let mut child = Command::new("script")
        .args(["-qec", &run, "/dev/null"])
        .env("TERM", "xterm")
        .env("KV", env!("CARGO_BIN_EXE_kv"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut to, mut from) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let mut seen = Vec::new();
    let mut some = [0; 4096];
    loop {
        let len = from.read(&mut some).unwrap();
        if len == 0 {
            break;
        }
        seen.extend_from_slice(&some[..len]);
        if let Some(typed) = feed(&String::from_utf8_lossy(&seen)) {
            to.write_all(typed.as_bytes()).unwrap();
        }
    }
    child.wait().unwrap();
    (String::from_utf8_lossy(&seen).into_owned(), place.join("said"))
}

const ENTERED: &str = "\x1b[?1049h";
const LEFT: &str = "\x1b[?1049l";

#[test]
fn top_gives_the_terminal_back_as_it_was() {
    for (typed, colours) in [("q", ""), ("\x03", "--no-color")] {
        let place = Place::new("top-terminal");
        let db = place.join("db");
        let open = opened(&db, &published());
        let commands = format!(
            "cd '{}'; stty cols 90 rows 30; stty -g > before; \"$KV\" top db -i 60s {colours}; \
             echo $? > said; stty -g > after",
            place.path().display()
        );
        let mut has_typed = false;
        let (seen, said) = on_a_terminal(&commands, place.path(), |seen| {
            let is_due = seen.contains(".seg [") && !has_typed;
            has_typed |= is_due;
            is_due.then_some(typed)
        });
        assert_eq!(fs::read_to_string(said).unwrap().trim(), "0", "{seen}");
        let (entered, left) = (seen.find(ENTERED).unwrap(), seen.find(LEFT).unwrap());
        assert!(entered < left && seen[entered..left].contains("kv top  db"), "{seen}");
        assert!(seen[..left].contains("\x1b[?25h") && seen[..left].contains("\x1b[?7h"), "{seen}");
        assert_eq!(seen.contains("\x1b[32m"), colours.is_empty(), "{seen}");
        let settings = |name: &str| fs::read_to_string(place.join(name)).unwrap();
        assert_eq!(settings("before"), settings("after"));
        open.close().unwrap();
    }
}

#[test]
fn top_draws_again_when_the_terminal_changes_and_ends_when_the_database_is_closed() {
    let place = Place::new("top-resize");
    let db = place.join("db");
    let mut open = Some(opened(&db, &published()));
    let commands = format!(
        "cd '{}'; stty cols 90 rows 30; (sleep 1; stty cols 40 rows 8 < /dev/tty) & \
         \"$KV\" top db -i 3s; echo $? > said",
        place.path().display()
    );
    let (seen, said) = on_a_terminal(&commands, place.path(), |seen| {
        // The second picture; the third finds no database.
        if seen.matches("kv top  db").count() == 2 {
            if let Some(open) = open.take() {
                open.close().unwrap();
            }
        }
        None
    });
    assert_eq!(fs::read_to_string(said).unwrap().trim(), "0", "{seen}");
    let second = &seen[seen.rfind("kv top  db").unwrap()..];
    let second = &second[..second.find(LEFT).unwrap()];
    assert!(second.contains("\x1b[8;1H") && !second.contains("\x1b[9;1H"), "{second}");
    assert!(seen[seen.find(LEFT).unwrap()..].contains("was closed"), "{seen}");
}
