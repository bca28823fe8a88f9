//! Drawing the steps of random histories.

use kv::db::{WriteOptions, WriteSync};

use super::content::{Content, KEYS};
use super::history::{key, History, Part, Step, Version};
use super::Random;

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
    /// Whether values may expire.
    expires: bool,
    /// Of 100 steps, how many are …
    deletes: u64,
    batches: u64,
    conditionals: u64,
    counters: u64,
    touches: u64,
    reservations: u64,
    advances: u64,
    syncs: u64,
    compactions: u64,
    hints: u64,
    background: u64,
    checkpoints: u64,
    compactions_if_due: u64,
    reopenings: u64,
}

/// Bytes that a record of a batch has more if it is the last.
const MARK_LEN: usize = 8;

impl Shape {
    /// Small segments most of the time, so that many things happen in few steps, and soon; now and
    /// then real ones.
    pub fn draw(random: &mut Random) -> Shape {
        let (segment_size, large) = match random.below(24) {
            0 => (1 << 20, 200_000),
            1..=4 => (128 << 10, 24_000),
            5..=10 => (64 << 10, 12_000),
            _ => (32 << 10, 6_000),
        };
        let even = random.below(4) == 0;
        let expires = !even && random.below(2) == 0;
        let mut one_of = |of: [u64; 3]| of[random.below(3) as usize];
        let (batches, conditionals) = (one_of([0, 5, 20]), one_of([0, 5, 15]));
        let (counters, touches) = (one_of([0, 2, 8]), one_of([0, 2, 5]));
        let (reservations, advances) = (one_of([0, 0, 8]), one_of([0, 2, 6]));
        Shape {
            segment_size,
            large,
            large_every: 1 + random.below(4),
            keys: 2 + random.below(KEYS as u64 - 1),
            even,
            expires,
            deletes: random.below(20),
            batches,
            conditionals,
            counters: if even { 0 } else { counters },
            touches: if expires { touches } else { 0 },
            reservations,
            advances: if expires { advances } else { 0 },
            syncs: [0, 3, 8, 15][random.below(4) as usize],
            compactions: [0, 2, 5][random.below(3) as usize],
            hints: [0, 8][random.below(2) as usize],
            background: [0, 5, 12][random.below(3) as usize],
            checkpoints: [0, 0, 4][random.below(3) as usize],
            compactions_if_due: [0, 5, 12][random.below(3) as usize],
            reopenings: random.below(4),
        }
    }

