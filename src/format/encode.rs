//! Records as bytes: prepared before their place is known, and moved to another.

use super::bytes::{put_u16, put_u32, put_u64};
use super::record::{
    fields_len, is_wide, mask, record_len, Class, Mark, Record, RecordKind, Seal, CHECKED_FROM,
    FIELD_LEN, FLAG_BATCH, FLAG_BATCH_MARK, FLAG_EXPIRY, FLAG_WIDE_SEQUENCE, HEADER_LEN, SEAL_LEN,
    SEAL_VALUE_LEN,
};
use crate::memory;

/// The most bytes of fields that a record has when it is prepared.
const MAX_FIELDS_LEN: usize = 2 * FIELD_LEN;

/// Everything of a record but its first eight bytes, which only its place decides.
#[derive(Clone, Copy, Debug)]
pub struct Prepared {
    /// Bytes 8 to 16 of the record.
    pub head: [u8; HEADER_LEN - CHECKED_FROM],
    /// The fields behind that, and how long they are.
    fields: [u8; MAX_FIELDS_LEN],
    fields_len: u8,
    /// The CRC-32 of bytes 8 to the end.
    pub crc: u32,
    /// Bytes of the whole record.
    pub len: usize,
}

/// What a record may carry besides key and value.
#[derive(Clone, Copy, Debug, Default)]
pub struct Extra {
    /// When the value expires, in milliseconds since 1970.
    pub expiry: Option<u64>,
    /// Whether the record is part of a batch.
    pub is_in_batch: bool,
    /// The mark of the batch that it ends.
    pub mark: Option<Mark>,
}

impl Prepared {
    /// Prepares a record without a wide sequence. Lengths are within the limits.
    pub fn new(kind: RecordKind, key: &[u8], value: &[u8]) -> Prepared {
        let head = encode_head(kind, key.len(), value.len(), 0);
        let len = record_len(key.len(), value.len(), 0);
        let crc = checksum_of([&head, key, value], len - CHECKED_FROM);
        Prepared { head, fields: [0; MAX_FIELDS_LEN], fields_len: 0, crc, len }
    }

    /// The same for a record that carries more.
    pub fn with(kind: RecordKind, key: &[u8], value: &[u8], extra: &Extra) -> Prepared {
        let mut fields = [0; MAX_FIELDS_LEN];
        let (mut flags, mut at) = (u8::from(extra.is_in_batch) * FLAG_BATCH, 0);
        if let Some(expiry) = extra.expiry {
            flags |= FLAG_EXPIRY;
            put_u64(&mut fields, at, expiry);
            at += FIELD_LEN;
        }
        if let Some(mark) = extra.mark {
            flags |= FLAG_BATCH_MARK;
            put_u32(&mut fields, at, mark.count);
            put_u32(&mut fields, at + 4, mark.sum);
            at += FIELD_LEN;
        }
        let head = encode_head(kind, key.len(), value.len(), flags);
        let len = record_len(key.len(), value.len(), at);
        let crc = checksum_of([&head, &fields[..at], key, value], len - CHECKED_FROM);
        Prepared { head, fields, fields_len: at as u8, crc, len }
    }

    /// A gap with room for `value_len` bytes, no more than a value may have.
    pub fn gap(value_len: usize) -> Prepared {
        debug_assert!(value_len <= super::MAX_VALUE_LEN);
        let head = encode_head(RecordKind::Gap, 0, value_len, 0);
        let (crc, len) = (crc32fast::hash(&head), record_len(0, value_len, 0));
        Prepared { head, fields: [0; MAX_FIELDS_LEN], fields_len: 0, crc, len }
    }

    /// Bytes before the value, if the key has so many.
    pub fn lead_len(&self, key_len: usize) -> usize {
        HEADER_LEN + usize::from(self.fields_len) + key_len
    }

    /// The fields.
    #[inline]
    pub fn fields(&self) -> &[u8] {
        &self.fields[..usize::from(self.fields_len)]
    }

    /// The first eight bytes of the record at `offset` of the segment with `salt`.
    pub fn place(&self, salt: u32, offset: u64, delta: u32) -> [u8; CHECKED_FROM] {
        let mut out = [0; CHECKED_FROM];
        put_u32(&mut out, 0, self.crc ^ mask(salt, offset, delta));
        put_u32(&mut out, 4, delta);
        out
    }
}

impl Seal {
    /// The seal as it stands at `offset` of the segment with `salt`.
    pub fn encode(&self, salt: u32, offset: u64) -> [u8; SEAL_LEN] {
        let mut value = [0; SEAL_VALUE_LEN];
        put_u64(&mut value, 0, self.records);
        put_u64(&mut value, 8, self.next_sequence);
        let prepared = Prepared::new(RecordKind::Seal, &[], &value);
        let mut out = [0; SEAL_LEN];
        out[..CHECKED_FROM].copy_from_slice(&prepared.place(salt, offset, 0));
        out[CHECKED_FROM..HEADER_LEN].copy_from_slice(&prepared.head);
        out[HEADER_LEN..].copy_from_slice(&value);
        out
    }
}

fn encode_head(kind: RecordKind, key_len: usize, value_len: usize, flags: u8) -> [u8; 8] {
    let mut head = [0; 8];
    put_u32(&mut head, 0, value_len as u32);
    put_u16(&mut head, 4, key_len as u16);
    head[6] = kind.number();
    head[7] = flags;
    head
}

