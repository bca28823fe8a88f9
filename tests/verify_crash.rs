//! Verifying and salvaging what power cuts and kills leave, on a simulated disk: a database that
//! opens is not damaged, whatever it looks like, and salvaging it brings what opening it shows.
//!
//! Salvaging may bring more: whole records behind a torn one, which an open drops.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};

use common::sim_disk::SimDisk;
use common::{seed, Random};
use kv::db::{Form, Problem, Progress, Report, WriteBatch, WriteOptions, WriteSync};
use kv::engine::{recover, salvage, verify, Engine};
use kv::error::Result;
use kv::options::{CompactionMode, Options, SyncLevel};

const KEYS: u64 = 40;
const HISTORIES: u64 = 12;
const STEPS: u64 = 60;

fn options() -> Options {
    Options {
        segment_size: 16 << 10,
        sync: SyncLevel::None,
        compaction: CompactionMode::Manual,
        ..Options::default()
    }
}

fn go_on(_: &Progress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn go_on_too(_: &Problem) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// Few records at once, so that there are many shares.
fn verified(disk: &SimDisk) -> Result<Report> {
    verify::verify(&*disk.storage(), 50, &mut go_on, &mut go_on_too)
}

fn key(number: u64) -> Vec<u8> {
    format!("key {number}").into_bytes()
}

fn content(engine: &Engine) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut found = BTreeMap::new();
    for key in (0..KEYS).map(key) {
        if let Some(value) = engine.get(&key, <[u8]>::to_vec).unwrap() {
            found.insert(key, value);
        }
    }
    assert_eq!(found.len(), engine.len());
    found
}

fn step(engine: &Engine, random: &mut Random) {
    let name = key(random.below(KEYS));
    let len = random.below(900) as usize;
    let value = random.bytes(len);
    match random.below(16) {
        0..=5 => engine.put(&name, &value).unwrap(),
        6 | 7 => drop(engine.delete(&name).unwrap()),
        8 => {
            let options = WriteOptions { ttl_ms: 10_000_000, ..WriteOptions::default() };
            engine.put_with(&name, &value, &options).unwrap();
        }
        9..=11 => {
            let mut batch = WriteBatch::new();
            for _ in 0..2 + random.below(5) {
                match random.below(3) {
                    0 => batch.delete(&key(random.below(KEYS))).unwrap(),
                    _ => batch.put(&key(random.below(KEYS)), &value, 0).unwrap(),
                }
            }
            engine.write(&batch, WriteSync::AsOpened).unwrap();
        }
        12 => engine.sync().unwrap(),
        13 => engine.compact().unwrap(),
        14 => engine.write_due_hints(),
        _ => engine.checkpoint(),
    }
}

/// Looks at what a crash has left, before and after it is opened.
fn examine(disk: &SimDisk, context: &str) {
    let report = match verified(disk) {
        Ok(report) => report,
        // Nothing was there yet.
        Err(_) => return,
    };
    let text = report.render(Form::Text);
    assert!(!report.has_damage(), "{context}: {text}");
    let parent = disk.parent();
    let (storage, name) = (disk.storage(), "saved".as_ref());
    let salvaged =
        salvage::salvage(&*storage, &parent, name, 50, &mut go_on, &mut go_on_too).unwrap();
    assert!(!salvaged.has_damage(), "{context}: {}", salvaged.render(Form::Text));
    let engine = recover::open(storage, options()).unwrap_or_else(|e| panic!("{context}: {e}"));
    let found = content(&engine);
    engine.shut_down().unwrap();
    drop(engine);
    let after = verified(disk).unwrap();
    // A torn hint stays until there is another.
    assert_eq!(after.counts[1..], [0; 2], "{context}, opened: {}", after.render(Form::Text));
    let saved = parent.disk_in("saved").unwrap();
    let sound = verified(&saved).unwrap();
    assert_eq!(sound.counts, [0; 3], "{context}, salvaged: {}", sound.render(Form::Text));
    let engine = recover::open(saved.storage(), options()).unwrap();
    let brought = content(&engine);
    engine.shut_down().unwrap();
    if !text.contains("whole records behind") {
        assert!(brought == found, "{context}: {text}{}", salvaged.render(Form::Text));
    }
}

#[test]
fn what_opens_after_a_crash_is_not_damaged_and_can_be_salvaged() {
    let mut states = 0;
    for history in 0..HISTORIES {
        let mut random = Random(seed() + history);
        let disk = SimDisk::new(random.next());
        disk.set_writeback(20);
        let left = Arc::new(Mutex::new(Vec::new()));
        let (of_watcher, mut draw) = (Arc::clone(&left), Random(random.next()));
        disk.watch(Box::new(move |state, _| {
            if draw.below(12) == 0 {
                let crashed = match draw.below(4) {
                    0 => state.kill(&mut draw),
                    _ => state.cut(&mut draw),
                };
                of_watcher.lock().unwrap().push(crashed);
            }
        }));
        for session in 0..2 {
            let engine = recover::open(disk.storage(), options()).unwrap();
            for number in 0..STEPS {
                step(&engine, &mut random);
                for crashed in std::mem::take(&mut *left.lock().unwrap()) {
                    states += 1;
                    examine(&crashed, &format!("{history}, session {session}, step {number}"));
                }
            }
            engine.shut_down().unwrap();
        }
    }
    assert!(states > 200, "{states}");
}
