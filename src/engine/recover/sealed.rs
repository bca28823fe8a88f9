//! The sealed segments: their digests come from hints, or else from walking through them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;

use super::replay::{threads_for, Part};
use super::Recovery;
use crate::error::{passed_over, Error, Result};
use crate::format::hint::{self, Digest};
use crate::format::manifest::SealedSegment;
use crate::format::name;
use crate::format::record::{Record, RecordKind, Seal, SEAL_LEN};
use crate::format::segment::{SegmentHeader, SegmentKind, HEADER_PAGE};
use crate::manifest::LiveSegment;
use crate::memory;
use crate::segment::digest::{self, End};
use crate::segment::scan::Scan;
use crate::segment::{Segment, Source};
use crate::storage::{process, read_part, File, Storage};

/// Digests of about so many records are held in memory at once: some 160 MB of them.
const RECORDS_AT_ONCE: u64 = 16 << 20;

/// A sealed segment, opened.
pub(super) struct Opened {
    pub(super) segment: Arc<Segment>,
    sealed: SealedSegment,
    /// Whether the seal is there.
    pub(super) has_seal: bool,
}

/// What is known of the records of a segment.
struct Known {
    digest: Digest,
    next_sequence: u64,
    /// Whether it was in a hint.
    is_from_hint: bool,
    /// What the digest ends with, if that is not the seal.
    damage: Option<Error>,
}

impl Recovery {
    /// Opens all sealed segments.
    pub(super) fn open_sealed(&mut self, live: &[LiveSegment]) -> Result<Vec<Opened>> {
        let mut opened = Vec::new();
        for segment in live {
            let Some(sealed) = segment.sealed else { continue };
            match self.open_one(segment.header, sealed) {
                Ok(segment) => memory::push(&mut opened, segment)?,
                Err(error) => self.tolerate(Err(error))?,
            }
        }
        Ok(opened)
    }

    /// Takes the records of all sealed segments into the index, unless they are there already.
    pub(super) fn read_sealed(&mut self, opened: &[Opened]) -> Result<()> {
        let is_old = |opened: &&Opened| !self.has_news(opened);
        let reached = opened.iter().filter(is_old).map(|old| old.sealed.next_sequence).max();
        let opened = memory::collect(opened.iter().filter(|opened| self.has_news(opened)))?;
        self.next_sequence = self.next_sequence.max(reached.unwrap_or(0));
        let mut rest = opened.as_slice();
        while !rest.is_empty() {
            let mut records = 0_u64;
            let fit = rest.iter().take_while(|opened| {
                // What the manifest says was not compared with the files yet.
                records = records.saturating_add(opened.sealed.records);
                records <= RECORDS_AT_ONCE
            });
            let group;
            (group, rest) = rest.split_at(fit.count().max(1));
            self.read_group(group)?;
        }
        Ok(())
    }

    /// Whether the checkpoint does not reflect all of a segment.
    fn has_news(&self, opened: &Opened) -> bool {
        let header = &opened.segment.header;
        let Some(basis) = self.basis.as_ref().filter(|basis| basis.knows(header.id)) else {
            return true;
        };
        // A checkpoint is taken when what was compacted is in its place.
        let is_newer = opened.sealed.next_sequence > basis.first_news();
        !opened.has_seal || header.kind == SegmentKind::Log && is_newer
    }

    /// Opens a sealed segment: the file is there, has the right length, and begins and ends as it
    /// must.
    fn open_one(&mut self, header: SegmentHeader, sealed: SealedSegment) -> Result<Opened> {
        let (file, _, path) = self.open_segment(header, true)?;
        let len = file.len()?;
        if len != sealed.len {
            let what = format!("the file has {len} bytes, not {}", sealed.len);
            return Err(Error::corrupt(&path, len.min(sealed.len), what));
        }
        // Where records begin: a single one begins in the first page, however long it is.
        let span = if sealed.records == 1 { HEADER_PAGE as u64 + 8 } else { len };
        let source = Source::Sealed(self.opener.sealed(header.id, len));
        let storage = Arc::clone(&self.storage);
        let make = |base| Segment::new(header, &*storage, source, base);
        let segment = self.table.add(header.id, span, make)?;
        segment.set_expiring(sealed.expiring);
        let has_seal = has_seal(&*file, &header, &sealed)?;
        Ok(Opened { segment, sealed, has_seal })
    }

