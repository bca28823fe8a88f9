//! The first page of a segment: who it is, and how far it is known to be on the medium.
//!
//! ```text
//! 0     magic "kvlog\r\n\0"        40   salt (u32), kind (u32)
//! 8     format version (u32)       48   base sequence
//! 12    zero                       56   horizon
//! 16    database uuid              64   CRC-32 of bytes 0..64
//! 32    segment id                 2048 and 3072: two sync marks, written in turn
//!                                  1024 and 1536: two notes of the time, written in turn
//! ```

use super::bytes::{array, get_u32, get_u64, put_u32, put_u64};
use super::record::SEAL_LEN;
use super::{is_known_version, FORMAT_VERSION, MAX_NUMBER};

/// Bytes before the first record: one page.
pub const HEADER_PAGE: usize = 4096;
/// Bytes of a segment that no record of the usual kind may use.
pub const OVERHEAD: usize = HEADER_PAGE + SEAL_LEN;

const MAGIC: [u8; 8] = *b"kvlog\r\n\0";
/// Bytes of the header, with its checksum.
const HEADER_LEN: usize = 68;
const CHECKSUM_AT: usize = 64;

/// What is wrong with a whole header that has another uuid.
pub const FOREIGN: &str = "the segment belongs to another database";

/// Where a segment's records come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SegmentKind {
    /// Writers: sequences follow one another without a gap.
    Log,
    /// Compaction: what was live in other segments, with the sequences it had there.
    Compacted,
}

impl SegmentKind {
    /// The number on disk.
    pub const fn number(self) -> u32 {
        match self {
            SegmentKind::Log => 1,
            SegmentKind::Compacted => 2,
        }
    }

    /// The kind with this number on disk.
    pub const fn from_number(number: u32) -> Option<SegmentKind> {
        match number {
            1 => Some(SegmentKind::Log),
            2 => Some(SegmentKind::Compacted),
            _ => None,
        }
    }
}

/// What a segment is from its creation on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentHeader {
    /// Never used twice in a database.
    pub id: u64,
    /// Random; part of every record's checksum.
    pub salt: u32,
    /// Where the records come from.
    pub kind: SegmentKind,
    /// No record has a lower sequence.
    pub base_sequence: u64,
    /// Every put was its key's newest when all writes below this sequence had been applied.
    /// 0 for a log segment.
    pub horizon: u64,
}

impl SegmentHeader {
    /// The header page.
    pub fn encode(&self, uuid: &[u8; 16]) -> Vec<u8> {
        let mut page = vec![0; HEADER_PAGE];
        page[..8].copy_from_slice(&MAGIC);
        put_u32(&mut page, 8, FORMAT_VERSION);
        page[16..32].copy_from_slice(uuid);
        put_u64(&mut page, 32, self.id);
        put_u32(&mut page, 40, self.salt);
        put_u32(&mut page, 44, self.kind.number());
        put_u64(&mut page, 48, self.base_sequence);
        put_u64(&mut page, 56, self.horizon);
        let crc = crc32fast::hash(&page[..CHECKSUM_AT]);
        put_u32(&mut page, CHECKSUM_AT, crc);
        page
    }

    /// Decodes a header page of the database `uuid`; says what is wrong with a bad one.
    pub fn decode(page: &[u8], uuid: &[u8; 16]) -> Result<SegmentHeader, &'static str> {
        let (header, found) = SegmentHeader::decode_of_any(page)?;
        if found == *uuid {
            Ok(header)
        } else {
            Err(FOREIGN)
        }
    }

    /// Decodes a header page of whatever database; answers its uuid too.
    pub fn decode_of_any(page: &[u8]) -> Result<(SegmentHeader, [u8; 16]), &'static str> {
        if page.len() < HEADER_LEN {
            return Err("the file is shorter than a segment header");
        }
        if page[..8] != MAGIC {
            return Err("this is not a segment");
        }
        if crc32fast::hash(&page[..CHECKSUM_AT]) != get_u32(page, CHECKSUM_AT) {
            return Err("the checksum of the segment header does not match");
        }
        if !is_known_version(get_u32(page, 8)) {
            return Err("the segment has another format version than the manifest");
        }
        let kind = SegmentKind::from_number(get_u32(page, 44)).ok_or("unknown segment kind")?;
        let header = SegmentHeader {
            id: get_u64(page, 32),
            salt: get_u32(page, 40),
            kind,
            base_sequence: get_u64(page, 48),
            horizon: get_u64(page, 56),
        };
        Ok((header, array(page, 16)))
    }
}

