//! Which files are segments of the database, and who each of them is.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::derive::derive;
use super::Salvage;
use crate::engine::verify::problem::{Problem, Severity, Subject};
use crate::engine::verify::walk::SegmentFile;
use crate::error::{Kind, Result};
use crate::format::manifest::SealedSegment;
use crate::format::name;
use crate::format::segment::{
    SegmentHeader, SegmentKind, SyncMark, TimeNote, FOREIGN, HEADER_PAGE,
};
use crate::format::MAX_NUMBER_AT_OPEN;
use crate::memory;
use crate::segment::survey::{is_zero, Met, Survey};

/// A file with records of the database.
pub(super) struct Source {
    /// How many were found before.
    number: usize,
    pub file: SegmentFile,
    /// What the manifest knows since it was sealed.
    pub sealed: Option<SealedSegment>,
    /// So many bytes were on the medium. Behind that a crash may have torn it.
    pub synced: u64,
    /// The clock had been this far.
    pub time_ms: u64,
    /// Whether a later segment of the log has records, so that this one was written to its end.
    pub goes_on: bool,
}

impl Source {
    pub fn base(&self) -> u64 {
        self.file.header.base_sequence
    }

    pub fn is_log(&self) -> bool {
        self.file.header.kind == SegmentKind::Log
    }
}

/// What is said of a file of which nothing tells what was in it.
const UNKNOWN: &str = "its header is damaged, and its records do not tell what was in it";

/// What a file turned out to be.
enum Verdict {
    Source(SegmentHeader),
    /// Not one of the database, for this reason, and whether that is no wonder.
    Stray(&'static str, bool),
}

impl Salvage<'_> {
    /// Finds all files with records of the database, and says what is missing.
    pub(super) fn find_sources(&mut self, names: &[String], uuid: &[u8; 16]) -> Result<()> {
        let mut found = BTreeSet::new();
        let mut unknown = Vec::new();
        let segments = names.iter().filter_map(|name| Some((name::parse_segment(name)?, name)));
        let mut segments = memory::collect(segments)?;
        segments.sort_unstable();
        for (id, file_name) in segments {
            let Some((file, page)) = self.open(file_name)? else { continue };
            let source = SegmentFile { header: no_header(id), ..file };
            match self.judge(&source, &page, uuid)? {
                Some(Verdict::Source(header)) => {
                    found.insert(header.id);
                    self.add(SegmentFile { header, ..source }, &page)?;
                }
                Some(Verdict::Stray(what, is_usual)) => self.stray(&source, what, is_usual)?,
                None => memory::push(&mut unknown, (source, page))?,
            }
        }
        for (source, page) in unknown {
            self.derive_header(source, &page, &mut found)?;
        }
        self.order();
        self.tell_missing(&found)
    }

    /// Puts the sources in the order of the log, the newest first: what a later segment holds says
    /// something of those before.
    fn order(&mut self) {
        self.sources.sort_unstable_by_key(|s| (std::cmp::Reverse(s.file.header.id), s.number));
        let mut is_synced = false;
        for source in self.sources.iter_mut().filter(|source| source.is_log()) {
            let synced = source.synced;
            // A sync reaches a segment only after the ones before it.
            source.synced = if is_synced { u64::MAX } else { synced };
            is_synced |= synced > HEADER_PAGE as u64;
        }
    }

    /// Opens a file, with its first page. What cannot be read of the page is zeros.
    fn open(&mut self, name: &str) -> Result<Option<(SegmentFile, Vec<u8>)>> {
        let mut bad = |what: &str| {
            let (severity, subject) = (Severity::Damage, Subject::Missing);
            self.findings.add(Problem::new(severity, subject, name, (0, 0), what))
        };
        let file = match self.from.open(name, false) {
            Err(error) if error.is_of_file() => return bad(&error.to_string()).map(|()| None),
            file => file?,
        };
        let len = file.len()?;
        if len < HEADER_PAGE as u64 {
            // What its name says may be missed; that is told if so.
            return Ok(None);
        }
        let mut page = vec![0; HEADER_PAGE];
        match file.read_at(&mut page, 0) {
            Err(error) if error.kind() == Kind::Io => bad(&error.to_string())?,
            read => read?,
        }
        let header = no_header(0);
        // What has a higher one could not be opened.
        let below = MAX_NUMBER_AT_OPEN;
        let source = SegmentFile { name: name.into(), file, len, header, below };
        Ok(Some((source, page)))
    }

    /// What a file is, by its header and by the manifest. Nothing if neither tells.
    fn judge(
        &mut self,
        file: &SegmentFile,
        page: &[u8],
        uuid: &[u8; 16],
    ) -> Result<Option<Verdict>> {
        let (id, name) = (file.header.id, &file.name);
        let live = self.manifest.state.segments.get(&id).map(|live| live.header);
        let what = match SegmentHeader::decode_of_any(page) {
            // Its records tell whether it is its own.
            Ok((header, of)) if live == Some(header) || fits(file, header)? => {
                if of != *uuid {
                    return Ok(Some(Verdict::Stray(FOREIGN, false)));
                }
                if header.id != id {
                    let what = format!("this is segment {}", header.id);
                    self.damage(Subject::Header, name, HEADER_PAGE as u64, &what)?;
                }
                return Ok(Some(self.judge_header(header)));
            }
            Ok((_, of)) if of != *uuid => FOREIGN,
            Ok(_) => "the header is that of another segment",
            Err(what) => what,
        };
        if live.is_none() && self.is_garbage(id) {
            return Ok(Some(Verdict::Stray("a crash has left it", true)));
        }
        let Some(live) = live else { return Ok(None) };
        self.damage(Subject::Header, name, HEADER_PAGE as u64, what)?;
        Ok(Some(Verdict::Source(live)))
    }

