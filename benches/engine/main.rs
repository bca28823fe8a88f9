//! How fast and how small the engine is by itself, through the C functions that programs call.
//!
//! `cargo bench --bench engine -- [--keys N] [--value BYTES] [--rounds N] [--dir DIR]`
//!
//! Each round makes a new database (sync level "none", everything else as by default) and runs
//! every workload once; the table shows each workload's median over the rounds, its best round, and
//! the processor time of the calling thread per operation. Keys have 16 bytes, come in no order,
//! and every value that is read is checked. Files are on the file system of the temporary
//! directory, or of DIR.
#![allow(unsafe_code, reason = "the C functions are called as C calls them")]
#![allow(clippy::print_stdout, reason = "a benchmark prints its table")]

mod common;
mod handle;

use std::path::{Path, PathBuf};
use std::time::Instant;

use common::{key, random, thread_ns};
use handle::{expect, Handle};
use kv::db::Db;
use kv::ffi::{
    kv_batch_clear, kv_batch_free, kv_batch_new, kv_batch_put, kv_put_with, kv_write,
    kv_write_options_t, KV_NOT_FOUND, KV_OK,
};
use kv::options::{Options, SyncLevel};

/// Steps through all numbers below a count, each once, in an order that is not theirs.
const STRIDE: u64 = 2_147_483_647;

/// Keys that one call reads, where calls read many.
const AT_ONCE: usize = 256;

struct Settings {
    keys: u64,
    value: usize,
    rounds: usize,
    directory: PathBuf,
}

impl Settings {
    fn from_arguments() -> Settings {
        let mut settings =
            Settings { keys: 1_000_000, value: 100, rounds: 5, directory: std::env::temp_dir() };
        let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
        while let Some(name) = arguments.next() {
            let value = arguments.next().unwrap_or_else(|| panic!("{name} needs a value"));
            let number = || value.parse().unwrap_or_else(|_| panic!("{name} needs a number"));
            match name.as_str() {
                "--keys" => settings.keys = number(),
                "--value" => settings.value = number() as usize,
                "--rounds" => settings.rounds = number() as usize,
                "--dir" => settings.directory = PathBuf::from(value),
                _ => panic!("unknown argument {name}; there are --keys --value --rounds --dir"),
            }
        }
        settings
    }
}

/// One workload's wall and processor seconds.
#[derive(Clone, Copy)]
struct Cost {
    wall: f64,
    processor: f64,
}

fn timed(body: impl FnOnce()) -> Cost {
    let (wall, processor) = (Instant::now(), thread_ns());
    body();
    let wall = wall.elapsed().as_secs_f64();
    Cost { wall, processor: (thread_ns() - processor) as f64 * 1e-9 }
}

const WORKLOADS: [&str; 15] = [
    "put, new keys",
    "put, new keys, as the next two",
    "write, batches of 100 new keys",
    "put_with a time to live, new keys",
    "get_into",
    "get_many, 256 a call",
    "view_get_many, 256 a call",
    "scan, no garbage",
    "get_into, missing key",
    "put, overwriting",
    "scan, with garbage",
    "delete",
    "close (ms)",
    "open, clean (ms)",
    "plain copy to a mapped file",
];

