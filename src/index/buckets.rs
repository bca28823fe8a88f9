//! The entries of one piece of the index: an array of cache-line buckets for one range of hashes,
//! replaced by a larger one as a whole.
//!
//! A bucket has eight entries, each `[tag: 24 bits | location: 40 bits]`; 0 is an empty one. A
//! piece sees of a hash a fraction of `precision` bits, and spreads fractions over its buckets *in
//! order*: the home of fraction `x` among `n` buckets is `x * n >> precision`. A full bucket spills
//! into the next ones, up to [`MAX_SPILL`] of them, and no entry lies beyond a bucket that has
//! room. The tag is the fraction's low 24 bits. As long as the fractions that may lie in one bucket
//! are fewer than 2^24, tag and bucket together give the fraction back, so a piece grows to any
//! number of buckets in one sequential pass and without reading a key. Each growth leaves fewer
//! bits that tell the entries of a bucket apart; when fewer than [`MIN_SPARE_BITS`] are left,
//! growth hashes the keys afresh and starts over with more precision.
//!
//! Order-preserving buckets make it possible to grow by an eighth instead of doubling, which is
//! what keeps the memory per key within a narrow band. (Compare linear hashing with partial
//! expansions, Larson 1980.)
//!
//! One thread at a time changes entries; any number looks at them meanwhile. Each change is one
//! store, so a reader sees an entry as it was or as it is. Where an entry has to move towards its
//! home, it is there before it is gone from where it was.

use std::collections::HashMap;

use super::arena::Arena;
use super::{Location, LOCATION_BITS};
use crate::atomic::{fence, AtomicU64, Ordering};
use crate::cpu;
use crate::error::{Error, Kind, Result};
use crate::storage::anonymous::Run;

const LOCATION_MASK: u64 = (1 << LOCATION_BITS) - 1;
const TAG_BITS: u32 = 64 - LOCATION_BITS;
const TAG_MASK: u64 = (1 << TAG_BITS) - 1;

pub(super) const BUCKET_ENTRIES: usize = 8;
/// How many buckets past its home an entry may lie.
const MAX_SPILL: usize = 15;
/// log2 of the number of buckets an entry may lie in.
const SPILL_BITS: u32 = (MAX_SPILL + 1).ilog2();
/// Growth refreshes the tags when fewer bits than this tell the entries of a bucket apart.
const MIN_SPARE_BITS: u32 = 10;

/// Bytes of a bucket, which is a cache line of entries.
const BUCKET_BYTES: usize = BUCKET_ENTRIES * size_of::<AtomicU64>();

/// Where an entry is. Valid until one is removed or the buckets are replaced.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    bucket: usize,
    slot: usize,
}

/// The buckets of one piece. What a look-up needs of it lies on one cache line.
#[repr(align(64))]
pub struct Buckets {
    buckets: Run,
    /// Bits of the hash that this piece uses.
    precision: u32,
}

impl Buckets {
    /// `count` empty buckets, at least one.
    fn new(arena: &Arena, count: usize, precision: u32) -> Result<Buckets> {
        let buckets = arena.take(count);
        let buckets = buckets.map_err(|error| error.context("the index cannot grow: "))?;
        Ok(Buckets { buckets, precision })
    }

    /// Buckets with these entries, which have the same home; nothing if there are none.
    pub fn of_entries(arena: &Arena, entries: &[u64], precision: u32) -> Result<Option<Buckets>> {
        let (filled, rest) = entries.as_chunks::<BUCKET_ENTRIES>();
        if filled.is_empty() || !rest.is_empty() {
            return Ok(None);
        }
        let buckets = Buckets::new(arena, filled.len(), precision)?;
        for (bucket, entries) in buckets.buckets.iter().zip(filled) {
            for (slot, &entry) in bucket.iter().zip(entries) {
                slot.store(entry, Ordering::Relaxed);
            }
        }
        Ok(Some(buckets))
    }

    /// All entries, those that are not in use included, and how many bits of the hash are used.
    pub fn entries_of_all(&self) -> Result<(Vec<u64>, u32)> {
        let mut all = Vec::new();
        all.try_reserve_exact(self.capacity())?;
        all.extend((0..self.buckets.len()).flat_map(|bucket| self.entries(bucket)));
        Ok((all, self.precision))
    }

    /// Removes all entries that `keep` says no to; answers how many. `moves` counts as for
    /// [`Buckets::remove`].
    pub fn retain(&self, keep: impl Fn(Location) -> bool, moves: &AtomicU64) -> usize {
        let mut removed = 0;
        for bucket in 0..self.buckets.len() {
            for slot in 0..BUCKET_ENTRIES {
                let place = Place { bucket, slot };
                // Another one may come into the gap.
                while self.at(place) != 0 && !keep(Location(self.at(place) & LOCATION_MASK)) {
                    self.remove(place, moves);
                    removed += 1;
                }
            }
        }
        removed
    }

