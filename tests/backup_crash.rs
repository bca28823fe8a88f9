//! Backups on a simulated disk: the power is cut at every operation of a backup, operations fail,
//! and other work goes on in its midst. Source and backup must open, each with a prefix of the
//! history: the source as ever, the backup with what the old one held, or the new one.
//!
//! `KV_TEST_SEED` gives another seed (a failure names the one of its history); `KV_CRASH_SECONDS`
//! sets how long to go on, instead of a fixed number of histories.

mod common;

use std::ffi::OsStr;
use std::ops::ControlFlow;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use common::content::{content_of, difference, nothing, Content, Held};
use common::draw::Shape;
use common::history::{key, History, Step};
use common::oracle::{run_histories, Expected, Oracle};
use common::sim_disk::fault::{Fault, EIO, ENOSPC};
use common::sim_disk::SimDisk;
use common::Random;
use kv::engine::backup::restore::restore;
use kv::engine::{recover, Engine};
use kv::error::{Kind, Result};
use kv::options::{Options, ReadMode, SyncLevel};

/// Histories in a usual run.
const HISTORIES: u64 = 40;
/// Backups in one history.
const BACKUPS: u64 = 4;

/// What the backup holds, in steps of the history: none, or something between two of them.
type Holds = Option<(usize, usize)>;

struct Run {
    oracle: Arc<Oracle>,
    disk: SimDisk,
    engine: Arc<Engine>,
    steps: Arc<Vec<Step>>,
    contents: Arc<Vec<Content>>,
    /// Steps that are done.
    done: Arc<Mutex<usize>>,
    /// What is on the medium, at least.
    synced: usize,
    backup: Holds,
    random: Random,
}

fn backup(engine: &Engine, disk: &SimDisk) -> Result<()> {
    let mut tell = |_: &_| ControlFlow::Continue(());
    engine.backup(&disk.parent(), OsStr::new("backup"), &mut tell)
}

impl Run {
    fn new(seed: u64) -> Run {
        let mut random = Random(seed);
        let shape = Shape::draw(&mut random);
        let options = Options {
            segment_size: shape.segment_size,
            sync: SyncLevel::None,
            compaction_garbage_percent: 5 + random.below(40),
            read_mode: if random.below(3) == 0 { ReadMode::Pread } else { ReadMode::Mmap },
            ..Options::default()
        };
        let oracle = Arc::new(Oracle::new(options, &shape, seed));
        let disk = SimDisk::new(random.next());
        disk.set_exchanges(random.below(4) != 0);
        disk.set_writeback([0, 10, 100][random.below(3) as usize]);
        let engine = recover::open(disk.storage(), oracle.options.clone());
        let engine = engine.expect("a new database opens");
        let history = History::draw(&shape, &nothing(), 120, oracle.now(), &mut random);
        Run {
            oracle,
            disk,
            engine: Arc::new(engine),
            steps: Arc::new(history.steps),
            contents: Arc::new(history.contents),
            done: Arc::default(),
            synced: 0,
            backup: None,
            random,
        }
    }

    fn done(&self) -> usize {
        *self.done.lock().expect("no panic")
    }

    /// Does some steps.
    fn go_on(&self, count: u64) {
        for _ in 0..count {
            perform_next(&self.oracle, &self.engine, &self.steps, &self.done);
        }
    }

    /// Has other steps done in the midst of a backup, as other threads would.
    fn work_beside(&mut self) {
        let (engine, steps) = (Arc::clone(&self.engine), Arc::clone(&self.steps));
        let oracle = Arc::clone(&self.oracle);
        let (done, mut random) = (Arc::clone(&self.done), Random(self.random.next()));
        self.disk.set_interlude(Some(Box::new(move || {
            for _ in 0..random.below(3) {
                perform_next(&oracle, &engine, &steps, &done);
            }
        })));
    }

    fn expected(&self, low: usize, high: usize, context: &str) -> Expected {
        let contents = Arc::clone(&self.contents);
        Expected { contents, low, high, durable: low, context: context.to_owned() }
    }

