//! Verifying a database: every checksum, every structure, and each against the others. Nothing is
//! changed, and what is wrong in one place does not keep the rest from being looked at.
//!
//! A database that nobody has open is kept closed meanwhile, by a lock that several who verify can
//! share. One that is open is read beside its owner, as far as it is on the medium: sealed segments
//! do not change, and what an unsealed one holds below its sync mark does not either.

mod checkpoint;
mod hint;
pub(super) mod index;
mod leftovers;
mod log_end;
pub mod problem;
pub mod report;
pub(super) mod segments;
pub(super) mod walk;

use std::collections::BTreeMap;

use super::backup::Tell;
use super::compact::Progress;
use super::recover::misses_window;
use crate::error::{Error, Kind, Result};
use crate::format::segment::{SegmentHeader, HEADER_PAGE};
use crate::format::{name, MAX_NUMBER_AT_OPEN};
use crate::index::hash::KeyHasher;
use crate::manifest::examine::{self, Examined};
use crate::memory;
use crate::storage::Storage;
use index::{Compared, Comparison, Known, Seen, Share};
use problem::{Findings, Problem, Severity, Subject, TellProblem};
use report::Report;
use walk::{KeyHashes, Version};

/// Records that are compared at once: about 300 MB of them.
pub const RECORDS_AT_ONCE: u64 = 4 << 20;
/// A record takes 24 bytes at least, a gap apart.
const LEAST_RECORD: u64 = 24;

/// How far it is, and who is told.
pub(super) struct Course<'a> {
    tell: Tell<'a>,
    pub progress: Progress,
}

impl<'a> Course<'a> {
    pub fn new(tell: Tell<'a>) -> Course<'a> {
        Course { tell, progress: Progress::default() }
    }

    /// All is done, also what could not be read.
    pub fn finish(&mut self) -> Result<()> {
        let left = self.progress.total_bytes.saturating_sub(self.progress.done_bytes);
        self.advance(left)
    }

    /// So many bytes more are done. An error if that is enough.
    pub fn advance(&mut self, bytes: u64) -> Result<()> {
        let progress = &mut self.progress;
        progress.done_bytes += bytes;
        progress.total_bytes = progress.total_bytes.max(progress.done_bytes);
        match (self.tell)(progress) {
            std::ops::ControlFlow::Continue(()) => Ok(()),
            std::ops::ControlFlow::Break(()) => {
                Err(Error::new(Kind::Cancelled, "the progress function cancelled it"))
            }
        }
    }
}

/// What was looked at.
#[derive(Default)]
struct Figures {
    records: u64,
    hints: u64,
}

/// A database that is being verified.
struct Examiner<'a> {
    storage: &'a dyn Storage,
    findings: Findings<'a>,
    course: Course<'a>,
    manifest: Examined,
    uuid: [u8; 16],
    hashes: KeyHashes,
    is_in_use: bool,
    known: Option<Known>,
    seen: Vec<Seen>,
    /// The records of the share that is compared.
    versions: Vec<Version>,
    share: Share,
    records_at_once: u64,
    figures: Figures,
}

/// Verifies the database in `storage`, with so many records at once in memory. `tell` is told how
/// far it is, `tell_problem` of each problem when it is found; either can end it.
pub fn verify(
    storage: &dyn Storage,
    records_at_once: u64,
    tell: Tell,
    tell_problem: TellProblem,
) -> Result<Report> {
    let names = storage.list()?;
    must_be_a_database(storage, &names)?;
    let lock = storage.lock_to_read(name::LOCK)?;
    let headers = headers_of(storage, &names);
    let common = common_uuid(headers.values().map(|(_, uuid)| *uuid));
    let manifest = examine::examine(storage, common)?;
    let Some(uuid) = manifest.identity.map(|identity| identity.uuid).or(common) else {
        let path = storage.path();
        let message = format!("{path}: neither {} nor a segment can be made out", name::MANIFEST);
        return Err(Error::new(Kind::NotADatabase, message));
    };
    let seed = manifest.identity.map_or([0; 16], |identity| identity.hash_seed);
    let mut examiner = Examiner {
        storage,
        findings: Findings::new(tell_problem),
        course: Course::new(tell),
        manifest,
        uuid,
        hashes: KeyHashes { index: KeyHasher::new(seed), other: KeyHasher::new(storage.random()?) },
        is_in_use: lock.is_none(),
        known: None,
        seen: Vec::new(),
        versions: Vec::new(),
        share: Share { number: 0, of: 1 },
        records_at_once,
        figures: Figures::default(),
    };
    let compared = examiner.examine(&names)?;
    Ok(examiner.report(&compared))
}

