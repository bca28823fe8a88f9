//! What is asked of a database after a fault: every call once, and all that it holds once more when
//! it was opened again.

use std::ops::ControlFlow;

use kv::db::{WriteBatch, WriteSync};
use kv::engine::Engine;
use kv::error::{Error, Kind, Result};

use crate::scenes::{key, names_in, value, World, Write};

/// What a call may answer now.
#[derive(Clone, Copy, PartialEq)]
enum Mood {
    /// Anything but a wrong value.
    Faulty,
    /// Writes are refused.
    ReadOnly,
    /// Everything works.
    Well,
}

/// Makes every call once. `is_faulty`: the fault lasts.
pub fn try_every_call(world: &mut World, is_faulty: bool) {
    if world.engine.is_none() {
        return;
    }
    if !is_faulty {
        // Before anything else is written: what the fault has left.
        read_everything(world, Mood::Well);
    }
    let mood = |world: &World| match world.engine().latch().cause() {
        _ if is_faulty => Mood::Faulty,
        Some(_) => Mood::ReadOnly,
        None => Mood::Well,
    };
    let round = if is_faulty { 200 } else { 100 };
    let calls: [fn(&mut World, u8) -> Result<()>; 6] = [
        |world, round| world.put(3, round),
        |world, round| world.put(round, round),
        |world, round| world.delete(round),
        write_batch,
        add,
        put_reserved,
    ];
    for call in calls {
        let result = call(world, round);
        let mood = mood(world);
        check_write(mood, result);
    }
    let upkeep: [fn(&Engine) -> Result<()>; 9] = [
        Engine::sync,
        |engine| engine.prepare_spare(true),
        |engine| engine.seal_in_background().then_some(()).map_or(Ok(()), Ok),
        Engine::compact,
        |engine| engine.compact_if_due().map(|_| ()),
        |engine| {
            engine.checkpoint();
            Ok(())
        },
        |engine| {
            engine.write_due_hints();
            Ok(())
        },
        |engine| engine.touch(b"none", 1000).map(|_| ()),
        |engine| {
            drop((engine.stats(), engine.metrics()));
            Ok(())
        },
    ];
    for (number, call) in upkeep.iter().enumerate() {
        let result = call(world.engine());
        let mood = mood(world);
        assert!(
            mood != Mood::Well || result.is_ok(),
            "call {number}: {}",
            result.expect_err("it is one")
        );
    }
    read_everything(world, if is_faulty { Mood::Faulty } else { Mood::Well });
}

fn check_write(mood: Mood, result: Result<()>) {
    match (mood, result) {
        (Mood::Well, Err(error)) => panic!("it does not go on: {error}"),
        (Mood::ReadOnly, Ok(())) => panic!("it is read-only, and writes"),
        (Mood::ReadOnly, Err(error)) => {
            assert_eq!(error.kind(), Kind::ReadOnly, "{error}");
            assert!(error.to_string().contains("fault of the test"), "no cause: {error}");
        }
        _ => {}
    }
}

fn write_batch(world: &mut World, round: u8) -> Result<()> {
    let writes: Vec<Write> = vec![(key(round + 1), Some(value(9, round))), (key(5), None)];
    let mut batch = WriteBatch::new();
    batch.put(&writes[0].0, &value(9, round), 0)?;
    batch.delete(&writes[1].0)?;
    let result = world.engine().write(&batch, WriteSync::Yes);
    world.note(result, writes)
}

fn add(world: &mut World, round: u8) -> Result<()> {
    world.add(key(round + 2), 7)
}

fn put_reserved(world: &mut World, round: u8) -> Result<()> {
    world.put_reserved(key(round + 3), value(3, round))
}

/// Reads all keys in every way there is.
fn read_everything(world: &mut World, mood: Mood) {
    let found = match world.read_keys(world.engine()) {
        Ok(found) => found,
        Err(error) => {
            check_read(mood, &error);
            return;
        }
    };
    assert!(world.explains(&found), "what is read is not what was written");
    world.settle(found);
    for result in [by_iterator(world), by_snapshot(world), by_many(world)] {
        if let Err(error) = result {
            check_read(mood, &error);
        }
    }
}

