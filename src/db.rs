//! The safe Rust API: one database, open. What is done with one that is not is in [`at_rest`].

mod at_rest;

use std::fmt;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

pub use crate::engine::batch::WriteBatch;
pub use crate::engine::compact::Progress;
pub use crate::engine::conditional::{WriteOptions, WriteSync, Written, MAX_TTL_MS};
use crate::engine::herald::Delivery;
pub use crate::engine::iterate::Iter;
pub use crate::engine::latency::Latency;
use crate::engine::latency::Operation;
use crate::engine::maintenance::Maintenance;
pub use crate::engine::many::Views;
pub use crate::engine::read::View;
pub use crate::engine::reserve::Reservation;
pub use crate::engine::snapshot::Snapshot;
pub use crate::engine::stats::{SegmentStats, Stats};
pub use crate::engine::verify::problem::{Problem, Severity, Subject, SUBJECTS};
pub use crate::engine::verify::report::{Form, Report};
use crate::engine::{recover, Engine};
use crate::epoch;
use crate::error::{Error, Result};
use crate::options::Options;
use crate::storage::parent::PosixParent;
use crate::storage::posix::PosixStorage;
use crate::storage::{process, Storage};
use at_rest::refuse_urls;
pub use at_rest::{destroy, restore, restore_with, salvage, salvage_with, verify, verify_with};

/// An open database. Any number of threads may use it at once.
pub struct Db {
    engine: Arc<Engine>,
    maintenance: Option<Maintenance>,
    /// The mode of files that backups make.
    file_mode: u32,
    /// Goes last: what happens at closing is told too.
    delivery: Option<Delivery>,
}

impl Db {
    /// Opens the database in the directory `path`.
    pub fn open(path: &Path, options: &Options) -> Result<Db> {
        refuse_urls(path)?;
        process::watch_for_forks();
        let (create, file_mode) = (options.create_if_missing, options.file_mode);
        let storage = PosixStorage::open_with_mode(path, create, file_mode)?;
        Db::open_in(Arc::new(storage), options)
    }

    /// Opens the database in `storage`.
    pub fn open_in(storage: Arc<dyn Storage>, options: &Options) -> Result<Db> {
        // First, so that it tells also what an open that fails has found.
        let delivery = Delivery::start(&options.listeners)?;
        let herald = Arc::clone(delivery.herald());
        let opened = recover::open_told(storage, options.clone(), herald);
        let engine = Arc::new(opened.inspect_err(|error| delivery.herald().tell_damage(error))?);
        let maintenance = Maintenance::start(Arc::clone(&engine))?;
        let file_mode = options.file_mode;
        Ok(Db { engine, maintenance: Some(maintenance), file_mode, delivery: Some(delivery) })
    }

    /// Puts everything on the medium and closes the database. It is closed even if this fails.
    pub fn close(mut self) -> Result<()> {
        self.shut_down()
    }

    fn shut_down(&mut self) -> Result<()> {
        match self.maintenance.take() {
            Some(maintenance) => {
                drop(maintenance);
                let result = self.engine.shut_down();
                epoch::flush();
                drop(self.delivery.take());
                result
            }
            None => Ok(()),
        }
    }

    /// Sets the value of `key`.
    pub fn put(&self, key: &[u8], value: &[u8]) -> Result<()> {
        self.engine.sampled(Operation::Put, || self.engine.put(key, value))
    }

    /// Hands the value of `key` to `read`, in place, and answers what it returns. `read` must not
    /// call the database.
    pub fn get<R>(&self, key: &[u8], read: impl FnOnce(&[u8]) -> R) -> Result<Option<R>> {
        self.engine.sampled(Operation::Get, || self.engine.get(key, read))
    }

    /// The value of `key`, readable for as long as the view lives: also after it was overwritten,
    /// and after `close`.
    pub fn view(&self, key: &[u8]) -> Result<Option<View>> {
        self.engine.sampled(Operation::View, || self.engine.view(key))
    }

