//! Opens what a crash left, and judges it: it must open, hold what the history held after some step
//! between the last synced and the last begun one, and stay that way.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::Arc;

use kv::clock::{ManualTime, TimeSource};
use kv::db::WriteSync;
use kv::engine::{recover, Engine};
use kv::format::name;
use kv::options::Options;
use parking_lot::Mutex;

use super::content::{all_live, content_of, count, difference, live, Content, KEYS};
use super::draw::Shape;
use super::history::{Part, Step};
use super::sim_disk::fault::Operation;
use super::sim_disk::{shown, SimDisk};
use super::trace::{Trace, DEPTHS};
use super::Random;

/// When histories begin, in milliseconds since 1970.
const START_MS: u64 = 1_700_000_000_000;
/// How many crashes follow each other at most before one recovery ends.
const MAX_DEPTH: usize = DEPTHS;

/// The judge of one history. The first failure is kept, and nothing is examined after it.
pub struct Oracle {
    pub options: Options,
    /// The clock of all databases.
    time: Arc<ManualTime>,
    /// What key and value have together, if all records of the history have one length.
    even_len: Option<usize>,
    /// Says which history this is.
    pub name: String,
    pub trace: Arc<Trace>,
    failure: Mutex<Option<String>>,
    failed: AtomicBool,
}

/// How far a history has come, in steps.
#[derive(Default)]
pub struct Progress {
    /// Begun.
    pub issued: AtomicUsize,
    /// Ended.
    pub acknowledged: AtomicUsize,
    /// Known to be on the medium.
    pub synced: AtomicUsize,
}

/// What a crashed database may hold.
#[derive(Clone)]
pub struct Expected {
    pub contents: Arc<Vec<Content>>,
    /// At least the effect of so many steps.
    pub low: usize,
    /// At most the effect of so many.
    pub high: usize,
    /// At least the effect of so many after a power cut that interrupts the next recovery.
    pub durable: usize,
    /// Where the crash happened, for messages.
    pub context: String,
}

impl Progress {
    /// What a crash at this moment may leave of the history with these contents.
    pub fn expected(
        &self,
        contents: &Arc<Vec<Content>>,
        context: String,
        is_kill: bool,
    ) -> Expected {
        let durable = self.synced.load(Ordering::SeqCst);
        let low = if is_kill { self.acknowledged.load(Ordering::SeqCst) } else { durable };
        let high = self.issued.load(Ordering::SeqCst);
        Expected { contents: Arc::clone(contents), low, high, durable, context }
    }
}

impl Expected {
    fn exactly(&self, step: usize, what: &str) -> Expected {
        let context = format!("{}, then {what}", self.context);
        let contents = Arc::clone(&self.contents);
        Expected { contents, low: step, high: step, durable: step, context }
    }
}

/// A failure: what is wrong.
type Verdict<T> = std::result::Result<T, String>;

impl Oracle {
    pub fn new(options: Options, shape: &Shape, seed: u64) -> Oracle {
        let time = Arc::new(ManualTime::default());
        time.advance(START_MS);
        Oracle {
            options: Options { time: TimeSource::Manual(Arc::clone(&time)), ..options },
            time,
            even_len: shape.even_len(),
            name: format!("KV_TEST_SEED={seed}, {shape:?}"),
            trace: Arc::default(),
            failure: Mutex::default(),
            failed: AtomicBool::new(false),
        }
    }

    /// The same, which counts what it examines in a record.
    pub fn traced(self, trace: &Arc<Trace>) -> Oracle {
        Oracle { trace: Arc::clone(trace), ..self }
    }

    /// Milliseconds since 1970.
    pub fn now(&self) -> u64 {
        self.time.wall_ms.load(Ordering::SeqCst)
    }

    /// Lets time go on.
    pub fn advance(&self, ms: u64) {
        self.time.advance(ms);
    }

    /// Whether something was wrong.
    pub fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    /// # Panics
    /// If something was wrong.
    pub fn conclude(&self) {
        if let Some(failure) = self.failure.lock().take() {
            panic!("{}: {failure}", self.name);
        }
    }

    /// Keeps a failure; panicking is left to [`Oracle::conclude`], since the disk is in the middle
    /// of something.
    pub fn fail(&self, failure: String) {
        self.failure.lock().get_or_insert(failure);
        self.failed.store(true, Ordering::Relaxed);
    }

    /// Examines a crashed disk, and crashes the recovery in turn.
    pub fn examine(self: &Arc<Self>, disk: &SimDisk, expected: &Expected, random: &mut Random) {
        self.examine_at(disk, expected, random, 0);
    }

