//! Pieces of the index as plain numbers: what a checkpoint keeps of them, and how they come back,
//! at once or each when it is first needed.

use std::sync::OnceLock;

use super::buckets::Buckets;
use super::piece::LockedPiece;
use super::{Index, Location};
use crate::atomic::Ordering;
use crate::epoch::Guard;
use crate::error::{Error, Kind, Result};

/// One piece as it was at some moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image {
    /// The entries of its buckets, those that are not in use included. They mean something to a
    /// piece of the same number only.
    pub entries: Vec<u64>,
    /// How many are in use.
    pub used: usize,
    /// Bits of the hash that choose a bucket.
    pub precision: u32,
}

/// Gives the piece of a number when it is first needed.
pub type Loader = Box<dyn Fn(usize) -> Result<Image> + Send + Sync>;

/// The loader, if there is one, and the bytes that each piece will take.
#[derive(Default)]
pub struct Source(OnceLock<(Loader, Vec<usize>)>);

impl Source {
    /// Fills a piece that waits for its entries. Answers by how many bytes it has grown, and how
    /// many of them are counted already.
    #[cold]
    pub fn load(&self, number: usize, piece: &mut LockedPiece) -> Result<(usize, usize)> {
        let (loader, waiting) = self.0.get().ok_or_else(|| {
            Error::new(Kind::Internal, "a piece of the index waits, and nothing can fill it")
        })?;
        let more = piece.fill(&loader(number)?)?;
        Ok((more, waiting.get(number).copied().unwrap_or(0)))
    }
}

impl Index {
    /// A copy of the piece `number`, and what `note` answers: it is asked while no entry of the
    /// piece can change.
    pub fn image<R>(
        &self,
        guard: &Guard,
        number: usize,
        note: impl FnOnce() -> R,
    ) -> Result<(Image, R)> {
        let piece = self.lock(guard, number)?;
        let note = note();
        Ok((piece.image()?, note))
    }

    /// Gives the piece `number`, which is empty, the entries of `image` that `keep` says yes to.
    pub fn restore(
        &self,
        guard: &Guard,
        number: usize,
        image: &Image,
        keep: impl Fn(Location) -> bool,
    ) -> Result<()> {
        let mut piece = self.pieces[number].lock(guard);
        let more = piece.fill(image)?;
        piece.retain(keep);
        self.memory.fetch_add(more, Ordering::Relaxed);
        Ok(())
    }

    /// Removes the entries of the piece `number` that `keep` says no to.
    pub fn retain(
        &self,
        guard: &Guard,
        number: usize,
        keep: impl Fn(Location) -> bool,
    ) -> Result<()> {
        self.lock(guard, number)?.retain(keep);
        Ok(())
    }

    /// Says how many entries each piece has and how many bytes they take, and that `loader` gives
    /// them when they are needed. The bytes count from now on.
    pub fn load_later(&self, pieces: impl Iterator<Item = (usize, usize)>, loader: Loader) {
        let mut waiting = Vec::new();
        for (piece, (used, bytes)) in self.pieces.iter().zip(pieces) {
            piece.expect(used);
            waiting.push(if bytes > 0 { bytes + size_of::<Buckets>() } else { 0 });
        }
        self.memory.fetch_add(waiting.iter().sum(), Ordering::Relaxed);
        let _ = self.source.0.set((loader, waiting));
    }

    /// Makes sure that the piece `number` has its entries.
    pub fn load(&self, guard: &Guard, number: usize) -> Result<()> {
        match self.pieces[number].waits(guard) {
            true => self.lock(guard, number).map(|_| ()),
            false => Ok(()),
        }
    }

    /// The piece `number`, locked, with its entries.
    pub(super) fn lock<'a>(&'a self, guard: &'a Guard, number: usize) -> Result<LockedPiece<'a>> {
        let mut piece = self.pieces[number].lock(guard);
        if piece.waits() {
            let (more, counted) = self.source.load(number, &mut piece)?;
            self.memory.fetch_add(more, Ordering::Relaxed);
            self.memory.fetch_sub(counted, Ordering::Relaxed);
        }
        Ok(piece)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use super::*;
    use crate::epoch;
    use crate::index::PIECES;

    /// A hash for each location, in one of few pieces.
    fn hash(location: u64) -> u64 {
        location.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 8
    }

    fn add(index: &Index, location: u64) {
        let guard = epoch::pin().unwrap();
        let mut entry = index.entry(&guard, hash(location), |_| Ok(false)).unwrap();
        entry.reserve(&mut |at| Ok(hash(at.0))).unwrap();
        entry.set(Location(location));
    }

    fn has(index: &Index, location: u64) -> bool {
        let guard = epoch::pin().unwrap();
        let is_it = |at| Ok((at == Location(location)).then_some(()));
        index.find(&guard, hash(location), is_it).unwrap().is_some()
    }

    fn filled() -> (Index, Vec<Image>) {
        let index = Index::new().unwrap();
        (1..20_000).for_each(|location| add(&index, location));
        let guard = epoch::pin().unwrap();
        let images = (0..PIECES).map(|at| index.image(&guard, at, || ()).unwrap().0).collect();
        (index, images)
    }

    #[test]
    fn pieces_come_back_without_what_is_not_kept() {
        let (_, images) = filled();
        let copy = Index::new().unwrap();
        let keep = |location: Location| !location.0.is_multiple_of(3);
        for (number, image) in images.iter().enumerate() {
            copy.restore(&epoch::pin().unwrap(), number, image, keep).unwrap();
        }
        assert_eq!(copy.len(), (1..20_000).filter(|at| at % 3 != 0).count());
        for location in 1..20_000 {
            assert_eq!(has(&copy, location), location % 3 != 0, "{location}");
        }
        (20_000..30_000).for_each(|location| add(&copy, location));
        (20_000..30_000).for_each(|location| assert!(has(&copy, location)));
    }

    #[test]
    fn pieces_are_loaded_when_they_are_needed() {
        let (index, images) = filled();
        let copy = Index::new().unwrap();
        let empty = copy.memory();
        let used: Vec<usize> = images.iter().map(|image| image.used).collect();
        copy.load_later(
            used.into_iter().map(|used| (used, 0)),
            Box::new(move |number| Ok(images[number].clone())),
        );
        assert_eq!((copy.len(), copy.memory()), (19_999, empty));
        assert!(has(&copy, 7));
        assert!(!has(&copy, 20_001));
        (20_000..21_000).for_each(|location| add(&copy, location));
        (1..21_000).for_each(|location| assert!(has(&copy, location), "{location}"));
        assert_eq!(copy.len(), 20_999);
        let guard = epoch::pin().unwrap();
        (0..PIECES).for_each(|number| copy.load(&guard, number).unwrap());
        assert!(copy.memory() >= index.memory());
    }

    #[test]
    fn a_piece_that_cannot_be_loaded_is_an_error_each_time() {
        let index = Index::new().unwrap();
        let fail = |_| Err(Error::new(Kind::Io, "no"));
        index.load_later((0..PIECES).map(|_| (1, 64)), Box::new(fail));
        let guard = epoch::pin().unwrap();
        for _ in 0..2 {
            assert!(index.find(&guard, 1, |_| Ok(Some(()))).is_err());
            assert!(index.entry(&guard, 1, |_| Ok(true)).is_err());
        }
        assert_eq!(index.len(), PIECES);
    }
}
