//! Opens what a crash left, and judges it: it must open, hold what the history held after some step
//! between the last synced and the last begun one, and stay that way.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

use kv::engine::{recover, Engine};
use kv::format::name;
use kv::options::Options;
use parking_lot::Mutex;

use super::history::{content_of, digest, key, sum, Content, Shape, Sum};
use super::sim_disk::fault::Operation;
use super::sim_disk::SimDisk;
use super::{seed, Random};

/// How deep recoveries of crashed recoveries go.
const MAX_DEPTH: u32 = 3;

/// The judge of one history. The first failure is kept, and nothing is examined after it.
pub struct Oracle {
    pub options: Options,
    /// What key and value have together, if all records of the history have one length.
    even_len: Option<usize>,
    /// Says which history this is.
    pub name: String,
    pub states: AtomicU64,
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
    pub sums: Arc<Vec<Sum>>,
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
    /// What a crash at this moment may leave of the history with these sums.
    pub fn expected(&self, sums: &Arc<Vec<Sum>>, context: String, is_kill: bool) -> Expected {
        let durable = self.synced.load(Ordering::SeqCst);
        let low = if is_kill { self.acknowledged.load(Ordering::SeqCst) } else { durable };
        let high = self.issued.load(Ordering::SeqCst);
        Expected { sums: Arc::clone(sums), low, high, durable, context }
    }
}

impl Expected {
    fn exactly(&self, step: usize, what: &str) -> Expected {
        let context = format!("{}, then {what}", self.context);
        let sums = Arc::clone(&self.sums);
        Expected { sums, low: step, high: step, durable: step, context }
    }
}

/// A failure: what is wrong.
type Verdict<T> = std::result::Result<T, String>;

impl Oracle {
    pub fn new(options: Options, shape: &Shape, seed: u64) -> Oracle {
        Oracle {
            options,
            even_len: shape.even_len(),
            name: format!("KV_TEST_SEED={seed}, {shape:?}"),
            states: AtomicU64::new(0),
            failure: Mutex::default(),
            failed: AtomicBool::new(false),
        }
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
        self.examine_at(disk, expected, random, 1);
    }

    fn examine_at(
        self: &Arc<Self>,
        disk: &SimDisk,
        expected: &Expected,
        random: &mut Random,
        depth: u32,
    ) {
        if self.has_failed() {
            return;
        }
        let listing = disk.listing();
        if let Err(what) = self.try_examine(disk, expected, random, depth) {
            self.fail(format!(
                "{what}\n  crash: {}\n  steps allowed: {} to {}\n  files found: {listing}\n  \
                 files now: {}",
                expected.context,
                expected.low,
                expected.high,
                disk.listing()
            ));
        }
    }

