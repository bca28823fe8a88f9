//! What open snapshots still see of keys that were written since: the replaced records, by hash.
//!
//! A record with sequence `s` that the write with sequence `u` replaced is seen by each snapshot
//! `S` with `s < S <= u`. It is kept for the newest snapshot that sees it, its owner; when that one
//! is closed, the next older one that sees it becomes the owner, or it goes. So what closing a
//! snapshot costs depends on what was kept for it, and not on what is kept in all.
//!
//! Snapshots of the same sequence, between which nothing was written, are one owner: its entries go
//! when the last of them is closed.
//!
//! Divided by hash into shards with a lock each, under which only that of the open snapshots is
//! taken.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use parking_lot::{Mutex, MutexGuard};

use crate::atomic::{AtomicUsize, Ordering};
use crate::error::{Error, Kind, Result};
use crate::memory;

/// log2 of the number of shards.
const SHARD_BITS: u32 = 8;
/// Entries that closing a snapshot looks at with the lock held: writers may wait for it.
const AT_ONCE: usize = 256;
/// No entry.
const NONE: u32 = u32::MAX;

/// Replaced records, of which `T` is what it takes to read one.
pub struct Versions<T> {
    shards: Box<[Mutex<Shard<T>>]>,
    /// Bits of a hash below those that choose its shard.
    shift: u32,
    /// The open snapshots, oldest first, as often as they are open.
    open: Mutex<Vec<u64>>,
    /// Held by the one who closes a snapshot.
    closing: Mutex<()>,
    entries: AtomicUsize,
}

struct Shard<T> {
    /// The first entry of each hash.
    heads: HashMap<u64, u32, BuildHasherDefault<HashIsHash>>,
    entries: Vec<Entry<T>>,
    /// The first entry that is not in use.
    free: u32,
    /// The entries of each owner, the owners in order.
    owned: Vec<(u64, Vec<u32>)>,
}

struct Entry<T> {
    hash: u64,
    /// The record's sequence, and that of the write which replaced it.
    sequence: u64,
    until: u64,
    /// The next entry of the hash, or that is not in use.
    next: u32,
    /// Nothing if it is not in use.
    value: Option<T>,
}

/// A hash function for hashes.
#[derive(Default)]
struct HashIsHash(u64);

impl Hasher for HashIsHash {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, _: &[u8]) {}
    fn write_u64(&mut self, hash: u64) {
        // The table looks at both ends. The top bits are the same in a shard.
        self.0 = hash.rotate_right(16);
    }
}

impl<T> Default for Shard<T> {
    fn default() -> Shard<T> {
        Shard { heads: HashMap::default(), entries: Vec::new(), free: NONE, owned: Vec::new() }
    }
}

impl<T: Clone> Versions<T> {
    /// With no snapshot open, and nothing kept.
    pub fn new() -> Result<Versions<T>> {
        Versions::with_shards(SHARD_BITS)
    }

    /// The same with 2^`bits` shards, two at least.
    pub fn with_shards(bits: u32) -> Result<Versions<T>> {
        let shards = memory::collect((0..1 << bits).map(|_| Mutex::default()))?;
        Ok(Versions {
            shards: shards.into_boxed_slice(),
            shift: u64::BITS - bits,
            open: Mutex::default(),
            closing: Mutex::default(),
            entries: AtomicUsize::new(0),
        })
    }

    /// Opens the snapshot of all records below `snapshot`. If it is not open already, none is
    /// newer.
    pub fn open(&self, snapshot: u64) -> Result<()> {
        let mut open = self.open.lock();
        open.try_reserve(1).map_err(|_| no_memory())?;
        let at = open.partition_point(|&other| other <= snapshot);
        open.insert(at, snapshot);
        Ok(())
    }

