//! One piece of the index: an array of cache-line buckets for one range of hashes, grown as a
//! whole.
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

use crate::error::{Error, Kind, Result};

/// Where a record is: in units of 8 bytes, below 2^40, never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Location(pub u64);

/// Bits of a location.
pub const LOCATION_BITS: u32 = 40;
const LOCATION_MASK: u64 = (1 << LOCATION_BITS) - 1;
const TAG_BITS: u32 = 64 - LOCATION_BITS;
const TAG_MASK: u64 = (1 << TAG_BITS) - 1;

const BUCKET_ENTRIES: usize = 8;
/// How many buckets past its home an entry may lie.
const MAX_SPILL: usize = 7;
/// log2 of the number of buckets an entry may lie in.
const SPILL_BITS: u32 = (MAX_SPILL + 1).ilog2();
/// Growth refreshes the tags when fewer bits than this tell the entries of a bucket apart.
const MIN_SPARE_BITS: u32 = 10;

/// One cache line of entries.
#[derive(Clone, Copy)]
#[repr(align(64))]
pub struct Bucket([u64; BUCKET_ENTRIES]);

const EMPTY: Bucket = Bucket([0; BUCKET_ENTRIES]);

impl Bucket {
    fn free_slot(&self) -> Option<usize> {
        self.0.iter().position(|&entry| entry == 0)
    }
}

/// Where an entry is inside its piece. Valid until the piece changes.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    bucket: usize,
    slot: usize,
}

/// One piece of the index.
pub struct Piece {
    buckets: Vec<Bucket>,
    used: usize,
    /// Bits of the hash that this piece uses.
    precision: u32,
    /// Entries at which the piece grows, per 1024 entries of room.
    fill: u32,
}

impl Piece {
    /// An empty piece that grows when `fill` of every 1024 entries are used.
    pub fn new(fill: u32) -> Piece {
        Piece { buckets: Vec::new(), used: 0, precision: 0, fill }
    }

    /// Entries in use.
    pub fn len(&self) -> usize {
        self.used
    }

    /// Bytes of memory.
    pub fn memory(&self) -> usize {
        self.buckets.capacity() * size_of::<Bucket>() + size_of::<Piece>()
    }

