//! The index's checkpoint: its pieces as they were, so that opening need not build them anew.
//!
//! ```text
//! 0    magic "kvindex\n"               56   zero
//! 8    format version (u32)            64   the segments, 64 bytes each: id, first page (u32),
//! 12   zero                                 pages (u32), dead bytes, those in tombstones, those
//! 16   database uuid                        in records that expire; bytes of all that expire,
//! 32   end of the sequences in it           when the first does, when the last does
//! 40   records in the active segment        then the pieces, 32 bytes each:
//! 48   segments (u32), pieces (u32)         sequence, offset, buckets (u32), used (u32),
//!                                           precision (u32), checksum (u32)
//!                                           then the CRC-32 of all before
//! ```
//!
//! Behind that, at the offsets given, lie the buckets of the pieces: 64 bytes each, eight entries.

use super::bytes::{array, get_u32, get_u64, put_u32, put_u64};
use super::{Expiring, FORMAT_VERSION, MAX_NUMBER};
use crate::memory;
use crate::wrong_turn::is_taken;

const MAGIC: [u8; 8] = *b"kvindex\n";
/// Bytes before the lists.
pub const FIXED_LEN: usize = 64;
const SEGMENT_LEN: usize = 64;
const PIECE_LEN: usize = 32;
const CHECKSUM_LEN: usize = 4;
/// Bytes of a bucket.
pub const BUCKET_LEN: usize = 64;
/// Bits of an entry above those of its location.
const TAG_BITS: u32 = 24;
/// Bits of the hash that a piece may use at most.
const MAX_PRECISION: u32 = 54;
/// Bits of these that may be left when its bucket is known: more do not go into an entry.
const MAX_SPARE_BITS: u32 = 20;

/// A segment that the entries point into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownSegment {
    /// Which one.
    pub id: u64,
    /// Where its locations begin, in pages of the location space.
    pub first_page: u32,
    /// How many pages it takes.
    pub pages: u32,
    /// Bytes in dead records, by all writes below the end of the sequences.
    pub dead: u64,
    /// Bytes of them in tombstones.
    pub tombstones: u64,
    /// Bytes of them in records that expire.
    pub dead_expiring: u64,
    /// All its records that expire.
    pub expiring: Expiring,
}

/// One piece of the index.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KnownPiece {
    /// It reflects all records of its keys below this sequence, and no others.
    pub sequence: u64,
    /// Where its buckets are in the file.
    pub offset: u64,
    /// How many there are.
    pub buckets: u32,
    /// Entries in use.
    pub used: u32,
    /// Bits of the hash that choose a bucket.
    pub precision: u32,
    /// The CRC-32 of the buckets.
    pub checksum: u32,
}

impl KnownPiece {
    /// Bytes of the buckets.
    pub fn len(&self) -> usize {
        self.buckets as usize * BUCKET_LEN
    }

    /// Whether there are no buckets.
    pub fn is_empty(&self) -> bool {
        self.buckets == 0
    }
}

/// What stands before the buckets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checkpoint {
    /// No record at or above this sequence is in it, and none of its dead bytes come from one.
    pub sequence_end: u64,
    /// Records in the segment that was being written.
    pub active_records: u64,
    /// The segments, in the order of their pages.
    pub segments: Vec<KnownSegment>,
    /// The pieces, in order.
    pub pieces: Vec<KnownPiece>,
}

/// Bytes before the buckets if there are so many segments and pieces.
pub fn header_len(segments: usize, pieces: usize) -> usize {
    FIXED_LEN + segments * SEGMENT_LEN + pieces * PIECE_LEN + CHECKSUM_LEN
}

/// Bytes before the buckets of a file that begins with `fixed`; `None` if it is no checkpoint of
/// the database `uuid` with `pieces` pieces and `len` bytes.
pub fn decode_len(
    fixed: &[u8; FIXED_LEN],
    uuid: &[u8; 16],
    pieces: u32,
    len: u64,
) -> Option<usize> {
    let is_ours = fixed[..8] == MAGIC
        && get_u32(fixed, 8) == FORMAT_VERSION
        && array::<16>(fixed, 16) == *uuid
        && get_u32(fixed, 52) == pieces;
    let whole = header_len(get_u32(fixed, 48) as usize, pieces as usize);
    (is_ours && whole as u64 <= len).then_some(whole)
}

