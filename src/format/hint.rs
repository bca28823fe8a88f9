//! The hint of a segment: what the index needs to know of each record, without keys and values.
//!
//! ```text
//! 0     magic "kvhint\r\n"             56   records
//! 8     format version (u32)           64   the sequence after the highest
//! 12    kind of the segment (u32)      72   the sequence of the first record
//! 16    database uuid                  80   bytes of the entries
//! 32    segment id                     88   zero
//! 40    salt of the segment (u32)      92   checksum (u32)
//! 44    zero                           96   entries, in the order of the records
//! 48    length of the segment
//! ```
//!
//! An entry is the hash of the key (8 bytes), then as a varint the length of the record in units of
//! 8 bytes, shifted by two, plus its class: 0 for a put, 1 for a tombstone, 2 for a put that
//! expires, 3 for a gap, whose hash is 0. Offsets are not stored: they add up. In a
//! compacted segment the difference to the sequence before follows, as a zigzag varint; in a log
//! segment sequences follow one another.

use super::bytes::{array, get_u32, get_u64, put_u32, put_u64};
use super::manifest::SealedSegment;
use super::record::{Class, SEAL_LEN};
use super::segment::{SegmentHeader, SegmentKind, HEADER_PAGE};
use super::{ALIGNMENT, FORMAT_VERSION, MAX_NUMBER};
use crate::memory;
use crate::wrong_turn::is_taken;

const MAGIC: [u8; 8] = *b"kvhint\r\n";
/// Bytes before the entries.
pub const HEADER_LEN: usize = 96;
const CHECKSUM_AT: usize = 92;
/// No entry is longer: a hash and two varints.
const MAX_ENTRY_LEN: usize = 8 + 2 * 10;

/// What the index needs to know of one record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// The hash of its key.
    pub hash: u64,
    /// Where it begins in its segment.
    pub offset: u64,
    /// Bytes of it.
    pub len: u64,
    /// Its sequence.
    pub sequence: u64,
    /// What it is.
    pub class: Class,
}

/// The entries of one segment, from its first record on. Behind room for the header they have the
/// form that they have in a file.
pub struct Digest {
    is_log: bool,
    first_sequence: u64,
    last_sequence: u64,
    records: u64,
    bytes: Vec<u8>,
}

/// How far a digest was at some moment.
pub struct Mark {
    len: usize,
    records: u64,
    last_sequence: u64,
}

/// The classes by their numbers.
const CLASSES: [Class; 4] = [Class::Put, Class::Tombstone, Class::ExpiringPut, Class::Gap];

fn number_of(class: Class) -> u64 {
    match class {
        Class::Put => 0,
        Class::Tombstone => 1,
        Class::ExpiringPut => 2,
        Class::Gap => 3,
    }
}

impl Digest {
    /// The digest of a segment without records.
    pub fn new(kind: SegmentKind) -> Digest {
        Digest {
            is_log: kind == SegmentKind::Log,
            first_sequence: 0,
            last_sequence: 0,
            records: 0,
            bytes: vec![0; HEADER_LEN],
        }
    }

    /// How many records it is about.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// Adds the next record. Its offset is known from the ones before it.
    pub fn push(
        &mut self,
        hash: u64,
        len: usize,
        sequence: u64,
        class: Class,
    ) -> memory::Result<()> {
        self.bytes.try_reserve(MAX_ENTRY_LEN)?;
        if self.records == 0 {
            self.first_sequence = sequence;
            self.last_sequence = sequence;
        }
        self.bytes.extend_from_slice(&hash.to_le_bytes());
        put_varint(&mut self.bytes, (len / ALIGNMENT) as u64 * 4 + number_of(class));
        if self.is_log {
            debug_assert_eq!(sequence, self.first_sequence + self.records);
        } else {
            let difference = sequence.wrapping_sub(self.last_sequence) as i64;
            put_varint(&mut self.bytes, (difference << 1 ^ difference >> 63) as u64);
        }
        self.last_sequence = sequence;
        self.records += 1;
        Ok(())
    }

