//! One piece of the index: its buckets, changed by one thread at a time and read by any number.
//!
//! A reader that finds an entry is done. One that finds none may have been overtaken by an entry
//! that moved from where it had yet to look to where it had looked: so it looks again if an entry
//! was moved meanwhile. A reader that got hold of buckets before they were replaced sees the piece
//! as it was at that moment, which lies within its call.

use parking_lot::{Mutex, MutexGuard};

use super::arena::Arena;
use super::buckets::{Buckets, Place};
use super::image::Image;
use super::Location;
use crate::atomic::{fence, Arc, AtomicU64, AtomicUsize, Ordering};
use crate::epoch::{Guard, Slot};
use crate::error::{Error, Kind, Result};

/// A piece that has grown so often still has no room for some keys: it never will.
const MAX_GROWTHS: usize = 64;

/// One piece of the index. What readers look at and what writers write lies on different cache
/// lines.
#[repr(align(64))]
pub struct Piece {
    /// Nothing in an empty piece.
    buckets: Slot<Buckets>,
    /// How often an entry was moved.
    moves: AtomicU64,
    /// Entries at which the piece grows, per 1024 entries of room.
    fill: u32,
    /// Where its buckets come from.
    arena: Arc<Arena>,
    writers: Writers,
}

#[derive(Default)]
#[repr(align(64))]
struct Writers {
    lock: Mutex<()>,
    /// Entries in use. Changed under the lock.
    used: AtomicUsize,
}

impl Piece {
    /// An empty piece that grows when `fill` of every 1024 entries are used.
    pub fn new(arena: Arc<Arena>, fill: u32) -> Piece {
        let (buckets, writers) = (Slot::default(), Writers::default());
        Piece { buckets, moves: AtomicU64::new(0), fill, arena, writers }
    }

    /// Entries in use.
    pub fn len(&self) -> usize {
        self.writers.used.load(Ordering::Relaxed)
    }

    /// Says that the piece, which is empty, has so many entries, and waits for them.
    pub fn expect(&self, used: usize) {
        self.writers.used.store(used, Ordering::Relaxed);
    }

    /// Whether the piece waits for its entries. It may have got them meanwhile.
    #[inline]
    pub fn waits(&self, guard: &Guard) -> bool {
        self.buckets.get(guard).is_none() && self.len() > 0
    }

    /// Begins to fetch the bucket that `hash` is at home in.
    #[inline]
    pub fn prefetch(&self, guard: &Guard, hash: u64) {
        if let Some(buckets) = self.buckets.get(guard) {
            buckets.prefetch(hash);
        }
    }

    /// Asks `visit` for each entry that may be the key of `hash`, until it answers with something.
    #[inline]
    pub fn find<R>(
        &self,
        guard: &Guard,
        hash: u64,
        mut visit: impl FnMut(Location) -> Result<Option<R>>,
    ) -> Result<Option<R>> {
        loop {
            // Acquire: whoever sees an entry counted as moved sees it in its new place.
            let moves = self.moves.load(Ordering::Acquire);
            let Some(buckets) = self.buckets.get(guard) else { return Ok(None) };
            let mut answer = None;
            buckets.find(hash, |location| {
                answer = visit(location)?;
                Ok::<bool, crate::error::Error>(answer.is_some())
            })?;
            // Whoever saw an entry gone from its old place sees it counted.
            fence(Ordering::Acquire);
            if answer.is_some() || self.moves.load(Ordering::Relaxed) == moves {
                return Ok(answer);
            }
        }
    }

    /// Locks the piece against other writers.
    pub fn lock<'a>(&'a self, guard: &'a Guard) -> LockedPiece<'a> {
        let lock = self.writers.lock.lock();
        LockedPiece { piece: self, guard, buckets: self.buckets.get(guard), _lock: lock }
    }
}

/// A piece that is being changed.
pub struct LockedPiece<'a> {
    piece: &'a Piece,
    guard: &'a Guard,
    buckets: Option<&'a Buckets>,
    _lock: MutexGuard<'a, ()>,
}

