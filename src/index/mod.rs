//! The index: key hash → location of the key's newest record. It knows neither files nor what a
//! record holds.
//!
//! It stores no keys: whoever asks says whether the record at a location is the one meant. 1024
//! pieces ([`piece`]), chosen by the top bits of the hash, grow each on its own, at different
//! fills, so that growth is spread evenly over time and the memory per key hardly varies. Readers
//! take no lock; writers lock one piece.

mod arena;
mod buckets;
pub mod hash;
pub mod image;
mod piece;

use crate::atomic::{Arc, AtomicUsize, Ordering};
use crate::epoch::Guard;
use crate::error::Result;
use crate::memory;
use arena::Arena;
use buckets::Place;
use image::Source;
use piece::{LockedPiece, Piece};

/// Where a record is: in units of 8 bytes, below 2^40, never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Location(pub u64);

/// Bits of a location.
pub const LOCATION_BITS: u32 = 40;

/// Bits of the hash that choose the piece.
const PIECE_BITS: u32 = 10;
/// Pieces of the index, each with hashes that follow one another.
pub const PIECES: usize = 1 << PIECE_BITS;
/// The pieces grow at fills, in 1024ths, from this …
const FILL_MIN: usize = 800;
/// … up to this. The one is an eighth above the other, as growth is by an eighth: so at any time
/// the pieces are evenly spread over the stages between two growths.
const FILL_MAX: usize = 900;

/// Key hash → location, for any number of threads.
pub struct Index {
    pieces: Box<[Piece]>,
    /// Bytes of memory.
    memory: AtomicUsize,
    /// Where pieces come from that wait for their entries.
    source: Source,
    /// The most memory that new keys may make it take.
    limit: AtomicUsize,
}

impl Index {
    /// An empty index.
    pub fn new() -> Result<Index> {
        let fill = |piece| FILL_MIN + (FILL_MAX - FILL_MIN) * piece / PIECES;
        let arena = Arc::new(Arena::default());
        let piece = |piece| Piece::new(Arc::clone(&arena), fill(piece) as u32);
        let pieces = memory::collect((0..PIECES).map(piece))?;
        let pieces = pieces.into_boxed_slice();
        let memory = AtomicUsize::new(size_of_val(&*pieces));
        let limit = AtomicUsize::new(usize::MAX);
        Ok(Index { pieces, memory, limit, source: Source::default() })
    }

    /// Begins to fetch the bucket that `hash` is at home in, so that it is there when it is needed.
    #[inline]
    pub fn prefetch(&self, guard: &Guard, hash: u64) {
        self.piece(hash).prefetch(guard, hash);
    }

    #[inline]
    fn piece(&self, hash: u64) -> &Piece {
        &self.pieces[number_of(hash)]
    }

    /// Asks `visit` for each entry that may be the key of `hash`, until it answers with something.
    /// The entry may change while it runs; what it pointed to stays as long as the pin.
    #[inline]
    pub fn find<R>(
        &self,
        guard: &Guard,
        hash: u64,
        visit: impl FnMut(Location) -> Result<Option<R>>,
    ) -> Result<Option<R>> {
        let piece = self.piece(hash);
        if piece.waits(guard) {
            self.load(guard, number_of(hash))?;
        }
        piece.find(guard, hash, visit)
    }

    /// Locks the entry that `matches`, or the place where it would be: all other writers of its
    /// piece wait.
    #[inline]
    pub fn entry<'a>(
        &'a self,
        guard: &'a Guard,
        hash: u64,
        matches: impl FnMut(Location) -> Result<bool>,
    ) -> Result<Entry<'a>> {
        let piece = self.lock(guard, number_of(hash))?;
        let found = piece.find(hash, matches)?;
        Ok(Entry { piece, index: self, hash, found })
    }

    /// Locks the piece `number`, for several changes: all other writers of it wait. Who locks more
    /// than one locks the lowest first.
    pub fn hold<'a>(&'a self, guard: &'a Guard, number: usize) -> Result<Held<'a>> {
        Ok(Held { piece: self.lock(guard, number)?, index: self, number })
    }

    /// Returns when all have changed the piece of `hash` who are about to.
    pub fn wait(&self, guard: &Guard, hash: u64) -> Result<()> {
        self.lock(guard, number_of(hash)).map(drop)
    }

    /// Sets how much memory new keys may make it take.
    pub fn set_limit(&self, bytes: usize) {
        self.limit.store(bytes, Ordering::Relaxed);
    }

    /// Bytes that it may grow by.
    fn allowed(&self) -> usize {
        self.limit.load(Ordering::Relaxed).saturating_sub(self.memory())
    }

    /// Makes room in these pieces for their part of `keys` keys in all, so that they need not grow
    /// little by little. `rehash` gives the hash of the key at a location.
    pub fn presize(
        &self,
        guard: &Guard,
        pieces: std::ops::Range<usize>,
        keys: usize,
        rehash: &mut dyn FnMut(Location) -> Result<u64>,
    ) -> Result<()> {
        // Pieces differ by the luck of the draw; some to spare, and few have to grow.
        let mean = keys / PIECES;
        let most = mean + 3 * mean.isqrt();
        for piece in self.pieces[pieces].iter().filter(|_| keys > 0) {
            let more = piece.lock(guard).presize(most, rehash)?;
            self.memory.fetch_add(more, Ordering::Relaxed);
        }
        Ok(())
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.pieces.iter().map(Piece::len).sum()
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of memory.
    pub fn memory(&self) -> usize {
        self.memory.load(Ordering::Relaxed)
    }
}

