//! The figures that a database publishes in the file `STATS`: there while it is in use, replaced
//! when they have changed and not otherwise, and nobody's damage, whatever becomes of the file.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use common::sim_disk::fault::{Fault, Operation, EDQUOT, EIO, EMFILE, ENOMEM, ENOSPC, EROFS};
use common::sim_disk::SimDisk;
use common::{copy_directory, Random, TempDir};
use kv::db::{self, Db};
use kv::engine::herald::Delivery;
use kv::engine::{recover, Engine};
use kv::error::Kind;
use kv::notice::{Level, Listeners, Notice};
use kv::options::{OnDamage, Options, SyncLevel};
use parking_lot::Mutex;

/// Whoever waits longer than this waits for nothing.
const PATIENCE: Duration = Duration::from_secs(60);

fn published() -> Options {
    Options { segment_size: 1 << 20, publish_stats_ms: 100, ..Options::default() }
}

fn unpublished() -> Options {
    Options { publish_stats_ms: 0, ..published() }
}

/// The file, once it is there and `is_it` says so of it.
#[track_caller]
fn wait_for(path: &Path, is_it: impl Fn(&str) -> bool) -> String {
    let began = Instant::now();
    loop {
        let text = fs::read_to_string(path.join("STATS")).unwrap_or_default();
        if !text.is_empty() && is_it(&text) {
            return text;
        }
        assert!(began.elapsed() < PATIENCE, "it does not come: {text}");
        sleep(Duration::from_millis(10));
    }
}

/// What a line that begins so goes on with.
fn value<'t>(text: &'t str, name: &str) -> &'t str {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name} in {text}"))
}

fn has_keys(keys: u64) -> impl Fn(&str) -> bool {
    move |text| value(text, "libkv_keys") == keys.to_string()
}

