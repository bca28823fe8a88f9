//! Which segment a location means: the locations of all segments share one space of 2^40 units of 8
//! bytes.
//!
//! The space is dealt out in pages of 1 MiB, so that segments of any size lie in it without holes.
//! A sealed segment of one record, however large, takes one page once the database is opened again,
//! since only where records begin has a location.

use std::sync::Arc;

use parking_lot::{RwLock, RwLockReadGuard};

use super::Segment;
use crate::error::{Error, Kind, Result};
use crate::index::{Location, LOCATION_BITS};

/// log2 of the units in a page.
const PAGE_BITS: u32 = 17;
/// Bytes that a page stands for.
const PAGE_BYTES: u64 = 8 << PAGE_BITS;
/// Pages in the whole space.
const MAX_PAGES: usize = 1 << (LOCATION_BITS - PAGE_BITS);

/// All segments, by location.
#[derive(Default)]
pub struct SegmentTable {
    pages: RwLock<Vec<Option<Arc<Segment>>>>,
}

impl SegmentTable {
    /// Adds the segment that `make` builds for the base location it is given. Records begin in its
    /// first `span` bytes.
    pub fn add(&self, span: u64, make: impl FnOnce(u64) -> Segment) -> Result<Arc<Segment>> {
        let count = span.div_ceil(PAGE_BYTES) as usize;
        let mut pages = self.pages.write();
        let first = free_run(&pages, count);
        if first + count > MAX_PAGES {
            return Err(Error::new(Kind::NoSpace, "the database has reached its limit of 8 TiB"));
        }
        if pages.len() < first + count {
            pages.resize(first + count, None);
        }
        let segment = Arc::new(make((first as u64) << PAGE_BITS));
        pages[first..first + count].fill(Some(Arc::clone(&segment)));
        Ok(segment)
    }

    /// Puts another form of a segment in its place.
    pub fn replace(&self, segment: &Arc<Segment>) {
        let mut pages = self.pages.write();
        for page in own_pages(&mut pages, segment) {
            *page = Some(Arc::clone(segment));
        }
    }

    /// Removes a segment: no location means it any more.
    pub fn remove(&self, segment: &Segment) {
        let mut pages = self.pages.write();
        for page in own_pages(&mut pages, segment) {
            *page = None;
        }
    }

    /// Holds the table still, for looking locations up.
    pub fn read(&self) -> Segments<'_> {
        Segments { pages: self.pages.read() }
    }
}

/// The pages that belong to `segment`, whatever form of it they hold.
fn own_pages<'a>(
    pages: &'a mut [Option<Arc<Segment>>],
    segment: &Segment,
) -> impl Iterator<Item = &'a mut Option<Arc<Segment>>> {
    let (id, first) = (segment.header.id, (segment.base() >> PAGE_BITS) as usize);
    pages[first..]
        .iter_mut()
        .take_while(move |page| page.as_ref().is_some_and(|held| held.header.id == id))
}

/// The first page of `count` free ones in a row.
fn free_run(pages: &[Option<Arc<Segment>>], count: usize) -> usize {
    let mut run = 0;
    for (at, page) in pages.iter().enumerate() {
        run = if page.is_none() { run + 1 } else { 0 };
        if run == count {
            return at + 1 - count;
        }
    }
    pages.len() - run
}

/// The table, held still.
pub struct Segments<'a> {
    pages: RwLockReadGuard<'a, Vec<Option<Arc<Segment>>>>,
}

impl Segments<'_> {
    /// The segment that `location` means.
    #[inline]
    pub fn of(&self, location: Location) -> Result<&Arc<Segment>> {
        let page = self.pages.get((location.0 >> PAGE_BITS) as usize);
        page.and_then(Option::as_ref).ok_or_else(|| {
            Error::new(Kind::Internal, format!("the index points to nowhere ({})", location.0))
        })
    }

    /// Every segment once, in the order of their locations.
    pub fn all(&self) -> Vec<Arc<Segment>> {
        let mut all: Vec<Arc<Segment>> = self.pages.iter().flatten().cloned().collect();
        all.dedup_by_key(|segment| segment.header.id);
        all
    }
}
