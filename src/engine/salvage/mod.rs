//! Salvaging: a new database of all that is whole in one that may be damaged, and a list of what is
//! lost. The old one stays as it is.
//!
//! What counts is the log: each record that verifies, whatever the manifest, the headers, hints and
//! the checkpoint say or do not say. Of each key the newest record counts; if that is a tombstone,
//! the key is gone. The new database has compacted segments only, with the sequences that the
//! records had, and is another one: it has a uuid and a hash of its own.

mod choose;
mod derive;
mod losses;
mod output;
mod sources;

use std::ffi::OsStr;
use std::ops::Range;
use std::sync::Arc;

use super::backup::place::Place;
use super::backup::Tell;
use super::verify::index::{push, Share};
use super::verify::problem::{Findings, TellProblem};
use super::verify::report::Report;
use super::verify::walk::{walk, ClassNumber, KeyHashes, Standing, Version, Walked};
use super::verify::{common_uuid, headers_of, must_be_a_database, Course};
use crate::error::{Error, Kind, Result};
use crate::format::segment::OVERHEAD;
use crate::format::{name, MAX_NUMBER_AT_OPEN};
use crate::index::hash::KeyHasher;
use crate::index::PIECES;
use crate::manifest::examine::{self, Examined};
use crate::memory;
use crate::storage::{Lock, Parent, Storage};
use losses::Lost;
use output::Output;
use sources::Source;

/// Records that are compared at once: about 200 MB of them.
pub const RECORDS_AT_ONCE: u64 = 4 << 20;
/// A record takes 24 bytes at least, a gap apart.
const LEAST_RECORD: u64 = 24;

/// A database that is being salvaged.
struct Salvage<'a> {
    from: &'a dyn Storage,
    findings: Findings<'a>,
    course: Course<'a>,
    manifest: Examined,
    hashes: KeyHashes,
    sources: Vec<Source>,
    share: Share,
    records_at_once: u64,
    /// The whole records of the share.
    versions: Vec<Version>,
    /// Records that hints know and that are not whole.
    lost: Vec<Lost>,
    /// The sequence after all that were seen.
    next_sequence: u64,
    records: u64,
    lost_bytes: u64,
}

/// Makes the directory `name` a database of what is whole in `from`, which nobody has open. So many
/// records at once are held in memory.
pub fn salvage(
    from: &dyn Storage,
    parent: &dyn Parent,
    name: &OsStr,
    records_at_once: u64,
    tell: Tell,
    tell_problem: TellProblem,
) -> Result<Report> {
    let place = Place::new(parent, name);
    place.must_be_apart_from(from)?;
    place.must_be_free()?;
    let names = from.list()?;
    must_be_a_database(from, &names)?;
    let _lock = lock(from)?;
    let headers = headers_of(from, &names);
    let common = common_uuid(headers.values().map(|(_, uuid)| *uuid));
    let manifest = examine::examine(from, common)?;
    let uuid = manifest.identity.map(|identity| identity.uuid).or(common);
    let seed = match manifest.identity {
        Some(identity) => identity.hash_seed,
        None => from.random()?,
    };
    let other = KeyHasher::new(from.random()?);
    let mut salvage = Salvage {
        from,
        findings: Findings::new(tell_problem),
        course: Course::new(tell),
        next_sequence: manifest.state.next_sequence.min(MAX_NUMBER_AT_OPEN),
        manifest,
        hashes: KeyHashes { index: KeyHasher::new(seed), other },
        sources: Vec::new(),
        share: Share { number: 0, of: 1 },
        records_at_once,
        versions: Vec::new(),
        lost: Vec::new(),
        records: 0,
        lost_bytes: 0,
    };
    let fresh = place.begin()?;
    let target = Arc::clone(&fresh.storage);
    let mut output = Output::new(&*target);
    match salvage.fill(&names, uuid, &mut output) {
        Ok(()) => fresh.take_place(None)?,
        Err(error) => {
            fresh.abandon();
            return Err(error);
        }
    }
    Ok(salvage.report(&output))
}

/// Keeps openers out; an error if somebody has it open.
fn lock(from: &dyn Storage) -> Result<Option<Box<dyn Lock>>> {
    match from.lock_to_read(name::LOCK)? {
        Some(lock) => Ok(Some(lock)),
        // It says who.
        None => from.lock(name::LOCK).map(Some),
    }
}