impl LockedPiece<'_> {
    /// Whether the piece waits for its entries.
    #[inline]
    pub fn waits(&self) -> bool {
        self.buckets.is_none() && self.piece.len() > 0
    }

    /// All entries.
    pub fn image(&self) -> Result<Image> {
        let all = self.buckets.map(Buckets::entries_of_all).transpose()?;
        let (entries, precision) = all.unwrap_or_default();
        Ok(Image { entries, used: self.piece.len(), precision })
    }

    /// Gives the piece, which has no entries, those of `image`. Answers by how many bytes it has
    /// grown.
    pub fn fill(&mut self, image: &Image) -> Result<usize> {
        debug_assert!(self.buckets.is_none());
        let buckets = Buckets::of_entries(&self.piece.arena, &image.entries, image.precision)?;
        let more = buckets.map_or(0, |buckets| self.put_in_place(buckets));
        self.piece.expect(image.used);
        Ok(more)
    }

    /// Removes all entries that `keep` says no to.
    pub fn retain(&mut self, keep: impl Fn(Location) -> bool) {
        if let Some(buckets) = self.buckets {
            let removed = buckets.retain(keep, &self.piece.moves);
            self.count(removed.wrapping_neg());
        }
    }

    /// Finds the entry of `hash` that `matches`.
    #[inline]
    pub fn find(
        &self,
        hash: u64,
        matches: impl FnMut(Location) -> Result<bool>,
    ) -> Result<Option<(Place, Location)>> {
        self.buckets.map_or(Ok(None), |buckets| buckets.find(hash, matches))
    }

    /// Makes sure that an entry of `hash` can be added. `rehash` gives the hash of the key at a
    /// location. Answers by how many bytes the piece has grown for it, which are about `allowed` at
    /// most.
    pub fn reserve(
        &mut self,
        hash: u64,
        allowed: usize,
        rehash: &mut dyn FnMut(Location) -> Result<u64>,
    ) -> Result<usize> {
        if let Some(buckets) = self.buckets {
            let full = self.piece.len() * 1024 >= buckets.capacity() * self.piece.fill as usize;
            if !full && buckets.has_room(hash) {
                return Ok(0);
            }
        }
        self.may_grow(allowed)?;
        self.grow(hash, rehash)
    }

    /// The same for several entries.
    pub fn reserve_all(
        &mut self,
        hashes: &[u64],
        allowed: usize,
        rehash: &mut dyn FnMut(Location) -> Result<u64>,
    ) -> Result<usize> {
        let Some((&first, rest)) = hashes.split_first() else { return Ok(0) };
        let mut more = self.reserve(first, allowed, rehash)?;
        if rest.is_empty() {
            return Ok(more);
        }
        let needs_more = |piece: &Self| match piece.buckets {
            Some(buckets) => buckets.has_room_for_all(hashes).map(|has_room| !has_room),
            None => Ok(true),
        };
        if needs_more(self)? {
            self.may_grow(allowed)?;
            more += self.presize(self.piece.len() + hashes.len(), rehash)?;
        }
        for _ in 0..MAX_GROWTHS {
            if !needs_more(self)? {
                return Ok(more);
            }
            more += self.grow(first, rehash)?;
        }
        let what = "the index cannot grow: too many keys have the same hash";
        Err(Error::new(Kind::OutOfMemory, what))
    }

    fn may_grow(&self, allowed: usize) -> Result<()> {
        let least = self.buckets.map_or(0, Buckets::memory) / 8;
        if least < allowed {
            return Ok(());
        }
        let what = "the index may not grow: max_index_bytes is reached, and the key is new";
        Err(Error::new(Kind::IndexFull, what))
    }

    #[cold]
    fn grow(
        &mut self,
        hash: u64,
        rehash: &mut dyn FnMut(Location) -> Result<u64>,
    ) -> Result<usize> {
        let grown = Buckets::grown(&self.piece.arena, self.buckets, hash, rehash)?;
        Ok(self.put_in_place(grown))
    }

    /// Grows at once to what the piece would have grown to with so many keys. Answers by how many
    /// bytes it has grown.
    pub fn presize(
        &mut self,
        keys: usize,
        rehash: &mut dyn FnMut(Location) -> Result<u64>,
    ) -> Result<usize> {
        let (arena, fill) = (&self.piece.arena, self.piece.fill as usize);
        let grown = Buckets::presized(arena, self.buckets, keys, fill, rehash)?;
        Ok(grown.map_or(0, |grown| self.put_in_place(grown)))
    }

    /// Answers how many bytes more `grown` has.
    fn put_in_place(&mut self, grown: Buckets) -> usize {
        let old_bytes = self.buckets.map_or(0, Buckets::memory);
        let more = grown.memory() - old_bytes;
        let old = self.piece.buckets.replace(Some(Arc::new(grown)));
        old.holding(old_bytes);
        self.buckets = self.piece.buckets.get(self.guard);
        more
    }

    /// Adds an entry, for which [`LockedPiece::reserve`] made room.
    pub fn insert(&mut self, hash: u64, location: Location) {
        let buckets = self.buckets.expect("the caller has reserved room");
        buckets.insert(hash, location);
        self.count(1);
    }

    /// Gives the entry at `place` another location.
    pub fn update(&mut self, place: Place, location: Location) {
        if let Some(buckets) = self.buckets {
            buckets.update(place, location);
        }
    }

    /// Removes the entry at `place`.
    pub fn remove(&mut self, place: Place) {
        if let Some(buckets) = self.buckets {
            buckets.remove(place, &self.piece.moves);
            self.count(usize::MAX);
        }
    }

    /// Adds to the count of entries, modulo 2^64. Only who holds the lock writes it.
    fn count(&self, change: usize) {
        let used = self.piece.len();
        self.piece.writers.used.store(used.wrapping_add(change), Ordering::Relaxed);
    }
}