fn round(settings: &Settings, path: &Path) -> [Cost; WORKLOADS.len()] {
    let n = settings.keys;
    let mut value = vec![42; settings.value];
    let mut buffer = vec![0; settings.value];
    let db = Handle::open(path);
    let put = timed(|| {
        for i in 0..n {
            stamp(&mut value, i);
            db.put(&key(i), &value);
        }
    });
    let single = beside(path, |db| put_again(settings, db));
    let batch = beside(path, |db| write_batches(settings, db));
    let expiring = beside(path, |db| put_expiring(settings, db));
    let get = timed(|| {
        for i in 0..n {
            let number = random(i) % n;
            assert_eq!(db.get(&key(number), &mut buffer, KV_OK), settings.value);
            stamp(&mut value, number);
            assert_eq!(buffer.first_chunk::<8>(), value.first_chunk(), "a wrong value");
        }
    });
    let many = timed(|| read_many(settings, &db, true));
    let views = timed(|| read_many(settings, &db, false));
    let scan = timed(|| db.scan(n, settings.value));
    let miss = timed(|| (n..2 * n).for_each(|i| _ = db.get(&key(i), &mut [], KV_NOT_FOUND)));
    let overwrite = timed(|| {
        for i in 0..n {
            let number = random(i + n) % n;
            stamp(&mut value, number);
            db.put(&key(number), &value);
        }
    });
    let scan_again = timed(|| db.scan(n, settings.value));
    let shuffled = |i: u64| i.wrapping_mul(STRIDE) % n;
    let delete = timed(|| (0..n / 2).for_each(|i| db.delete(&key(shuffled(i)))));
    let delete = Cost { wall: delete.wall * 2.0, processor: delete.processor * 2.0 };
    let close = timed(|| db.close());
    let mut reopened = None;
    let open = timed(|| reopened = Some(Handle::open(path)));
    reopened.into_iter().for_each(Handle::close);
    let copy = roofline(settings, path);
    [
        put, single, batch, expiring, get, many, views, scan, miss, overwrite, scan_again, delete,
        close, open, copy,
    ]
}

/// What `body` costs in a database of its own.
fn beside(path: &Path, body: impl FnOnce(&Handle)) -> Cost {
    let path = path.with_extension("beside");
    let db = Handle::open(&path);
    let cost = timed(|| body(&db));
    db.close();
    std::fs::remove_dir_all(&path).expect("the database can be removed");
    cost
}

/// Writes the same keys once more, in a database beside the first: what the next two compare with.
fn put_again(settings: &Settings, db: &Handle) {
    let mut value = vec![42; settings.value];
    for i in 0..settings.keys {
        stamp(&mut value, i);
        db.put(&key(i), &value);
    }
}

/// Writes the keys that single puts have written, a hundred at a time.
fn write_batches(settings: &Settings, db: &Handle) {
    let (n, mut value) = (settings.keys, vec![42; settings.value]);
    let mut batch = std::ptr::null_mut();
    // SAFETY: keys and values are given with their lengths; the batch is freed in the end.
    unsafe {
        expect(kv_batch_new(&mut batch), KV_OK);
        for i in 0..n {
            stamp(&mut value, i);
            let (key, value) = (key(i), value.as_slice());
            let (k, v) = (key.as_ptr().cast(), value.as_ptr().cast());
            expect(kv_batch_put(batch, k, 16, v, value.len()), KV_OK);
            if i % 100 == 99 || i + 1 == n {
                expect(kv_write(db.0, batch, std::ptr::null()), KV_OK);
                expect(kv_batch_clear(batch), KV_OK);
            }
        }
        kv_batch_free(batch);
    }
}

/// Writes the same keys with values that expire in an hour.
fn put_expiring(settings: &Settings, db: &Handle) {
    let (n, mut value) = (settings.keys, vec![42; settings.value]);
    let options = kv_write_options_t {
        size: size_of::<kv_write_options_t>(),
        ttl_ms: 3_600_000,
        ..Default::default()
    };
    for i in 0..n {
        stamp(&mut value, i);
        let (key, value) = (key(i), value.as_slice());
        let (k, v) = (key.as_ptr().cast(), value.as_ptr().cast());
        let none = std::ptr::null_mut();
        // SAFETY: key and value are given with their lengths, and the options with their size.
        let status = unsafe { kv_put_with(db.0, k, 16, v, value.len(), &options, none) };
        expect(status, KV_OK);
    }
}

