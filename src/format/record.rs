//! One record of the log: a 16-byte header, optional fields, key, value, zeros to a multiple of 8.
//!
//! ```text
//!  0        4              8            12         14     15      16
//!  checksum sequence-delta value length key length kind   flags   [fields] key value zeros
//! ```
//!
//! The fields, eight bytes each and each there if its flag is set: the high half of the sequence
//! delta; when the value expires; the mark of a batch.
//!
//! A batch is a run of records with the batch flag, the last of which carries the mark: how many
//! they are (4 bytes), and the CRC-32 of the CRC-32s of those before it (4 bytes). Without its mark
//! a batch was never written.
//!
//! The checksum is the CRC-32 of everything from byte 8 to the end, padding included (of a gap, of
//! its header alone: what is in it is nobody's), XORed with a mask made from the segment's salt,
//! the record's offset and its sequence delta. So the CRC can be computed before the place and the
//! sequence are known, compaction can move a record without reading it twice, and a record that
//! stands anywhere but where it was written does not verify: neither stale bytes of a recycled file
//! nor a record forged inside a value. For one salt, two masks that differ in the offset alone, or
//! in the sequence alone, always differ.

use super::bytes::{get_u16, get_u32, get_u64};
use super::{align_up, MAX_KEY_LEN, MAX_VALUE_LEN};
use crate::wrong_turn::is_taken;

/// Bytes before the optional fields.
pub const HEADER_LEN: usize = 16;
/// Where the checksummed part begins.
pub const CHECKED_FROM: usize = 8;
/// Bytes of an optional field.
pub(super) const FIELD_LEN: usize = 8;
/// The largest record there can be.
pub const MAX_RECORD_LEN: usize =
    align_up(HEADER_LEN + 3 * FIELD_LEN + MAX_KEY_LEN + MAX_VALUE_LEN);

/// Bytes of a seal's value: how many records came before it, and the sequence after them.
pub(super) const SEAL_VALUE_LEN: usize = 16;
/// Bytes of a whole seal.
pub const SEAL_LEN: usize = record_len(0, SEAL_VALUE_LEN, 0);

/// Flag: eight bytes after the header are added, shifted by 32 bits, to the sequence delta.
pub(super) const FLAG_WIDE_SEQUENCE: u8 = 1;
/// Flag: a field says when the value expires, in milliseconds since 1970.
pub(super) const FLAG_EXPIRY: u8 = 2;
/// Flag: the record is part of a batch.
pub(super) const FLAG_BATCH: u8 = 4;
/// Flag: it is the last one of the batch, and a field holds the mark.
pub(super) const FLAG_BATCH_MARK: u8 = 8;
/// Flags with a field.
const FIELD_FLAGS: u8 = FLAG_WIDE_SEQUENCE | FLAG_EXPIRY | FLAG_BATCH_MARK;
/// Flags that this version knows. Others (codec) come with later versions.
const KNOWN_FLAGS: u8 = FIELD_FLAGS | FLAG_BATCH;

/// What a record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordKind {
    /// The key has this value now.
    Put,
    /// The key is gone.
    Tombstone,
    /// Nothing: room that was reserved and not used. It has no key, and its value is no one's.
    Gap,
    /// The segment ends here: the footer of one that is full. It has no key and no sequence.
    Seal,
}

impl RecordKind {
    pub(super) const fn number(self) -> u8 {
        match self {
            RecordKind::Put => 1,
            RecordKind::Tombstone => 2,
            RecordKind::Gap => 3,
            RecordKind::Seal => 0x7f,
        }
    }

    const fn from_number(number: u8) -> Option<RecordKind> {
        match number {
            1 => Some(RecordKind::Put),
            2 => Some(RecordKind::Tombstone),
            3 => Some(RecordKind::Gap),
            0x7f => Some(RecordKind::Seal),
            _ => None,
        }
    }
}

/// Records as the index and the count of garbage see them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Class {
    /// A value for good.
    #[default]
    Put,
    /// The key is gone.
    Tombstone,
    /// A value that expires.
    ExpiringPut,
    /// Nothing.
    Gap,
}

/// A record's header as decoded: lengths are within the limits, but nothing is verified yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// As stored: masked.
    checksum: u32,
    /// The low half of the sequence delta.
    delta_low: u32,
    /// What the record says.
    pub kind: RecordKind,
    pub(super) flags: u8,
    /// Bytes of the key.
    pub key_len: usize,
    /// Bytes of the value.
    pub value_len: usize,
}

