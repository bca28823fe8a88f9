//! Random histories of a database: calls, what they must answer, and what the database must hold
//! after each.

use kv::db::{WriteBatch, WriteOptions, WriteSync, Written};
use kv::engine::Engine;
use kv::error::{Error, Kind, Result};
use kv::options::SyncLevel;

use super::content::{live, Content, Held};

/// One call.
#[derive(Clone, Debug)]
pub enum Step {
    Put {
        key: usize,
        value: Vec<u8>,
    },
    Delete {
        key: usize,
    },
    PutWith {
        key: usize,
        /// Nothing: the value that it has.
        value: Option<Vec<u8>>,
        version: Version,
        options: WriteOptions,
    },
    Add {
        key: usize,
        delta: i64,
    },
    Touch {
        key: usize,
        ttl_ms: u64,
    },
    Batch {
        parts: Vec<Part>,
        sync: WriteSync,
    },
    /// A value that is put together in the log.
    Reserve {
        key: usize,
        value: Vec<u8>,
        options: WriteOptions,
        /// Of this key, the value is written once more meanwhile.
        beside: Option<usize>,
        is_committed: bool,
    },
    /// Time goes on. Not for [`Step::perform`].
    Advance {
        ms: u64,
    },
    Sync,
    Compact,
    WriteHints,
    /// What the threads of a database do beside its calls.
    Background,
    Checkpoint,
    /// What the background thread does next, if anything.
    CompactIfDue,
    /// Not for [`Step::perform`].
    Reopen,
}

/// Which version a write depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    Any,
    /// The one that the key has.
    Right,
    /// Another one.
    Wrong,
}

/// One write of a batch: a put, or a delete.
#[derive(Clone, Debug)]
pub struct Part {
    pub key: usize,
    pub value: Option<Vec<u8>>,
    pub ttl_ms: u64,
}

/// What a call answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    Done,
    Unchanged,
    Exists,
    OtherVersion,
    NotFound,
    Sum(i64),
    NotACounter,
    Overflow,
}

/// Steps, and what they lead to.
pub struct History {
    pub steps: Vec<Step>,
    /// What they must answer.
    pub answers: Vec<Answer>,
    /// The content after so many steps.
    pub contents: Vec<Content>,
    /// The numbers of the steps, before some were left out.
    pub numbers: Vec<usize>,
}

/// The name of a key.
pub fn key(number: usize) -> Vec<u8> {
    let mut name = format!("key {number}").into_bytes();
    name.resize(name.len() + number * number % 37, b'.');
    name
}

fn expiry_in(ttl_ms: u64, now: u64) -> Option<u64> {
    (ttl_ms > 0).then_some(now + ttl_ms)
}

impl Step {
    /// Does to a content what the step does to a database at this time, and answers the same.
    pub fn apply(&self, content: &mut Content, now: u64) -> Answer {
        match self {
            Step::Put { key, value } => content[*key] = Some(Held::new(value, None)),
            Step::Delete { key } => {
                if live(&content[*key], now).is_none() {
                    return Answer::NotFound;
                }
                content[*key] = None;
            }
            Step::PutWith { key, value, version, options } => {
                let held = &mut content[*key];
                return put_with(held, value.as_deref(), *version, options, now);
            }
            Step::Add { key, delta } => return add(&mut content[*key], *delta, now),
            Step::Touch { key, ttl_ms } => {
                let expiry = expiry_in(*ttl_ms, now);
                return match live(&content[*key], now) {
                    None => Answer::NotFound,
                    Some(held) if held.expiry == expiry => Answer::Unchanged,
                    Some(held) => {
                        content[*key] = Some(held.until(expiry));
                        Answer::Done
                    }
                };
            }
            Step::Batch { parts, .. } => {
                for Part { key, value, ttl_ms } in parts {
                    let expiry = expiry_in(*ttl_ms, now);
                    content[*key] = value.as_ref().map(|value| Held::new(value, expiry));
                }
            }
            Step::Reserve { key, value, options, is_committed: true, .. } => {
                return put_with(&mut content[*key], Some(value), Version::Any, options, now);
            }
            _ => {}
        }
        Answer::Done
    }

