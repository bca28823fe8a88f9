//! Random histories of a database, and what the database must hold after each step.
//!
//! What a database holds is condensed to a [`Content`]: one digest of a value for each key. A
//! history keeps the sum of each content ([`Sum`]), so that a recovered one is found among all of
//! them at once.

use kv::engine::Engine;
use kv::error::{Kind, Result};

use super::Random;

/// How many keys there are: few, so that they are overwritten and deleted often.
const KEYS: usize = 40;

/// The digest of each key's value, if it has one.
pub type Content = Vec<Option<u64>>;

/// A content in short.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    pub keys: usize,
    mix: u64,
}

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
    Sync,
    Compact,
    WriteHints,
    /// What the threads of a database do beside its calls.
    Background,
    Checkpoint,
    /// What the background thread does next, if anything.
    CompactIfDue,
    Reopen,
}

/// What kind of steps a history has.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub segment_size: u64,
    /// The length of large values.
    large: u64,
    /// One of so many values is large.
    large_every: u64,
    keys: u64,
    /// Whether all records have one length, so that what was written before a crash would fit in
    /// exactly behind what is written after it.
    even: bool,
    /// Of 100 steps, how many are …
    deletes: u64,
    syncs: u64,
    compactions: u64,
    hints: u64,
    background: u64,
    checkpoints: u64,
    compactions_if_due: u64,
    reopenings: u64,
}

/// Steps, and what they lead to.
pub struct History {
    pub steps: Vec<Step>,
    /// The content after so many steps.
    pub sums: Vec<Sum>,
}

/// The name of a key.
pub fn key(number: usize) -> Vec<u8> {
    let mut name = format!("key {number}").into_bytes();
    name.resize(name.len() + number * number % 37, b'.');
    name
}

/// The content of a new database.
pub fn nothing() -> Content {
    vec![None; KEYS]
}

/// A digest of a value, unlike the engine's checksum.
pub fn digest(value: &[u8]) -> u64 {
    let start = (value.len() as u64 ^ 0x51_7c_c1_b7).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let (words, rest) = value.as_chunks::<8>();
    let mix =
        |sum: u64, word: u64| (sum.rotate_left(23) ^ word).wrapping_mul(0xd6e8_feb8_6659_fd93);
    let sum = words.iter().fold(start, |sum, word| mix(sum, u64::from_le_bytes(*word)));
    rest.iter().fold(sum, |sum, byte| mix(sum, u64::from(*byte) + 1))
}

/// The sum of a content.
pub fn sum(content: &Content) -> Sum {
    let present = content.iter().enumerate().filter_map(|(key, value)| Some((key, (*value)?)));
    present.fold(Sum::default(), |sum, (key, value)| Sum {
        keys: sum.keys + 1,
        mix: sum.mix.wrapping_add(Random(value ^ (key as u64) << 56).next()),
    })
}

/// What a database holds.
pub fn content_of(engine: &Engine) -> Result<Content> {
    let read = |number| engine.get(&key(number), digest);
    (0..KEYS).map(read).collect()
}

impl Shape {
    /// Small segments most of the time, so that many things happen in few steps; now and then real
    /// ones.
    pub fn draw(random: &mut Random) -> Shape {
        let (segment_size, large) = match random.below(10) {
            0 => (1 << 20, 200_000),
            1..=4 => (96 << 10, 16_000),
            _ => (128 << 10, 24_000),
        };
        Shape {
            segment_size,
            large,
            large_every: 1 + random.below(4),
            keys: 2 + random.below(KEYS as u64 - 1),
            even: random.below(4) == 0,
            deletes: random.below(30),
            syncs: [0, 3, 8, 25][random.below(4) as usize],
            compactions: [0, 2, 5][random.below(3) as usize],
            hints: [0, 10][random.below(2) as usize],
            background: [0, 5, 20][random.below(3) as usize],
            checkpoints: [0, 0, 4][random.below(3) as usize],
            compactions_if_due: [0, 5, 20][random.below(3) as usize],
            reopenings: random.below(4),
        }
    }

    /// What key and value of a record have together, if all records have one length.
    pub fn even_len(&self) -> Option<usize> {
        self.even.then_some(self.large as usize / 16)
    }

    fn value(&self, key_len: usize, random: &mut Random) -> Vec<u8> {
        if let Some(len) = self.even_len() {
            return random.bytes(len - key_len);
        }
        let len = match random.below(self.large_every) {
            0 if random.below(60) == 0 => self.segment_size + random.below(self.large),
            0 => self.large / 10 + random.below(self.large * 9 / 10),
            _ => [0, random.below(20), random.below(600), 4000][random.below(4) as usize],
        };
        let mut value = random.bytes(len as usize);
        if random.below(8) == 0 {
            // Zeros look like space that was never written.
            let from = random.below(len + 1) as usize;
            value[from..].fill(0);
        }
        value
    }

    /// The next step.
    pub fn step(&self, random: &mut Random) -> Step {
        let key = random.below(self.keys) as usize;
        let kind = random.below(100);
        let kinds = [
            self.deletes,
            self.syncs,
            self.compactions,
            self.hints,
            self.background,
            self.checkpoints,
            self.compactions_if_due,
            self.reopenings,
        ];
        let mut upto = 0;
        let chosen = kinds.iter().position(|count| {
            upto += count;
            kind < upto
        });
        match chosen {
            Some(0) => Step::Delete { key },
            Some(1) => Step::Sync,
            Some(2) => Step::Compact,
            Some(3) => Step::WriteHints,
            Some(4) => Step::Background,
            Some(5) => Step::Checkpoint,
            Some(6) => Step::CompactIfDue,
            Some(_) => Step::Reopen,
            None => Step::Put { key, value: self.value(self::key(key).len(), random) },
        }
    }
}

impl Step {
    /// Does to a content what the step does to a database.
    pub fn apply(&self, content: &mut Content) {
        match self {
            Step::Put { key, value } => content[*key] = Some(digest(value)),
            Step::Delete { key } => content[*key] = None,
            _ => {}
        }
    }

    /// Does it to a database. Reopening is not for here.
    pub fn perform(&self, engine: &Engine) -> Result<()> {
        match self {
            Step::Put { key: number, value } => engine.put(&key(*number), value),
            Step::Delete { key: number } => engine.delete(&key(*number)).map(|_| ()),
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
            Step::Reopen => Err(kv::error::Error::new(Kind::Internal, "the driver reopens")),
        }
    }

    /// Whether it compacts.
    pub fn compacts(&self) -> bool {
        matches!(self, Step::Compact | Step::CompactIfDue)
    }

    /// Whether it changes a content.
    pub fn writes(&self) -> bool {
        matches!(self, Step::Put { .. } | Step::Delete { .. })
    }
}

impl History {
    /// `count` random steps that begin with `content`.
    pub fn draw(shape: &Shape, content: &Content, count: usize, random: &mut Random) -> History {
        let steps: Vec<Step> = (0..count).map(|_| shape.step(random)).collect();
        let mut content = content.clone();
        let mut sums = vec![sum(&content)];
        for step in &steps {
            step.apply(&mut content);
            sums.push(sum(&content));
        }
        History { steps, sums }
    }
}
