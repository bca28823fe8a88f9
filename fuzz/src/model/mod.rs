//! A second reader of the format, written after docs/FORMAT.md alone, as slow and plain as that:
//! the library must read the same.

pub mod manifest;

/// Where records begin in a segment.
pub const FIRST_RECORD: usize = 4096;
/// Sequences and ids are below this.
pub const MAX_NUMBER: u64 = 1 << 62;

pub const PUT: u8 = 1;
pub const TOMBSTONE: u8 = 2;
pub const GAP: u8 = 3;
pub const SEAL: u8 = 127;

const WIDE: u8 = 1;
const EXPIRY: u8 = 2;
const BATCH: u8 = 4;
const MARK: u8 = 8;

/// A segment that compaction wrote.
pub const COMPACTED: u32 = 2;

pub fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

pub fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16_at(bytes, at)) | u32::from(u16_at(bytes, at + 2)) << 16
}

pub fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

/// Writes a number of four bytes.
pub fn set_u32(bytes: &mut [u8], at: usize, value: u32) {
    bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

/// What a record says of itself, whether it verifies or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    pub kind: u8,
    pub flags: u8,
    /// Bytes of the whole record.
    pub len: usize,
    /// Bytes that the checksum covers, from 8 on.
    pub checked: usize,
    pub key_at: usize,
    pub key_len: usize,
    pub value_len: usize,
}

impl Head {
    /// The head at the start of `bytes`, if it can be one.
    pub fn read(bytes: &[u8]) -> Option<Head> {
        if bytes.len() < 16 {
            return None;
        }
        let (kind, flags) = (bytes[14], bytes[15]);
        let (value_len, key_len) = (u32_at(bytes, 8) as usize, u16_at(bytes, 12) as usize);
        let can_be = match kind {
            PUT => key_len >= 1,
            TOMBSTONE => key_len >= 1 && value_len == 0 && flags & EXPIRY == 0,
            GAP => key_len == 0 && flags == 0,
            SEAL => key_len == 0 && value_len == 16 && flags == 0,
            _ => false,
        };
        if !can_be || flags > 15 || (flags & MARK != 0 && flags & BATCH == 0) {
            return None;
        }
        let fields = [WIDE, EXPIRY, MARK].iter().filter(|&&flag| flags & flag != 0).count();
        let key_at = 16 + 8 * fields;
        let len = (key_at + key_len + value_len).div_ceil(8) * 8;
        let checked = if kind == GAP { 16 } else { len };
        Some(Head { kind, flags, len, checked, key_at, key_len, value_len })
    }

    fn field(&self, flag: u8) -> Option<usize> {
        let before = [WIDE, EXPIRY, MARK].into_iter().take_while(|&other| other != flag);
        let before = before.filter(|&other| self.flags & other != 0).count();
        (self.flags & flag != 0).then_some(16 + 8 * before)
    }
}

/// A record that verifies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whole {
    pub head: Head,
    /// Where it begins in its segment.
    pub offset: u64,
    pub delta: u64,
    pub key: Vec<u8>,
    pub value: Vec<u8>,
    pub expiry: Option<u64>,
    /// Count and sum of the batch that it ends.
    pub mark: Option<(u32, u32)>,
    /// The checksum without its mask.
    pub crc: u32,
}

/// What goes into the checksum from where a record stands.
pub fn mask(salt: u32, offset: u64, low_delta: u32) -> u32 {
    let place = (offset / 8) as u32;
    salt ^ place.wrapping_mul(0x9e37_79b1) ^ low_delta.wrapping_mul(0x85eb_ca77).rotate_left(15)
}

/// The salt with which what is at the start of `bytes` verifies, if it can be a record.
pub fn salt_of_record(bytes: &[u8], offset: u64) -> Option<u32> {
    let head = Head::read(bytes)?;
    let crc = crc32fast::hash(bytes.get(8..head.checked)?);
    Some(u32_at(bytes, 0) ^ crc ^ mask(0, offset, u32_at(bytes, 4)))
}

/// The record at the start of `bytes`, which stand at `offset` of a segment, if it verifies.
pub fn record(bytes: &[u8], salt: u32, offset: u64) -> Option<Whole> {
    let head = Head::read(bytes)?;
    if bytes.len() < head.checked {
        return None;
    }
    let crc = crc32fast::hash(&bytes[8..head.checked]);
    let low = u32_at(bytes, 4);
    if u32_at(bytes, 0) != crc ^ mask(salt, offset, low) {
        return None;
    }
    let wide = head.field(WIDE).map_or(0, |at| u64_at(bytes, at));
    let delta = u64::from(low).wrapping_add(wide << 32);
    let expiry = head.field(EXPIRY).map(|at| u64_at(bytes, at));
    let mark = head.field(MARK).map(|at| (u32_at(bytes, at), u32_at(bytes, at + 4)));
    let (key, value) = match head.kind {
        GAP => (Vec::new(), Vec::new()),
        _ => {
            let value_at = head.key_at + head.key_len;
            let value = bytes[value_at..value_at + head.value_len].to_vec();
            (bytes[head.key_at..value_at].to_vec(), value)
        }
    };
    Some(Whole { head, offset, delta, key, value, expiry, mark, crc })
}

/// Gives the record at the start of `bytes` the checksum that it must have there, if it is whole.
pub fn fix_record(bytes: &mut [u8], salt: u32, offset: u64) -> Option<Head> {
    let head = Head::read(bytes)?;
    if bytes.len() < head.checked {
        return None;
    }
    let sum = crc32fast::hash(&bytes[8..head.checked]) ^ mask(salt, offset, u32_at(bytes, 4));
    set_u32(bytes, 0, sum);
    Some(head)
}

