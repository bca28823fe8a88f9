//! A segment, walked through to its end whatever is wrong with it: what its records add up to, and
//! which of them are whole.

use std::sync::Arc;

use super::problem::{Problem, Severity, Subject};
use crate::error::Result;
use crate::format::hint::Digest;
use crate::format::record::{Class, Mark, MarkBuilder, Seal};
use crate::format::segment::{SegmentHeader, SegmentKind, HEADER_PAGE};
use crate::format::Expiring;
use crate::index::hash::KeyHasher;
use crate::memory;
use crate::segment::survey::{Hole, Met, Survey, Whole};
use crate::storage::File;

/// Bytes between two looks at whether to go on.
const STEP: u64 = 1 << 20;
/// Each hole of a segment is told up to this number, the rest together.
const MOST_HOLES: usize = 1000;

/// The file of a segment.
#[derive(Clone)]
pub struct SegmentFile {
    /// Its name in the directory.
    pub name: String,
    /// The file.
    pub file: Arc<dyn File>,
    /// Bytes of it that are looked at.
    pub len: u64,
    /// Which segment it is.
    pub header: SegmentHeader,
    /// No sequence in it is as high as this.
    pub below: u64,
}

/// Two hashes of a key: that of the index, and another one. Two keys with both alike there are not.
#[derive(Clone, Copy)]
pub struct KeyHashes {
    /// The one of the index.
    pub index: KeyHasher,
    /// The other.
    pub other: KeyHasher,
}

/// A record that is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// The index's hash of its key; 0 for a gap.
    pub hash: u64,
    /// Another hash of the key.
    pub other: u64,
    /// Its sequence.
    pub sequence: u64,
    /// The place of its segment among all.
    pub segment: u32,
    /// Where it begins there.
    pub offset: u64,
    /// Bytes of it.
    pub len: u64,
    /// What it is.
    pub class: ClassNumber,
}

/// [`Class`], for what is sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ClassNumber {
    Put,
    ExpiringPut,
    Tombstone,
    Gap,
}

impl From<Class> for ClassNumber {
    fn from(class: Class) -> ClassNumber {
        match class {
            Class::Put => ClassNumber::Put,
            Class::ExpiringPut => ClassNumber::ExpiringPut,
            Class::Tombstone => ClassNumber::Tombstone,
            Class::Gap => ClassNumber::Gap,
        }
    }
}

/// Whether a record counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It does.
    Counts,
    /// It is one of a batch that was written and is not whole any more.
    Part,
    /// It is one of a batch whose end nobody can see, nor anything behind it: it may never have
    /// been written.
    Unfinished,
}

/// What a walk has found.
pub struct Walked {
    /// What is wrong, in order, as if all of the segment had been on the medium.
    pub problems: Vec<Problem>,
    /// How far it is whole: a reader that stops at the first thing that is wrong gets there.
    pub whole: u64,
    /// Why it is not whole behind that, if that is not the end.
    pub why: Option<String>,
    /// Records that count, up to there.
    pub records: u64,
    /// The sequence after the highest of them; that of the header if there are none.
    pub next_sequence: u64,
    /// The sequence of the first record.
    pub first: Option<u64>,
    /// Whole records behind what is wrong.
    pub behind: u64,
    /// The records that expire.
    pub expiring: Expiring,
    /// The last seal that was met, and where.
    pub seal: Option<(Seal, u64)>,
    /// Where the last thing that verifies ends.
    pub end: u64,
    /// What a hint would say, if nothing is wrong.
    pub digest: Digest,
    /// What stands behind the last thing that verifies, if that is no end.
    pub torn: Option<String>,
    /// Whether nothing but zeros is behind the end.
    pub is_clean: bool,
}

/// Records of a batch that has not ended.
struct Open {
    records: Vec<(Version, u32)>,
    /// Where it begins.
    from: u64,
    /// How many of them come before the last hole.
    before_hole: usize,
    /// Whether something is missing in it, or before it.
    has_hole: bool,
}

