//! The digest of a segment, made by walking through its records.

use super::scan::{Item, Scan};
use crate::error::Result;
use crate::format::hint::Digest;
use crate::format::record::{RecordKind, Seal};
use crate::format::segment::SegmentKind;

/// How a walk ended.
pub enum End {
    /// With the seal: the segment is whole.
    Seal(Seal),
    /// The bytes end, or zeros begin.
    End,
    /// Something begins there that is no record, for this reason.
    Damage(&'static str),
}

/// Walks `scan` to its end. Answers the digest of all records up to there, each of which verifies,
/// and what the end is. `hash` is the hash of keys.
pub fn of_scan(
    scan: &mut Scan,
    kind: SegmentKind,
    hash: impl Fn(&[u8]) -> u64,
) -> Result<(Digest, End)> {
    let mut digest = Digest::new(kind);
    let end = loop {
        match scan.next_item()? {
            Item::Record(found) => {
                let header = &found.record.header;
                let is_tombstone = header.kind == RecordKind::Tombstone;
                let hash = hash(found.record.key());
                digest.push(hash, header.record_len(), found.sequence, is_tombstone);
            }
            Item::Seal(seal) => break End::Seal(seal),
            Item::End => break End::End,
            Item::Damage(what) => break End::Damage(what),
        }
    };
    Ok((digest, end))
}
