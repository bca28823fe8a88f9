//! Power cuts and kills at every operation of a history: what is reopened must be a prefix of it
//! that lacks nothing synced.
//!
//! A history has several epochs: each ends with a crash or a close, and the next goes on from a
//! state that it left. The crash of an epoch is taken at every storage operation and between the
//! calls, in sampled states, while the epoch goes on.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use kv::engine::Engine;
use kv::error::Result;
use kv::options::{Options, ReadMode, SyncLevel};

use super::damage;
use super::plan::{Kind, Plan};
use crate::common::content::{nothing, Content};
use crate::common::draw::Shape;
use crate::common::history::{Answer, History, Step};
use crate::common::oracle::{Expected, Oracle, Progress};
use crate::common::sim_disk::SimDisk;
use crate::common::store::Store;
use crate::common::trace::Trace;
use crate::common::Random;

/// Epochs of one history.
const EPOCHS: usize = 3;
/// At most so many states are drawn at each operation.
const CUTS: u64 = 3;

/// What is drawn for a step: which states a power cut leaves in its midst, …
const CUTTING: u64 = 1;
/// … what is tried with them, and what a crash after it leaves, …
const EXAMINING: u64 = 2;
/// … and what steps an epoch has.
const STEPS: u64 = 3;

/// One epoch: a history that begins with what a disk holds.
struct Epoch {
    plan: Plan,
    number: usize,
    oracle: Arc<Oracle>,
    history: History,
    contents: Arc<Vec<Content>>,
    progress: Arc<Progress>,
    with_thread: bool,
    name: String,
    /// What the disk was some time ago.
    older: Mutex<Option<SimDisk>>,
    /// What crashes in the midst of a call left. They are examined after it: the thread that calls
    /// may be pinned, and would wait for itself.
    left: Arc<Mutex<Vec<(SimDisk, Expected)>>>,
}

impl Epoch {
    /// What is drawn for one purpose at one step: the same, whichever others are left out.
    fn random(&self, at: usize, purpose: u64) -> Random {
        let step = self.history.numbers.get(at).map_or(u64::MAX, |number| *number as u64);
        self.plan.random(&[self.number as u64, step, purpose])
    }

    /// Has the disk cut at every operation from now on.
    fn watch(self: &Arc<Self>, disk: &SimDisk) {
        let epoch = Arc::clone(self);
        let (mut random, mut drawn_for) = (Random(0), usize::MAX);
        disk.watch(Box::new(move |state, operation| {
            let Epoch { left, name, contents, progress, .. } = &*epoch;
            let step = progress.issued.load(Ordering::SeqCst);
            if drawn_for != step {
                (random, drawn_for) = (epoch.random(step.saturating_sub(1), CUTTING), step);
            }
            for _ in 0..=random.below(CUTS) {
                let context = format!("{name}, power cut in step {step} before {operation:?}");
                let expected = progress.expected(contents, context, false);
                left.lock().expect("no panic").push((state.cut(&mut random), expected));
            }
        }));
    }

    /// Examines what the crashes so far left.
    fn examine_crashes(&self, random: &mut Random) {
        let left = std::mem::take(&mut *self.left.lock().expect("no panic"));
        for (disk, expected) in left {
            self.oracle.examine(&disk, &expected, random);
        }
    }

    /// Crashes now, between two calls.
    fn crash(&self, disk: &SimDisk, random: &mut Random) -> (SimDisk, Expected) {
        let is_kill = random.below(4) == 0;
        let what = if is_kill { "kill" } else { "power cut" };
        let step = self.progress.issued.load(Ordering::SeqCst);
        let context = format!("{}, {what} after step {step}", self.name);
        let expected = self.progress.expected(&self.contents, context, is_kill);
        let crashed = disk.look(|state| match is_kill {
            true => state.kill(random),
            false => state.cut(random),
        });
        (crashed, expected)
    }

    /// Has files changed behind the back of the database.
    fn do_harm(&self, disk: &SimDisk, random: &mut Random) {
        let mut older = self.older.lock().expect("no panic");
        let step = self.progress.issued.load(Ordering::SeqCst);
        for _ in 0..2 {
            let context = format!("{}, step {step}", self.name);
            let expected = self.progress.expected(&self.contents, context, true);
            let copy = disk.look(|state| state.kill(random));
            damage::examine(&self.oracle, &copy, older.as_ref(), &expected, random);
        }
        if older.is_none() || random.below(6) == 0 {
            *older = Some(disk.look(|state| state.kill(random)));
        }
    }

