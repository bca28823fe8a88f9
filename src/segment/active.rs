//! The segment that is being written: appended to through a map, in a file allocated ahead.

use std::sync::Arc;

use super::blocks::{self, Blocks, Step, BLOCK, FIRST_STEP, LAST_STEP};
use super::full::FullSegment;
use super::table::SegmentTable;
use super::{Body, Segment, Source};
use crate::error::{Error, Kind, Result};
use crate::format::encode::Prepared;
use crate::format::name;
use crate::format::record::{Class, Seal, HEADER_LEN, SEAL_LEN};
use crate::format::segment::{SegmentHeader, HEADER_PAGE, OVERHEAD};
use crate::storage::map::{AppendMap, Hole};
use crate::storage::{File, Storage};
use crate::wrong_turn::unless;

/// The most that is allocated ahead of the writer.
const AHEAD: u64 = 16 << 20;
/// When this part of a segment is full, the next one is made. A fast writer fills the rest while
/// the medium is asked three times.
const SUCCESSOR_AT: usize = 8;

/// The segment that is being written.
pub struct ActiveSegment {
    segment: Arc<Segment>,
    file: Arc<dyn File>,
    blocks: Arc<Blocks>,
    map: AppendMap,
    records: u64,
    /// When the end passes this, more should be allocated in the background.
    low_water: usize,
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
        .and_then(|()| unless!(HeaderNotSynced, file.sync()));
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
        let make = |base| Segment::new(header, storage, source, base);
        let segment = table.add(header.id, capacity, make)?;
        segment.set_allocated(map.limit() as u64);
        Ok(ActiveSegment::new(segment, file, map, 0))
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
        Ok(ActiveSegment::new(segment, file, map, records))
    }

    fn new(
        segment: Arc<Segment>,
        file: Arc<dyn File>,
        map: AppendMap,
        records: u64,
    ) -> ActiveSegment {
        let blocks = Blocks::new(Arc::clone(&file));
        ActiveSegment { segment, file, blocks, map, records, low_water: 0 }
    }

    /// Makes a segment without records at least `capacity` bytes long.
    pub fn enlarge(&mut self, table: &SegmentTable, capacity: u64) -> Result<()> {
        debug_assert!(self.is_empty());
        let old_capacity = self.map.capacity() as u64;
        if capacity <= old_capacity {
            return Ok(());
        }
        let map = map_for_appending(&*self.file, HEADER_PAGE as u64, capacity)?;
        let source = |map: &AppendMap| Source::Active(Body::Mapped(map.map().clone()));
        // Nothing points to it yet, so that its place may change.
        table.discard(&self.segment);
        match table
            .add(self.segment.header.id, capacity, |base| self.segment.moved(source(&map), base))
        {
            Ok(segment) => {
                (self.segment, self.map, self.low_water) = (segment, map, 0);
                Ok(())
            }
            Err(error) => {
                let back = table.add(self.segment.header.id, old_capacity, |base| {
                    self.segment.moved(source(&self.map), base)
                });
                self.segment = back.map_err(|error| error.with_kind(Kind::Internal))?;
                Err(error)
            }
        }
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

    /// Records written.
    pub fn records(&self) -> u64 {
        self.records
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

    /// Whether it is time to make the next segment.
    pub fn wants_successor(&self) -> bool {
        self.map.map().published() >= self.map.capacity() / SUCCESSOR_AT
    }

    /// What is to be allocated next ahead of the writer, as far ahead as the segment is long,
    /// within bounds; `None` if the writer is far enough behind. Up to `allowed` bytes.
    pub fn next_step(&mut self, allowed: u64) -> Option<Step> {
        let (end, from) = (self.map.map().published() as u64, self.map.limit() as u64);
        let capacity = self.map.capacity() as u64;
        if from < (end + end.clamp(FIRST_STEP, AHEAD)).min(capacity) {
            return Some(self.step(from + 1, allowed));
        }
        let successor =
            if self.wants_successor() { u64::MAX } else { capacity / SUCCESSOR_AT as u64 };
        let next_step = if from < capacity { (end + from) / 2 } else { u64::MAX };
        self.low_water = successor.min(next_step) as usize;
        None
    }

    /// Allocates the first blocks of a segment before anybody writes to it: up to `allowed` bytes.
    pub fn prepare_first_step(&mut self, allowed: u64) -> Result<Option<Step>> {
        let wanted = (self.map.capacity() as u64 / 64).clamp(FIRST_STEP, LAST_STEP).min(allowed);
        let wanted = wanted.min(self.map.capacity() as u64);
        let mut step = self.step(wanted, allowed);
        step.to = wanted;
        let step = step.allocate()?;
        Ok(step.filter(|step| self.grow(step)))
    }

    /// The step that reaches `least`: steps grow with the segment, but beyond `least` to no more
    /// than `allowed` bytes.
    fn step(&self, least: u64, allowed: u64) -> Step {
        let (from, capacity) = (self.map.limit() as u64, self.map.capacity() as u64);
        let (to, least) = blocks::step(from, capacity, least, allowed);
        let (blocks, map) = (Arc::clone(&self.blocks), self.map.map().clone());
        Step { trims: blocks.trims(), blocks, map, from, to, least }
    }

    /// Gives back most of what is allocated ahead.
    pub fn trim(&mut self) -> Result<()> {
        let keep = (self.len() + FIRST_STEP).next_multiple_of(BLOCK);
        if keep < self.map.limit() as u64 {
            self.map.shrink(keep as usize);
            self.segment.set_allocated(keep);
            self.low_water = 0;
            self.blocks.trim(keep)?;
        }
        Ok(())
    }

    /// Lets the writer use what a step has allocated. Answers whether it was one of this segment.
    pub fn grow(&mut self, step: &Step) -> bool {
        let is_ours = step.is_of(&self.blocks);
        if is_ours {
            self.map.grow((step.to as usize).min(self.map.capacity()));
            self.segment.set_allocated(self.map.limit() as u64);
        }
        is_ours
    }

    /// Bytes that must be allocated, at least, to make room for `len` bytes, or for the seal if
    /// the segment cannot have as many.
    pub fn missing(&self, len: usize) -> u64 {
        let (end, _) = self.end_with(len);
        end.saturating_sub(self.map.limit() as u64)
    }

    fn end_with(&self, len: usize) -> (u64, bool) {
        blocks::end_with(self.len(), len, self.map.capacity() as u64)
    }

    /// Allocates blocks up to `end` at least, and beyond it no more than `allowed` bytes. Waits if
    /// another does so just now.
    #[cold]
    fn allocate(&mut self, end: u64, allowed: u64) -> Result<()> {
        let step = self.step(end, allowed).allocate()?.ok_or_else(does_not_fit)?;
        self.grow(&step);
        self.low_water = 0;
        Ok(())
    }

    /// Appends a record, for which room was made, and answers its offset.
    #[inline(always)]
    pub fn append(&mut self, record: &Prepared, key: &[u8], value: &[u8], sequence: u64) -> u64 {
        let offset = self.len();
        self.stage(offset, record, key, value, sequence);
        self.publish(offset + record.len as u64, 1);
        offset
    }

    /// Writes a record to `offset`, at or behind the end, for which room was made. It is not part
    /// of the segment until [`ActiveSegment::publish`].
    #[inline(always)]
    pub fn stage(
        &mut self,
        offset: u64,
        record: &Prepared,
        key: &[u8],
        value: &[u8],
        sequence: u64,
    ) {
        let header = &self.segment.header;
        let delta = (sequence - header.base_sequence) as u32;
        let placed = record.place(header.salt, offset, delta);
        let (at, fields) = (offset as usize, record.fields());
        if fields.is_empty() {
            self.map.stage(at, &[&placed, &record.head, key, value], record.len);
        } else {
            self.map.stage(at, &[&placed, &record.head, fields, key, value], record.len);
        }
    }

    /// Opens a hole for a value of `value_len` bytes, behind `lead` bytes for what comes before it
    /// in a record of `len` bytes at the end, for which room was made.
    pub fn open_hole(&mut self, lead: usize, value_len: usize, len: usize) -> Hole {
        let start = self.len() as usize;
        debug_assert!(lead + value_len <= len && start + len <= self.map.limit());
        self.map.open_hole(start + lead, value_len)
    }

    /// There is no hole any more: what was in it may be overwritten.
    pub fn close_hole(&mut self) {
        self.map.close_hole();
    }

    /// Appends a record whose value was put into the hole at the end; answers its offset.
    pub fn fill_hole(
        &mut self,
        record: &Prepared,
        key: &[u8],
        value_len: usize,
        sequence: u64,
    ) -> u64 {
        let offset = self.len();
        let header = &self.segment.header;
        let placed = record.place(header.salt, offset, (sequence - header.base_sequence) as u32);
        let lead = record.lead_len(key.len());
        let (start, end) = (offset as usize, offset as usize + record.len);
        self.map.stage(start, &[&placed, &record.head, record.fields(), key], lead);
        self.map.stage(start + lead + value_len, &[], record.len - lead - value_len);
        self.map.close_hole();
        self.publish(end as u64, 1);
        offset
    }

    /// Appends a gap around the hole, which stays open to the one who fills it.
    pub fn pass_hole(&mut self, gap: &Prepared, sequence: u64) {
        let offset = self.len();
        let header = &self.segment.header;
        let placed = gap.place(header.salt, offset, (sequence - header.base_sequence) as u32);
        self.map.stage(offset as usize, &[&placed, &gap.head], HEADER_LEN);
        self.publish(offset + gap.len as u64, 1);
        self.map.close_hole();
        self.segment.add_dead(gap.len, Class::Gap);
    }

    /// Makes what was written up to `end`, `records` records, part of the segment.
    #[inline(always)]
    pub fn publish(&mut self, end: u64, records: u64) {
        self.map.publish(end as usize);
        self.records += records;
    }

    /// Ends the segment. There is always room for the seal.
    pub fn seal(mut self, next_sequence: u64) -> FullSegment {
        let seal = Seal { records: self.records, next_sequence };
        let bytes = seal.encode(self.segment.header.salt, self.len());
        self.map.append(&[&bytes], bytes.len());
        FullSegment {
            len: self.len(),
            segment: self.segment,
            file: self.file,
            seal,
            blocks: self.blocks,
        }
    }
}

/// The error for a record that no segment can hold, whatever its size: there is none within the
/// limits.
#[cold]
pub fn does_not_fit() -> Error {
    Error::new(Kind::Internal, "a record does not fit into a segment made for it")
}