    fn try_examine(
        self: &Arc<Self>,
        disk: &SimDisk,
        expected: &Expected,
        random: &mut Random,
        depth: u32,
    ) -> Verdict<()> {
        self.states.fetch_add(1, Ordering::Relaxed);
        if depth < MAX_DEPTH && random.below(4) == 0 {
            self.crash_recoveries(disk, expected, random, depth);
        }
        let opened = self.open(disk);
        disk.unwatch();
        let (engine, content) = opened?;
        let step = find(&content, expected)?;
        if depth > MAX_DEPTH {
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
            2 => self.go_on(disk, engine, content, random)?,
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
        let content = read(&engine)?;
        Ok((engine, content))
    }

    /// Has the next recovery on `disk` crash at some of its operations.
    pub fn crash_recoveries(
        self: &Arc<Self>,
        disk: &SimDisk,
        expected: &Expected,
        random: &mut Random,
        depth: u32,
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
        let mut sums = vec![sum(&content)];
        for round in 0..3 {
            self.write_once(&engine, &mut content, round == 2, random)?;
            sums.push(sum(&content));
            // What was cut off does not come back behind the new records.
            let killed = disk.look(|state| state.kill(random));
            self.must_hold(&killed, &content, "after recovery, a write and a kill")?;
            let context = "after recovery, writes and a power cut".to_owned();
            let (sums, high) = (Arc::new(sums.clone()), sums.len() - 1);
            let expected = Expected { sums, low: 0, high, durable: 0, context };
            self.examine_at(
                &disk.look(|state| state.cut(random)),
                &expected,
                random,
                MAX_DEPTH + 1,
            );
        }
        engine.sync().map_err(|e| format!("sync after recovery: {e}"))?;
        let mut cut = disk.look(|state| state.cut(random));
        self.must_hold(&cut, &content, "after recovery, writes, sync and a power cut")?;
        engine.compact().map_err(|e| format!("compaction after recovery: {e}"))?;
        if read(&engine)? != content {
            return Err("compaction after recovery changed something".to_owned());
        }
        cut = disk.look(|state| state.cut(random));
        self.must_hold(&cut, &content, "after recovery, compaction and a power cut")?;
        engine.shut_down().map_err(|e| format!("closing after recovery: {e}"))?;
        drop(engine);
        self.must_hold(disk, &content, "after recovery and closing")
    }

    /// A put or a delete, with a record as long as those of the history if they all have one
    /// length.
    fn write_once(
        &self,
        engine: &Engine,
        content: &mut Content,
        is_delete: bool,
        random: &mut Random,
    ) -> Verdict<()> {
        let number = random.below(content.len() as u64) as usize;
        let key = key(number);
        if is_delete {
            let deleted = engine.delete(&key);
            let deleted = deleted.map_err(|e| format!("a delete after recovery: {e}"))?;
            let was_there = content[number].take().is_some();
            let wrong = || format!("a delete after recovery answers {deleted}");
            return (deleted == was_there).then_some(()).ok_or_else(wrong);
        }
        let len = self.even_len.map_or_else(|| random.below(3000) as usize, |len| len - key.len());
        let value = random.bytes(len);
        engine.put(&key, &value).map_err(|e| format!("a put after recovery: {e}"))?;
        content[number] = Some(digest(&value));
        Ok(())
    }

    /// The database on `disk` opens and holds `content`.
    pub fn must_hold(&self, disk: &SimDisk, content: &Content, when: &str) -> Verdict<()> {
        self.states.fetch_add(1, Ordering::Relaxed);
        let (_, found) = self.open(disk).map_err(|what| format!("{when}: {what}"))?;
        match difference(&found, content) {
            None => Ok(()),
            Some(difference) => Err(format!("{when}: {difference}")),
        }
    }
}

/// Everything that a database holds.
pub fn read(engine: &Engine) -> Verdict<Content> {
    let content = content_of(engine).map_err(|error| format!("it cannot be read: {error}"))?;
    let found = sum(&content).keys;
    if found != engine.len() {
        return Err(format!("it says it holds {} keys, but {found} are found", engine.len()));
    }
    Ok(content)
}

/// After which step the history held `content`.
pub fn find(content: &Content, expected: &Expected) -> Verdict<usize> {
    let found = sum(content);
    let allowed = &expected.sums[expected.low..=expected.high];
    if let Some(at) = allowed.iter().rposition(|sum| *sum == found) {
        return Ok(expected.low + at);
    }
    let other: Vec<usize> =
        (0..expected.sums.len()).filter(|&at| expected.sums[at] == found).collect();
    if other.is_empty() {
        Err(format!("it holds {} keys as never in its history: no prefix", found.keys))
    } else {
        Err(format!("it holds what it held after steps {other:?}"))
    }
}

/// How two contents differ, in words.
pub fn difference(found: &Content, expected: &Content) -> Option<String> {
    let differ = |&at: &usize| found[at] != expected[at];
    let which: Vec<String> = (0..found.len())
        .filter(differ)
        .map(|at| match (found[at], expected[at]) {
            (None, _) => format!("key {at} is missing"),
            (_, None) => format!("key {at} is there"),
            _ => format!("key {at} has another value"),
        })
        .collect();
    (!which.is_empty()).then(|| which.join(", "))
}

/// Runs histories, each with a seed of its own: `usual` of them, or for KV_CRASH_SECONDS. `run`
/// answers how many crash states it examined.
#[allow(clippy::print_stdout, reason = "how many states were examined is worth knowing")]
pub fn run_histories(usual: u64, run: impl Fn(u64) -> u64) {
    let limit = std::env::var("KV_CRASH_SECONDS").ok().and_then(|text| text.parse().ok());
    let (start, first) = (Instant::now(), seed());
    let is_over = |histories: u64| match limit {
        Some(seconds) => start.elapsed() >= Duration::from_secs(seconds),
        None => histories == usual,
    };
    let (mut states, mut histories) = (0, 0);
    while !is_over(histories) {
        states += run(first.wrapping_add(histories));
        histories += 1;
    }
    let seconds = start.elapsed().as_secs_f32();
    println!("{states} crash states of {histories} histories in {seconds:.1} s, seed {first}");
}
