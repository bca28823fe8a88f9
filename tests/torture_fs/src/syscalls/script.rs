//! What the program in C is told to call, and what it must find of that afterwards.

use std::path::Path;

use crate::judge::Variants;
use crate::random;
use crate::tale::{self, Held, Operation, KEYS};

/// The statuses of `kv.h` that matter here.
pub const OK: i64 = 0;
pub const NOT_FOUND: i64 = 1;
pub const READ_ONLY: i64 = -17;
pub const UNKNOWN_OUTCOME: i64 = -45;
/// Those of the environment.
pub const ENVIRONMENT: std::ops::RangeInclusive<i64> = -46..=-40;
/// There was no database to call.
pub const NOT_OPEN: i64 = -1000;

/// All that is done is done by one thread.
pub const THREAD: usize = 0;
/// Times that the database is opened.
const SESSIONS: u64 = 3;
/// Between an opening and a close.
const STEPS: u64 = 40;

/// One call.
#[derive(Debug)]
pub enum Call {
    Open,
    Close,
    Write(u64, Operation),
    Sync,
    Compact,
    Backup,
    Get(usize),
    Iterate,
}

pub struct Script {
    pub seed: u64,
    pub calls: Vec<Call>,
    pub bytes: Vec<u8>,
}

/// What became of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    pub was_begun: bool,
    /// If it returned.
    pub status: Option<i64>,
    begun_ms: u64,
    ended_ms: u64,
    hash: u64,
}

/// Bytes of one, in the file of results.
pub const ANSWER_LEN: usize = 40;

impl Answer {
    fn times(&self) -> (u64, u64) {
        (self.begun_ms, self.ended_ms.max(self.begun_ms))
    }
}

impl Script {
    pub fn draw(seed: u64) -> Script {
        let mut script = Script { seed, calls: Vec::new(), bytes: Vec::new() };
        let mut random = random::of(&[seed, 9]);
        let mut step = 0;
        for session in 0..SESSIONS {
            // Under `always` most can fail; it comes first, when there is nothing yet.
            let level = ["always", "none", "interval"][session as usize % 3];
            script.add(Call::Open, b'O', level.as_bytes(), &[], session % 2);
            for _ in 0..STEPS {
                step += 1;
                script.add_step(step);
                match random.below(40) {
                    0 => script.add(Call::Compact, b'C', &[], &[], 0),
                    1 => script.add(Call::Iterate, b'I', &[], &[], 0),
                    2..=9 => script.add_get(random.below(KEYS as u64) as usize),
                    _ => {}
                }
            }
            script.add(Call::Backup, b'K', &[], &[], 0);
            script.add(Call::Compact, b'C', &[], &[], 0);
            script.add_get(session as usize);
            script.add(Call::Close, b'X', &[], &[], 0);
        }
        script
    }

    fn add(&mut self, call: Call, what: u8, key: &[u8], value: &[u8], number: u64) {
        self.add_bytes(what, key, value, number);
        self.calls.push(call);
    }

    fn add_bytes(&mut self, what: u8, key: &[u8], value: &[u8], number: u64) {
        self.bytes.extend(u32::from(what).to_ne_bytes());
        self.bytes.extend((key.len() as u32).to_ne_bytes());
        self.bytes.extend((value.len() as u64).to_ne_bytes());
        self.bytes.extend(number.to_ne_bytes());
        self.bytes.extend(key);
        self.bytes.extend(value);
    }

    fn add_get(&mut self, key: usize) {
        self.add(Call::Get(key), b'G', &tale::key_bytes(THREAD, key), &[], 0);
    }

    fn add_step(&mut self, step: u64) {
        let operation = tale::operation(self.seed, THREAD, step);
        let name = |key: usize| tale::key_bytes(THREAD, key);
        let seed = self.seed;
        let value = |key: usize, len: usize| tale::value_bytes(seed, THREAD, step, key, len);
        match operation {
            Operation::Put { key, len, ttl_ms } => {
                self.add_bytes(b'P', &name(key), &value(key, len), ttl_ms);
            }
            Operation::Reserve { key, len } => {
                self.add_bytes(b'R', &name(key), &value(key, len), 0);
            }
            Operation::Delete { key } => self.add_bytes(b'D', &name(key), &[], 0),
            Operation::Batch(ref parts) => {
                self.add_bytes(b'B', &[], &[], parts.len() as u64);
                for (key, len) in parts {
                    match len {
                        Some(len) => self.add_bytes(b'P', &name(*key), &value(*key, *len), 0),
                        None => self.add_bytes(b'D', &name(*key), &[], 0),
                    }
                }
            }
            Operation::Add { key, delta } => {
                self.add_bytes(b'A', &name(key), &[], delta as u64);
            }
            Operation::Touch { key, ttl_ms } => self.add_bytes(b'T', &name(key), &[], ttl_ms),
            Operation::Sync => {
                self.add(Call::Sync, b'S', &[], &[], 0);
                return;
            }
        }
        self.calls.push(Call::Write(step, operation));
    }

