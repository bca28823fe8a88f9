//! The manifest: the identity of a database, then edits to the set of its live segments.
//!
//! ```text
//! 0   magic "kvman\r\n\0"     32  hash seed              56..60  zero
//! 8   format version (u32)    48  created (ms)           60      CRC-32 of bytes 0..60
//! 12  zero                    56                         64      frames to the end
//! 16  uuid
//! ```
//!
//! A frame is `length (u32), checksum (u32), edits, zeros to a multiple of 8`. It applies whole or
//! not at all. The checksum covers the padded edits, and is masked with the frame's length and
//! offset and the database's uuid.

use super::bytes::{array, get_u32, get_u64, put_u32, put_u64, Reader};
use super::segment::{SegmentHeader, SegmentKind};
use super::{align_up, is_known_version, Expiring, Identity, FORMAT_VERSION};
use crate::memory;
use crate::wrong_turn::is_taken;

const MAGIC: [u8; 8] = *b"kvman\r\n\0";
/// Bytes before the first frame.
pub const HEADER_LEN: usize = 64;
const CHECKSUM_AT: usize = 60;
const FRAME_HEAD: usize = 8;
/// No edit is longer.
const MAX_EDIT_LEN: usize = 64;

/// One change to the state that a manifest describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edit {
    /// The segment exists; records may follow.
    Add(SegmentHeader),
    /// The segment is whole and on the medium.
    Seal(SealedSegment),
    /// The segment is no longer part of the database.
    Remove {
        /// Which one.
        id: u64,
    },
    /// The database was closed: everything is on the medium.
    Closed(Tail),
    /// The database is about to be written.
    Opened,
    /// Ids below this one have been used.
    NextId {
        /// The lowest id that has not been used.
        id: u64,
    },
    /// Sequences below this one have been used.
    NextSequence {
        /// The lowest sequence that has not been used.
        sequence: u64,
    },
    /// The clock has been this far, as far as values expire by it.
    Time {
        /// Milliseconds since 1970.
        now_ms: u64,
    },
}

/// What is known of a sealed segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SealedSegment {
    /// Which one.
    pub id: u64,
    /// Bytes of the file, the seal included.
    pub len: u64,
    /// Records before the seal.
    pub records: u64,
    /// The sequence after the highest in it.
    pub next_sequence: u64,
    /// Records of it that expire.
    pub expiring: Expiring,
}

/// Where the log ended when the database was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tail {
    /// The unsealed segment; 0 if there was none.
    pub id: u64,
    /// Bytes of its file.
    pub len: u64,
    /// The sequence after the last record.
    pub next_sequence: u64,
}

/// Encodes the header of a manifest.
pub fn encode_header(identity: &Identity) -> [u8; HEADER_LEN] {
    let mut out = [0; HEADER_LEN];
    out[..8].copy_from_slice(&MAGIC);
    put_u32(&mut out, 8, FORMAT_VERSION);
    out[16..32].copy_from_slice(&identity.uuid);
    out[32..48].copy_from_slice(&identity.hash_seed);
    put_u64(&mut out, 48, identity.created_ms);
    let crc = crc32fast::hash(&out[..CHECKSUM_AT]);
    put_u32(&mut out, CHECKSUM_AT, crc);
    out
}

/// Why a manifest's header was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadHeader {
    /// The file is no manifest at all.
    NotAManifest,
    /// Written by a libkv that knows this format version.
    Newer(u32),
    /// Damaged: what, and at which byte.
    Damaged(&'static str, u64),
}

/// Decodes the header of a manifest; answers its format version too.
pub fn decode_header(bytes: &[u8]) -> Result<(Identity, u32), BadHeader> {
    if bytes.len() < HEADER_LEN {
        return Err(BadHeader::Damaged("the file is shorter than its header", bytes.len() as u64));
    }
    if bytes[..8] != MAGIC {
        return Err(BadHeader::NotAManifest);
    }
    // Before the checksum: a newer version may keep it elsewhere.
    let version = get_u32(bytes, 8);
    if version > FORMAT_VERSION {
        return Err(BadHeader::Newer(version));
    }
    if crc32fast::hash(&bytes[..CHECKSUM_AT]) != get_u32(bytes, CHECKSUM_AT) {
        return Err(BadHeader::Damaged("the checksum of the header does not match", 0));
    }
    if !is_known_version(version) {
        return Err(BadHeader::Damaged("there is no format version 0", 8));
    }
    let identity = Identity {
        uuid: array(bytes, 16),
        hash_seed: array(bytes, 32),
        created_ms: get_u64(bytes, 48),
    };
    Ok((identity, version))
}

