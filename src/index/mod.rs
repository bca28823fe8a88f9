//! The index: key hash → location of the key's newest record. It knows neither files nor what a
//! record holds.
//!
//! It stores no keys: whoever asks says whether the record at a location is the one meant. 1024
//! pieces ([`piece`]), chosen by the top bits of the hash, are locked and grow each on its own, at
//! different fills, so that growth is spread evenly over time and the memory per key hardly varies.

pub mod hash;
mod hint;
mod piece;

use parking_lot::{RwLock, RwLockWriteGuard};

use crate::error::Result;
use hint::Hint;
pub use piece::{Location, LOCATION_BITS};
use piece::{Piece, Place};

/// Bits of the hash that choose the piece.
const PIECE_BITS: u32 = 10;
const PIECES: usize = 1 << PIECE_BITS;
/// The pieces grow at fills, in 1024ths, from this …
const FILL_MIN: usize = 800;
/// … up to this. The one is an eighth above the other, as growth is by an eighth: so at any time
/// the pieces are evenly spread over the stages between two growths.
const FILL_MAX: usize = 900;

/// Key hash → location, for any number of threads.
pub struct Index {
    pieces: Box<[RwLock<Piece>]>,
    /// Where the buckets of each piece are, for prefetching without its lock.
    hints: Box<[Hint]>,
}

impl Default for Index {
    fn default() -> Index {
        Index::new()
    }
}

impl Index {
    /// An empty index.
    pub fn new() -> Index {
        let fill = |piece| FILL_MIN + (FILL_MAX - FILL_MIN) * piece / PIECES;
        let pieces = (0..PIECES).map(|piece| RwLock::new(Piece::new(fill(piece) as u32)));
        let hints = (0..PIECES).map(|_| Hint::default());
        Index { pieces: pieces.collect(), hints: hints.collect() }
    }

    /// Begins to fetch the bucket that `hash` is at home in, so that it is there when it is needed.
    #[inline]
    pub fn prefetch(&self, hash: u64) {
        self.hints[number_of_piece(hash)].prefetch(hash);
    }

    fn piece(&self, hash: u64) -> &RwLock<Piece> {
        &self.pieces[number_of_piece(hash)]
    }

    /// Asks `visit` for each entry that may be the key of `hash`, until it answers with something.
    /// While it runs, the entry is not changed.
    #[inline]
    pub fn find<R>(
        &self,
        hash: u64,
        mut visit: impl FnMut(Location) -> Result<Option<R>>,
    ) -> Result<Option<R>> {
        let mut answer = None;
        self.piece(hash).read().find(hash, |location| {
            answer = visit(location)?;
            Ok::<bool, crate::error::Error>(answer.is_some())
        })?;
        Ok(answer)
    }

    /// Locks the entry that `matches`, or the place where it would be.
    #[inline]
    pub fn entry(
        &self,
        hash: u64,
        matches: impl FnMut(Location) -> Result<bool>,
    ) -> Result<Entry<'_>> {
        let piece = self.piece(hash).write();
        let found = piece.find(hash, matches)?;
        Ok(Entry { piece, hint: &self.hints[number_of_piece(hash)], hash, found })
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.pieces.iter().map(|piece| piece.read().len()).sum()
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of memory.
    pub fn memory(&self) -> usize {
        self.pieces.iter().map(|piece| piece.read().memory()).sum()
    }
}

fn number_of_piece(hash: u64) -> usize {
    (hash >> (64 - PIECE_BITS)) as usize
}

/// One entry, locked for writing.
pub struct Entry<'a> {
    piece: RwLockWriteGuard<'a, Piece>,
    hint: &'a Hint,
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
        match self.found {
            Some(_) => Ok(()),
            None => {
                if self.piece.reserve(self.hash, rehash)? {
                    self.hint.update(&self.piece);
                }
                Ok(())
            }
        }
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
