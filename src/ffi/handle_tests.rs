//! Tests of handles: stale and made-up ones, slots that are used again, closing under calls.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use super::*;
use crate::ffi::tests::Place;
use crate::options::Options;
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{mpsc, Barrier};
use std::thread;
use std::time::Duration;

/// A handle as a number, which threads can share.
fn opened(place: &Place) -> usize {
    let db = Db::open(place.path(), &Options::default()).unwrap();
    db.put(b"key", b"value").unwrap();
    insert(db).unwrap().addr()
}

fn handle(number: usize) -> *mut kv_db {
    ptr::without_provenance_mut(number)
}

fn kind<T>(outcome: Result<T>) -> Option<Kind> {
    outcome.err().map(|error| error.kind())
}

#[test]
fn an_open_database_is_entered_and_a_closed_one_is_told() {
    let place = Place::new("handle-stale");
    let number = opened(&place);
    assert_eq!(enter(handle(number)).unwrap().value_len(b"key").unwrap(), Some(5));
    remove(handle(number)).unwrap().close().unwrap();
    assert_eq!(kind(enter(handle(number))), Some(Kind::Closed));
    assert_eq!(kind(remove(handle(number))), Some(Kind::Closed));
}

#[test]
fn numbers_that_are_no_handles_are_told() {
    let place = Place::new("handle-made-up");
    let number = opened(&place);
    assert_eq!(kind(enter(handle(0))), Some(Kind::NullArgument));
    assert_eq!(kind(remove(handle(0))), Some(Kind::NullArgument));
    let (local, boxed) = (0_u64, Box::new(0_u64));
    let generation = 1 << (MARK_BITS + SLOT_BITS);
    let made_up = [
        1,
        7,
        4096,
        usize::MAX,
        usize::MAX - 1,
        (&raw const local).addr(),
        (&raw const *boxed).addr(),
        opened as *const () as usize,
        number ^ 1,
        number & !(0xFF << TAG_SHIFT),
        number + 1000 * generation,
        encode(SLOTS - 1, 1).addr(),
        encode(0, 0).addr(),
    ];
    for made_up in made_up {
        assert_eq!(kind(enter(handle(made_up))), Some(Kind::InvalidArgument), "{made_up:#x}");
        assert_eq!(kind(remove(handle(made_up))), Some(Kind::InvalidArgument), "{made_up:#x}");
    }
    remove(handle(number)).unwrap().close().unwrap();
}

#[test]
fn slots_are_used_again_and_old_handles_stay_stale() {
    let place = Place::new("handle-reuse");
    let mut handles = HashSet::new();
    for _ in 0..100 {
        let number = opened(&place);
        assert!(handles.insert(number), "a handle was given twice");
        remove(handle(number)).unwrap().close().unwrap();
    }
    let slots: HashSet<_> =
        handles.iter().map(|number| number >> MARK_BITS & (SLOTS - 1)).collect();
    // Other tests open databases meanwhile, and few at a time.
    assert!(slots.len() < 50, "{} slots for one database at a time", slots.len());
    let number = opened(&place);
    for stale in handles {
        assert_eq!(kind(enter(handle(stale))), Some(Kind::Closed));
    }
    remove(handle(number)).unwrap().close().unwrap();
}

#[test]
fn closing_waits_for_the_call_inside() {
    let place = Place::new("handle-wait");
    let number = opened(&place);
    let inside = enter(handle(number)).unwrap();
    let (done, is_done) = mpsc::channel();
    let closer = thread::spawn(move || {
        let closed = remove(handle(number)).unwrap().close();
        done.send(()).unwrap();
        closed.unwrap();
    });
    // Entering fails as soon as the closer has begun.
    while kind(enter(handle(number))).is_none() {
        thread::yield_now();
    }
    assert_eq!(kind(remove(handle(number))), Some(Kind::Closed), "one closer wins");
    assert!(is_done.recv_timeout(Duration::from_millis(50)).is_err());
    assert_eq!(inside.value_len(b"key").unwrap(), Some(5), "it is open for those inside");
    drop(inside);
    closer.join().unwrap();
}

/// Threads call as fast as they can, and several of them close at once in the middle of it: every
/// call finds the database whole or is turned away, and one of the closers closes.
#[test]
fn many_threads_call_while_some_close() {
    const CALLERS: usize = 6;
    const CLOSERS: usize = 3;
    let place = Place::new("handle-threads");
    for round in 0..50 {
        let number = opened(&place);
        let start = Barrier::new(CALLERS + CLOSERS);
        let closed = AtomicUsize::new(0);
        let going = AtomicBool::new(true);
        thread::scope(|scope| {
            for _ in 0..CALLERS {
                scope.spawn(|| {
                    start.wait();
                    while going.load(Ordering::Relaxed) {
                        match enter(handle(number)) {
                            Ok(db) => assert_eq!(db.value_len(b"key").unwrap(), Some(5)),
                            Err(error) => assert_eq!(error.kind(), Kind::Closed),
                        }
                    }
                });
            }
            for _ in 0..CLOSERS {
                scope.spawn(|| {
                    start.wait();
                    thread::sleep(Duration::from_micros(100 * round));
                    match remove(handle(number)) {
                        Ok(db) => {
                            closed.fetch_add(1, Ordering::Relaxed);
                            db.close().unwrap();
                            going.store(false, Ordering::Relaxed);
                        }
                        Err(error) => assert_eq!(error.kind(), Kind::Closed),
                    }
                });
            }
        });
        assert_eq!(closed.into_inner(), 1);
        assert_eq!(kind(enter(handle(number))), Some(Kind::Closed));
    }
}
