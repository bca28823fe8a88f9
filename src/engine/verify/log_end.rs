//! The segments that are not sealed: whether the log may end where it does.

use super::problem::{Problem, Severity, Subject};
use super::segments::{open, Opened};
use super::walk::Walked;
use super::Examiner;
use crate::error::Result;
use crate::format::manifest::Tail;
use crate::format::name;
use crate::format::segment::HEADER_PAGE;
use crate::memory;

/// How far the log is.
#[derive(Default)]
struct LogEnd {
    /// The sequence that the next segment must begin with, if that is known.
    expected: Option<u64>,
    /// Where the log ends: the file, and the byte.
    ended: Option<(String, u64)>,
    /// The sequence after the last record.
    next_sequence: u64,
}

impl Examiner<'_> {
    /// Looks at the segments that are not sealed.
    pub(super) fn log_end(&mut self) -> Result<()> {
        let state = &self.manifest.state;
        let unsealed = state.segments.values().filter(|live| live.sealed.is_none());
        let unsealed = memory::collect(unsealed.map(|live| live.header))?;
        let closed = state.closed;
        if let Some(tail) = closed {
            let ids = unsealed.iter().map(|header| header.id);
            if !ids.eq((tail.id != 0).then_some(tail.id)) {
                let (severity, subject) = (Severity::Damage, Subject::Manifest);
                let what = "it was closed with another log";
                self.findings.add(Problem::new(severity, subject, name::MANIFEST, (0, 0), what))?;
            }
        }
        let mut end = LogEnd::default();
        for header in &unsealed {
            let mut problems = Vec::new();
            if let Some(opened) = open(self.storage, header, &self.uuid, &mut problems)? {
                match closed {
                    _ if self.is_in_use => {
                        problems.retain(|problem| problem.severity == Severity::Damage);
                        self.live_segment(opened, &mut problems)?;
                    }
                    Some(tail) => self.closed_segment(opened, tail, &mut problems)?,
                    None => self.open_segment(opened, &mut end, &mut problems)?,
                }
            }
            self.settle(header.id, problems)?;
        }
        self.check_log_is_whole(&end)
    }

    /// A segment that somebody writes to: what is on the medium stays as it is.
    fn live_segment(&mut self, opened: Opened, problems: &mut Vec<Problem>) -> Result<()> {
        let Opened { mut source, synced } = opened;
        source.len = source.len.min(synced.max(HEADER_PAGE as u64));
        let mut walked = self.walk(&source)?;
        memory::extend(problems, std::mem::take(&mut walked.problems))?;
        if problems.is_empty() && walked.whole < source.len {
            let what = walked.why.as_deref().unwrap_or("the log ends before what was synced");
            memory::push(problems, lost(&source.name, walked.whole, source.len, what))?;
        }
        self.note_seen(source, &walked)
    }

    /// The last segment of a log that was closed: each byte is accounted for.
    fn closed_segment(
        &mut self,
        opened: Opened,
        tail: Tail,
        problems: &mut Vec<Problem>,
    ) -> Result<()> {
        let Opened { mut source, .. } = opened;
        if source.len != tail.len {
            let at = source.len.min(tail.len);
            let place = (at, source.len.max(tail.len) - at);
            let what = format!("the file has {} bytes, not {}", source.len, tail.len);
            let (severity, subject) = (Severity::Damage, Subject::Length);
            memory::push(problems, Problem::new(severity, subject, &source.name, place, what))?;
        }
        source.len = source.len.min(tail.len);
        let mut walked = self.walk(&source)?;
        let is_whole = walked.problems.is_empty();
        memory::extend(problems, std::mem::take(&mut walked.problems))?;
        if !is_whole {
            // That is why the rest is not as it should be.
        } else if walked.whole < source.len {
            let what = walked.why.as_deref().unwrap_or("the records end before they should");
            memory::push(problems, lost(&source.name, walked.whole, source.len, what))?;
        } else if walked.records > 0 && walked.next_sequence != tail.next_sequence {
            let what = "the last record is not the one with which the log was closed";
            let place = (walked.end, 0);
            let (severity, subject) = (Severity::Damage, Subject::Sequence);
            memory::push(problems, Problem::new(severity, subject, &source.name, place, what))?;
        }
        self.note_seen(source, &walked)
    }

    /// A segment of a log that was not closed: it may have been torn where it was not synced.
    fn open_segment(
        &mut self,
        opened: Opened,
        end: &mut LogEnd,
        problems: &mut Vec<Problem>,
    ) -> Result<()> {
        let Opened { mut source, synced } = opened;
        // A crash may have torn a mark as well.
        problems.iter_mut().for_each(|problem| {
            if problem.severity == Severity::Warning {
                problem.severity = Severity::Note;
            }
        });
        let before = self.versions.len();
        let mut walked = self.walk(&source)?;
        let follows = match (end.expected, walked.first) {
            (Some(expected), Some(first)) => expected == first,
            _ => true,
        };
        if !follows || end.ended.is_some() {
            // None of its records counts.
            walked.behind += walked.records;
        }
        if !follows {
            walked.whole = HEADER_PAGE as u64;
            walked.why = Some("the first record does not follow the segment before".into());
        }
        // What does not count is not compared.
        let is_behind_end = end.ended.is_some();
        let mut at = 0;
        self.versions.retain(|version| {
            at += 1;
            at <= before || !is_behind_end && version.offset < walked.whole
        });
        if let Some((file, at)) = &end.ended {
            if synced > HEADER_PAGE as u64 {
                let what = format!("the log ends here, but {} was synced after it", source.name);
                memory::push(problems, lost(file, *at, *at, &what))?;
            } else if walked.behind > 0 || walked.why.is_some() || !walked.is_clean {
                memory::push(
                    problems,
                    dropped(&source.name, &walked, HEADER_PAGE as u64, source.len),
                )?;
            }
            return Ok(());
        }
        let is_full = follows && walked.problems.is_empty() && walked.seal.is_some();
        end.next_sequence = match (walked.records, end.expected) {
            (0, Some(expected)) => expected,
            (0, None) => self.manifest.state.next_sequence.max(source.header.base_sequence),
            _ => walked.next_sequence,
        };
        if is_full {
            end.expected = Some(walked.next_sequence);
        } else {
            end.ended = Some((source.name.clone(), walked.whole));
            self.judge_end(&source.name, source.len, synced, &mut walked, problems)?;
            source.len = walked.whole;
        }
        self.note_seen(source, &walked)
    }

    /// The log ends in this segment. Says whether that is a torn end, or damage.
    fn judge_end(
        &self,
        name: &str,
        len: u64,
        synced: u64,
        walked: &mut Walked,
        problems: &mut Vec<Problem>,
    ) -> Result<()> {
        if walked.whole < synced {
            let found = std::mem::take(&mut walked.problems);
            if found.is_empty() {
                let what = walked.why.as_deref().unwrap_or("the log ends before what was synced");
                memory::push(problems, lost(name, walked.whole, synced, what))?;
            }
            memory::extend(problems, found)?;
        } else if walked.why.is_some() || walked.behind > 0 || !walked.is_clean {
            memory::push(problems, dropped(name, walked, walked.whole, len))?;
        }
        Ok(())
    }

    /// Everything sealed was on the medium after all that came before it: the log cannot end
    /// earlier.
    fn check_log_is_whole(&mut self, end: &LogEnd) -> Result<()> {
        let sealed = self.manifest.state.segments.values().filter_map(|live| live.sealed);
        let reached = sealed.map(|sealed| sealed.next_sequence).max().unwrap_or(0);
        match &end.ended {
            Some((file, at)) if end.next_sequence < reached => {
                let what = "the log ends before what was compacted";
                self.findings.add(lost(file, *at, *at, what))
            }
            _ => Ok(()),
        }
    }
}

/// Something that was on the medium is not there.
fn lost(name: &str, from: u64, to: u64, what: &str) -> Problem {
    let place = (from, to.saturating_sub(from));
    Problem::new(Severity::Damage, Subject::Record, name, place, what)
}

/// What an open cuts off, as a crash leaves it.
fn dropped(name: &str, walked: &Walked, from: u64, len: u64) -> Problem {
    let why = walked.why.as_deref().unwrap_or("bytes behind it are not zero");
    let whole = walked.behind;
    let (severity, what) = match whole {
        0 => (Severity::Note, format!("the log was torn and ends here: {why}")),
        _ => (
            Severity::Warning,
            format!(
                "the log was torn and ends here: {why}; {whole} whole records behind that were \
                 not synced, and the next open drops them"
            ),
        ),
    };
    Problem::new(severity, Subject::Tail, name, (from, len.saturating_sub(from)), what)
}
