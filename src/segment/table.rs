//! Which segment a location means: the locations of all segments share one space of 2^40 units of 8
//! bytes.
//!
//! The space is dealt out in pages of 1 MiB, so that segments of any size lie in it without holes.
//! A sealed segment of one record, however large, takes one page once the database is opened again,
//! since only where records begin has a location. Looking a location up takes no lock: what a
//! reader finds stays for as long as it is pinned.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;

use super::Segment;
use crate::epoch::{self, Guard, Retired, Slot};
use crate::error::{Error, Kind, Result};
use crate::format::checkpoint::KnownSegment;
use crate::index::{Location, LOCATION_BITS};
use crate::memory;

/// log2 of the units in a page.
const PAGE_BITS: u32 = 17;
/// Locations in a page.
pub const PAGE_UNITS: u64 = 1 << PAGE_BITS;
/// Bytes that a page stands for.
const PAGE_BYTES: u64 = 8 << PAGE_BITS;
/// log2 of the pages in a chunk of the table, which is allocated at once.
const CHUNK_BITS: u32 = 12;
const CHUNK_PAGES: usize = 1 << CHUNK_BITS;
/// Chunks of the whole space.
const CHUNKS: usize = 1 << (LOCATION_BITS - PAGE_BITS - CHUNK_BITS);
/// Segments that readers are waited for at once.
const REMOVED_AT_ONCE: usize = 256;
/// Pages in the whole space.
pub const MAX_PAGES: usize = CHUNKS * CHUNK_PAGES;

type Chunk = Box<[Slot<Segment>]>;

/// All segments, by location.
pub struct SegmentTable {
    chunks: Box<[OnceLock<Chunk>]>,
    /// Who holds the lock may change the pages.
    layout: Mutex<Layout>,
}

#[derive(Default)]
struct Layout {
    /// The segments by their first page.
    placed: BTreeMap<usize, Placed>,
    /// Places that are kept for segments to come, by their first page: ids and pages.
    kept: BTreeMap<usize, (u64, usize)>,
    /// Their first pages by their ids.
    kept_of: BTreeMap<u64, usize>,
}

/// A segment in its place.
struct Placed {
    pages: usize,
    segment: Arc<Segment>,
}

impl SegmentTable {
    /// An empty one.
    pub fn new() -> Result<SegmentTable> {
        let chunks = memory::collect((0..CHUNKS).map(|_| OnceLock::new()))?;
        Ok(SegmentTable { chunks: chunks.into_boxed_slice(), layout: Mutex::default() })
    }

    /// Adds the segment `id`, which `make` builds for the base location it is given. Records begin
    /// in its first `span` bytes.
    pub fn add(
        &self,
        id: u64,
        span: u64,
        make: impl FnOnce(u64) -> Segment,
    ) -> Result<Arc<Segment>> {
        let pages = span.div_ceil(PAGE_BYTES) as usize;
        let mut layout = self.layout.lock();
        let kept = layout.kept_of.get(&id).copied();
        let fits = |first: &usize| layout.kept.get(first).is_some_and(|kept| pages <= kept.1);
        let first = kept.filter(fits).unwrap_or_else(|| layout.free_run(pages));
        layout.kept.remove(&first);
        if first + pages > MAX_PAGES {
            return Err(Error::new(Kind::NoSpace, "the database has reached its limit of 8 TiB"));
        }
        self.make_chunks(first, pages)?;
        let segment = Arc::new(make((first as u64) << PAGE_BITS));
        // The pages were free: what is taken out of them is nothing.
        drop(self.fill(first, pages, Some(&segment)));
        layout.placed.insert(first, Placed { pages, segment: Arc::clone(&segment) });
        Ok(segment)
    }