    fn examine_at(
        self: &Arc<Self>,
        disk: &SimDisk,
        expected: &Expected,
        random: &mut Random,
        depth: usize,
    ) {
        if self.has_failed() {
            return;
        }
        let listing = disk.list_all();
        if let Err(what) = self.try_examine(disk, expected, random, depth) {
            let Expected { context, low, high, .. } = expected;
            let (found, now) = (shown(&listing), disk.listing());
            self.fail(format!(
                "{what}\n  crash: {context}\n  steps allowed: {low} to {high}\n  files found: \
                 {found}\n  files now: {now}"
            ));
        }
    }

    fn try_examine(
        self: &Arc<Self>,
        disk: &SimDisk,
        expected: &Expected,
        random: &mut Random,
        depth: usize,
    ) -> Verdict<()> {
        self.trace.count_state();
        if depth < MAX_DEPTH && random.below(4) == 0 {
            self.crash_recoveries(disk, expected, random, depth);
        }
        let opened = self.open(disk);
        disk.unwatch();
        let (engine, content) = opened?;
        let step = self.find(&engine, &content, expected)?;
        if depth > MAX_DEPTH {
            // One of many after a recovery that has ended.
            return Ok(());
        }
        match random.below(8) {
            0 => {
                // What was served once is there for good.
                let cut = disk.look(|state| state.cut(random));
                let expected = expected.exactly(step, "a power cut right after recovery");
                self.examine_at(&cut, &expected, random, depth + 1);
            }
            1 => {
                drop(engine);
                let (_engine, again) = self.open(disk)?;
                if again != content {
                    return Err("a second opening finds something else".to_owned());
                }
            }
            2 => self.go_on(disk, engine, self.all_held(&content, expected, step), random)?,
            3 => self.compare_with_the_log_alone(disk, &engine, &content, random)?,
            _ => {}
        }
        Ok(())
    }

    /// What is found with a checkpoint and hints is what the log says without them.
    fn compare_with_the_log_alone(
        &self,
        disk: &SimDisk,
        engine: &Engine,
        content: &Content,
        random: &mut Random,
    ) -> Verdict<()> {
        let copy = disk.look(|state| state.kill(random));
        let storage = copy.storage();
        for name in storage.list().map_err(|error| error.to_string())? {
            if name == name::INDEX || name::parse_hint(&name).is_some() {
                storage.remove(&name).map_err(|error| error.to_string())?;
            }
        }
        let (alone, found) = self.open(&copy)?;
        if let Some(difference) = difference(content, &found) {
            return Err(format!("unlike the log alone: {difference}"));
        }
        let (with, without) = (engine.dead_bytes(), alone.dead_bytes());
        let wrong = || format!("dead bytes {with:?}, but {without:?} by the log alone");
        (with == without).then_some(()).ok_or_else(wrong)
    }

    /// Opens the database, and reads all of it.
    pub fn open(&self, disk: &SimDisk) -> Verdict<(Engine, Content)> {
        let engine = recover::open(disk.storage(), self.options.clone());
        let engine = engine.map_err(|error| format!("it does not open: {error}"))?;
        let content = self.read(&engine)?;
        Ok((engine, content))
    }

    /// Everything that a database holds.
    pub fn read(&self, engine: &Engine) -> Verdict<Content> {
        content_of(engine, self.now()).map_err(|error| format!("it cannot be read: {error}"))
    }

    /// What a database may hold that was found to hold `content`, as after `step`: also of what has
    /// expired all that any step has that looks the same.
    pub fn all_held(&self, content: &Content, expected: &Expected, step: usize) -> Content {
        let mut held = expected.contents[step].clone();
        for other in &expected.contents[expected.low..=expected.high] {
            if all_live(other, self.now()) == *content {
                held.iter_mut().zip(other).for_each(|(held, other)| *held = held.or(*other));
            }
        }
        held
    }

    /// After which step the history held `content`, which is what `engine` holds.
    pub fn find(&self, engine: &Engine, content: &Content, expected: &Expected) -> Verdict<usize> {
        let now = self.now();
        let held = |at: &usize| {
            let then = expected.contents[*at].iter().map(|held| live(held, now));
            then.eq(content.iter().copied())
        };
        // What has expired may be counted.
        let says = engine.len();
        let counts = |at: &usize| (count(content)..=count(&expected.contents[*at])).contains(&says);
        let allowed = (expected.low..=expected.high).rev().filter(held);
        if let Some(at) = allowed.clone().find(counts) {
            return Ok(at);
        }
        if allowed.count() > 0 {
            return Err(format!("it says it holds {says} keys, but holds {}", count(content)));
        }
        let other: Vec<usize> = (0..expected.contents.len()).filter(held).collect();
        if other.is_empty() {
            let keys = count(content);
            Err(format!("it holds {keys} keys as never in its history: no prefix"))
        } else {
            Err(format!("it holds what it held after steps {other:?}"))
        }
    }