impl<'a> Examiner<'a> {
    fn examine(&mut self, names: &[String]) -> Result<Compared> {
        self.tell_manifest()?;
        self.plan(names)?;
        self.known = match self.is_in_use {
            // It may be replaced at any moment.
            true => None,
            false => {
                let Examiner { storage, uuid, findings, course, .. } = &mut *self;
                checkpoint::examine(*storage, uuid, findings, &mut |n| course.advance(n))?
            }
        };
        self.sealed_segments()?;
        self.log_end()?;
        self.numbers()?;
        if !self.is_in_use {
            self.leftovers(names)?;
        }
        let mut compared = Compared::default();
        if !self.is_in_use && !self.findings.has_damage() {
            self.compare(&mut compared)?;
        }
        self.course.finish()?;
        Ok(compared)
    }

    fn tell_manifest(&mut self) -> Result<()> {
        self.findings.add_faults(&self.manifest.faults)?;
        match &self.manifest.torn {
            // It is being written.
            Some(_) if self.is_in_use => Ok(()),
            Some(torn) => {
                let what = format!("a crash has torn the last frame: {}", torn.what);
                let place = (torn.offset, torn.len);
                let (severity, subject) = (Severity::Note, Subject::Manifest);
                self.findings.add(Problem::new(severity, subject, name::MANIFEST, place, what))
            }
            None => Ok(()),
        }
    }

    /// Sequences and ids are far from their end.
    fn numbers(&mut self) -> Result<()> {
        let ends = self.seen.iter().map(|seen| seen.sequences.end);
        let state = &self.manifest.state;
        let highest = ends.fold(state.next_sequence.max(state.next_id), u64::max);
        if highest <= MAX_NUMBER_AT_OPEN {
            return Ok(());
        }
        let what = "sequences or ids are higher than any that was written";
        let (severity, subject) = (Severity::Damage, Subject::Sequence);
        self.findings.add(Problem::new(severity, subject, name::MANIFEST, (0, 0), what))
    }

    /// Says how much there is to do, and in how many parts.
    fn plan(&mut self, names: &[String]) -> Result<()> {
        let (mut bytes, mut records) = (self.manifest.len, 0);
        for name in names {
            let is_index = name == name::INDEX;
            let id = name::parse_segment(name);
            let live = id.and_then(|id| self.manifest.state.segments.get(&id));
            if live.is_none() && !is_index {
                continue;
            }
            let len = self.storage.open(name, false).and_then(|file| file.len()).unwrap_or(0);
            bytes += len;
            if let Some(live) = live {
                self.course.progress.segments_total += 1;
                let sealed = live.sealed.map(|sealed| sealed.records);
                records += sealed.unwrap_or(len).min(len / LEAST_RECORD);
            }
        }
        let of = records.div_ceil(self.records_at_once).clamp(1, crate::index::PIECES as u64);
        self.share.of = of as usize;
        self.course.progress.total_bytes = bytes * if self.is_in_use { 1 } else { of };
        self.course.advance(self.manifest.len)
    }

    /// The sequence after the last write that the log knows of. Compaction may have taken the
    /// records of the last ones; then the manifest tells, unless the log goes on behind it.
    fn reached(&self) -> u64 {
        let state = &self.manifest.state;
        let is_log_end = |seen: &Seen| {
            let live = state.segments.get(&seen.source.header.id);
            live.is_some_and(|live| live.sealed.is_none()) && !seen.sequences.is_empty()
        };
        let told = if self.seen.iter().any(is_log_end) { 1 } else { state.next_sequence };
        self.seen.iter().map(|seen| seen.sequences.end).fold(told, u64::max)
    }