    /// Closes a snapshot. `tell` is told the newest that is left, 0 if there is none, before what
    /// was kept for this one goes; from then on, nothing more is kept for it.
    pub fn close(&self, snapshot: u64, tell: impl FnOnce(&dyn Fn() -> u64)) {
        let _one_at_a_time = self.closing.lock();
        let heir = std::cell::Cell::new(None);
        tell(&|| {
            let mut open = self.open.lock();
            let at = open.partition_point(|&other| other < snapshot);
            if open.get(at) == Some(&snapshot) {
                open.remove(at);
            }
            if open.get(at) != Some(&snapshot) {
                heir.set(Some(at.checked_sub(1).map_or(0, |older| open[older])));
            }
            open.last().copied().unwrap_or(0)
        });
        if let Some(heir) = heir.get() {
            self.shards.iter().for_each(|shard| self.pass_on(shard, snapshot, heir));
        }
    }

    /// How many snapshots are open.
    pub fn snapshots(&self) -> usize {
        self.open.lock().len()
    }

    /// Bytes of memory of what is kept.
    pub fn memory(&self) -> usize {
        let each = size_of::<Entry<T>>() + size_of::<u32>() + size_of::<(u64, u32)>();
        self.entries.load(Ordering::Relaxed) * each
    }

    /// Keeps the record with this hash and sequence, which the write `until` replaces, for `owner`,
    /// the newest open snapshot.
    pub fn keep(&self, hash: u64, sequence: u64, until: u64, owner: u64, value: T) -> Result<()> {
        debug_assert!(sequence < owner && owner <= until);
        self.shard(hash)
            .add(owner, Entry { hash, sequence, until, next: NONE, value: Some(value) })?;
        self.entries.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// The records with this hash that `snapshot` sees: one, but for keys with the same hash.
    pub fn find(&self, hash: u64, snapshot: u64) -> Vec<T> {
        let shard = self.shard(hash);
        let seen = shard.chain(hash).filter(|entry| entry.is_seen_by(snapshot));
        seen.filter_map(|entry| entry.value.clone()).collect()
    }

    /// Whether `snapshot` sees the record with this hash and sequence, and it is kept.
    pub fn has(&self, hash: u64, sequence: u64, snapshot: u64) -> bool {
        // A record is counted here before the index has its successor, which the caller has seen.
        if self.entries.load(Ordering::Acquire) == 0 {
            return false;
        }
        let shard = self.shard(hash);
        let mut chain = shard.chain(hash);
        chain.any(|entry| entry.sequence == sequence && entry.is_seen_by(snapshot))
    }

    /// All records that are kept and that `snapshot` sees, with their sequences. One may be there
    /// twice, if a write failed.
    pub fn seen_by(&self, snapshot: u64) -> Result<Vec<(u64, T)>> {
        let mut seen = Vec::new();
        for shard in &self.shards {
            let shard = shard.lock();
            for entry in shard.entries.iter().filter(|entry| entry.is_seen_by(snapshot)) {
                let Some(value) = &entry.value else { continue };
                seen.try_reserve(1).map_err(|_| no_memory())?;
                seen.push((entry.sequence, value.clone()));
            }
        }
        Ok(seen)
    }

    fn shard(&self, hash: u64) -> MutexGuard<'_, Shard<T>> {
        self.shards[(hash >> self.shift) as usize].lock()
    }

    /// Gives what `owner` owns to `heir`, an older snapshot, as far as that one sees it; unless
    /// another snapshot was opened at the same sequence meanwhile, whose it is then.
    fn pass_on(&self, shard: &Mutex<Shard<T>>, owner: u64, heir: u64) {
        loop {
            let mut gone = Vec::new();
            let mut locked = shard.lock();
            // With the lock: nothing is kept for that one between the question and the change.
            let is_open_again = || self.open.lock().binary_search(&owner).is_ok();
            if locked.place_of(owner).is_err() || is_open_again() {
                return;
            }
            let goes_on = locked.pass_on(owner, heir, &mut gone);
            drop(locked);
            self.entries.fetch_sub(gone.len(), Ordering::Relaxed);
            // Without the lock: it may be the last that keeps a segment mapped.
            drop(gone);
            if !goes_on {
                return;
            }
        }
    }
}

