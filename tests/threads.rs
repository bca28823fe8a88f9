//! Writers, readers and compaction at once: every value read is one that was written, and nobody
//! waits for ever.
//!
//! Small segments and a few thousand keys, so that the log rolls, is sealed and compacted all the
//! time while every key is read. Each value names its key and carries a number that its writer
//! counts up, so that a reader knows a wrong value, and one that is older than what it has read
//! before. Every kind of work must get on within each [`PATIENCE`]; if one does not, the test names
//! it and ends. `KV_TEST_SECONDS` makes it run longer.
#![allow(clippy::print_stdout, reason = "a test says how much it has done")]

mod common;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use common::{copy_directory, seed, Random, TempDir};
use kv::db::Db;
use kv::format::name::INDEX;
use kv::options::{Options, SyncLevel};

const KEYS: u64 = 3_000;
const WRITERS: u64 = 2;
const READERS: u64 = 2;
const PATIENCE: Duration = Duration::from_secs(30);

/// What each kind of work has done so far.
#[derive(Default)]
struct Progress {
    puts: AtomicU64,
    gets: AtomicU64,
    compactions: AtomicU64,
    checkpoints: AtomicU64,
    syncs: AtomicU64,
}

impl Progress {
    fn all(&self) -> [(&'static str, u64); 5] {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        [
            ("puts", read(&self.puts)),
            ("gets", read(&self.gets)),
            ("compactions", read(&self.compactions)),
            ("checkpoints", read(&self.checkpoints)),
            ("syncs", read(&self.syncs)),
        ]
    }
}

struct Stage {
    db: Db,
    progress: Progress,
    stop: AtomicBool,
}

impl Stage {
    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }

    /// Writes the keys that leave `number` when divided by the number of writers.
    fn write(&self, number: u64) {
        let mut random = Random(seed() + number);
        let mut turn = 0_u64;
        let mut value = vec![7; 700];
        while self.goes_on() {
            let key = random.below(KEYS / WRITERS) * WRITERS + number;
            turn += 1;
            value[..8].copy_from_slice(&key.to_le_bytes());
            value[8..16].copy_from_slice(&turn.to_le_bytes());
            if turn.is_multiple_of(50) {
                self.db.delete(&key.to_le_bytes()).expect("delete");
            } else {
                self.db.put(&key.to_le_bytes(), &value).expect("put");
            }
            self.progress.puts.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn read(&self, number: u64) {
        let mut random = Random(seed() + 100 + number);
        let mut newest = vec![0; KEYS as usize];
        while self.goes_on() {
            let key = random.below(KEYS);
            let found = self.db.get(&key.to_le_bytes(), <[u8]>::to_vec).expect("get");
            if let Some(value) = found {
                let number = |at: usize| {
                    u64::from_le_bytes(value[at..at + 8].try_into().expect("eight bytes"))
                };
                assert_eq!((value.len(), number(0)), (700, key), "the value of another key");
                assert!(number(8) >= newest[key as usize], "key {key} has an older value again");
                newest[key as usize] = number(8);
            }
            self.progress.gets.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn compact(&self) {
        while self.goes_on() {
            self.db.compact().expect("compact");
            self.progress.compactions.fetch_add(1, Ordering::Relaxed);
            self.db.engine().checkpoint();
            self.progress.checkpoints.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn sync(&self) {
        while self.goes_on() {
            self.db.sync().expect("sync");
            self.progress.syncs.fetch_add(1, Ordering::Relaxed);
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Ends the work after `time`; ends the process if some work stands still for too long.
    fn watch(&self, time: Duration) {
        let begin = Instant::now();
        let mut seen = self.progress.all().map(|(_, count)| (count, begin));
        while begin.elapsed() < time || seen.iter().any(|(count, _)| *count == 0) {
            std::thread::sleep(Duration::from_millis(50));
            for ((name, count), (last, since)) in self.progress.all().into_iter().zip(&mut seen) {
                if count != *last {
                    (*last, *since) = (count, Instant::now());
                } else if since.elapsed() > PATIENCE {
                    // The others hang as well: a panic would wait for them.
                    println!("no {name} for {PATIENCE:?}: {:?}", self.progress.all());
                    std::process::exit(1);
                }
            }
        }
        self.stop.store(true, Ordering::Relaxed);
    }
}

#[test]
fn all_get_on_and_nobody_reads_what_was_not_written() {
    let seconds = std::env::var("KV_TEST_SECONDS").ok().and_then(|text| text.parse().ok());
    let directory = TempDir::new("threads");
    let path = directory.join("db");
    let options = Options { segment_size: 1 << 20, sync: SyncLevel::None, ..Options::default() };
    let db = Db::open(&path, &options).expect("a new database opens");
    let stage = Stage { db, progress: Progress::default(), stop: AtomicBool::new(false) };
    std::thread::scope(|scope| {
        let stage = &stage;
        for number in 0..WRITERS {
            scope.spawn(move || stage.write(number));
        }
        for number in 0..READERS {
            scope.spawn(move || stage.read(number));
        }
        scope.spawn(|| stage.compact());
        scope.spawn(|| stage.sync());
        stage.watch(Duration::from_secs(seconds.unwrap_or(6)));
    });
    println!("{:?}", stage.progress.all());
    let index = std::fs::read(path.join(INDEX)).expect("a checkpoint was written");
    stage.db.close().expect("close");
    let with = directory.join("with the last checkpoint");
    copy_directory(&path, &with);
    std::fs::write(with.join(INDEX), index).expect("the checkpoint can be written");
    let without = directory.join("without a checkpoint");
    copy_directory(&path, &without);
    // A database that has become small has none.
    drop(std::fs::remove_file(without.join(INDEX)));
    let all = [path, with, without].map(|path| {
        let db = Db::open(&path, &options).expect("it opens again");
        let get = |key: u64| db.get(&key.to_le_bytes(), <[u8]>::to_vec).expect("get");
        let values: Vec<_> = (0..KEYS).map(get).collect();
        (values, db.engine().len(), db.engine().dead_bytes())
    });
    assert!(all[0] == all[2], "the checkpoint of the end differs from the log");
    assert!(all[1] == all[2], "a checkpoint taken meanwhile differs from the log");
}
