//! Conditional writes, counters, values that expire, and batches.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

use common::TempDir;
use kv::clock::{ManualTime, TimeSource};
use kv::db::{Db, WriteBatch, WriteOptions, WriteSync, Written};
use kv::error::{Error, Kind};
use kv::format::MAX_VALUE_LEN;
use kv::options::Options;

fn value(db: &Db, key: &[u8]) -> Option<Vec<u8>> {
    db.get(key, <[u8]>::to_vec).unwrap()
}

fn open(place: &TempDir) -> Db {
    Db::open(&place.join("db"), &Options::default()).unwrap()
}

/// A database whose clocks stand still.
fn with_time(place: &TempDir) -> (Db, Arc<ManualTime>) {
    let time = Arc::new(ManualTime::default());
    time.wall_ms.store(1_700_000_000_000, Ordering::SeqCst);
    let options = Options { time: TimeSource::Manual(Arc::clone(&time)), ..Options::default() };
    (Db::open(&place.join("db"), &options).unwrap(), time)
}

const TTL_100: WriteOptions = WriteOptions {
    ttl_ms: 100,
    keep_ttl: false,
    if_absent: false,
    if_version: 0,
    skip_if_equal: false,
    sync: WriteSync::AsOpened,
};

#[test]
fn writes_depend_on_what_is_there() {
    let place = TempDir::new("writes-conditions");
    let db = open(&place);
    let absent = WriteOptions { if_absent: true, ..WriteOptions::default() };
    let Written::Done(first) = db.put_with(b"key", b"one", &absent).unwrap() else { panic!() };
    assert_eq!(db.version(b"key").unwrap(), Some(first));
    assert_eq!(db.put_with(b"key", b"two", &absent).unwrap(), Written::Exists);
    assert_eq!(value(&db, b"key").unwrap(), b"one");

    let at = |if_version| WriteOptions { if_version, ..WriteOptions::default() };
    assert_eq!(db.put_with(b"key", b"two", &at(first + 1)).unwrap(), Written::OtherVersion);
    assert_eq!(db.put_with(b"none", b"two", &at(first)).unwrap(), Written::OtherVersion);
    let Written::Done(second) = db.put_with(b"key", b"two", &at(first)).unwrap() else { panic!() };
    assert!(second > first);
    assert_eq!(db.delete_with(b"key", &at(first)).unwrap(), Written::OtherVersion);
    db.compact().unwrap();
    assert_eq!(db.version(b"key").unwrap(), Some(second), "compaction keeps versions");

    let equal = WriteOptions { skip_if_equal: true, ..WriteOptions::default() };
    let before = db.stats().bytes_put;
    assert_eq!(db.put_with(b"key", b"two", &equal).unwrap(), Written::Unchanged(second));
    assert_eq!(db.stats().bytes_put, before, "an equal value is not written");
    assert!(matches!(db.put_with(b"key", b"2", &equal).unwrap(), Written::Done(_)));
    let version = db.version(b"key").unwrap().unwrap();
    assert!(matches!(db.delete_with(b"key", &at(version)).unwrap(), Written::Done(_)));
    assert_eq!(db.delete_with(b"key", &at(version)).unwrap(), Written::NotFound);
    assert_eq!(db.version(b"key").unwrap(), None);
}

#[test]
fn counters_add_up_from_several_threads() {
    let place = TempDir::new("writes-counters");
    let db = open(&place);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..1000).for_each(|_| _ = db.add(b"hits", 3).unwrap()));
        }
    });
    assert_eq!(db.add(b"hits", -1).unwrap(), 11_999);
    assert_eq!(db.add(b"hits", i64::MAX).unwrap_err().kind(), Kind::Overflow);
    assert_eq!(db.add(b"hits", 0).unwrap(), 11_999);
    db.put(b"text", b"seven").unwrap();
    assert_eq!(db.add(b"text", 1).unwrap_err().kind(), Kind::NotACounter);
    assert_eq!(value(&db, b"text").unwrap(), b"seven");
}

