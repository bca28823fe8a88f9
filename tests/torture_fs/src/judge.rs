//! What a database holds after a crash, and how far each thread had come by that.

use kv::db::Db;

use crate::tale::{self, Held, Operation, KEYS, THREADS};

/// Clocks are read before and after; this is what may lie between, in milliseconds.
const SLACK_MS: u64 = 50;

/// What is under a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// The value that a step wrote.
    Value { step: u64, expires: bool },
    /// An empty one, which names no step.
    Empty { expires: bool },
    /// A counter.
    Sum(i64),
}

/// All that was found, and when.
#[derive(Clone, PartialEq, Eq)]
pub struct Content {
    keys: Vec<Option<Found>>,
    began_ms: u64,
    ended_ms: u64,
}

pub fn now_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as u64)
}

impl Content {
    /// Reads all of a database, by walking through it and by asking for each key. Values that no
    /// step wrote are failures, and so are records that both ways do not agree on.
    pub fn read(db: &Db, seed: u64) -> Result<Content, String> {
        let began_ms = now_ms();
        let mut keys = vec![None; THREADS * KEYS];
        let mut iter = db.open_iter(None, b"").map_err(|error| format!("iterator: {error}"))?;
        let walked = walk(db, &mut iter, seed, &mut keys);
        db.close_iter(iter);
        walked?;
        for thread in 0..THREADS {
            for key in 0..KEYS {
                let found = look_up(db, seed, thread, key)?;
                if found != keys[thread * KEYS + key] && !tale::is_short_lived(key) {
                    let walked = keys[thread * KEYS + key];
                    return Err(format!(
                        "thread {thread} key {key}: get finds {found:?}, the iterator {walked:?}"
                    ));
                }
            }
        }
        Ok(Content { keys, began_ms, ended_ms: now_ms() })
    }

    /// Whether `held` may be what was found under the key.
    pub fn fits(&self, thread: usize, key: usize, held: &Held) -> bool {
        let found = self.keys[thread * KEYS + key];
        if held.step == 0 {
            return found.is_none();
        }
        let expires = held.late != 0;
        if expires && held.late + SLACK_MS < self.began_ms {
            return found.is_none();
        }
        match found {
            None => expires && held.early <= self.ended_ms + SLACK_MS,
            Some(Found::Sum(sum)) => tale::is_counter(key) && sum == held.sum,
            Some(Found::Empty { expires: found }) => held.sum == 0 && found == expires,
            Some(Found::Value { step, expires: found }) => step == held.step && found == expires,
        }
    }

    /// Whether all keys that do not expire soon are as they were in `other`.
    pub fn is_as(&self, other: &Content) -> bool {
        let pairs = self.keys.iter().zip(&other.keys).enumerate();
        pairs.filter(|(at, _)| !tale::is_short_lived(at % KEYS)).all(|(_, (a, b))| a == b)
    }

    pub fn describe(&self, thread: usize, key: usize) -> String {
        format!("{:?}", self.keys[thread * KEYS + key])
    }
}

fn walk(
    db: &Db,
    iter: &mut kv::engine::iterate::Iter,
    seed: u64,
    keys: &mut [Option<Found>],
) -> Result<(), String> {
    while db.advance(iter).map_err(|error| format!("iterator: {error}"))? {
        let Some((bytes, value)) = iter.current() else { break };
        let Some((thread, key)) = tale::parse_key(bytes) else {
            return Err(format!("nobody wrote the key {:?}", &bytes[..bytes.len().min(16)]));
        };
        let found = identify(seed, thread, key, value)?;
        if keys[thread * KEYS + key].replace(found).is_some() {
            return Err(format!("thread {thread} key {key} is there twice"));
        }
    }
    for thread in 0..THREADS {
        for key in 0..KEYS {
            let place = &mut keys[thread * KEYS + key];
            let expires = |db: &Db| db.ttl(&tale::key_bytes(thread, key));
            match place {
                None | Some(Found::Sum(_)) => {}
                Some(Found::Value { expires: mark, .. } | Found::Empty { expires: mark }) => {
                    let ttl = expires(db).map_err(|error| format!("ttl: {error}"))?;
                    *mark = ttl.is_none_or(|ttl| ttl.is_some());
                }
            }
        }
    }
    Ok(())
}

fn look_up(db: &Db, seed: u64, thread: usize, key: usize) -> Result<Option<Found>, String> {
    let name = tale::key_bytes(thread, key);
    let place = |error| format!("thread {thread} key {key}: {error}");
    let found = db.get(&name, |value| identify(seed, thread, key, value)).map_err(place)?;
    let Some(mut found) = found.transpose()? else { return Ok(None) };
    if let Found::Value { expires, .. } | Found::Empty { expires } = &mut found {
        *expires = db.ttl(&name).map_err(place)?.is_none_or(|ttl| ttl.is_some());
    }
    Ok(Some(found))
}