impl Checkpoint {
    /// All that stands before the buckets.
    pub fn encode(&self, uuid: &[u8; 16]) -> memory::Result<Vec<u8>> {
        let mut out = memory::zeros(header_len(self.segments.len(), self.pieces.len()))?;
        out[..8].copy_from_slice(&MAGIC);
        put_u32(&mut out, 8, FORMAT_VERSION);
        out[16..32].copy_from_slice(uuid);
        put_u64(&mut out, 32, self.sequence_end);
        put_u64(&mut out, 40, self.active_records);
        put_u32(&mut out, 48, self.segments.len() as u32);
        put_u32(&mut out, 52, self.pieces.len() as u32);
        let mut at = FIXED_LEN;
        for segment in &self.segments {
            put_u64(&mut out, at, segment.id);
            put_u32(&mut out, at + 8, segment.first_page);
            put_u32(&mut out, at + 12, segment.pages);
            put_u64(&mut out, at + 16, segment.dead);
            put_u64(&mut out, at + 24, segment.tombstones);
            put_u64(&mut out, at + 32, segment.dead_expiring);
            put_u64(&mut out, at + 40, segment.expiring.bytes);
            put_u64(&mut out, at + 48, segment.expiring.first);
            put_u64(&mut out, at + 56, segment.expiring.last);
            at += SEGMENT_LEN;
        }
        for piece in &self.pieces {
            put_u64(&mut out, at, piece.sequence);
            put_u64(&mut out, at + 8, piece.offset);
            put_u32(&mut out, at + 16, piece.buckets);
            put_u32(&mut out, at + 20, piece.used);
            put_u32(&mut out, at + 24, piece.precision);
            put_u32(&mut out, at + 28, piece.checksum);
            at += PIECE_LEN;
        }
        let sum = crc32fast::hash(&out[..at]);
        put_u32(&mut out, at, sum);
        Ok(out)
    }

    /// Decodes what [`decode_len`] gave the length of, from a file of `len` bytes. `None` if it is
    /// not what was written, or makes no sense.
    pub fn decode(bytes: &[u8], len: u64) -> memory::Result<Option<Checkpoint>> {
        let end = bytes.len().checked_sub(CHECKSUM_LEN).filter(|&end| end >= FIXED_LEN);
        let Some(end) = end else { return Ok(None) };
        let is_whole = crc32fast::hash(&bytes[..end]) == get_u32(bytes, end);
        if !is_whole && !is_taken!(CheckpointNotChecked) {
            return Ok(None);
        }
        let (segments, pieces) = (get_u32(bytes, 48) as usize, get_u32(bytes, 52) as usize);
        if header_len(segments, pieces) != bytes.len() {
            return Ok(None);
        }
        let pieces_at = FIXED_LEN + segments * SEGMENT_LEN;
        let segments = bytes[FIXED_LEN..pieces_at].chunks(SEGMENT_LEN);
        let pieces = bytes[pieces_at..end].chunks(PIECE_LEN);
        let checkpoint = Checkpoint {
            sequence_end: get_u64(bytes, 32),
            active_records: get_u64(bytes, 40),
            segments: memory::collect(segments.map(decode_segment))?,
            pieces: memory::collect(pieces.map(decode_piece))?,
        };
        Ok(checkpoint.makes_sense(len).then_some(checkpoint))
    }

