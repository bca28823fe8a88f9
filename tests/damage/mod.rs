//! Damaging databases: samples to damage, kinds of damage, and a bench that does it and judges the
//! answer.

#![allow(dead_code, reason = "each test uses a part of it")]

pub mod builder;
pub mod cases;
pub mod heap;
pub mod judge;
pub mod kinds;
pub mod log;
pub mod reads;
pub mod shelf;
pub mod small;
pub mod tally;
pub mod trial;
pub mod writes;

use std::collections::BTreeMap;
use std::ops::Range;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use kv::db::Db;
use kv::error::{Error, Kind, Result};
use kv::format::name;
use kv::format::segment::HEADER_PAGE;
use kv::options::{CompactionMode, OnDamage, Options, SyncLevel};

use crate::common::TempDir;
pub use builder::Builder;
use log::MARKS;

pub type Bytes = Arc<[u8]>;
pub type Files = BTreeMap<String, Vec<u8>>;
pub type Model = BTreeMap<Vec<u8>, Bytes>;

/// No answer may take longer, whatever the bytes are.
const PATIENCE: Duration = Duration::from_secs(10);

/// Whether all cases are to be tried, which takes hours, and not only some.
pub fn is_everything_asked_for() -> bool {
    std::env::var("KV_DAMAGE").is_ok_and(|asked| asked == "all")
}

pub fn options(on_damage: OnDamage) -> Options {
    Options {
        segment_size: 1 << 20,
        sync: SyncLevel::None,
        compaction: CompactionMode::Manual,
        on_damage,
        ..Options::default()
    }
}

/// A segment that was not sealed, of a log that was not closed.
pub struct Tail {
    /// The file.
    pub file: String,
    /// Bytes of it that each sync mark says are on the medium; all, if a later segment's says so.
    pub marks: [usize; 2],
    /// Where each write in it ends: a record, or a batch.
    pub ends: Vec<usize>,
    /// The writes before its first record.
    pub before: usize,
}

impl Tail {
    /// Whether something of it is known to be on the medium.
    pub fn is_synced(&self) -> bool {
        self.marks.iter().any(|&mark| mark > HEADER_PAGE)
    }

    /// Bytes of it that are known to be on the medium by the marks that are left.
    pub fn mark_left_by(&self, damage: &Damage, sample: &Sample) -> usize {
        let left = MARKS.iter().zip(self.marks).filter_map(|(place, mark)| {
            let is_hit = damage.file == self.file && damage.hits(sample, place);
            (mark == usize::MAX || !is_hit).then_some(mark)
        });
        left.max().unwrap_or(HEADER_PAGE)
    }
}

/// The files of an earlier moment.
pub struct Stage {
    /// Writes until then.
    pub writes: usize,
    pub files: Files,
}

/// A database to damage.
pub struct Sample {
    pub name: &'static str,
    pub files: Files,
    /// What the database held after each write, and before the first.
    pub states: Vec<Model>,
    /// Every key that was ever written.
    pub keys: Vec<Vec<u8>>,
    /// If it was not closed: the end of its log, in order.
    pub tails: Vec<Tail>,
    /// How it was before.
    pub stages: Vec<Stage>,
    pub options: Options,
}

impl Sample {
    /// Writes that must be found in any case with this damage, if it opens: all, but where it is
    /// in the log of a tail and above the sync mark that it leaves, those before it.
    pub fn least(&self, damage: &Damage) -> usize {
        let all = self.states.len() - 1;
        let has_header = damage.bytes.as_ref().is_some_and(|bytes| bytes.len() >= HEADER_PAGE);
        let tail = self.tails.iter().find(|tail| has_header && tail.file == damage.file);
        let first_in_log = || damage.differing(self).find(|&at| at >= HEADER_PAGE);
        match (tail, first_in_log()) {
            (Some(tail), Some(from)) if from >= tail.mark_left_by(damage, self) => {
                tail.before + tail.ends.iter().filter(|&&end| end <= from).count()
            }
            _ => all,
        }
    }

    /// Whether the damage takes a sync mark of a tail, and something of its log. If that is the
    /// newest mark, it cannot be told from a crash.
    pub fn takes_mark_and_log(&self, damage: &Damage) -> bool {
        let is_in_log = |at| at >= HEADER_PAGE;
        self.is_tail(&damage.file)
            && MARKS.iter().any(|place| damage.hits(self, place))
            && damage.differing(self).any(is_in_log)
    }

    /// Bytes of the record that came after so many writes, if it was not on the medium.
    pub fn lost_len(&self, writes: usize) -> Option<usize> {
        let tail = self.tails.iter().rfind(|tail| tail.before <= writes)?;
        let at = writes - tail.before;
        let start = at.checked_sub(1).map_or(HEADER_PAGE, |before| tail.ends[before]);
        tail.ends.get(at).map(|end| end - start)
    }