fn check_read(mood: Mood, error: &Error) {
    assert!(mood == Mood::Faulty, "reads fail though the fault is over: {error}");
    assert_ne!(error.kind(), Kind::Corrupt, "a fault is taken for damage: {error}");
}

fn by_iterator(world: &World) -> Result<()> {
    let engine = world.engine();
    let mut iter = engine.open_iter(None, b"")?;
    let mut count = 0;
    let walked = loop {
        match engine.advance(&mut iter) {
            Ok(true) => {
                let (key, value) = iter.current().expect("there is a record");
                assert_eq!(world.held.get(key).map(Vec::as_slice), Some(value), "an iterator");
                count += 1;
            }
            Ok(false) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    engine.close_iter(iter);
    assert!(walked.is_err() || count == world.held.len(), "an iterator leaves keys out");
    walked
}

fn by_snapshot(world: &World) -> Result<()> {
    let engine = world.engine();
    let snapshot = engine.open_snapshot()?;
    let read = world.held.iter().try_for_each(|(key, value)| {
        let found = engine.get_at(&snapshot, key, <[u8]>::to_vec)?;
        assert_eq!(found.as_ref(), Some(value), "a snapshot");
        Ok(())
    });
    engine.close_snapshot(snapshot);
    read
}

fn by_many(world: &World) -> Result<()> {
    let keys: Vec<&Vec<u8>> = world.held.keys().collect();
    let mut failed = Ok(());
    world.engine().get_many(
        keys.len(),
        |at| Ok(keys[at]),
        |at, found| match found {
            Ok(found) => assert_eq!(found, world.held.get(keys[at]).map(Vec::as_slice)),
            Err(error) => failed = Err(error),
        },
    )?;
    failed
}

/// Ends the database by closing or without, and opens it again, twice.
pub fn settle_and_reopen(world: &mut World, end_by_closing: bool) {
    match world.engine.take() {
        Some(engine) if end_by_closing => drop(engine.shut_down()),
        engine => drop(engine),
    }
    for round in 0..2 {
        world.open().unwrap_or_else(|error| panic!("it does not open again: {error}"));
        let found = world.read_keys(world.engine()).expect("reads");
        assert!(world.explains(&found), "what is found when it was opened again ({round})");
        world.settle(found);
        check_names(world);
        world.put(2, 250 + round).expect("it is written to");
        world.engine().compact().expect("it is compacted");
        check_names(world);
        if round == 0 {
            back_up_and_restore(world);
        }
        world.close().expect("it is closed");
    }
    world.open().expect("it opens");
    assert!(world.engine().latch().cause().is_none());
}

/// No file is left over.
fn check_names(world: &World) {
    let names = names_in(&world.path("db"));
    let count = |suffix: &str| names.iter().filter(|name| name.ends_with(suffix)).count();
    let segments = world.engine().stats().segments as usize;
    assert_eq!(count(".seg"), segments, "{names:?}");
    assert!(count(".hint") <= segments && count(".new") == 0, "{names:?}");
}

/// A backup can be made now, and holds everything.
fn back_up_and_restore(world: &mut World) {
    world.back_up().unwrap_or_else(|error| panic!("no backup can be made: {error}"));
    let restored = world.path("restored");
    if !restored.exists() {
        world.restore().unwrap_or_else(|error| panic!("it cannot be restored: {error}"));
    }
    let mut tell = |_: &_| ControlFlow::Continue(());
    let second = world.path("second");
    kv::db::restore_with(&world.path("backup"), &second, &mut tell).expect("it is restored");
    let db = kv::db::Db::open(&second, &world.options).expect("what was restored opens");
    let found = world.read_keys(db.engine()).expect("reads");
    assert!(world.explains(&found), "what was backed up");
    for partial in ["backup.partial", "backup.old", "restored.partial", "second.partial"] {
        assert!(!world.path(partial).exists(), "{partial} is left over");
    }
}
