//! Backups: the power is cut at every operation of one, and other work goes on in its midst. Source
//! and backup must open, each with a prefix of the history: the source as ever, the backup with
//! what the old one held, or the new one.

use std::ffi::OsStr;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};

use kv::engine::{recover, Engine};
use kv::error::Result;
use kv::options::{Options, ReadMode, SyncLevel};

use super::plan::Plan;
use crate::common::content::{difference, nothing, Content, Held};
use crate::common::draw::Shape;
use crate::common::history::{key, History, Step};
use crate::common::oracle::{Expected, Oracle};
use crate::common::sim_disk::SimDisk;
use crate::common::trace::Trace;
use crate::common::Random;

/// Backups in one history.
const BACKUPS: usize = 4;
/// The parts of a history: the steps of the database, …
const STEPS: usize = 0;
/// … and the backups.
const MAKING: usize = 1;

/// What the backup holds, in steps of the history: none, or something between two of them.
type Holds = Option<(usize, usize)>;

struct Run {
    plan: Plan,
    oracle: Arc<Oracle>,
    disk: SimDisk,
    engine: Arc<Engine>,
    steps: Arc<Vec<(usize, Step)>>,
    contents: Arc<Vec<Content>>,
    /// Steps that are done.
    done: Arc<Mutex<usize>>,
    /// What is on the medium, at least.
    synced: usize,
    backup: Holds,
    random: Random,
}

/// Makes a backup beside the database.
///
/// # Errors
/// As the engine says.
pub fn backup(engine: &Engine, disk: &SimDisk) -> Result<()> {
    let mut tell = |_: &_| ControlFlow::Continue(());
    engine.backup(&disk.parent(), OsStr::new("backup"), &mut tell)
}

impl Run {
    fn new(plan: &Plan, trace: &Arc<Trace>) -> Run {
        let mut random = Random(plan.seed);
        let shape = Shape::draw(&mut random);
        let options = Options {
            segment_size: shape.segment_size,
            sync: SyncLevel::None,
            compaction_garbage_percent: 5 + random.below(40),
            read_mode: if random.below(3) == 0 { ReadMode::Pread } else { ReadMode::Mmap },
            ..Options::default()
        };
        let oracle = Arc::new(Oracle::new(options, &shape, plan.seed).traced(trace));
        let disk = SimDisk::new(random.next());
        disk.set_exchanges(random.below(4) != 0);
        disk.set_writeback([0, 10, 100][random.below(3) as usize]);
        disk.set_short_writes([0, 60][random.below(2) as usize]);
        let engine = recover::open(disk.storage(), oracle.options.clone());
        let engine = engine.expect("a new database opens");
        let (now, keeps) = (oracle.now(), |step| plan.keeps((STEPS, step)));
        let history = History::draw_some(&shape, &nothing(), (120, &keeps), now, &mut random);
        Run {
            plan: plan.clone(),
            oracle,
            disk,
            engine: Arc::new(engine),
            steps: Arc::new(history.numbers.into_iter().zip(history.steps).collect()),
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
        self.oracle.trace.count_state();
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
        self.oracle.trace.count_state();
        let (_, again) = self.oracle.open(&killed).map_err(|e| format!("backup, killed: {e}"))?;
        let mut written = content.clone();
        written[0] = Some(Held::new(b"here", None));
        match difference(&again, &written) {
            Some(difference) => Err(format!("backup, killed: {difference}")),
            None => Ok(()),
        }
    }

    fn run(&mut self) -> std::result::Result<(), String> {
        for backup in 0..BACKUPS {
            self.random = self.plan.random(&[BACKUPS as u64, backup as u64]);
            if !self.plan.keeps((MAKING, backup)) {
                continue;
            }
            self.oracle.trace.begin(MAKING, backup, || "some steps, and a backup".to_owned());
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

fn perform_next(oracle: &Oracle, engine: &Engine, steps: &[(usize, Step)], done: &Mutex<usize>) {
    let at = *done.lock().expect("no panic");
    let Some((number, step)) = steps.get(at) else { return };
    oracle.trace.begin(STEPS, *number, || step.summary());
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

/// Runs a history.
///
/// # Panics
/// If something is wrong.
pub fn run(plan: &Plan, trace: &Arc<Trace>) {
    let mut run = Run::new(plan, trace);
    if let Err(what) = run.run() {
        panic!("{}: {what}", run.oracle.name);
    }
}
