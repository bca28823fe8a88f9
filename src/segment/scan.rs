//! Walking through a segment from its first record to its last, verifying each one.

use std::sync::Arc;

use crate::error::{Error, Kind, Result};
use crate::format::record::{Header, MarkBuilder, Record, RecordKind, Seal, HEADER_LEN};
use crate::format::segment::{SegmentHeader, SegmentKind, HEADER_PAGE};
use crate::format::MAX_NUMBER;
use crate::storage::File;
use crate::wrong_turn::is_taken;

/// Bytes read at once: large enough for the disk, small enough for the cache.
const WINDOW: usize = 1 << 20;

/// What a scan met.
pub enum Item<'a> {
    /// A put, a tombstone or a gap. One of a batch counts only when its last record was met.
    Record(Found<'a>),
    /// The seal: the segment is whole, and ends behind it.
    Seal(Seal),
    /// The bytes end, or zeros begin: nothing was written here.
    End,
    /// Something begins here that is no record of this segment, for this reason.
    Damage(&'static str),
}

/// A verified record and where it stands.
pub struct Found<'a> {
    /// The record.
    pub record: Record<'a>,
    /// Where it begins.
    pub offset: u64,
    /// Its sequence.
    pub sequence: u64,
}

/// A walk through a file. It reads with `read`, not through a map, so that a media error is an
/// error.
pub struct Scan {
    file: Arc<dyn File>,
    header: SegmentHeader,
    /// Bytes of the file.
    len: u64,
    /// Where the next item begins.
    offset: u64,
    window: Vec<u8>,
    window_at: u64,
    /// The sequence that the next record of a log segment has, once one was seen.
    expected: Option<u64>,
    records: u64,
    next_sequence: u64,
    /// The batch that has begun and not yet ended.
    batch: Option<Batch>,
}

/// A batch whose end was not met yet, and how far the walk was before it.
struct Batch {
    before: Whole,
    mark: MarkBuilder,
}

/// How far a segment is whole.
#[derive(Clone, Copy)]
pub struct Whole {
    /// Where its last whole record, or whole batch, ends.
    pub offset: u64,
    /// Records up to there.
    pub records: u64,
    /// The sequence after the highest of them.
    pub next_sequence: u64,
}

impl Scan {
    /// A walk through the first `len` bytes of `file`.
    pub fn new(file: Arc<dyn File>, header: SegmentHeader, len: u64) -> Scan {
        Scan {
            file,
            header,
            len,
            offset: HEADER_PAGE as u64,
            window: Vec::new(),
            window_at: 0,
            expected: None,
            records: 0,
            next_sequence: header.base_sequence,
            batch: None,
        }
    }

    /// Says which sequence the first record must have.
    pub fn expect(&mut self, sequence: u64) {
        self.expected = Some(sequence);
    }

    /// Where the next item begins: after [`Item::End`] and [`Item::Damage`], what is no record.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// How far the segment is whole: up to here, but for a batch without its end.
    pub fn whole(&self) -> Whole {
        let Scan { offset, records, next_sequence, .. } = *self;
        self.batch.as_ref().map_or(Whole { offset, records, next_sequence }, |batch| batch.before)
    }

    /// Whether a batch has begun and not ended.
    pub fn is_in_batch(&self) -> bool {
        self.batch.is_some()
    }

