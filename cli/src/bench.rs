//! bench: rates and latencies of this machine, in a directory that is made and removed.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use kv::db::Db;
use kv::histogram::{Distribution, Histogram};
use serde_json::{json, Value};

use crate::args::{Bench, Shared, Workload};
use crate::cancel::Cancel;
use crate::fail::{Failure, Outcome};
use crate::open::{options_of_long, Purpose};
use crate::output::{remark, Out};
use crate::progress::{Bar, Unit};

/// Threads say how far they are, and look whether they are to end, after so many operations.
const STRIDE: u64 = 256;
const NOTE: &str = "these are figures of this machine, this moment and these settings, each \
    operation timed by itself; they compare nothing with anything (docs/BENCHMARKS.md does)";

/// A directory that is removed when this goes.
struct Place(PathBuf);

impl Place {
    fn make(parent: &Path) -> Result<Place, Failure> {
        let path = parent.join(format!("kv-bench-{}", std::process::id()));
        fs::create_dir(&path)
            .map_err(|error| Failure::io(&format!("make {}", path.display()), &error))?;
        Ok(Place(path))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // Whoever cannot remove it can neither be helped here.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What a workload has come to.
struct Figures {
    workload: Workload,
    operations: u64,
    took: Duration,
    latency: Distribution,
}

/// Measures.
pub fn bench(args: &Bench, shared: &Shared) -> Result<Outcome, Failure> {
    let cancel = Cancel::listen()?;
    let options = options_of_long(Purpose::Create, shared)?;
    let place = Place::make(&args.dir)?;
    let measured = Db::open(&place.0.join("db"), &options).map_err(Failure::from).and_then(|db| {
        let measured = measure_all(&db, args, shared, &cancel);
        measured.and_then(|figures| db.close().map(|()| figures).map_err(Failure::from))
    });
    drop(place);
    let measured = measured?;
    let mut out = Out::new();
    if shared.json {
        let all: Vec<Value> = measured.iter().map(|figures| as_json(figures, args)).collect();
        out.json(&json!({ "note": NOTE, "workloads": all }))?;
    } else {
        remark(shared, NOTE);
        out.line(HEADER)?;
        for figures in &measured {
            out.line(&as_text(figures, args))?;
        }
    }
    out.flush()?;
    Ok(Outcome::Done)
}

fn measure_all(
    db: &Db,
    args: &Bench,
    shared: &Shared,
    cancel: &Cancel,
) -> Result<Vec<Figures>, Failure> {
    let rest = args.workloads.iter().copied().filter(|workload| *workload != Workload::Fill);
    [Workload::Fill]
        .into_iter()
        .chain(rest)
        .map(|workload| measure(db, workload, args, shared, cancel))
        .collect()
}

fn measure(
    db: &Db,
    workload: Workload,
    args: &Bench,
    shared: &Shared,
    cancel: &Cancel,
) -> Result<Figures, Failure> {
    let operations = match workload {
        Workload::Fill => args.keys,
        _ => args.operations.unwrap_or(args.keys),
    };
    let bar = Bar::new(shared, name_of(workload), Unit::Things, Some(operations));
    let threads = u64::from(args.threads);
    let done = AtomicU64::new(0);
    let began = Instant::now();
    let (histograms, took) = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|number| {
                let done = &done;
                let share = operations * number / threads..operations * (number + 1) / threads;
                let worker = Worker::new(db, workload, args, number);
                scope.spawn(move || worker.run(share, done, cancel))
            })
            .collect();
        while !workers.iter().all(thread::ScopedJoinHandle::is_finished) {
            bar.set(done.load(Ordering::Relaxed));
            thread::sleep(Duration::from_millis(5));
        }
        let bug = |_| Err(Failure::bug("a thread of the benchmark has panicked"));
        let joined = workers.into_iter().map(|worker| worker.join().unwrap_or_else(bug));
        let joined: Result<Vec<(Histogram, Instant)>, Failure> = joined.collect();
        let took = joined.as_ref().ok().and_then(|all| all.iter().map(|(_, end)| *end).max());
        let took = took.map_or(began.elapsed(), |end| end.duration_since(began));
        joined.map(|all| (all, took))
    })?;
    let mut latency = Distribution::default();
    histograms.iter().for_each(|(histogram, _)| latency.add(histogram));
    Ok(Figures { workload, operations, took, latency })
}

