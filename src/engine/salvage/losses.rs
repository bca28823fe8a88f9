//! What is lost of a segment: as exactly as its hint, or what stands there, can tell.

use super::{Found, Part, Salvage, Source};
use crate::engine::recover::read_hint;
use crate::engine::verify::problem::{Problem, Severity, Subject};
use crate::error::{passed_over, Result};
use crate::format::hint::{Digest, Entry};
use crate::format::manifest::SealedSegment;
use crate::format::record::{Class, Record, SEAL_LEN};
use crate::format::segment::SegmentHeader;
use crate::format::MAX_KEY_LEN;
use crate::memory;
use crate::storage::{read_part, File};

/// Bytes of a record before its value, at most.
const LONGEST_HEAD: u64 = 64 + MAX_KEY_LEN as u64;

/// A record that is lost, and of which a hint tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Lost {
    pub hash: u64,
    pub sequence: u64,
    /// Whether it was a value, and not the deletion of one.
    pub is_put: bool,
}

impl Lost {
    fn of(entry: &Entry) -> Option<Lost> {
        let is_put = match entry.class {
            Class::Put | Class::ExpiringPut => true,
            Class::Tombstone => false,
            Class::Gap => return None,
        };
        Some(Lost { hash: entry.hash, sequence: entry.sequence, is_put })
    }
}

impl Salvage<'_> {
    /// Says what is lost of the `number`-th source.
    pub(super) fn tell_losses(
        &mut self,
        number: usize,
        uuid: &[u8; 16],
        found: Found,
    ) -> Result<()> {
        let source = &self.sources[number];
        let (header, sealed, synced) = (source.file.header, source.sealed, source.synced);
        let goes_on = source.goes_on;
        let hint = sealed.map(|sealed| self.hint(uuid, &header, &sealed));
        let hint = hint.transpose()?.flatten();
        let mut losses: Vec<Problem> = Vec::new();
        for mut problem in found.walked.problems {
            if problem.offset >= synced {
                problem.severity = match problem.subject {
                    Subject::Batch if !goes_on => Severity::Note,
                    _ => Severity::Warning,
                };
                problem.what += "; a crash may have torn it";
            } else if problem.subject == Subject::Batch {
                problem.what += ", and they are kept";
            }
            // A hint tells the same in more detail.
            if hint.is_none() || problem.subject != Subject::Record {
                memory::push(&mut losses, problem)?;
            }
        }
        let end = found.walked.end;
        if let Some(hint) = &hint {
            let missing =
                hint.entries().filter(|e| found.offsets.binary_search(&e.offset).is_err());
            let missing: Vec<Entry> = memory::collect(missing)?;
            for entry in &missing {
                memory::extend(&mut losses, self.loss(&self.sources[number], entry)?)?;
            }
            let lost = missing.iter().filter_map(Lost::of);
            // Without the manifest the hash in hints is not known.
            if self.manifest.identity.is_some() {
                memory::extend(&mut self.lost, lost)?;
            }
        } else if let Some(missing) = self.missing_end(&self.sources[number], end) {
            let place = (missing.start, missing.end - missing.start);
            let what = found.walked.torn.as_deref().unwrap_or("the records end before they should");
            let name = &self.sources[number].file.name;
            let is_told = losses.iter().any(|loss| loss.offset == missing.start);
            if !is_told {
                let severity = Severity::Damage;
                let loss = Problem::new(severity, Subject::Record, name, place, what);
                memory::push(&mut losses, loss)?;
            }
        } else if let Some(why) = found.walked.torn.filter(|_| sealed.is_none()) {
            let source = &self.sources[number].file;
            let place = (end, source.len.saturating_sub(end));
            let what = format!("the log was torn and ends here: {why}");
            let tail = Problem::new(Severity::Note, Subject::Tail, &source.name, place, what);
            memory::push(&mut losses, tail)?;
        }
        losses.into_iter().try_for_each(|loss| {
            let is_lost = loss.severity == Severity::Damage && loss.subject == Subject::Record;
            let lost = if is_lost { loss.len } else { 0 };
            self.lost_bytes = self.lost_bytes.saturating_add(lost);
            self.findings.add(loss)
        })
    }

    /// What is missing at the end of a source whose records end at `end`.
    fn missing_end(&self, source: &Source, end: u64) -> Option<Part> {
        let closed = self.manifest.state.closed.filter(|tail| tail.id == source.file.header.id);
        let should_be = match (source.sealed, closed) {
            // The seal itself is no loss.
            (Some(sealed), _) => sealed.len.saturating_sub(SEAL_LEN as u64),
            (None, Some(tail)) => tail.len,
            (None, None) => source.synced,
        };
        (end < should_be && should_be != u64::MAX).then_some(end..should_be)
    }

    /// A record of which the hint tells and that is not whole.
    fn loss(&self, source: &Source, entry: &Entry) -> Result<Option<Problem>> {
        let what = match entry.class {
            Class::Gap => return Ok(None),
            Class::Tombstone => "the record of a deletion is lost; it is known from the hint",
            Class::Put | Class::ExpiringPut => "the value is lost",
        };
        // That a key is gone is known all the same.
        let severity = match entry.class {
            Class::Tombstone => Severity::Warning,
            _ => Severity::Damage,
        };
        let place = (entry.offset, entry.len);
        let problem = Problem::new(severity, Subject::Record, &source.file.name, place, what);
        let key = key_at(&*source.file.file, entry.offset, source.file.len)?;
        let is_right = |key: &Vec<u8>| self.hashes.index.hash(key) == entry.hash;
        Ok(Some(problem.with_key(key.filter(is_right))))
    }

    /// Loses all records of a segment that is missing, as far as its hint knows them.
    pub(super) fn lose_all(
        &mut self,
        header: &SegmentHeader,
        sealed: Option<&SealedSegment>,
    ) -> Result<()> {
        let Some(identity) = self.manifest.identity else { return Ok(()) };
        let hint = sealed.map(|sealed| self.hint(&identity.uuid, header, sealed));
        if let Some(hint) = hint.transpose()?.flatten() {
            let lost = hint.entries().filter_map(|entry| Lost::of(&entry));
            memory::extend(&mut self.lost, lost)?;
        }
        Ok(())
    }

    fn hint(
        &self,
        uuid: &[u8; 16],
        header: &SegmentHeader,
        sealed: &SealedSegment,
    ) -> Result<Option<Digest>> {
        // The seed of its hashes is the manifest's.
        match self.manifest.identity {
            Some(_) => read_hint(self.from, uuid, header, sealed),
            None => Ok(None),
        }
    }
}

/// The key that seems to stand at an offset.
fn key_at(file: &dyn File, offset: u64, len: u64) -> Result<Option<Vec<u8>>> {
    let Some(len) = len.checked_sub(offset) else { return Ok(None) };
    let len = len.min(LONGEST_HEAD) as usize;
    let bytes = passed_over(read_part(file, offset, len, "a record"))?.unwrap_or_default();
    let head = Record::decode_head(&bytes);
    Ok(head.map(|head| memory::copy(head.key())).transpose()?)
}
