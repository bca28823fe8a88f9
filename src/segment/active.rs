//! The segment that is being written: appended to through a map, in a file allocated ahead.

use std::sync::Arc;

use super::open::Opener;
use super::table::SegmentTable;
use super::{Body, Segment, Source};
use crate::error::{Error, Kind, Result};
use crate::format::name;
use crate::format::record::{Prepared, Seal, SEAL_LEN};
use crate::format::segment::{SegmentHeader, SyncMark, HEADER_PAGE, OVERHEAD};
use crate::storage::map::{AppendMap, Map};
use crate::storage::{File, Storage};

/// The first allocation of a segment, and the least that one grows by.
const FIRST_STEP: u64 = 64 << 10;
/// The most that a segment grows by at once.
const LAST_STEP: u64 = 8 << 20;
/// The most that is allocated ahead of the writer.
const AHEAD: u64 = 16 << 20;
/// Allocations end at multiples of this.
const BLOCK: u64 = 4096;

/// The segment that is being written.
pub struct ActiveSegment {
    segment: Arc<Segment>,
    file: Arc<dyn File>,
    map: AppendMap,
    records: u64,
    /// When the end passes this, more should be allocated in the background.
    low_water: usize,
}

/// A segment that takes no more records, and what is needed to put it on the medium.
pub struct FullSegment {
    /// The readers' side.
    pub segment: Arc<Segment>,
    /// Its file.
    pub file: Arc<dyn File>,
    /// Bytes of it, the seal included.
    pub len: u64,
    /// What the seal says.
    pub seal: Seal,
}

/// Creates the file of a new segment, with its header page on the medium. The name is not durable
/// yet.
pub fn create_file(
    storage: &dyn Storage,
    header: &SegmentHeader,
    uuid: &[u8; 16],
) -> Result<Arc<dyn File>> {
    let name = name::segment(header.id);
    let file = storage.create(&name)?;
    let filled = file
        .allocate(FIRST_STEP)
        .and_then(|()| file.write_at(&header.encode(uuid), 0))
        .and_then(|()| file.sync());
    if let Err(error) = filled {
        // It is in no manifest: left behind, it would be removed at the next open.
        let _ = storage.remove(&name);
        return Err(error);
    }
    Ok(file)
}

fn map_for_appending(file: &dyn File, len: u64, capacity: u64) -> Result<AppendMap> {
    let mut map = file.map_append(len, capacity)?;
    map.grow(file.len()?.min(capacity) as usize);
    Ok(map)
}

/// Bytes that a segment needs for one record of `record_len`, if `segment_size` is the usual size.
pub fn capacity_for(segment_size: u64, record_len: usize) -> u64 {
    segment_size.max((OVERHEAD + record_len) as u64)
}

/// Bytes that a new segment with room for a record of `len` bytes allocates, at least.
pub fn missing_of_new(len: usize) -> u64 {
    FIRST_STEP + len as u64
}

impl ActiveSegment {
    /// Begins to write a new segment, of `capacity` bytes, in a file that [`create_file`] made.
    pub fn begin(
        storage: &dyn Storage,
        table: &SegmentTable,
        file: Arc<dyn File>,
        header: SegmentHeader,
        capacity: u64,
    ) -> Result<ActiveSegment> {
        let map = map_for_appending(&*file, HEADER_PAGE as u64, capacity)?;
        let source = Source::Active(Body::Mapped(map.map().clone()));
        let segment = table.add(capacity, |base| Segment::new(header, storage, source, base))?;
        segment.set_allocated(map.limit() as u64);
        Ok(ActiveSegment { segment, file, map, records: 0, low_water: 0 })
    }

    /// Goes on writing `segment`, whose first `len` bytes are whole and hold `records` records.
    pub fn resume(
        table: &SegmentTable,
        segment: &Segment,
        file: Arc<dyn File>,
        (len, records): (u64, u64),
        capacity: u64,
    ) -> Result<ActiveSegment> {
        let map = map_for_appending(&*file, len, capacity)?;
        let source = Source::Active(Body::Mapped(map.map().clone()));
        let segment = Arc::new(segment.with_source(source));
        table.replace(&segment);
        Ok(ActiveSegment { segment, file, map, records, low_water: 0 })
    }

    /// The readers' side.
    pub fn segment(&self) -> &Arc<Segment> {
        &self.segment
    }

    /// The file.
    pub fn file(&self) -> &Arc<dyn File> {
        &self.file
    }

    /// Bytes written.
    pub fn len(&self) -> u64 {
        self.map.map().published() as u64
    }

    /// Whether no record was written.
    pub fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// Whether `len` bytes can be appended, with room left for the seal.
    #[inline]
    pub fn has_room(&self, len: usize) -> bool {
        self.map.map().published() + len + SEAL_LEN <= self.map.limit()
    }

    /// Makes room for `len` bytes, with blocks on disk. Answers whether the segment has it; if not,
    /// it has room for the seal, as a segment that was cut to its length by closing or recovery
    /// need not. Up to `allowed` bytes are allocated, or what is missing if that is more.
    pub fn make_room(&mut self, len: usize, allowed: u64) -> Result<bool> {
        let (end, fits) = self.end_with(len);
        if end > self.map.limit() as u64 {
            self.allocate(end, allowed)?;
        }
        Ok(fits)
    }

