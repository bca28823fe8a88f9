//! The read path: find the key's newest record, check it, hand its value out.

use super::write::check_key;
use super::Engine;
use crate::epoch::{self, Guard};
use crate::error::{Error, Kind, Result};
use crate::format::record::{Record, RecordKind};
use crate::index::Location;
use crate::segment::table::Segments;
use crate::segment::{Body, Hold, Segment};
use crate::storage::map::Map;

/// Records longer than this are read without a pin, which would keep others' garbage.
const LARGE: usize = 64 << 10;

/// A value that stays readable whatever happens to its key, its segment and its database.
pub struct View {
    bytes: ViewBytes,
}

enum ViewBytes {
    /// Part of a map, which keeps the segment's memory.
    Mapped { map: Map, offset: usize, len: usize },
    /// A copy.
    Owned(Vec<u8>),
}

impl View {
    /// The value.
    pub fn bytes(&self) -> &[u8] {
        match &self.bytes {
            ViewBytes::Mapped { map, offset, len } => map.bytes(*offset, *len).unwrap_or_default(),
            ViewBytes::Owned(bytes) => bytes,
        }
    }
}

/// What looking a key up leads to.
pub(super) enum Answer<R> {
    /// The result itself.
    Done(R),
    /// The record is long: here it is, to be read when the pin is gone.
    Large(Kept),
}

impl Engine {
    /// Hands the value of `key` to `read`, in place. `read` must not call the database.
    pub fn get<R>(&self, key: &[u8], read: impl FnOnce(&[u8]) -> R) -> Result<Option<R>> {
        let mut read = Some(read);
        let answer = self.find(key, |found| self.read_now(found, &mut read))?;
        self.read_later(answer, read)
    }

    /// The value of `key`, kept readable until the view is dropped.
    pub fn view(&self, key: &[u8]) -> Result<Option<View>> {
        let kept = self.find(key, |found| found.keep())?;
        kept.map(|kept| kept.into_view(self)).transpose()
    }

    /// The length of the value of `key`.
    pub fn value_len(&self, key: &[u8]) -> Result<Option<usize>> {
        self.find(key, |found| found.check(self).map(|()| found.value().len()))
    }

    /// Lets `read` read what was found, unless that is to be done when the pin is gone.
    #[inline]
    pub(super) fn read_now<R, F: FnOnce(&[u8]) -> R>(
        &self,
        found: &FoundRecord,
        read: &mut Option<F>,
    ) -> Result<Answer<R>> {
        if found.is_large() {
            return Ok(Answer::Large(found.keep()?));
        }
        found.check(self)?;
        read.take().map(|read| Answer::Done(read(found.value()))).ok_or_else(found_twice)
    }

    /// The pin is gone: lets `read` read what it has not read yet.
    #[inline]
    pub(super) fn read_later<R, F: FnOnce(&[u8]) -> R>(
        &self,
        answer: Option<Answer<R>>,
        mut read: Option<F>,
    ) -> Result<Option<R>> {
        match answer {
            None => Ok(None),
            Some(Answer::Done(result)) => Ok(Some(result)),
            Some(Answer::Large(kept)) => {
                let mut scratch = Vec::new();
                let record = kept.record(self, &mut scratch)?;
                Ok(read.take().map(|read| read(record.value())))
            }
        }
    }

    /// Verifies the record's checksum, unless the options say not to.
    #[inline]
    pub(super) fn check(&self, segment: &Segment, record: &Record, offset: u64) -> Result<()> {
        if self.options.verify_checksums {
            segment.verify(record, offset)
        } else {
            Ok(())
        }
    }

    /// Hands the newest record of `key` to `visit`, unverified, with the thread pinned.
    #[inline]
    pub(super) fn find<R>(
        &self,
        key: &[u8],
        visit: impl FnMut(&FoundRecord) -> Result<R>,
    ) -> Result<Option<R>> {
        check_key(key)?;
        let hash = self.hasher.hash(key);
        let guard = epoch::pin()?;
        self.find_pinned(&guard, hash, key, visit)
    }

    /// The same for a thread that is pinned and knows the key's hash.
    #[inline]
    pub(super) fn find_pinned<R>(
        &self,
        guard: &Guard,
        hash: u64,
        key: &[u8],
        mut visit: impl FnMut(&FoundRecord) -> Result<R>,
    ) -> Result<Option<R>> {
        let segments = self.table.pinned(guard);
        let mut scratch = Vec::new();
        self.index.find(guard, hash, |location| {
            let segment = segments.of(location)?;
            let offset = segment.offset(location);
            let record = segment.record(guard, offset, &mut scratch)?;
            if !segment.is_of(key, &record, offset)? {
                return Ok(None);
            }
            if !record.header.is_plain_put() && !self.is_there(guard, hash, segment, &record)? {
                // Whether it is there must not be decided by damaged bytes.
                return segment.verify(&record, offset).map(|()| None);
            }
            let origin = Origin::Table(segments, location);
            visit(&FoundRecord { guard, origin, segment, record, offset }).map(Some)
        })
    }
}

impl Engine {
    /// Whether the key of `record`, the newest one, is there: it may have expired, or be a
    /// tombstone of a batch. Returns when the batch is wholly in the index.
    #[cold]
    fn is_there(
        &self,
        guard: &Guard,
        hash: u64,
        segment: &Segment,
        record: &Record,
    ) -> Result<bool> {
        let may_be_half_applied = || segment.sequence(record) >= self.batches.unapplied_from();
        if record.header.is_in_batch() && may_be_half_applied() {
            self.index.wait(guard, hash)?;
        }
        let has_expired = || record.expiry().is_some_and(|expiry| expiry <= self.clock.now_ms());
        Ok(record.header.kind == RecordKind::Put && !has_expired())
    }