    fn perform(&self, step: &Step, at: usize, disk: &SimDisk, store: Store) -> Result<Store> {
        match step {
            Step::Reopen => {}
            Step::Advance { ms } => {
                self.oracle.advance(*ms);
                return Ok(store);
            }
            _ => {
                self.judge(step.perform(store.engine())?, at);
                return Ok(store);
            }
        }
        let counted = |store: &Store| {
            let stats = store.engine().stats();
            (stats.keys, stats.live_bytes, stats.dead_bytes)
        };
        let before = counted(&store);
        store.close()?;
        self.progress.synced.store(at + 1, Ordering::SeqCst);
        let store = Store::open(disk, &self.oracle.options, self.with_thread)?;
        if !self.with_thread && counted(&store) != before {
            let (seen, name) = (counted(&store), &self.name);
            self.oracle.fail(format!("{name}, step {at}: bytes were {before:?}, are {seen:?}"));
        }
        Ok(store)
    }

    /// Compares what the step `at` has answered with what it must.
    fn judge(&self, answer: Answer, at: usize) {
        let (step, right) = (&self.history.steps[at], self.history.answers[at]);
        if answer != right {
            let name = &self.name;
            self.oracle.fail(format!("{name}, step {at}: {answer:?}, not {right:?}: {step:?}"));
        }
    }

    /// Runs all steps that are left; answers the database, open.
    fn run(self: &Arc<Self>, disk: &SimDisk, mut store: Store) -> Store {
        while let Some((at, step)) = self.next_step() {
            let random = &mut self.random(at, EXAMINING);
            let is_long = step.compacts() || matches!(step, Step::Checkpoint);
            if let (true, Store::Alone(engine)) = (is_long, &store) {
                self.write_beside(disk, engine, random);
            }
            store = self.perform(step, at, disk, store).unwrap_or_else(|error| {
                self.oracle.fail(format!("{}, step {at}: {error}", self.name));
                self.oracle.conclude();
                unreachable!("a failure is concluded with a panic")
            });
            disk.set_interlude(None);
            self.examine_crashes(random);
            self.oracle.conclude();
            if !is_long {
                self.note_done(at, step);
            }
            if self.plan.kind == Kind::Damage {
                self.do_harm(disk, random);
            } else if random.below(2) == 0 {
                let (crashed, expected) = self.crash(disk, random);
                self.oracle.examine(&crashed, &expected, random);
            }
        }
        store
    }

    /// Begins the next step.
    fn next_step(&self) -> Option<(usize, &Step)> {
        let at = self.progress.issued.load(Ordering::SeqCst);
        let step = self.history.steps.get(at)?;
        self.progress.issued.store(at + 1, Ordering::SeqCst);
        let number = self.history.numbers[at];
        self.oracle.trace.begin(self.number, number, || step.summary());
        Some((at, step))
    }

    fn note_done(&self, at: usize, step: &Step) {
        self.progress.acknowledged.store(at + 1, Ordering::SeqCst);
        if step.is_durable(self.history.answers[at], self.oracle.options.sync) {
            self.progress.synced.store(at + 1, Ordering::SeqCst);
        }
    }

    /// Has the next steps done in the middle of a compaction or a checkpoint, as another thread
    /// would.
    fn write_beside(self: &Arc<Self>, disk: &SimDisk, engine: &Arc<Engine>, random: &mut Random) {
        let (epoch, engine) = (Arc::clone(self), Arc::clone(engine));
        let mut random = Random(random.next());
        disk.set_interlude(Some(Box::new(move || {
            for _ in 0..random.below(4) {
                let next = epoch.progress.issued.load(Ordering::SeqCst);
                let step = epoch.history.steps.get(next);
                let fits =
                    |step: &Step| step.writes() || matches!(step, Step::Sync | Step::Background);
                if !step.is_some_and(fits) {
                    return;
                }
                let Some((at, step)) = epoch.next_step() else { return };
                match step.perform(&engine) {
                    Ok(answer) => {
                        epoch.judge(answer, at);
                        epoch.note_done(at, step);
                    }
                    Err(e) => epoch.oracle.fail(format!("{}, step {at}: {e}", epoch.name)),
                }
            }
        })));
    }
}

