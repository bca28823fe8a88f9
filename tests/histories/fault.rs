//! Operations of the disk that fail: a full disk is survived, everything else that leaves the
//! disk's state unknown makes the database read-only, reads go on, and what is reopened afterwards,
//! with or without a crash, is a prefix of the history in which only what failed is in doubt.

use std::sync::Arc;

use kv::error::{Error, Kind};
use kv::options::{Options, ReadMode, SyncLevel};

use super::plan::Plan;
use crate::common::content::{all_live, content_of, difference, nothing, Content, Held};
use crate::common::draw::Shape;
use crate::common::history::{key, Answer, Step};
use crate::common::oracle::{Expected, Oracle};
use crate::common::sim_disk::fault::{
    Fault, Operation, EDQUOT, EFBIG, EINTR, EIO, EMFILE, ENOMEM, ENOSPC, EROFS,
};
use crate::common::sim_disk::SimDisk;
use crate::common::store::Store;
use crate::common::trace::Trace;
use crate::common::Random;

/// Faults in one history, one after the other.
const ROUNDS: usize = 2;

/// One history with one fault after another.
struct Run {
    plan: Plan,
    oracle: Arc<Oracle>,
    disk: SimDisk,
    shape: Shape,
    with_thread: bool,
    random: Random,
    fault: Fault,
    /// What the database holds, as far as it is known.
    held: Content,
    /// What it held, after each write.
    contents: Vec<Content>,
    /// Which of the contents is on the medium.
    synced: usize,
    /// Which of the contents the database shows.
    acknowledged: usize,
    /// Whether a sync has failed: then the live image may show what is on no medium.
    sync_failed: bool,
}

type Verdict<T> = std::result::Result<T, String>;

fn draw_fault(random: &mut Random) -> Fault {
    use Operation::{
        Allocate, Create, Lock, Map, MapAppend, Open, Read, Sync, SyncDirectory, Write,
    };
    let mut one_of = |of: &[Operation]| Some(of[random.below(of.len() as u64) as usize]);
    let (any, grows) = (one_of(&Operation::ALL), one_of(&[Create, Allocate, Write]));
    let (maps, syncs) = (one_of(&[Map, MapAppend]), one_of(&[Sync, Sync, SyncDirectory]));
    let (reads, opens) = (one_of(&[Read, MapAppend]), one_of(&[Create, Open, Lock]));
    let (of, errno) = match random.below(20) {
        0..=3 => (None, ENOSPC),
        4 => (grows, ENOSPC),
        5 => (grows, EDQUOT),
        6 => (grows, EFBIG),
        7 => (maps, ENOMEM),
        8 => (opens, EMFILE),
        9 => (None, EROFS),
        10 => (any, EROFS),
        11 => (reads, EIO),
        12..=13 => (syncs, EIO),
        14 => (syncs, ENOSPC),
        15 => (syncs, EINTR),
        16 => (any, EINTR),
        _ => (any, EIO),
    };
    // Most are met soon, some late.
    let within = [4, 12, 60][random.below(3) as usize];
    let after = random.below(within);
    Fault { of, errno, after, lasting: random.below(2) == 0 }
}

impl Run {
    fn new(plan: &Plan, trace: &Arc<Trace>) -> Run {
        let mut random = Random(plan.seed);
        let shape = Shape::draw(&mut random);
        let options = Options {
            segment_size: shape.segment_size,
            sync: if random.below(3) == 0 { SyncLevel::Always } else { SyncLevel::None },
            read_mode: if random.below(3) == 0 { ReadMode::Pread } else { ReadMode::Mmap },
            ..Options::default()
        };
        let oracle = Arc::new(Oracle::new(options, &shape, plan.seed).traced(trace));
        let disk = SimDisk::new(random.next());
        disk.set_writeback([0, 10, 100][random.below(3) as usize]);
        disk.set_short_writes([0, 60][random.below(2) as usize]);
        Run {
            plan: plan.clone(),
            oracle,
            disk,
            shape,
            with_thread: random.below(5) == 0,
            fault: draw_fault(&mut random),
            random,
            held: nothing(),
            contents: vec![nothing()],
            synced: 0,
            acknowledged: 0,
            sync_failed: false,
        }
    }