    fn makes_sense(&self, len: u64) -> bool {
        let mut free = 0;
        let in_order = self.segments.iter().all(|segment| {
            let begins_after = segment.first_page >= free && segment.pages > 0;
            let end = segment.first_page.checked_add(segment.pages);
            free = end.unwrap_or(free);
            begins_after && end.is_some()
        });
        let spares = |buckets: u32| buckets.ilog2()..=buckets.ilog2() + MAX_SPARE_BITS;
        let fits = |piece: &KnownPiece| {
            let end = piece.offset.checked_add(piece.len() as u64);
            end.is_some_and(|end| end <= len)
                && u64::from(piece.used) <= u64::from(piece.buckets) * 8
                && piece.precision <= MAX_PRECISION
                && (piece.is_empty() || spares(piece.buckets).contains(&piece.precision))
                && piece.sequence <= self.sequence_end
        };
        self.sequence_end < MAX_NUMBER && in_order && self.pieces.iter().all(fits)
    }
}

fn decode_segment(bytes: &[u8]) -> KnownSegment {
    KnownSegment {
        id: get_u64(bytes, 0),
        first_page: get_u32(bytes, 8),
        pages: get_u32(bytes, 12),
        dead: get_u64(bytes, 16),
        tombstones: get_u64(bytes, 24),
        dead_expiring: get_u64(bytes, 32),
        expiring: Expiring {
            bytes: get_u64(bytes, 40),
            first: get_u64(bytes, 48),
            last: get_u64(bytes, 56),
        },
    }
}

fn decode_piece(bytes: &[u8]) -> KnownPiece {
    KnownPiece {
        sequence: get_u64(bytes, 0),
        offset: get_u64(bytes, 8),
        buckets: get_u32(bytes, 16),
        used: get_u32(bytes, 20),
        precision: get_u32(bytes, 24),
        checksum: get_u32(bytes, 28),
    }
}

/// The bytes of buckets, and their checksum.
pub fn encode_entries(entries: &[u64]) -> memory::Result<(Vec<u8>, u32)> {
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(size_of_val(entries))?;
    bytes.extend(entries.iter().flat_map(|entry| entry.to_le_bytes()));
    let checksum = crc32fast::hash(&bytes);
    Ok((bytes, checksum))
}