/// Bytes of a record on disk with `fields_len` bytes of fields, padding included.
pub const fn record_len(key_len: usize, value_len: usize, fields_len: usize) -> usize {
    align_up(HEADER_LEN + fields_len + key_len + value_len)
}

/// Whether a sequence delta needs the wide field.
pub(super) const fn is_wide(delta: u64) -> bool {
    delta > u32::MAX as u64
}

/// Bytes of the fields that these flags announce.
#[inline]
pub(super) const fn fields_len(flags: u8) -> usize {
    // Counting bits takes a dozen instructions on older processors.
    FIELDS_LEN[(flags & 15) as usize] as usize
}

/// The same, for all flags that there are.
const FIELDS_LEN: [u8; 16] = {
    let mut lens = [0; 16];
    let mut flags = 0;
    while flags < 16 {
        lens[flags] = (flags as u8 & FIELD_FLAGS).count_ones() as u8 * FIELD_LEN as u8;
        flags += 1;
    }
    lens
};

impl Header {
    /// Decodes the header at the start of `bytes`. `None` if it cannot be one.
    pub fn decode(bytes: &[u8]) -> Option<Header> {
        if bytes.len() < HEADER_LEN {
            return None;
        }
        let header = Header {
            checksum: get_u32(bytes, 0),
            delta_low: get_u32(bytes, 4),
            value_len: get_u32(bytes, 8) as usize,
            key_len: usize::from(get_u16(bytes, 12)),
            kind: RecordKind::from_number(bytes[14])?,
            flags: bytes[15],
        };
        let makes_sense = match header.kind {
            RecordKind::Put => header.key_len > 0,
            RecordKind::Tombstone => {
                header.key_len > 0 && header.value_len == 0 && header.flags & FLAG_EXPIRY == 0
            }
            RecordKind::Gap => header.key_len == 0 && header.flags == 0,
            RecordKind::Seal => {
                header.key_len == 0 && header.value_len == SEAL_VALUE_LEN && header.flags == 0
            }
        };
        let has_lone_mark = header.flags & (FLAG_BATCH | FLAG_BATCH_MARK) == FLAG_BATCH_MARK;
        let is_known = header.flags & !KNOWN_FLAGS == 0 && !has_lone_mark;
        (makes_sense && is_known).then_some(header)
    }

    /// Bytes of the whole record.
    pub const fn record_len(&self) -> usize {
        record_len(self.key_len, self.value_len, fields_len(self.flags))
    }

    /// Bytes of it that its checksum covers: what is in a gap is nobody's, and not looked at.
    #[inline]
    pub fn checked_len(&self) -> usize {
        match self.kind {
            RecordKind::Gap => HEADER_LEN,
            _ => self.record_len(),
        }
    }

    /// Where the key begins.
    #[inline]
    pub const fn key_at(&self) -> usize {
        HEADER_LEN + fields_len(self.flags)
    }

    /// Bytes before the value: all that says what the record is.
    pub const fn head_len(&self) -> usize {
        self.key_at() + self.key_len
    }

    /// Whether a record with this header, of which `sum` has all bytes from [`CHECKED_FROM`] on, is
    /// what was written at `offset` of the segment with `salt`.
    pub fn verifies(&self, sum: Sum, salt: u32, offset: u64) -> bool {
        self.checksum == sum.0.finalize() ^ mask(salt, offset, self.delta_low)
    }

    /// The salt of the segment, if the record was written at `offset` of it.
    pub fn salt(&self, sum: Sum, offset: u64) -> u32 {
        self.checksum ^ sum.0.finalize() ^ mask(0, offset, self.delta_low)
    }

    /// Whether it is a put that can be believed without looking at a clock or at other records.
    #[inline]
    pub fn is_plain_put(&self) -> bool {
        self.kind == RecordKind::Put && self.flags & (FLAG_EXPIRY | FLAG_BATCH) == 0
    }

    /// Whether the value expires.
    #[inline]
    pub const fn expires(&self) -> bool {
        self.flags & FLAG_EXPIRY != 0
    }

    /// Whether the record is part of a batch.
    pub const fn is_in_batch(&self) -> bool {
        self.flags & FLAG_BATCH != 0
    }

