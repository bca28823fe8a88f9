//! `kill -9` at random points: a child works on a database and dies; what it left is compared with
//! a map.
//!
//! The history is a function of a seed and a step, so the parent knows what the child did. The
//! child notes each step in a shared file before it is issued and after it was acknowledged; the
//! note survives the kill as the page cache does. What is found afterwards must be the map after
//! the last acknowledged step, or after the one in flight as well, also if that is a batch. Then
//! the next child goes on from there.
//!
//! `KV_TEST_SEED` gives another history, `KV_KILL_OPERATIONS` another length. Where a kill strikes
//! depends on the machine: a failure names the directory as the kill left it, which is kept.

mod common;
mod victim;

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use common::{copy_directory, seed, Random, TempDir};
use kv::db::{Db, WriteBatch, WriteSync};
use victim::{apply, database_path, notes_path, operation, options};
use victim::{Model, Notes, Operation, Stage, Writes, LARGE_BATCH};

/// The directory that a child works in. A process without this variable is no child.
const CHILD: &str = "KV_KILL_CHILD";
/// The sync level of a child, by name.
const LEVEL: &str = "KV_KILL_LEVEL";
/// Operations under `SyncLevel::None`; the other levels do a part of it.
const OPERATIONS: &str = "KV_KILL_OPERATIONS";
/// Steps that a child does at most. Then it waits to be killed, so that every run has its kills.
const STEPS_OF_A_CHILD: u64 = 650;
/// Whoever waits longer than this waits for nothing.
const PATIENCE: Duration = Duration::from_secs(60);
const SIGKILL: i32 = 9;

/// Not a test: the body of the child, which the tests start. By itself it does nothing.
#[test]
fn child() {
    let Ok(directory) = std::env::var(CHILD) else { return };
    let directory = Path::new(&directory);
    let notes = Notes::open(&notes_path(directory));
    let path = database_path(directory);
    let options = options(&std::env::var(LEVEL).expect("the parent sets the level"));
    let open = || {
        notes.enter(Stage::Opening);
        let db = Db::open(&path, &options).expect("the child opens the database");
        notes.enter(Stage::Working);
        db
    };
    let start = notes.acknowledged().load(Ordering::SeqCst);
    let end = notes.end().load(Ordering::SeqCst);
    // Drawn before, so that what a kill meets is the database at work.
    let steps = start..end.min(start + STEPS_OF_A_CHILD);
    let history: Vec<Operation> = steps.clone().map(|step| operation(seed(), step)).collect();
    let mut db = open();
    for (step, operation) in steps.zip(&history) {
        notes.issued().store(step + 1, Ordering::SeqCst);
        match operation {
            Operation::Put(key, value) => db.put(key, value).expect("put"),
            Operation::Delete(key) => {
                let was_there = db.value_len(key).expect("value_len").is_some();
                assert_eq!(db.delete(key).expect("delete"), was_there, "step {step}");
            }
            Operation::Batch(writes) => {
                let batch = batch_of(writes);
                // One that takes so long that a kill can be aimed at it.
                let is_large = batch.len() >= LARGE_BATCH;
                notes.enter(if is_large { Stage::Batch } else { Stage::Working });
                db.write(&batch, WriteSync::AsOpened).expect("write");
                notes.enter(Stage::Working);
            }
            Operation::Add(key, delta) => drop(db.add(key, *delta).expect("add")),
            Operation::Compact => {
                notes.enter(Stage::Compacting);
                db.compact().expect("compact");
                notes.enter(Stage::Working);
            }
            Operation::Sync => {
                db.sync().expect("sync");
                db.engine().checkpoint();
            }
            Operation::Reopen => {
                notes.enter(Stage::Closing);
                db.close().expect("close");
                db = open();
            }
        }
        notes.acknowledged().store(step + 1, Ordering::SeqCst);
    }
    if start + STEPS_OF_A_CHILD < end {
        notes.enter(Stage::Waiting);
        std::thread::sleep(PATIENCE);
        panic!("nobody killed the child");
    }
    db.close().expect("close");
}

fn batch_of(writes: &Writes) -> WriteBatch {
    let mut batch = WriteBatch::new();
    for (key, value) in writes {
        match value {
            Some(value) => batch.put(key, value, 0).expect("put"),
            None => batch.delete(key).expect("delete"),
        }
    }
    batch
}