impl<T> Entry<T> {
    fn is_seen_by(&self, snapshot: u64) -> bool {
        self.sequence < snapshot && snapshot <= self.until
    }
}

impl<T> Shard<T> {
    /// The entries of `hash`.
    fn chain(&self, hash: u64) -> impl Iterator<Item = &Entry<T>> {
        let entry = |at: u32| self.entries.get(at as usize);
        let first = self.heads.get(&hash).and_then(|&at| entry(at));
        std::iter::successors(first, move |last| entry(last.next))
    }

    fn add(&mut self, owner: u64, mut entry: Entry<T>) -> Result<()> {
        let at = match self.free {
            NONE if self.entries.len() >= NONE as usize => return Err(no_memory()),
            NONE => self.entries.len() as u32,
            free => free,
        };
        self.entries.try_reserve(1).map_err(|_| no_memory())?;
        self.heads.try_reserve(1).map_err(|_| no_memory())?;
        self.list_of(owner).ok_or_else(no_memory)?.push(at);
        entry.next = self.heads.insert(entry.hash, at).unwrap_or(NONE);
        match self.entries.get_mut(at as usize) {
            Some(free) => self.free = std::mem::replace(free, entry).next,
            None => self.entries.push(entry),
        }
        Ok(())
    }

    /// The list of what `owner` owns, with room for one more; nothing if there is no memory.
    fn list_of(&mut self, owner: u64) -> Option<&mut Vec<u32>> {
        let at = match self.place_of(owner) {
            Ok(at) => at,
            Err(at) => {
                self.owned.try_reserve(1).ok()?;
                self.owned.insert(at, (owner, Vec::new()));
                at
            }
        };
        let list = &mut self.owned[at].1;
        list.try_reserve(1).ok().map(|()| list)
    }

    /// Where the list of what `owner` owns is, or where it would be.
    fn place_of(&self, owner: u64) -> std::result::Result<usize, usize> {
        self.owned.binary_search_by_key(&owner, |(owner, _)| *owner)
    }

    /// Gives some of what `owner` owns to `heir`, or puts it into `gone`. Answers whether there is
    /// more.
    fn pass_on(&mut self, owner: u64, heir: u64, gone: &mut Vec<T>) -> bool {
        let Ok(mut place) = self.place_of(owner) else { return false };
        // Without memory it stays until the next time that there is some, or the database is
        // closed.
        if gone.try_reserve_exact(AT_ONCE).is_err() {
            return false;
        }
        for _ in 0..AT_ONCE {
            let Some(&at) = self.owned[place].1.last() else { break };
            if self.entries[at as usize].sequence < heir {
                let Some(list) = self.list_of(heir) else { return false };
                list.push(at);
                // The heir's list may be a new one, before this.
                place = self.place_of(owner).unwrap_or(place);
            } else {
                gone.extend(self.remove(at));
            }
            self.owned[place].1.pop();
        }
        if !self.owned[place].1.is_empty() {
            return true;
        }
        self.owned.remove(place);
        if self.owned.is_empty() {
            *self = Shard::default();
        }
        false
    }

    fn remove(&mut self, at: u32) -> Option<T> {
        let (hash, next) = (self.entries[at as usize].hash, self.entries[at as usize].next);
        let mut before = self.heads.get(&hash).copied().unwrap_or(NONE);
        if before == at {
            match next {
                NONE => self.heads.remove(&hash),
                _ => self.heads.insert(hash, next),
            };
        } else {
            while let Some(entry) = self.entries.get_mut(before as usize) {
                if entry.next == at {
                    entry.next = next;
                    break;
                }
                before = entry.next;
            }
        }
        self.entries[at as usize].next = self.free;
        self.free = at;
        self.entries[at as usize].value.take()
    }
}

#[cold]
fn no_memory() -> Error {
    Error::new(Kind::OutOfMemory, "there is no memory for what open snapshots see")
}

#[cfg(test)]
#[path = "versions_tests.rs"]
mod tests;