/// Records up to this size are gathered before they are checksummed: one pass over 128 bytes is
/// faster than three over pieces too short for the vector instructions.
const GATHER_MAX: usize = 512;
/// Most records are shorter: to fill more with zeros takes as long as to copy them.
const GATHER_FEW: usize = 192;

/// The CRC-32 of `parts`, one behind the other, and zeros up to `len` bytes.
#[inline]
fn checksum_of<const N: usize>(parts: [&[u8]; N], len: usize) -> u32 {
    if len <= GATHER_FEW {
        return checksum_gathered::<N, GATHER_FEW>(parts, len);
    }
    if len <= GATHER_MAX {
        return checksum_gathered::<N, GATHER_MAX>(parts, len);
    }
    let mut hasher = crc32fast::Hasher::new();
    parts.iter().for_each(|part| hasher.update(part));
    let padding = len - parts.iter().map(|part| part.len()).sum::<usize>();
    hasher.update(&[0; super::ALIGNMENT][..padding]);
    hasher.finalize()
}

/// The same for what fits into `ROOM` bytes.
#[inline]
fn checksum_gathered<const N: usize, const ROOM: usize>(parts: [&[u8]; N], len: usize) -> u32 {
    let mut gathered = [0u8; ROOM];
    let mut at = 0;
    for part in parts {
        gathered[at..at + part.len()].copy_from_slice(part);
        at += part.len();
    }
    crc32fast::hash(&gathered[..len])
}

/// A record as it is to be at another place.
#[derive(Clone, Copy, Debug)]
pub struct Moved<'a> {
    source: &'a Record<'a>,
    kind: RecordKind,
    value: &'a [u8],
    expiry: Option<u64>,
    /// What is added there to the base sequence.
    delta: u64,
    /// The CRC-32 that its source was verified by, without the part that comes from its place.
    crc: Option<u32>,
}

impl<'a> Moved<'a> {
    /// The same record.
    pub fn new(source: &'a Record<'a>, delta: u64) -> Moved<'a> {
        let (kind, expiry) = (source.header.kind, source.expiry());
        Moved { source, kind, value: source.value(), expiry, delta, crc: None }
    }

    /// A tombstone of its key, with its sequence.
    pub fn tombstone(source: &'a Record<'a>, delta: u64) -> Moved<'a> {
        Moved { source, kind: RecordKind::Tombstone, value: &[], expiry: None, delta, crc: None }
    }

    /// The same, where the source was verified by this checksum, without the part that comes from
    /// its place: what is the same at both is not read for another.
    #[must_use]
    pub fn verified(self, crc: u32) -> Moved<'a> {
        let header = &self.source.header;
        // The high half of a sequence is checksummed with the rest.
        let is_same =
            self.kind == header.kind && self.flags() == header.flags && !is_wide(self.delta);
        Moved { crc: is_same.then_some(crc), ..self }
    }

    /// What the index needs to know of it.
    pub fn class(&self) -> Class {
        match self.kind {
            RecordKind::Tombstone => Class::Tombstone,
            _ => self.source.header.class(),
        }
    }

    /// When the value expires.
    pub fn expiry(&self) -> Option<u64> {
        self.expiry
    }

    /// Bytes of the record.
    pub fn record_len(&self) -> usize {
        record_len(self.source.header.key_len, self.value.len(), fields_len(self.flags()))
    }

    /// A batch ends where it was written: the copy of one of its records is a record of its own.
    fn flags(&self) -> u8 {
        let wide = if is_wide(self.delta) { FLAG_WIDE_SEQUENCE } else { 0 };
        wide | if self.expiry.is_some() { FLAG_EXPIRY } else { 0 }
    }
}

/// Writes to `out` the record `moved`, as it must be at `offset` of the segment with `salt`. The
/// caller has verified its source.
pub fn encode_moved(
    moved: &Moved,
    salt: u32,
    offset: u64,
    out: &mut Vec<u8>,
) -> memory::Result<()> {
    let start = out.len();
    out.try_reserve(moved.record_len())?;
    let (key, value, delta) = (moved.source.key(), moved.value, moved.delta);
    if let Some(crc) = moved.crc {
        out.extend_from_slice(moved.source.bytes());
        put_u32(out, start, crc ^ mask(salt, offset, delta as u32));
        put_u32(out, start + 4, delta as u32);
        return Ok(());
    }
    out.extend_from_slice(&[0; CHECKED_FROM]);
    out.extend_from_slice(&encode_head(moved.kind, key.len(), value.len(), moved.flags()));
    if is_wide(delta) {
        out.extend_from_slice(&(delta >> 32).to_le_bytes());
    }
    if let Some(expiry) = moved.expiry {
        out.extend_from_slice(&expiry.to_le_bytes());
    }
    out.extend_from_slice(key);
    out.extend_from_slice(value);
    out.resize(start + moved.record_len(), 0);
    let record = &mut out[start..];
    let crc = crc32fast::hash(&record[CHECKED_FROM..]);
    put_u32(record, 0, crc ^ mask(salt, offset, delta as u32));
    put_u32(record, 4, delta as u32);
    Ok(())
}