    /// What is allowed after the death of the process, or after a power cut.
    fn expected(&self, context: &str, is_kill: bool) -> Expected {
        Expected {
            contents: Arc::new(self.contents.clone()),
            low: if is_kill && !self.sync_failed { self.acknowledged } else { self.synced },
            high: self.contents.len() - 1,
            durable: self.synced,
            context: format!("{context}, {:?}", self.fault),
        }
    }

    fn open(&mut self) -> Verdict<Store> {
        self.note_sync_failure();
        for _ in 0..2 {
            match Store::open(&self.disk, &self.oracle.options, self.with_thread) {
                Ok(store) => return self.enter(store),
                Err(error) if self.disk.struck() == 0 => return Err(format!("open: {error}")),
                Err(error) if error.kind() == Kind::Corrupt => {
                    return Err(format!("a fault is taken for damage: {error}"));
                }
                Err(_) => {
                    self.note_sync_failure();
                    self.disk.set_fault(None);
                }
            }
        }
        Err("it does not open though the fault is over".to_owned())
    }

    /// The database was opened: what does it hold?
    fn enter(&mut self, store: Store) -> Verdict<Store> {
        // A fault of reading is for later.
        self.disk.set_fault(None);
        let held = self.oracle.read(store.engine())?;
        let expected = self.expected("reopening", true);
        let found = self.oracle.find(store.engine(), &held, &expected)?;
        self.contents.truncate(found + 1);
        self.synced = found;
        self.acknowledged = found;
        self.sync_failed = false;
        self.held = self.contents[found].clone();
        Ok(store)
    }

    fn note_sync_failure(&mut self) {
        self.sync_failed |= self.fault.of.is_some_and(Operation::syncs) && self.disk.struck() > 0;
    }

    /// One step, and what must follow from its result.
    fn step(&mut self, store: &Store, step: &Step) -> Verdict<()> {
        let was_latched = store.engine().latch().cause().is_some();
        let struck = self.disk.struck();
        let result = step.perform(store.engine());
        self.note_sync_failure();
        match result {
            Ok(Answer::Done | Answer::Sum(_)) if was_latched && step.writes() => {
                Err(format!("{step:?} succeeds though the database is read-only"))
            }
            Ok(answer) => self.succeed(step, answer),
            Err(error) => self.fail(store, step, &error, self.disk.struck() > struck),
        }
    }

    fn succeed(&mut self, step: &Step, answer: Answer) -> Verdict<()> {
        let right = step.apply(&mut self.held, self.oracle.now());
        if answer != right {
            return Err(format!("{answer:?}, not {right:?}: {step:?}"));
        }
        if step.writes() {
            self.contents.push(self.held.clone());
            self.acknowledged = self.contents.len() - 1;
        }
        if step.is_durable(answer, self.oracle.options.sync) {
            self.synced = self.acknowledged;
        }
        Ok(())
    }

    fn fail(&mut self, store: &Store, step: &Step, error: &Error, now: bool) -> Verdict<()> {
        let engine = store.engine();
        let cause = engine.latch().cause();
        let kind = error.kind();
        if self.disk.struck() == 0 {
            return Err(format!("it fails without a fault: {error}"));
        }
        // What cannot be written to any more cannot be put right either.
        let may_latch = !self.fault.is_harmless() || self.fault.errno == EROFS;
        if !may_latch && cause.is_some() {
            return Err(format!("a harmless fault makes it read-only: {error}"));
        }
        if kind == Kind::ReadOnly && cause.is_none() {
            return Err(format!("it is not read-only: {error}"));
        }
        let is_unknown = matches!(kind, Kind::Io | Kind::UnknownOutcome);
        use Operation::{Map, Open, Read};
        let reads = [Read, Open, Map].map(Some).contains(&self.fault.of);
        if now && is_unknown && cause.is_none() && !reads && !self.fault.is_harmless() {
            return Err(format!("it goes on writing after {error}"));
        }
        self.settle(store, step, is_unknown)
    }

