//! A hint: one that is believed says nothing that its segment could not be.

use kv::format::hint::{Digest, HEADER_LEN};
use kv::format::manifest::SealedSegment;
use kv::format::record::Class;
use kv::format::segment::{SegmentHeader, SegmentKind, HEADER_PAGE};
use kv::format::{Expiring, MAX_NUMBER};

use super::input::Input;
use super::model::{set_u32, u64_at};

const UUID: [u8; 16] = [7; 16];
/// Bits of the first byte.
const COMPACTED: u8 = 1;
/// What the manifest says of the segment is what the entries add up to.
const AGREES: u8 = 2;
/// The header of the hint is taken from the input.
const OWN_HEADER: u8 = 4;
const MENDS: u8 = 8;

/// An entry, as docs/FORMAT.md has it.
struct Entry {
    hash: u64,
    offset: u64,
    len: u64,
    sequence: u64,
    class: u64,
}

/// Reads a hint.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let how = input.u8();
    let kind = if how & COMPACTED != 0 { SegmentKind::Compacted } else { SegmentKind::Log };
    let (salt, base_sequence) = (input.u32(), input.u64() >> 2);
    let header = SegmentHeader { id: 12, salt, kind, base_sequence, horizon: 0 };
    let first_sequence = input.u64();
    let (len, records, next_sequence) = (input.u64(), input.u64(), input.u64());
    let own_header = input.array::<HEADER_LEN>();
    let bytes = input.rest();
    let entries = entries_of(bytes, kind, first_sequence);
    let expiring = Expiring::default();
    let mut sealed = SealedSegment { id: 12, len, records, next_sequence, expiring };
    if let (Some(entries), true) = (&entries, how & AGREES != 0) {
        let end = entries.last().map_or(HEADER_PAGE as u64, |e| e.offset.saturating_add(e.len));
        let next = entries.iter().map(|entry| entry.sequence.saturating_add(1)).max();
        sealed.len = end.saturating_add(32);
        sealed.records = entries.len() as u64;
        sealed.next_sequence = next.unwrap_or(0).max(base_sequence);
    }
    let mut hint = Digest::new(kind).encode(&UUID, &header, &sealed);
    hint[72..80].copy_from_slice(&first_sequence.to_le_bytes());
    hint[80..88].copy_from_slice(&(bytes.len() as u64).to_le_bytes());
    if how & OWN_HEADER != 0 {
        hint.copy_from_slice(&own_header);
    }
    hint.extend_from_slice(bytes);
    if how & MENDS != 0 {
        let mut crc = crc32fast::Hasher::new();
        crc.update(&hint[..92]);
        crc.update(&hint[96..]);
        set_u32(&mut hint, 92, crc.finalize() ^ salt);
    }
    // With a header of its own it may have another first sequence.
    let entries = entries_of(bytes, kind, u64_at(&hint, 72));
    let adds_up = entries.as_ref().is_some_and(|entries| adds_up(entries, base_sequence, &sealed));
    let digest = Digest::decode(hint.clone(), &UUID, &header, &sealed);
    if how & (MENDS | OWN_HEADER) == MENDS {
        assert_eq!(digest.is_some(), adds_up);
    }
    let Some(digest) = digest else { return };
    assert!(adds_up);
    says_the_same(&digest, &entries.expect("what adds up can be made out"));
    is_built_again(&digest, kind, &header, &sealed, &hint);
}

/// The entries, if the bytes can be taken for such.
fn entries_of(bytes: &[u8], kind: SegmentKind, first_sequence: u64) -> Option<Vec<Entry>> {
    let mut input = Input::new(bytes);
    let (mut offset, mut sequence) = (HEADER_PAGE as u64, first_sequence);
    let mut out = Vec::new();
    while !input.is_empty() {
        let hash = u64::from_le_bytes(input.take(8).try_into().ok()?);
        let size = varint(&mut input)?;
        if kind == SegmentKind::Compacted {
            let zigzag = varint(&mut input)?;
            let step = (zigzag >> 1) as i64 ^ -((zigzag & 1) as i64);
            sequence = sequence.wrapping_add(step as u64);
        }
        let len = (size >> 2).checked_mul(8)?;
        out.push(Entry { hash, offset, len, sequence, class: size & 3 });
        offset = offset.checked_add(len)?;
        sequence = sequence.wrapping_add(u64::from(kind == SegmentKind::Log));
    }
    Some(out)
}

/// Seven bits a byte; ten bytes at most, and what does not fit into 64 bits is dropped.
fn varint(input: &mut Input) -> Option<u64> {
    let mut value = 0_u128;
    for place in 0..10 {
        let byte = *input.take(1).first()?;
        value |= u128::from(byte & 0x7f) << (7 * place);
        if byte < 0x80 {
            return Some(value as u64);
        }
    }
    None
}

/// Whether a segment like this could have them.
fn adds_up(entries: &[Entry], base_sequence: u64, sealed: &SealedSegment) -> bool {
    let end = entries.last().map_or(Some(HEADER_PAGE as u64), |e| e.offset.checked_add(e.len));
    let fits = |entry: &Entry| {
        entry.len > 0 && entry.sequence >= base_sequence && entry.sequence < MAX_NUMBER
    };
    entries.iter().all(fits)
        && end.and_then(|end| end.checked_add(32)) == Some(sealed.len)
        && entries.len() as u64 == sealed.records
        && sealed.next_sequence
            == entries.iter().map(|e| e.sequence + 1).max().unwrap_or(0).max(base_sequence)
}

fn says_the_same(digest: &Digest, entries: &[Entry]) {
    assert_eq!(digest.records(), entries.len() as u64);
    let mut read = digest.entries();
    for expected in entries {
        let entry = read.next().expect("each entry is read");
        let class = match entry.class {
            Class::Put => 0,
            Class::Tombstone => 1,
            Class::ExpiringPut => 2,
            Class::Gap => 3,
        };
        assert_eq!((entry.hash, class), (expected.hash, expected.class));
        assert_eq!((entry.offset, entry.len), (expected.offset, expected.len));
        assert_eq!(entry.sequence, expected.sequence);
    }
    assert!(read.next().is_none());
}

/// A hint of the same records is believed too, and no longer.
fn is_built_again(
    digest: &Digest,
    kind: SegmentKind,
    header: &SegmentHeader,
    sealed: &SealedSegment,
    hint: &[u8],
) {
    let mut again = Digest::new(kind);
    for entry in digest.entries() {
        let len = entry.len as usize;
        again.push(entry.hash, len, entry.sequence, entry.class).expect("there is memory");
    }
    let bytes = again.encode(&UUID, header, sealed);
    assert!(bytes.len() <= hint.len());
    let read = Digest::decode(bytes, &UUID, header, sealed).expect("a true hint is believed");
    assert!(read.entries().eq(digest.entries()));
}
