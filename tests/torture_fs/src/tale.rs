//! What the threads of a tortured database do: a function of the seed, the thread and the step, so
//! that a program which did not do it knows what must be there.
//!
//! Each thread has keys of its own. A value names the step that wrote it, so one look at it tells
//! how far the thread had come.

use crate::random;

/// Threads that write, at most.
pub const THREADS: usize = 4;
/// Keys of each thread.
pub const KEYS: usize = 44;
/// The last of them are counters.
const FIRST_COUNTER: usize = 40;
/// Of these, values may expire soon.
const SHORT_LIVED: std::ops::Range<usize> = 8..16;
/// Of these, values may expire some day, and their times are changed.
const LONG_LIVED: std::ops::Range<usize> = 0..8;

/// As good as now.
pub const SOON_MS: u64 = 15;
/// Later than any run ends.
pub const SOME_DAY_MS: u64 = 30 * 86_400_000;

/// One call.
#[derive(Clone, Debug)]
pub enum Operation {
    Put {
        key: usize,
        len: usize,
        ttl_ms: u64,
    },
    /// Through a reservation.
    Reserve {
        key: usize,
        len: usize,
    },
    Delete {
        key: usize,
    },
    /// All of it or nothing. Without a length, the key is deleted.
    Batch(Vec<(usize, Option<usize>)>),
    Add {
        key: usize,
        delta: i64,
    },
    Touch {
        key: usize,
        ttl_ms: u64,
    },
    Sync,
}

/// What `thread` does as its `step`-th deed; the first one is 1.
pub fn operation(seed: u64, thread: usize, step: u64) -> Operation {
    let mut random = random::of(&[seed, thread as u64, step]);
    let key = random.below(FIRST_COUNTER as u64) as usize;
    match random.below(100) {
        0..=13 => Operation::Delete { key },
        14..=21 => {
            let count = match random.below(8) {
                0 => 60 + random.below(60),
                _ => 1 + random.below(8),
            };
            let one = |_| {
                let key = random.below(FIRST_COUNTER as u64) as usize;
                let len = 8 + random.below(200) as usize;
                (key, (random.below(4) != 0).then_some(len))
            };
            Operation::Batch((0..count).map(one).collect())
        }
        22..=26 => {
            let key = FIRST_COUNTER + random.below((KEYS - FIRST_COUNTER) as u64) as usize;
            Operation::Add { key, delta: random.below(1000) as i64 - 300 }
        }
        27..=30 => {
            let key = LONG_LIVED.start + key % LONG_LIVED.len();
            Operation::Touch { key, ttl_ms: random.below(2) * SOME_DAY_MS }
        }
        31..=34 => Operation::Reserve { key, len: value_len(&mut random) },
        35..=36 => Operation::Sync,
        _ => {
            let ttl_ms = match random.below(3) {
                0 if SHORT_LIVED.contains(&key) => SOON_MS,
                0 if LONG_LIVED.contains(&key) => SOME_DAY_MS,
                _ => 0,
            };
            Operation::Put { key, len: value_len(&mut random), ttl_ms }
        }
    }
}

/// Mostly short; now and then so long that a segment of 1 MiB fills after some hundred.
fn value_len(random: &mut random::Random) -> usize {
    match random.below(100) {
        0..=1 => 0,
        2..=4 => 8 + random.below(60_000) as usize,
        5..=14 => 8 + random.below(3_000) as usize,
        _ => 8 + random.below(200) as usize,
    }
}

impl Operation {
    /// The length of the value that this leaves under `key`, if it writes one.
    pub fn written_len(&self, key: usize) -> Option<usize> {
        match self {
            Operation::Put { key: own, len, .. } | Operation::Reserve { key: own, len } => {
                (*own == key).then_some(*len)
            }
            Operation::Batch(parts) => {
                parts.iter().rev().find(|(own, _)| *own == key).and_then(|(_, len)| *len)
            }
            _ => None,
        }
    }

    /// What the keys hold afterwards, as far as that changes. `held` is what they hold before, and
    /// `sum` what a counter will; the deed was begun at `early` and was over by `late`.
    pub fn changes(
        &self,
        step: u64,
        (early, late): (u64, u64),
        sum: i64,
        held: impl Fn(usize) -> Held,
    ) -> Vec<(usize, Held)> {
        let with_ttl = |held: Held, ttl_ms| match ttl_ms {
            0 => Held { early: 0, late: 0, ..held },
            _ => Held { early: early + ttl_ms, late: late + ttl_ms, ..held },
        };
        let value = |len: usize| Held { step, sum: len as i64, ..Held::NOTHING };
        match *self {
            Operation::Put { key, len, ttl_ms } => vec![(key, with_ttl(value(len), ttl_ms))],
            Operation::Reserve { key, len } => vec![(key, value(len))],
            Operation::Delete { key } => vec![(key, Held::NOTHING)],
            Operation::Batch(ref parts) => {
                // The last one of a key counts.
                let one =
                    |(key, len): &(usize, Option<usize>)| (*key, len.map_or(Held::NOTHING, value));
                parts.iter().map(one).collect()
            }
            Operation::Add { key, .. } => vec![(key, Held { step, sum, ..Held::NOTHING })],
            Operation::Touch { key, ttl_ms } => match held(key) {
                Held { step: 0, .. } => Vec::new(),
                held => vec![(key, with_ttl(held, ttl_ms))],
            },
            Operation::Sync => Vec::new(),
        }
    }

    /// The counter that this changes, and by how much.
    pub fn addend(&self) -> Option<(usize, i64)> {
        match self {
            Operation::Add { key, delta } => Some((*key, *delta)),
            _ => None,
        }
    }
}

/// What a key holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// The step that wrote the value; 0: there is none.
    pub step: u64,
    /// What a counter holds; of other keys, the value's length.
    pub sum: i64,
    /// Before this time (milliseconds since 1970), the value has not expired; 0: it does not.
    pub early: u64,
    /// After this one it has.
    pub late: u64,
}

impl Held {
    pub const NOTHING: Held = Held { step: 0, sum: 0, early: 0, late: 0 };
}

pub fn is_counter(key: usize) -> bool {
    key >= FIRST_COUNTER
}

pub fn is_short_lived(key: usize) -> bool {
    SHORT_LIVED.contains(&key)
}

/// The bytes of a key: its thread, its number, and some that make keys differ in length.
pub fn key_bytes(thread: usize, key: usize) -> Vec<u8> {
    let len = if key == 17 { 3_000 } else { 3 + (key * 7 + thread) % 29 };
    let mut bytes = vec![b'.'; len];
    bytes[..3].copy_from_slice(&[b'k', thread as u8, key as u8]);
    bytes
}

/// Which key these bytes are.
pub fn parse_key(bytes: &[u8]) -> Option<(usize, usize)> {
    let &[b'k', thread, key, ..] = bytes else { return None };
    let (thread, key) = (usize::from(thread), usize::from(key));
    (thread < THREADS && key < KEYS && key_bytes(thread, key) == bytes).then_some((thread, key))
}

/// The value of `len` bytes that `step` gives to `key`: the step first, unless it is empty.
pub fn value_bytes(seed: u64, thread: usize, step: u64, key: usize, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    if len >= 8 {
        bytes[..8].copy_from_slice(&step.to_le_bytes());
        random::of(&[seed, thread as u64, step, key as u64, 1]).fill(&mut bytes[8..]);
    }
    bytes
}