    /// What the index needs to know of it.
    pub fn class(&self) -> Class {
        match self.kind {
            RecordKind::Put if self.expires() => Class::ExpiringPut,
            RecordKind::Put => Class::Put,
            RecordKind::Tombstone => Class::Tombstone,
            RecordKind::Gap | RecordKind::Seal => Class::Gap,
        }
    }

    const fn has_wide_sequence(&self) -> bool {
        self.flags & FLAG_WIDE_SEQUENCE != 0
    }
}

/// A whole record: its header and all its bytes, but for those in a gap.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// The decoded header.
    pub header: Header,
    bytes: &'a [u8],
}

impl<'a> Record<'a> {
    /// The record at the start of `bytes`, if all of it is inside.
    pub fn decode(bytes: &'a [u8]) -> Option<Record<'a>> {
        let header = Header::decode(bytes)?;
        let bytes = bytes.get(..header.checked_len())?;
        Some(Record { header, bytes })
    }

    /// The record with this header, if these are as many bytes as it has.
    #[inline]
    pub fn of(header: Header, bytes: &'a [u8]) -> Option<Record<'a>> {
        (bytes.len() == header.checked_len()).then_some(Record { header, bytes })
    }

    /// The record at the start of `bytes`, if it is inside up to the end of its key. Neither its
    /// value nor its checksum may be asked for.
    pub fn decode_head(bytes: &'a [u8]) -> Option<Record<'a>> {
        let header = Header::decode(bytes)?;
        let bytes = bytes.get(..header.head_len())?;
        Some(Record { header, bytes })
    }

    /// The key.
    pub fn key(&self) -> &'a [u8] {
        let at = self.header.key_at();
        &self.bytes[at..at + self.header.key_len]
    }

    /// The value.
    pub fn value(&self) -> &'a [u8] {
        let at = self.header.key_at() + self.header.key_len;
        &self.bytes[at..at + self.header.value_len]
    }

    /// All bytes, padding included.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// What is added to the segment's base sequence.
    pub fn sequence_delta(&self) -> u64 {
        let low = u64::from(self.header.delta_low);
        if self.header.has_wide_sequence() {
            low.wrapping_add(get_u64(self.bytes, HEADER_LEN) << 32)
        } else {
            low
        }
    }

    /// When the value expires, in milliseconds since 1970.
    pub fn expiry(&self) -> Option<u64> {
        let at = HEADER_LEN + fields_len(self.header.flags & FLAG_WIDE_SEQUENCE);
        self.header.expires().then(|| get_u64(self.bytes, at))
    }

    /// The mark of the batch that ends with this record.
    pub fn mark(&self) -> Option<Mark> {
        let at = self.header.key_at() - FIELD_LEN;
        let has_mark = self.header.flags & FLAG_BATCH_MARK != 0;
        has_mark.then(|| Mark { count: get_u32(self.bytes, at), sum: get_u32(self.bytes, at + 4) })
    }

    /// Whether the record is what was written at `offset` of the segment with `salt`.
    #[inline]
    pub fn verifies(&self, salt: u32, offset: u64) -> bool {
        let crc = crc32fast::hash(&self.bytes[CHECKED_FROM..]);
        self.header.checksum == crc ^ mask(salt, offset, self.header.delta_low)
    }

    /// The checksum without the part that comes from its place.
    pub fn crc(&self, salt: u32, offset: u64) -> u32 {
        self.header.checksum ^ mask(salt, offset, self.header.delta_low)
    }
}

/// The checksum of a record that comes in parts.
#[derive(Clone, Debug, Default)]
pub struct Sum(crc32fast::Hasher);

impl Sum {
    /// Adds the next bytes.
    pub fn add(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The checksum without the part that comes from the record's place.
    pub fn finish(self) -> u32 {
        self.0.finalize()
    }
}

/// What the last record of a batch says of the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// How many records there are.
    pub count: u32,
    /// The CRC-32 of the CRC-32s of all but the last.
    pub sum: u32,
}

/// Adds up the records of a batch, but for the last.
#[derive(Clone, Debug, Default)]
pub struct MarkBuilder {
    count: u32,
    hasher: crc32fast::Hasher,
}

impl MarkBuilder {
    /// Adds a record with this checksum, which does not depend on its place.
    pub fn add(&mut self, crc: u32) {
        self.count += 1;
        self.hasher.update(&crc.to_le_bytes());
    }