    /// Does it to a database.
    pub fn perform(&self, engine: &Engine) -> Result<Answer> {
        let done = match self {
            Step::Put { key: number, value } => engine.put(&key(*number), value),
            Step::Delete { key: number } => {
                let was_there = engine.delete(&key(*number))?;
                return Ok(if was_there { Answer::Done } else { Answer::NotFound });
            }
            Step::PutWith { key: number, value, version, options } => {
                return perform_put_with(engine, &key(*number), value.as_deref(), *version, options)
            }
            Step::Add { key: number, delta } => {
                return match engine.add(&key(*number), *delta) {
                    Err(error) if error.kind() == Kind::NotACounter => Ok(Answer::NotACounter),
                    Err(error) if error.kind() == Kind::Overflow => Ok(Answer::Overflow),
                    sum => sum.map(Answer::Sum),
                }
            }
            Step::Touch { key: number, ttl_ms } => {
                return engine.touch(&key(*number), *ttl_ms).map(answer_of)
            }
            Step::Reserve { .. } => return self.perform_reserve(engine),
            Step::Batch { parts, sync } => engine.write(&batch_of(parts)?, *sync),
            Step::Sync => engine.sync(),
            Step::Compact => engine.compact(),
            Step::WriteHints => {
                engine.write_due_hints();
                Ok(())
            }
            Step::Background => {
                while engine.seal_in_background() {}
                engine.prepare_spare(true)
            }
            Step::Checkpoint => {
                engine.checkpoint();
                Ok(())
            }
            Step::CompactIfDue => engine.compact_if_due().map(|_| ()),
            Step::Reopen | Step::Advance { .. } => {
                Err(Error::new(Kind::Internal, "the driver does this"))
            }
        };
        done.map(|()| Answer::Done)
    }

    fn perform_reserve(&self, engine: &Engine) -> Result<Answer> {
        let Step::Reserve { key: number, value, options, beside, is_committed } = self else {
            return Ok(Answer::NotFound);
        };
        let mut reservation = engine.reserve_value(&key(*number), value.len(), options)?;
        let (first, second) = value.split_at(value.len() / 2);
        reservation.fill(first);
        if let Some(other) = beside {
            if let Some(value) = engine.get(&key(*other), <[u8]>::to_vec)? {
                let keep_ttl = WriteOptions { keep_ttl: true, ..WriteOptions::default() };
                engine.put_with(&key(*other), &value, &keep_ttl)?;
            }
        }
        reservation.fill(&[first, second].concat());
        if *is_committed {
            return engine.commit_value(&reservation).map(answer_of);
        }
        engine.abort_value(&reservation);
        Ok(Answer::Done)
    }

    /// The step in words, with lengths in the place of values.
    pub fn summary(&self) -> String {
        let len = |value: &Option<Vec<u8>>| value.as_ref().map(Vec::len);
        match self {
            Step::Put { key, value } => format!("Put {key}, {} bytes", value.len()),
            Step::PutWith { key, value, version, options } => {
                format!("PutWith {key}, {:?} bytes, {version:?}, {options:?}", len(value))
            }
            Step::Reserve { key, value, options, beside, is_committed } => format!(
                "Reserve {key}, {} bytes, {options:?}, beside {beside:?}, committed {is_committed}",
                value.len()
            ),
            Step::Batch { parts, sync } => {
                let part = |part: &Part| format!("{} {:?}", part.key, len(&part.value));
                let parts: Vec<String> = parts.iter().map(part).collect();
                format!("Batch [{}], {sync:?}", parts.join(", "))
            }
            other => format!("{other:?}"),
        }
    }

    /// Whether it compacts.
    pub fn compacts(&self) -> bool {
        matches!(self, Step::Compact | Step::CompactIfDue)
    }

