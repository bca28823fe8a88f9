//! Verifying a segment from its first record to its last.

use std::sync::Arc;

use super::transfer::STEP;
use crate::error::Result;
use crate::format::manifest::SealedSegment;
use crate::format::segment::SegmentHeader;
use crate::format::Expiring;
use crate::segment::scan::{Item, Scan};
use crate::storage::File;

/// What a walk through a segment has found.
pub(super) struct Found {
    /// What the seal says, if the records end with it.
    pub seal: Option<SealedSegment>,
    /// Where the whole part ends.
    pub end: u64,
    /// The sequence after the last record; that after the segment before, if there is no record.
    pub next_sequence: u64,
    /// Why the records end there, if not with a seal.
    pub why: &'static str,
}

/// Walks through the first `len` bytes of a segment. `advance` is told now and then of so many more
/// of them. The first record has the sequence `expected`, if that is known.
pub(super) fn verify(
    file: Arc<dyn File>,
    header: &SegmentHeader,
    len: u64,
    expected: Option<u64>,
    advance: &mut dyn FnMut(u64) -> Result<()>,
) -> Result<Found> {
    let mut scan = Scan::new(file, *header, len);
    if let Some(expected) = expected {
        scan.expect(expected);
    }
    let (mut told, mut expiring) = (0, Expiring::default());
    let (seal, why) = loop {
        match scan.next_item()? {
            Item::Record(found) => {
                if let Some(expiry) = found.record.expiry() {
                    expiring.add(found.record.header.record_len(), expiry);
                }
            }
            Item::Seal(seal) => break (Some(seal), ""),
            Item::End => break (None, "the records end before they should"),
            Item::Damage(what) => break (None, what),
        }
        if scan.offset() - told >= STEP {
            advance(scan.offset() - told)?;
            told = scan.offset();
        }
    };
    advance(scan.offset() - told)?;
    // A batch without its end was never written.
    let whole = scan.whole();
    let next_sequence = match (whole.records, expected) {
        (0, Some(expected)) => expected,
        _ => whole.next_sequence,
    };
    let seal = seal.map(|seal| SealedSegment {
        id: header.id,
        len: whole.offset,
        records: seal.records,
        next_sequence: seal.next_sequence,
        expiring,
    });
    Ok(Found { seal, end: whole.offset, next_sequence, why })
}
