//! Walking through a segment that may be damaged: it goes on behind what cannot be read.
//!
//! Where it goes on is not guessed from what bytes look like. A record's checksum is masked with
//! the segment's salt and the record's own offset, and its sequence must be one that can stand
//! there; so an image of a record inside a value is none, whoever has made it.

use std::sync::Arc;

use super::window::Window;
use crate::error::Result;
use crate::format::record::{
    Header, Mark, Record, RecordKind, Seal, Sum, CHECKED_FROM, HEADER_LEN, SEAL_LEN,
};
use crate::format::segment::{SegmentHeader, SegmentKind, HEADER_PAGE};
use crate::format::{ALIGNMENT, MAX_NUMBER};
use crate::memory;
use crate::storage::File;

/// When so many bytes were checksummed in search of a record, for each byte of the file, long ones
/// are not tried any more: bytes that look like the headers of long records could keep it busy for
/// days.
const MOST_WORK: u64 = 64;
/// The shortest file may cost that much all the same.
const LEAST_WORK: u64 = 64 << 20;
/// Records up to this length are tried in any case.
const CHEAP: u64 = 1024;

/// What a survey met.
pub enum Met<'a> {
    /// A record that verifies.
    Record(Whole<'a>),
    /// Bytes that are no record, with one behind them.
    Hole(Hole),
    /// A seal that verifies, whatever it says.
    Seal(Seal, u64),
    /// Nothing verifies from this offset on.
    End(End),
}

/// A record that verifies.
pub struct Whole<'a> {
    /// Its header.
    pub header: Header,
    /// Its key.
    pub key: &'a [u8],
    /// Where it begins.
    pub offset: u64,
    /// Its sequence.
    pub sequence: u64,
    /// When its value expires.
    pub expiry: Option<u64>,
    /// The mark of the batch that it ends.
    pub mark: Option<Mark>,
    /// Its checksum, without what comes from its place.
    pub crc: u32,
}

/// Bytes in which no record verifies.
pub struct Hole {
    /// Where it begins.
    pub from: u64,
    /// Where the next record begins.
    pub to: u64,
    /// What is wrong with the first of them.
    pub why: String,
    /// The key that stands there, if the lengths that stand there fill the hole: it may be damaged.
    pub key: Option<Vec<u8>>,
}

/// The end of what verifies.
pub struct End {
    /// Where it is.
    pub offset: u64,
    /// What is wrong with what stands there; nothing if it is zeros.
    pub why: Option<String>,
    /// Whether all from there on is zeros.
    pub is_clean: bool,
}

/// What stands at an offset.
enum Found {
    Record { header: Header, sequence: u64, crc: u32 },
    Seal(Seal),
    Nothing(&'static str),
}

/// Whether the first `len` bytes of a file are zeros behind the header page.
pub fn is_zero(file: &Arc<dyn File>, len: u64) -> Result<bool> {
    let mut window = Window::new(Arc::clone(file), len);
    window.next_nonzero(HEADER_PAGE as u64).map(|found| found.is_none())
}

/// A walk through the first bytes of a file.
pub struct Survey {
    header: SegmentHeader,
    window: Window,
    len: u64,
    offset: u64,
    /// The sequence that the next record of a log has, once one was seen.
    expected: Option<u64>,
    /// No record has this sequence or a higher one.
    below: u64,
    work: u64,
}

impl Survey {
    /// A walk through the first `len` bytes of `file`, in which all sequences are lower than
    /// `below`.
    pub fn new(file: Arc<dyn File>, header: SegmentHeader, len: u64, below: u64) -> Survey {
        let work = len.saturating_mul(MOST_WORK).saturating_add(LEAST_WORK);
        Survey {
            header,
            window: Window::new(file, len),
            len,
            offset: HEADER_PAGE as u64,
            expected: None,
            below: below.min(MAX_NUMBER),
            work,
        }
    }

    /// Where the next item begins.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Parts of the file that could not be read, and why.
    pub fn unreadable(&self) -> &[(u64, u64, String)] {
        self.window.unreadable()
    }

    /// The next item; after [`Met::End`] the walk is over.
    pub fn next_item(&mut self) -> Result<Met<'_>> {
        let at = self.offset;
        match self.look(at, self.header.base_sequence..self.below, u64::MAX)? {
            Found::Record { header, sequence, crc } => self.accept(header, sequence, crc),
            Found::Seal(seal) => {
                self.offset = at + SEAL_LEN as u64;
                Ok(Met::Seal(seal, at))
            }
            Found::Nothing(why) => self.beyond(at, why),
        }
    }