    /// How many entries there is room for.
    pub fn capacity(&self) -> usize {
        self.buckets.len() * BUCKET_ENTRIES
    }

    /// Bytes of memory.
    pub fn memory(&self) -> usize {
        self.buckets.len() * BUCKET_BYTES + size_of::<Buckets>()
    }

    /// Begins to fetch the bucket that `hash` is at home in.
    #[inline]
    pub fn prefetch(&self, hash: u64) {
        cpu::fetch(&raw const self.buckets[self.home(self.fraction(hash))]);
    }

    /// Finds the entry of `hash` that `matches`. An entry that is moved meanwhile may be missed.
    #[inline]
    pub fn find<E>(
        &self,
        hash: u64,
        mut matches: impl FnMut(Location) -> std::result::Result<bool, E>,
    ) -> std::result::Result<Option<(Place, Location)>, E> {
        let fraction = self.fraction(hash);
        let tag = fraction & TAG_MASK;
        let mut bucket = self.home(fraction);
        for _ in 0..=MAX_SPILL {
            let mut room = false;
            for (slot, entry) in self.buckets[bucket].iter().enumerate() {
                let entry = entry.load(Ordering::Relaxed);
                room |= entry == 0;
                if entry >> LOCATION_BITS == tag && entry != 0 {
                    // What the location points to was written before the entry was.
                    fence(Ordering::Acquire);
                    let location = Location(entry & LOCATION_MASK);
                    if matches(location)? {
                        return Ok(Some((Place { bucket, slot }, location)));
                    }
                }
            }
            if room {
                break;
            }
            bucket = self.after(bucket);
        }
        Ok(None)
    }

    /// Whether there is a place for an entry of `hash`.
    pub fn has_room(&self, hash: u64) -> bool {
        self.free_place(self.fraction(hash)).is_some()
    }

    /// Whether there are places for entries of all these hashes.
    pub fn has_room_for_all(&self, hashes: &[u64]) -> Result<bool> {
        // What insertion would do, one after the other: buckets, and how many of their places the
        // hashes so far would take.
        let mut taken: HashMap<usize, usize> = HashMap::new();
        taken.try_reserve(hashes.len().min(self.buckets.len()))?;
        Ok(hashes.iter().all(|&hash| {
            let mut bucket = self.home(self.fraction(hash));
            for _ in 0..=MAX_SPILL {
                let free = self.entries(bucket).filter(|&entry| entry == 0).count();
                let count = taken.entry(bucket).or_default();
                if *count < free {
                    *count += 1;
                    return true;
                }
                bucket = self.after(bucket);
            }
            false
        }))
    }

    /// Adds an entry, for which there is room.
    pub fn insert(&self, hash: u64, location: Location) {
        debug_assert!(location.0 != 0 && location.0 <= LOCATION_MASK);
        let fraction = self.fraction(hash);
        let place = self.free_place(fraction);
        let place = place.expect("the caller has reserved room for this hash");
        self.put(place, (fraction & TAG_MASK) << LOCATION_BITS | location.0);
    }

    /// Gives the entry at `place` another location.
    pub fn update(&self, place: Place, location: Location) {
        let tag = self.at(place) & !LOCATION_MASK;
        self.put(place, tag | location.0);
    }

    /// Removes the entry at `place`, and moves spilled entries nearer to their homes into the gap.
    /// `moves` counts up before a moved entry is gone from where it was.
    pub fn remove(&self, place: Place, moves: &AtomicU64) {
        let mut gap = place;
        while let Some(next) = self.spilled_over(gap.bucket) {
            self.put(gap, self.at(next));
            moves.fetch_add(1, Ordering::Release);
            gap = next;
        }
        self.put(gap, 0);
    }

    fn at(&self, place: Place) -> u64 {
        self.buckets[place.bucket][place.slot].load(Ordering::Relaxed)
    }

    fn put(&self, place: Place, entry: u64) {
        self.buckets[place.bucket][place.slot].store(entry, Ordering::Release);
    }