/// A history that is run.
struct Run<'a> {
    plan: &'a Plan,
    shape: Shape,
    oracle: Arc<Oracle>,
    with_thread: bool,
    disk: SimDisk,
    /// What the disk may hold.
    expected: Expected,
}

impl<'a> Run<'a> {
    fn new(plan: &'a Plan, trace: &Arc<Trace>) -> Run<'a> {
        let mut random = Random(plan.seed);
        let mut shape = Shape::draw(&mut random);
        if plan.kind == Kind::Expiry {
            shape = shape.with_values_that_expire(&mut random);
        }
        let options = Options {
            segment_size: shape.segment_size,
            sync: if random.below(5) == 0 { SyncLevel::Always } else { SyncLevel::None },
            compaction_garbage_percent: 5 + random.below(40),
            read_mode: if random.below(3) == 0 { ReadMode::Pread } else { ReadMode::Mmap },
            ..Options::default()
        };
        let with_thread = random.below(6) == 0;
        let disk = SimDisk::new(random.next());
        let context = "the beginning".to_owned();
        let expected = Progress::default().expected(&Arc::new(vec![nothing()]), context, true);
        let oracle = Arc::new(Oracle::new(options, &shape, plan.seed).traced(trace));
        Run { plan, shape, oracle, with_thread, disk, expected }
    }

    /// Opens what the epoch before has left, with crashes of the recovery; finds what it holds.
    fn open(&self, random: &mut Random) -> (Store, Content) {
        let Run { oracle, expected, disk, .. } = self;
        if self.plan.kind != Kind::Damage {
            oracle.crash_recoveries(disk, expected, random, 0);
        }
        let store = Store::open(disk, &oracle.options, self.with_thread);
        disk.unwatch();
        oracle.conclude();
        let store = store.unwrap_or_else(|e| panic!("{}, {}: {e}", oracle.name, expected.context));
        let held = oracle.read(store.engine()).and_then(|found| {
            let step = oracle.find(store.engine(), &found, expected)?;
            Ok(oracle.all_held(&found, expected, step))
        });
        match held {
            Ok(held) => (store, held),
            Err(what) => panic!("{}, {}: {what}", oracle.name, expected.context),
        }
    }

    fn epoch(&mut self, number: usize) {
        let plan = self.plan;
        let mut random = plan.random(&[number as u64, u64::MAX, EXAMINING]);
        let mut steps = plan.random(&[number as u64, u64::MAX, STEPS]);
        let (store, held) = self.open(&mut random);
        self.disk.set_writeback([0, 10, 100][random.below(3) as usize]);
        if plan.kind == Kind::Expiry {
            self.disk.set_short_writes([0, 60][random.below(2) as usize]);
        }
        let count = 10 + steps.below(90) as usize;
        let (now, keeps) = (self.oracle.now(), |step| plan.keeps((number, step)));
        let history = History::draw_some(&self.shape, &held, (count, &keeps), now, &mut steps);
        if history.steps.is_empty() {
            return;
        }
        let epoch = Arc::new(Epoch {
            plan: plan.clone(),
            number,
            oracle: Arc::clone(&self.oracle),
            contents: Arc::new(history.contents.clone()),
            history,
            progress: Arc::default(),
            with_thread: self.with_thread,
            name: format!("epoch {number}"),
            older: Mutex::default(),
            left: Arc::default(),
        });
        if plan.kind != Kind::Damage {
            epoch.watch(&self.disk);
        }
        let store = epoch.run(&self.disk, store);
        self.disk.unwatch();
        epoch.examine_crashes(&mut random);
        let crashed = epoch.crash(&self.disk, &mut random);
        drop(store);
        (self.disk, self.expected) = crashed;
    }
}

/// Runs a history.
///
/// # Panics
/// If something is wrong.
pub fn run(plan: &Plan, trace: &Arc<Trace>) {
    let mut run = Run::new(plan, trace);
    for number in 0..EPOCHS {
        run.epoch(number);
    }
    run.oracle.conclude();
}
