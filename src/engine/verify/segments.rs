//! The segments of a database, each for itself: header page, records, seal, expiry times, hint.

use std::sync::Arc;

use super::index::{push, Dead, Seen, Share};
use super::problem::{Problem, Severity, Subject};
use super::walk::{walk, SegmentFile, Standing, Version, Walked};
use super::{hint, Examiner};
use crate::error::{Kind, Result};
use crate::format::manifest::SealedSegment;
use crate::format::name;
use crate::format::record::{Seal, SEAL_LEN};
use crate::format::segment::{oddities, SegmentHeader, SegmentKind, SyncMark, HEADER_PAGE};
use crate::format::MAX_NUMBER;
use crate::manifest::examine;
use crate::memory;
use crate::storage::{File, Storage};

/// The file of a segment, opened, with what its header page says.
pub(in crate::engine) struct Opened {
    pub source: SegmentFile,
    /// So many bytes are on the medium.
    pub synced: u64,
}

/// Keeps those versions that count and are of `share`.
fn taking(
    versions: &mut Vec<Version>,
    share: Share,
) -> impl FnMut(Version, Standing) -> Result<()> + '_ {
    move |version, standing| {
        let is_counted = standing == Standing::Counts && share.has(version.hash);
        if is_counted {
            push(versions, version)
        } else {
            Ok(())
        }
    }
}