    /// The next item. After anything but a record, the walk is over.
    pub fn next_item(&mut self) -> Result<Item<'_>> {
        let rest = self.len.saturating_sub(self.offset);
        if rest < HEADER_LEN as u64 {
            return self.end_or_damage(rest);
        }
        self.fill(HEADER_LEN)?;
        let Some(header) = Header::decode(self.bytes(HEADER_LEN)) else {
            return self.end_or_damage(rest);
        };
        let is_gap_read = is_taken!(GapNotSkipped);
        let total = if is_gap_read { header.checked_len() } else { header.record_len() };
        if total as u64 > rest {
            return Ok(Item::Damage("the record reaches past the end of the file"));
        }
        let checked = header.checked_len();
        self.fill(checked)?;
        self.accept(checked, total)
    }

    /// Checks the record of `total` bytes at the offset, of which these are in the window.
    fn accept(&mut self, checked: usize, total: usize) -> Result<Item<'_>> {
        let offset = self.offset;
        let at = (offset - self.window_at) as usize;
        let Some(record) = Record::decode(&self.window[at..at + checked]) else {
            return Ok(Item::Damage("no record can be made out"));
        };
        if !record.verifies(self.header.salt, offset) && !is_taken!(RecordNotChecked) {
            return Ok(Item::Damage("the checksum of the record does not match"));
        }
        if record.header.is_in_batch() && self.header.kind != SegmentKind::Log {
            return Ok(Item::Damage("part of a batch is where compaction writes"));
        }
        if !record.header.is_in_batch() && self.batch.is_some() {
            return Ok(Item::Damage("the end of a batch is missing"));
        }
        if record.header.kind == RecordKind::Seal {
            let seal = Seal::decode(&record);
            if seal.records != self.records || seal.next_sequence != self.next_sequence {
                return Ok(Item::Damage("records before the seal are missing"));
            }
            self.offset += total as u64;
            return Ok(Item::Seal(seal));
        }
        let sequence = self.header.base_sequence.wrapping_add(record.sequence_delta());
        if sequence < self.header.base_sequence || sequence >= MAX_NUMBER {
            return Ok(Item::Damage("the sequence of the record is out of range"));
        }
        let follows = self.header.kind == SegmentKind::Log && !is_taken!(HoleInLogPassed);
        if follows && self.expected.is_some_and(|expected| expected != sequence) {
            return Ok(Item::Damage("the sequence of the record does not follow the one before"));
        }
        if record.header.is_in_batch() && !is_taken!(HalfBatchBelieved) {
            let before = Whole { offset, records: self.records, next_sequence: self.next_sequence };
            let mark = MarkBuilder::default();
            let batch = self.batch.get_or_insert(Batch { before, mark });
            match record.mark() {
                None => batch.mark.add(record.crc(self.header.salt, offset)),
                Some(mark) if mark == batch.mark.mark() || is_taken!(BatchMarkNotCompared) => {
                    self.batch = None;
                }
                Some(_) => return Ok(Item::Damage("a batch is not the one that its end is of")),
            }
        }
        self.expected = Some(sequence + 1);
        self.next_sequence = self.next_sequence.max(sequence + 1);
        self.records += 1;
        self.offset += total as u64;
        Ok(Item::Record(Found { record, offset, sequence }))
    }

    /// The end, if there are only zeros where a header would be.
    fn end_or_damage(&mut self, rest: u64) -> Result<Item<'_>> {
        let len = rest.min(HEADER_LEN as u64) as usize;
        self.fill(len)?;
        if self.bytes(len).iter().all(|&byte| byte == 0) {
            Ok(Item::End)
        } else {
            Ok(Item::Damage("no record can be made out"))
        }
    }

    /// The next `len` bytes, which are in the window.
    fn bytes(&self, len: usize) -> &[u8] {
        let at = (self.offset - self.window_at) as usize;
        &self.window[at..at + len]
    }

    /// Reads until the window holds the next `len` bytes, which the file has.
    fn fill(&mut self, len: usize) -> Result<()> {
        let window_end = self.window_at + self.window.len() as u64;
        if self.window_at <= self.offset && self.offset + len as u64 <= window_end {
            return Ok(());
        }
        let wanted = (self.len - self.offset).min(len.max(WINDOW) as u64) as usize;
        if wanted > self.window.len() {
            self.window.try_reserve_exact(wanted - self.window.len()).map_err(|_| {
                Error::new(Kind::OutOfMemory, "there is no memory for reading a segment")
            })?;
        }
        self.window.resize(wanted, 0);
        self.window_at = self.offset;
        self.file.read_at(&mut self.window, self.offset)
    }
}
