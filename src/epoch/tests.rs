//! Tests of pins, grace periods and slots.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::Arc;
use std::thread;

use super::*;

/// Counts its drops.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn what_was_retired_is_freed_after_the_pin_and_not_before() {
    barrier::prepare();
    let drops = Arc::new(AtomicUsize::new(0));
    let slot = Slot::default();
    drop(slot.replace(Some(Arc::new(Counted(Arc::clone(&drops))))));
    let guard = pin().unwrap();
    let seen = slot.get(&guard).unwrap();
    drop(slot.replace(None));
    for _ in 0..8 {
        defer(Box::new(()), COLLECTED_AT);
    }
    assert!(slot.get(&guard).is_none());
    assert_eq!(seen.0.load(Ordering::SeqCst), 0, "a pinned reader has it");
    drop(guard);
    flush();
    // Another test's collection may have the batch in its hands.
    while drops.load(Ordering::SeqCst) == 0 {
        defer(Box::new(()), COLLECTED_AT);
    }
    assert_eq!(drops.load(Ordering::SeqCst), 1);
}

#[test]
fn garbage_is_freed_by_those_who_make_more() {
    barrier::prepare();
    let drops = Arc::new(AtomicUsize::new(0));
    let mut made = 0;
    // How much it takes depends on how long other tests are pinned, and not on more.
    while drops.load(Ordering::SeqCst) < 1000 {
        defer(Box::new(Counted(Arc::clone(&drops))), COLLECTED_AT);
        made += 1;
        assert!(made < 10_000_000, "garbage is never freed");
        thread::yield_now();
    }
}

#[test]
fn an_arc_from_a_slot_outlives_the_pin() {
    let slot = Slot::default();
    drop(slot.replace(Some(Arc::new(5))));
    let kept = slot.get_arc(&pin().unwrap()).unwrap();
    release(vec![slot.replace(None)]);
    assert_eq!((*kept, Arc::strong_count(&kept)), (5, 1));
}

#[test]
fn pins_nest() {
    let outer = pin().unwrap();
    let turn = outer.seat.record().pinned_in();
    assert!(turn.is_some());
    drop(pin().unwrap());
    assert_eq!(outer.seat.record().pinned_in(), turn);
    let record = outer.seat.record();
    drop(outer);
    assert_eq!(record.pinned_in(), None);
}

#[test]
fn a_thread_that_would_wait_for_itself_is_told() {
    let result = thread::spawn(|| {
        let _guard = pin().unwrap();
        synchronize();
    });
    assert!(result.join().is_err());
}

/// Readers look for what writers take away again and again: none may see it freed.
#[test]
fn nobody_sees_a_freed_value() {
    barrier::prepare();
    let freed = Arc::new(AtomicUsize::new(0));
    let slot = Slot::default();
    drop(slot.replace(Some(Arc::new((7_u64, Counted(Arc::clone(&freed)))))));
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let guard = pin().unwrap();
                    let (first, _) = slot.get(&guard).unwrap();
                    assert_eq!(*first, 7);
                    thread::yield_now();
                    assert_eq!(*first, 7);
                }
            });
        }
        for round in 0..2000 {
            let next = Arc::new((7, Counted(Arc::clone(&freed))));
            let old = slot.replace(Some(next));
            match round % 2 {
                0 => old.holding(COLLECTED_AT),
                _ => release(vec![old]),
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert!(freed.load(Ordering::SeqCst) >= 1000);
}

#[test]
fn threads_that_ended_leave_their_records_to_the_next() {
    for _ in 0..200 {
        thread::spawn(|| drop(pin().unwrap())).join().unwrap();
    }
    let count = records().count();
    assert!(count < 100, "{count} records, though few threads ran at once");
}
