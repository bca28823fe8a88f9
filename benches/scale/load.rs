//! The latency of every put while a database is loaded, and while a third of the puts overwrite.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::handle::Handle;
use crate::histogram::Histogram;
use crate::machine;
use crate::report::{Report, Target};
use crate::settings::Settings;
use crate::workload::{key, mix, stamp};

/// Puts and pauses at least this long are kept one by one.
const LONG: Duration = Duration::from_millis(1);

/// Something that took time.
#[derive(Clone, Copy)]
struct Span {
    from: Instant,
    to: Instant,
}

impl Span {
    fn ms(&self) -> f64 {
        self.to.duration_since(self.from).as_secs_f64() * 1e3
    }

    fn overlaps(&self, other: &Span) -> bool {
        self.from < other.to && other.from < self.to
    }
}

pub fn run(settings: &Settings, report: &mut Report) {
    load(settings, report, "new keys", 0);
    load(settings, report, "a third overwrites", 3);
}

/// Loads the keys; one in `overwrites` puts overwrites one (0: none).
fn load(settings: &Settings, report: &mut Report, what: &str, overwrites: u64) {
    let path = settings.fresh("load");
    let db = Handle::open(&path, settings, &[]);
    let (stop, stolen) = (AtomicBool::new(false), machine::stolen_seconds());
    let begin = Instant::now();
    let (histogram, long, pauses) = std::thread::scope(|scope| {
        let clock = scope.spawn(|| watch_the_clock(&stop));
        let (histogram, long) = put_all(&db, settings, overwrites);
        stop.store(true, Ordering::Relaxed);
        (histogram, long, clock.join().expect("the clock can be read"))
    });
    let seconds = begin.elapsed().as_secs_f64();
    let puts = settings.size("load-keys") as f64;
    report.fact(&format!("{what}: rate"), puts / seconds / 1e6, "M/s");
    for (share, name) in [(0.5, "p50"), (0.99, "p99"), (0.999, "p99.9"), (0.9999, "p99.99")] {
        let target = if name == "p99.9" { Target::AtMost(50.0) } else { Target::None };
        report.figure(&format!("{what}: {name}"), histogram.quantile(share), "us", target);
    }
    let longest = |spans: &[Span]| spans.iter().map(Span::ms).fold(0.0, f64::max);
    let apart: Vec<Span> =
        long.iter().filter(|put| !pauses.iter().any(|p| p.overlaps(put))).copied().collect();
    report.fact(&format!("{what}: longest put"), histogram.max() / 1e3, "ms");
    report.fact(&format!("{what}: puts over 1 ms"), long.len() as f64, "");
    report.fact(&format!("{what}: longest pause of the clock"), longest(&pauses), "ms");
    let longest = if long.is_empty() { histogram.max() / 1e3 } else { longest(&apart) };
    let target = Target::AtMost(10.0);
    report.figure(&format!("{what}: longest put beside no pause"), longest, "ms", target);
    report.fact(&format!("{what}: stolen by the host"), machine::stolen_seconds() - stolen, "s");
    match db.held_back() {
        Some(time) => report.fact(&format!("{what}: held back"), time.as_secs_f64(), "s"),
        None => report.note("how long writers were held back is not counted"),
    }
    db.close();
    let _ = std::fs::remove_dir_all(&path);
}

/// How long each put took, and which took long.
fn put_all(db: &Handle, settings: &Settings, overwrites: u64) -> (Histogram, Vec<Span>) {
    let mut value = vec![42; settings.size("value") as usize];
    let (mut histogram, mut long, mut keys) = (Histogram::default(), Vec::new(), 0);
    for i in 0..settings.size("load-keys") {
        let is_new = overwrites == 0 || keys == 0 || !mix(i).is_multiple_of(overwrites);
        let number = if is_new { keys } else { mix(!i) % keys };
        keys += u64::from(is_new);
        stamp(&mut value, number);
        let key = key(number);
        let from = Instant::now();
        db.put(&key, &value);
        let to = Instant::now();
        histogram.add(to - from);
        if to - from >= LONG {
            long.push(Span { from, to });
        }
    }
    (histogram, long)
}

/// The times at which this thread, which does nothing but read the clock, did not run. The other
/// threads' work is among them if there are more threads than processors.
fn watch_the_clock(stop: &AtomicBool) -> Vec<Span> {
    let (mut pauses, mut last) = (Vec::new(), Instant::now());
    while !stop.load(Ordering::Relaxed) {
        let now = Instant::now();
        if now - last >= LONG {
            pauses.push(Span { from: last, to: now });
        }
        last = now;
    }
    pauses
}
