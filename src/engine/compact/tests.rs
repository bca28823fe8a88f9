//! What the background thread does, call by call and without it: what is due, how far it presses on
//! writers, and that it leaves off.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::Mutex;
use std::time::Duration;

use super::rate::Throttle;
use super::*;
use crate::clock::{ManualTime, TimeSource};
use crate::engine::conditional::WriteOptions;
use crate::engine::herald::Delivery;
use crate::engine::recover;
use crate::format::name;
use crate::notice::{Level, Listeners, Notice};
use crate::options::{CompactionMode, Options, SyncLevel};
use crate::storage::posix::PosixStorage;

const SEGMENT: u64 = 64 << 10;

/// A directory for one test, removed before and after; in memory where there is such a place.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Place {
        let memory = Path::new("/dev/shm");
        let parent = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let place = Place(parent.join(format!("kv-{}-compact-{name}", std::process::id())));
        // It may not exist.
        let _ = std::fs::remove_dir_all(&place.0);
        place
    }

    fn open(&self, options: Options) -> Engine {
        let options = Options { segment_size: SEGMENT, sync: SyncLevel::None, ..options };
        let storage = Arc::new(PosixStorage::open(&self.0, true).unwrap());
        recover::open(storage, options).unwrap()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn put(engine: &Engine, key: u64) {
    engine.put(&key.to_le_bytes(), &[7; 976]).unwrap();
}

/// Little garbage is too much.
fn strict() -> Options {
    Options { compaction_garbage_percent: 5, ..Options::default() }
}

/// A full segment in which nearly all is live, and one that is not sealed and nearly all dead: too
/// much garbage, of which none can be had.
fn with_pressure(engine: &Engine) {
    (0..61).for_each(|key| put(engine, key));
    (0..60).for_each(|_| put(engine, 0));
    engine.seal().unwrap();
}

fn pressure(engine: &Engine) -> u32 {
    engine.control.pressure.load(Ordering::Relaxed)
}

#[test]
fn the_first_step_works_out_the_pressure_whatever_it_reads_and_writes() {
    let place = Place::new("step");
    let engine = place.open(strict());
    with_pressure(&engine);
    for (read, written) in [(1000, 1000), (1000, 0), (0, 1000)] {
        engine.control.pressure.store(0, Ordering::Relaxed);
        Run::new(&engine, Mode::Step).step(read, read, written).unwrap();
        assert!(pressure(&engine) > 0, "{read} bytes read, {written} written");
    }
}

#[test]
fn the_background_goes_on_until_somebody_else_wants_to() {
    let place = Place::new("ends");
    let engine = place.open(Options::default());
    let mode = Mode::Background(Throttle::new(0, Duration::ZERO), Instant::now());
    let mut run = Run::new(&engine, mode);
    run.step(1, 1, 1).unwrap();
    let turn = engine.control.call().unwrap();
    assert_eq!(run.step(1, 1, 1).unwrap_err().kind(), Kind::Cancelled);
    drop(turn);
    run.step(1, 1, 1).unwrap();
}

#[test]
fn writers_are_pressed_as_hard_as_space_is_short_if_somebody_relieves_them() {
    let place = Place::new("pressed");
    let pauses = |engine: &Engine| {
        engine.measure_garbage();
        engine.pacer.switch(true);
        engine.pacer.pace(1 << 20);
        engine.pacer.switch(false);
        engine.pacer.counts()
    };
    let engine = place.open(strict());
    with_pressure(&engine);
    let (count, ns) = pauses(&engine);
    let pressure = pressure(&engine);
    assert!((300..1000).contains(&pressure), "{pressure}");
    let longest = Duration::from_millis(8);
    // Below a quarter of the bound compaction rests, and nobody waits for it.
    let share = (f64::from(pressure) / 1000.0 - 0.25) / 0.75;
    let expected = longest.mul_f64(share * share).as_nanos() as u64;
    assert!(count == 1 && ns.abs_diff(expected) < expected / 100, "{ns} is not {expected}");
    engine.control.pause();
    assert_eq!(pauses(&engine), (1, ns), "nobody compacts: to wait would be in vain");
    engine.control.resume();
    assert_eq!(pauses(&engine).0, 2);
    drop(engine);
    let engine = place.open(Options { compaction: CompactionMode::Manual, ..Options::default() });
    assert_eq!(pauses(&engine).0, 0);
}

#[test]
fn what_is_due_is_done_unless_compaction_is_manual_or_paused() {
    for compaction in [CompactionMode::Auto, CompactionMode::Manual] {
        let place = Place::new("due");
        let engine = place.open(Options { compaction, ..Options::default() });
        (0..100).for_each(|_| put(&engine, 0));
        engine.seal().unwrap();
        engine.control.pause();
        engine.compact_in_background();
        assert_eq!(engine.stats().segments_removed, 0);
        engine.control.resume();
        engine.compact_in_background();
        let is_auto = u64::from(compaction == CompactionMode::Auto);
        assert_eq!(engine.stats().segments_removed, is_auto);
    }
}

#[test]
fn the_end_of_the_log_goes_when_it_has_expired_unless_compaction_is_paused() {
    let time = Arc::new(ManualTime::default());
    let place = Place::new("expired");
    let source = TimeSource::Manual(Arc::clone(&time));
    let engine = place.open(Options { time: source, ..Options::default() });
    let options = WriteOptions { ttl_ms: 1000, ..WriteOptions::default() };
    (0..40_u64).for_each(|key| {
        engine.put_with(&key.to_le_bytes(), &[7; 976], &options).unwrap();
    });
    engine.compact_in_background();
    assert_eq!((engine.stats().rolls, engine.stats().keys), (1, 40));
    time.advance(2000);
    engine.control.pause();
    engine.compact_in_background();
    assert_eq!((engine.stats().rolls, engine.stats().keys), (1, 40));
    engine.control.resume();
    engine.compact_in_background();
    let stats = engine.stats();
    assert_eq!((stats.rolls, stats.keys, stats.segments_removed), (2, 0, 1));
}

#[test]
fn a_segment_that_cannot_be_read_fails_one_compaction_and_the_next_does_without() {
    let heard: Arc<Mutex<Vec<Notice>>> = Arc::default();
    let keep = {
        let heard = Arc::clone(&heard);
        move |notice: &Notice| heard.lock().unwrap().push(notice.clone())
    };
    let listeners = Listeners { log: Some((Level::Debug, Arc::new(keep))), events: None };
    let delivery = Delivery::start(&listeners).unwrap();
    let place = Place::new("damaged");
    let storage = Arc::new(PosixStorage::open(&place.0, true).unwrap());
    let options = Options { segment_size: SEGMENT, sync: SyncLevel::None, ..Options::default() };
    let engine = recover::open_told(storage, options, Arc::clone(delivery.herald())).unwrap();
    // Of 61 records in each segment, 45 are dead.
    (0..61).for_each(|key| put(&engine, key));
    (0..45).for_each(|key| put(&engine, key));
    (0..45).for_each(|key| put(&engine, key));
    engine.seal().unwrap();
    let file = place.0.join(name::segment(1));
    let file = std::fs::OpenOptions::new().write(true).open(file).unwrap();
    file.write_all_at(&[0xff; 8], 5000).unwrap();
    engine.compact_in_background();
    assert_eq!((engine.stats().compaction_failures, engine.stats().segments_removed), (1, 0));
    engine.compact_in_background();
    assert_eq!((engine.stats().compaction_failures, engine.stats().segments_removed), (1, 1));
    drop((engine, delivery));
    let heard = heard.lock().unwrap();
    let told = heard.iter().filter(|notice| notice.text.as_str().contains("will be tried again"));
    assert_eq!(told.map(|notice| notice.level).collect::<Vec<_>>(), [Level::Warn]);
}