/// "Everything before `offset` is on the medium": written to the header page after each sync.
///
/// A mark is always true, whenever it reaches the medium itself. So damage below it is damage, and
/// a record that does not verify above it may be one whose write a crash interrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyncMark {
    /// Bytes of the segment known to be on the medium.
    pub offset: u64,
}

/// Where the two marks lie: in sectors of their own, so that a torn write harms one at most.
const MARK_AT: [usize; 2] = [2048, 3072];
/// Bytes of a mark on disk.
pub const MARK_LEN: usize = 16;

impl SyncMark {
    /// The mark, and where in the file the `turn`-th one goes.
    pub fn encode(&self, salt: u32, turn: u64) -> (u64, [u8; MARK_LEN]) {
        let mut out = [0; MARK_LEN];
        put_u64(&mut out, 0, self.offset);
        let sum = crc32fast::hash(&out[..8]) ^ salt;
        put_u32(&mut out, 8, sum);
        (MARK_AT[(turn % 2) as usize] as u64, out)
    }

    /// The higher of the marks in a header page; 0 when there is none.
    pub fn decode(page: &[u8], salt: u32) -> SyncMark {
        let mark = |at: usize| {
            let bytes = page.get(at..at + MARK_LEN)?;
            let valid = crc32fast::hash(&bytes[..8]) ^ salt == get_u32(bytes, 8);
            valid.then(|| get_u64(bytes, 0))
        };
        let offset = MARK_AT.into_iter().filter_map(mark).max().unwrap_or(0);
        SyncMark { offset }
    }
}

/// "The clock has been this far": what had expired by then must not come back, whatever the clock
/// says later. It is written now and then while values expire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeNote {
    /// Milliseconds since 1970.
    pub now_ms: u64,
}

/// Where the two notes lie: in sectors of their own.
const NOTE_AT: [usize; 2] = [1024, 1536];
/// Bytes of a note on disk.
pub const NOTE_LEN: usize = 16;

impl TimeNote {
    /// The note, and where in the file the `turn`-th one goes.
    pub fn encode(&self, salt: u32, turn: u64) -> (u64, [u8; NOTE_LEN]) {
        let mut out = [0; NOTE_LEN];
        put_u64(&mut out, 0, self.now_ms);
        let sum = crc32fast::hash(&out[..8]) ^ salt;
        put_u32(&mut out, 8, sum);
        (NOTE_AT[(turn % 2) as usize] as u64, out)
    }

    /// The later of the notes in a header page; 0 when there is none.
    pub fn decode(page: &[u8], salt: u32) -> TimeNote {
        let note = |at: usize| {
            let bytes = page.get(at..at + NOTE_LEN)?;
            let valid = crc32fast::hash(&bytes[..8]) ^ salt == get_u32(bytes, 8);
            valid.then(|| get_u64(bytes, 0)).filter(|&now_ms| now_ms < MAX_NUMBER)
        };
        TimeNote { now_ms: NOTE_AT.into_iter().filter_map(note).max().unwrap_or(0) }
    }
}

/// The salts that the marks and notes in a header page name, if they are as they were written.
pub fn salts_of_notes(page: &[u8]) -> Vec<u32> {
    let places = MARK_AT.into_iter().chain(NOTE_AT);
    let bytes = places.filter_map(|at| page.get(at..at + MARK_LEN));
    let written = bytes.filter(|bytes| bytes.iter().any(|&byte| byte != 0));
    written.map(|bytes| crc32fast::hash(&bytes[..8]) ^ get_u32(bytes, 8)).collect()
}

