//! The manifest, read as docs/FORMAT.md says.

use std::collections::BTreeMap;

use super::{set_u32, u32_at, u64_at, COMPACTED, MAX_NUMBER};

/// Where frames begin.
pub const FIRST_FRAME: usize = 64;
const MAGIC: &[u8] = b"kvman\r\n\0";
/// The newest version that there is.
const VERSION: u32 = 2;

/// A segment that is live.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Live {
    pub salt: u32,
    pub kind: u32,
    pub base_sequence: u64,
    pub horizon: u64,
    /// Length, records, next sequence; bytes that expire, when the first does, and the last.
    pub sealed: Option<[u64; 6]>,
}

/// What a manifest says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    pub uuid: [u8; 16],
    pub hash_seed: [u8; 16],
    pub segments: BTreeMap<u64, Live>,
    pub next_id: u64,
    pub next_sequence: u64,
    /// Id, length, next sequence.
    pub closed: Option<[u64; 3]>,
    pub time_ms: u64,
}

/// Why there is nothing to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    NotOurs,
    Newer,
    Damage,
}

/// Reads a manifest.
pub fn read(bytes: &[u8]) -> Result<Manifest, Wrong> {
    if bytes.len() < FIRST_FRAME {
        return Err(Wrong::Damage);
    }
    if &bytes[..8] != MAGIC {
        return Err(Wrong::NotOurs);
    }
    let version = u32_at(bytes, 8);
    if version > VERSION {
        return Err(Wrong::Newer);
    }
    if version == 0 || crc32fast::hash(&bytes[..60]) != u32_at(bytes, 60) {
        return Err(Wrong::Damage);
    }
    let mut out = Manifest {
        uuid: bytes[16..32].try_into().expect("sixteen bytes"),
        hash_seed: bytes[32..48].try_into().expect("sixteen bytes"),
        segments: BTreeMap::new(),
        next_id: 1,
        next_sequence: 1,
        closed: None,
        time_ms: 0,
    };
    let mut at = FIRST_FRAME;
    while let Some((edits, next)) = frame(bytes, at) {
        out.apply_all(edits).ok_or(Wrong::Damage)?;
        // Compaction adds what it has finished.
        if out.segments.values().any(|live| live.kind == COMPACTED && live.sealed.is_none()) {
            return Err(Wrong::Damage);
        }
        at = next;
    }
    let is_whole = at == bytes.len();
    let later = (at + 8..bytes.len()).step_by(8).any(|at| frame(bytes, at).is_some());
    if at == FIRST_FRAME || (!is_whole && later) {
        return Err(Wrong::Damage);
    }
    Ok(out)
}

/// The checksum of the frame at `at`, and where it ends; nothing if it is cut off.
fn checksum(bytes: &[u8], at: usize) -> Option<(u32, usize)> {
    let len = bytes.get(at..at + 4).map(|len| u32_at(len, 0) as usize)?;
    let end = at + 8 + len.div_ceil(8) * 8;
    if len == 0 || end > bytes.len() {
        return None;
    }
    let mut crc = crc32fast::Hasher::new();
    crc.update(&(len as u32).to_le_bytes());
    crc.update(bytes.get(16..32)?);
    crc.update(&(at as u64).to_le_bytes());
    crc.update(&bytes[at + 8..end]);
    Some((crc.finalize(), end))
}

/// The edits in the frame at `at`, and where the next one begins, if it verifies.
fn frame(bytes: &[u8], at: usize) -> Option<(&[u8], usize)> {
    let (sum, end) = checksum(bytes, at)?;
    let len = u32_at(bytes, at) as usize;
    (sum == u32_at(bytes, at + 4)).then(|| (&bytes[at + 8..at + 8 + len], end))
}

impl Manifest {
    /// Applies the edits of a frame; nothing if one of them cannot be.
    fn apply_all(&mut self, mut edits: &[u8]) -> Option<()> {
        while let Some((&number, rest)) = edits.split_first() {
            let fields = match number {
                1 => 4,
                2 => 4,
                3 | 6 | 7 | 9 => 1,
                4 => 3,
                5 => 0,
                8 => 7,
                _ => return None,
            };
            let (these, rest) = rest.split_at_checked(8 * fields)?;
            let these: Vec<u64> = (0..fields).map(|field| u64_at(these, 8 * field)).collect();
            self.apply(number, &these)?;
            edits = rest;
        }
        Some(())
    }

    fn apply(&mut self, number: u8, fields: &[u64]) -> Option<()> {
        let bounded: &[usize] = match number {
            1 => &[0, 2, 3],
            2 | 8 => &[0, 3],
            4 => &[0, 2],
            5 => &[],
            _ => &[0],
        };
        if bounded.iter().any(|&field| fields[field] >= MAX_NUMBER) {
            return None;
        }
        // The next id is a number as well; 0 stands for no segment.
        if number == 1 && (fields[0] == 0 || fields[0] + 1 == MAX_NUMBER) {
            return None;
        }
        if number != 9 {
            self.closed = None;
        }
        match number {
            1 => {
                let (salt, kind) = (fields[1] as u32, (fields[1] >> 32) as u32);
                let (base_sequence, horizon) = (fields[2], fields[3]);
                let live = Live { salt, kind, base_sequence, horizon, sealed: None };
                self.next_id = self.next_id.max(fields[0] + 1);
                self.next_sequence = self.next_sequence.max(base_sequence);
                let is_new = self.segments.insert(fields[0], live).is_none();
                return (is_new && (1..=COMPACTED).contains(&kind)).then_some(());
            }
            2 | 8 => {
                let live = self.segments.get_mut(&fields[0])?;
                let mut sealed = [0; 6];
                sealed[..fields.len() - 1].copy_from_slice(&fields[1..]);
                live.sealed = Some(sealed);
                self.next_sequence = self.next_sequence.max(fields[3]);
            }
            3 => _ = self.segments.remove(&fields[0])?,
            4 => {
                self.next_sequence = self.next_sequence.max(fields[2]);
                self.closed = Some([fields[0], fields[1], fields[2]]);
            }
            6 => self.next_id = self.next_id.max(fields[0]),
            7 => self.next_sequence = self.next_sequence.max(fields[0]),
            9 => self.time_ms = self.time_ms.max(fields[0]),
            _ => {}
        }
        Some(())
    }
}

/// Puts the checksums right: that of the header, and those of all frames that can be made out.
pub fn mend(bytes: &mut [u8]) {
    if bytes.len() < FIRST_FRAME {
        return;
    }
    let sum = crc32fast::hash(&bytes[..60]);
    set_u32(bytes, 60, sum);
    let mut at = FIRST_FRAME;
    while let Some(end) = mend_frame(bytes, at) {
        at = end;
    }
}

/// Puts the checksum of the frame at `at` right, and answers where it ends, if it is whole.
pub fn mend_frame(bytes: &mut [u8], at: usize) -> Option<usize> {
    let (sum, end) = checksum(bytes, at)?;
    set_u32(bytes, at + 4, sum);
    Some(end)
}