    /// What the program noted.
    pub fn answers(&self, results: &Path) -> Result<Vec<Answer>, String> {
        let bytes = std::fs::read(results).map_err(|error| error.to_string())?;
        let one = |record: &[u8]| {
            let short =
                |at: usize| u32::from_ne_bytes(record[at..at + 4].try_into().expect("four bytes"));
            let long =
                |at: usize| u64::from_ne_bytes(record[at..at + 8].try_into().expect("eight bytes"));
            Answer {
                was_begun: short(0) != 0,
                status: (short(4) != 0).then_some(long(8) as i64),
                begun_ms: long(16),
                ended_ms: long(24),
                hash: long(32),
            }
        };
        Ok(bytes.chunks_exact(ANSWER_LEN).map(one).collect())
    }

    /// The answers must be such as are promised. Answers what the database may hold now, and what
    /// the last backup must, if that is known.
    pub fn follow(&self, answers: &[Answer], promise: Promise) -> Result<Followed, String> {
        let mut followed = Followed::default();
        for (at, (call, answer)) in self.calls.iter().zip(answers).enumerate() {
            if !answer.was_begun {
                break;
            }
            let place = |what: &str| format!("call {at}, {call:?}, answered {answer:?}: {what}");
            let Some(status) = answer.status else {
                // It was killed in the midst of this one.
                if let Call::Write(step, operation) = call {
                    followed.variants.perhaps(operation, *step, answer.times());
                }
                followed.backup = None;
                break;
            };
            let is_known = matches!(status, 0..=4 | READ_ONLY | NOT_OPEN);
            if !is_known && !ENVIRONMENT.contains(&status) {
                return Err(place("no such failure can be"));
            }
            followed.count(status);
            followed
                .take(self.seed, call, answer, status, promise)
                .map_err(|error| place(&error))?;
        }
        Ok(followed)
    }
}

/// What is promised of a run, by what was made to fail.
#[derive(Clone, Copy, Default)]
pub struct Promise {
    pub reads_may_fail: bool,
    /// If the outcome of a write is not known, no other is taken until the database is reopened.
    pub latches: bool,
}

/// What is known after some calls.
pub struct Followed {
    /// What the keys may hold: more than one if the outcome of a write is not known.
    pub variants: Variants,
    /// What they may have held when the backup was made that is there, if there is one.
    pub backup: Option<Variants>,
    is_latched: bool,
    pub failures: u64,
    pub latches: u64,
    pub unknown: u64,
}

impl Default for Followed {
    fn default() -> Followed {
        Followed {
            variants: Variants::nothing(),
            backup: None,
            is_latched: false,
            failures: 0,
            latches: 0,
            unknown: 0,
        }
    }
}

impl Followed {
    fn count(&mut self, status: i64) {
        self.failures += u64::from(status < 0 && status != NOT_OPEN);
        self.unknown += u64::from(status == UNKNOWN_OUTCOME);
    }

    fn take(
        &mut self,
        seed: u64,
        call: &Call,
        answer: &Answer,
        status: i64,
        promise: Promise,
    ) -> Result<(), String> {
        match call {
            Call::Open | Call::Close => self.is_latched = false,
            Call::Write(step, operation) => {
                if self.is_latched && status >= 0 && status != NOT_FOUND {
                    return Err("it had refused writes before".into());
                }
                match status {
                    UNKNOWN_OUTCOME => self.variants.perhaps(operation, *step, answer.times()),
                    0.. => self.variants.apply(operation, *step, answer.times()),
                    _ => {}
                }
            }
            Call::Backup if status == OK => self.backup = Some(self.variants.clone()),
            // The one before is there, or the new one.
            Call::Backup => {
                if let Some(backup) = &mut self.backup {
                    backup.or(&self.variants);
                }
            }
            Call::Get(key) if status == OK || status == NOT_FOUND => {
                self.compare(seed, *key, status, answer)?;
            }
            Call::Get(_) | Call::Iterate
                if status < 0 && status != NOT_OPEN && !promise.reads_may_fail =>
            {
                return Err("only writing failed".into());
            }
            _ => {}
        }
        let latches = status == READ_ONLY || status == UNKNOWN_OUTCOME && promise.latches;
        if latches && !matches!(call, Call::Close) {
            self.latches += u64::from(!self.is_latched);
            self.is_latched = true;
        }
        Ok(())
    }

    fn compare(&self, seed: u64, key: usize, status: i64, answer: &Answer) -> Result<(), String> {
        let fits = |held: Held| {
            if held.step == 0 {
                return status == NOT_FOUND;
            }
            let value = if tale::is_counter(key) {
                held.sum.to_le_bytes().to_vec()
            } else {
                tale::value_bytes(seed, THREAD, held.step, key, held.sum as usize)
            };
            status == OK && hash_of(&value) == answer.hash
        };
        if tale::is_short_lived(key) || self.variants.of(key).any(fits) {
            Ok(())
        } else {
            Err(format!("the key holds {:?}", self.variants.of(key).next()))
        }
    }
}

fn hash_of(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