impl Salvage<'_> {
    fn fill(
        &mut self,
        names: &[String],
        uuid: Option<[u8; 16]>,
        output: &mut Output,
    ) -> Result<()> {
        self.findings.add_faults(&self.manifest.faults)?;
        // Without any header there is nothing to tell foreign files by.
        let uuid = uuid.unwrap_or_default();
        self.find_sources(names, &uuid)?;
        if self.sources.is_empty() && self.manifest.identity.is_none() {
            let path = self.from.path();
            let message =
                format!("{path}: neither {} nor a segment can be made out", name::MANIFEST);
            return Err(Error::new(Kind::NotADatabase, message));
        }
        self.plan()?;
        output.base_sequence = self.sources.iter().map(Source::base).min().unwrap_or(1);
        for number in 0..self.share.of {
            self.share.number = number;
            self.collect(&uuid)?;
            output.horizon = self.next_sequence;
            self.bring(output)?;
        }
        let time_ms = self.sources.iter().map(|source| source.time_ms).max().unwrap_or(0);
        let time_ms = time_ms.max(self.manifest.state.time_ms);
        output.finish(self.next_sequence, time_ms)?;
        self.course.finish()
    }

    /// Says how much there is to do, and in how many parts.
    fn plan(&mut self) -> Result<()> {
        let bytes: u64 = self.sources.iter().map(|source| source.file.len).sum();
        let shares =
            (bytes / LEAST_RECORD).min(self.known_records()).div_ceil(self.records_at_once);
        self.share.of = shares.clamp(1, PIECES as u64) as usize;
        self.course.progress.segments_total = self.sources.len() as u64;
        // The values are read once more to be copied.
        self.course.progress.total_bytes = bytes * (self.share.of as u64 + 1);
        self.course.advance(0)
    }

    /// How many records there are at most, as far as it is known.
    fn known_records(&self) -> u64 {
        let of = |source: &Source| match source.sealed {
            Some(sealed) => sealed.records,
            None => source.file.len / LEAST_RECORD,
        };
        self.sources.iter().map(of).fold(0, u64::saturating_add)
    }

    /// Collects the records of a share; says what is lost when it does so for the first time.
    fn collect(&mut self, uuid: &[u8; 16]) -> Result<()> {
        self.versions.clear();
        let is_first = self.share.number == 0;
        let mut goes_on = false;
        for number in 0..self.sources.len() {
            self.sources[number].goes_on = goes_on;
            let walked = self.walk(number)?;
            goes_on |= self.sources[number].is_log() && walked.count > 0;
            self.next_sequence = self.next_sequence.max(walked.highest + 1);
            if is_first {
                self.course.progress.segments_done += 1;
                self.records += walked.count;
                self.tell_losses(number, uuid, walked)?;
            }
        }
        Ok(())
    }

    fn walk(&mut self, number: usize) -> Result<Found> {
        let Salvage { versions, share, course, hashes, sources, .. } = &mut *self;
        let (mut offsets, mut highest, mut count) = (Vec::new(), 0, 0);
        let has_hint = share.number == 0 && sources[number].sealed.is_some();
        let Source { synced, goes_on, .. } = sources[number];
        let mut take = |version: Version, standing: Standing| {
            highest = highest.max(version.sequence);
            if has_hint {
                memory::push(&mut offsets, version.offset)?;
            }
            count += 1;
            // A sync ends behind a whole batch, and so does a segment.
            let was_written =
                standing != Standing::Unfinished || goes_on || version.offset < synced;
            let is_wanted =
                was_written && version.class != ClassNumber::Gap && share.has(version.hash);
            if is_wanted {
                push(versions, version)
            } else {
                Ok(())
            }
        };
        let source = &sources[number].file;
        let advance = &mut |bytes| course.advance(bytes);
        let walked = walk(source, number as u32, hashes, advance, &mut take)?;
        Ok(Found { walked, offsets, highest, count })
    }

    fn report(self, output: &Output) -> Report {
        let mut report = Report::of("salvage", self.from.path(), self.findings);
        report.figures = vec![
            ("segments_read", self.sources.len() as u64),
            ("whole_records", self.records),
            ("lost_bytes", self.lost_bytes),
            ("keys_brought", output.keys),
            ("bytes_brought", output.bytes),
        ];
        report
    }
}

/// What was found in a source.
struct Found {
    walked: Walked,
    /// Where its whole records begin, if there may be a hint to compare them with.
    offsets: Vec<u64>,
    highest: u64,
    count: u64,
}

/// Parts of a file.
type Part = Range<u64>;

/// An error unless the disk has room for so many bytes more.
fn must_have_room(storage: &dyn Storage, bytes: u64) -> Result<()> {
    let need = bytes.saturating_add(OVERHEAD as u64);
    let free = storage.free_bytes()?.free;
    if free >= need {
        return Ok(());
    }
    let what = format!("{} needs {need} bytes, and the disk has {free}", storage.path());
    Err(Error::new(Kind::NoSpace, what))
}