/// One thread of a workload.
struct Worker<'a> {
    db: &'a Db,
    workload: Workload,
    args: &'a Bench,
    random: u64,
    key: Vec<u8>,
    value: Vec<u8>,
}

impl<'a> Worker<'a> {
    fn new(db: &'a Db, workload: Workload, args: &'a Bench, number: u64) -> Worker<'a> {
        let random = mixed(args.seed ^ mixed((number << 8) | workload as u64));
        let key = vec![0; args.key_size as usize];
        let mut filler = random;
        let value = (0..args.value_size).map(|_| next(&mut filler) as u8).collect();
        Worker { db, workload, args, random, key, value }
    }

    /// Does a share of the operations. Answers how long each took, and when it was done.
    fn run(
        mut self,
        share: std::ops::Range<u64>,
        done: &AtomicU64,
        cancel: &Cancel,
    ) -> Result<(Histogram, Instant), Failure> {
        let histogram = Histogram::default();
        for (count, number) in share.enumerate() {
            if count as u64 % STRIDE == STRIDE - 1 {
                done.fetch_add(STRIDE, Ordering::Relaxed);
                if cancel.is_asked() {
                    return Err(cancel.failure("the directory of the benchmark is removed"));
                }
            }
            let which = match self.workload {
                Workload::Fill => number,
                _ => next(&mut self.random) % self.args.keys,
            };
            // Scattered, so that nothing is gained by their order.
            let at = self.key.len() - 8;
            self.key[at..].copy_from_slice(&mixed(which).to_le_bytes());
            let reads = match self.workload {
                Workload::Fill | Workload::Overwrite => false,
                Workload::Read => true,
                Workload::Mixed => next(&mut self.random) % 100 < u64::from(self.args.reads),
            };
            let began = Instant::now();
            if reads {
                self.db.get(&self.key, <[u8]>::len)?;
            } else {
                self.db.put(&self.key, &self.value)?;
            }
            histogram.add(began.elapsed().as_nanos() as u64);
        }
        Ok((histogram, Instant::now()))
    }
}

/// Another number for each number (the finish of SplitMix64).
fn mixed(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

/// The next random number (SplitMix64).
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed(*state)
}

fn name_of(workload: Workload) -> &'static str {
    match workload {
        Workload::Fill => "fill",
        Workload::Overwrite => "overwrite",
        Workload::Read => "read",
        Workload::Mixed => "mixed",
    }
}

const HEADER: &str = "workload   threads  operations     seconds     per second       MiB/s  \
    p50 us  p90 us  p99 us p99.9 us  longest us";

fn per_second(figures: &Figures) -> f64 {
    figures.operations as f64 / figures.took.as_secs_f64().max(1e-9)
}

fn mib_per_second(figures: &Figures, args: &Bench) -> f64 {
    let bytes = u64::from(args.key_size) + u64::from(args.value_size);
    per_second(figures) * bytes as f64 / (1 << 20) as f64
}

fn as_text(figures: &Figures, args: &Bench) -> String {
    let us = |ns: u64| ns as f64 / 1000.0;
    let latency = &figures.latency;
    format!(
        "{:<10} {:>7} {:>11} {:>11.3} {:>14.0} {:>11.1} {:>7.2} {:>7.2} {:>7.2} {:>8.2} {:>11.1}",
        name_of(figures.workload),
        args.threads,
        figures.operations,
        figures.took.as_secs_f64(),
        per_second(figures),
        mib_per_second(figures, args),
        us(latency.quantile(500)),
        us(latency.quantile(900)),
        us(latency.quantile(990)),
        us(latency.quantile(999)),
        us(latency.longest()),
    )
}

fn as_json(figures: &Figures, args: &Bench) -> Value {
    let latency = &figures.latency;
    json!({
        "workload": name_of(figures.workload),
        "threads": args.threads,
        "operations": figures.operations,
        "seconds": figures.took.as_secs_f64(),
        "per_second": per_second(figures),
        "mib_per_second": mib_per_second(figures, args),
        "key_bytes": args.key_size,
        "value_bytes": args.value_size,
        "latency_ns": {
            "shortest": latency.shortest(),
            "p50": latency.quantile(500),
            "p90": latency.quantile(900),
            "p99": latency.quantile(990),
            "p99_9": latency.quantile(999),
            "longest": latency.longest(),
        },
    })
}