/// Reads as many keys as there are, many at a time, in the order in which they were read singly.
fn read_many(settings: &Settings, db: &Handle, copied: bool) {
    let (n, mut value) = (settings.keys, vec![42; settings.value]);
    for start in (0..n).step_by(AT_ONCE) {
        let numbers: Vec<u64> =
            (start..n.min(start + AT_ONCE as u64)).map(|i| random(i) % n).collect();
        let keys: Vec<[u8; 16]> = numbers.iter().map(|&number| key(number)).collect();
        db.get_many(&keys, copied, |at, found| {
            assert_eq!(found.len(), settings.value);
            stamp(&mut value, numbers[at]);
            assert_eq!(found.first_chunk::<8>(), value.first_chunk(), "a wrong value");
        });
    }
}

/// Makes each value different, at the cost of one store.
fn stamp(value: &mut [u8], i: u64) {
    if let Some(head) = value.first_chunk_mut::<8>() {
        *head = i.to_le_bytes();
    }
}

/// What the disk's cache allows: the same bytes copied one after the other into a mapped file.
fn roofline(settings: &Settings, path: &Path) -> Cost {
    let record = vec![42_u8; (16 + 16 + settings.value).next_multiple_of(8)];
    let len = record.len() * settings.keys as usize;
    let path = path.with_extension("roofline");
    let mut options = std::fs::File::options();
    let file = options.create(true).truncate(true).read(true).write(true).open(&path);
    let file = file.expect("the directory can be written");
    file.set_len(len as u64).expect("the file can grow");
    // SAFETY: nobody else knows the file.
    let mut map = unsafe { memmap2::MmapMut::map_mut(&file) }.expect("the file can be mapped");
    let cost =
        timed(|| map.chunks_exact_mut(record.len()).for_each(|c| c.copy_from_slice(&record)));
    std::fs::remove_file(&path).expect("the file can be removed");
    cost
}

/// Bytes of index per key, and how long it takes until there are that many keys.
fn index_bytes(settings: &Settings, path: &Path) -> f64 {
    let options = Options { sync: SyncLevel::None, ..Options::default() };
    let db = Db::open(path, &options).expect("the database opens");
    for i in 0..settings.keys {
        db.put(&key(i), &[]).expect("put");
    }
    db.engine().index_memory() as f64 / settings.keys as f64
}

fn main() {
    let settings = Settings::from_arguments();
    let path = settings.directory.join(format!("kv-bench-{}", std::process::id()));
    let (keys, value, rounds) = (settings.keys, settings.value, settings.rounds);
    println!("{keys} keys of 16 bytes, values of {value} bytes, {rounds} rounds, in {path:?}");
    let mut costs: Vec<[Cost; WORKLOADS.len()]> = Vec::new();
    for _ in 0..rounds {
        costs.push(round(&settings, &path));
        std::fs::remove_dir_all(&path).expect("the database can be removed");
    }
    println!("{:<30} {:>12} {:>12} {:>14}", "", "median M/s", "best M/s", "ns thread CPU");
    for (at, name) in WORKLOADS.iter().enumerate() {
        let sorted = |pick: fn(&Cost) -> f64| {
            let mut all: Vec<f64> = costs.iter().map(|round| pick(&round[at])).collect();
            all.sort_by(f64::total_cmp);
            (all[all.len() / 2], all[0])
        };
        let ((wall, best), (processor, _)) = (sorted(|c| c.wall), sorted(|c| c.processor));
        if name.ends_with("(ms)") {
            println!("{name:<30} {:>12.1} {:>12.1}", wall * 1e3, best * 1e3);
        } else {
            let rate = |seconds: f64| keys as f64 / seconds / 1e6;
            let each = processor / keys as f64 * 1e9;
            println!("{name:<30} {:>12.2} {:>12.2} {each:>14.0}", rate(wall), rate(best));
        }
    }
    println!("index: {:.2} bytes of memory per key", index_bytes(&settings, &path));
    std::fs::remove_dir_all(&path).expect("the database can be removed");
}