    /// What a file with a good header is.
    fn judge_header(&self, header: SegmentHeader) -> Verdict {
        let live = self.manifest.state.segments.get(&header.id);
        if live.is_some_and(|live| live.header == header) || !self.is_garbage(header.id) {
            // If the manifest does not know it, then because it has lost it.
            return Verdict::Source(header);
        }
        match self.manifest.removed.contains(&header.id) {
            true => Verdict::Stray("it had been removed", true),
            false => Verdict::Stray("a crash has left it", true),
        }
    }

    /// Whether a segment that is not live is none that the manifest has lost.
    fn is_garbage(&self, id: u64) -> bool {
        let is_whole = self.manifest.faults.is_empty();
        self.manifest.removed.contains(&id) || is_whole && id < self.manifest.state.next_id
    }

    fn damage(&mut self, subject: Subject, name: &str, len: u64, what: &str) -> Result<()> {
        self.findings.add(Problem::new(Severity::Damage, subject, name, (0, len), what))
    }

    fn stray(&mut self, file: &SegmentFile, what: &str, is_usual: bool) -> Result<()> {
        let severity = if is_usual { Severity::Note } else { Severity::Damage };
        let what = format!("left out: {what}");
        let place = (0, file.len);
        self.findings.add(Problem::new(severity, Subject::Stray, &file.name, place, what))
    }

    /// Adds a source, whose header is known.
    fn add(&mut self, mut file: SegmentFile, page: &[u8]) -> Result<()> {
        let header = file.header;
        let live = self.manifest.state.segments.get(&header.id);
        let sealed = live.filter(|live| live.header == header).and_then(|live| live.sealed);
        let mut synced = SyncMark::decode(page, header.salt).offset;
        if let Some(sealed) = &sealed {
            file.below = file.below.min(sealed.next_sequence);
            synced = u64::MAX;
        }
        if self.manifest.state.closed.is_some_and(|tail| tail.id == header.id) {
            synced = u64::MAX;
        }
        let time_ms = TimeNote::decode(page, header.salt).now_ms;
        let number = self.sources.len();
        let source = Source { number, file, sealed, synced, time_ms, goes_on: false };
        Ok(memory::push(&mut self.sources, source)?)
    }

    /// Works out who a file is from its records.
    fn derive_header(
        &mut self,
        file: SegmentFile,
        page: &[u8],
        found: &mut BTreeSet<u64>,
    ) -> Result<()> {
        // A manifest that is whole would know it, unless its making was interrupted.
        let is_known_of = self.manifest.faults.is_empty();
        let severity = if is_known_of { Severity::Note } else { Severity::Damage };
        let others = memory::collect(self.sources.iter().map(|source| &source.file))?;
        let derived = derive(&file, page, &others)?;
        let (severity, len, what) = match &derived {
            Some((_, what)) => (severity, HEADER_PAGE as u64, what.as_str()),
            None if is_zero(&file.file, file.len)? => (Severity::Note, 0, UNKNOWN),
            None => (severity, file.len, UNKNOWN),
        };
        if derived.is_none() && severity == Severity::Damage {
            self.lost_bytes = self.lost_bytes.saturating_add(len);
        }
        let place = (0, len);
        self.findings.add(Problem::new(severity, Subject::Header, &file.name, place, what))?;
        if let Some((header, _)) = derived {
            found.insert(header.id);
            self.add(SegmentFile { header, ..file }, page)?;
        }
        Ok(())
    }

    /// Says which segments are not there.
    fn tell_missing(&mut self, found: &BTreeSet<u64>) -> Result<()> {
        let live = memory::collect(self.manifest.state.segments.values().copied())?;
        for live in live.iter().filter(|live| !found.contains(&live.header.id)) {
            let closed = self.manifest.state.closed.filter(|tail| tail.id == live.header.id);
            let (what, len) = match (live.sealed, closed) {
                (Some(sealed), _) => {
                    let records = sealed.records;
                    (format!("the segment is missing, with {records} records"), sealed.len)
                }
                (None, Some(tail)) => ("the segment is missing".into(), tail.len),
                (None, None) => ("the segment is missing".into(), 0),
            };
            self.lost_bytes = self.lost_bytes.saturating_add(len);
            let file = name::segment(live.header.id);
            let problem = Problem::new(Severity::Damage, Subject::Missing, &file, (0, len), what);
            self.findings.add(problem)?;
            self.lose_all(&live.header, live.sealed.as_ref())?;
        }
        Ok(())
    }
}

/// Whether anything in a file is as a segment with this header would have it, or nothing is in it.
fn fits(file: &SegmentFile, header: SegmentHeader) -> Result<bool> {
    let mut survey = Survey::new(Arc::clone(&file.file), header, file.len, MAX_NUMBER_AT_OPEN);
    Ok(match survey.next_item()? {
        Met::Record(_) | Met::Hole(_) | Met::Seal(..) => true,
        Met::End(end) => end.is_clean,
    })
}

/// The header of a file of which only the name is known.
fn no_header(id: u64) -> SegmentHeader {
    SegmentHeader { id, salt: 0, kind: SegmentKind::Compacted, base_sequence: 0, horizon: 0 }
}