    /// The same, with values that expire, time that goes on, and compaction of what has expired.
    pub fn with_values_that_expire(self, random: &mut Random) -> Shape {
        Shape {
            even: false,
            expires: true,
            touches: 4,
            advances: 4 + random.below(8),
            compactions_if_due: 4 + random.below(8),
            ..self
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

    fn ttl_ms(&self, random: &mut Random) -> u64 {
        match random.below(3) {
            _ if !self.expires => 0,
            0 => 0,
            1 => 1 + random.below(3_000),
            _ => 1_000_000,
        }
    }

    /// The next step.
    pub fn step(&self, random: &mut Random) -> Step {
        let key = random.below(self.keys) as usize;
        let kind = random.below(100);
        let kinds = [
            self.deletes,
            self.batches,
            self.conditionals,
            self.counters,
            self.touches,
            self.reservations,
            self.advances,
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
            Some(1) => self.batch(random),
            Some(2) => self.conditional(key, random),
            Some(3) => {
                // Counters meet other values now and then.
                let key = if random.below(4) == 0 { key } else { key % 2 };
                let delta = [1, -7, random.next() as i64][random.below(3) as usize];
                Step::Add { key, delta }
            }
            Some(4) => Step::Touch { key, ttl_ms: self.ttl_ms(random) },
            Some(5) => self.reservation(key, random),
            Some(6) => Step::Advance { ms: 1 + random.below(2_000) },
            Some(7) => Step::Sync,
            Some(8) => Step::Compact,
            Some(9) => Step::WriteHints,
            Some(10) => Step::Background,
            Some(11) => Step::Checkpoint,
            Some(12) => Step::CompactIfDue,
            Some(_) => Step::Reopen,
            None => Step::Put { key, value: self.value(self::key(key).len(), random) },
        }
    }

    /// Of one write, of a few, or of so many that no segment has room for them.
    fn batch(&self, random: &mut Random) -> Step {
        let count = match random.below(12) as usize {
            0..=1 => 1,
            2..=7 => 2 + random.below(4) as usize,
            8..=10 => 5 + random.below(12) as usize,
            _ => 10 + random.below(40) as usize,
        };
        let (mut parts, mut bytes) = (Vec::new(), 0);
        while parts.len() < count && bytes < self.segment_size as usize {
            let key = random.below(self.keys) as usize;
            let is_delete = random.below(4) == 0;
            let value = (!is_delete).then(|| self.value(self::key(key).len(), random));
            let ttl_ms = if is_delete { 0 } else { self.ttl_ms(random) };
            bytes += value.as_ref().map_or(0, Vec::len);
            parts.push(Part { key, value, ttl_ms });
        }
        if let (true, Some(last)) = (self.even && count > 1, parts.last_mut()) {
            let len = self.value(self::key(last.key).len(), random).len() - MARK_LEN;
            last.value = Some(random.bytes(len));
        }
        Step::Batch { parts, sync: sync(random) }
    }

    fn reservation(&self, key: usize, random: &mut Random) -> Step {
        let options = WriteOptions {
            ttl_ms: self.ttl_ms(random),
            keep_ttl: random.below(4) == 0,
            if_absent: random.below(6) == 0,
            sync: sync(random),
            ..WriteOptions::default()
        };
        Step::Reserve {
            key,
            value: self.value(self::key(key).len(), random),
            options,
            beside: (random.below(2) == 0).then(|| random.below(self.keys) as usize),
            is_committed: random.below(4) != 0,
        }
    }

    fn conditional(&self, key: usize, random: &mut Random) -> Step {
        let is_same = random.below(4) == 0;
        let value = (!is_same).then(|| self.value(self::key(key).len(), random));
        let version = match random.below(6) {
            0..=1 => Version::Right,
            2 => Version::Wrong,
            _ => Version::Any,
        };
        let options = WriteOptions {
            ttl_ms: self.ttl_ms(random),
            keep_ttl: random.below(3) == 0,
            if_absent: version == Version::Any && random.below(3) == 0,
            skip_if_equal: random.below(2) == 0,
            sync: sync(random),
            ..WriteOptions::default()
        };
        Step::PutWith { key, value, version, options }
    }
}

fn sync(random: &mut Random) -> WriteSync {
    match random.below(12) {
        0 => WriteSync::Yes,
        1 => WriteSync::No,
        _ => WriteSync::AsOpened,
    }
}

impl History {
    /// `count` random steps that begin with `content` at the time `now`.
    pub fn draw(
        shape: &Shape,
        content: &Content,
        count: usize,
        now: u64,
        random: &mut Random,
    ) -> History {
        History::draw_some(shape, content, (count, &|_| true), now, random)
    }

    /// The same, but for those of the `count` steps that are not kept.
    pub fn draw_some(
        shape: &Shape,
        content: &Content,
        (count, keeps): (usize, &dyn Fn(usize) -> bool),
        mut now: u64,
        random: &mut Random,
    ) -> History {
        let steps: Vec<Step> = (0..count).map(|_| shape.step(random)).collect();
        let kept = steps.into_iter().enumerate().filter(|(number, _)| keeps(*number));
        let (numbers, steps): (Vec<usize>, Vec<Step>) = kept.unzip();
        let mut content = content.clone();
        let mut contents = vec![content.clone()];
        let mut answers = Vec::new();
        for step in &steps {
            if let Step::Advance { ms } = step {
                now += ms;
            }
            answers.push(step.apply(&mut content, now));
            contents.push(content.clone());
        }
        History { steps, answers, contents, numbers }
    }
}