/// Opens the file of the segment that the manifest knows as `header`, and adds to `problems` what
/// is wrong with its first page. Nothing if it cannot be walked through.
pub(in crate::engine) fn open(
    storage: &dyn Storage,
    header: &SegmentHeader,
    uuid: &[u8; 16],
    problems: &mut Vec<Problem>,
) -> Result<Option<Opened>> {
    let name = name::segment(header.id);
    let mut bad = |subject, len: u64, what: &str| {
        problems.push(Problem::new(Severity::Damage, subject, &name, (0, len), what));
    };
    let file = match storage.open(&name, false) {
        Ok(file) => file,
        Err(error) if error.kind() == Kind::DoesNotExist => {
            bad(Subject::Missing, 0, "the file is missing");
            return Ok(None);
        }
        Err(error) if error.is_of_file() => {
            bad(Subject::Missing, 0, &error.to_string());
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let len = file.len()?;
    if len < HEADER_PAGE as u64 {
        bad(Subject::Header, len, "the file is shorter than a header page");
        return Ok(None);
    }
    let mut page = vec![0; HEADER_PAGE];
    match file.read_at(&mut page, 0) {
        Err(error) if error.kind() == Kind::Io => {
            bad(Subject::Header, HEADER_PAGE as u64, &error.to_string());
        }
        read => {
            read?;
            match SegmentHeader::decode(&page, uuid) {
                Ok(found) if found == *header => {}
                Ok(found) => {
                    let what = match found.id == header.id {
                        true => "the header is not the one in the manifest".to_owned(),
                        false => format!("this is segment {}", found.id),
                    };
                    bad(Subject::Header, HEADER_PAGE as u64, &what);
                    return Ok(None);
                }
                Err(what) => {
                    bad(Subject::Header, HEADER_PAGE as u64, what);
                    if what == crate::format::segment::FOREIGN {
                        return Ok(None);
                    }
                }
            }
        }
    }
    for (at, what) in oddities(&page, header.salt) {
        let place = (at as u64, 1);
        memory::push(
            problems,
            Problem::new(Severity::Warning, Subject::Header, &name, place, what),
        )?;
    }
    let synced = SyncMark::decode(&page, header.salt).offset;
    let source = SegmentFile { name, file, len, header: *header, below: MAX_NUMBER };
    Ok(Some(Opened { source, synced }))
}

impl Examiner<'_> {
    /// Looks at all sealed segments.
    pub(super) fn sealed_segments(&mut self) -> Result<()> {
        let live = memory::collect(self.manifest.state.segments.values().copied())?;
        for segment in live {
            if let Some(sealed) = &segment.sealed {
                let mut problems = Vec::new();
                self.sealed_segment(&segment.header, sealed, &mut problems)?;
                self.settle(segment.header.id, problems)?;
            }
        }
        Ok(())
    }

    fn sealed_segment(
        &mut self,
        header: &SegmentHeader,
        sealed: &SealedSegment,
        problems: &mut Vec<Problem>,
    ) -> Result<()> {
        let Some(opened) = open(self.storage, header, &self.uuid, problems)? else { return Ok(()) };
        let Opened { mut source, .. } = opened;
        let name = source.name.clone();
        let mut bad = Vec::new();
        if source.len != sealed.len {
            let what = format!("the file has {} bytes, not {}", source.len, sealed.len);
            let at = source.len.min(sealed.len);
            bad.push((Subject::Length, at, source.len.max(sealed.len) - at, what));
        }
        source.len = source.len.min(sealed.len);
        source.below = sealed.next_sequence;
        let mut walked = self.walk(&source)?;
        let is_whole = walked.problems.is_empty();
        if is_whole {
            let seal = Seal { records: sealed.records, next_sequence: sealed.next_sequence };
            let at = sealed.len.saturating_sub(SEAL_LEN as u64);
            if walked.seal != Some((seal, at)) {
                let why = walked.why.clone();
                let what = why.unwrap_or_else(|| "the seal is not the one in the manifest".into());
                bad.push((
                    Subject::Seal,
                    walked.end,
                    sealed.len - walked.end.min(sealed.len),
                    what,
                ));
            } else if walked.expiring != sealed.expiring {
                let what = "what the manifest says of values that expire is not so".into();
                bad.push((Subject::Expiry, 0, 0, what));
            }
            let is_compacted = header.kind == SegmentKind::Compacted;
            if is_compacted && walked.records > 0 && walked.next_sequence > header.horizon {
                let what = "it has records that are newer than its horizon".into();
                bad.push((Subject::Sequence, 0, 0, what));
            }
        }
        let is_whole = is_whole && bad.is_empty();
        let compare = (is_whole && self.manifest.identity.is_some()).then_some(&walked);
        let (has_hint, about_hint) =
            hint::examine(self.storage, &self.uuid, header, sealed, compare)?;
        self.figures.hints += u64::from(has_hint);
        for (subject, at, len, what) in bad {
            memory::push(
                problems,
                Problem::new(Severity::Damage, subject, &name, (at, len), what),
            )?;
        }
        if !self.is_in_use {
            memory::extend(problems, about_hint)?;
        }
        memory::extend(problems, std::mem::take(&mut walked.problems))?;
        self.note_seen(source, &walked)
    }

    /// Walks through a segment, and keeps the records that are to be compared.
    pub(super) fn walk(&mut self, source: &SegmentFile) -> Result<Walked> {
        let Examiner { versions, share, course, hashes, seen, .. } = &mut *self;
        let number = seen.len() as u32;
        let mut advance = |n| course.advance(n);
        let walked = walk(source, number, hashes, &mut advance, &mut taking(versions, *share))?;
        self.course.progress.segments_done += 1;
        self.figures.records += walked.records + walked.behind;
        Ok(walked)
    }

    /// Keeps what is needed to compare segments with one another.
    pub(super) fn note_seen(&mut self, source: SegmentFile, walked: &Walked) -> Result<()> {
        let first = walked.first.unwrap_or(walked.next_sequence);
        let known = self.known.as_ref().and_then(|known| {
            let mut segments = known.checkpoint.segments.iter();
            segments.find(|known| known.id == source.header.id).copied()
        });
        let (expiring, sequences) = (walked.expiring, first..walked.next_sequence);
        let dead = [Dead::default(); 2];
        Ok(memory::push(&mut self.seen, Seen { source, sequences, expiring, known, dead })?)
    }

    /// Collects the records of another share.
    pub(super) fn collect_again(&mut self) -> Result<()> {
        let Examiner { versions, share, course, hashes, seen, .. } = &mut *self;
        for (number, seen) in seen.iter().enumerate() {
            let take = &mut taking(versions, *share);
            let advance = &mut |n| course.advance(n);
            walk(&seen.source, number as u32, hashes, advance, take)?;
        }
        Ok(())
    }

    /// Tells the problems of a segment, unless its owner has removed it meanwhile.
    pub(super) fn settle(&mut self, id: u64, problems: Vec<Problem>) -> Result<()> {
        if self.is_in_use && !problems.is_empty() {
            let now = examine::examine(self.storage, Some(self.uuid))?;
            if !now.state.segments.contains_key(&id) {
                return Ok(());
            }
        }
        problems.into_iter().try_for_each(|problem| self.findings.add(problem))
    }

    /// The file under a name, if it can be opened.
    pub(super) fn file(&self, name: &str) -> Option<Arc<dyn File>> {
        self.storage.open(name, false).ok()
    }
}