    fn entries(&self, bucket: usize) -> impl Iterator<Item = u64> + '_ {
        self.buckets[bucket].iter().map(|entry| entry.load(Ordering::Relaxed))
    }

    /// An entry that lies behind `bucket` though `bucket` is on its way from home.
    fn spilled_over(&self, bucket: usize) -> Option<Place> {
        let n = self.buckets.len();
        let mut behind = bucket;
        for distance in 1..=MAX_SPILL.min(n - 1) {
            behind = self.after(behind);
            for (slot, entry) in self.entries(behind).enumerate() {
                // An entry that is farther from its home than any can be was forged. It stays: else
                // it could go round for ever.
                let can_move = distance..=MAX_SPILL;
                if entry != 0 && can_move.contains(&self.distance_from_home(behind, entry)) {
                    return Some(Place { bucket: behind, slot });
                }
            }
            if self.entries(behind).any(|entry| entry == 0) {
                return None;
            }
        }
        None
    }

    fn distance_from_home(&self, bucket: usize, entry: u64) -> usize {
        let n = self.buckets.len();
        let home = self.home(self.fraction_at(bucket, entry));
        (bucket + n - home) % n
    }

    /// The part of a hash that this piece uses: bits below those that chose the piece.
    fn fraction(&self, hash: u64) -> u64 {
        fraction_of(hash, self.precision)
    }

    fn home(&self, fraction: u64) -> usize {
        ((u128::from(fraction) * self.buckets.len() as u128) >> self.precision) as usize
    }

    fn after(&self, bucket: usize) -> usize {
        if bucket + 1 == self.buckets.len() {
            0
        } else {
            bucket + 1
        }
    }

    fn free_place(&self, fraction: u64) -> Option<Place> {
        let mut bucket = self.home(fraction);
        for _ in 0..=MAX_SPILL {
            if let Some(slot) = self.entries(bucket).position(|entry| entry == 0) {
                return Some(Place { bucket, slot });
            }
            bucket = self.after(bucket);
        }
        None
    }

    /// The fraction of an entry found in `bucket`: the one with its tag among those that may lie
    /// there.
    fn fraction_at(&self, bucket: usize, entry: u64) -> u64 {
        let n = self.buckets.len();
        let tag = entry >> LOCATION_BITS;
        if self.precision <= TAG_BITS {
            // A forged tag may have more bits.
            return tag & ((1 << self.precision) - 1);
        }
        // The lowest fraction at home in the first bucket that could have spilled this far.
        let first = (bucket + n - MAX_SPILL.min(n - 1)) % n;
        let low = ((first as u128) << self.precision).div_ceil(n as u128) as u64;
        let above = tag.wrapping_sub(low) & TAG_MASK;
        (low + above) & ((1 << self.precision) - 1)
    }

    /// More buckets with the same entries and room for one of `hash`: an eighth more, or as many
    /// as it takes. `rehash` gives the hash of the key at a location.
    pub fn grown(
        arena: &Arena,
        old: Option<&Buckets>,
        hash: u64,
        rehash: &mut dyn FnMut(Location) -> Result<u64>,
    ) -> Result<Buckets> {
        let old_count = old.map_or(0, |old| old.buckets.len());
        let mut count = old_count + (old_count / 8).max(1);
        loop {
            if let Some(grown) = Buckets::resized(arena, old, count, rehash)? {
                if grown.has_room(hash) {
                    return Ok(grown);
                }
            }
            if count > old_count.saturating_mul(16).saturating_add(1024) {
                return Err(Error::new(
                    Kind::OutOfMemory,
                    "the index cannot grow: too many keys have the same hash",
                ));
            }
            count += count / 8 + 1;
        }
    }

    /// As many buckets as growth would have led to with `keys` entries, if those are more; growth
    /// comes when `fill` of every 1024 entries are used.
    pub fn presized(
        arena: &Arena,
        old: Option<&Buckets>,
        keys: usize,
        fill: usize,
        rehash: &mut dyn FnMut(Location) -> Result<u64>,
    ) -> Result<Option<Buckets>> {
        let old_count = old.map_or(0, |old| old.buckets.len());
        let mut count = old_count;
        while keys * 1024 >= count * BUCKET_ENTRIES * fill {
            count += (count / 8).max(1);
        }
        match count > old_count {
            true => Buckets::resized(arena, old, count, rehash),
            false => Ok(None),
        }
    }

    /// The entries of `old` in `count` buckets; `None` if one finds no room near its home.
    fn resized(
        arena: &Arena,
        old: Option<&Buckets>,
        count: usize,
        rehash: &mut dyn FnMut(Location) -> Result<u64>,
    ) -> Result<Option<Buckets>> {
        let finest = TAG_BITS - SPILL_BITS + count.ilog2();
        let old_precision = old.map_or(0, |old| old.precision);
        let refresh = old_precision < count.ilog2() + MIN_SPARE_BITS;
        let grown = Buckets::new(arena, count, if refresh { finest } else { old_precision })?;
        let Some(old) = old else { return Ok(Some(grown)) };
        for bucket in 0..old.buckets.len() {
            for entry in old.entries(bucket).filter(|&entry| entry != 0) {
                let location = Location(entry & LOCATION_MASK);
                let fraction = if refresh {
                    fraction_of(rehash(location)?, grown.precision)
                } else {
                    old.fraction_at(bucket, entry)
                };
                let Some(place) = grown.free_place(fraction) else { return Ok(None) };
                grown.put(place, (fraction & TAG_MASK) << LOCATION_BITS | location.0);
            }
        }
        Ok(Some(grown))
    }
}

/// The bits of a hash below those that chose the piece.
#[inline]
fn fraction_of(hash: u64, precision: u32) -> u64 {
    if precision == 0 {
        return 0;
    }
    (hash << super::PIECE_BITS) >> (64 - precision)
}

#[cfg(test)]
#[path = "buckets_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "flood_tests.rs"]
mod flood_tests;
