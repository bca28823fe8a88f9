//! Blocks that cannot be written or read, under the kernel's own file systems: a database works
//! until its disk fails, and is looked at again when the disk is well.

mod disk;

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use kv::db::Db;
use kv::error::Kind;
use kv::options::{Options, ReadMode};

use crate::judge::{now_ms, Content, Track};
use crate::kernels::Kernel;
use crate::random;
use crate::settings::{Settings, Verdict};
use crate::shared::Shared;
use crate::tale::{self, Held, Operation, KEYS, SOON_MS};
use crate::worker::{self, LEVELS};
use disk::{forget, mounted, set, Failing, FailingDisk};

const THREAD: usize = 0;
/// Calls after the first one that fails.
const MORE: u64 = 30;

/// What the child notes: steps, times, and how it went.
const DURABLE: usize = 0;
const POSSIBLE: usize = 1;
const BEGAN_MS: usize = 2;
const ENDED_MS: usize = 3;
const FAILED: usize = 4;
const READ: usize = 5;
const NOTES: usize = 8;

/// How a round goes.
#[derive(Clone, Copy)]
struct Round {
    seed: u64,
    failing: Failing,
    by_map: bool,
}

impl Round {
    fn draw(seed: u64) -> Round {
        let mut random = random::of(&[seed, 13]);
        let failing = if random.below(3) == 0 { Failing::Reads } else { Failing::Writes };
        Round { seed, failing, by_map: random.below(3) == 0 }
    }

    fn level(&self) -> &'static str {
        LEVELS[random::of(&[self.seed, 14]).below(LEVELS.len() as u64) as usize]
    }

    fn options(&self) -> Options {
        let read_mode = if self.by_map { ReadMode::Mmap } else { ReadMode::Pread };
        Options { read_mode, ..worker::options(self.level()) }
    }
}

#[derive(Default)]
struct Totals {
    rounds: AtomicU64,
    failed_writes: AtomicU64,
    failed_reads: AtomicU64,
    reads: AtomicU64,
    sigbus: AtomicU64,
}

impl Totals {
    fn print(&self, since: Instant) {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        println!(
            "errors: {} disks failed under a database; {} writes were refused or of unknown \
             outcome, {} of {} reads failed, {} processes had SIGBUS reading a map; {} s",
            read(&self.rounds),
            read(&self.failed_writes),
            read(&self.failed_reads),
            read(&self.reads),
            read(&self.sigbus),
            since.elapsed().as_secs(),
        );
    }
}

/// The part.
pub fn run(settings: &Settings) -> Verdict {
    let kernels = match Kernel::by_fuse(settings, &["nbdkit", "nbdfuse", "fusermount3"]) {
        Ok(kernels) => kernels,
        Err(why) => return Verdict::Skipped(why),
    };
    let (totals, since) = (Totals::default(), Instant::now());
    let next = AtomicU64::new(0);
    let work = |job: u64| {
        while !settings.is_enough(totals.rounds.load(Ordering::Relaxed)) {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let kernel = kernels[number as usize % kernels.len()];
            let round = Round::draw(random::of(&[settings.seed, number, 15]).next());
            let directory = settings.memory.join(format!("errors-{job}"));
            run_round(kernel, &directory, round, &totals).map_err(|error| {
                let (seed, failing) = (settings.seed, round.failing);
                format!("SEED={seed} {} {} {failing:?}: {error}", kernel.name, round.seed)
            })?;
        }
        Ok(())
    };
    let result = settings.in_parallel(settings.jobs, work, || totals.print(since));
    totals.print(since);
    Verdict::from(result)
}

fn run_round(
    kernel: &'static Kernel,
    directory: &Path,
    round: Round,
    totals: &Totals,
) -> Result<(), String> {
    let mut disk = FailingDisk::new(kernel, directory)?;
    let mount = disk.mount()?;
    let notes = Shared::open(&directory.join("notes"), NOTES);
    let child = match round.failing {
        Failing::Writes => "writes",
        Failing::Reads => "reads",
    };
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let output = Command::new(program)
        .args(["errors-child", child])
        .arg(directory)
        .arg(round.seed.to_string())
        .stdin(Stdio::null())
        .output()
        .map_err(|error| error.to_string())?;
    let had_sigbus = output.status.signal() == Some(libc::SIGBUS);
    if had_sigbus && round.by_map && round.failing == Failing::Reads {
        totals.sigbus.fetch_add(1, Ordering::Relaxed);
    } else if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(format!("the child ended with {}: {said}", output.status));
    }
    disk.start_again(mount)?;
    std::thread::sleep(Duration::from_millis(SOON_MS + 60));
    let mount = disk.mount()?;
    let judged = judge(directory, round, &notes);
    mount.end().map_err(|error| format!("umount: {error}"))?;
    judged?;
    totals.rounds.fetch_add(1, Ordering::Relaxed);
    match round.failing {
        Failing::Writes => totals.failed_writes.fetch_add(notes.get(FAILED), Ordering::Relaxed),
        Failing::Reads => totals.failed_reads.fetch_add(notes.get(FAILED), Ordering::Relaxed),
    };
    totals.reads.fetch_add(notes.get(READ), Ordering::Relaxed);
    Ok(())
}

/// What is there when the disk is well again: all that was acknowledged as durable, a prefix.
fn judge(directory: &Path, round: Round, notes: &Shared) -> Result<(), String> {
    let opened = Db::open(&mounted(directory).join("db"), &round.options());
    let db = opened.map_err(|error| format!("when the disk is well again: open: {error}"))?;
    let content = Content::read(&db, round.seed)?;
    must_fit(&content, round, notes)?;
    db.compact().map_err(|error| format!("compact: {error}"))?;
    db.close().map_err(|error| format!("close: {error}"))
}