    /// The mark, if one record more ends the batch.
    pub fn mark(&self) -> Mark {
        Mark { count: self.count + 1, sum: self.hasher.clone().finalize() }
    }
}

/// The part of a checksum that depends on where a record stands.
pub(super) fn mask(salt: u32, offset: u64, delta_low: u32) -> u32 {
    if is_taken!(PlaceNotInChecksum) {
        return 0;
    }
    // Offsets are multiples of 8 below 2^35, so the quotient is 32 bits wide and unique.
    // Multiplying by an odd number and rotating are one-to-one.
    let place = (offset / 8) as u32;
    salt ^ place.wrapping_mul(0x9e37_79b1) ^ delta_low.wrapping_mul(0x85eb_ca77).rotate_left(15)
}

/// What a seal says of the segment that it closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seal {
    /// Records before the seal.
    pub records: u64,
    /// The sequence after the last of them.
    pub next_sequence: u64,
}

impl Seal {
    /// What the seal `record` says. The caller has checked its kind, and that it verifies.
    pub fn decode(record: &Record) -> Seal {
        let value = record.value();
        Seal { records: get_u64(value, 0), next_sequence: get_u64(value, 8) }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use super::super::bytes::put_u32;
    use super::super::encode::{encode_moved, Extra, Moved, Prepared};
    use super::*;

    const SALT: u32 = 0xdead_beef;

    fn encode(kind: RecordKind, key: &[u8], value: &[u8], offset: u64, delta: u32) -> Vec<u8> {
        let prepared = Prepared::new(kind, key, value);
        let mut bytes = prepared.place(SALT, offset, delta).to_vec();
        bytes.extend_from_slice(&prepared.head);
        bytes.extend_from_slice(key);
        bytes.extend_from_slice(value);
        bytes.resize(prepared.len, 0);
        bytes
    }

    #[test]
    fn records_of_every_size_come_back() {
        for (key_len, value_len) in
            [(1, 0), (16, 100), (3, 5), (MAX_KEY_LEN, 0), (7, 485), (8, 488), (9, 70_000)]
        {
            let key: Vec<u8> = (0..key_len).map(|i| i as u8).collect();
            let value: Vec<u8> = (0..value_len).map(|i| (i * 7) as u8).collect();
            let bytes = encode(RecordKind::Put, &key, &value, 4096, 77);
            assert_eq!(bytes.len() % 8, 0);
            let record = Record::decode(&bytes).unwrap();
            assert!(record.verifies(SALT, 4096), "{key_len} + {value_len}");
            assert_eq!(record.key(), key);
            assert_eq!(record.value(), value);
            assert_eq!(record.sequence_delta(), 77);
        }
    }

    #[test]
    fn a_record_stands_only_where_it_was_written() {
        let bytes = encode(RecordKind::Put, b"key", b"value", 4096, 1);
        let record = Record::decode(&bytes).unwrap();
        assert!(record.verifies(SALT, 4096));
        assert!(!record.verifies(SALT, 4104), "another offset");
        assert!(!record.verifies(SALT ^ 1, 4096), "another segment");
    }

    #[test]
    fn a_record_in_parts_verifies_as_one_in_one_piece_and_tells_its_salt() {
        let bytes = encode(RecordKind::Put, b"key", &[5; 1000], 4096, 9);
        let head = Record::decode_head(&bytes[..40]).unwrap();
        assert_eq!((head.key(), head.header.head_len()), (&b"key"[..], 19));
        assert!(Record::decode_head(&bytes[..18]).is_none());
        for parts in [1, 7, 1024] {
            let mut sum = Sum::default();
            bytes[CHECKED_FROM..].chunks(parts).for_each(|part| sum.add(part));
            assert!(head.header.verifies(sum.clone(), SALT, 4096));
            assert!(!head.header.verifies(sum.clone(), SALT, 4104));
            assert_eq!(head.header.salt(sum, 4096), SALT);
        }
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let bytes = encode(RecordKind::Put, b"some key", b"value!", 8192, 0x0102_0304);
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let noticed = Record::decode(&damaged).is_none_or(|r| !r.verifies(SALT, 8192));
            assert!(noticed, "bit {bit}");
        }
    }