fn names(path: &Path) -> Vec<String> {
    let entries = fs::read_dir(path).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn has_stats(path: &Path) -> bool {
    names(path).iter().any(|name| name.starts_with("STATS"))
}

fn put(db: &Db, keys: std::ops::Range<u64>) {
    keys.for_each(|key| db.put(&key.to_le_bytes(), &[7; 1000]).unwrap());
}

#[test]
fn figures_are_there_while_it_is_in_use_and_gone_when_it_is_closed() {
    let directory = TempDir::new("published");
    let path = directory.join("db");
    let options = Options { latency_histograms: true, file_mode: 0o640, ..published() };
    let db = Db::open(&path, &options).unwrap();
    wait_for(&path, has_keys(0));
    put(&db, 0..3000);
    put(&db, 0..1000);
    let text =
        wait_for(&path, |text| has_keys(3000)(text) && value(text, "libkv_writes_total") == "4000");
    assert!(text.starts_with("# libkv figures 1\n# time "), "{text}");
    assert!(text.ends_with("\n# EOF\n"), "{text}");
    assert_eq!(value(&text, "# pid"), std::process::id().to_string());
    assert_eq!((value(&text, "# interval"), value(&text, "# histograms")), ("100", "on"));
    assert_eq!(value(&text, "libkv_writes_total"), "4000");
    assert!(value(&text, "# latency put 32").contains(':'));
    let segments: Vec<Vec<&str>> = text
        .lines()
        .filter_map(|line| Some(line.strip_prefix("# segment ")?.split(' ').collect()))
        .collect();
    let of_all = |at: usize| segments.iter().map(|s| s[at].parse::<u64>().unwrap()).sum::<u64>();
    assert_eq!(segments.len().to_string(), value(&text, "libkv_segments"));
    assert_eq!(of_all(2).to_string(), value(&text, "libkv_live_bytes"));
    assert_eq!(of_all(3).to_string(), value(&text, "libkv_garbage_bytes"));
    assert_eq!(segments.iter().filter(|segment| segment[4] == "active").count(), 1);
    let mode = fs::metadata(path.join("STATS")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
    db.close().unwrap();
    assert!(!has_stats(&path), "{:?}", names(&path));
}

#[test]
fn the_file_is_replaced_only_when_figures_have_changed() {
    let directory = TempDir::new("published");
    let path = directory.join("db");
    let db = Db::open(&path, &Options { sync: SyncLevel::None, ..published() }).unwrap();
    put(&db, 0..10);
    let began = Instant::now();
    let mut text = wait_for(&path, has_keys(10));
    // What is prepared in the background may still change some.
    loop {
        sleep(Duration::from_millis(500));
        let later = wait_for(&path, has_keys(10));
        if later == text {
            break;
        }
        assert!(began.elapsed() < PATIENCE, "it is replaced again and again");
        text = later;
    }
    put(&db, 10..11);
    let later = wait_for(&path, has_keys(11));
    assert_ne!(value(&later, "# time"), value(&text, "# time"));
    db.close().unwrap();
}

#[test]
fn nothing_is_published_unless_that_is_asked_for() {
    let directory = TempDir::new("published");
    let path = directory.join("db");
    let db = Db::open(&path, &unpublished()).unwrap();
    put(&db, 0..10);
    sleep(Duration::from_millis(300));
    assert!(!has_stats(&path));
    db.close().unwrap();
    assert!(!has_stats(&path));
}

/// A directory as the death of a process would leave it.
fn killed(directory: &TempDir) -> std::path::PathBuf {
    let (path, left) = (directory.join("db"), directory.join("left"));
    let db = Db::open(&path, &published()).unwrap();
    put(&db, 0..10);
    db.sync().unwrap();
    wait_for(&path, has_keys(10));
    copy_directory(&path, &left);
    fs::write(left.join("STATS"), wait_for(&path, has_keys(10))).unwrap();
    fs::write(left.join("STATS.new"), "# libkv fig").unwrap();
    db.close().unwrap();
    left
}

#[test]
fn what_a_killed_process_left_is_no_damage_and_the_next_open_removes_it() {
    let directory = TempDir::new("published");
    let left = killed(&directory);
    let report = db::verify(&left).unwrap();
    assert_eq!(report.problems.len(), 0);
    let db = Db::open(&left, &unpublished()).unwrap();
    assert!(!has_stats(&left), "{:?}", names(&left));
    assert_eq!(db.count(), 10);
    db.close().unwrap();
}

#[test]
fn what_a_killed_process_left_is_replaced() {
    let directory = TempDir::new("published");
    let left = killed(&directory);
    let before = fs::read_to_string(left.join("STATS")).unwrap();
    let db = Db::open(&left, &published()).unwrap();
    let after = wait_for(&left, |text| text != before);
    assert_eq!(value(&after, "libkv_writes_total"), "0");
    db.close().unwrap();
    assert!(!has_stats(&left), "{:?}", names(&left));
}

#[test]
fn figures_are_in_no_backup_and_go_with_the_database() {
    let directory = TempDir::new("published");
    let path = directory.join("db");
    let db = Db::open(&path, &published()).unwrap();
    put(&db, 0..10);
    wait_for(&path, has_keys(10));
    assert_eq!(db::verify(&path).unwrap().problems.len(), 0);
    let backup = directory.join("backup");
    db.backup(&backup).unwrap();
    assert!(!has_stats(&backup));
    db.close().unwrap();
    let left = killed(&directory);
    let (restored, salvaged) = (directory.join("restored"), directory.join("salvaged"));
    db::restore(&left, &restored).unwrap();
    db::salvage(&left, &salvaged).unwrap();
    assert!(!has_stats(&restored) && !has_stats(&salvaged));
    // An older backup that a killed process had open is replaced like any other.
    fs::copy(left.join("STATS"), backup.join("STATS")).unwrap();
    let db = Db::open(&path, &unpublished()).unwrap();
    db.backup(&backup).unwrap();
    db.close().unwrap();
    assert!(!has_stats(&backup));
    db::destroy(&left).unwrap();
    assert!(!left.exists());
}

#[test]
fn a_file_of_this_name_that_is_no_databases_is_left_alone() {
    let directory = TempDir::new("published");
    let path = directory.join("db");
    fs::create_dir(&path).unwrap();
    fs::write(path.join("STATS"), "of somebody").unwrap();
    let refused = Db::open(&path, &published()).map(|_| ()).unwrap_err();
    assert_eq!(refused.kind(), Kind::NotADatabase);
    assert_eq!(names(&path), ["STATS"]);
    assert_eq!(fs::read_to_string(path.join("STATS")).unwrap(), "of somebody");
}

#[test]
fn a_directory_of_this_name_keeps_nothing_from_working() {
    let directory = TempDir::new("published");
    let path = directory.join("db");
    Db::open(&path, &unpublished()).unwrap().close().unwrap();
    fs::create_dir_all(path.join("STATS/inside")).unwrap();
    let (listeners, heard) = listeners();
    let db = Db::open(&path, &Options { listeners, ..published() }).unwrap();
    put(&db, 0..10);
    sleep(Duration::from_millis(400));
    put(&db, 10..20);
    sleep(Duration::from_millis(200));
    db.close().unwrap();
    assert_eq!(heard.lock().len(), 1, "{:?}", heard.lock());
    assert!(names(&path).contains(&"STATS".to_owned()) && path.join("STATS/inside").is_dir());
    assert!(!names(&path).contains(&"STATS.new".to_owned()));
}

#[test]
fn a_damaged_database_that_is_only_read_is_left_as_it_is() {
    let directory = TempDir::new("published");
    let path = directory.join("db");
    let db = Db::open(&path, &published()).unwrap();
    put(&db, 0..5000);
    db.close().unwrap();
    fs::write(path.join("00000001.seg"), "damaged").unwrap();
    let options = Options { on_damage: OnDamage::ReadOnly, ..published() };
    let db = Db::open(&path, &options).unwrap();
    sleep(Duration::from_millis(300));
    assert!(db.stats().is_read_only && !has_stats(&path));
    drop(db);
}

/// Listeners that keep what is said of publishing.
fn listeners() -> (Listeners, Arc<Mutex<Vec<String>>>) {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let keep = Arc::clone(&heard);
    let log = move |notice: &Notice| {
        if notice.text.as_str().contains("figures") {
            keep.lock().push(notice.text.as_str().to_owned());
        }
    };
    (Listeners { log: Some((Level::Debug, Arc::new(log))), events: None }, heard)
}

/// A database without threads, that publishes when it is told to.
fn alone(disk: &SimDisk, delivery: &Delivery) -> Engine {
    let herald = Arc::clone(delivery.herald());
    recover::open_told(disk.storage(), published(), herald).unwrap()
}

fn figures(disk: &SimDisk) -> String {
    let storage = disk.storage();
    let file = storage.open("STATS", false).unwrap();
    let mut bytes = vec![0; file.len().unwrap() as usize];
    file.read_at(&mut bytes, 0).unwrap();
    String::from_utf8(bytes).unwrap()
}

#[test]
fn a_failing_disk_is_told_once_and_harms_nothing() {
    for of in [Operation::Create, Operation::Write, Operation::Rename, Operation::Remove] {
        for errno in [EIO, ENOSPC, EDQUOT, EROFS, ENOMEM, EMFILE] {
            let disk = SimDisk::new(1);
            let (listeners, heard) = listeners();
            let delivery = Delivery::start(&listeners).unwrap();
            let engine = alone(&disk, &delivery);
            engine.put(b"a", b"1").unwrap();
            engine.publish();
            assert!(has_keys(1)(&figures(&disk)));
            disk.set_fault(Some(Fault { of: Some(of), after: 0, lasting: true, errno }));
            for key in [b"b", b"c", b"d"] {
                engine.put(key, b"1").unwrap();
                engine.publish();
            }
            let struck = disk.struck() > 0;
            disk.set_fault(None);
            assert!(engine.latch().cause().is_none(), "{of:?} {errno}");
            // What was published stays, and the next try goes well.
            assert_eq!(has_keys(1)(&figures(&disk)), struck, "{of:?} {errno}");
            engine.publish();
            assert!(has_keys(4)(&figures(&disk)), "{of:?} {errno}");
            engine.shut_down().unwrap();
            drop(engine);
            drop(delivery);
            assert_eq!(heard.lock().len(), usize::from(struck), "{of:?} {errno} {heard:?}");
            assert!(!disk.listing().contains("STATS"), "{of:?} {errno}: {}", disk.listing());
        }
    }
}

#[test]
fn a_database_opens_and_closes_though_the_file_cannot_be_removed() {
    let disk = SimDisk::new(1);
    let delivery = Delivery::start(&Listeners::default()).unwrap();
    let engine = alone(&disk, &delivery);
    engine.put(b"a", b"1").unwrap();
    engine.publish();
    let left = disk.look(|state| state.kill(&mut Random(1)));
    assert!(left.listing().contains("STATS"));
    left.set_fault(Some(Fault {
        of: Some(Operation::Remove),
        after: 0,
        lasting: true,
        errno: EIO,
    }));
    let engine = alone(&left, &delivery);
    assert_eq!(engine.len(), 1);
    engine.shut_down().unwrap();
    assert!(left.struck() > 0);
}

#[test]
fn a_power_cut_at_any_moment_of_publishing_costs_nothing() {
    const CUTS: u64 = 8;
    let disk = SimDisk::new(1);
    let delivery = Delivery::start(&Listeners::default()).unwrap();
    let engine = alone(&disk, &delivery);
    engine.put(b"a", b"1").unwrap();
    engine.publish();
    engine.put(b"b", b"1").unwrap();
    engine.sync().unwrap();
    let cuts = Arc::new(Mutex::new(Vec::new()));
    let taken = Arc::clone(&cuts);
    disk.watch(Box::new(move |state, _| {
        let mut taken = taken.lock();
        for number in 0..CUTS {
            taken.push(state.cut(&mut Random(number)));
        }
        taken.push(state.kill(&mut Random(0)));
    }));
    engine.publish();
    engine.shut_down().unwrap();
    disk.unwatch();
    drop(engine);
    let cuts = std::mem::take(&mut *cuts.lock());
    assert!(cuts.len() as u64 > 4 * CUTS, "{}", cuts.len());
    let left = cuts.iter().filter(|cut| cut.listing().contains("STATS")).count();
    assert!(left > 0);
    for cut in cuts {
        let options = unpublished();
        let engine = recover::open(cut.storage(), options).unwrap();
        assert_eq!(engine.len(), 2, "{}", cut.listing());
        assert!(!cut.listing().contains("STATS"), "{}", cut.listing());
    }
}
