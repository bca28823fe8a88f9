//! Kills on the real file system: one process after the other works on the same database with
//! several threads, under any sync level, until it is killed. Each looks at what the one before
//! left before it goes on, so that recoveries are killed too.
//!
//! The database is not closed and not copied in between, but for a few rounds that end by a close.

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use kv::db::Db;

use crate::judge::Content;
use crate::notes::{Notes, Stage, STAGES};
use crate::random::{self, Random};
use crate::settings::{Settings, Verdict};
use crate::tale::THREADS;
use crate::worker::{self, Stir, LEVELS};

/// Whoever works longer than this is not going to end.
const PATIENCE: Duration = Duration::from_secs(120);
/// Rounds on one directory. Then the next history begins.
const ROUNDS_OF_A_DIRECTORY: u64 = 500;
/// One round in so many ends by a close, and by a kill if that takes long.
const CLOSING_ROUNDS: u64 = 16;

/// The body of a child.
pub fn child(arguments: &[String]) -> Result<(), String> {
    let [directory, seed, round, level] = arguments else {
        return Err("usage: kill-child DIRECTORY SEED ROUND LEVEL".into());
    };
    // A thread that panics must not leave the others working.
    std::panic::set_hook(Box::new(|panic| end(&panic.to_string())));
    let number = |text: &str| text.parse::<u64>().map_err(|error| error.to_string());
    let (seed, round) = (number(seed)?, number(round)?);
    let directory = Path::new(directory);
    let notes = Notes::open(&directory.join("notes"), seed);
    notes.enter(Stage::Opening);
    let opened = Db::open(&directory.join("db"), &worker::options(level));
    let db = opened.map_err(|error| format!("open: {error}"))?;
    notes.enter(Stage::Checking);
    notes.judge(&Content::read(&db, seed)?)?;
    notes.enter(Stage::Working);
    let mut random = random::of(&[seed, round, 2]);
    let threads = 1 + random.below(THREADS as u64) as usize;
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let (db, notes) = (&db, &notes);
            let next = notes.next(thread);
            scope.spawn(move || {
                worker::work(db, notes, seed, thread, next).unwrap_or_else(|error| end(&error))
            });
        }
        scope.spawn(|| {
            let tell = |stir| {
                let compacts = stir == Stir::Compact;
                notes.enter(if compacts { Stage::Compacting } else { Stage::Working });
            };
            worker::stir(&db, seed ^ round, 4_000, &done, tell).unwrap_or_else(|error| end(&error));
        });
        if closes(seed, round) {
            std::thread::sleep(Duration::from_micros(random.below(20_000)));
            done.store(true, Ordering::SeqCst);
            notes.end();
        }
    });
    notes.enter(Stage::Closing);
    db.close().map_err(|error| format!("close: {error}"))
}

/// Ends the process at once: its other threads would go on for ever.
fn end(error: &str) -> ! {
    eprintln!("{error}");
    std::process::exit(2)
}

fn closes(seed: u64, round: u64) -> bool {
    random::of(&[seed, round, 3]).below(CLOSING_ROUNDS) == 0
}

/// What is counted over all directories.
#[derive(Default)]
struct Totals {
    kills: AtomicU64,
    checks: AtomicU64,
    steps: AtomicU64,
    closes: AtomicU64,
    stages: [AtomicU64; STAGES],
    levels: [AtomicU64; LEVELS.len()],
}

fn count(counter: &AtomicU64, number: u64) {
    counter.fetch_add(number, Ordering::Relaxed);
}

impl Totals {
    fn print(&self, since: Instant) {
        let all = |counters: &[AtomicU64]| -> Vec<u64> {
            counters.iter().map(|counter| counter.load(Ordering::Relaxed)).collect()
        };
        println!(
            "kill: {} kills, {} checks after them, {} steps acknowledged, {} closes, {} s; while \
             starting, opening, checking, working, compacting, closing: {:?}; none, interval, \
             always: {:?}",
            self.kills.load(Ordering::Relaxed),
            self.checks.load(Ordering::Relaxed),
            self.steps.load(Ordering::Relaxed),
            self.closes.load(Ordering::Relaxed),
            since.elapsed().as_secs(),
            all(&self.stages),
            all(&self.levels),
        );
    }
}

/// One directory and its history.
struct Run<'r> {
    seed: u64,
    directory: PathBuf,
    notes: Notes,
    random: Random,
    totals: &'r Totals,
}

/// When a child is killed.
enum Aim {
    /// So long after it was started, whatever it is at.
    Start,
    /// After it has come to a stage.
    Stage(Stage),
}