    #[test]
    fn a_seal_comes_back() {
        let seal = Seal { records: 7, next_sequence: 1 << 40 };
        let bytes = seal.encode(SALT, 8192);
        let record = Record::decode(&bytes).unwrap();
        assert!(record.verifies(SALT, 8192));
        assert_eq!(record.header.kind, RecordKind::Seal);
        assert_eq!(Seal::decode(&record), seal);
    }

    #[test]
    fn zeros_are_no_record() {
        assert!(Header::decode(&[0; 64]).is_none());
        assert!(Header::decode(&[0; 15]).is_none());
        assert!(Record::decode(&encode(RecordKind::Put, b"k", b"v", 0, 0)[..16]).is_none());
    }

    #[test]
    fn fields_come_back_and_move_along() {
        let mark = Mark { count: 7, sum: 0xfeed };
        for (expiry, mark) in [(Some(5), None), (None, Some(mark)), (Some(1 << 45), Some(mark))] {
            let extra = Extra { expiry, is_in_batch: mark.is_some(), mark };
            let prepared = Prepared::with(RecordKind::Put, b"some key", b"value", &extra);
            let mut bytes = prepared.place(SALT, 4096, 3).to_vec();
            bytes.extend_from_slice(&prepared.head);
            bytes.extend_from_slice(prepared.fields());
            bytes.extend_from_slice(b"some keyvalue");
            bytes.resize(prepared.len, 0);
            let record = Record::decode(&bytes).unwrap();
            assert!(record.verifies(SALT, 4096));
            assert_eq!(record.crc(SALT, 4096), prepared.crc);
            assert_eq!((record.key(), record.value()), (&b"some key"[..], &b"value"[..]));
            assert_eq!((record.expiry(), record.mark()), (expiry, mark));
            for delta in [1, 1 << 40] {
                let mut out = Vec::new();
                let copy = Moved::new(&record, delta);
                encode_moved(&copy, 42, 8192, &mut out).unwrap();
                assert_eq!((out.len(), copy.expiry()), (copy.record_len(), expiry));
                assert_eq!(copy.class(), record.header.class());
                let moved = Record::decode(&out).unwrap();
                assert!(moved.verifies(42, 8192));
                assert_eq!((moved.expiry(), moved.mark()), (expiry, None));
                assert_eq!(moved.sequence_delta(), delta);
                let mut out = Vec::new();
                let hiding = Moved::tombstone(&record, delta);
                encode_moved(&hiding, 42, 8192, &mut out).unwrap();
                assert_eq!((out.len(), hiding.expiry()), (hiding.record_len(), None));
                let moved = Record::decode(&out).unwrap();
                assert!(moved.verifies(42, 8192));
                assert_eq!(
                    (moved.header.class(), hiding.class()),
                    (Class::Tombstone, Class::Tombstone)
                );
                assert_eq!((moved.key(), moved.value()), (record.key(), &b""[..]));
                assert_eq!((moved.expiry(), moved.mark()), (None, None));
                assert_eq!(moved.sequence_delta(), delta);
            }
            for bit in 0..bytes.len() * 8 {
                let mut damaged = bytes.clone();
                damaged[bit / 8] ^= 1 << (bit % 8);
                let noticed = Record::decode(&damaged).is_none_or(|r| !r.verifies(SALT, 4096));
                assert!(noticed, "bit {bit}");
            }
        }
    }