    /// Takes the records of some segments into the index.
    fn read_group(&mut self, group: &[&Opened]) -> Result<()> {
        let records = group.iter().map(|opened| opened.sealed.records);
        let threads = threads_for(records.fold(0, u64::saturating_add));
        let next = AtomicUsize::new(0);
        let found = process::in_parallel(threads, |_| {
            let mut found = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let Some(opened) = group.get(number) else { return Ok(found) };
                memory::push(&mut found, (number, self.digest_of(opened)))?;
            }
        });
        let mut all: Vec<(usize, Result<Known>)> = Vec::new();
        found.into_iter().try_for_each(|found: Result<_>| -> Result<()> {
            Ok(memory::extend(&mut all, found?)?)
        })?;
        all.sort_unstable_by_key(|(number, _)| *number);
        let mut parts: Vec<Part> = Vec::new();
        parts.try_reserve_exact(all.len())?;
        for (number, known) in all {
            let known = known?;
            let segment = &group[number].segment;
            // Of what is served of a damaged one as well: a snapshot sees what is below this.
            self.next_sequence = self.next_sequence.max(known.next_sequence);
            if let Some(damage) = known.damage {
                self.tolerate(Err(damage))?;
            } else {
                self.unhinted.try_reserve(1)?;
                self.unhinted.extend((!known.is_from_hint).then_some(segment.header.id));
            }
            parts.push((Arc::clone(segment), known.digest));
        }
        self.replay(&parts)
    }

    fn digest_of(&self, opened: &Opened) -> Result<Known> {
        let (header, sealed) = (&opened.segment.header, &opened.sealed);
        let uuid = &self.manifest.identity().uuid;
        let hint = || read_hint(&*self.storage, uuid, header, sealed);
        if let Some(digest) = opened.has_seal.then(hint).transpose()?.flatten() {
            let next_sequence = sealed.next_sequence;
            return Ok(Known { digest, next_sequence, is_from_hint: true, damage: None });
        }
        let file = self.storage.open(&name::segment(header.id), false)?;
        let mut scan = Scan::new(file, *header, sealed.len);
        let walked = digest::of_scan(&mut scan, header.kind, |key| self.hasher.hash(key))?;
        let what = match walked.end {
            End::Seal(seal)
                if scan.offset() == sealed.len
                    && seal.records == sealed.records
                    && seal.next_sequence == sealed.next_sequence =>
            {
                None
            }
            End::Seal(_) => Some("the seal is not the one in the manifest"),
            End::End => Some("the records end before the seal"),
            End::Damage(what) => Some(what),
        };
        let damage = what.map(|what| opened.segment.damaged(scan.offset(), what));
        let next_sequence = scan.whole().next_sequence;
        Ok(Known { digest: walked.digest, next_sequence, is_from_hint: false, damage })
    }
}

/// The digest in the segment's hint. Whatever is wrong with it, there is none; an error if there
/// is no memory for it.
pub(in crate::engine) fn read_hint(
    storage: &dyn Storage,
    uuid: &[u8; 16],
    header: &SegmentHeader,
    sealed: &SealedSegment,
) -> Result<Option<Digest>> {
    let file = storage.open(&name::hint(header.id), false);
    let opened = file.and_then(|file| file.len().map(|len| (file, len)));
    let Some((file, len)) = passed_over(opened)? else { return Ok(None) };
    // No entry is longer than the shortest record.
    if len > sealed.len.saturating_add(hint::HEADER_LEN as u64) {
        return Ok(None);
    }
    let bytes = passed_over(read_part(&*file, 0, len as usize, "a hint"))?;
    Ok(bytes.and_then(|bytes| Digest::decode(bytes, uuid, header, sealed)))
}

/// Whether the segment ends with the seal that the manifest knows.
pub(in crate::engine) fn has_seal(
    file: &dyn File,
    header: &SegmentHeader,
    sealed: &SealedSegment,
) -> Result<bool> {
    let mut bytes = [0; SEAL_LEN];
    let Some(offset) = sealed.len.checked_sub((HEADER_PAGE + SEAL_LEN) as u64) else {
        return Ok(false);
    };
    let offset = offset + HEADER_PAGE as u64;
    file.read_at(&mut bytes, offset)?;
    let Some(record) = Record::decode(&bytes) else { return Ok(false) };
    let expected = Seal { records: sealed.records, next_sequence: sealed.next_sequence };
    Ok(record.header.kind == RecordKind::Seal
        && record.verifies(header.salt, offset)
        && Seal::decode(&record) == expected)
}