    /// Finds out whether a write that failed has happened; unless its outcome is unknown, it must
    /// not have.
    fn settle(&mut self, store: &Store, step: &Step, is_unknown: bool) -> Verdict<()> {
        if !step.writes() {
            return Ok(());
        }
        let mut with = self.held.clone();
        let now = self.oracle.now();
        step.apply(&mut with, now);
        let fault = self.disk.take_fault();
        let found = content_of(store.engine(), now).map_err(|e| format!("reads fail: {e}"))?;
        self.disk.set_fault(fault);
        let (held, is_done) = (all_live(&self.held, now), found == all_live(&with, now));
        if found == held && !is_unknown {
            return Ok(());
        }
        if found != held && (!is_done || !is_unknown) {
            let difference = difference(&found, &held).unwrap_or_default();
            return Err(format!("a write that failed changes something: {difference}"));
        }
        self.contents.push(with.clone());
        if is_done {
            self.acknowledged = self.contents.len() - 1;
            self.held = with;
        }
        Ok(())
    }

    fn crash(&mut self, context: &str) {
        // The maintenance thread may have met it.
        self.note_sync_failure();
        let is_kill = self.random.below(2) == 0;
        let random = &mut self.random;
        let crashed = self.disk.look(|state| match is_kill {
            true => state.kill(random),
            false => state.cut(random),
        });
        let expected = self.expected(context, is_kill);
        self.oracle.examine(&crashed, &expected, &mut self.random);
    }

    fn reads_agree(&self, store: &Store) -> Verdict<()> {
        let found = self.oracle.read(store.engine())?;
        difference(&found, &all_live(&self.held, self.oracle.now()))
            .map_or(Ok(()), |difference| Err(format!("reads: {difference}")))
    }

    /// Steps until the fault is over, and some more.
    fn steps(&mut self, mut store: Store, round: usize) -> Verdict<Store> {
        self.disk.set_fault(Some(self.fault));
        let count = 20 + self.random.below(60) as usize;
        let over_at = self.random.below(count as u64) as usize;
        for at in 0..count {
            if at == over_at {
                self.disk.set_fault(None);
                self.reads_agree(&store)?;
            }
            if !self.plan.keeps((round, at)) {
                continue;
            }
            self.random = self.plan.random(&[round as u64, at as u64]);
            let step = self.shape.step(&mut self.random);
            self.oracle.trace.begin(round, at, || step.summary());
            match step {
                Step::Reopen => {
                    let closed = store.close();
                    self.note_sync_failure();
                    match closed {
                        Ok(()) => self.synced = self.acknowledged,
                        Err(error) if self.disk.struck() == 0 => {
                            return Err(format!("close: {error}"));
                        }
                        Err(_) => {}
                    }
                    store = self.open()?;
                }
                Step::Advance { ms } => self.oracle.advance(ms),
                step => self.step(&store, &step).map_err(|what| format!("step {at}: {what}"))?,
            }
            if self.random.below(12) == 0 {
                self.crash(&format!("step {at}"));
            }
        }
        self.disk.set_fault(None);
        self.reads_agree(&store)?;
        Ok(store)
    }

    fn run(&mut self) -> Verdict<()> {
        self.disk.set_fault((self.random.below(3) == 0).then_some(self.fault));
        let mut store = self.open()?;
        for round in 0..ROUNDS {
            self.random = self.plan.random(&[round as u64, u64::MAX]);
            self.fault = draw_fault(&mut self.random);
            store = self.steps(store, round)?;
            self.crash("after the steps");
            if store.engine().latch().cause().is_none() {
                // The fault is over, and the database is as new.
                let value = self.random.bytes(100);
                let put = store.engine().put(&key(0), &value);
                put.map_err(|error| format!("it does not go on: {error}"))?;
                self.held[0] = Some(Held::new(&value, None));
                self.contents.push(self.held.clone());
                self.acknowledged = self.contents.len() - 1;
            }
            drop(store);
            store = self.open()?;
        }
        Ok(())
    }
}

/// Runs a history.
///
/// # Panics
/// If something is wrong.
pub fn run(plan: &Plan, trace: &Arc<Trace>) {
    let mut run = Run::new(plan, trace);
    if let Err(what) = run.run() {
        run.oracle.fail(format!("{what}\n  {:?}\n  files: {}", run.fault, run.disk.listing()));
    }
    run.oracle.conclude();
}