fn must_fit(content: &Content, round: Round, notes: &Shared) -> Result<(), String> {
    let (low, high) = (notes.get(DURABLE), notes.get(POSSIBLE));
    let times = (notes.get(BEGAN_MS), notes.get(ENDED_MS));
    let mut track = Track::new(content, THREAD, vec![Held::NOTHING; KEYS]);
    let mut nearest = (usize::MAX, String::new());
    for step in 0..=high {
        if step > 0 {
            track.advance(&tale::operation(round.seed, THREAD, step), step, times);
        }
        if step >= low && track.fits() {
            return Ok(());
        }
        if step >= low && track.misfits() < nearest.0 {
            nearest = (track.misfits(), format!("after step {step}, {}", track.misfit()));
        }
    }
    Err(format!("it fits no step of {low}..={high}: {}", nearest.1))
}

/// The body of a child.
pub fn child(arguments: &[String]) -> Result<(), String> {
    let [what, directory, seed] = arguments else {
        return Err("usage: errors-child WHAT DIRECTORY SEED".into());
    };
    let directory = Path::new(directory);
    let round = Round::draw(seed.parse().map_err(|_| "SEED is a number")?);
    let notes = Shared::open(&directory.join("notes"), NOTES);
    notes.set(BEGAN_MS, now_ms());
    let done = match &**what {
        "writes" => let_writes_fail(directory, round, &notes),
        _ => let_reads_fail(directory, round, &notes),
    };
    notes.set(ENDED_MS, now_ms());
    done
}

fn open(directory: &Path, round: Round) -> Result<Db, String> {
    Db::open(&mounted(directory).join("db"), &round.options())
        .map_err(|error| format!("open: {error}"))
}

/// Does one step, and notes what is sure of it.
fn step(db: &Db, round: Round, notes: &Shared, number: u64) -> Result<(), kv::error::Error> {
    let operation = tale::operation(round.seed, THREAD, number);
    worker::perform(db, round.seed, THREAD, number, &operation)?;
    notes.set(POSSIBLE, number);
    if round.level() == "always" || matches!(operation, Operation::Sync) {
        notes.set(DURABLE, number);
    }
    Ok(())
}

/// Works, lets the disk fail, and goes on until a call fails; then no write may be taken any more,
/// while reads go on.
fn let_writes_fail(directory: &Path, round: Round, notes: &Shared) -> Result<(), String> {
    let db = open(directory, round)?;
    let mut random = random::of(&[round.seed, 16]);
    let before = 20 + random.below(300);
    let mut first = None;
    for number in 1..before + 400 {
        if number == before {
            set(directory, Failing::Writes, true);
        }
        if let Err(error) = step(&db, round, notes, number) {
            if number < before {
                return Err(format!("step {number}: {error}"));
            }
            first = Some((number, error));
            break;
        }
    }
    // The last one may have been written all the same.
    if let Some((number, error)) = &first {
        if error.kind() == Kind::UnknownOutcome {
            notes.set(POSSIBLE, *number);
        }
        refuse_all(&db, round, notes, *number)?;
    }
    let content = Content::read(&db, round.seed).map_err(|error| format!("reads: {error}"))?;
    notes.set(ENDED_MS, now_ms());
    must_fit(&content, round, notes)?;
    // Whether it can be closed well is another matter.
    drop(db.close());
    Ok(())
}

fn refuse_all(db: &Db, round: Round, notes: &Shared, failed: u64) -> Result<(), String> {
    notes.set(FAILED, 1);
    for number in failed + 1..failed + MORE {
        let operation = tale::operation(round.seed, THREAD, number);
        // Nothing is written by these if there is nothing to change.
        if matches!(operation, Operation::Delete { .. } | Operation::Touch { .. }) {
            continue;
        }
        match worker::perform(db, round.seed, THREAD, number, &operation) {
            Err(error) if error.kind() == Kind::ReadOnly => {
                notes.set(FAILED, notes.get(FAILED) + 1)
            }
            Err(error) => return Err(format!("step {number}, after a failure: {error}")),
            Ok(()) => return Err(format!("step {number} was taken after step {failed} failed")),
        }
    }
    Ok(())
}

/// Fills a database, lets the kernel forget it, and reads while the disk cannot: each answer is the
/// right one, or a failure of the disk; and once it can, all are right.
fn let_reads_fail(directory: &Path, round: Round, notes: &Shared) -> Result<(), String> {
    let db = open(directory, round)?;
    for number in 1..1_500 {
        step(&db, round, notes, number).map_err(|error| format!("step {number}: {error}"))?;
    }
    // So that it is in sealed segments, which are opened when they are read.
    db.compact().map_err(|error| format!("compact: {error}"))?;
    db.close().map_err(|error| format!("close: {error}"))?;
    notes.set(DURABLE, notes.get(POSSIBLE));
    std::thread::sleep(Duration::from_millis(SOON_MS + 60));
    notes.set(ENDED_MS, now_ms());
    let db = open(directory, round)?;
    forget(directory)?;
    set(directory, Failing::Reads, true);
    for key in 0..KEYS {
        notes.set(READ, notes.get(READ) + 1);
        match db.get(&tale::key_bytes(THREAD, key), |_| ()) {
            Ok(_) => {}
            Err(error) if error.kind() == Kind::Io => notes.set(FAILED, notes.get(FAILED) + 1),
            Err(error) => return Err(format!("key {key}: {error}")),
        }
    }
    set(directory, Failing::Reads, false);
    must_fit(&Content::read(&db, round.seed)?, round, notes)?;
    db.close().map_err(|error| format!("close: {error}"))
}
