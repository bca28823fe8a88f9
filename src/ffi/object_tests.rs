//! Tests of handles of objects: stale, foreign and made-up ones, and two calls at once.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use super::*;
use crate::db::Db;
use crate::ffi::tests::Place;
use crate::ffi::{guard, handle};
use crate::ffi::{KV_BUSY, KV_CLOSED, KV_NOT_FOUND, KV_NULL_ARGUMENT, KV_OK};
use crate::options::Options;
use std::collections::HashSet;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Barrier};
use std::thread;

/// The types in C.
struct test;
struct other;

/// Every test has a table of its own.
fn table<T: Send>() -> Table<test, T> {
    Table::alone(Tag::Test, "test", "kv_test_new()")
}

fn kind<T>(outcome: Result<T>) -> Option<Kind> {
    outcome.err().map(|error| error.kind())
}

#[test]
fn a_handle_is_good_until_it_is_freed() {
    let table = table();
    let handle = table.insert(String::from("one")).unwrap();
    table.hold(handle).unwrap().push_str(" and two");
    assert_eq!(*table.hold(handle).unwrap(), "one and two");
    assert_eq!(*table.share(handle).unwrap(), "one and two");
    assert_eq!(table.remove(handle).unwrap(), "one and two");
    for _ in 0..3 {
        assert_eq!(kind(table.hold(handle)), Some(Kind::Closed));
        assert_eq!(kind(table.share(handle)), Some(Kind::Closed));
        assert_eq!(kind(table.remove(handle)), Some(Kind::Closed));
        assert!(table.remove_quietly(handle).is_none());
    }
    let text = table.remove(handle).unwrap_err().to_string();
    assert_eq!(text, "test was freed");
}

#[test]
fn what_is_no_handle_of_the_type_is_told() {
    let table = table();
    let others: Table<other, u64> = Table::alone(Tag::Other, "other", "kv_other_new()");
    let handle = table.insert(7_u64).unwrap();
    let foreign = others.insert(8).unwrap().cast::<test>();
    let (local, boxed) = (0_u64, Box::new(0_u64));
    let number = handle.addr();
    let made_up = [
        1,
        3,
        4096,
        usize::MAX,
        usize::MAX - 1,
        (&raw const local).addr(),
        (&raw const *boxed).addr(),
        foreign.addr(),
        number ^ 1,
        number & !(0xFF << TAG_SHIFT),
        number + (1 << GENERATION_SHIFT),
        number - (1 << GENERATION_SHIFT),
        number + (1 << MARK_BITS),
        table.encode((1 << SLOT_BITS) - 1, 1).addr(),
        table.encode(0, 0).addr(),
        table.encode(0, LAST_GENERATION).addr(),
    ];
    for made_up in made_up {
        let made_up = ptr::without_provenance_mut::<test>(made_up);
        assert_eq!(kind(table.hold(made_up)), Some(Kind::InvalidArgument), "{made_up:?}");
        assert_eq!(kind(table.share(made_up)), Some(Kind::InvalidArgument), "{made_up:?}");
        assert_eq!(kind(table.remove(made_up)), Some(Kind::InvalidArgument), "{made_up:?}");
    }
    assert_eq!(kind(table.hold(ptr::null())), Some(Kind::NullArgument));
    assert!(table.remove_quietly(ptr::null()).is_none());
    assert_eq!(others.remove(foreign.cast()).unwrap(), 8);
    assert_eq!(table.remove(handle).unwrap(), 7);
}

#[test]
fn two_calls_at_once_are_told() {
    let table = table();
    let handle = table.insert(5).unwrap();
    let held = table.hold(handle).unwrap();
    assert_eq!(kind(table.hold(handle)), Some(Kind::Busy));
    assert_eq!(kind(table.share(handle)), Some(Kind::Busy));
    assert_eq!(kind(table.remove(handle)), Some(Kind::Busy));
    drop(held);
    let (first, second) = (table.share(handle).unwrap(), table.share(handle).unwrap());
    assert_eq!(*first + *second, 10);
    assert_eq!(kind(table.hold(handle)), Some(Kind::Busy));
    drop(first);
    assert_eq!(kind(table.remove(handle)), Some(Kind::Busy));
    drop(second);
    assert_eq!(table.remove(handle).unwrap(), 5);
}

#[test]
fn so_many_share_as_can_be_counted() {
    let table = table();
    let handle = table.insert(()).unwrap();
    let shared: Vec<_> = std::iter::from_fn(|| table.share(handle).ok()).collect();
    assert_eq!(shared.len() as u64, BUSY - IDLE - 1);
    assert_eq!(kind(table.share(handle)), Some(Kind::Busy));
    drop(shared);
    assert!(table.remove(handle).is_ok());
}

#[test]
fn slots_are_used_again_and_old_handles_stay_stale() {
    let table = table();
    let mut stale = HashSet::new();
    for round in 0..10_000 {
        let handle = table.insert(round).unwrap();
        assert!(stale.insert(handle.addr()), "a handle was given twice");
        assert_eq!(table.remove(handle).unwrap(), round);
    }
    let handle = table.insert(0).unwrap();
    assert_eq!(handle.addr() >> MARK_BITS & ((1 << SLOT_BITS) - 1), 0, "one slot is enough");
    for stale in stale {
        assert_eq!(kind(table.hold(ptr::without_provenance(stale))), Some(Kind::Closed));
    }
    table.remove(handle).unwrap();
}