/// Encodes one frame that stands at `offset`.
pub fn encode_frame(edits: &[Edit], uuid: &[u8; 16], offset: u64) -> memory::Result<Vec<u8>> {
    let mut out = memory::zeros(FRAME_HEAD)?;
    for edit in edits {
        out.try_reserve(MAX_EDIT_LEN)?;
        encode_edit(edit, &mut out);
    }
    let len = out.len() - FRAME_HEAD;
    out.try_reserve(align_up(len) - len)?;
    out.resize(FRAME_HEAD + align_up(len), 0);
    put_u32(&mut out, 0, len as u32);
    let sum = frame_checksum(&out[FRAME_HEAD..], len, uuid, offset);
    put_u32(&mut out, 4, sum);
    Ok(out)
}

/// What stands at an offset of a manifest.
#[derive(Debug, PartialEq, Eq)]
pub enum Frame {
    /// These edits; the next frame begins at the offset.
    Edits(Vec<Edit>, u64),
    /// The file ends here.
    End,
    /// A frame begins that does not verify: damaged, or its write was interrupted.
    Bad(&'static str),
    /// A frame that verifies, with an edit that this version does not know.
    Unknown,
}

/// Bytes of the frame at the start of `bytes`, as its head says.
pub fn frame_len(bytes: &[u8]) -> Option<u64> {
    let len = bytes.get(..FRAME_HEAD).map(|head| get_u32(head, 0) as usize)?;
    (len > 0).then(|| (FRAME_HEAD + align_up(len)) as u64)
}

/// Decodes the frame at `offset` of the manifest `file`.
pub fn decode_frame(file: &[u8], uuid: &[u8; 16], offset: u64) -> memory::Result<Frame> {
    let Some(rest) = file.get(offset as usize..) else { return Ok(Frame::End) };
    if rest.is_empty() {
        return Ok(Frame::End);
    }
    if rest.len() < FRAME_HEAD {
        return Ok(Frame::Bad("a frame's head is cut off"));
    }
    let len = get_u32(rest, 0) as usize;
    let Some(body) = rest.get(FRAME_HEAD..FRAME_HEAD + align_up(len)) else {
        return Ok(Frame::Bad("a frame is cut off"));
    };
    let is_whole = || frame_checksum(body, len, uuid, offset) == get_u32(rest, 4);
    if len == 0 || !is_whole() && !is_taken!(ManifestFrameNotChecked) {
        return Ok(Frame::Bad("the checksum of a frame does not match"));
    }
    let mut reader = Reader::new(&body[..len]);
    let mut edits = Vec::new();
    while !reader.is_empty() {
        match decode_edit(&mut reader) {
            Some(edit) => memory::push(&mut edits, edit)?,
            None => return Ok(Frame::Unknown),
        }
    }
    Ok(Frame::Edits(edits, offset + (FRAME_HEAD + align_up(len)) as u64))
}

fn frame_checksum(body: &[u8], len: usize, uuid: &[u8; 16], offset: u64) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&(len as u32).to_le_bytes());
    hasher.update(uuid);
    hasher.update(&offset.to_le_bytes());
    hasher.update(body);
    hasher.finalize()
}

fn encode_edit(edit: &Edit, out: &mut Vec<u8>) {
    let mut put = |number: u8, fields: &[u64]| {
        out.push(number);
        for field in fields {
            out.extend_from_slice(&field.to_le_bytes());
        }
    };
    match edit {
        Edit::Add(s) => {
            let salt_and_kind = u64::from(s.salt) | u64::from(s.kind.number()) << 32;
            put(1, &[s.id, salt_and_kind, s.base_sequence, s.horizon]);
        }
        Edit::Seal(s) if s.expiring == Expiring::default() => {
            put(2, &[s.id, s.len, s.records, s.next_sequence]);
        }
        Edit::Seal(s) => {
            let e = &s.expiring;
            put(8, &[s.id, s.len, s.records, s.next_sequence, e.bytes, e.first, e.last]);
        }
        Edit::Remove { id } => put(3, &[*id]),
        Edit::Closed(t) => put(4, &[t.id, t.len, t.next_sequence]),
        Edit::Opened => put(5, &[]),
        Edit::NextId { id } => put(6, &[*id]),
        Edit::NextSequence { sequence } => put(7, &[*sequence]),
        Edit::Time { now_ms } => put(9, &[*now_ms]),
    }
}