/// When a child is killed: some microseconds after this.
enum Aim {
    /// So many steps were acknowledged.
    Steps(u64),
    /// It is at this stage.
    Stage(Stage),
}

impl Aim {
    fn draw(random: &mut Random) -> Aim {
        match random.below(12) {
            0 => Aim::Stage(Stage::Opening),
            4..=7 => Aim::Stage(Stage::Batch),
            1..=2 => Aim::Stage(Stage::Compacting),
            3 => Aim::Stage(Stage::Closing),
            _ => Aim::Steps(random.below(STEPS_OF_A_CHILD)),
        }
    }

    /// How long after it the child is killed: within some puts, or anywhere in the stage.
    fn delay(&self, notes: &Notes, random: &mut Random) -> Duration {
        Duration::from_micros(match self {
            Aim::Steps(_) => random.below(100),
            Aim::Stage(stage) => random.below(notes.length_of(*stage).as_micros() as u64 + 100),
        })
    }

    fn is_reached(&self, notes: &Notes, start: u64) -> bool {
        let done = notes.acknowledged().load(Ordering::SeqCst) - start;
        notes.is_at(Stage::Waiting)
            || match self {
                Aim::Steps(steps) => done >= *steps,
                Aim::Stage(stage) => notes.is_at(*stage),
            }
    }
}

/// What is kept of a run.
struct Run {
    seed: u64,
    level: &'static str,
    directory: TempDir,
    notes: Notes,
    random: Random,
    model: Model,
    /// Steps that are in the model.
    steps: u64,
    kills: u64,
    /// Kills after which the step in flight was found done.
    finished_in_flight: u64,
    /// Kills at each stage.
    stages: [u64; 7],
}

impl Run {
    fn new(level: &'static str, operations: u64) -> Run {
        let directory = TempDir::new("kill");
        let notes = Notes::create(&directory.join("notes"));
        notes.end().store(operations, Ordering::SeqCst);
        Run {
            seed: seed(),
            level,
            directory,
            notes,
            random: Random(seed()),
            model: Model::new(),
            steps: 0,
            kills: 0,
            finished_in_flight: 0,
            stages: [0; 7],
        }
    }

    /// Ends the test, and keeps the directory.
    fn fail(&self, what: &str) -> ! {
        let kept = self.directory.join("").with_extension("kept");
        let _ = std::fs::rename(self.directory.join(""), &kept);
        let Run { seed, level, steps, kills, .. } = self;
        let kept = kept.display();
        panic!("seed {seed}, sync {level}, step {steps}, kill {kills}: {what}; see {kept}");
    }

    fn start_child(&self) -> Child {
        self.notes.enter(Stage::Starting);
        self.notes.issued().store(self.steps, Ordering::SeqCst);
        self.notes.acknowledged().store(self.steps, Ordering::SeqCst);
        Command::new(std::env::current_exe().expect("a test knows its program"))
            .args(["--exact", "child", "--nocapture", "--test-threads=1"])
            .env(CHILD, self.directory.join(""))
            .env(LEVEL, self.level)
            .env("KV_TEST_SEED", self.seed.to_string())
            .stdout(Stdio::null())
            .spawn()
            .expect("the child starts")
    }

    /// Lets a child work, and kills it unless it is done first. Answers whether it was done.
    fn let_a_child_die(&mut self) -> bool {
        let aim = Aim::draw(&mut self.random);
        let delay = aim.delay(&self.notes, &mut self.random);
        let mut child = self.start_child();
        let started = Instant::now();
        while !aim.is_reached(&self.notes, self.steps) {
            if let Some(status) = child.try_wait().expect("the child can be waited for") {
                return self.judge_exit(status);
            }
            if started.elapsed() > PATIENCE {
                let _ = child.kill();
                self.fail("the child hangs");
            }
            std::thread::yield_now();
        }
        let reached = Instant::now();
        while reached.elapsed() < delay {
            std::hint::spin_loop();
        }
        let stage = self.notes.stage().load(Ordering::SeqCst);
        child.kill().expect("the child can be killed");
        let status = child.wait().expect("the child can be waited for");
        if status.signal() == Some(SIGKILL) {
            self.kills += 1;
            self.stages[stage as usize] += 1;
            return false;
        }
        self.judge_exit(status)
    }

