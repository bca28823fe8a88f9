//! How much more than the live data a directory takes, and how much more than was put is written.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::handle::Handle;
use crate::machine;
use crate::report::{Report, Target};
use crate::settings::Settings;
use crate::workload::{key, mix, record_len, stamp, Zipf};

/// The default of the option `segment_size`.
const SEGMENT: f64 = (64 << 20) as f64;
/// How often the directory is looked at.
const PERIOD: Duration = Duration::from_millis(10);
const MIB: f64 = (1 << 20) as f64;

pub fn run(settings: &Settings, report: &mut Report) {
    let keys = settings.size("space-keys");
    let times = settings.size("space-times");
    let zipf = Zipf::new(keys, 0.99);
    overwrite(settings, report, "uniform", keys, keys * times, |i| mix(i) % keys);
    overwrite(settings, report, "zipf 0.99", keys, keys * times, |i| zipf.draw(mix(i)));
    overwrite(settings, report, "one key", 1, settings.size("one-key-times"), |_| 0);
    delete_everything(settings, report, keys);
}

/// What was seen of a directory while it was being written.
#[derive(Default)]
struct Seen {
    largest: u64,
    /// The most that each file took, by name and inode.
    files: HashMap<(String, u64), u64>,
}

impl Seen {
    fn look(&mut self, directory: &Path) {
        let files = machine::files(directory);
        self.largest = self.largest.max(files.iter().map(|file| file.bytes).sum());
        for file in files {
            let most = self.files.entry((file.name, file.inode)).or_default();
            *most = file.bytes.max(*most);
        }
    }

    /// Bytes that were written at least: a file that came and went between two looks is missing.
    fn written(&self) -> u64 {
        self.files.values().sum()
    }
}

fn load(settings: &Settings, keys: u64) -> (Handle, PathBuf) {
    let path = settings.fresh("space");
    let db = Handle::open(&path, settings, &[]);
    let mut value = vec![42; settings.size("value") as usize];
    for i in 0..keys {
        stamp(&mut value, i);
        db.put(&key(i), &value);
    }
    (db, path)
}

fn overwrite(
    settings: &Settings,
    report: &mut Report,
    what: &str,
    keys: u64,
    puts: u64,
    number: impl Fn(u64) -> u64,
) {
    let (db, path) = load(settings, keys);
    let mut value = vec![42; settings.size("value") as usize];
    let stop = AtomicBool::new(false);
    let seen = std::thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let mut seen = Seen::default();
            while !stop.load(Ordering::Relaxed) {
                seen.look(&path);
                std::thread::sleep(PERIOD);
            }
            seen
        });
        for i in 0..puts {
            let number = number(i);
            stamp(&mut value, number ^ i);
            db.put(&key(number), &value);
        }
        stop.store(true, Ordering::Relaxed);
        watcher.join().expect("the directory can be watched")
    });
    let record = record_len(value.len());
    let (live, put) = ((keys * record) as f64, ((keys + puts) * record) as f64);
    let bound = 1.5 * live + 2.0 * SEGMENT;
    report.fact(&format!("{what}: live records"), live / MIB, "MiB");
    let name = format!("{what}: largest directory");
    report.figure(&name, seen.largest as f64 / MIB, "MiB", Target::AtMost((bound / MIB).round()));
    report.fact(&format!("{what}: that to live records"), seen.largest as f64 / live, "x");
    let written = match db.rewritten() {
        Some(bytes) => put + bytes as f64,
        None => {
            report.note("bytes written: the sum of the largest sizes that files were seen with");
            (seen.written() as f64).max(put)
        }
    };
    let target = Target::AtMost(3.0);
    report.figure(&format!("{what}: bytes written to bytes put"), written / put, "x", target);
    db.close();
    let _ = std::fs::remove_dir_all(&path);
}

fn delete_everything(settings: &Settings, report: &mut Report, keys: u64) {
    let (db, path) = load(settings, keys);
    (0..keys).for_each(|i| db.delete(&key(i)));
    db.compact();
    db.sync();
    let left: u64 = machine::files(&path).iter().map(|file| file.bytes).sum();
    let target = Target::AtMost(1024.0);
    report.figure("everything deleted and compacted", left as f64 / 1024.0, "KiB", target);
    db.close();
    let left: u64 = machine::files(&path).iter().map(|file| file.bytes).sum();
    report.fact("and closed", left as f64 / 1024.0, "KiB");
    let _ = std::fs::remove_dir_all(&path);
}