    /// Finds the entry of `hash` that `matches`.
    #[inline]
    pub fn find<E>(
        &self,
        hash: u64,
        mut matches: impl FnMut(Location) -> std::result::Result<bool, E>,
    ) -> std::result::Result<Option<(Place, Location)>, E> {
        if self.used == 0 {
            return Ok(None);
        }
        let fraction = self.fraction(hash);
        let tag = fraction & TAG_MASK;
        let mut bucket = self.home(fraction, self.buckets.len());
        for _ in 0..=MAX_SPILL {
            let mut room = false;
            for (slot, &entry) in self.buckets[bucket].0.iter().enumerate() {
                room |= entry == 0;
                if entry >> LOCATION_BITS == tag && entry != 0 {
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

    /// Makes sure that an entry of `hash` can be added. `rehash` gives the hash of the key at a
    /// location. Answers whether the piece has grown for it.
    pub fn reserve(
        &mut self,
        hash: u64,
        rehash: &mut dyn FnMut(Location) -> Result<u64>,
    ) -> Result<bool> {
        let room = self.buckets.len() * BUCKET_ENTRIES;
        let full = self.used * 1024 >= room * self.fill as usize;
        let grows = full || self.free_place(self.fraction(hash)).is_none();
        if grows {
            self.grow(hash, rehash)?;
        }
        Ok(grows)
    }

    /// Where the buckets are, how many, and how many bits of the hash choose one.
    pub fn shape(&self) -> (*const Bucket, usize, u32) {
        (self.buckets.as_ptr(), self.buckets.len(), self.precision)
    }

    /// Adds an entry, for which [`Piece::reserve`] made room.
    pub fn insert(&mut self, hash: u64, location: Location) {
        debug_assert!(location.0 != 0 && location.0 <= LOCATION_MASK);
        let fraction = self.fraction(hash);
        let place = self.free_place(fraction);
        let place = place.expect("the caller has reserved room for this hash");
        self.set(place, fraction & TAG_MASK, location);
        self.used += 1;
    }

    /// Gives the entry at `place` another location.
    pub fn update(&mut self, place: Place, location: Location) {
        let tag = self.buckets[place.bucket].0[place.slot] >> LOCATION_BITS;
        self.set(place, tag, location);
    }

    fn set(&mut self, place: Place, tag: u64, location: Location) {
        self.buckets[place.bucket].0[place.slot] = tag << LOCATION_BITS | location.0;
    }

    /// Removes the entry at `place`, and moves spilled entries nearer to their homes into the gap.
    pub fn remove(&mut self, place: Place) {
        let mut gap = place;
        self.buckets[gap.bucket].0[gap.slot] = 0;
        self.used -= 1;
        while let Some(next) = self.spilled_over(gap.bucket) {
            self.buckets[gap.bucket].0[gap.slot] = self.buckets[next.bucket].0[next.slot];
            self.buckets[next.bucket].0[next.slot] = 0;
            gap = next;
        }
    }

    /// An entry that lies behind `bucket` though `bucket` is on its way from home.
    fn spilled_over(&self, bucket: usize) -> Option<Place> {
        let n = self.buckets.len();
        let mut behind = bucket;
        for distance in 1..=MAX_SPILL.min(n - 1) {
            behind = self.after(behind);
            let entries = &self.buckets[behind].0;
            for (slot, &entry) in entries.iter().enumerate() {
                if entry != 0 && self.distance_from_home(behind, entry) >= distance {
                    return Some(Place { bucket: behind, slot });
                }
            }
            if entries.contains(&0) {
                return None;
            }
        }
        None
    }

    fn distance_from_home(&self, bucket: usize, entry: u64) -> usize {
        let n = self.buckets.len();
        let home = self.home(self.fraction_at(bucket, entry), n);
        (bucket + n - home) % n
    }

    /// The part of a hash that this piece uses.
    fn fraction(&self, hash: u64) -> u64 {
        fraction_of(hash, self.precision)
    }

    fn home(&self, fraction: u64, buckets: usize) -> usize {
        home_of(fraction, buckets, self.precision)
    }

    fn after(&self, bucket: usize) -> usize {
        if bucket + 1 == self.buckets.len() {
            0
        } else {
            bucket + 1
        }
    }

    fn free_place(&self, fraction: u64) -> Option<Place> {
        if self.buckets.is_empty() {
            return None;
        }
        let mut bucket = self.home(fraction, self.buckets.len());
        for _ in 0..=MAX_SPILL {
            if let Some(slot) = self.buckets[bucket].free_slot() {
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
            return tag;
        }
        // The lowest fraction at home in the first bucket that could have spilled this far.
        let first = (bucket + n - MAX_SPILL.min(n - 1)) % n;
        let low = ((first as u128) << self.precision).div_ceil(n as u128) as u64;
        let above = tag.wrapping_sub(low) & TAG_MASK;
        (low + above) & ((1 << self.precision) - 1)
    }

    /// Grows by an eighth, or more if that makes no room for `hash`.
    fn grow(&mut self, hash: u64, rehash: &mut dyn FnMut(Location) -> Result<u64>) -> Result<()> {
        let old = self.buckets.len();
        let mut buckets = old + (old / 8).max(1);
        loop {
            if let Some(grown) = self.resized(buckets, rehash)? {
                if grown.free_place(grown.fraction(hash)).is_some() {
                    *self = grown;
                    return Ok(());
                }
            }
            if buckets > old.saturating_mul(16).saturating_add(1024) {
                return Err(Error::new(
                    Kind::OutOfMemory,
                    "the index cannot grow: too many keys have the same hash",
                ));
            }
            buckets += buckets / 8 + 1;
        }
    }

    /// This piece with another number of buckets; `None` if an entry finds no room near its home.
    fn resized(
        &self,
        buckets: usize,
        rehash: &mut dyn FnMut(Location) -> Result<u64>,
    ) -> Result<Option<Piece>> {
        let finest = TAG_BITS - SPILL_BITS + buckets.ilog2();
        let refresh = self.precision < buckets.ilog2() + MIN_SPARE_BITS;
        let precision = if refresh { finest } else { self.precision };
        let mut grown = Piece { buckets: Vec::new(), used: self.used, precision, fill: self.fill };
        grown.buckets.try_reserve_exact(buckets).map_err(|_| {
            Error::new(Kind::OutOfMemory, "the index cannot grow: there is no memory for it")
        })?;
        grown.buckets.resize(buckets, EMPTY);
        for (bucket, entries) in self.buckets.iter().enumerate() {
            for &entry in entries.0.iter().filter(|&&entry| entry != 0) {
                let location = Location(entry & LOCATION_MASK);
                let fraction = if refresh {
                    fraction_of(rehash(location)?, precision)
                } else {
                    self.fraction_at(bucket, entry)
                };
                let Some(place) = grown.free_place(fraction) else { return Ok(None) };
                grown.set(place, fraction & TAG_MASK, location);
            }
        }
        Ok(Some(grown))
    }
}

/// The bucket that a fraction is at home in.
#[inline]
pub fn home_of(fraction: u64, buckets: usize, precision: u32) -> usize {
    ((u128::from(fraction) * buckets as u128) >> precision) as usize
}

/// The bits of a hash below those that chose the piece.
#[inline]
pub fn fraction_of(hash: u64, precision: u32) -> u64 {
    if precision == 0 {
        return 0;
    }
    (hash << super::PIECE_BITS) >> (64 - precision)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use super::*;
    use std::collections::HashMap;

    /// A small generator (SplitMix64), so that failures repeat.
    fn random(state: &mut u64) -> u64 {
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = *state;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    fn check(piece: &Piece, model: &HashMap<u64, u64>, hashes: &HashMap<u64, u64>) {
        assert_eq!(piece.len(), model.len());
        let entries = piece.buckets.iter().flat_map(|bucket| bucket.0);
        assert_eq!(entries.filter(|&entry| entry != 0).count(), model.len());
        for (hash, location) in model {
            let found = piece.find::<()>(*hash, |l| Ok(hashes[&l.0] == *hash)).unwrap();
            assert_eq!(found.unwrap().1 .0, *location);
        }
    }

    #[test]
    fn agrees_with_a_map_through_growth_and_removal() {
        let mut state = 1;
        let mut piece = Piece::new(900);
        let mut model: HashMap<u64, u64> = HashMap::new();
        let mut hashes: HashMap<u64, u64> = HashMap::new();
        let mut live = Vec::new();
        for step in 0..60_000_u64 {
            let location = step + 1;
            if random(&mut state) % 10 < 7 || live.is_empty() {
                let hash = random(&mut state);
                hashes.insert(location, hash);
                piece.reserve(hash, &mut |l| Ok(hashes[&l.0])).unwrap();
                piece.insert(hash, Location(location));
                model.insert(hash, location);
                live.push(hash);
            } else {
                let hash = live.swap_remove(random(&mut state) as usize % live.len());
                let found = piece.find::<()>(hash, |l| Ok(hashes[&l.0] == hash)).unwrap();
                piece.remove(found.unwrap().0);
                model.remove(&hash);
                assert!(piece.find::<()>(hash, |l| Ok(hashes[&l.0] == hash)).unwrap().is_none());
            }
            if step % 7_000 == 0 {
                check(&piece, &model, &hashes);
            }
        }
        check(&piece, &model, &hashes);
    }

    #[test]
    fn every_entry_is_reached_from_home_without_crossing_a_gap() {
        let mut state = 9;
        let mut piece = Piece::new(920);
        let mut hashes = HashMap::new();
        for location in 1..20_000_u64 {
            let hash = random(&mut state);
            hashes.insert(location, hash);
            piece.reserve(hash, &mut |l| Ok(hashes[&l.0])).unwrap();
            piece.insert(hash, Location(location));
        }
        for location in (1..20_000_u64).step_by(3) {
            let hash = hashes[&location];
            let found = piece.find::<()>(hash, |l| Ok(l.0 == location)).unwrap().unwrap();
            piece.remove(found.0);
        }
        for (at, bucket) in piece.buckets.iter().enumerate() {
            for &entry in bucket.0.iter().filter(|&&e| e != 0) {
                let hash = hashes[&(entry & LOCATION_MASK)];
                assert_eq!(piece.fraction_at(at, entry), piece.fraction(hash));
                let mut on_the_way = piece.home(piece.fraction(hash), piece.buckets.len());
                while on_the_way != at {
                    assert!(piece.buckets[on_the_way].free_slot().is_none());
                    on_the_way = piece.after(on_the_way);
                }
            }
        }
    }

    #[test]
    fn too_many_equal_hashes_are_refused() {
        let mut piece = Piece::new(900);
        let mut refused = None;
        for location in 1..1000 {
            if let Err(error) = piece.reserve(42, &mut |_| Ok(42)) {
                refused = Some((location, error.kind()));
                break;
            }
            piece.insert(42, Location(location));
        }
        let (location, kind) = refused.unwrap();
        assert_eq!(kind, Kind::OutOfMemory);
        assert!(location > 60, "64 equal hashes fit in the buckets near one home");
    }
}