    /// How far it is.
    pub fn mark(&self) -> Mark {
        Mark { len: self.bytes.len(), records: self.records, last_sequence: self.last_sequence }
    }

    /// Forgets all records that were added after `mark` was taken.
    pub fn return_to(&mut self, mark: &Mark) {
        self.bytes.truncate(mark.len);
        (self.records, self.last_sequence) = (mark.records, mark.last_sequence);
    }

    /// The records, one after the other.
    pub fn entries(&self) -> Entries<'_> {
        Entries {
            rest: &self.bytes[HEADER_LEN..],
            is_log: self.is_log,
            offset: HEADER_PAGE as u64,
            sequence: self.first_sequence,
        }
    }

    /// The hint file of the segment with this header, of the database `uuid`.
    pub fn encode(
        mut self,
        uuid: &[u8; 16],
        header: &SegmentHeader,
        sealed: &SealedSegment,
    ) -> Vec<u8> {
        let out = &mut self.bytes;
        let entries = (out.len() - HEADER_LEN) as u64;
        out[..8].copy_from_slice(&MAGIC);
        put_u32(out, 8, FORMAT_VERSION);
        put_u32(out, 12, header.kind.number());
        out[16..32].copy_from_slice(uuid);
        put_u64(out, 32, header.id);
        put_u32(out, 40, header.salt);
        put_u64(out, 48, sealed.len);
        put_u64(out, 56, sealed.records);
        put_u64(out, 64, sealed.next_sequence);
        put_u64(out, 72, self.first_sequence);
        put_u64(out, 80, entries);
        let sum = checksum(out, header.salt);
        put_u32(out, CHECKSUM_AT, sum);
        self.bytes
    }

    /// The digest in a hint file; `None` unless it is the whole truth about that very segment.
    pub fn decode(
        bytes: Vec<u8>,
        uuid: &[u8; 16],
        header: &SegmentHeader,
        sealed: &SealedSegment,
    ) -> Option<Digest> {
        let is_stale = is_taken!(StaleHintBelieved);
        let is_of_segment = bytes.len() >= HEADER_LEN
            && bytes[..8] == MAGIC
            && get_u32(&bytes, 8) == FORMAT_VERSION
            && get_u32(&bytes, 12) == header.kind.number()
            && (array::<16>(&bytes, 16) == *uuid || is_stale)
            && (get_u64(&bytes, 32) == header.id || is_stale)
            && (get_u32(&bytes, 40) == header.salt || is_stale)
            && (get_u64(&bytes, 48) == sealed.len || is_stale)
            && (get_u64(&bytes, 56) == sealed.records || is_stale)
            && (get_u64(&bytes, 64) == sealed.next_sequence || is_stale)
            && get_u64(&bytes, 80) == (bytes.len() - HEADER_LEN) as u64;
        let is_whole = || checksum(&bytes, header.salt) == get_u32(&bytes, CHECKSUM_AT);
        if !is_of_segment || !is_whole() && !is_stale && !is_taken!(HintNotChecked) {
            return None;
        }
        let first_sequence = get_u64(&bytes, 72);
        let is_log = header.kind == SegmentKind::Log;
        let records = sealed.records;
        let digest =
            Digest { is_log, first_sequence, last_sequence: first_sequence, records, bytes };
        (digest.adds_up(header.base_sequence, sealed) || is_stale).then_some(digest)
    }

    /// Whether the entries are those of a segment like this: their number, their lengths and their
    /// sequences.
    fn adds_up(&self, base_sequence: u64, sealed: &SealedSegment) -> bool {
        let mut entries = self.entries();
        let (mut records, mut next_sequence) = (0, base_sequence);
        for entry in entries.by_ref() {
            if entry.len < ALIGNMENT as u64
                || !(base_sequence..MAX_NUMBER).contains(&entry.sequence)
            {
                return false;
            }
            records += 1;
            next_sequence = next_sequence.max(entry.sequence + 1);
        }
        entries.rest.is_empty()
            && records == sealed.records
            && next_sequence == sealed.next_sequence
            && entries.offset.checked_add(SEAL_LEN as u64) == Some(sealed.len)
    }
}