#[test]
fn values_expire_at_their_millisecond() {
    let place = TempDir::new("writes-ttl");
    let (db, time) = with_time(&place);
    db.put_with(b"key", b"value", &TTL_100).unwrap();
    assert_eq!(db.ttl(b"key").unwrap(), Some(Some(100)));
    time.advance(99);
    assert_eq!(db.ttl(b"key").unwrap(), Some(Some(1)));
    assert!(value(&db, b"key").is_some());
    time.advance(1);
    assert_eq!(value(&db, b"key"), None);
    assert_eq!(db.ttl(b"key").unwrap(), None);
    assert_eq!(db.version(b"key").unwrap(), None);
    assert!(!db.delete(b"key").unwrap());
    assert!(!db.touch(b"key", 1000).unwrap());
    // The clock is set back: it stays away.
    time.wall_ms.fetch_sub(1_000_000, Ordering::SeqCst);
    assert_eq!(value(&db, b"key"), None);
    let absent = WriteOptions { if_absent: true, ..TTL_100 };
    assert!(matches!(db.put_with(b"key", b"again", &absent).unwrap(), Written::Done(_)));
    time.advance(99);
    assert_eq!(value(&db, b"key").unwrap(), b"again", "nor does it expire early");
    time.advance(1);
    assert_eq!(value(&db, b"key"), None);
    assert_eq!(db.add(b"key", 5).unwrap(), 5, "what has expired does not count");
}

#[test]
fn times_to_live_are_changed_kept_and_removed() {
    let place = TempDir::new("writes-touch");
    let (db, time) = with_time(&place);
    db.put_with(b"key", b"value", &TTL_100).unwrap();
    time.advance(50);
    assert!(db.touch(b"key", 100).unwrap());
    time.advance(99);
    assert_eq!(value(&db, b"key").unwrap(), b"value");
    let keep = WriteOptions { keep_ttl: true, ..WriteOptions::default() };
    db.put_with(b"key", b"other", &keep).unwrap();
    assert_eq!(db.ttl(b"key").unwrap(), Some(Some(1)));
    assert!(db.touch(b"key", 0).unwrap());
    assert_eq!(db.ttl(b"key").unwrap(), Some(None));
    time.advance(1_000_000);
    assert_eq!(value(&db, b"key").unwrap(), b"other");
    db.touch(b"key", 100).unwrap();
    db.put(b"key", b"plain").unwrap();
    assert_eq!(db.ttl(b"key").unwrap(), Some(None), "a plain put removes it");
    let too_long = WriteOptions { ttl_ms: u64::MAX, ..WriteOptions::default() };
    assert_eq!(db.put_with(b"k", b"", &too_long).unwrap_err().kind(), Kind::InvalidArgument);
}

#[test]
fn times_to_live_survive_closing_crashing_and_compacting() {
    let place = TempDir::new("writes-ttl-open");
    let (db, time) = with_time(&place);
    db.put_with(b"key", b"value", &TTL_100).unwrap();
    db.put_with(b"counter", &7_i64.to_le_bytes(), &TTL_100).unwrap();
    db.delete(b"nothing").unwrap();
    db.put(b"garbage", b"1").unwrap();
    db.put(b"garbage", b"2").unwrap();
    db.compact().unwrap();
    assert_eq!(db.add(b"counter", 1).unwrap(), 8);
    assert_eq!(db.ttl(b"key").unwrap(), Some(Some(100)));
    assert_eq!(db.ttl(b"counter").unwrap(), Some(Some(100)));
    db.close().unwrap();
    let options = Options { time: TimeSource::Manual(Arc::clone(&time)), ..Options::default() };
    let db = Db::open(&place.join("db"), &options).unwrap();
    assert_eq!(db.ttl(b"key").unwrap(), Some(Some(100)));
    time.advance(100);
    assert_eq!((value(&db, b"key"), value(&db, b"counter")), (None, None));
}

#[test]
fn batches_do_all_of_it() {
    let place = TempDir::new("writes-batch");
    let (db, time) = with_time(&place);
    db.put(b"old", b"1").unwrap();
    db.put(b"gone", b"1").unwrap();
    let mut batch = WriteBatch::new();
    batch.put(b"old", b"2", 0).unwrap();
    batch.put(b"new", b"first", 0).unwrap();
    batch.put(b"new", b"last", 0).unwrap();
    batch.delete(b"gone").unwrap();
    batch.delete(b"never there").unwrap();
    batch.put(b"back", b"x", 0).unwrap();
    batch.delete(b"back").unwrap();
    batch.put(b"short", b"y", 50).unwrap();
    assert_eq!(batch.len(), 8);
    for _ in 0..2 {
        db.write(&batch, WriteSync::AsOpened).unwrap();
        assert_eq!(value(&db, b"old").unwrap(), b"2");
        assert_eq!(value(&db, b"new").unwrap(), b"last");
        assert_eq!(value(&db, b"gone"), None);
        assert_eq!(value(&db, b"back"), None);
        assert_eq!(db.ttl(b"short").unwrap(), Some(Some(50)));
        assert_eq!(db.engine().len(), 3);
    }
    db.close().unwrap();
    let db = open(&place);
    assert_eq!(value(&db, b"old").unwrap(), b"2");
    assert_eq!(value(&db, b"gone"), None);
    let _ = time;
    batch.clear();
    db.write(&batch, WriteSync::Yes).unwrap();
    assert_eq!(batch.delete(b"").unwrap_err().kind(), Kind::EmptyKey);
}