    /// Compares the records of all segments with one another, a share after the other.
    fn compare(&mut self, compared: &mut Compared) -> Result<()> {
        let reached = self.reached();
        if let Some(known) = &mut self.known {
            let live = memory::collect(self.manifest.state.segments.values().copied())?;
            let refused = if known.checkpoint.sequence_end > reached {
                Some((Severity::Warning, "it knows more than the log has, and is not used"))
            } else if misses_window(&known.checkpoint, &live) {
                let what = "a segment is gone that was written to beside it; it is not used";
                Some((Severity::Note, what))
            } else {
                None
            };
            known.is_current = refused.is_none();
            if let Some((severity, what)) = refused {
                let subject = Subject::Checkpoint;
                let problem = Problem::new(severity, subject, name::INDEX, (0, 0), what);
                self.findings.add(problem)?;
            }
        }
        for number in 0..self.share.of {
            if number > 0 {
                self.share.number = number;
                self.collect_again()?;
            }
            let mut versions = std::mem::take(&mut self.versions);
            let share = self.share;
            self.comparison(compared).compare(&mut versions, share)?;
            versions.clear();
            self.versions = versions;
        }
        self.comparison(compared).segments()
    }

    fn comparison<'c>(&'c mut self, compared: &'c mut Compared) -> Comparison<'c, 'a> {
        Comparison {
            segments: &mut self.seen,
            known: self.known.as_ref(),
            findings: &mut self.findings,
            compared,
        }
    }

    fn report(self, compared: &Compared) -> Report {
        let mut report = Report::of("verify", self.storage.path(), self.findings);
        report.is_in_use = self.is_in_use;
        let bytes = self.seen.iter().map(|seen| seen.source.len).sum();
        report.figures = vec![
            ("manifest_frames", self.manifest.frames),
            ("segments", self.seen.len() as u64),
            ("segment_bytes", bytes),
            ("records", self.figures.records),
            ("hints", self.figures.hints),
            ("keys_compared", compared.keys),
            ("index_entries_compared", compared.entries),
        ];
        report
    }
}

/// An error if there is nothing that could be a database.
pub(super) fn must_be_a_database(storage: &dyn Storage, names: &[String]) -> Result<()> {
    let is_ours = |name: &&String| *name == name::MANIFEST || name::parse_segment(name).is_some();
    if names.iter().any(|name| is_ours(&name)) {
        return Ok(());
    }
    let (path, other) = (storage.path(), names.iter().find(|name| !name::is_ours(name)));
    Err(match other {
        Some(other) => {
            let message = format!("{path} is not a libkv database: it holds {other}, no segment");
            Error::new(Kind::NotADatabase, message)
        }
        None => Error::new(Kind::DoesNotExist, format!("{path} holds no database")),
    })
}

/// The headers of all files of segments whose headers verify, by their names, with their uuids.
pub(super) fn headers_of(
    storage: &dyn Storage,
    names: &[String],
) -> BTreeMap<String, (SegmentHeader, [u8; 16])> {
    let mut headers = BTreeMap::new();
    for name in names.iter().filter(|name| name::parse_segment(name).is_some()) {
        let mut page = vec![0; HEADER_PAGE];
        let read = storage.open(name, false).and_then(|file| file.read_at(&mut page, 0));
        if let (Ok(()), Ok(found)) = (read, SegmentHeader::decode_of_any(&page)) {
            headers.insert(name.clone(), found);
        }
    }
    headers
}

/// The uuid that most of these are.
pub(super) fn common_uuid(uuids: impl Iterator<Item = [u8; 16]>) -> Option<[u8; 16]> {
    let mut counts: BTreeMap<[u8; 16], u64> = BTreeMap::new();
    uuids.for_each(|uuid| *counts.entry(uuid).or_default() += 1);
    counts.into_iter().max_by_key(|(_, count)| *count).map(|(uuid, _)| uuid)
}