/// The CRC-32 of a hint file without its checksum, so that it differs from segment to segment even
/// where all else is equal.
fn checksum(bytes: &[u8], salt: u32) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&bytes[..CHECKSUM_AT]);
    hasher.update(&bytes[HEADER_LEN..]);
    hasher.finalize() ^ salt
}

/// The records of a digest, one after the other.
pub struct Entries<'a> {
    rest: &'a [u8],
    is_log: bool,
    offset: u64,
    sequence: u64,
}

impl Iterator for Entries<'_> {
    type Item = Entry;

    /// The next record; `None` at the end, and where the bytes make no sense.
    #[inline]
    fn next(&mut self) -> Option<Entry> {
        let (hash, rest) = self.rest.split_first_chunk::<8>()?;
        let (size, rest) = varint(rest)?;
        let (difference, rest) = if self.is_log { (0, rest) } else { varint(rest)? };
        let difference = difference >> 1 ^ (difference & 1).wrapping_neg();
        let len = (size >> 2).checked_mul(ALIGNMENT as u64)?;
        let (offset, end) = (self.offset, self.offset.checked_add(len)?);
        let sequence = self.sequence.wrapping_add(difference);
        self.rest = rest;
        self.offset = end;
        self.sequence = sequence.wrapping_add(u64::from(self.is_log));
        let hash = u64::from_le_bytes(*hash);
        Some(Entry { hash, offset, len, sequence, class: CLASSES[(size & 3) as usize] })
    }
}