/// A walk that is under way.
struct Walk<'a> {
    source: &'a SegmentFile,
    number: u32,
    hashes: &'a KeyHashes,
    take: &'a mut dyn FnMut(Version, Standing) -> Result<()>,
    found: Walked,
    expected: Option<u64>,
    open: Option<Open>,
    /// Whether nothing is wrong so far.
    is_intact: bool,
    after_hole: bool,
    untold: u64,
}

/// Walks through a segment, which is the `number`-th. `advance` is told now and then how many bytes
/// more are done, and `take` of each record.
pub fn walk(
    source: &SegmentFile,
    number: u32,
    hashes: &KeyHashes,
    advance: &mut dyn FnMut(u64) -> Result<()>,
    take: &mut dyn FnMut(Version, Standing) -> Result<()>,
) -> Result<Walked> {
    let header = source.header;
    let mut survey = Survey::new(Arc::clone(&source.file), header, source.len, source.below);
    let found = Walked {
        problems: Vec::new(),
        whole: HEADER_PAGE as u64,
        why: None,
        records: 0,
        next_sequence: header.base_sequence,
        first: None,
        behind: 0,
        expiring: Expiring::default(),
        seal: None,
        end: HEADER_PAGE as u64,
        digest: Digest::new(header.kind),
        torn: None,
        is_clean: true,
    };
    let mut walk = Walk {
        source,
        number,
        hashes,
        take,
        found,
        expected: None,
        open: None,
        is_intact: true,
        after_hole: false,
        untold: 0,
    };
    let mut told = 0;
    loop {
        match survey.next_item()? {
            Met::Record(record) => walk.record(&record)?,
            Met::Hole(hole) => walk.hole(hole)?,
            Met::Seal(seal, at) => walk.seal(seal, at)?,
            Met::End(end) => {
                walk.end_open(Standing::Unfinished)?;
                walk.found.is_clean = end.is_clean;
                if walk.is_intact {
                    walk.found.why.clone_from(&end.why);
                }
                walk.found.torn = end.why;
                break;
            }
        }
        if survey.offset() - told >= STEP {
            advance(survey.offset() - told)?;
            told = survey.offset();
        }
    }
    advance(source.len.saturating_sub(told))?;
    walk.finish()
}