/// Which step wrote a value, if all of it is as that step wrote it.
fn identify(seed: u64, thread: usize, key: usize, value: &[u8]) -> Result<Found, String> {
    let wrong = |what: &str| Err(format!("thread {thread} key {key}: {what}"));
    if tale::is_counter(key) {
        return match value.try_into() {
            Ok(bytes) => Ok(Found::Sum(i64::from_le_bytes(bytes))),
            Err(_) => wrong("a counter that is none"),
        };
    }
    let Some(bytes) = value.first_chunk() else {
        return if value.is_empty() {
            Ok(Found::Empty { expires: false })
        } else {
            wrong("nobody wrote so short a value")
        };
    };
    let step = u64::from_le_bytes(*bytes);
    let len = tale::operation(seed, thread, step).written_len(key);
    if len != Some(value.len()) || tale::value_bytes(seed, thread, step, key, value.len()) != value
    {
        return wrong("nobody wrote this value");
    }
    Ok(Found::Value { step, expires: false })
}

/// The keys of one thread, step by step, against what was found: how many do not fit.
pub struct Track<'c> {
    content: &'c Content,
    thread: usize,
    held: Vec<Held>,
    misfits: usize,
}

impl<'c> Track<'c> {
    pub fn new(content: &'c Content, thread: usize, held: Vec<Held>) -> Track<'c> {
        let fits = |(key, held): &(usize, &Held)| content.fits(thread, *key, held);
        let misfits = held.iter().enumerate().filter(|pair| !fits(pair)).count();
        Track { content, thread, held, misfits }
    }

    /// Goes on by one step.
    pub fn advance(&mut self, operation: &Operation, step: u64, times: (u64, u64)) {
        let sum = operation.addend().map_or(0, |(key, delta)| self.held[key].sum + delta);
        for (key, held) in operation.changes(step, times, sum, |key| self.held[key]) {
            let old = std::mem::replace(&mut self.held[key], held);
            self.misfits -= usize::from(!self.content.fits(self.thread, key, &old));
            self.misfits += usize::from(!self.content.fits(self.thread, key, &held));
        }
    }

    /// Whether this is what was found.
    pub fn fits(&self) -> bool {
        self.misfits == 0
    }

    /// What does not fit, of one key.
    pub fn misfit(&self) -> String {
        let wrong = |key: &usize| !self.content.fits(self.thread, *key, &self.held[*key]);
        let (thread, content) = (self.thread, self.content);
        match (0..KEYS).find(wrong) {
            Some(key) => format!(
                "thread {thread} key {key}: found {}, expected {:?}",
                content.describe(thread, key),
                self.held[key]
            ),
            None => "nothing".into(),
        }
    }

    pub fn misfits(&self) -> usize {
        self.misfits
    }
}

/// What the keys of a thread may hold, where the outcome of a step may be unknown.
#[derive(Clone)]
pub struct Variants(Vec<Vec<Held>>);

impl Variants {
    pub fn nothing() -> Variants {
        Variants(vec![vec![Held::NOTHING; KEYS]])
    }

    /// A step was done.
    pub fn apply(&mut self, operation: &Operation, step: u64, times: (u64, u64)) {
        for held in &mut self.0 {
            let sum = operation.addend().map_or(0, |(key, delta)| held[key].sum + delta);
            for (key, new) in operation.changes(step, times, sum, |key| held[key]) {
                held[key] = new;
            }
        }
    }

    /// It was done, or not.
    pub fn perhaps(&mut self, operation: &Operation, step: u64, times: (u64, u64)) {
        let without = self.clone();
        self.apply(operation, step, times);
        self.or(&without);
    }

    /// What they may hold, or what others may.
    pub fn or(&mut self, other: &Variants) {
        for variant in &other.0 {
            if !self.0.contains(variant) {
                self.0.push(variant.clone());
            }
        }
    }

    /// What a key may hold.
    pub fn of(&self, key: usize) -> impl Iterator<Item = Held> + '_ {
        self.0.iter().map(move |held| held[key])
    }

    /// One of them must be what was found.
    pub fn judge(&self, content: &Content, thread: usize) -> Result<(), String> {
        let mut misfit = String::new();
        for variant in &self.0 {
            let track = Track::new(content, thread, variant.clone());
            if track.fits() {
                return Ok(());
            }
            misfit = track.misfit();
        }
        Err(misfit)
    }
}