/// Seven bits in each byte, the lowest first; the highest bit says that more follow.
fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// A varint, and what is behind it.
#[inline]
fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (&first, mut rest) = bytes.split_first()?;
    let mut value = u64::from(first & 0x7f);
    let (mut byte, mut shift) = (first, 7);
    while byte & 0x80 != 0 {
        if shift > 63 {
            return None;
        }
        (byte, rest) = rest.split_first().map(|(&byte, rest)| (byte, rest))?;
        value |= u64::from(byte & 0x7f) << shift;
        shift += 7;
    }
    Some((value, rest))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use super::*;

    const UUID: [u8; 16] = [7; 16];

    fn header(kind: SegmentKind) -> SegmentHeader {
        SegmentHeader { id: 12, salt: 0x1234_5678, kind, base_sequence: 1000, horizon: 0 }
    }

    fn entries_of(kind: SegmentKind) -> Vec<Entry> {
        let mut offset = HEADER_PAGE as u64;
        let sizes = [24_u64, 136, 16, 4096, 1 << 20, 4 << 30, 24];
        let entries = sizes.iter().enumerate().map(|(at, &len)| {
            let sequence = match kind {
                SegmentKind::Log => 1005 + at as u64,
                SegmentKind::Compacted => {
                    [5000, 1000, 1 << 61, 1001, 9, 70_000, 1002][at].max(1000)
                }
            };
            let hash = (at as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let entry = Entry { hash, offset, len, sequence, class: CLASSES[at % 4] };
            offset += len;
            entry
        });
        entries.collect()
    }

    fn sealed(entries: &[Entry]) -> SealedSegment {
        let end = entries.last().map_or(HEADER_PAGE as u64, |last| last.offset + last.len);
        let next = entries.iter().map(|entry| entry.sequence + 1).max().unwrap_or(1000);
        let records = entries.len() as u64;
        SealedSegment {
            id: 12,
            len: end + SEAL_LEN as u64,
            records,
            next_sequence: next,
            expiring: crate::format::Expiring::default(),
        }
    }

    fn file(kind: SegmentKind, entries: &[Entry]) -> Vec<u8> {
        let mut digest = Digest::new(kind);
        for entry in entries {
            digest.push(entry.hash, entry.len as usize, entry.sequence, entry.class).unwrap();
        }
        assert_eq!(digest.records(), entries.len() as u64);
        assert_eq!(digest.entries().collect::<Vec<_>>(), entries);
        digest.encode(&UUID, &header(kind), &sealed(entries))
    }

    #[test]
    fn hints_come_back() {
        for kind in [SegmentKind::Log, SegmentKind::Compacted] {
            for count in [0, 1, 7] {
                let entries = &entries_of(kind)[..count];
                let bytes = file(kind, entries);
                let digest = Digest::decode(bytes, &UUID, &header(kind), &sealed(entries)).unwrap();
                assert_eq!(digest.entries().collect::<Vec<_>>(), entries);
                assert_eq!(digest.records(), count as u64);
            }
        }
    }

    /// A batch without its mark: its records are in the digest before that is known.
    #[test]
    fn what_was_added_after_a_mark_can_be_taken_back() {
        for kind in [SegmentKind::Log, SegmentKind::Compacted] {
            let entries = entries_of(kind);
            for count in 0..entries.len() {
                let mut digest = Digest::new(kind);
                let push = |digest: &mut Digest, entry: &Entry| {
                    digest
                        .push(entry.hash, entry.len as usize, entry.sequence, entry.class)
                        .unwrap();
                };
                entries[..count].iter().for_each(|entry| push(&mut digest, entry));
                let mark = digest.mark();
                entries[count..].iter().for_each(|entry| push(&mut digest, entry));
                digest.return_to(&mark);
                assert_eq!(digest.entries().collect::<Vec<_>>(), entries[..count]);
                // It goes on as if nothing had been.
                entries[count..].iter().for_each(|entry| push(&mut digest, entry));
                assert_eq!(digest.entries().collect::<Vec<_>>(), entries);
                assert_eq!(digest.records(), entries.len() as u64);
            }
        }
    }

    #[test]
    fn an_entry_of_a_small_record_in_a_log_has_nine_bytes() {
        let mut digest = Digest::new(SegmentKind::Log);
        digest.push(u64::MAX, 136, 1, Class::Put).unwrap();
        assert_eq!(digest.bytes.len() - HEADER_LEN, 9);
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        for kind in [SegmentKind::Log, SegmentKind::Compacted] {
            let entries = entries_of(kind);
            let bytes = file(kind, &entries);
            let (header, sealed) = (header(kind), sealed(&entries));
            let opens = |bytes| Digest::decode(bytes, &UUID, &header, &sealed).is_some();
            for bit in 0..bytes.len() * 8 {
                let mut damaged = bytes.clone();
                damaged[bit / 8] ^= 1 << (bit % 8);
                // What is zero in every hint is covered by the checksum too.
                assert!(!opens(damaged), "bit {bit}");
            }
            for len in 0..bytes.len() {
                assert!(!opens(bytes[..len].to_vec()), "cut to {len}");
            }
            let mut longer = bytes.clone();
            longer.push(0);
            assert!(!opens(longer));
            assert!(opens(bytes));
        }
    }

    #[test]
    fn a_hint_is_of_one_segment_alone() {
        let kind = SegmentKind::Compacted;
        let entries = entries_of(kind);
        let bytes = file(kind, &entries);
        let (header, sealed) = (header(kind), sealed(&entries));
        let opens = |uuid: &[u8; 16], header: SegmentHeader, sealed: SealedSegment| {
            Digest::decode(bytes.clone(), uuid, &header, &sealed).is_some()
        };
        assert!(opens(&UUID, header, sealed));
        assert!(!opens(&[8; 16], header, sealed));
        assert!(!opens(&UUID, SegmentHeader { id: 13, ..header }, sealed));
        assert!(!opens(&UUID, SegmentHeader { salt: 1, ..header }, sealed));
        assert!(!opens(&UUID, SegmentHeader { kind: SegmentKind::Log, ..header }, sealed));
        assert!(!opens(&UUID, SegmentHeader { base_sequence: 1001, ..header }, sealed));
        assert!(!opens(&UUID, header, SealedSegment { len: sealed.len + 8, ..sealed }));
        assert!(!opens(&UUID, header, SealedSegment { records: 6, ..sealed }));
        assert!(!opens(&UUID, header, SealedSegment { next_sequence: 7, ..sealed }));
    }

    /// Entries of any bytes, under a checksum that fits: whoever can write that.
    #[test]
    fn forged_entries_are_refused_and_do_no_harm() {
        let mut state = 1_u64;
        let header = header(SegmentKind::Compacted);
        for round in 0..20_000_u64 {
            let mut digest = Digest::new(header.kind);
            for _ in 0..round % 60 {
                state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
                let byte = (state >> 56) as u8;
                digest.bytes.push(if round % 2 == 0 { byte } else { byte | 0xf0 });
            }
            let sealed =
                SealedSegment { len: 1 << 20, records: 3, next_sequence: 1003, ..sealed(&[]) };
            let bytes = digest.encode(&UUID, &header, &sealed);
            assert!(Digest::decode(bytes, &UUID, &header, &sealed).is_none(), "round {round}");
        }
    }

    /// Under checksums and headers that fit: each of them tells of another segment in one way.
    #[test]
    fn entries_that_do_not_add_up_to_the_segment_are_refused() {
        let kind = SegmentKind::Compacted;
        let entries = entries_of(kind);
        let right = sealed(&entries);
        let opens = |entries: &[Entry], behind: &[u8], sealed: SealedSegment| {
            let mut digest = Digest::new(kind);
            for entry in entries {
                digest.push(entry.hash, entry.len as usize, entry.sequence, entry.class).unwrap();
            }
            digest.bytes.extend_from_slice(behind);
            let bytes = digest.encode(&UUID, &header(kind), &sealed);
            Digest::decode(bytes, &UUID, &header(kind), &sealed).is_some()
        };
        assert!(opens(&entries, &[], right));
        assert!(!opens(&entries, &[1], right), "a part of an entry behind the last");
        assert!(!opens(&entries, &[], SealedSegment { records: right.records + 1, ..right }));
        assert!(!opens(&entries, &[], SealedSegment { len: right.len + 8, ..right }));
        let next_sequence = right.next_sequence + 1;
        assert!(!opens(&entries, &[], SealedSegment { next_sequence, ..right }));
        let mut empty = entries.clone();
        empty[0].len = 0;
        let len = right.len - entries[0].len;
        assert!(!opens(&empty, &[], SealedSegment { len, ..right }), "a record without bytes");
    }

    #[test]
    fn damage_is_noticed_whatever_the_salt_is() {
        let entries = entries_of(SegmentKind::Log);
        for salt in [0, 1, 1 << 31, u32::MAX] {
            let header = SegmentHeader { salt, ..header(SegmentKind::Log) };
            let mut digest = Digest::new(SegmentKind::Log);
            for entry in &entries {
                digest.push(entry.hash, entry.len as usize, entry.sequence, entry.class).unwrap();
            }
            let mut bytes = digest.encode(&UUID, &header, &sealed(&entries));
            assert!(Digest::decode(bytes.clone(), &UUID, &header, &sealed(&entries)).is_some());
            bytes[HEADER_LEN] ^= 1;
            assert!(Digest::decode(bytes, &UUID, &header, &sealed(&entries)).is_none(), "{salt}");
        }
    }

    #[test]
    fn every_number_comes_back_from_a_varint_and_none_is_longer_than_ten_bytes() {
        for number in (0..64).flat_map(|bit| [1 << bit, (1 << bit) - 1, u64::MAX - (1 << bit)]) {
            let mut bytes = Vec::new();
            put_varint(&mut bytes, number);
            bytes.push(9);
            assert_eq!(varint(&bytes), Some((number, &[9][..])), "{number}");
        }
        assert_eq!(varint(&[0xff; 11]), None);
    }
}