    /// Makes a backup, cut at its operations.
    fn back_up(&mut self) -> std::result::Result<(), String> {
        let left: Arc<Mutex<Vec<(SimDisk, String, usize)>>> = Arc::default();
        let (cuts, mut random) = (Arc::clone(&left), Random(self.random.next()));
        let done = Arc::clone(&self.done);
        self.disk.watch(Box::new(move |state, operation| {
            if random.below(2) == 0 {
                let done = *done.lock().expect("no panic");
                let (cut, what) = (state.cut(&mut random), format!("before {operation:?}"));
                cuts.lock().expect("no panic").push((cut, what, done));
            }
        }));
        if self.random.below(2) == 0 {
            self.work_beside();
        }
        let low = self.done();
        let made = backup(&self.engine, &self.disk);
        self.disk.set_interlude(None);
        self.disk.unwatch();
        made.map_err(|error| format!("backup: {error}"))?;
        let new = (low, self.done());
        for (cut, what, done) in std::mem::take(&mut *left.lock().expect("no panic")) {
            self.judge(&cut, &what, Some((low, done)))?;
        }
        self.backup = Some(new);
        // Once it has been reported, it is there for good.
        let cut = self.disk.look(|state| state.cut(&mut self.random));
        let held = self.judge(&cut, "after the backup", None)?;
        let killed = self.disk.look(|state| state.kill(&mut self.random));
        if self.judge(&killed, "killed after the backup", None)? != held {
            return Err("it holds one thing after a cut and another after a kill".to_owned());
        }
        self.backup = held.map(|step| (step, step));
        Ok(())
    }

    /// What a crash has left must be as it should. Answers what the backup holds. `new`: between
    /// these steps the one that was under way may be.
    fn judge(
        &mut self,
        crashed: &SimDisk,
        what: &str,
        new: Holds,
    ) -> std::result::Result<Option<usize>, String> {
        let listing = crashed.listing();
        let judged = self.try_judge(crashed, what, new);
        judged.map_err(|wrong| format!("{wrong}\n  crash: {what}\n  files: {listing}"))
    }

    fn try_judge(
        &mut self,
        crashed: &SimDisk,
        what: &str,
        new: Holds,
    ) -> std::result::Result<Option<usize>, String> {
        let copy = crashed.look(|state| state.kill(&mut self.random));
        let expected = self.expected(self.synced, self.done(), what);
        let (engine, content) = self.oracle.open(&copy)?;
        let found = self.oracle.find(&engine, &content, &expected);
        found.map_err(|wrong| format!("source: {wrong}"))?;
        // In the way of what a crash left, another backup can be made.
        backup(&engine, &copy).map_err(|error| format!("the next backup: {error}"))?;
        let names = copy.listing();
        if names.contains("partial") || names.contains("old") || names.contains("PARTIAL") {
            return Err(format!("the next backup leaves something: {names}"));
        }
        let next = copy.parent().disk_in("backup").ok_or("the next backup is not there")?;
        self.oracle.must_hold(&next, &content, "the next backup")?;
        drop(engine);

        let parent = crashed.parent();
        let there = parent.disk_in("backup").or_else(|| {
            // Where names cannot be exchanged, the old one is away for a moment.
            parent.disk_in("backup.old")
        });
        let Some(there) = there else {
            let may_be_missing = self.backup.is_none() && new.is_some();
            return if may_be_missing { Ok(None) } else { Err("no backup is there".to_owned()) };
        };
        let (engine, content) = self.oracle.open(&there).map_err(|e| format!("backup: {e}"))?;
        let mut wrong = String::new();
        for (low, high) in [self.backup, new].into_iter().flatten() {
            let expected = self.expected(low, high, what);
            match self.oracle.find(&engine, &content, &expected) {
                Ok(step) => {
                    self.write_and_kill(&there, &engine, &content)?;
                    return Ok(Some(step));
                }
                Err(what) => wrong += &format!(" {low} to {high}: {what};"),
            }
        }
        Err(format!("backup:{wrong}"))
    }

    /// A backup takes writes, and a crash of its own.
    fn write_and_kill(
        &mut self,
        backup: &SimDisk,
        engine: &Engine,
        content: &Content,
    ) -> std::result::Result<(), String> {
        engine.put(&key(0), b"here").map_err(|e| format!("backup: {e}"))?;
        let killed = backup.look(|state| state.kill(&mut self.random)).seen_from(backup);
        let (_, again) = self.oracle.open(&killed).map_err(|e| format!("backup, killed: {e}"))?;
        let mut written = content.clone();
        written[0] = Some(Held::new(b"here", None));
        match difference(&again, &written) {
            Some(difference) => Err(format!("backup, killed: {difference}")),
            None => Ok(()),
        }
    }

    fn run(&mut self) -> std::result::Result<(), String> {
        for _ in 0..BACKUPS {
            let count = 5 + self.random.below(20);
            self.go_on(count);
            if self.random.below(3) == 0 {
                self.engine.sync().map_err(|error| error.to_string())?;
                self.synced = self.done();
            }
            self.back_up()?;
        }
        Ok(())
    }
}

fn perform_next(oracle: &Oracle, engine: &Engine, steps: &[Step], done: &Mutex<usize>) {
    let at = *done.lock().expect("no panic");
    let Some(step) = steps.get(at) else { return };
    // Whatever is cut meanwhile may hold it or not.
    *done.lock().expect("no panic") = at + 1;
    match step {
        Step::Advance { ms } => oracle.advance(*ms),
        Step::Reopen => {}
        _ => {
            let performed = step.perform(engine);
            performed.unwrap_or_else(|error| panic!("step {at}, {step:?}: {error}"));
        }
    }
}