    /// Hands the values of many keys to `take`, each with its key's place among them, and faster
    /// than one by one. What goes wrong with a key concerns it alone. `take` must not call the
    /// database.
    pub fn get_many<'k>(
        &self,
        count: usize,
        key_at: impl Fn(usize) -> Result<&'k [u8]>,
        take: impl FnMut(usize, Result<Option<&[u8]>>),
    ) -> Result<()> {
        self.engine.timed(Operation::GetMany, || self.engine.get_many(count, key_at, take))
    }

    /// The values of many keys, readable for as long as the views live.
    pub fn view_many<'k>(
        &self,
        count: usize,
        key_at: impl Fn(usize) -> Result<&'k [u8]>,
    ) -> Result<Views> {
        self.engine.timed(Operation::GetMany, || self.engine.view_many(count, key_at))
    }

    /// Takes a snapshot: the database as it is now, for later. Give it back with
    /// [`Db::close_snapshot`], to this database; until then what it sees is kept.
    pub fn open_snapshot(&self) -> Result<Snapshot> {
        self.engine.open_snapshot()
    }

    /// Closes a snapshot.
    pub fn close_snapshot(&self, snapshot: Snapshot) {
        self.engine.close_snapshot(snapshot);
    }

    /// As [`Db::get`], at the time of a snapshot.
    pub fn get_at<R>(
        &self,
        snapshot: &Snapshot,
        key: &[u8],
        read: impl FnOnce(&[u8]) -> R,
    ) -> Result<Option<R>> {
        self.engine.sampled(Operation::Get, || self.engine.get_at(snapshot, key, read))
    }

    /// As [`Db::view`], at the time of a snapshot.
    pub fn view_at(&self, snapshot: &Snapshot, key: &[u8]) -> Result<Option<View>> {
        self.engine.sampled(Operation::View, || self.engine.view_at(snapshot, key))
    }

    /// As [`Db::value_len`], at the time of a snapshot.
    pub fn value_len_at(&self, snapshot: &Snapshot, key: &[u8]) -> Result<Option<usize>> {
        self.engine.sampled(Operation::Exists, || self.engine.value_len_at(snapshot, key))
    }

    /// Begins to walk over all records whose keys begin with `prefix`, each once and in no order,
    /// as a snapshot sees them; without one, as they are now. Give the iterator back with
    /// [`Db::close_iter`], to this database; until then what it sees is kept.
    pub fn open_iter(&self, snapshot: Option<&Snapshot>, prefix: &[u8]) -> Result<Iter> {
        self.engine.open_iter(snapshot, prefix)
    }

    /// Goes to the next record, and answers whether there is one; [`Iter::current`] is the record.
    /// After a failure the iterator goes on behind what is damaged, as far as that can be told, and
    /// tries again what could not be read for another reason.
    #[inline]
    pub fn advance(&self, iter: &mut Iter) -> Result<bool> {
        self.engine.sampled(Operation::Iterate, || self.engine.advance(iter))
    }

    /// Closes an iterator.
    pub fn close_iter(&self, iter: Iter) {
        self.engine.close_iter(iter);
    }

    /// How many keys there are. Those that have expired count until they are removed.
    pub fn count(&self) -> u64 {
        self.engine.len() as u64
    }

    /// The length of the value of `key`.
    pub fn value_len(&self, key: &[u8]) -> Result<Option<usize>> {
        self.engine.sampled(Operation::Exists, || self.engine.value_len(key))
    }

    /// Removes `key`. Answers whether it was there; if not, nothing is written.
    pub fn delete(&self, key: &[u8]) -> Result<bool> {
        self.engine.sampled(Operation::Delete, || self.engine.delete(key))
    }

    /// Sets the value of `key`, if what `options` ask for holds.
    pub fn put_with(&self, key: &[u8], value: &[u8], options: &WriteOptions) -> Result<Written> {
        self.engine.sampled(Operation::Put, || self.engine.put_with(key, value, options))
    }

    /// Removes `key`, if it has the version that `options` ask for.
    pub fn delete_with(&self, key: &[u8], options: &WriteOptions) -> Result<Written> {
        self.engine.sampled(Operation::Delete, || self.engine.delete_with(key, options))
    }

    /// The version of `key`: it is another after each write to it.
    pub fn version(&self, key: &[u8]) -> Result<Option<u64>> {
        self.engine.version(key)
    }

    /// Adds `delta` to the counter `key`, eight bytes, the lowest first, or 0 if it is not there;
    /// answers what it is now.
    pub fn add(&self, key: &[u8], delta: i64) -> Result<i64> {
        self.engine.sampled(Operation::Add, || self.engine.add(key, delta))
    }

    /// Lets the value of `key` expire after `ttl_ms` milliseconds from now, or never if that is 0.
    /// Answers whether it is there.
    pub fn touch(&self, key: &[u8], ttl_ms: u64) -> Result<bool> {
        let touched = self.engine.sampled(Operation::Touch, || self.engine.touch(key, ttl_ms));
        Ok(touched? != Written::NotFound)
    }

    /// How many milliseconds the value of `key` will still be there: the inner `None` is for ever.
    pub fn ttl(&self, key: &[u8]) -> Result<Option<Option<u64>>> {
        self.engine.ttl(key)
    }

    /// When the value of `key` expires, in milliseconds since 1970: the inner `None` is never.
    pub fn expires_at(&self, key: &[u8]) -> Result<Option<Option<u64>>> {
        self.engine.expires_at(key)
    }

    /// Does all of a batch, or nothing, also after a crash. The last of several writes to one key
    /// counts.
    pub fn write(&self, batch: &WriteBatch, sync: WriteSync) -> Result<()> {
        self.engine.timed(Operation::Write, || self.engine.write(batch, sync))
    }

    /// Makes room in the log for a value of `key`, which the caller fills and commits. Until then
    /// nothing is there.
    pub fn reserve(
        &self,
        key: &[u8],
        value_len: usize,
        options: &WriteOptions,
    ) -> Result<Reservation> {
        self.engine.reserve_value(key, value_len, options)
    }

    /// Makes the value of a reservation of this database part of it, if what its options ask for
    /// holds.
    pub fn commit(&self, reservation: Reservation) -> Result<Written> {
        self.engine.sampled(Operation::Put, || self.engine.commit_value(&reservation))
    }

    /// Forgets a reservation of this database.
    pub fn abort(&self, reservation: Reservation) {
        self.engine.abort_value(&reservation);
    }

    /// Returns when everything acknowledged before the call is on the medium.
    pub fn sync(&self) -> Result<()> {
        self.engine.timed(Operation::Sync, || self.engine.sync())
    }

    /// Rewrites segments until no garbage is left.
    pub fn compact(&self) -> Result<()> {
        self.engine.compact()
    }

    /// The same; `tell` is told now and then how far it is, and can end it. It may use the database
    /// but for compacting and closing it.
    pub fn compact_with(&self, mut tell: impl FnMut(&Progress) -> ControlFlow<()>) -> Result<()> {
        self.engine.compact_with(&mut tell)
    }

    /// Ends the compactions that callers have begun.
    pub fn cancel_compaction(&self) {
        self.engine.control().cancel();
    }

    /// Keeps the database from compacting by itself. Returns when it does not any more.
    pub fn pause_compaction(&self) {
        self.engine.control().pause();
    }

    /// Lets the database compact by itself again.
    pub fn resume_compaction(&self) {
        self.engine.resume_compaction();
    }

    /// Ends all compactions for good, since the database is about to be closed.
    pub fn interrupt(&self) {
        self.engine.control().stop();
    }

    /// Makes the directory `path` a backup, or brings the older one there up to date.
    pub fn backup(&self, path: &Path) -> Result<()> {
        self.backup_with(path, |_| ControlFlow::Continue(()))
    }

    /// The same; `tell` is told now and then how far it is, and can end it. It may use the database
    /// but for closing it.
    pub fn backup_with(
        &self,
        path: &Path,
        mut tell: impl FnMut(&Progress) -> ControlFlow<()>,
    ) -> Result<()> {
        refuse_urls(path)?;
        let (parent, name) = PosixParent::of(path)?;
        let parent = parent.with_file_mode(self.file_mode);
        let began = Instant::now();
        let outcome = self.engine.backup(&parent, &name, &mut tell);
        self.engine.herald().tell_backup(path, began.elapsed(), outcome.as_ref().err());
        outcome
    }

    /// Figures of this moment.
    pub fn stats(&self) -> Stats {
        self.engine.stats()
    }

    /// What each segment is used for, in the order of their ids.
    pub fn segments(&self) -> Result<Vec<SegmentStats>> {
        self.engine.segment_stats()
    }

    /// How long the operation with this number takes; none if there is none.
    pub fn latency(&self, operation: usize) -> Option<Latency> {
        self.engine.latency(operation)
    }

    /// All figures as OpenMetrics text.
    pub fn metrics(&self) -> String {
        self.engine.metrics()
    }

    /// Writes the same.
    pub fn write_metrics(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        self.engine.write_metrics(out)
    }

    /// Refuses all writes from now on, for this reason.
    pub fn refuse_writes(&self, cause: Error) {
        self.engine.latch().close(&cause);
    }

    /// Takes note of a failure that a call met: damage is told to those who listen.
    pub fn note_failure(&self, error: &Error) {
        self.engine.herald().tell_damage(error);
    }

    /// Whether somebody is told what happens.
    pub fn has_listeners(&self) -> bool {
        self.delivery.as_ref().is_some_and(Delivery::has_listeners)
    }

    /// The engine, for tests and benchmarks.
    #[doc(hidden)]
    pub fn engine(&self) -> &Engine {
        &self.engine
    }
}

impl Drop for Db {
    fn drop(&mut self) {
        // Whoever wants to know calls close().
        let _ = self.shut_down();
    }
}
