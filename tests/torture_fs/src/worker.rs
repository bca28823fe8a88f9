//! The threads that work on a database, and the one that stirs it: compacts, writes checkpoints,
//! syncs.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kv::db::{Db, WriteBatch, WriteOptions, WriteSync};
use kv::error::Error;
use kv::options::{Options, SyncLevel};

use crate::random;
use crate::tale::{self, Operation};

/// Names of sync levels, on command lines.
pub const LEVELS: [&str; 3] = ["none", "interval", "always"];

/// A write that asks for nothing.
pub const PLAIN: WriteOptions = WriteOptions {
    ttl_ms: 0,
    keep_ttl: false,
    if_absent: false,
    if_version: 0,
    skip_if_equal: false,
    sync: WriteSync::AsOpened,
};

/// Who takes down what a thread does, so that a crash finds it written.
pub trait Scribe: Sync {
    /// Called before a step. Answers whether the thread shall go on.
    fn begin(&self, thread: usize, step: u64, operation: &Operation) -> bool;
    /// Called after it was acknowledged.
    fn acknowledge(&self, thread: usize, step: u64, operation: &Operation);
}

/// Segments as small as can be, so that all that happens to segments happens often.
pub fn options(level: &str) -> Options {
    let sync = match level {
        "none" => SyncLevel::None,
        "interval" => SyncLevel::Interval,
        _ => SyncLevel::Always,
    };
    Options { segment_size: 1 << 20, sync, sync_interval_ms: 5, ..Options::default() }
}

/// Does what a step says.
pub fn perform(
    db: &Db,
    seed: u64,
    thread: usize,
    step: u64,
    operation: &Operation,
) -> Result<(), Error> {
    let name = |key: usize| tale::key_bytes(thread, key);
    let value = |key: usize, len: usize| tale::value_bytes(seed, thread, step, key, len);
    match *operation {
        Operation::Put { key, len, ttl_ms: 0 } => db.put(&name(key), &value(key, len)),
        Operation::Put { key, len, ttl_ms } => {
            let options = WriteOptions { ttl_ms, ..PLAIN };
            db.put_with(&name(key), &value(key, len), &options).map(drop)
        }
        Operation::Reserve { key, len } => {
            let mut reservation = db.reserve(&name(key), len, &PLAIN)?;
            reservation.fill(&value(key, len));
            db.commit(reservation).map(drop)
        }
        Operation::Delete { key } => db.delete(&name(key)).map(drop),
        Operation::Batch(ref parts) => {
            let mut batch = WriteBatch::new();
            for (key, len) in parts {
                match len {
                    Some(len) => batch.put(&name(*key), &value(*key, *len), 0)?,
                    None => batch.delete(&name(*key))?,
                }
            }
            db.write(&batch, WriteSync::AsOpened)
        }
        Operation::Add { key, delta } => db.add(&name(key), delta).map(drop),
        Operation::Touch { key, ttl_ms } => db.touch(&name(key), ttl_ms).map(drop),
        Operation::Sync => db.sync(),
    }
}

/// Does steps from `next` on, until the scribe says that it is enough.
pub fn work(
    db: &Db,
    scribe: &dyn Scribe,
    seed: u64,
    thread: usize,
    next: u64,
) -> Result<u64, String> {
    for step in next.. {
        let operation = tale::operation(seed, thread, step);
        if !scribe.begin(thread, step, &operation) {
            return Ok(step - 1);
        }
        if let Err(error) = perform(db, seed, thread, step, &operation) {
            return Err(format!("thread {thread} step {step} {operation:?}: {error}"));
        }
        scribe.acknowledge(thread, step, &operation);
    }
    Ok(0)
}

/// What the stirring thread is at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stir {
    Nothing,
    Compact,
    Checkpoint,
    Sync,
}

/// Stirs the database until `done`.
pub fn stir(
    db: &Db,
    seed: u64,
    pause_us: u64,
    done: &AtomicBool,
    tell: impl Fn(Stir),
) -> Result<(), String> {
    let mut random = random::of(&[seed, 77]);
    while !done.load(Ordering::SeqCst) {
        std::thread::sleep(Duration::from_micros(random.below(2 * pause_us)));
        let stir = match random.below(10) {
            0..=4 => Stir::Compact,
            5..=6 => Stir::Checkpoint,
            _ => Stir::Sync,
        };
        tell(stir);
        let done = match stir {
            Stir::Compact => db.compact(),
            Stir::Checkpoint => {
                db.engine().checkpoint();
                Ok(())
            }
            _ => db.sync(),
        };
        done.map_err(|error| format!("{stir:?}: {error}"))?;
        tell(Stir::Nothing);
    }
    Ok(())
}