#[test]
fn batches_larger_than_a_segment_and_with_many_new_keys() {
    let place = TempDir::new("writes-large-batch");
    let options = Options { segment_size: 1 << 20, ..Options::default() };
    let db = Db::open(&place.join("db"), &options).unwrap();
    let key = |n: u32| n.to_be_bytes();
    let mut batch = WriteBatch::new();
    for n in 0..100_000 {
        batch.put(&key(n), &[n as u8; 100], 0).unwrap();
    }
    db.write(&batch, WriteSync::AsOpened).unwrap();
    assert_eq!(db.engine().len(), 100_000);
    for n in (0..100_000).step_by(7) {
        assert_eq!(value(&db, &key(n)).unwrap(), [n as u8; 100]);
    }
    batch.clear();
    (0..100_000).for_each(|n| batch.delete(&key(n)).unwrap());
    db.write(&batch, WriteSync::AsOpened).unwrap();
    assert!(db.engine().is_empty());
    db.compact().unwrap();
    db.close().unwrap();
    assert!(Db::open(&place.join("db"), &options).unwrap().engine().is_empty());
}

/// Two keys are always changed together: no reader finds one changed and then the other not.
#[test]
fn nobody_sees_half_of_a_batch() {
    let place = TempDir::new("writes-half");
    let db = open(&place);
    let stop = AtomicBool::new(false);
    let keys: Vec<[u8; 4]> = (0..50_u32).map(u32::to_be_bytes).collect();
    let mut rounds = 0_u64;
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut seen = 0;
            while !stop.load(Ordering::Relaxed) {
                for key in keys.iter().chain(keys.iter().rev()) {
                    let round = value(&db, key);
                    let round = round.map(|v| u64::from_le_bytes(v.try_into().unwrap()));
                    // Odd rounds are deletes: a key that is missing was there in the round before.
                    match round {
                        Some(round) => {
                            assert!(round >= seen, "{round} after {seen}");
                            seen = seen.max(round);
                        }
                        None if seen % 2 == 0 && seen > 0 => seen += 1,
                        None => {}
                    }
                }
            }
        });
        let mut batch = WriteBatch::new();
        let begin = std::time::Instant::now();
        while begin.elapsed().as_millis() < 1500 {
            rounds += 1;
            batch.clear();
            for key in &keys {
                match rounds % 2 {
                    0 => batch.put(key, &rounds.to_le_bytes(), 0).unwrap(),
                    _ => batch.delete(key).unwrap(),
                }
            }
            db.write(&batch, WriteSync::AsOpened).unwrap();
        }
        stop.store(true, Ordering::Relaxed);
        reader.join().unwrap();
    });
    assert!(rounds > 100);
}

#[test]
fn a_value_is_put_together_in_the_log() {
    let place = TempDir::new("writes-reserve");
    let db = open(&place);
    let none = WriteOptions::default();
    let mut reservation = db.reserve(b"key", 1000, &none).unwrap();
    reservation.fill(&[7; 1000]);
    assert_eq!(value(&db, b"key"), None);
    let written = db.stats().bytes_put;
    assert!(matches!(db.commit(reservation).unwrap(), Written::Done(_)));
    assert_eq!(value(&db, b"key").unwrap(), [7; 1000]);
    assert_eq!(db.stats().dead_bytes, 0, "nothing was left beside it");
    assert!(db.stats().bytes_put > written);

    // Others write meanwhile: nobody waits, and both are there.
    let an_hour = WriteOptions { ttl_ms: 3_600_000, ..none };
    let mut reservation = db.reserve(b"key", 500, &an_hour).unwrap();
    db.put(b"other", b"value").unwrap();
    reservation.fill(&[8; 500]);
    db.compact().unwrap();
    assert!(matches!(db.commit(reservation).unwrap(), Written::Done(_)));
    assert_eq!(value(&db, b"key").unwrap(), [8; 500]);
    assert!(db.ttl(b"key").unwrap().unwrap().is_some());

    // Forgotten, aborted, and against its conditions.
    drop(db.reserve(b"dropped", 100, &none).unwrap());
    db.abort(db.reserve(b"aborted", 100, &none).unwrap());
    let absent = WriteOptions { if_absent: true, ..none };
    let late = db.reserve(b"other", 100, &absent).unwrap();
    assert_eq!(db.commit(late).unwrap(), Written::Exists);
    let empty = db.reserve(b"empty", 0, &none).unwrap();
    assert!(matches!(db.commit(empty).unwrap(), Written::Done(_)));
    let open_at_the_end = db.reserve(b"never", 1 << 20, &none).unwrap();
    db.close().unwrap();
    let mut open_at_the_end = open_at_the_end;
    open_at_the_end.fill(&[1; 1 << 20]);
    drop(open_at_the_end);

    let db = open(&place);
    assert_eq!(value(&db, b"key").unwrap(), [8; 500]);
    assert_eq!(value(&db, b"other").unwrap(), b"value");
    assert_eq!(value(&db, b"empty").unwrap(), b"");
    for key in [&b"dropped"[..], b"aborted", b"never"] {
        assert_eq!(value(&db, key), None);
    }
    db.compact().unwrap();
    assert_eq!(db.stats().dead_bytes, 0, "gaps go too");
}