    /// Whether the writer comes near the end of what is allocated, asked once for each step.
    #[inline]
    pub fn comes_near_limit(&mut self) -> bool {
        let near = self.map.map().published() >= self.low_water;
        if near {
            self.low_water = usize::MAX;
        }
        near
    }

    /// Allocates one more step ahead of the writer, as far ahead as the segment is long, within
    /// bounds. Answers the map and the part that was added, or `None` if the writer is far enough
    /// behind. Up to `allowed` bytes are allocated.
    pub fn allocate_ahead(&mut self, allowed: u64) -> Result<Option<(Map, usize, usize)>> {
        let (end, from) = (self.map.map().published() as u64, self.map.limit() as u64);
        let target = (end + end.clamp(FIRST_STEP, AHEAD)).min(self.map.capacity() as u64);
        if from >= target {
            self.low_water = match from < self.map.capacity() as u64 {
                true => ((end + from) / 2) as usize,
                false => usize::MAX,
            };
            return Ok(None);
        }
        self.allocate(from + 1, allowed)?;
        Ok(Some((self.map.map().clone(), from as usize, self.map.limit())))
    }

    /// Bytes that must be allocated, at least, to make room for `len` bytes, or for the seal if
    /// the segment cannot have as many.
    pub fn missing(&self, len: usize) -> u64 {
        let (end, _) = self.end_with(len);
        end.saturating_sub(self.map.limit() as u64)
    }

    /// Where the segment ends with `len` bytes more and the seal, and whether it can; or else where
    /// it ends with the seal alone.
    fn end_with(&self, len: usize) -> (u64, bool) {
        let published = self.map.map().published();
        let fits = published + len + SEAL_LEN <= self.map.capacity();
        ((published + if fits { len } else { 0 } + SEAL_LEN) as u64, fits)
    }

    /// Allocates blocks up to `end` at least, in steps that grow with the segment, and beyond `end`
    /// no more than `allowed` bytes.
    #[cold]
    fn allocate(&mut self, end: u64, allowed: u64) -> Result<()> {
        let capacity = self.map.capacity() as u64;
        let step = (self.map.limit() as u64).clamp(FIRST_STEP, LAST_STEP);
        let ahead = (self.map.limit() as u64 + step).max(end).next_multiple_of(BLOCK);
        let ahead = ahead.min(capacity.max(end));
        let ahead = ahead.min((self.map.limit() as u64).saturating_add(allowed)).max(end);
        let limit = match self.file.allocate(ahead) {
            Err(error) if error.kind() == Kind::NoSpace => {
                // The step may be too much where the record itself is not.
                let least = end.next_multiple_of(BLOCK).min(capacity);
                self.file.allocate(least)?;
                least
            }
            other => other.map(|()| ahead)?,
        };
        self.map.grow(limit as usize);
        self.segment.set_allocated(limit);
        Ok(())
    }

    /// Appends a record, for which room was made, and answers its offset.
    #[inline]
    pub fn append(&mut self, record: &Prepared, key: &[u8], value: &[u8], sequence: u64) -> u64 {
        let offset = self.map.map().published() as u64;
        let header = &self.segment.header;
        let delta = (sequence - header.base_sequence) as u32;
        let placed = record.place(header.salt, offset, delta);
        self.map.append(&[&placed, &record.head, key, value], record.len);
        self.records += 1;
        offset
    }

    /// Appends a record that is encoded for this place, and for which room was made.
    pub fn append_encoded(&mut self, record: &[u8]) {
        self.map.append(&[record], record.len());
        self.records += 1;
    }

    /// Ends the segment. There is always room for the seal.
    pub fn seal(mut self, next_sequence: u64) -> FullSegment {
        let seal = Seal { records: self.records, next_sequence };
        let bytes = seal.encode(self.segment.header.salt, self.len());
        self.map.append(&[&bytes], bytes.len());
        FullSegment { len: self.len(), segment: self.segment, file: self.file, seal }
    }
}

impl FullSegment {
    /// Gives back what was allocated beyond the end, and reads the segment from now on as a sealed
    /// one. To be done before it is synced: while it is mapped for writing, a sync takes the pages'
    /// write permission away one by one, and interrupts every processor for each.
    pub fn settle(&mut self, opener: &Arc<Opener>) -> Result<()> {
        self.file.truncate(self.len)?;
        let sealed = opener.sealed_and_open(self.segment.header.id, self.len, &self.file)?;
        self.segment = Arc::new(self.segment.with_source(Source::Sealed(sealed)));
        self.segment.set_allocated(0);
        Ok(())
    }

    /// Puts the segment on the medium.
    pub fn sync(&self) -> Result<()> {
        self.file.sync()
    }
}

/// Notes in the file of the segment with `salt` that its first `offset` bytes are on the medium.
pub fn write_mark(file: &dyn File, salt: u32, offset: u64, turn: u64) -> Result<()> {
    let (at, bytes) = SyncMark { offset }.encode(salt, turn);
    file.write_at(&bytes, at)
}

/// The error for a record that no segment can hold, whatever its size: there is none within the
/// limits.
#[cold]
pub fn does_not_fit() -> Error {
    Error::new(Kind::Internal, "a record does not fit into a segment made for it")
}