    /// Whether it changes a content.
    pub fn writes(&self) -> bool {
        match self {
            Step::Put { .. }
            | Step::Delete { .. }
            | Step::PutWith { .. }
            | Step::Add { .. }
            | Step::Touch { .. }
            | Step::Reserve { .. }
            | Step::Batch { .. } => true,
            Step::Advance { .. }
            | Step::Sync
            | Step::Compact
            | Step::WriteHints
            | Step::Background
            | Step::Checkpoint
            | Step::CompactIfDue
            | Step::Reopen => false,
        }
    }

    /// Whether all up to it is on the medium when it has answered so.
    pub fn is_durable(&self, answer: Answer, level: SyncLevel) -> bool {
        let sync = match self {
            Step::Sync => return true,
            Step::PutWith { options, .. } => options.sync,
            Step::Reserve { is_committed: false, .. } => WriteSync::No,
            Step::Reserve { options, .. } => options.sync,
            Step::Batch { sync, .. } => *sync,
            _ => WriteSync::AsOpened,
        };
        // What was found unchanged is on the medium, but not what was written since.
        let is_good = matches!(answer, Answer::Done | Answer::Sum(_));
        let is_synced = match sync {
            WriteSync::AsOpened => level == SyncLevel::Always,
            WriteSync::Yes => true,
            WriteSync::No => false,
        };
        self.writes() && is_good && is_synced
    }
}

fn put_with(
    held: &mut Option<Held>,
    value: Option<&[u8]>,
    version: Version,
    options: &WriteOptions,
    now: u64,
) -> Answer {
    let old = live(held, now);
    let is_equal = value.is_none_or(|value| old.is_some_and(|old| old.has_value(value)));
    if options.if_absent && old.is_some() {
        return Answer::Exists;
    }
    if version == Version::Wrong || version == Version::Right && old.is_none() {
        return Answer::OtherVersion;
    }
    let mut expiry = expiry_in(options.ttl_ms, now);
    if let Some(old) = old.filter(|_| options.keep_ttl) {
        expiry = old.expiry;
    }
    if old.is_some_and(|old| options.skip_if_equal && is_equal && old.expiry == expiry) {
        return Answer::Unchanged;
    }
    *held = Some(match (value, old) {
        (None, Some(old)) => old.until(expiry),
        (value, _) => Held::new(value.unwrap_or_default(), expiry),
    });
    Answer::Done
}

fn perform_put_with(
    engine: &Engine,
    key: &[u8],
    value: Option<&[u8]>,
    version: Version,
    options: &WriteOptions,
) -> Result<Answer> {
    let has = engine.version(key)?;
    let if_version = match version {
        Version::Any => 0,
        // Sequences begin at 1, and so few are never reached.
        Version::Right => has.unwrap_or(1 << 40),
        Version::Wrong => has.map_or(1, |version| version + 1),
    };
    let same = match value {
        None => engine.get(key, <[u8]>::to_vec)?.unwrap_or_default(),
        Some(value) => value.to_vec(),
    };
    let options = WriteOptions { if_version, ..*options };
    engine.put_with(key, &same, &options).map(answer_of)
}

fn add(held: &mut Option<Held>, delta: i64, now: u64) -> Answer {
    let old = live(held, now);
    let Some(before) = old.map_or(Some(0), |old| old.counter) else { return Answer::NotACounter };
    let Some(sum) = before.checked_add(delta) else { return Answer::Overflow };
    *held = Some(Held::new(&sum.to_le_bytes(), old.and_then(|old| old.expiry)));
    Answer::Sum(sum)
}

fn answer_of(written: Written) -> Answer {
    match written {
        Written::Done(_) => Answer::Done,
        Written::Unchanged(_) => Answer::Unchanged,
        Written::Exists => Answer::Exists,
        Written::OtherVersion => Answer::OtherVersion,
        Written::NotFound => Answer::NotFound,
    }
}

fn batch_of(parts: &[Part]) -> Result<WriteBatch> {
    let mut batch = WriteBatch::new();
    for Part { key: number, value, ttl_ms } in parts {
        match value {
            Some(value) => batch.put(&key(*number), value, *ttl_ms)?,
            None => batch.delete(&key(*number))?,
        }
    }
    Ok(batch)
}
