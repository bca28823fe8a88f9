//! One run of one contestant: throughput, cost and the time single puts take.

use crate::record::{Record, Source, RECORD};
use crate::sys;
use crate::tail::Tail;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::thread;
use std::time::Instant;

/// One put in this many is timed by itself; the ones between are timed together, so that no stall
/// is missed. 13 shares no factor with the records of a page or a step.
const SAMPLE_EVERY: u64 = 13;

/// Puts that go before those measured one by one.
const SETTLED: u64 = 200_000;

#[derive(Clone, Copy, Default)]
pub struct Figures {
    pub puts_per_s: f64,
    /// Of all threads, the syncing one included.
    pub cpu_ns_per_put: f64,
    pub faults_per_1000: f64,
    pub p50: f64,
    pub p99: f64,
    pub p999: f64,
    /// The longest single timed put, or the longest run of untimed ones if that is longer.
    pub max: f64,
    pub syncs: f64,
    pub sync_p50: f64,
}

/// Appends `records` records; with `sync`, a second thread makes the log durable without pause.
pub fn run(
    mut tail: Box<dyn Tail>,
    source: &Source,
    records: u64,
    sync: bool,
) -> io::Result<Figures> {
    // Filled with ones first: the vector's own page faults must not be counted.
    let mut samples = vec![1u32; (records / SAMPLE_EVERY + 1) as usize];
    samples.clear();
    let stop = Arc::new(AtomicBool::new(false));
    let syncing = tail.syncer().filter(|_| sync).map(|sync| {
        let stop = stop.clone();
        thread::spawn(move || sync_until(&stop, &*sync))
    });
    let mut figures = put_all(&mut *tail, source, records, samples)?;
    stop.store(true, Ordering::Relaxed);
    if let Some(thread) = syncing {
        let mut times = thread.join().map_err(|_| io::Error::other("sync thread panicked"))??;
        figures.syncs = times.len() as f64;
        figures.sync_p50 = quantile(&mut times, 0.5);
    }
    tail.finish()?;
    Ok(figures)
}

fn put_all(
    tail: &mut dyn Tail,
    source: &Source,
    records: u64,
    mut samples: Vec<u32>,
) -> io::Result<Figures> {
    let mut record: Record = [0; RECORD];
    let mut longest_gap = 0;
    let before = sys::usage();
    let start = Instant::now();
    let mut last = 0;
    for sequence in 0..records {
        source.encode(sequence, &mut record);
        if sequence % SAMPLE_EVERY != 0 {
            tail.append(&record)?;
            continue;
        }
        let begun = start.elapsed().as_nanos() as u64;
        tail.append(&record)?;
        let done = start.elapsed().as_nanos() as u64;
        longest_gap = longest_gap.max(begun - last);
        samples.push((done - begun).min(u64::from(u32::MAX)) as u32);
        last = done;
    }
    let seconds = start.elapsed().as_secs_f64();
    let after = sys::usage();
    let longest = samples.iter().copied().max().unwrap_or(0);
    Ok(Figures {
        puts_per_s: records as f64 / seconds,
        cpu_ns_per_put: (after.cpu_ns - before.cpu_ns) as f64 / records as f64,
        faults_per_1000: (after.faults - before.faults) as f64 * 1000.0 / records as f64,
        p50: quantile(&mut samples, 0.5),
        p99: quantile(&mut samples, 0.99),
        p999: quantile(&mut samples, 0.999),
        max: longest_gap.max(u64::from(longest)) as f64,
        ..Figures::default()
    })
}

/// The times of `count` puts, each made durable before the next. Full chunks of records lie
/// before them, so that what is allocated ahead has grown to its usual size.
pub fn sync_puts(mut tail: Box<dyn Tail>, source: &Source, count: u64) -> io::Result<Vec<u32>> {
    let Some(sync) = tail.syncer() else { return Ok(Vec::new()) };
    let mut record: Record = [0; RECORD];
    for sequence in 0..SETTLED {
        source.encode(sequence, &mut record);
        tail.append(&record)?;
    }
    sync()?;
    let mut times = Vec::new();
    for sequence in SETTLED..SETTLED + count {
        source.encode(sequence, &mut record);
        let start = Instant::now();
        tail.append(&record)?;
        sync()?;
        times.push(start.elapsed().as_nanos().min(u128::from(u32::MAX)) as u32);
    }
    tail.finish()?;
    Ok(times)
}

/// The times of all syncs.
fn sync_until(stop: &AtomicBool, sync: &dyn Fn() -> io::Result<()>) -> io::Result<Vec<u32>> {
    let mut times = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let start = Instant::now();
        sync()?;
        times.push(start.elapsed().as_nanos().min(u128::from(u32::MAX)) as u32);
    }
    Ok(times)
}

pub fn quantile(samples: &mut [u32], q: f64) -> f64 {
    if samples.is_empty() {
        return 0.0;
    }
    samples.sort_unstable();
    f64::from(samples[((samples.len() - 1) as f64 * q) as usize])
}

pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}
