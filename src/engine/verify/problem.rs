//! What is found wrong with a database: each thing with its place, and all of it as a report.

use std::ops::ControlFlow;

use crate::error::{Error, Kind, Result};
use crate::format::name;
use crate::manifest::examine::Fault;
use crate::memory;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// What a crash leaves, and the next open puts right.
    Note,
    /// Bytes are not as they were written, but nothing depends on them.
    Warning,
    /// Something that was written is lost, or wrong.
    Damage,
}

/// What it is about. Each has a number for programs and a name for reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The manifest.
    Manifest,
    /// A file that should be there.
    Missing,
    /// The header page of a segment.
    Header,
    /// The length of a file.
    Length,
    /// Records.
    Record,
    /// A batch that is not whole.
    Batch,
    /// Sequences: they follow one another, and each is there once.
    Sequence,
    /// The seal of a segment.
    Seal,
    /// The end of a log that was not closed.
    Tail,
    /// What is known of values that expire.
    Expiry,
    /// A hint.
    Hint,
    /// The checkpoint of the index.
    Checkpoint,
    /// Counts of dead bytes.
    Garbage,
    /// A file that belongs to no part of the database.
    Stray,
    /// A value whose newest version is lost.
    Older,
}

/// The subjects in the order of their numbers, from 1, with their names.
pub const SUBJECTS: [(Subject, &str); 15] = [
    (Subject::Manifest, "manifest"),
    (Subject::Missing, "missing"),
    (Subject::Header, "header"),
    (Subject::Length, "length"),
    (Subject::Record, "record"),
    (Subject::Batch, "batch"),
    (Subject::Sequence, "sequence"),
    (Subject::Seal, "seal"),
    (Subject::Tail, "tail"),
    (Subject::Expiry, "expiry"),
    (Subject::Hint, "hint"),
    (Subject::Checkpoint, "checkpoint"),
    (Subject::Garbage, "garbage"),
    (Subject::Stray, "stray"),
    (Subject::Older, "older"),
];

impl Subject {
    /// Its number for programs, from 1.
    pub fn number(self) -> usize {
        SUBJECTS.iter().position(|(subject, _)| *subject == self).map_or(0, |at| at + 1)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        SUBJECTS[self.number() - 1].1
    }
}

impl Severity {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Severity::Note => "note",
            Severity::Warning => "warning",
            Severity::Damage => "damage",
        }
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// What it is about.
    pub subject: Subject,
    /// The name of the file in the directory.
    pub file: String,
    /// Where in it.
    pub offset: u64,
    /// How many bytes of it; 0 if that is not known.
    pub len: u64,
    /// The key that is concerned, as far as it can be read.
    pub key: Option<Vec<u8>>,
    /// What is wrong, in words.
    pub what: String,
}

impl Problem {
    /// Something about a part of a file.
    pub fn new(
        severity: Severity,
        subject: Subject,
        file: &str,
        (offset, len): (u64, u64),
        what: impl Into<String>,
    ) -> Problem {
        let (file, what) = (file.to_owned(), what.into());
        Problem { severity, subject, file, offset, len, key: None, what }
    }

    /// The same with a key.
    #[must_use]
    pub fn with_key(mut self, key: Option<Vec<u8>>) -> Problem {
        self.key = key;
        self
    }
}

/// Told of each problem when it is found; can end what finds them.
pub type TellProblem<'a> = &'a mut dyn FnMut(&Problem) -> ControlFlow<()>;

/// A report keeps so many problems. The function that is told hears of all.
const MOST_KEPT: usize = 10_000;

/// Problems as they are found.
pub struct Findings<'a> {
    tell: TellProblem<'a>,
    /// The first of them.
    pub kept: Vec<Problem>,
    /// How many of each severity there are.
    pub counts: [u64; 3],
}

impl<'a> Findings<'a> {
    /// No problems yet.
    pub fn new(tell: TellProblem<'a>) -> Findings<'a> {
        Findings { tell, kept: Vec::new(), counts: [0; 3] }
    }

    /// Adds a problem. An error if that is enough.
    pub fn add(&mut self, problem: Problem) -> Result<()> {
        self.counts[problem.severity as usize] += 1;
        let told = (self.tell)(&problem);
        if self.kept.len() < MOST_KEPT {
            memory::push(&mut self.kept, problem)?;
        }
        match told {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => {
                Err(Error::new(Kind::Cancelled, "the function that is told has cancelled it"))
            }
        }
    }

    /// Adds what is wrong with a manifest.
    pub fn add_faults(&mut self, faults: &[Fault]) -> Result<()> {
        faults.iter().try_for_each(|fault| {
            let (severity, subject) = (Severity::Damage, Subject::Manifest);
            let place = (fault.offset, fault.len);
            self.add(Problem::new(severity, subject, name::MANIFEST, place, fault.what.as_str()))
        })
    }

    /// Whether anything is lost or wrong.
    pub fn has_damage(&self) -> bool {
        self.counts[Severity::Damage as usize] > 0
    }
}