    /// Has the next recovery on `disk` crash at some of its operations.
    pub fn crash_recoveries(
        self: &Arc<Self>,
        disk: &SimDisk,
        expected: &Expected,
        random: &mut Random,
        depth: usize,
    ) {
        let (oracle, expected) = (Arc::clone(self), expected.clone());
        let mut random = Random(random.next());
        disk.watch(Box::new(move |state, operation| {
            // Between a rename and the sync that makes it last, a kill is of most interest.
            let is_rename = operation == Operation::SyncDirectory;
            if !is_rename && random.below(3) != 0 {
                return;
            }
            let (disk, what, low) = match random.below(if is_rename { 2 } else { 4 }) {
                0 => (state.kill(&mut random), "kill", expected.low),
                _ => (state.cut(&mut random), "power cut", expected.durable),
            };
            let context = format!("{}, then {what} in recovery: {operation:?}", expected.context);
            let expected = Expected { context, low, ..expected.clone() };
            oracle.trace.count_nested(depth + 1);
            oracle.examine_at(&disk, &expected, &mut random, depth + 1);
        }));
    }

    /// A recovered database takes writes, which survive a power cut, and compaction changes
    /// nothing.
    fn go_on(
        self: &Arc<Self>,
        disk: &SimDisk,
        engine: Engine,
        mut content: Content,
        random: &mut Random,
    ) -> Verdict<()> {
        let mut contents = vec![content.clone()];
        for round in 0..4 {
            self.write_once(&engine, &mut content, round, random)?;
            contents.push(content.clone());
            // What was cut off does not come back behind the new records.
            let killed = disk.look(|state| state.kill(random));
            self.must_survive(&killed, &content, "after recovery, a write and a kill")?;
            let context = "after recovery, writes and a power cut".to_owned();
            let (contents, high) = (Arc::new(contents.clone()), contents.len() - 1);
            let expected = Expected { contents, low: 0, high, durable: 0, context };
            self.examine_at(
                &disk.look(|state| state.cut(random)),
                &expected,
                random,
                MAX_DEPTH + 1,
            );
        }
        engine.sync().map_err(|e| format!("sync after recovery: {e}"))?;
        let mut cut = disk.look(|state| state.cut(random));
        self.must_survive(&cut, &content, "after recovery, writes, sync and a power cut")?;
        engine.compact().map_err(|e| format!("compaction after recovery: {e}"))?;
        if self.read(&engine)? != all_live(&content, self.now()) {
            return Err("compaction after recovery changed something".to_owned());
        }
        cut = disk.look(|state| state.cut(random));
        self.must_survive(&cut, &content, "after recovery, compaction and a power cut")?;
        engine.shut_down().map_err(|e| format!("closing after recovery: {e}"))?;
        drop(engine);
        self.must_hold(disk, &content, "after recovery and closing")
    }

    /// A put, a batch, or a delete, with records as long as those of the history if they all have
    /// one length.
    fn write_once(
        &self,
        engine: &Engine,
        content: &mut Content,
        round: u32,
        random: &mut Random,
    ) -> Verdict<()> {
        let mut draw = || {
            let key = random.below(KEYS as u64) as usize;
            let is_even = |len: usize| len - super::history::key(key).len();
            let len = self.even_len.map_or_else(|| random.below(3000) as usize, is_even);
            (key, random.bytes(len))
        };
        let (key, value) = draw();
        let step = match round {
            0 | 3 => Step::Put { key, value },
            1 => {
                let second = draw();
                let part = |(key, value)| Part { key, value: Some(value), ttl_ms: 0 };
                let parts = [(key, value), second].map(part).into();
                Step::Batch { parts, sync: WriteSync::AsOpened }
            }
            _ => Step::Delete { key },
        };
        let answer = step.perform(engine).map_err(|e| format!("a write after recovery: {e}"))?;
        let right = step.apply(content, self.now());
        let wrong = || format!("a write after recovery answers {answer:?}, not {right:?}");
        (answer == right).then_some(()).ok_or_else(wrong)
    }

    /// The same for what a crash has left.
    fn must_survive(&self, disk: &SimDisk, content: &Content, when: &str) -> Verdict<()> {
        self.trace.count_state();
        self.must_hold(disk, content, when)
    }

    /// The database on `disk` opens and holds `content`.
    pub fn must_hold(&self, disk: &SimDisk, content: &Content, when: &str) -> Verdict<()> {
        let (_, found) = self.open(disk).map_err(|what| format!("{when}: {what}"))?;
        match difference(&found, &all_live(content, self.now())) {
            None => Ok(()),
            Some(difference) => Err(format!("{when}: {difference}")),
        }
    }
}