    /// The version of `key`.
    pub fn version(&self, key: &[u8]) -> Result<Option<u64>> {
        self.find(key, |found| {
            found.check(self)?;
            Ok(found.segment.sequence(&found.record))
        })
    }

    /// When the value of `key` expires, in milliseconds since 1970: the inner `None` is never.
    pub fn expires_at(&self, key: &[u8]) -> Result<Option<Option<u64>>> {
        self.find(key, |found| {
            found.check(self)?;
            Ok(found.record.expiry())
        })
    }

    /// How many milliseconds the value of `key` will still be there: the inner `None` is for ever.
    pub fn ttl(&self, key: &[u8]) -> Result<Option<Option<u64>>> {
        self.find(key, |found| {
            found.check(self)?;
            let now = self.clock.now_ms();
            Ok(found.record.expiry().map(|expiry| expiry.saturating_sub(now).max(1)))
        })
    }
}

/// A key's newest record, or the one that a snapshot sees, while the thread that looked it up is
/// pinned.
pub(super) struct FoundRecord<'a> {
    pub guard: &'a Guard,
    pub origin: Origin<'a>,
    pub segment: &'a Segment,
    pub record: Record<'a>,
    pub offset: u64,
}

/// What leads to a record.
pub(super) enum Origin<'a> {
    /// The index.
    Table(Segments<'a>, Location),
    /// It is kept for snapshots.
    Kept(&'a Kept),
}

impl FoundRecord<'_> {
    /// Whether it is to be read when the pin is gone.
    #[inline]
    pub(super) fn is_large(&self) -> bool {
        self.record.header.record_len() > LARGE
    }

    /// Verifies it, unless the options say not to.
    #[inline]
    pub(super) fn check(&self, engine: &Engine) -> Result<()> {
        engine.check(self.segment, &self.record, self.offset)
    }

    /// The value.
    #[inline]
    pub(super) fn value(&self) -> &[u8] {
        self.record.value()
    }

    /// The map that it lies in, if there is one.
    pub(super) fn map(&self) -> Result<Option<&Map>> {
        match &self.origin {
            Origin::Table(..) => self.segment.map(self.guard),
            Origin::Kept(kept) => kept.map(),
        }
    }

    /// What it takes to read the record when the pin is gone.
    pub(super) fn keep(&self) -> Result<Kept> {
        match &self.origin {
            Origin::Table(segments, location) => {
                Kept::new(self.guard, *segments, *location, self.offset)
            }
            Origin::Kept(kept) => Ok((*kept).clone()),
        }
    }
}

/// A record that stays readable whatever happens to its segment.
#[derive(Clone)]
pub(super) struct Kept {
    pub hold: Hold,
    pub offset: u64,
}

impl Kept {
    /// The record at `location`, which is at `offset` of its segment.
    pub(super) fn new(
        guard: &Guard,
        segments: Segments,
        location: Location,
        offset: u64,
    ) -> Result<Kept> {
        Ok(Kept { hold: segments.arc_of(location)?.hold(guard)?, offset })
    }

    /// The record, verified unless the options say not to.
    pub(super) fn record<'a>(
        &'a self,
        engine: &Engine,
        scratch: &'a mut Vec<u8>,
    ) -> Result<Record<'a>> {
        let record = self.hold.record(self.offset, scratch)?;
        engine.check(self.hold.segment(), &record, self.offset)?;
        Ok(record)
    }

    /// Whether it is damaged, as far as the options say to look.
    pub(super) fn is_damaged(&self, engine: &Engine, scratch: &mut Vec<u8>) -> Result<bool> {
        match self.record(engine, scratch) {
            Err(error) if error.kind() == Kind::Corrupt => Ok(true),
            record => record.map(|_| false),
        }
    }

    /// The map that it lies in, if there is one.
    pub(super) fn map(&self) -> Result<Option<&Map>> {
        self.hold.body().map(Body::map)
    }

    /// Its value, kept readable.
    pub(super) fn into_view(self, engine: &Engine) -> Result<View> {
        let mut scratch = Vec::new();
        let record = self.record(engine, &mut scratch)?;
        let (start, len) = (record.header.key_at() + record.header.key_len, record.value().len());
        let bytes = match self.map()? {
            Some(map) => {
                ViewBytes::Mapped { map: map.clone(), offset: self.offset as usize + start, len }
            }
            None => {
                // In place: no more memory than the record has taken.
                scratch.truncate(start + len);
                drop(scratch.drain(..start));
                ViewBytes::Owned(scratch)
            }
        };
        Ok(View { bytes })
    }
}

impl Engine {
    /// Begins to fetch the record that is probably the newest of the key of `hash`: the first one
    /// with its tag, which is hardly ever another key's.
    pub(super) fn fetch_record(&self, guard: &Guard, hash: u64) -> Result<()> {
        let segments = self.table.pinned(guard);
        self.index.find(guard, hash, |location| {
            let holder = segments.of(location)?;
            holder.prefetch(guard, holder.offset(location));
            Ok(Some(()))
        })?;
        Ok(())
    }
}

#[cold]
fn found_twice() -> Error {
    Error::new(Kind::Internal, "a key was found twice in one lookup")
}