    /// Keeps places for segments that will be added. Nothing lies there.
    pub fn keep<'a>(&self, places: impl Iterator<Item = &'a KnownSegment>) {
        let mut layout = self.layout.lock();
        for place in places {
            let first = place.first_page as usize;
            layout.kept.insert(first, (place.id, place.pages as usize));
            layout.kept_of.insert(place.id, first);
        }
    }

    /// Gives up the places that are still kept.
    pub fn keep_no_more(&self) {
        let mut layout = self.layout.lock();
        layout.kept.clear();
        layout.kept_of.clear();
    }

    /// Where every segment is, and what of it is dead, in the order of their locations.
    pub fn places(&self) -> Result<Vec<KnownSegment>> {
        let layout = self.layout.lock();
        let place = |(&first, placed): (&usize, &Placed)| KnownSegment {
            id: placed.segment.header.id,
            first_page: first as u32,
            pages: placed.pages as u32,
            dead: placed.segment.dead(),
            tombstones: placed.segment.tombstones(),
            dead_expiring: placed.segment.dead_expiring(),
            expiring: placed.segment.expiring(),
        };
        Ok(memory::collect(layout.placed.iter().map(place))?)
    }

    /// Puts another form of a segment in its place, and frees the old one. The thread is not
    /// pinned.
    pub fn replace(&self, segment: &Arc<Segment>) {
        let mut layout = self.layout.lock();
        let first = first_page(segment);
        let Some(placed) = layout.placed.get_mut(&first).filter(|placed| is_same(placed, segment))
        else {
            return;
        };
        let old = std::mem::replace(&mut placed.segment, Arc::clone(segment));
        let retired = self.fill(first, placed.pages, Some(segment));
        drop(layout);
        epoch::release([retired]);
        drop(old);
    }

    /// Removes segments that the index does not point into any more, when the last reader that may
    /// have a location of them has left, and frees them. The thread is not pinned.
    pub fn remove(&self, segments: &[Arc<Segment>]) {
        // Before the pages are free for another segment.
        epoch::synchronize();
        for some in segments.chunks(REMOVED_AT_ONCE) {
            let mut gone: [_; REMOVED_AT_ONCE] = std::array::from_fn(|_| Retired::default());
            some.iter().zip(&mut gone).for_each(|(one, gone)| *gone = self.take_out(one));
            epoch::release(gone);
        }
    }

    /// Removes a segment that the index has never pointed into. Waits for nobody.
    pub fn discard(&self, segment: &Segment) {
        drop(self.take_out(segment));
    }

    fn take_out(&self, segment: &Segment) -> Retired<Segment> {
        let mut layout = self.layout.lock();
        let first = first_page(segment);
        if !layout.placed.get(&first).is_some_and(|placed| is_same(placed, segment)) {
            return Retired::default();
        }
        let gone = layout.placed.remove(&first);
        gone.map_or_else(Retired::default, |gone| self.fill(first, gone.pages, None))
    }

    /// Looks locations up for a pinned thread.
    pub fn pinned<'g>(&'g self, guard: &'g Guard) -> Segments<'g> {
        Segments { table: self, guard }
    }

    /// Every segment, in the order of their locations.
    pub fn all(&self) -> Result<Vec<Arc<Segment>>> {
        let layout = self.layout.lock();
        let all = layout.placed.values().map(|placed| Arc::clone(&placed.segment));
        Ok(memory::collect(all)?)
    }

    /// Shows every segment, in the order of their locations, to `look`, which takes no lock.
    pub fn look_at_all(&self, mut look: impl FnMut(&Arc<Segment>)) {
        self.layout.lock().placed.values().for_each(|placed| look(&placed.segment));
    }

    /// The segment `id`.
    pub fn find(&self, id: u64) -> Option<Arc<Segment>> {
        let layout = self.layout.lock();
        let found = layout.placed.values().find(|placed| placed.segment.header.id == id);
        found.map(|placed| Arc::clone(&placed.segment))
    }

    fn page(&self, page: usize) -> Option<&Slot<Segment>> {
        self.chunks.get(page >> CHUNK_BITS)?.get()?.get(page % CHUNK_PAGES)
    }

    /// Makes sure that these pages are there. The caller holds the lock.
    fn make_chunks(&self, first: usize, pages: usize) -> Result<()> {
        let last = first + pages.saturating_sub(1);
        for chunk in &self.chunks[first >> CHUNK_BITS..=last >> CHUNK_BITS] {
            if chunk.get().is_none() {
                let slots = memory::collect((0..CHUNK_PAGES).map(|_| Slot::default()))?;
                let _ = chunk.set(slots.into_boxed_slice());
            }
        }
        Ok(())
    }

    /// Puts `segment` into its pages, which are there. The caller holds the lock. What is taken out
    /// of them is one segment.
    fn fill(&self, first: usize, pages: usize, segment: Option<&Arc<Segment>>) -> Retired<Segment> {
        let mut retired = Retired::default();
        for page in first..first + pages {
            if let Some(slot) = self.page(page) {
                retired.with(slot.replace(segment.cloned()));
            }
        }
        retired
    }
}

fn first_page(segment: &Segment) -> usize {
    (segment.base() >> PAGE_BITS) as usize
}

fn is_same(placed: &Placed, segment: &Segment) -> bool {
    placed.segment.header.id == segment.header.id
}

impl Layout {
    /// The first page of `pages` free ones in a row.
    fn free_run(&self, pages: usize) -> usize {
        let placed = self.placed.iter().map(|(&first, placed)| (first, placed.pages));
        let kept = self.kept.iter().map(|(&first, &(_, pages))| (first, pages));
        let (mut placed, mut kept) = (placed.peekable(), kept.peekable());
        let mut free = 0;
        loop {
            let taken = match (placed.peek(), kept.peek()) {
                (Some(one), Some(other)) if other < one => kept.next(),
                (None, _) => kept.next(),
                _ => placed.next(),
            };
            match taken {
                Some((first, count)) if first < free + pages => free = first + count,
                _ => return free,
            }
        }
    }
}

/// The page that a location lies in.
pub fn page_of(location: Location) -> u32 {
    (location.0 >> PAGE_BITS) as u32
}

/// The table, for a pinned thread.
#[derive(Clone, Copy)]
pub struct Segments<'g> {
    table: &'g SegmentTable,
    guard: &'g Guard,
}

impl<'g> Segments<'g> {
    /// The segment that `location` means.
    #[inline]
    pub fn of(&self, location: Location) -> Result<&'g Segment> {
        let page = self.table.page((location.0 >> PAGE_BITS) as usize);
        page.and_then(|slot| slot.get(self.guard)).ok_or_else(|| nowhere(location))
    }

    /// The same, to keep.
    pub fn arc_of(&self, location: Location) -> Result<Arc<Segment>> {
        let page = self.table.page((location.0 >> PAGE_BITS) as usize);
        page.and_then(|slot| slot.get_arc(self.guard)).ok_or_else(|| nowhere(location))
    }
}

#[cold]
fn nowhere(location: Location) -> Error {
    Error::new(Kind::Internal, format!("the index points to nowhere ({})", location.0))
}