/// The entries in the bytes of buckets; `None` if they are not those of `piece`.
pub fn decode_entries(bytes: &[u8], piece: &KnownPiece) -> memory::Result<Option<Vec<u64>>> {
    let is_whole = || crc32fast::hash(bytes) == piece.checksum || is_taken!(CheckpointNotChecked);
    if bytes.len() != piece.len() || !is_whole() {
        return Ok(None);
    }
    let (words, _) = bytes.as_chunks::<8>();
    let entries = memory::collect(words.iter().map(|word| u64::from_le_bytes(*word)))?;
    let used = entries.iter().filter(|&&entry| entry != 0).count();
    // There is no record at location 0, and the index could lose such an entry.
    let are_somewhere = entries.iter().all(|&entry| entry == 0 || entry << TAG_BITS != 0);
    Ok((used == piece.used as usize && are_somewhere).then_some(entries))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use super::*;

    const UUID: [u8; 16] = [7; 16];
    const FILE: u64 = 4096;

    fn checkpoint() -> Checkpoint {
        let segment = |id, first_page| KnownSegment {
            id,
            first_page,
            pages: 2,
            dead: id << 40,
            tombstones: id << 39,
            dead_expiring: id << 38,
            expiring: Expiring { bytes: id << 41, first: id, last: id + 1 },
        };
        let piece = |sequence| KnownPiece {
            sequence,
            offset: 1024,
            buckets: 3,
            used: 20,
            precision: 21,
            checksum: 0x1234_5678,
        };
        Checkpoint {
            sequence_end: 1 << 50,
            active_records: 77,
            segments: vec![segment(9, 0), segment(4, 2), segment(5, 7)],
            pieces: vec![piece(1 << 50), KnownPiece::default(), piece(3), piece(0)],
        }
    }

    fn decode(bytes: &[u8]) -> Option<Checkpoint> {
        let fixed = bytes.first_chunk::<FIXED_LEN>()?;
        let len = decode_len(fixed, &UUID, 4, FILE)?;
        Checkpoint::decode(bytes.get(..len)?, FILE).unwrap()
    }

    #[test]
    fn checkpoints_come_back() {
        let bytes = checkpoint().encode(&UUID).unwrap();
        assert_eq!(decode(&bytes), Some(checkpoint()));
        assert_eq!(decode(&checkpoint().encode(&[8; 16]).unwrap()), None, "another database");
        let empty = Checkpoint { pieces: vec![KnownPiece::default(); 4], ..Checkpoint::default() };
        assert_eq!(decode(&empty.encode(&UUID).unwrap()), Some(empty));
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let bytes = checkpoint().encode(&UUID).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode(&damaged), None, "bit {bit}");
        }
        for len in 0..bytes.len() {
            assert_eq!(decode(&bytes[..len]), None, "cut to {len}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused_whatever_its_checksum() {
        let refused = |change: fn(&mut Checkpoint)| {
            let mut changed = checkpoint();
            change(&mut changed);
            assert_eq!(decode(&changed.encode(&UUID).unwrap()), None, "{changed:?}");
        };
        refused(|c| c.segments[1].first_page = 1);
        refused(|c| c.segments[0].pages = u32::MAX);
        refused(|c| c.segments[2].pages = 0);
        refused(|c| c.segments[2].pages = u32::MAX);
        refused(|c| c.pieces[0].offset = u64::MAX);
        refused(|c| c.pieces[0].buckets = u32::MAX);
        refused(|c| c.pieces[0].used = 25);
        refused(|c| c.pieces[0].precision = 55);
        refused(|c| c.pieces[0].precision = 0);
        refused(|c| c.pieces[0].precision = 22);
        refused(|c| c.pieces[0].sequence += 1);
        refused(|c| c.sequence_end = MAX_NUMBER);
        refused(|c| c.pieces.truncate(3));
    }

    #[test]
    fn entries_come_back_whole_or_not_at_all() {
        let entries: Vec<u64> = (0..16).map(|at| at * 0x0123_4567_89ab).collect();
        let (bytes, checksum) = encode_entries(&entries).unwrap();
        let piece = KnownPiece { buckets: 2, used: 15, checksum, ..KnownPiece::default() };
        assert_eq!(decode_entries(&bytes, &piece).unwrap(), Some(entries));
        assert_eq!(decode_entries(&bytes[..64], &piece).unwrap(), None);
        assert_eq!(decode_entries(&bytes, &KnownPiece { used: 14, ..piece }).unwrap(), None);
        let (nowhere, checksum) = encode_entries(&[1 << 40, 2, 3, 4, 5, 6, 7, 8]).unwrap();
        let piece_of_one = KnownPiece { buckets: 1, used: 8, checksum, ..piece };
        assert_eq!(
            decode_entries(&nowhere, &piece_of_one).unwrap(),
            None,
            "an entry without a location"
        );
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode_entries(&damaged, &piece).unwrap(), None, "bit {bit}");
        }
    }

    /// It is asked before the checksum can be: what it answers is how much is read.
    #[test]
    fn the_length_of_a_foreign_checkpoint_is_not_told() {
        let bytes = checkpoint().encode(&UUID).unwrap();
        let fixed = bytes.first_chunk::<FIXED_LEN>().unwrap();
        assert_eq!(decode_len(fixed, &UUID, 4, FILE), Some(bytes.len()));
        assert_eq!(decode_len(fixed, &UUID, 4, bytes.len() as u64), Some(bytes.len()));
        assert_eq!(decode_len(fixed, &UUID, 4, bytes.len() as u64 - 1), None, "a short file");
        assert_eq!(decode_len(fixed, &[8; 16], 4, FILE), None, "another database");
        assert_eq!(decode_len(fixed, &UUID, 3, FILE), None, "another number of pieces");
        for at in [0, 8, 11] {
            let mut other = *fixed;
            other[at] ^= 1;
            assert_eq!(decode_len(&other, &UUID, 4, FILE), None, "another kind or version");
        }
    }
}