    /// Whether `file` is a hint or a checkpoint, without which everything is as it was.
    pub fn is_spare(&self, file: &str) -> bool {
        name::parse_hint(file).is_some() || file == name::INDEX
    }

    /// Whether damage in `file` from byte `from` on may be left to who reads it: an open does not
    /// read the records of a segment with a hint.
    pub fn is_left_to_readers(&self, file: &str, from: usize) -> bool {
        let hint = name::parse_segment(file).map(name::hint);
        from >= HEADER_PAGE && hint.is_some_and(|hint| self.files.contains_key(&hint))
    }

    /// Whether `file` is a segment that was not sealed, of a log that was not closed.
    pub fn is_tail(&self, file: &str) -> bool {
        self.tails.iter().any(|tail| tail.file == file)
    }

    pub fn segments(&self) -> Vec<&str> {
        let names = self.files.keys().map(String::as_str);
        names.filter(|name| name::parse_segment(name).is_some()).collect()
    }
}

/// All files of a directory but LOCK, which says nothing about the data.
pub fn read_files(path: &Path) -> Files {
    let mut files = Files::new();
    for entry in std::fs::read_dir(path).expect("the directory can be read") {
        let entry = entry.expect("the directory can be read");
        let name = entry.file_name().to_string_lossy().into_owned();
        if name != name::LOCK {
            files.insert(name, std::fs::read(entry.path()).expect("the file can be read"));
        }
    }
    files
}

/// What was done to one file.
pub struct Damage {
    /// In words, for messages.
    pub what: String,
    pub file: String,
    /// The first byte that differs.
    pub from: usize,
    /// Behind the last byte that differs; where the file's length does, the end of the longer one.
    pub to: usize,
    /// The new bytes; `None` if the file is gone.
    pub bytes: Option<Vec<u8>>,
    /// If the file is one of an earlier moment: the writes until then.
    pub stage: Option<usize>,
}

impl Damage {
    /// `file` has these bytes now.
    pub fn new(sample: &Sample, file: &str, bytes: Option<Vec<u8>>, what: String) -> Damage {
        let old = sample.files.get(file).map_or(&[][..], Vec::as_slice);
        let new = bytes.as_deref().unwrap_or_default();
        let from = same(old, new);
        let behind = same_at_end(&old[from..], &new[from..]);
        let to = match old.len() == new.len() {
            true => old.len() - behind,
            false => old.len().max(new.len()),
        };
        Damage { what, file: file.into(), from, to: to.max(from), bytes, stage: None }
    }

    /// Whether anything is different.
    pub fn is_none(&self, sample: &Sample) -> bool {
        sample.files.get(&self.file) == self.bytes.as_ref()
    }

    /// The bytes that differ.
    pub fn differing<'a>(&'a self, sample: &'a Sample) -> impl Iterator<Item = usize> + 'a {
        let old = sample.files.get(&self.file);
        let (from, to) = (self.from, self.to);
        (from..to).filter(move |&at| {
            old.and_then(|old| old.get(at)) != self.bytes.as_ref().and_then(|new| new.get(at))
        })
    }

    fn hits(&self, sample: &Sample, place: &Range<usize>) -> bool {
        self.differing(sample).any(|at| place.contains(&at))
    }

    /// Whether an error that names this place may be about this damage. What is named is where the
    /// record, the frame or the header begins. A manifest that has lost its end does not fit the
    /// segments; nor do they fit one of another time.
    pub fn covers(&self, file: &str, offset: usize) -> bool {
        self.file == name::MANIFEST || self.file == file && offset <= self.to
    }
}

/// How many bytes at the beginning are the same.
fn same(one: &[u8], other: &[u8]) -> usize {
    const STEP: usize = 512;
    let steps = one.chunks_exact(STEP).zip(other.chunks_exact(STEP));
    let at = steps.take_while(|(one, other)| one == other).count() * STEP;
    at + one[at..].iter().zip(&other[at..]).take_while(|(one, other)| one == other).count()
}

/// How many bytes at the end are the same.
fn same_at_end(one: &[u8], other: &[u8]) -> usize {
    const STEP: usize = 512;
    let steps = one.rchunks_exact(STEP).zip(other.rchunks_exact(STEP));
    let at = steps.take_while(|(one, other)| one == other).count() * STEP;
    let rest = one[..one.len() - at].iter().rev().zip(other[..other.len() - at].iter().rev());
    at + rest.take_while(|(one, other)| one == other).count()
}

/// What the database answered.
pub enum Answer {
    /// It opened and holds what it held after so many writes.
    Holds(usize),
    /// It refused.
    Refused,
}

