//! How long opening takes: after closing, after `kill -9`, and without what speeds it up.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::handle::{timed, Handle};
use crate::report::{median, Report, Target};
use crate::settings::Settings;
use crate::workload::{key, stamp};

/// The database that a child loads. A process without this variable is no child.
const CHILD: &str = "KV_SCALE_CHILD";
const CHILD_KEYS: &str = "KV_SCALE_CHILD_KEYS";
const CHILD_VALUE: &str = "KV_SCALE_CHILD_VALUE";
const CHILD_OPTIONS: &str = "KV_SCALE_CHILD_OPTIONS";
const FEW_KEYS: u64 = 10_000;

pub fn run(settings: &Settings, report: &mut Report) {
    let many = settings.size("open-keys");
    let path = settings.fresh("open");
    let small = closed(settings, &path, FEW_KEYS);
    let _ = std::fs::remove_dir_all(&path);
    let large = closed(settings, &path, many);
    let within = Target::AtMost(20.0);
    report.figure(&format!("after closing, {FEW_KEYS} keys"), small, "ms", within);
    report.figure(&format!("after closing, {many} keys"), large, "ms", within);
    report.figure("the one to the other", large / small, "x", Target::AtMost(3.0));
    let removed = remove_helpers(&path);
    let without = open_once(settings, &path);
    report.fact(&format!("without its {removed} hint files and checkpoint"), without, "ms");
    let _ = std::fs::remove_dir_all(&path);
    let killed: Vec<f64> = (0..settings.rounds().min(3))
        .map(|_| {
            load_and_kill(settings, &path, many);
            let time = open_once(settings, &path);
            let _ = std::fs::remove_dir_all(&path);
            time
        })
        .collect();
    let within = Target::AtMost(1000.0);
    report.figure(&format!("after kill -9, {many} keys"), median(killed), "ms", within);
}

/// Milliseconds that opening a closed database of so many keys takes.
fn closed(settings: &Settings, path: &Path, keys: u64) -> f64 {
    let db = Handle::open(path, settings, &[]);
    fill(&db, keys, settings.size("value") as usize);
    db.close();
    median((0..settings.rounds()).map(|_| open_once(settings, path)).collect())
}

fn open_once(settings: &Settings, path: &Path) -> f64 {
    let mut opened = None;
    let seconds = timed(|| opened = Some(Handle::open(path, settings, &[])));
    opened.into_iter().for_each(Handle::close);
    seconds * 1e3
}

fn fill(db: &Handle, keys: u64, value: usize) {
    let mut value = vec![42; value];
    for i in 0..keys {
        stamp(&mut value, i);
        db.put(&key(i), &value);
    }
}

/// Removes what the log can be opened without. Answers how many files that were.
fn remove_helpers(path: &Path) -> usize {
    let entries = std::fs::read_dir(path).expect("the directory can be read").flatten();
    let is_helper = |name: &str| name.ends_with(".hint") || name.starts_with("INDEX");
    let helpers: Vec<PathBuf> = entries
        .filter(|entry| is_helper(&entry.file_name().to_string_lossy()))
        .map(|entry| entry.path())
        .collect();
    helpers.iter().for_each(|path| std::fs::remove_file(path).expect("a file can be removed"));
    helpers.len()
}

/// Has a child load a database, and kills it.
fn load_and_kill(settings: &Settings, path: &Path, keys: u64) {
    let options: Vec<String> =
        settings.options.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let mut child = Command::new(std::env::current_exe().expect("this program has a path"))
        .env(CHILD, path)
        .env(CHILD_KEYS, keys.to_string())
        .env(CHILD_VALUE, settings.size("value").to_string())
        .env(CHILD_OPTIONS, options.join("\n"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a child can be started");
    let mut line = String::new();
    let output = child.stdout.take().expect("the child's output is piped");
    BufReader::new(output).read_line(&mut line).expect("the child can be heard");
    assert_eq!(line.trim(), "loaded", "the child did not load the database");
    child.kill().expect("the child can be killed");
    child.wait().expect("the child has ended");
}

pub fn is_child() -> bool {
    std::env::var_os(CHILD).is_some()
}

/// The body of the child: it loads, and waits to be killed.
pub fn child() {
    let variable = |name| std::env::var(name).unwrap_or_default();
    let number = |name| variable(name).parse().expect("the parent gives a number");
    let options = variable(CHILD_OPTIONS);
    let options: Vec<(&str, &str)> =
        options.lines().filter_map(|line| line.split_once('=')).collect();
    let db = Handle::open_with(Path::new(&variable(CHILD)), &options);
    fill(&db, number(CHILD_KEYS), number(CHILD_VALUE) as usize);
    println!("loaded");
    // Returns when the parent is gone.
    let _ = std::io::stdin().read_line(&mut String::new());
}