    #[test]
    fn what_is_in_a_gap_does_not_matter_but_its_header_does() {
        let head = Prepared::gap(100);
        let mut bytes = head.place(SALT, 4096, 3).to_vec();
        bytes.extend_from_slice(&head.head);
        bytes.resize(head.len, 0x5a);
        for bit in 0..HEADER_LEN * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let noticed = Record::decode(&damaged).is_none_or(|r| !r.verifies(SALT, 4096));
            assert!(noticed, "bit {bit}");
        }
        assert!(Record::decode(&bytes).unwrap().verifies(SALT, 4096));
        assert_eq!(Record::decode(&bytes).unwrap().header.class(), Class::Gap);
    }

    #[test]
    fn a_moved_record_verifies_in_its_new_place_alone() {
        let bytes = encode(RecordKind::Put, b"key", b"some value", 4096, 9);
        let source = Record::decode(&bytes).unwrap();
        for delta in [0, 9, u64::from(u32::MAX), u64::from(u32::MAX) + 1, 1 << 60] {
            let mut out = vec![1, 2, 3, 4, 5, 6, 7, 8];
            encode_moved(&Moved::new(&source, delta), 42, 16384, &mut out).unwrap();
            let moved = Record::decode(&out[8..]).unwrap();
            assert!(moved.verifies(42, 16384));
            assert!(!moved.verifies(SALT, 4096));
            assert_eq!(moved.sequence_delta(), delta);
            assert_eq!((moved.key(), moved.value()), (source.key(), source.value()));
            assert_eq!(moved.header.record_len(), out.len() - 8);
        }
    }

    #[test]
    fn a_header_that_nobody_writes_is_no_header() {
        let decodes = |kind: RecordKind, key_len: u16, value_len: usize, flags: u8| {
            let mut bytes = [0; HEADER_LEN];
            put_u32(&mut bytes, 8, value_len as u32);
            bytes[12..14].copy_from_slice(&key_len.to_le_bytes());
            (bytes[14], bytes[15]) = (kind.number(), flags);
            Header::decode(&bytes).is_some()
        };
        use RecordKind::{Gap, Put, Seal, Tombstone};
        let marked = FLAG_BATCH | FLAG_BATCH_MARK;
        for flags in [0, FLAG_EXPIRY, FLAG_BATCH, marked, marked | FLAG_WIDE_SEQUENCE] {
            assert!(decodes(Put, 1, 0, flags) && decodes(Put, u16::MAX, 7, flags));
            assert!(!decodes(Put, 0, 7, flags), "a record without a key");
        }
        assert!(!decodes(Put, 1, 0, FLAG_BATCH_MARK), "the end of a batch that is none");
        assert!(!decodes(Put, 1, 0, FLAG_BATCH_MARK | FLAG_EXPIRY));
        for unknown in (0..8).map(|bit| 1 << bit).filter(|flag| flag & KNOWN_FLAGS == 0) {
            assert!(!decodes(Put, 1, 0, unknown) && !decodes(Tombstone, 1, 0, unknown));
        }
        assert!(decodes(Tombstone, 1, 0, marked) && !decodes(Tombstone, 0, 0, 0));
        assert!(!decodes(Tombstone, 1, 1, 0), "a tombstone with a value");
        assert!(!decodes(Tombstone, 1, 0, FLAG_EXPIRY), "a tombstone that expires");
        assert!(decodes(Gap, 0, 0, 0) && decodes(Gap, 0, 1000, 0));
        assert!(!decodes(Gap, 1, 1000, 0) && !decodes(Gap, 0, 1000, FLAG_WIDE_SEQUENCE));
        assert!(decodes(Seal, 0, SEAL_VALUE_LEN, 0) && !decodes(Seal, 1, SEAL_VALUE_LEN, 0));
        assert!(!decodes(Seal, 0, SEAL_VALUE_LEN + 8, 0) && !decodes(Seal, 0, 0, 0));
        assert!(!decodes(Seal, 0, SEAL_VALUE_LEN, FLAG_BATCH));
    }

    /// What can be believed at once: reads go the short way for those, and for no others.
    #[test]
    fn a_put_is_plain_unless_it_expires_or_is_part_of_a_batch() {
        let decode = |kind: RecordKind, flags: u8| {
            let mut bytes = [0; HEADER_LEN];
            (bytes[12], bytes[14], bytes[15]) = (1, kind.number(), flags);
            Header::decode(&bytes).unwrap()
        };
        let marked = FLAG_BATCH | FLAG_BATCH_MARK;
        for (flags, is_plain, class) in [
            (0, true, Class::Put),
            (FLAG_WIDE_SEQUENCE, true, Class::Put),
            (FLAG_EXPIRY, false, Class::ExpiringPut),
            (FLAG_BATCH, false, Class::Put),
            (marked, false, Class::Put),
            (marked | FLAG_EXPIRY, false, Class::ExpiringPut),
        ] {
            let put = decode(RecordKind::Put, flags);
            assert_eq!((put.is_plain_put(), put.class()), (is_plain, class), "flags {flags}");
        }
        assert!(!decode(RecordKind::Tombstone, 0).is_plain_put());
    }

    #[test]
    fn a_mark_counts_the_record_that_bears_it() {
        let mut builder = MarkBuilder::default();
        assert_eq!(builder.mark().count, 1);
        for count in 2..5 {
            builder.add(count);
            assert_eq!(builder.mark().count, count);
        }
    }
}