/// How the records of a segment end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Seal,
    Zeros,
    Damage,
}

/// What is in a segment.
#[derive(Clone, Debug)]
pub struct Contents {
    /// All records up to the end, with their sequences.
    pub met: Vec<(Whole, u64)>,
    /// So many of them count: the rest is a batch without its end.
    pub counted: usize,
    pub end: End,
    /// Where they end.
    pub end_at: usize,
    /// Where what counts ends.
    pub counted_to: usize,
    /// The sequence after the highest that counts.
    pub next_sequence: u64,
}

/// Who a segment is, as far as its records depend on it.
#[derive(Clone, Copy, Debug)]
pub struct Who {
    pub salt: u32,
    pub kind: u32,
    pub base_sequence: u64,
    /// The sequence that the first record must have, if that is known.
    pub first: Option<u64>,
}

/// Reads the records of the segment `bytes`.
pub fn segment(bytes: &[u8], who: &Who) -> Contents {
    let mut out = Contents {
        met: Vec::new(),
        counted: 0,
        end: End::Damage,
        end_at: FIRST_RECORD,
        counted_to: FIRST_RECORD,
        next_sequence: who.base_sequence,
    };
    let mut highest = who.base_sequence;
    let mut expected = who.first;
    loop {
        let rest = bytes.get(out.end_at..).unwrap_or_default();
        if rest[..rest.len().min(16)].iter().all(|&byte| byte == 0) {
            out.end = End::Zeros;
            return out;
        }
        let found = record(rest, who.salt, out.end_at as u64);
        let Some(found) = found.filter(|found| found.head.len <= rest.len()) else { return out };
        let in_batch = found.head.flags & BATCH != 0;
        let begun = out.counted < out.met.len();
        if (in_batch && who.kind == COMPACTED) || (begun && !in_batch) {
            return out;
        }
        if found.head.kind == SEAL {
            let (records, next) = (u64_at(&found.value, 0), u64_at(&found.value, 8));
            if records == out.met.len() as u64 && next == highest {
                out.end = End::Seal;
                out.end_at += found.head.len;
                out.counted_to = out.end_at;
            }
            return out;
        }
        let Some(sequence) = who.base_sequence.checked_add(found.delta) else { return out };
        let follows = who.kind == COMPACTED || expected.is_none_or(|e| e == sequence);
        if sequence >= MAX_NUMBER || !follows {
            return out;
        }
        if let Some((count, sum)) = found.mark {
            let others = &out.met[out.counted..];
            let mut crc = crc32fast::Hasher::new();
            others.iter().for_each(|(record, _)| crc.update(&record.crc.to_le_bytes()));
            if count as usize != others.len() + 1 || sum != crc.finalize() {
                return out;
            }
        }
        let ends_batch = !in_batch || found.mark.is_some();
        expected = Some(sequence + 1);
        highest = highest.max(sequence + 1);
        out.end_at += found.head.len;
        out.met.push((Whole { offset: (out.end_at - found.head.len) as u64, ..found }, sequence));
        if ends_batch {
            out.counted = out.met.len();
            out.counted_to = out.end_at;
            out.next_sequence = highest;
        }
    }
}

/// What is put right in a segment, so that a fuzzer gets behind it.
#[derive(Clone, Copy, Debug)]
pub struct Mend(pub u8);

impl Mend {
    /// Checksums of records.
    const CHECKSUMS: u8 = 1;
    /// Sequences that follow one another.
    const SEQUENCES: u8 = 2;
    /// Counts and sums of batches.
    const MARKS: u8 = 4;
    /// Counts and sequences in seals.
    const SEALS: u8 = 8;

    fn has(self, part: u8) -> bool {
        self.0 & part != 0
    }
}

/// Puts right what `how` says in the records of a segment, as far as records can be made out.
pub fn mend(bytes: &mut [u8], who: &Who, how: Mend) {
    let (mut at, mut records, mut highest) = (FIRST_RECORD, 0_u64, who.base_sequence);
    let mut delta = who.first.map_or(0, |first| first - who.base_sequence);
    // The checksums of the batch that has begun.
    let mut batch: Vec<u32> = Vec::new();
    while let Some(head) = bytes.get(at..).and_then(Head::read) {
        let record = &mut bytes[at..];
        if record.len() < head.checked {
            return;
        }
        if head.kind == SEAL && how.has(Mend::SEALS) {
            record[16..24].copy_from_slice(&records.to_le_bytes());
            record[24..32].copy_from_slice(&highest.to_le_bytes());
        }
        if head.kind != SEAL && how.has(Mend::SEQUENCES) && head.flags & WIDE == 0 {
            set_u32(record, 4, delta as u32);
        }
        if let (Some(field), true) = (head.field(MARK), how.has(Mend::MARKS)) {
            let sums: Vec<u8> = batch.iter().flat_map(|crc| crc.to_le_bytes()).collect();
            set_u32(record, field, batch.len() as u32 + 1);
            set_u32(record, field + 4, crc32fast::hash(&sums));
        }
        if how.has(Mend::CHECKSUMS) {
            fix_record(record, who.salt, at as u64);
        }
        if head.flags & BATCH != 0 && head.flags & MARK == 0 {
            batch.push(crc32fast::hash(&record[8..head.checked]));
        } else {
            batch.clear();
        }
        let low = u64::from(u32_at(record, 4));
        let wide = head.field(WIDE).map_or(0, |field| u64_at(record, field));
        delta = low.wrapping_add(wide << 32).wrapping_add(1);
        highest = highest.max(who.base_sequence.wrapping_add(delta));
        records += 1;
        at += head.len;
    }
}
