//! What a database tells of itself: each kind of event happens when it should, with its figures,
//! and never while a lock is held.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex};

use common::sim_disk::fault::{Fault, Operation, EIO};
use common::sim_disk::SimDisk;
use common::{segments_in, TempDir};
use kv::db::Db;
use kv::error::Kind;
use kv::notice::{Event, Level, Listeners, Notice};
use kv::options::{CompactionMode, OnDamage, Options, SyncLevel};

#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<Notice>>>);

impl Heard {
    /// Options that have everything kept here.
    fn options(&self) -> Options {
        let heard = self.clone();
        let keep = move |notice: &Notice| heard.0.lock().unwrap().push(notice.clone());
        Options {
            segment_size: 1 << 20,
            sync: SyncLevel::None,
            compaction: CompactionMode::Manual,
            listeners: Listeners { log: Some((Level::Debug, Arc::new(keep))), events: None },
            ..Options::default()
        }
    }

    fn of(&self, event: Event) -> Vec<Notice> {
        let heard = self.0.lock().unwrap();
        heard.iter().filter(|notice| notice.event == Some(event)).cloned().collect()
    }

    fn one(&self, event: Event) -> Notice {
        let found = self.of(event);
        assert_eq!(found.len(), 1, "{event:?}: {:?}", self.texts());
        found.into_iter().next().unwrap()
    }

    fn texts(&self) -> Vec<String> {
        let heard = self.0.lock().unwrap();
        heard.iter().map(|notice| notice.text.as_str().to_owned()).collect()
    }

    fn has_line(&self, part: &str) -> bool {
        self.texts().iter().any(|text| text.contains(part))
    }
}

fn put(db: &Db, keys: std::ops::Range<u64>) {
    keys.for_each(|key| db.put(&key.to_le_bytes(), &[7; 1000]).unwrap());
}

#[test]
fn a_life_is_told_from_open_to_close() {
    let directory = TempDir::new("events");
    let path = directory.join("db");
    let heard = Heard::default();
    let db = Db::open(&path, &heard.options()).unwrap();
    put(&db, 0..5000);
    put(&db, 0..5000);
    db.compact().unwrap();
    db.close().unwrap();
    let opened = heard.one(Event::Opened);
    assert_eq!((opened.level, opened.figures.count), (Level::Info, 0));
    assert!(opened.text.as_str().contains("it is new"), "{opened:?}");
    assert!(opened.unix_ms > 1_600_000_000_000);
    let sealed = heard.of(Event::Sealed);
    assert!(sealed.len() >= 9, "10 MB in segments of 1 MiB: {}", sealed.len());
    assert!(sealed.iter().all(|s| s.figures.segment > 0 && s.figures.bytes > 900_000));
    let compacted = heard.of(Event::Compacted);
    let won: u64 = compacted.iter().map(|notice| notice.figures.bytes).sum();
    assert!((5_000_000..5_300_000).contains(&won), "{won}: {compacted:?}");
    assert!(compacted.iter().all(|c| c.figures.count > 0 && c.figures.duration_ns > 0));
    assert!(heard.has_line("compaction begins") && heard.has_line("compaction is done"));
    assert!(heard.has_line("a checkpoint of the index was written"));
    let closed = heard.one(Event::Closed);
    assert_eq!((closed.level, heard.of(Event::Dropped).len()), (Level::Info, 0));
    assert_eq!(heard.0.lock().unwrap().last().unwrap().event, Some(Event::Closed));

    let heard = Heard::default();
    let db = Db::open(&path, &heard.options()).unwrap();
    db.close().unwrap();
    let opened = heard.one(Event::Opened);
    assert_eq!(opened.figures.count, 5000);
    let words = "it had been closed; its index comes from the checkpoint made at closing";
    assert!(opened.text.as_str().contains(words), "{opened:?}");
}