/// Who fills a reservation may go on when the database was closed, also if it refused writes: the
/// log, opened again, does not go on in the same place.
#[test]
fn a_database_that_refuses_writes_leaves_a_reservation_its_room() {
    let place = TempDir::new("writes-reserve-latched");
    let db = open(&place);
    db.put(b"before", b"value").unwrap();
    let mut reservation = db.reserve(b"never", 1 << 20, &WriteOptions::default()).unwrap();
    db.refuse_writes(Error::new(Kind::Internal, "a test says so"));
    assert!(db.close().is_err());

    let db = open(&place);
    db.put(b"after", &[7; 10_000]).unwrap();
    reservation.fill(&[1; 1 << 20]);
    assert_eq!(value(&db, b"before").unwrap(), b"value");
    assert_eq!(value(&db, b"after").unwrap(), [7; 10_000]);
    assert_eq!(value(&db, b"never"), None);
}

/// A gap is no longer than a value, and takes the place of a whole record.
#[test]
fn what_no_gap_could_take_the_place_of_is_not_reserved() {
    let place = TempDir::new("writes-reserve-long");
    let db = open(&place);
    let an_hour = WriteOptions { ttl_ms: 3_600_000, ..WriteOptions::default() };
    for (key, too_long) in [(&b"k"[..], MAX_VALUE_LEN - 16), (&[7; 1000], MAX_VALUE_LEN - 1015)] {
        for len in [too_long, MAX_VALUE_LEN, MAX_VALUE_LEN + 1, usize::MAX] {
            let refused = db.reserve(key, len, &an_hour).err().map(|error| error.kind());
            assert_eq!(refused, Some(Kind::ValueTooLong), "{len}");
        }
    }
    db.put(b"key", b"value").unwrap();
    assert_eq!(value(&db, b"key").unwrap(), b"value");
}

#[test]
fn many_threads_put_values_together_at_once() {
    let place = TempDir::new("writes-reserve-threads");
    let options = Options { segment_size: 1 << 20, ..Options::default() };
    let db = Db::open(&place.join("db"), &options).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4_u8 {
            let db = &db;
            scope.spawn(move || {
                for n in 0..500_u16 {
                    let key = [thread, (n >> 8) as u8, n as u8];
                    let len = usize::from(n) * 40;
                    let mut reservation = db.reserve(&key, len, &WriteOptions::default()).unwrap();
                    reservation.fill(&vec![n as u8 ^ thread; len]);
                    match n % 5 {
                        0 => db.abort(reservation),
                        1 => drop(reservation),
                        _ => _ = db.commit(reservation).unwrap(),
                    }
                }
            });
        }
    });
    let check = |db: &Db| {
        for thread in 0..4_u8 {
            for n in 0..500_u16 {
                let key = [thread, (n >> 8) as u8, n as u8];
                let expected = (n % 5 > 1).then(|| vec![n as u8 ^ thread; usize::from(n) * 40]);
                assert_eq!(value(db, &key), expected, "{thread} {n}");
            }
        }
    };
    check(&db);
    let copy = place.join("copy");
    // Of what gaps have left, segments go meanwhile that the copied manifest knows.
    db.pause_compaction();
    common::copy_directory(&place.join("db"), &copy);
    db.resume_compaction();
    check(&Db::open(&copy, &options).unwrap());
    db.compact().unwrap();
    check(&db);
}
