//! One thread against two: puts and gets of random keys, in alternating rounds.

use std::sync::Barrier;
use std::time::Instant;

use crate::handle::Handle;
use crate::report::{median, Report, Target};
use crate::settings::Settings;
use crate::workload::{key, mix, stamp};

/// Operations of a round, of all threads together, at most.
const ROUND: u64 = 2_000_000;

pub fn run(settings: &Settings, report: &mut Report) {
    for name in ["small-keys", "large-keys"] {
        let keys = settings.size(name);
        let [fill_1, fill_2] = fills(settings, keys);
        compare(report, &format!("put, new keys, {keys} keys"), fill_1, fill_2, 1.0);
        let [put_1, put_2, get_1, get_2] = rounds(settings, keys);
        compare(report, &format!("put, overwriting, {keys} keys"), put_1, put_2, 1.0);
        compare(report, &format!("get_into, {keys} keys"), get_1, get_2, 1.8);
    }
}

fn compare(report: &mut Report, what: &str, one: Vec<f64>, two: Vec<f64>, target: f64) {
    // Round by round: what slows one round of a pair slows the other.
    let gains = one.iter().zip(&two).map(|(one, two)| two / one).collect();
    report.fact(&format!("{what}: 1 thread"), median(one) / 1e6, "M/s");
    report.fact(&format!("{what}: 2 threads"), median(two) / 1e6, "M/s");
    let target = Target::AtLeast(target);
    report.figure(&format!("{what}: 2 threads to 1"), median(gains), "x", target);
}

/// Rates of loading new databases with one thread and with two.
fn fills(settings: &Settings, keys: u64) -> [Vec<f64>; 2] {
    let mut rates = [Vec::new(), Vec::new()];
    for _ in 0..settings.rounds().min(3) {
        for (at, threads) in [1, 2].into_iter().enumerate() {
            let path = settings.fresh("fill");
            let db = Handle::open(&path, settings, &[("sync", "none")]);
            rates[at].push(rate(threads, keys, |from, to| {
                let mut value = vec![42; settings.size("value") as usize];
                for i in from..to {
                    stamp(&mut value, i);
                    db.put(&key(i), &value);
                }
            }));
            db.close();
            let _ = std::fs::remove_dir_all(&path);
        }
    }
    rates
}

/// Rates of puts by one thread and two, and of gets by one and two, on one database.
fn rounds(settings: &Settings, keys: u64) -> [Vec<f64>; 4] {
    let path = settings.fresh("threads");
    let db = Handle::open(&path, settings, &[("sync", "none")]);
    let len = settings.size("value") as usize;
    let mut value = vec![42; len];
    for i in 0..keys {
        stamp(&mut value, i);
        db.put(&key(i), &value);
    }
    let (operations, mut rates) = (keys.min(ROUND), [const { Vec::new() }; 4]);
    for round in 0..settings.rounds() as u64 {
        let put = |from: u64, to: u64| {
            let mut value = vec![42; len];
            for i in from..to {
                let number = mix(i + round * operations) % keys;
                stamp(&mut value, number);
                db.put(&key(number), &value);
            }
        };
        let get = |from: u64, to: u64| {
            let mut buffer = vec![0; len];
            for i in from..to {
                let number = mix(!(i + round * operations)) % keys;
                assert_eq!(db.get(&key(number), &mut buffer), len, "a wrong length");
                assert_eq!(buffer.first_chunk(), Some(&number.to_le_bytes()), "a wrong value");
            }
        };
        rates[0].push(rate(1, operations, put));
        rates[1].push(rate(2, operations, put));
        rates[2].push(rate(1, operations, get));
        rates[3].push(rate(2, operations, get));
    }
    db.close();
    let _ = std::fs::remove_dir_all(&path);
    rates
}

/// Operations per second when `threads` divide the numbers below `operations` among themselves.
fn rate(threads: u64, operations: u64, work: impl Fn(u64, u64) + Sync) -> f64 {
    let barrier = Barrier::new(threads as usize + 1);
    let begin = std::thread::scope(|scope| {
        for thread in 0..threads {
            let (barrier, work) = (&barrier, &work);
            let bound = move |thread: u64| operations * thread / threads;
            scope.spawn(move || {
                barrier.wait();
                work(bound(thread), bound(thread + 1));
            });
        }
        barrier.wait();
        Instant::now()
    });
    operations as f64 / begin.elapsed().as_secs_f64()
}