    fn judge_exit(&self, status: ExitStatus) -> bool {
        let done = self.notes.acknowledged().load(Ordering::SeqCst);
        if !status.success() || done != self.notes.end().load(Ordering::SeqCst) {
            self.fail(&format!("the child ended by itself with {status} after step {done}"));
        }
        true
    }

    /// Brings the model to what the database must hold, by looking at a copy of what the kill left.
    fn check(&mut self) {
        let acknowledged = self.notes.acknowledged().load(Ordering::SeqCst);
        let issued = self.notes.issued().load(Ordering::SeqCst);
        for step in self.steps..acknowledged {
            apply(&operation(self.seed, step), &mut self.model);
        }
        self.steps = acknowledged;
        let copy = self.directory.join("copy");
        copy_directory(&database_path(&self.directory.join("")), &copy);
        let db = match Db::open(&copy, &options(self.level)) {
            Ok(db) => db,
            Err(error) => self.fail(&format!("it does not open: {error}")),
        };
        if let Err(difference) = compare(&db, &self.model) {
            if issued == acknowledged {
                self.fail(&difference);
            }
            apply(&operation(self.seed, acknowledged), &mut self.model);
            if let Err(other) = compare(&db, &self.model) {
                self.fail(&format!("before the step in flight: {difference}; after it: {other}"));
            }
            self.steps += 1;
            self.finished_in_flight += 1;
        }
        drop(db);
        std::fs::remove_dir_all(&copy).expect("the copy can be removed");
    }

    /// Now and then the parent opens and closes the database itself; else the next child finds what
    /// the kill left.
    fn perhaps_repair(&mut self) {
        for _ in 1..self.random.below(4) {
            let opened = Db::open(&database_path(&self.directory.join("")), &options(self.level));
            let db = opened.unwrap_or_else(|error| self.fail(&format!("no reopening: {error}")));
            compare(&db, &self.model).unwrap_or_else(|difference| self.fail(&difference));
            db.close().unwrap_or_else(|error| self.fail(&format!("no closing: {error}")));
        }
    }
}

/// Says how the database differs from the model, if it does.
fn compare(db: &Db, model: &Model) -> Result<(), String> {
    for (key, value) in model {
        match db.get(key, |found| found == value.as_slice()) {
            Ok(Some(true)) => {}
            Ok(Some(false)) => return Err(format!("another value of key {:?}", &key[..2])),
            Ok(None) => return Err(format!("key {:?} is missing", &key[..2])),
            Err(error) => return Err(format!("key {:?}: {error}", &key[..2])),
        }
    }
    match db.engine().len() {
        len if len == model.len() => Ok(()),
        len => Err(format!("{len} keys instead of {}", model.len())),
    }
}

#[allow(clippy::print_stdout, reason = "how often it was killed is the point of the test")]
fn run(level: &'static str, operations: u64) {
    let started = Instant::now();
    let mut run = Run::new(level, operations);
    let mut done = false;
    while !done {
        done = run.let_a_child_die();
        if database_path(&run.directory.join("")).exists() {
            run.check();
        }
        run.perhaps_repair();
    }
    assert_eq!(run.steps, operations);
    assert!(run.kills >= operations / STEPS_OF_A_CHILD, "only {} kills", run.kills);
    println!(
        "sync {level}: {operations} operations, {} kills in {:.1} s; starting, opening, working, \
         batch, compacting, closing, waiting: {:?}; {} times the step in flight was done",
        run.kills,
        started.elapsed().as_secs_f64(),
        run.stages,
        run.finished_in_flight,
    );
}

fn operations() -> u64 {
    std::env::var(OPERATIONS).ok().and_then(|text| text.parse().ok()).unwrap_or(100_000)
}

#[test]
fn nothing_acknowledged_is_lost_without_syncing() {
    run("none", operations());
}

#[test]
fn nothing_acknowledged_is_lost_when_syncing_at_intervals() {
    run("interval", operations() / 5);
}

#[test]
fn nothing_acknowledged_is_lost_when_syncing_always() {
    run("always", operations() / 20);
}
