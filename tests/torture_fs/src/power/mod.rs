//! Power cuts on the kernel's own file systems: what a disk was told is recorded once, then put
//! together anew as a power cut at any moment may leave it, mounted, and looked at.

mod history;
mod record;
mod replay;
mod states;

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use history::MISFIT;
pub use record::child;
use record::{Record, Truth};
use replay::Disk;
use states::{states, windows, State, KINDS};

use crate::kernels::Kernel;
use crate::random;
use crate::settings::{Settings, Verdict};

/// States of one record, at most: then the next one, so that there are many.
const STATES_OF_A_RECORD: u64 = 1_500;

/// However short the time is.
const LEAST_STATES: u64 = 30;
/// Disks that are looked at by one processor.
const WORKERS: u64 = 6;

/// What is counted.
#[derive(Default)]
struct Totals {
    states: AtomicU64,
    records: AtomicU64,
    entries: AtomicU64,
    steps: AtomicU64,
    /// States that the file system itself does not survive.
    unmountable: AtomicU64,
    kinds: [AtomicU64; KINDS.len()],
}

impl Totals {
    fn print(&self, name: &str, since: Instant) {
        if self.records.load(Ordering::Relaxed) == 0 {
            return;
        }
        let kinds = self.kinds.each_ref().map(|count| count.load(Ordering::Relaxed));
        println!(
            "power {name}: {} power cuts of {} records ({} entries, {} steps), {} s; prefix, \
             single, all but one, subset, torn: {kinds:?}; {} torn superblocks; no violation",
            self.states.load(Ordering::Relaxed),
            self.records.load(Ordering::Relaxed),
            self.entries.load(Ordering::Relaxed),
            self.steps.load(Ordering::Relaxed),
            since.elapsed().as_secs(),
            self.unmountable.load(Ordering::Relaxed),
        );
    }
}

/// The part: file systems take turns, a record each.
pub fn run(settings: &Settings) -> Verdict {
    let needed = ["qemu-storage-daemon", "fusermount3", "fallocate", "cp"];
    let kernels = match Kernel::by_fuse(settings, &needed) {
        Ok(kernels) => kernels,
        Err(why) => return Verdict::Skipped(why),
    };
    let since = Instant::now();
    let totals: Vec<Totals> = kernels.iter().map(|_| Totals::default()).collect();
    let done = || totals.iter().map(|totals| totals.states.load(Ordering::Relaxed)).sum::<u64>();
    let print = || {
        for (kernel, totals) in kernels.iter().zip(&totals) {
            totals.print(kernel.name, since);
        }
    };
    let share = settings.rounds.map_or(u64::MAX, |rounds| rounds.div_ceil(kernels.len() as u64));
    let mut result = match settings.is_short() {
        true => Ok(()),
        false => lies_are_found(settings, kernels[0]),
    };
    for round in 0.. {
        if result.is_err() || settings.is_enough(done()) && done() >= LEAST_STATES {
            break;
        }
        let at = round as usize % kernels.len();
        let seed = random::of(&[settings.seed, round]).next();
        let so_far = totals[at].states.load(Ordering::Relaxed);
        if so_far < share {
            let most = STATES_OF_A_RECORD.min(share - so_far);
            let truth = Truth::Told;
            result = examine_record(settings, kernels[at], seed, (most, truth), &totals[at]);
            print();
        }
    }
    Verdict::from(result)
}

/// A window of a record, and the states of it that are looked at.
type Plan = Vec<(Range<usize>, Vec<State>)>;

/// States of all windows of a record: all that can be drawn, or as many as are wanted.
fn plan(record: &Record, most: u64) -> Plan {
    let mut random = random::of(&[record.seed, 7]);
    let of_window = |window: Range<usize>| {
        let states = states(&record.entries, &window, &mut random);
        (window, states)
    };
    let mut plan: Plan = windows(&record.entries).into_iter().map(of_window).collect();
    let mut left: u64 = plan.iter().map(|(_, states)| states.len() as u64).sum();
    let mut wanted = most.min(left);
    for (_, states) in &mut plan {
        states.retain(|_| {
            let is_taken = random.below(left) < wanted;
            left -= 1;
            wanted -= u64::from(is_taken);
            is_taken
        });
    }
    plan
}

/// Records a history, and looks at states of it.
fn examine_record(
    settings: &Settings,
    kernel: &'static Kernel,
    seed: u64,
    (most, truth): (u64, Truth),
    totals: &Totals,
) -> Result<(), String> {
    let directory = settings.memory.join(format!("power-{}", kernel.name));
    let place = |error| format!("SEED={} {} {seed}: {error}", settings.seed, kernel.name);
    let record = record::record(kernel, &directory, seed, truth).map_err(place)?;
    let plan = plan(&record, most);
    totals.records.fetch_add(1, Ordering::Relaxed);
    totals.entries.fetch_add(record.entries.len() as u64, Ordering::Relaxed);
    totals.steps.fetch_add(record.history.steps(), Ordering::Relaxed);
    // Most of the time is spent on waiting for the kernel.
    let jobs = WORKERS * settings.jobs;
    let result = settings.in_parallel(
        jobs,
        |job| examine_windows(settings, &record, &plan, (job, jobs), totals),
        || totals.print(kernel.name, settings.began),
    );
    if let (Err(error), Truth::Told) = (&result, truth) {
        let kept = settings.keep(&directory);
        return Err(format!("{}; see {}", place(error.clone()), kept.display()));
    }
    std::fs::remove_dir_all(&directory).map_err(|error| error.to_string())?;
    result
}

/// Looks at the windows of one job: every so many.
fn examine_windows(
    settings: &Settings,
    record: &Record,
    plan: &Plan,
    (job, jobs): (u64, u64),
    totals: &Totals,
) -> Result<(), String> {
    let disk = Disk::new(record, job)?;
    for (number, (window, states)) in plan.iter().enumerate() {
        if number as u64 % jobs == job {
            for state in states {
                let is_something = totals.states.load(Ordering::Relaxed) >= LEAST_STATES;
                if settings.has_failed() || is_something && settings.is_out_of_time() {
                    return Ok(());
                }
                let place = |error| format!("window {number} {window:?}, {state:?}: {error}");
                if !disk.examine(record, state).map_err(place)? {
                    totals.unmountable.fetch_add(1, Ordering::Relaxed);
                    continue;
                }
                totals.states.fetch_add(1, Ordering::Relaxed);
                totals.kinds[state.kind as usize].fetch_add(1, Ordering::Relaxed);
            }
        }
        // With the flush that ends it.
        disk.advance(&record.entries[window.clone()])?;
    }
    Ok(())
}

/// A history that says of writes that they are on the medium when they are not must be found out:
/// else nothing that is said here is worth anything.
fn lies_are_found(settings: &Settings, kernel: &'static Kernel) -> Result<(), String> {
    let totals = Totals::default();
    let trial = settings.for_a_trial();
    for round in 0..4 {
        let seed = random::of(&[settings.seed, round, 8]).next();
        match examine_record(&trial, kernel, seed, (150, Truth::Bent), &totals) {
            Err(error) if error.contains(MISFIT) => {
                let states = totals.states.load(Ordering::Relaxed);
                println!("power {}: a lie was found out after {states} states", kernel.name);
                return Ok(());
            }
            other => other?,
        }
        if settings.is_out_of_time() {
            return Ok(());
        }
    }
    Err("writes that were said to be synced, and were not, were not missed".into())
}