/// The number of the piece that keys with this hash are in.
#[inline]
pub fn number_of(hash: u64) -> usize {
    (hash >> (64 - PIECE_BITS)) as usize
}

/// One piece, locked for writing.
pub struct Held<'a> {
    piece: LockedPiece<'a>,
    index: &'a Index,
    number: usize,
}

impl Held<'_> {
    /// Which one.
    pub fn number(&self) -> usize {
        self.number
    }

    /// Finds the entry of `hash` that `matches`.
    pub fn find(
        &self,
        hash: u64,
        matches: impl FnMut(Location) -> Result<bool>,
    ) -> Result<Option<Location>> {
        Ok(self.piece.find(hash, matches)?.map(|(_, location)| location))
    }

    /// Makes sure that entries of all these hashes can be added. `rehash` gives the hash of the key
    /// at a location.
    pub fn reserve(
        &mut self,
        hashes: &[u64],
        rehash: &mut dyn FnMut(Location) -> Result<u64>,
    ) -> Result<()> {
        let allowed = self.index.allowed();
        let more = self.piece.reserve_all(hashes, allowed, rehash)?;
        self.index.memory.fetch_add(more, Ordering::Relaxed);
        Ok(())
    }

    /// Points the entry of `hash` at `old` to `new`; without an old one, adds it, for which
    /// [`Held::reserve`] made room.
    pub fn set(&mut self, hash: u64, old: Option<Location>, new: Location) {
        match old.and_then(|old| self.place_of(hash, old)) {
            Some(place) => self.piece.update(place, new),
            None => self.piece.insert(hash, new),
        }
    }

    /// Removes the entry of `hash` at `location`.
    pub fn remove(&mut self, hash: u64, location: Location) {
        if let Some(place) = self.place_of(hash, location) {
            self.piece.remove(place);
        }
    }

    fn place_of(&self, hash: u64, wanted: Location) -> Option<Place> {
        let found = self.piece.find(hash, |location| Ok(location == wanted));
        found.ok().flatten().map(|(place, _)| place)
    }
}

/// One entry, locked for writing.
pub struct Entry<'a> {
    piece: LockedPiece<'a>,
    index: &'a Index,
    hash: u64,
    found: Option<(Place, Location)>,
}

impl Entry<'_> {
    /// Where the key's record is, if the key is there.
    pub fn location(&self) -> Option<Location> {
        self.found.map(|(_, location)| location)
    }

    /// Makes sure that [`Entry::set`] will have room. `rehash` gives the hash of the key at a
    /// location.
    pub fn reserve(&mut self, rehash: &mut dyn FnMut(Location) -> Result<u64>) -> Result<()> {
        if self.found.is_none() {
            let more = self.piece.reserve(self.hash, self.index.allowed(), rehash)?;
            if more > 0 {
                self.index.memory.fetch_add(more, Ordering::Relaxed);
            }
        }
        Ok(())
    }

    /// Points the entry to `location`. If it was not there, [`Entry::reserve`] has succeeded
    /// before.
    pub fn set(mut self, location: Location) {
        match self.found {
            Some((place, _)) => self.piece.update(place, location),
            None => self.piece.insert(self.hash, location),
        }
    }

    /// Removes the entry, if it is there.
    pub fn remove(mut self) {
        if let Some((place, _)) = self.found {
            self.piece.remove(place);
        }
    }
}
