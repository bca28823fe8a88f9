//! Walking through a segment from its first record to its last, verifying each one.

use std::sync::Arc;

use crate::error::{Error, Kind, Result};
use crate::format::record::{Header, Record, RecordKind, Seal, HEADER_LEN};
use crate::format::segment::{SegmentHeader, SegmentKind, HEADER_PAGE};
use crate::format::MAX_NUMBER;
use crate::storage::File;

/// Bytes read at once: large enough for the disk, small enough for the cache.
const WINDOW: usize = 1 << 20;

/// What a scan met.
pub enum Item<'a> {
    /// A put or a tombstone.
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
        }
    }

    /// Says which sequence the first record must have.
    pub fn expect(&mut self, sequence: u64) {
        self.expected = Some(sequence);
    }

    /// Where the next item begins: after [`Item::End`] and [`Item::Damage`], where the whole part
    /// ends.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Records so far.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// The sequence after the highest so far.
    pub fn next_sequence(&self) -> u64 {
        self.next_sequence
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
        let total = header.record_len();
        if total as u64 > rest {
            return Ok(Item::Damage("the record reaches past the end of the file"));
        }
        self.fill(total)?;
        self.accept(total)
    }

    /// Checks the record of `total` bytes at the offset, which are in the window.
    fn accept(&mut self, total: usize) -> Result<Item<'_>> {
        let offset = self.offset;
        let at = (offset - self.window_at) as usize;
        let Some(record) = Record::decode(&self.window[at..at + total]) else {
            return Ok(Item::Damage("no record can be made out"));
        };
        if !record.verifies(self.header.salt, offset) {
            return Ok(Item::Damage("the checksum of the record does not match"));
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
        let is_log = self.header.kind == SegmentKind::Log;
        if is_log && self.expected.is_some_and(|expected| expected != sequence) {
            return Ok(Item::Damage("the sequence of the record does not follow the one before"));
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