#[test]
fn a_slot_that_has_had_all_its_generations_is_left_alone() {
    let table = table();
    let handle = table.insert(1).unwrap();
    table.remove(handle).unwrap();
    table.slots.get(0).unwrap().word.store((LAST_GENERATION - 1) << PHASE_BITS, Ordering::Relaxed);
    let last = table.insert(2).unwrap();
    assert_eq!(table.remove(last).unwrap(), 2);
    let next = table.insert(3).unwrap();
    assert_eq!(next, table.encode(1, 1), "the next slot");
    for stale in [handle, last] {
        assert_eq!(kind(table.remove(stale)), Some(Kind::Closed));
    }
    assert_eq!(table.remove(next).unwrap(), 3);
}

/// What is freed is dropped once, and what is behind a handle is dropped on the thread that frees.
#[test]
fn values_are_dropped_once() {
    struct Counted(Arc<AtomicUsize>);
    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    let (table, drops) = (table(), Arc::new(AtomicUsize::new(0)));
    let handles: Vec<_> =
        (0..1000).map(|_| table.insert(Counted(Arc::clone(&drops))).unwrap()).collect();
    drop(table.hold(handles[0]).unwrap());
    assert_eq!(drops.load(Ordering::SeqCst), 0);
    for handle in &handles {
        drop(table.remove_quietly(*handle));
        drop(table.remove_quietly(*handle));
    }
    assert_eq!(drops.load(Ordering::SeqCst), 1000);
}

/// Threads use the same few handles at once, in every way, and free and replace them: whoever holds
/// a value has it alone, whoever shares one sees it whole, and nobody gets what was freed.
#[test]
fn many_threads_misuse_the_same_handles() {
    const THREADS: usize = 6;
    static TABLE: Table<test, [u64; 2]> = Table::alone(Tag::Test, "test", "kv_test_new()");
    static HANDLES: [AtomicUsize; 3] = [const { AtomicUsize::new(0) }; 3];
    let make = || TABLE.insert([1, 1]).unwrap().addr();
    HANDLES.iter().for_each(|handle| handle.store(make(), Ordering::SeqCst));
    let start = Arc::new(Barrier::new(THREADS));
    let work = move |me: usize| {
        let (mut held, mut turned_away) = (0, 0);
        for round in 0..60_000 {
            let place = &HANDLES[(me + round) % HANDLES.len()];
            let number = place.load(Ordering::Relaxed);
            let handle = ptr::without_provenance_mut(number);
            let refused = match round % 16 {
                0 => match TABLE.remove(handle) {
                    Ok(value) => {
                        assert_eq!(value[0], value[1]);
                        place.store(make(), Ordering::Relaxed);
                        None
                    }
                    Err(error) => Some(error),
                },
                1..9 => match TABLE.hold(handle) {
                    Ok(mut value) => {
                        assert_eq!(value[0], value[1]);
                        value[0] += 1;
                        std::hint::black_box(&mut value);
                        value[1] += 1;
                        None
                    }
                    Err(error) => Some(error),
                },
                _ => match TABLE.share(handle) {
                    Ok(value) => {
                        assert_eq!(value[0], value[1]);
                        None
                    }
                    Err(error) => Some(error),
                },
            };
            match refused {
                None => held += 1,
                Some(error) => {
                    assert!(matches!(error.kind(), Kind::Busy | Kind::Closed), "{error}");
                    turned_away += 1;
                }
            }
        }
        (held, turned_away)
    };
    let threads: Vec<_> = (0..THREADS)
        .map(|me| {
            let start = Arc::clone(&start);
            thread::spawn(move || {
                start.wait();
                work(me)
            })
        })
        .collect();
    for thread in threads {
        let (held, _) = thread.join().unwrap();
        assert!(held > 0);
    }
}

/// What belongs to a database can be used while it is open, and freed before and after.
#[test]
fn parts_outlive_their_database() {
    static PARTS: Table<test, Part<Vec<u8>>> =
        Table::of_database(Tag::Test, "test", "kv_test_new()");
    let place = Place::new("object-part");
    let db = handle::insert(Db::open(place.path(), &Options::default()).unwrap()).unwrap();
    let make = || PARTS.insert(Part::new(db, b"key".to_vec())).unwrap();
    let parts = [make(), make(), make()];
    let put = |part| {
        guard::on_part(&PARTS, part, |db, key| {
            db.put(key, b"value")?;
            key.push(b'+');
            Ok(KV_OK)
        })
    };
    let exists = |part| {
        guard::on_shared_part(&PARTS, part, |db, key| {
            let found = db.value_len(key)?;
            Ok(if found.is_some() { KV_OK } else { KV_NOT_FOUND })
        })
    };
    assert_eq!(exists(parts[0]), KV_NOT_FOUND);
    assert_eq!(put(parts[0]), KV_OK);
    assert_eq!((exists(parts[0]), exists(parts[1])), (KV_NOT_FOUND, KV_OK));
    let nested = guard::on_part(&PARTS, parts[1], |_, _| Ok(exists(parts[1])));
    assert_eq!(nested, KV_BUSY);
    let nested = guard::on_shared_part(&PARTS, parts[1], |_, _| Ok(exists(parts[1])));
    assert_eq!(nested, KV_OK);
    guard::free_part(&PARTS, parts[0]);
    assert_eq!((put(parts[0]), exists(parts[0])), (KV_CLOSED, KV_CLOSED));
    handle::remove(db).unwrap().close().unwrap();
    for part in parts {
        assert_eq!((put(part), exists(part)), (KV_CLOSED, KV_CLOSED));
        guard::free_part(&PARTS, part);
        guard::free_part(&PARTS, part);
        assert_eq!((put(part), exists(part)), (KV_CLOSED, KV_CLOSED));
    }
    guard::free_part(&PARTS, ptr::null_mut());
    assert_eq!(put(ptr::null_mut()), KV_NULL_ARGUMENT);
}
