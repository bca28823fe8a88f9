//! Durable puts by many threads, beside what the file system does with one that does nothing else.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::handle::Handle;
use crate::report::{median, Report, Target};
use crate::settings::Settings;
use crate::workload::{key, mix, record_len, stamp};

const THREADS: [usize; 5] = [1, 2, 4, 8, 16];
/// What is allocated for the bare file.
const BARE_LEN: u64 = 64 << 20;

pub fn run(settings: &Settings, report: &mut Report) {
    let path = settings.fresh("commit");
    let time = Duration::from_millis(settings.size("commit-ms"));
    let db = Handle::open(&path, settings, &[("sync", "always")]);
    let value = settings.size("value") as usize;
    let mut file = BareFile::new(settings);
    let (mut bare, mut rates) = (Vec::new(), [const { Vec::new() }; THREADS.len()]);
    let mut shares = Vec::new();
    for _ in 0..settings.rounds() {
        for (at, threads) in THREADS.into_iter().enumerate() {
            if threads == 1 {
                let before = file.rate(record_len(value), time);
                let one = put_rate(&db, 1, value, time);
                shares.push(one / before);
                bare.push(before);
                rates[0].push(one);
            } else {
                rates[at].push(put_rate(&db, threads, value, time));
            }
        }
    }
    db.close();
    let _ = std::fs::remove_dir_all(&path);
    file.remove();
    report.fact("bare fdatasync of one record", median(bare), "/s");
    let rates = rates.map(median);
    for (rate, threads) in rates.iter().zip(THREADS) {
        report.fact(&format!("puts, sync always, {threads} threads"), *rate, "/s");
    }
    let share = Target::AtLeast(0.9);
    report.figure("1 thread to bare fdatasync", median(shares), "x", share);
    report.figure("16 threads to 1", rates[4] / rates[0], "x", Target::AtLeast(8.0));
}

/// An allocated file, appended to with an fdatasync each time. There is one for all rounds: a file
/// that is removed may keep the disk busy for a while.
struct BareFile {
    file: File,
    path: PathBuf,
    done: u64,
}

impl BareFile {
    fn new(settings: &Settings) -> BareFile {
        let path = settings.fresh("bare");
        let file = File::create(&path).expect("the directory can be written");
        // SAFETY: the descriptor is open.
        let failed = unsafe { libc::posix_fallocate(fd(&file), 0, BARE_LEN as i64) };
        assert_eq!(failed, 0, "blocks can be allocated");
        file.sync_all().expect("the file can be synced");
        BareFile { file, path, done: 0 }
    }

    /// Appends of `len` bytes per second.
    fn rate(&mut self, len: u64, time: Duration) -> f64 {
        let (record, begin, before) = (vec![42; len as usize], Instant::now(), self.done);
        while begin.elapsed() < time {
            let at = self.done * len % (BARE_LEN - len);
            self.file.write_all_at(&record, at).expect("write");
            self.file.sync_data().expect("fdatasync");
            self.done += 1;
        }
        (self.done - before) as f64 / begin.elapsed().as_secs_f64()
    }

    fn remove(self) {
        std::fs::remove_file(&self.path).expect("the file can be removed");
    }
}

fn fd(file: &File) -> i32 {
    std::os::fd::AsRawFd::as_raw_fd(file)
}

fn put_rate(db: &Handle, threads: usize, value: usize, time: Duration) -> f64 {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let (begin, done) = (Instant::now(), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut value = vec![42; value];
                while begin.elapsed() < time {
                    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
                    stamp(&mut value, number);
                    db.put(&key(mix(number) % 1_000_000), &value);
                    done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    done.into_inner() as f64 / begin.elapsed().as_secs_f64()
}