#[test]
fn a_torn_end_of_the_log_is_told_after_a_crash() {
    let directory = TempDir::new("events");
    let path = directory.join("db");
    let db = Db::open(&path, &Heard::default().options()).unwrap();
    put(&db, 0..100);
    let copy = directory.join("copy");
    common::copy_directory(&path, &copy);
    let end = db.engine().stats().bytes_put + 4096;
    db.close().unwrap();
    // Half a record behind the last one.
    let segment = segments_in(&copy).pop().unwrap();
    let file = OpenOptions::new().write(true).open(segment).unwrap();
    file.write_all_at(&[0x5A; 100], end).unwrap();
    let heard = Heard::default();
    Db::open(&copy, &heard.options()).unwrap().close().unwrap();
    let cut = heard.one(Event::TailCut);
    assert_eq!((cut.level, cut.figures.segment, cut.figures.bytes), (Level::Warn, 1, end));
    let opened = heard.one(Event::Opened);
    assert_eq!(opened.figures.count, 100);
    assert!(opened.text.as_str().contains("it had not been closed"), "{opened:?}");
}

#[test]
fn damage_is_told_at_open_and_refused_writes_too() {
    let directory = TempDir::new("events");
    let path = directory.join("db");
    let db = Db::open(&path, &Heard::default().options()).unwrap();
    put(&db, 0..3000);
    db.close().unwrap();
    let segments = segments_in(&path);
    OpenOptions::new().write(true).open(&segments[1]).unwrap().write_all_at(&[0; 64], 0).unwrap();
    let heard = Heard::default();
    let refused = Db::open(&path, &heard.options()).err().unwrap();
    assert_eq!(refused.kind(), Kind::Corrupt);
    assert_eq!(heard.one(Event::Damaged).text.as_str(), refused.to_string());
    let heard = Heard::default();
    let options = Options { on_damage: OnDamage::ReadOnly, ..heard.options() };
    let db = Db::open(&path, &options).unwrap();
    let error = db.put(b"key", b"value").unwrap_err();
    assert_eq!(error.kind(), Kind::ReadOnly);
    drop(db);
    let damaged = heard.one(Event::Damaged);
    assert_eq!((damaged.level, damaged.figures.segment), (Level::Error, 2));
    assert_eq!(damaged.text.as_str(), refused.to_string());
    assert!(heard.one(Event::ReadOnly).text.as_str().contains("00000002.seg"));
}

#[test]
fn damage_that_a_read_meets_is_told_once_with_its_place() {
    let directory = TempDir::new("events");
    let path = directory.join("db");
    let heard = Heard::default();
    let db = Db::open(&path, &heard.options()).unwrap();
    put(&db, 0..100);
    db.sync().unwrap();
    let end = db.stats().bytes_put + 4096;
    let segment = segments_in(&path).remove(0);
    // The last byte of the last value; the rest of its record are zeros to align it.
    let file = OpenOptions::new().write(true).open(segment).unwrap();
    file.write_all_at(&[0x5A], end - 8).unwrap();
    for _ in 0..3 {
        let error = db.get(&99_u64.to_le_bytes(), |_| ()).unwrap_err();
        assert_eq!(error.kind(), Kind::Corrupt);
        db.note_failure(&error);
    }
    assert!(db.get(&98_u64.to_le_bytes(), |_| ()).unwrap().is_some());
    drop(db);
    let damaged = heard.one(Event::Damaged);
    assert_eq!(damaged.figures.segment, 1);
    assert!((end - 1100..end).contains(&damaged.figures.bytes), "{damaged:?}");
}