/// Runs one history. Answers how many crash states were examined.
fn run_history(seed: u64) -> u64 {
    let mut run = Run::new(seed);
    if let Err(what) = run.run() {
        panic!("{}: {what}", run.oracle.name);
    }
    run.oracle.states.load(Ordering::Relaxed)
}

#[test]
fn a_crash_in_a_backup_leaves_the_old_one_or_the_new() {
    run_histories(HISTORIES, run_history);
}

/// A database with some segments, of which none waits to be sealed, and a disk.
fn filled(seed: u64) -> (SimDisk, Engine, Options) {
    let mut random = Random(seed);
    let options = Options { segment_size: 96 << 10, sync: SyncLevel::None, ..Options::default() };
    let disk = SimDisk::new(seed);
    let engine = recover::open(disk.storage(), options.clone()).expect("a new database opens");
    for number in 0..60 {
        let value = random.bytes(6000);
        engine.put(&key(number % 30), &value).expect("put");
    }
    while engine.seal_in_background() {}
    engine.write_due_hints();
    engine.checkpoint();
    (disk, engine, options)
}

fn open(disk: &SimDisk, options: &Options) -> Engine {
    recover::open(disk.storage(), options.clone()).expect("it opens")
}

fn read(engine: &Engine) -> Content {
    content_of(engine, 0).expect("it can be read")
}

#[test]
fn a_backup_that_fails_leaves_nothing_behind() {
    for (errno, lasting) in [(ENOSPC, true), (EIO, false)] {
        let (disk, engine, options) = filled(1);
        backup(&engine, &disk).expect("backup");
        let old = read(&open(&disk.parent().disk_in("backup").expect("a backup"), &options));
        let mut failures = 0;
        for after in 0.. {
            engine.put(&key(1), &[after as u8; 5000]).expect("put");
            while engine.seal_in_background() {}
            disk.set_fault(Some(Fault { of: None, after, lasting, errno }));
            let struck = disk.struck();
            let made = backup(&engine, &disk);
            let has_struck = disk.struck() > struck;
            disk.set_fault(None);
            assert_eq!(engine.latch().cause().map(|e| e.to_string()), None, "{after}");
            let there = disk.parent().disk_in("backup").expect("the old one stays");
            let found = read(&open(&there, &options));
            let Err(error) = made else {
                assert_eq!(found, read(&engine), "{after}");
                if has_struck {
                    continue;
                }
                break;
            };
            failures += 1;
            let expected = if errno == ENOSPC { Kind::NoSpace } else { Kind::Io };
            assert_eq!(error.kind(), expected, "{after}: {error}");
            if errno == ENOSPC {
                assert_eq!(found, old, "{after}");
                let names = disk.listing();
                assert!(!names.contains("partial"), "{after}: {names}");
            }
        }
        assert!(failures > 5, "{failures} failures");
        backup(&engine, &disk).expect("backup");
        assert!(!disk.listing().contains("partial"), "{}", disk.listing());
    }
}

#[test]
fn a_crash_in_a_restoration_leaves_all_or_nothing() {
    for seed in 0..5 {
        let (disk, engine, options) = filled(seed);
        backup(&engine, &disk).expect("backup");
        let content = read(&engine);
        drop(engine);
        let left: Arc<Mutex<Vec<SimDisk>>> = Arc::default();
        let (cuts, mut random) = (Arc::clone(&left), Random(seed));
        disk.watch(Box::new(move |state, _| {
            cuts.lock().expect("no panic").push(state.cut(&mut random));
        }));
        let from = disk.parent().disk_in("backup").expect("a backup");
        let bring = |from: &SimDisk| {
            let mut tell = |_: &_| ControlFlow::Continue(());
            restore(from, &from.parent(), OsStr::new("restored"), &mut tell)
        };
        bring(&from).expect("restore");
        assert_eq!(bring(&from).expect_err("it is there").kind(), Kind::AlreadyExists);
        disk.unwatch();
        let mut cuts = std::mem::take(&mut *left.lock().expect("no panic"));
        cuts.push(disk.look(|state| state.cut(&mut Random(seed))));
        let last = cuts.len() - 1;
        for (at, cut) in cuts.iter().enumerate() {
            let from = cut.parent().disk_in("backup").expect("the backup stays");
            match cut.parent().disk_in("restored") {
                Some(there) => assert_eq!(read(&open(&there, &options)), content),
                None => {
                    assert!(at < last, "it is there when that was reported");
                    bring(&from).expect("restore after a crash");
                }
            }
            assert_eq!(read(&open(&from, &options)), content);
        }
    }
}