/// What of a header page, the header apart, nobody has written so: at which byte, and what.
pub fn oddities(page: &[u8], salt: u32) -> Vec<(usize, &'static str)> {
    let places = [
        (NOTE_AT[0], "a note of the time does not verify"),
        (NOTE_AT[1], "a note of the time does not verify"),
        (MARK_AT[0], "a sync mark does not verify"),
        (MARK_AT[1], "a sync mark does not verify"),
    ];
    let mut odd = Vec::new();
    let mut at = HEADER_LEN;
    for (place, what) in places.into_iter().chain([(page.len(), "")]) {
        let between = page.get(at..place).unwrap_or_default();
        if let Some(found) = between.iter().position(|&byte| byte != 0) {
            odd.push((at + found, "a byte that must be zero is not"));
        }
        at = place + MARK_LEN;
        let Some(bytes) = page.get(place..at) else { break };
        let verifies = crc32fast::hash(&bytes[..8]) ^ salt == get_u32(bytes, 8);
        let is_written = verifies && bytes[12..].iter().all(|&byte| byte == 0);
        if !is_written && bytes.iter().any(|&byte| byte != 0) {
            odd.push((place, what));
        }
    }
    odd
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use super::*;

    const UUID: [u8; 16] = [7; 16];

    fn header() -> SegmentHeader {
        SegmentHeader {
            id: 12,
            salt: 0x1234_5678,
            kind: SegmentKind::Compacted,
            base_sequence: 1 << 40,
            horizon: 1 << 41,
        }
    }

    #[test]
    fn a_header_comes_back() {
        let page = header().encode(&UUID);
        assert_eq!(page.len(), HEADER_PAGE);
        assert_eq!(SegmentHeader::decode(&page, &UUID), Ok(header()));
        assert!(SegmentHeader::decode(&page, &[8; 16]).is_err(), "another database");
        assert!(SegmentHeader::decode(&page[..40], &UUID).is_err());
        assert_eq!(SegmentHeader::decode(&page[..HEADER_LEN], &UUID), Ok(header()));
        assert!(SegmentHeader::decode(&page[..HEADER_LEN - 1], &UUID).is_err());
    }

    #[test]
    fn every_flipped_bit_of_the_header_is_noticed() {
        let page = header().encode(&UUID);
        for bit in 0..HEADER_LEN * 8 {
            let mut damaged = page.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(SegmentHeader::decode(&damaged, &UUID).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn every_flipped_bit_behind_the_header_is_odd() {
        let mut page = header().encode(&UUID);
        for turn in [0, 1] {
            let (mark, note) = (SyncMark { offset: 5000 }, TimeNote { now_ms: 7000 });
            for (at, bytes) in [mark.encode(5, turn), note.encode(5, turn)] {
                page[at as usize..at as usize + MARK_LEN].copy_from_slice(&bytes);
            }
        }
        assert!(oddities(&page, 5).is_empty());
        for bit in HEADER_LEN * 8..page.len() * 8 {
            page[bit / 8] ^= 1 << (bit % 8);
            let odd = oddities(&page, 5);
            assert!(odd.len() == 1 && odd[0].0 <= bit / 8 && bit / 8 < odd[0].0 + 16, "{bit}");
            page[bit / 8] ^= 1 << (bit % 8);
        }
    }

    #[test]
    fn the_higher_mark_counts_and_a_torn_one_does_not() {
        let mut page = vec![0; HEADER_PAGE];
        assert_eq!(SyncMark::decode(&page, 5).offset, 0);
        for (turn, offset) in [(0, 5000), (1, 6000), (2, 7000)] {
            let (at, bytes) = SyncMark { offset }.encode(5, turn);
            page[at as usize..at as usize + MARK_LEN].copy_from_slice(&bytes);
            assert_eq!(SyncMark::decode(&page, 5).offset, offset);
        }
        page[2048] ^= 1;
        assert_eq!(SyncMark::decode(&page, 5).offset, 6000);
        assert_eq!(SyncMark::decode(&page, 6).offset, 0, "the mark of another segment");
    }

    #[test]
    fn the_later_note_of_the_time_counts_and_a_torn_one_does_not() {
        let mut page = vec![0; HEADER_PAGE];
        assert_eq!(TimeNote::decode(&page, 5).now_ms, 0);
        for (turn, now_ms) in [(0, 5000), (1, 6000), (2, 7000)] {
            let (at, bytes) = TimeNote { now_ms }.encode(5, turn);
            page[at as usize..at as usize + NOTE_LEN].copy_from_slice(&bytes);
            assert_eq!(TimeNote::decode(&page, 5).now_ms, now_ms);
        }
        assert_eq!(SyncMark::decode(&page, 5).offset, 0);
        page[1024] ^= 1;
        assert_eq!(TimeNote::decode(&page, 5).now_ms, 6000);
        assert_eq!(TimeNote::decode(&page, 6).now_ms, 0, "the note of another segment");
    }
}