impl Walk<'_> {
    fn problem(
        &mut self,
        subject: Subject,
        at: u64,
        len: u64,
        what: &str,
        key: Option<Vec<u8>>,
    ) -> Result<()> {
        if self.is_intact {
            self.is_intact = false;
            self.found.why = Some(what.into());
        }
        if self.found.problems.len() >= MOST_HOLES {
            self.untold += 1;
            return Ok(());
        }
        let name = &self.source.name;
        let problem = Problem::new(Severity::Damage, subject, name, (at, len), what);
        Ok(memory::push(&mut self.found.problems, problem.with_key(key))?)
    }

    fn finish(mut self) -> Result<Walked> {
        if self.untold > 0 {
            let what = format!("{} more parts of the file are damaged", self.untold);
            let name = &self.source.name;
            let place = (self.found.end, 0);
            let problem = Problem::new(Severity::Damage, Subject::Record, name, place, what);
            memory::push(&mut self.found.problems, problem)?;
        }
        Ok(self.found)
    }

    fn hole(&mut self, hole: Hole) -> Result<()> {
        let len = hole.to - hole.from;
        self.problem(Subject::Record, hole.from, len, &hole.why, hole.key)?;
        if let Some(open) = &mut self.open {
            (open.before_hole, open.has_hole) = (open.records.len(), true);
        }
        self.after_hole = true;
        Ok(())
    }

    fn record(&mut self, record: &Whole) -> Result<()> {
        let (header, offset) = (&record.header, record.offset);
        let (class, len) = (header.class(), header.record_len() as u64);
        let is_log = self.source.header.kind == SegmentKind::Log;
        let jumps = self.expected.is_some_and(|expected| expected != record.sequence);
        if is_log && jumps && !self.after_hole {
            let what = "the sequence of the record does not follow the one before";
            self.problem(Subject::Sequence, offset, len, what, None)?;
        }
        let is_gap = class == Class::Gap;
        let (hash, other) = match is_gap {
            true => (0, 0),
            false => (self.hashes.index.hash(record.key), self.hashes.other.hash(record.key)),
        };
        let version = Version {
            hash,
            other,
            sequence: record.sequence,
            segment: self.number,
            offset,
            len,
            class: class.into(),
        };
        self.found.first.get_or_insert(record.sequence);
        self.found.end = offset + len;
        if self.is_intact {
            self.found.digest.push(hash, len as usize, record.sequence, class)?;
            if let Some(expiry) = record.expiry {
                self.found.expiring.add(len as usize, expiry);
            }
        }
        if header.is_in_batch() {
            if !is_log {
                let what = "part of a batch is where compaction writes";
                self.problem(Subject::Batch, offset, len, what, None)?;
            }
            self.in_batch(version, record.crc, record.mark)?;
        } else {
            if self.open.is_some() {
                self.end_open(Standing::Part)?;
            }
            self.count(version, Standing::Counts)?;
        }
        self.after_hole = false;
        self.expected = Some(record.sequence + 1);
        Ok(())
    }

    /// A record whose standing is clear.
    fn count(&mut self, version: Version, standing: Standing) -> Result<()> {
        if self.is_intact {
            self.found.records += 1;
            self.found.whole = version.offset + version.len;
            self.found.next_sequence = self.found.next_sequence.max(version.sequence + 1);
        } else {
            self.found.behind += u64::from(standing != Standing::Unfinished);
        }
        (self.take)(version, standing)
    }

    fn in_batch(&mut self, version: Version, crc: u32, mark: Option<Mark>) -> Result<()> {
        let after_hole = self.after_hole;
        let open = self.open.get_or_insert_with(|| Open {
            records: Vec::new(),
            from: version.offset,
            before_hole: 0,
            has_hole: after_hole,
        });
        memory::push(&mut open.records, (version, crc))?;
        let Some(mark) = mark else { return Ok(()) };
        let Some(mut open) = self.open.take() else { return Ok(()) };
        // What follows a hole may be all of a batch, and what comes before it part of another.
        let cut = match open.has_hole && is_whole(&open.records[open.before_hole..], mark) {
            true => open.before_hole,
            false if is_whole(&open.records, mark) => 0,
            false => open.records.len(),
        };
        let whole = memory::collect(open.records.drain(cut..))?;
        if !open.records.is_empty() {
            self.open = Some(open);
            self.end_open(Standing::Part)?;
        }
        whole.into_iter().try_for_each(|(version, ..)| self.count(version, Standing::Counts))
    }

    /// The batch that has begun is not whole.
    fn end_open(&mut self, standing: Standing) -> Result<()> {
        let Some(open) = self.open.take() else { return Ok(()) };
        let count = open.records.len();
        let end =
            open.records.last().map_or(open.from, |(version, ..)| version.offset + version.len);
        let what = match standing {
            Standing::Unfinished => format!("a batch has no end; {count} of its records are whole"),
            _ => format!("a batch is not whole; {count} of its records are"),
        };
        let was_intact = self.is_intact;
        self.problem(Subject::Batch, open.from, end - open.from, &what, None)?;
        if was_intact {
            // A batch that is not whole was never written, as far as a reader of the log goes.
            self.found.whole = open.from;
        }
        open.records.into_iter().try_for_each(|(version, ..)| self.count(version, standing))
    }

    fn seal(&mut self, seal: Seal, at: u64) -> Result<()> {
        self.end_open(Standing::Part)?;
        if self.found.seal.is_some() {
            self.problem(Subject::Seal, at, 0, "there is another seal before this one", None)?;
        }
        let is_right =
            seal.records == self.found.records && seal.next_sequence == self.found.next_sequence;
        if self.is_intact && !is_right {
            self.problem(Subject::Seal, at, 0, "records before the seal are missing", None)?;
        }
        self.found.seal = Some((seal, at));
        self.found.end = at + crate::format::record::SEAL_LEN as u64;
        if self.is_intact {
            self.found.whole = self.found.end;
        }
        Ok(())
    }
}

/// Whether these records are all of the batch that ends with `mark`.
fn is_whole(records: &[(Version, u32)], mark: Mark) -> bool {
    let Some((_, before)) = records.split_last() else { return false };
    let mut builder = MarkBuilder::default();
    before.iter().for_each(|(_, crc)| builder.add(*crc));
    builder.mark() == mark
}
