//! Values that expire, on disk: what has expired goes by itself, nothing older comes back in its
//! place, and time does not go back when a database is opened again.
//!
//! Time stands still in these tests until it is told to go on.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use common::world::{compact_what_is_due, has, key, put_for, with_older_values, World, SEGMENT};
use common::{bytes_in, copy_directory, segments_in};
use kv::db::{WriteBatch, WriteSync};
use kv::engine::Engine;
use kv::error::Kind;

/// Waits until `done`; the time that it may take is that of a slow machine.
fn wait_for(what: &str, done: impl Fn() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < Duration::from_secs(100), "in vain: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Sessions that come, are used, written again, and given up: about six segments of them.
fn live_through_sessions(engine: &Engine, sessions: u64) {
    for number in 0..sessions {
        put_for(engine, &key(b's', number), &[number as u8; 200], 2000 + number % 900);
        if number % 3 == 0 {
            engine.touch(&key(b's', number / 2), 3000).unwrap();
        }
        if number % 5 == 0 {
            put_for(engine, &key(b's', number / 3), &[9; 300], 2500);
        }
    }
}

#[test]
fn sessions_that_have_expired_leave_the_directory_by_themselves() {
    let world = World::new("ttl-sessions");
    let db = world.open();
    db.pause_compaction();
    live_through_sessions(db.engine(), 15_000);
    assert!(segments_in(&world.path()).len() > 4);
    assert_eq!(db.stats().expired_bytes, 0);
    world.time.advance(10_000);
    let stats = db.stats();
    assert!(stats.expired_bytes > 0 && stats.expired_bytes <= stats.dead_bytes, "{stats:?}");
    assert_eq!(stats.live_bytes, 0);
    db.resume_compaction();
    wait_for("an empty directory", || bytes_in(&world.path()) < 300 << 10);
    wait_for("an empty index", || db.stats().keys == 0);
    let stats = db.stats();
    assert_eq!((stats.bytes_compacted, stats.bytes_compaction_read), (0, 0), "{stats:?}");
    db.put(b"key", b"value").unwrap();
    db.close().unwrap();
    let db = world.open();
    assert_eq!((db.stats().keys, db.get(b"key", <[u8]>::len).unwrap()), (1, Some(5)));
}

#[test]
fn what_lasts_stays_among_what_expires() {
    let world = World::new("ttl-mixed");
    let db = world.open();
    for number in 0..10_000 {
        db.put(&key(b'l', number), &[number as u8; 100]).unwrap();
        live_through_sessions(db.engine(), 1);
        put_for(db.engine(), &key(b't', number), &[1; 300], 1000);
        if number % 7 == 0 {
            db.put(&key(b'l', number / 2), &[(number / 2) as u8; 100]).unwrap();
        }
    }
    let before = bytes_in(&world.path());
    world.time.advance(5000);
    wait_for("a directory as small as what lasts", || {
        let stats = db.stats();
        let bound = stats.live_bytes * 3 / 2 + 2 * SEGMENT;
        stats.live_bytes > 10_000 * 100 && bytes_in(&world.path()) < bound.min(before * 2 / 3)
    });
    for number in 0..10_000 {
        let found = db.get(&key(b'l', number), |value| value == [number as u8; 100]).unwrap();
        assert_eq!(found, Some(true), "{number}");
        assert!(!has(db.engine(), &key(b't', number)));
    }
    db.close().unwrap();
}

#[test]
fn segments_of_what_has_expired_go_without_being_read() {
    let world = World::new("ttl-unread");
    let engine = world.alone();
    (0..5000).for_each(|number| engine.put(&key(b'l', number), &[7; 100]).unwrap());
    live_through_sessions(&engine, 10_000);
    engine.put(b"the last", b"one").unwrap();
    compact_what_is_due(&engine);
    let before = engine.stats();
    let segments = before.segments;
    world.time.advance(10_000);
    compact_what_is_due(&engine);
    let stats = engine.stats();
    // Of the first one the end has expired, of the last one the beginning.
    assert!(stats.segments_removed - before.segments_removed >= segments - 2, "{stats:?}");
    let read = stats.bytes_compaction_read - before.bytes_compaction_read;
    assert!(read <= 2 * SEGMENT, "{read} bytes were read of {segments} segments");
    assert!((0..5000).all(|number| has(&engine, &key(b'l', number))) && has(&engine, b"the last"));
    assert!((0..10_000).all(|number| !has(&engine, &key(b's', number))));
    drop(engine);
    let engine = world.alone();
    assert!((0..5000).all(|number| has(&engine, &key(b'l', number))) && has(&engine, b"the last"));
    assert!((0..10_000).all(|number| !has(&engine, &key(b's', number))));
}

#[test]
fn a_callers_compaction_takes_what_has_expired_at_once() {
    let world = World::new("ttl-called");
    let engine = world.alone();
    live_through_sessions(&engine, 10_000);
    engine.put(b"lasting", b"value").unwrap();
    world.time.advance(10_000);
    engine.compact().unwrap();
    assert!(bytes_in(&world.path()) < SEGMENT / 2, "{:?}", engine.stats());
    assert_eq!((engine.stats().keys, engine.stats().expired_bytes), (1, 0));
    assert!(has(&engine, b"lasting"));
}

#[test]
fn no_older_value_comes_back_when_a_newer_one_has_expired() {
    let world = World::new("ttl-older");
    let engine = world.alone();
    with_older_values(&engine, 6000);
    world.time.advance(5000);
    let check = |engine: &Engine, when: &str| {
        for number in 0..6000 {
            assert!(!has(engine, &key(b'k', number)), "{number} is back {when}");
            assert!(has(engine, &key(b'l', number)), "{number} is lost {when}");
        }
    };
    let mut turn = 0;
    loop {
        let goes_on = engine.compact_if_due().unwrap();
        check(&engine, "while it is open");
        // Even if the clock was set back meanwhile: what is gone is gone.
        check(&world.after_a_kill(&format!("copy {turn}")), "after a kill");
        turn += 1;
        if !goes_on {
            break;
        }
    }
    assert!(engine.stats().bytes_compacted > 0, "{:?}", engine.stats());
    engine.compact().unwrap();
    check(&engine, "after compaction");
    let live = 6000 * 432;
    assert!(engine.stats().live_bytes <= live && engine.stats().dead_bytes < live / 10);
    world.set_back(4_500);
    check(&world.after_a_kill("the last"), "after all, with the clock set back");
}

#[test]
fn keys_that_had_expired_stay_so_when_the_clock_is_set_back() {
    let world = World::new("ttl-clock");
    let db = world.open();
    put_for(db.engine(), b"short", b"value", 1000);
    put_for(db.engine(), b"long", b"value", 3_600_000);
    world.time.advance(60_000);
    // Nobody writes and nobody syncs: the time is noted all the same.
    wait_for("a note of the time", || {
        let copy = world.place.join("copy");
        let _ = std::fs::remove_dir_all(&copy);
        copy_directory(&world.path(), &copy);
        world.time.wall_ms.fetch_sub(60_000, Ordering::SeqCst);
        let is_gone = !has(&world.alone_at(&copy), b"short");
        world.time.wall_ms.fetch_add(60_000, Ordering::SeqCst);
        is_gone
    });
    db.close().unwrap();
    world.set_back(50_000);
    let db = world.open();
    assert!(!has(db.engine(), b"short") && has(db.engine(), b"long"));
    // It is one minute of the hour past, as it was.
    let left = db.engine().ttl(b"long").unwrap().unwrap().unwrap();
    assert!(left <= 3_540_000 && left > 3_500_000, "{left}");
    world.time.advance(left + 1000);
    assert!(!has(db.engine(), b"long"));
    // It was only read; still its end is remembered.
    db.close().unwrap();
    world.set_back(3_600_000);
    let db = world.open();
    assert!(!has(db.engine(), b"long"));
    db.close().unwrap();
}

#[test]
fn a_clock_that_was_far_ahead_is_forgotten_when_nothing_expires_any_more() {
    let world = World::new("ttl-ahead");
    let engine = world.alone();
    put_for(&engine, b"key", b"value", 1000);
    world.time.advance(1 << 40);
    engine.sync().unwrap();
    assert!(!has(&engine, b"key"));
    engine.shut_down().unwrap();
    drop(engine);
    world.set_back(1 << 40);
    let engine = world.alone();
    assert!(!has(&engine, b"key"));
    put_for(&engine, b"key", b"value", 1000);
    world.time.advance(500);
    assert!(has(&engine, b"key"));
    world.time.advance(600);
    assert!(!has(&engine, b"key"));
}

#[test]
fn pieces_of_the_index_that_come_later_do_not_bring_back_what_went_unread() {
    let world = World::new("ttl-lazy");
    let engine = world.alone();
    (0..6000).for_each(|number| engine.put(&key(b'l', number), &[7; 100]).unwrap());
    live_through_sessions(&engine, 12_000);
    engine.put(b"the last", b"one").unwrap();
    engine.checkpoint();
    engine.shut_down().unwrap();
    drop(engine);
    world.time.advance(10_000);
    let engine = world.alone();
    let keys = engine.stats().keys;
    assert!(keys > 15_000 && engine.stats().expired_bytes > SEGMENT);
    // Only read, nothing is reclaimed.
    compact_what_is_due(&engine);
    assert_eq!(engine.stats().keys, keys);
    engine.put(b"more", b"to come").unwrap();
    compact_what_is_due(&engine);
    assert!(engine.stats().segments_removed > 2, "{:?}", engine.stats());
    // Other segments take the places of those that went.
    (0..20_000).for_each(|number| engine.put(&key(b'm', number), &[8; 200]).unwrap());
    assert!((0..6000).all(|number| has(&engine, &key(b'l', number))));
    assert!((0..12_000).all(|number| !has(&engine, &key(b's', number))));
    assert!((0..20_000).all(|number| has(&engine, &key(b'm', number))));
}

#[test]
fn a_checkpoint_of_what_went_unread_since_is_no_trap() {
    for close in [true, false] {
        let world = World::new("ttl-checkpoint");
        let engine = world.alone();
        live_through_sessions(&engine, 8000);
        // What lasts is in a segment of its own.
        engine.put(b"large", &vec![1; SEGMENT as usize - (20 << 10)]).unwrap();
        (0..100).for_each(|number| engine.put(&key(b'l', number), &[7; 100]).unwrap());
        engine.checkpoint();
        world.time.advance(10_000);
        compact_what_is_due(&engine);
        // Nothing else has happened since: no record was written.
        let (removed, read) =
            (engine.stats().segments_removed, engine.stats().bytes_compaction_read);
        assert!(removed > 1 && read == 0, "{:?}", engine.stats());
        let keys = engine.stats().keys;
        let engine = match close {
            true => {
                // So small that it gets no new checkpoint.
                engine.shut_down().unwrap();
                drop(engine);
                world.alone()
            }
            false => world.after_a_kill("killed"),
        };
        assert_eq!(engine.stats().keys, keys);
        assert!((0..100).all(|number| has(&engine, &key(b'l', number))));
        assert!((0..8000).all(|number| !has(&engine, &key(b's', number))));
        live_through_sessions(&engine, 8000);
        assert!((0..100).all(|number| has(&engine, &key(b'l', number))));
    }
}

#[test]
fn what_a_snapshot_sees_is_not_reclaimed() {
    let world = World::new("ttl-snapshot");
    let engine = world.alone();
    live_through_sessions(&engine, 8000);
    let snapshot = engine.open_snapshot().unwrap();
    world.time.advance(10_000);
    compact_what_is_due(&engine);
    engine.compact().unwrap();
    for number in 0..8000 {
        assert!(!has(&engine, &key(b's', number)));
        assert!(engine.value_len_at(&snapshot, &key(b's', number)).unwrap().is_some(), "{number}");
    }
    engine.close_snapshot(snapshot);
    compact_what_is_due(&engine);
    assert_eq!(engine.stats().keys, 0);
    assert!(bytes_in(&world.path()) < 300 << 10);
}

/// A segment with one long record takes few places when it is opened again: what lies behind them
/// is not its own.
#[test]
fn a_long_value_that_goes_takes_nothing_with_it() {
    let world = World::new("ttl-long");
    let engine = world.alone();
    let long = vec![1; 4 * SEGMENT as usize];
    for number in 0..3 {
        put_for(&engine, &key(b't', number), &long, 1000);
        for lasting in number * 1000..number * 1000 + 1000 {
            engine.put(&key(b'l', lasting), &[7; 1000]).unwrap();
        }
    }
    while engine.seal_in_background() {}
    // The index is built anew.
    let engine = world.after_a_kill("copy");
    world.time.advance(2000);
    while engine.compact_if_due().unwrap() {}
    for number in 0..3 {
        assert!(!has(&engine, &key(b't', number)));
    }
    for lasting in 0..3000 {
        assert!(has(&engine, &key(b'l', lasting)), "key {lasting}");
    }
    assert!(bytes_in(&world.place.join("copy")) < 8 << 20, "what has expired has gone");
}

#[test]
fn a_time_of_expiry_that_was_told_is_put_again_as_it_was() {
    let world = World::new("ttl-until");
    let db = world.open();
    put_for(db.engine(), b"there", b"1", 5000);
    db.put(b"for ever", b"2").unwrap();
    let until = db.expires_at(b"there").unwrap().unwrap().unwrap();
    assert_eq!(db.expires_at(b"for ever").unwrap(), Some(None));
    assert_eq!(db.expires_at(b"missing").unwrap(), None);
    world.time.advance(1234);
    let mut batch = WriteBatch::new();
    batch.put_until(b"copy", b"1", until).unwrap();
    batch.put_until(b"late", b"3", until - 4000).unwrap();
    for never in [0, u64::MAX] {
        let refused = batch.put_until(b"never", b"4", never).unwrap_err();
        assert_eq!(refused.kind(), Kind::InvalidArgument);
    }
    db.write(&batch, WriteSync::AsOpened).unwrap();
    assert_eq!(db.expires_at(b"copy").unwrap(), Some(Some(until)));
    assert_eq!(db.ttl(b"copy").unwrap(), db.ttl(b"there").unwrap());
    assert!(!has(db.engine(), b"late") && has(db.engine(), b"copy"));
    world.time.advance(5000 - 1234);
    assert!(!has(db.engine(), b"copy") && has(db.engine(), b"for ever"));
}