/// A place where a sample is damaged and opened, over and over.
pub struct Bench<'a> {
    pub sample: &'a Sample,
    directory: TempDir,
    /// Files that are not as in the sample; `None` if that may be any.
    changed: Option<Vec<String>>,
    /// Cases so far.
    pub cases: u64,
    /// Cases in which it opened.
    pub opened: u64,
}

impl<'a> Bench<'a> {
    pub fn new(sample: &'a Sample) -> Bench<'a> {
        let directory = TempDir::in_memory("damage");
        Bench { sample, directory, changed: None, cases: 0, opened: 0 }
    }

    pub fn path(&self) -> PathBuf {
        self.directory.join("db")
    }

    /// Lays out the sample with `damage`, from scratch if anybody may have written.
    pub fn lay_out(&mut self, damage: &[&Damage]) {
        let path = self.path();
        let intact = self.changed.take();
        if intact.is_none() {
            if path.exists() {
                std::fs::remove_dir_all(&path).expect("the database can be removed");
            }
            std::fs::create_dir(&path).expect("the directory can be created");
        }
        for (name, bytes) in &self.sample.files {
            let damage = damage.iter().find(|damage| damage.file == *name);
            let as_it_was = intact.as_ref().is_some_and(|changed| !changed.contains(name));
            match damage.map_or(Some(bytes), |damage| damage.bytes.as_ref()) {
                Some(_) if damage.is_none() && as_it_was => {}
                Some(bytes) => std::fs::write(path.join(name), bytes).expect("a file is written"),
                None => {
                    let _ = std::fs::remove_file(path.join(name));
                }
            }
        }
    }

    /// Damages the sample, and fails unless the answer is the truth or an error that says where the
    /// damage is.
    pub fn try_damage(&mut self, damage: &[&Damage]) -> Answer {
        self.lay_out(damage);
        self.cases += 1;
        let what: Vec<&str> = damage.iter().map(|damage| damage.what.as_str()).collect();
        let context = format!("{}, {}", self.sample.name, what.join(" and "));
        let started = Instant::now();
        let looked = catch_unwind(AssertUnwindSafe(|| look(&self.path(), &self.sample.keys)));
        assert!(started.elapsed() < PATIENCE, "{context}: it took {:?}", started.elapsed());
        let Ok(looked) = looked else { panic!("{context}: it panicked") };
        if let (Err(error), true) =
            (&looked, damage.iter().all(|damage| self.sample.is_spare(&damage.file)))
        {
            panic!("{context}: it matters: {error}");
        }
        match looked {
            Ok(found) => {
                let mut least = self.sample.states.len() - 1;
                for damage in damage {
                    least = least.min(self.sample.least(damage));
                }
                let rest = self.sample.states.iter().enumerate().skip(least);
                let Some((at, _)) = rest.rev().find(|(_, state)| **state == found) else {
                    panic!("{context}: opened with wrong data, {} keys", found.len());
                };
                self.opened += 1;
                Answer::Holds(at)
            }
            Err(error) => {
                check_refusal(&error, damage).unwrap_or_else(|why| panic!("{context}: {why}"));
                // It has changed nothing: the next case may build on that, and would notice.
                let changed = damage.iter().map(|damage| damage.file.clone());
                self.changed = Some(changed.collect());
                Answer::Refused
            }
        }
    }
}

/// Everything in the database.
pub fn look(path: &Path, keys: &[Vec<u8>]) -> Result<Model> {
    let db = Db::open(path, &options(OnDamage::Fail))?;
    let found = read_all(&db, keys)?;
    assert_eq!(db.engine().len(), found.len(), "there are keys that nobody wrote");
    db.close()?;
    Ok(found)
}

/// The values of `keys`.
pub fn read_all(db: &Db, keys: &[Vec<u8>]) -> Result<Model> {
    let mut found = Model::new();
    for key in keys {
        let value: Option<Bytes> = db.get(key, |value| value.into())?;
        assert_eq!(db.value_len(key)?, value.as_ref().map(|v| v.len()));
        found.extend(value.map(|value| (key.clone(), value)));
    }
    Ok(found)
}

/// Says what is wrong with an error about damage.
fn check_refusal(error: &Error, damage: &[&Damage]) -> std::result::Result<(), String> {
    let text = error.to_string();
    let in_manifest = damage.iter().any(|damage| damage.file == name::MANIFEST);
    let names_manifest = text.contains(name::MANIFEST);
    match error.kind() {
        Kind::Corrupt if !names_manifest && !text.contains(".seg") => {
            Err(format!("the message names no file: {text}"))
        }
        Kind::Corrupt if !text.contains("at byte ") => {
            Err(format!("the message names no offset: {text}"))
        }
        Kind::Corrupt => Ok(()),
        Kind::NotADatabase | Kind::NewerFormat if in_manifest && names_manifest => Ok(()),
        kind => Err(format!("refused with {kind:?}: {text}")),
    }
}