#[test]
fn a_full_disk_is_told_once_and_so_is_that_there_is_room_again() {
    let directory = TempDir::new("events");
    let heard = Heard::default();
    let mut options = heard.options();
    options.set_max_disk_bytes(8 << 20).unwrap();
    let db = Db::open(&directory.join("db"), &options).unwrap();
    // The same keys again and again, so that there is garbage to be compacted.
    let is_refused = |n: u64| db.put(&(n % 2000).to_le_bytes(), &[7; 1000]).is_err();
    let fill = || (0..).find(|&n| is_refused(n)).unwrap();
    assert!(fill() > 5000);
    (0..10).for_each(|_| assert_eq!(fill(), 0));
    db.compact().unwrap();
    assert!(fill() > 2000);
    db.close().unwrap();
    let full = heard.of(Event::DiskFull);
    assert_eq!((full.len(), full[0].level), (2, Level::Warn));
    assert_eq!(heard.one(Event::DiskHasRoom).level, Level::Info);
}

#[test]
fn a_failing_disk_is_told_with_its_cause() {
    let disk = SimDisk::new(1);
    let heard = Heard::default();
    let db = Db::open_in(disk.storage(), &heard.options()).unwrap();
    put(&db, 0..10);
    let fault = Fault { of: Some(Operation::Sync), after: 0, lasting: true, errno: EIO };
    disk.set_fault(Some(fault));
    assert!(db.sync().is_err());
    assert!(db.sync().is_err());
    assert!(db.close().is_err());
    let latched = heard.one(Event::ReadOnly);
    assert_eq!(latched.level, Level::Error);
    assert!(latched.text.as_str().contains("simulated disk"), "{latched:?}");
    assert_eq!(heard.one(Event::Closed).level, Level::Error);
}

#[test]
fn a_listener_that_has_the_last_of_a_database_may_drop_it() {
    let directory = TempDir::new("events");
    let shared: Arc<Mutex<Option<Db>>> = Arc::default();
    let database = Arc::clone(&shared);
    let listener = move |notice: &Notice| {
        if notice.event == Some(Event::Sealed) {
            drop(database.lock().unwrap().take());
        }
    };
    let listeners = Listeners { log: None, events: Some(Arc::new(listener)) };
    let options = Options { listeners, ..Heard::default().options() };
    let path = directory.join("db");
    *shared.lock().unwrap() = Some(Db::open(&path, &options).unwrap());
    for key in 0.. {
        let held = shared.lock().unwrap();
        let Some(db) = &*held else { break };
        db.put(&(key % 100_u64).to_le_bytes(), &[7; 1000]).unwrap();
    }
    let db = Db::open(&path, &Heard::default().options()).unwrap();
    assert_eq!(db.stats().keys, 100);
}

#[test]
fn a_listener_may_use_the_database() {
    let directory = TempDir::new("events");
    let shared: Arc<Mutex<Option<Arc<Db>>>> = Arc::default();
    let count = Arc::new(Mutex::new(0));
    let (database, counting) = (Arc::clone(&shared), Arc::clone(&count));
    let listener = move |notice: &Notice| {
        let Some(db) = database.lock().unwrap().clone() else { return };
        let key = format!("{:?}", notice.event);
        db.put(key.as_bytes(), b"happened").unwrap();
        assert_eq!(db.value_len(key.as_bytes()).unwrap(), Some(8));
        db.sync().unwrap();
        db.stats();
        *counting.lock().unwrap() += 1;
    };
    let listeners = Listeners { log: None, events: Some(Arc::new(listener)) };
    let options = Options { listeners, ..Heard::default().options() };
    let db = Arc::new(Db::open(&directory.join("db"), &options).unwrap());
    *shared.lock().unwrap() = Some(Arc::clone(&db));
    put(&db, 0..10_000);
    db.compact().unwrap();
    let begun = std::time::Instant::now();
    while db.value_len(b"Some(Sealed)").unwrap().is_none() {
        assert!(begun.elapsed().as_secs() < 60, "a sealed segment is told");
        std::thread::yield_now();
    }
    *shared.lock().unwrap() = None;
    let mut db = db;
    let db = loop {
        match Arc::try_unwrap(db) {
            Ok(db) => break db,
            Err(again) => db = again,
        }
    };
    db.close().unwrap();
    assert!(*count.lock().unwrap() > 0);
}