impl Run<'_> {
    fn round(&mut self, round: u64) -> Result<(), String> {
        let level = self.random.below(LEVELS.len() as u64) as usize;
        let mut child = self.start(round, LEVELS[level])?;
        let (aim, us) = match self.random.below(10) {
            _ if closes(self.seed, round) => (Aim::Stage(Stage::Closing), 6_000),
            0..=1 => (Aim::Start, 15_000),
            2..=3 => (Aim::Stage(Stage::Opening), 4_000),
            4..=6 => (Aim::Stage(Stage::Compacting), 4_000),
            _ => (Aim::Stage(Stage::Working), 25_000),
        };
        if let Aim::Stage(stage) = aim {
            self.wait_for(stage, &mut child)?;
        }
        let delay = Duration::from_micros(self.random.below(us));
        let aimed = Instant::now();
        while aimed.elapsed() < delay {
            // Short ones by spinning: a sleep takes fifty microseconds and more.
            if delay > Duration::from_millis(1) {
                std::thread::sleep(Duration::from_micros(100));
            }
        }
        let stage = self.notes.stage() as usize;
        child.kill().map_err(|error| format!("kill: {error}"))?;
        let status = child.wait().map_err(|error| format!("wait: {error}"))?;
        match status.signal() {
            Some(libc::SIGKILL) => {
                count(&self.totals.kills, 1);
                count(&self.totals.stages[stage], 1);
                count(&self.totals.levels[level], 1);
                Ok(())
            }
            _ if status.success() => {
                count(&self.totals.closes, 1);
                Ok(())
            }
            _ => Err(told(status, &mut child)),
        }
    }

    fn start(&self, round: u64, level: &str) -> Result<Child, String> {
        self.notes.enter(Stage::Starting);
        let program = std::env::current_exe().map_err(|error| error.to_string())?;
        Command::new(program)
            .arg("kill-child")
            .arg(&self.directory)
            .args([&self.seed.to_string(), &round.to_string(), level])
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("the child does not start: {error}"))
    }

    fn wait_for(&self, stage: Stage, child: &mut Child) -> Result<(), String> {
        let since = Instant::now();
        // Or a later one: this process may have slept meanwhile.
        while self.notes.stage() < stage as u64 {
            if let Some(status) = child.try_wait().map_err(|error| error.to_string())? {
                return if status.success() { Ok(()) } else { Err(told(status, child)) };
            }
            if since.elapsed() > PATIENCE {
                // It stays, so that it can be looked at.
                return Err(format!("process {} never comes to {stage:?}", child.id()));
            }
            std::thread::sleep(Duration::from_micros(100));
        }
        Ok(())
    }
}

/// How a child has ended, and what it said.
fn told(status: ExitStatus, child: &mut Child) -> String {
    let mut said = String::new();
    if let Some(stderr) = &mut child.stderr {
        let _ = std::io::Read::read_to_string(stderr, &mut said);
    }
    format!("the child ended with {status}: {said}")
}

/// Rounds on one directory after the other, until others and this one have done enough.
fn run_directories(settings: &Settings, totals: &Totals, job: u64) -> Result<(), String> {
    for history in 0.. {
        let seed = random::of(&[settings.seed, job, history]).next();
        let directory = settings.directory.join(format!("kill-{job}-{history}"));
        std::fs::create_dir_all(&directory).map_err(|error| error.to_string())?;
        let notes = Notes::open(&directory.join("notes"), seed);
        let mut run = Run { seed, directory, notes, random: Random(seed), totals };
        let (mut checks, mut steps) = (0, 0);
        for round in 0..ROUNDS_OF_A_DIRECTORY {
            if settings.is_enough(totals.kills.load(Ordering::Relaxed)) {
                break;
            }
            if let Err(error) = run.round(round) {
                let kept = settings.keep(&run.directory);
                return Err(format!(
                    "SEED={} history {seed}, round {round}: {error}; see {}",
                    settings.seed,
                    kept.display()
                ));
            }
            count(
                &totals.checks,
                run.notes.checked() - std::mem::replace(&mut checks, run.notes.checked()),
            );
            count(
                &totals.steps,
                run.notes.steps() - std::mem::replace(&mut steps, run.notes.steps()),
            );
        }
        std::fs::remove_dir_all(&run.directory).map_err(|error| error.to_string())?;
        if settings.is_enough(totals.kills.load(Ordering::Relaxed)) {
            break;
        }
    }
    Ok(())
}

/// The part.
pub fn run(settings: &Settings) -> Verdict {
    let totals = Totals::default();
    let since = Instant::now();
    let result = settings.in_parallel(
        settings.jobs,
        |job| run_directories(settings, &totals, job),
        || totals.print(since),
    );
    totals.print(since);
    Verdict::from(result)
}