fn decode_edit(reader: &mut Reader) -> Option<Edit> {
    Some(match reader.u8()? {
        1 => Edit::Add(SegmentHeader {
            id: reader.u64()?,
            salt: reader.u32()?,
            kind: SegmentKind::from_number(reader.u32()?)?,
            base_sequence: reader.u64()?,
            horizon: reader.u64()?,
        }),
        number @ (2 | 8) => Edit::Seal(SealedSegment {
            id: reader.u64()?,
            len: reader.u64()?,
            records: reader.u64()?,
            next_sequence: reader.u64()?,
            expiring: match number {
                2 => Expiring::default(),
                _ => Expiring { bytes: reader.u64()?, first: reader.u64()?, last: reader.u64()? },
            },
        }),
        3 => Edit::Remove { id: reader.u64()? },
        4 => Edit::Closed(Tail {
            id: reader.u64()?,
            len: reader.u64()?,
            next_sequence: reader.u64()?,
        }),
        5 => Edit::Opened,
        6 => Edit::NextId { id: reader.u64()? },
        7 => Edit::NextSequence { sequence: reader.u64()? },
        9 => Edit::Time { now_ms: reader.u64()? },
        _ => return None,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use super::*;

    const IDENTITY: Identity =
        Identity { uuid: [1; 16], hash_seed: [2; 16], created_ms: 1_700_000_000_000 };

    fn sealed(expiring: Expiring) -> SealedSegment {
        SealedSegment { id: 3, len: 8192, records: 5, next_sequence: 150, expiring }
    }

    fn edits() -> Vec<Edit> {
        vec![
            Edit::Add(SegmentHeader {
                id: 3,
                salt: 9,
                kind: SegmentKind::Compacted,
                base_sequence: 100,
                horizon: 200,
            }),
            Edit::Seal(sealed(Expiring::default())),
            Edit::Seal(sealed(Expiring { bytes: 100, first: 1 << 40, last: 1 << 41 })),
            Edit::Remove { id: 2 },
            Edit::Opened,
            Edit::NextId { id: 4 },
            Edit::NextSequence { sequence: 300 },
            Edit::Time { now_ms: 1_700_000_000_000 },
            Edit::Closed(Tail { id: 3, len: 4096, next_sequence: 300 }),
        ]
    }

    #[test]
    fn a_header_comes_back_and_its_flips_do_not() {
        let bytes = encode_header(&IDENTITY);
        assert_eq!(decode_header(&bytes), Ok((IDENTITY, FORMAT_VERSION)));
        for bit in 0..HEADER_LEN * 8 {
            let mut damaged = bytes;
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(decode_header(&damaged).is_err(), "bit {bit}");
        }
        let mut newer = bytes;
        put_u32(&mut newer, 8, FORMAT_VERSION + 1);
        assert_eq!(decode_header(&newer), Err(BadHeader::Newer(FORMAT_VERSION + 1)));
    }

    #[test]
    fn frames_come_back() {
        let mut file = encode_header(&IDENTITY).to_vec();
        let first = encode_frame(&edits(), &IDENTITY.uuid, 64).unwrap();
        file.extend_from_slice(&first);
        let second = encode_frame(&[Edit::Opened], &IDENTITY.uuid, file.len() as u64).unwrap();
        file.extend_from_slice(&second);
        let next = 64 + first.len() as u64;
        assert_eq!(decode_frame(&file, &IDENTITY.uuid, 64).unwrap(), Frame::Edits(edits(), next));
        let end = file.len() as u64;
        let last = Frame::Edits(vec![Edit::Opened], end);
        assert_eq!(decode_frame(&file, &IDENTITY.uuid, next).unwrap(), last);
        assert_eq!(decode_frame(&file, &IDENTITY.uuid, end).unwrap(), Frame::End);
        for len in next as usize + 1..file.len() {
            let cut = decode_frame(&file[..len], &IDENTITY.uuid, next).unwrap();
            assert!(matches!(cut, Frame::Bad(_)), "{len}");
        }
    }

    #[test]
    fn every_flipped_bit_of_a_frame_is_noticed() {
        let frame = encode_frame(&edits(), &IDENTITY.uuid, 0).unwrap();
        for bit in 0..frame.len() * 8 {
            let mut damaged = frame.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let decoded = decode_frame(&damaged, &IDENTITY.uuid, 0).unwrap();
            assert!(matches!(decoded, Frame::Bad(_)), "bit {bit}");
        }
        let mut moved = vec![0; 8];
        moved.extend_from_slice(&frame);
        assert!(matches!(decode_frame(&moved, &IDENTITY.uuid, 8).unwrap(), Frame::Bad(_)), "moved");
    }

    /// Format version 1 knows no other edit for it.
    #[test]
    fn the_seal_of_a_segment_in_which_nothing_expires_is_what_version_1_wrote() {
        let body = |expiring| {
            let frame = encode_frame(&[Edit::Seal(sealed(expiring))], &IDENTITY.uuid, 64).unwrap();
            (frame[FRAME_HEAD], get_u32(&frame, 0))
        };
        assert_eq!(body(Expiring::default()), (2, 33));
        assert_eq!(body(Expiring { bytes: 8, first: 1, last: 1 }), (8, 57));
    }
}