    fn accept(&mut self, header: Header, sequence: u64, crc: u32) -> Result<Met<'_>> {
        let offset = self.offset;
        self.offset += header.record_len() as u64;
        self.expected = Some(sequence + 1);
        let head = self.window.bytes(offset, header.head_len())?;
        let Some(record) = Record::decode_head(head) else {
            // It was one a moment ago: the file changes.
            let (why, key) = ("the file changes while it is read".into(), None);
            return Ok(Met::Hole(Hole { from: offset, to: self.offset, why, key }));
        };
        let (key, expiry, mark) = (record.key(), record.expiry(), record.mark());
        Ok(Met::Record(Whole { header, key, offset, sequence, expiry, mark, crc }))
    }

    /// What stands at `at`, if it is of these sequences and, unless it is cheap, not longer than
    /// `longest`.
    fn look(&mut self, at: u64, sequences: std::ops::Range<u64>, longest: u64) -> Result<Found> {
        let rest = self.len.saturating_sub(at);
        if rest < HEADER_LEN as u64 {
            return Ok(Found::Nothing("no record can be made out"));
        }
        let Some(header) = Header::decode(self.window.bytes(at, HEADER_LEN)?) else {
            return Ok(Found::Nothing("no record can be made out"));
        };
        let total = header.record_len() as u64;
        if total > rest {
            return Ok(Found::Nothing("the record reaches past the end of the file"));
        }
        if header.kind == RecordKind::Seal {
            let bytes = self.window.bytes(at, SEAL_LEN)?;
            let seal = Record::decode(bytes).filter(|seal| seal.verifies(self.header.salt, at));
            return Ok(match seal {
                Some(record) => Found::Seal(Seal::decode(&record)),
                None => Found::Nothing("the checksum of the seal does not match"),
            });
        }
        let head = self.window.bytes(at, header.head_len())?;
        let Some(delta) = Record::decode_head(head).map(|head| head.sequence_delta()) else {
            return Ok(Found::Nothing("no record can be made out"));
        };
        let sequence = self.header.base_sequence.wrapping_add(delta);
        let fits = sequence >= self.header.base_sequence && sequences.contains(&sequence);
        // In search of a record, what cannot be one is not read to its end.
        if longest != u64::MAX && !fits || total > longest.max(CHEAP) {
            return Ok(Found::Nothing("the sequence of the record is out of range"));
        }
        let sum = self.sum(at, header.checked_len() as u64)?;
        if longest != u64::MAX {
            self.work = self.work.saturating_sub(total);
        }
        if !header.verifies(sum.clone(), self.header.salt, at) {
            return Ok(Found::Nothing("the checksum of the record does not match"));
        }
        if !fits {
            return Ok(Found::Nothing("the sequence of the record is out of range"));
        }
        Ok(Found::Record { header, sequence, crc: sum.finish() })
    }

    /// The checksum of a record of `len` bytes.
    fn sum(&mut self, at: u64, len: u64) -> Result<Sum> {
        let mut sum = Sum::default();
        let (mut from, end) = (at + CHECKED_FROM as u64, at + len);
        while from < end {
            let part = self.window.part(from, end - from)?;
            sum.add(part);
            from += part.len() as u64;
        }
        Ok(sum)
    }

    /// Looks for the next record behind `from`, where none is.
    fn beyond(&mut self, from: u64, why: &'static str) -> Result<Met<'_>> {
        let lead = self.lead(from)?;
        let mut at = from + HEADER_LEN as u64;
        while at + HEADER_LEN as u64 <= self.len {
            if let Some(next) = self.window.next_nonzero(at)? {
                // The kind and the flags of a header are its bytes 14 and 15.
                at = at.max((next / ALIGNMENT as u64).saturating_sub(1) * ALIGNMENT as u64);
            } else {
                break;
            }
            let (expected, below) = (self.expected, self.below);
            let sequences = match (self.header.kind, expected) {
                // Each record that is missing has taken its bytes.
                (SegmentKind::Log, Some(expected)) => {
                    let most = expected.saturating_add((at - from) / HEADER_LEN as u64);
                    expected..below.min(most.saturating_add(1))
                }
                _ => self.header.base_sequence..below,
            };
            let longest = self.work;
            match self.look(at, sequences, longest.min(u64::MAX - 1))? {
                Found::Nothing(_) => at += ALIGNMENT as u64,
                Found::Record { .. } | Found::Seal(_) => {
                    self.offset = at;
                    let key = lead.filter(|(len, _)| *len == at - from).map(|(_, key)| key);
                    let why = self.window.why_unreadable(from, at).unwrap_or_else(|| why.into());
                    return Ok(Met::Hole(Hole { from, to: at, why, key }));
                }
            }
        }
        self.end(from, why)
    }

    /// How long the record at `at` says it is, and the key that it seems to have.
    fn lead(&mut self, at: u64) -> Result<Option<(u64, Vec<u8>)>> {
        let rest = self.len.saturating_sub(at);
        if rest < HEADER_LEN as u64 {
            return Ok(None);
        }
        let header = Header::decode(self.window.bytes(at, HEADER_LEN)?);
        let Some(header) = header.filter(|header| header.record_len() as u64 <= rest) else {
            return Ok(None);
        };
        let head = self.window.bytes(at, header.head_len())?;
        let key = Record::decode_head(head).map(|head| memory::copy(head.key())).transpose()?;
        let key = key.filter(|key| !key.is_empty());
        Ok(key.map(|key| (header.record_len() as u64, key)))
    }

    /// Nothing verifies from `at` on.
    fn end(&mut self, at: u64, why: &'static str) -> Result<Met<'_>> {
        self.offset = at;
        let next = self.window.next_nonzero(at)?;
        let is_clean = next.is_none();
        // What a reader takes for the end of the log: a header of zeros.
        let is_end = next.is_none_or(|next| next >= at + HEADER_LEN as u64);
        let why = self.window.why_unreadable(at, self.len).or((!is_end).then(|| why.into()));
        Ok(Met::End(End { offset: at, why, is_clean }))
    }
}
