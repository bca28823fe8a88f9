//! Who a segment is whose header is damaged and that no manifest knows: its records tell.
//!
//! The checksum of each record is masked with the salt, so that one record names the salt, and a
//! second one that names the same confirms it. The seal names the sequence after the last, and so
//! the base to which all records add their own.

use std::sync::Arc;

use crate::engine::verify::walk::SegmentFile;
use crate::error::Result;
use crate::format::record::{Header, Sum, CHECKED_FROM, HEADER_LEN};
use crate::format::segment::{salts_of_notes, SegmentHeader, SegmentKind, HEADER_PAGE};
use crate::format::{ALIGNMENT, MAX_NUMBER_AT_OPEN};
use crate::segment::survey::{Met, Survey};
use crate::storage::read_part;

/// So much of a file is searched for two records that agree.
const SEARCHED: u64 = 4 << 20;
/// Records that are longer are not tried.
const LONGEST: usize = 256 << 10;

/// What the records of a file add up to, if sequences were counted from 0.
#[derive(Default)]
struct Sketch {
    first: Option<u64>,
    highest: u64,
    records: u64,
    follows: bool,
    has_batches: bool,
    /// The sequence after the last, by the seal.
    sealed: Option<u64>,
}

/// The header that the file had, and how that is known. `others` are those whose headers are known.
pub(super) fn derive(
    file: &SegmentFile,
    page: &[u8],
    others: &[&SegmentFile],
) -> Result<Option<(SegmentHeader, String)>> {
    let Some(salt) = salt_of(file, page)? else { return Ok(None) };
    let (id, kind) = (file.header.id, SegmentKind::Compacted);
    let mut header = SegmentHeader { id, salt, kind, base_sequence: 0, horizon: 0 };
    let sketch = sketch(file, header)?;
    let Some(first) = sketch.first else { return Ok(None) };
    if sketch.has_batches || sketch.follows {
        header.kind = SegmentKind::Log;
    }
    let end = sketch.highest + 1;
    let by_seal = sketch.sealed.and_then(|next| next.checked_sub(end));
    let (base, how) = match by_seal {
        Some(base) => (base, "worked out from its records and its seal"),
        None => (
            base_among(id, first, end, others)?,
            "worked out from its records; the versions of its keys are assumed to follow those of \
             the segment before",
        ),
    };
    header.base_sequence = base.min(MAX_NUMBER_AT_OPEN - 1);
    Ok(Some((header, format!("the header is damaged; it was {how}"))))
}

/// The base of a segment of the log whose sequences, without it, go from `first` up to `end`.
fn base_among(id: u64, first: u64, end: u64, others: &[&SegmentFile]) -> Result<u64> {
    let is_log = |other: &&&SegmentFile| other.header.kind == SegmentKind::Log;
    let log = || others.iter().filter(is_log);
    let before = log().filter(|other| other.header.id < id).max_by_key(|other| other.header.id);
    if let Some(before) = before {
        return Ok(end_of(before)?.saturating_sub(first));
    }
    let after = log().filter(|other| other.header.id > id).min_by_key(|other| other.header.id);
    if let Some(after) = after {
        let next = sketch(after, after.header)?.first;
        return Ok(next.unwrap_or(after.header.base_sequence).saturating_sub(end));
    }
    // What compaction has written is older than the log that goes on behind it.
    let horizon = others.iter().map(|other| other.header.horizon).max().unwrap_or(1);
    Ok(horizon.max(1).saturating_sub(first))
}

/// The salt of a file, if two things in it agree on one.
fn salt_of(file: &SegmentFile, page: &[u8]) -> Result<Option<u32>> {
    let notes = salts_of_notes(page);
    if let Some(salt) = notes.iter().find(|salt| notes.iter().filter(|s| s == salt).count() > 1) {
        return Ok(Some(*salt));
    }
    let len = file.len.saturating_sub(HEADER_PAGE as u64).min(SEARCHED);
    let from = HEADER_PAGE as u64;
    let Ok(bytes) = read_part(&*file.file, from, len as usize, &file.name) else { return Ok(None) };
    let salt_at = |at: usize| {
        let rest = bytes.get(at..)?;
        let header = Header::decode(rest)?;
        let total = header.record_len();
        if total > LONGEST {
            return None;
        }
        let mut sum = Sum::default();
        sum.add(rest.get(CHECKED_FROM..header.checked_len())?);
        Some((header.salt(sum, from + at as u64), at + total))
    };
    for at in (0..bytes.len().saturating_sub(HEADER_LEN)).step_by(ALIGNMENT) {
        let Some((salt, next)) = salt_at(at) else { continue };
        if notes.contains(&salt) || salt_at(next).is_some_and(|(other, _)| other == salt) {
            return Ok(Some(salt));
        }
    }
    Ok(None)
}

/// What the records of a file with this header add up to.
fn sketch(file: &SegmentFile, header: SegmentHeader) -> Result<Sketch> {
    let mut survey = Survey::new(Arc::clone(&file.file), header, file.len, MAX_NUMBER_AT_OPEN);
    let mut sketch = Sketch { follows: true, ..Sketch::default() };
    let mut expected = None;
    loop {
        match survey.next_item()? {
            Met::Record(record) => {
                sketch.follows &= expected.is_none_or(|expected| expected == record.sequence);
                sketch.first.get_or_insert(record.sequence);
                sketch.highest = sketch.highest.max(record.sequence);
                sketch.has_batches |= record.header.is_in_batch();
                sketch.records += 1;
                expected = Some(record.sequence + 1);
            }
            Met::Hole(_) => expected = None,
            Met::Seal(seal, _) => sketch.sealed = Some(seal.next_sequence),
            Met::End(_) => return Ok(sketch),
        }
    }
}

/// The sequence after the highest in a file whose header is known.
fn end_of(file: &SegmentFile) -> Result<u64> {
    let sketch = sketch(file, file.header)?;
    let next = sketch.sealed.unwrap_or(0);
    let highest = if sketch.records > 0 { sketch.highest + 1 } else { 0 };
    Ok(next.max(highest).max(file.header.base_sequence).max(file.header.horizon))
}
