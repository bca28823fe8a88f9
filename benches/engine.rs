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

use std::ffi::{c_void, CString};
use std::path::{Path, PathBuf};
use std::time::Instant;

use kv::db::Db;
use kv::ffi::{
    kv_close, kv_db, kv_delete, kv_free, kv_get_into, kv_get_many, kv_iter_free, kv_iter_new,
    kv_iter_next, kv_open, kv_options_free, kv_options_new, kv_options_set_sync, kv_put,
    kv_result_t, kv_slice_t, kv_status, kv_view_get_many, kv_view_release, KV_NOT_FOUND, KV_OK,
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

/// The key of number `i`: spread over the key space, and different for each number.
fn key(i: u64) -> [u8; 16] {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&i.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    key[8..].copy_from_slice(&i.to_be_bytes());
    key
}

/// A number that looks random for each `i` (SplitMix64).
fn random(i: u64) -> u64 {
    let mut z = i.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A database opened as a C program does.
struct Handle(*mut kv_db);

impl Handle {
    fn open(path: &Path) -> Handle {
        let path = CString::new(path.to_string_lossy().as_bytes()).expect("a path has no NUL");
        let mut handle = std::ptr::null_mut();
        // SAFETY: every pointer is to a live variable or string, as kv.h asks.
        unsafe {
            let mut options = std::ptr::null_mut();
            expect(kv_options_new(&mut options), KV_OK);
            expect(kv_options_set_sync(options, 0), KV_OK);
            expect(kv_open(path.as_ptr(), options, &mut handle), KV_OK);
            kv_options_free(options);
        }
        Handle(handle)
    }

    fn put(&self, key: &[u8; 16], value: &[u8]) {
        let (k, v) = (key.as_ptr().cast::<c_void>(), value.as_ptr().cast());
        // SAFETY: key and value are given with their lengths.
        expect(unsafe { kv_put(self.0, k, 16, v, value.len()) }, KV_OK);
    }

    fn get(&self, key: &[u8; 16], buffer: &mut [u8], expected: kv_status) -> usize {
        let (mut len, key) = (0, key.as_ptr().cast());
        let (buffer, room) = (buffer.as_mut_ptr().cast(), buffer.len());
        // SAFETY: the buffer is given with its length.
        expect(unsafe { kv_get_into(self.0, key, 16, buffer, room, &mut len) }, expected);
        len
    }

    /// Reads these keys in one call, copied or in place, and hands their values to `check`.
    fn get_many(&self, keys: &[[u8; 16]], copied: bool, mut check: impl FnMut(usize, &[u8])) {
        let slice = |key: &[u8; 16]| kv_slice_t { data: key.as_ptr().cast(), len: 16 };
        let slices: Vec<kv_slice_t> = keys.iter().map(slice).collect();
        let none = kv_result_t { status: KV_NOT_FOUND, value: std::ptr::null(), value_len: 0 };
        let mut results = vec![none; keys.len()];
        let (n, out) = (keys.len(), results.as_mut_ptr());
        let (mut arena, mut view) = (std::ptr::null_mut(), std::ptr::null_mut());
        // SAFETY: there are as many keys and results as the call is told; values are read before
        // what keeps them is freed.
        unsafe {
            expect(
                match copied {
                    true => kv_get_many(self.0, n, slices.as_ptr(), out, &mut arena),
                    false => kv_view_get_many(self.0, n, slices.as_ptr(), out, &mut view),
                },
                KV_OK,
            );
            for (at, result) in results.iter().enumerate() {
                expect(result.status, KV_OK);
                let value = result.value.cast::<u8>();
                check(at, std::slice::from_raw_parts(value, result.value_len));
            }
            kv_free(arena);
            kv_view_release(view);
        }
    }

    /// Walks over all keys, of which there are so many, and looks at each value.
    fn scan(&self, keys: u64, value_len: usize) {
        let (mut iter, mut seen) = (std::ptr::null_mut(), 0);
        let nothing = kv_slice_t { data: std::ptr::null(), len: 0 };
        let (mut key, mut value) = (nothing, nothing);
        // SAFETY: every pointer is to a live variable; the value is read before the next call.
        unsafe {
            let (all, now) = (std::ptr::null(), std::ptr::null_mut());
            expect(kv_iter_new(self.0, now, all, 0, &mut iter), KV_OK);
            loop {
                match kv_iter_next(iter, &mut key, &mut value) {
                    KV_OK => seen += 1,
                    status => break expect(status, KV_NOT_FOUND),
                }
                let key = std::slice::from_raw_parts(key.data.cast::<u8>(), key.len);
                let value = std::slice::from_raw_parts(value.data.cast::<u8>(), value.len);
                assert_eq!(value.len(), value_len);
                if let (Some(number), Some(head)) = (key.last_chunk::<8>(), value.first_chunk()) {
                    assert_eq!(u64::from_be_bytes(*number), u64::from_le_bytes(*head));
                }
            }
            kv_iter_free(iter);
        }
        assert_eq!(seen, keys, "a key was passed over, or came twice");
    }

    fn delete(&self, key: &[u8; 16]) {
        // SAFETY: the key is given with its length.
        expect(unsafe { kv_delete(self.0, key.as_ptr().cast(), 16) }, KV_OK);
    }

    fn close(self) {
        // SAFETY: the handle was opened.
        expect(unsafe { kv_close(self.0) }, KV_OK);
    }
}

fn expect(status: kv_status, expected: kv_status) {
    assert_eq!(status, expected, "a call did not answer as it should");
}

/// Seconds that this thread has had a processor.
fn thread_seconds() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the clock exists and the result is written to a live variable.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

/// One workload's wall and processor seconds.
#[derive(Clone, Copy)]
struct Cost {
    wall: f64,
    processor: f64,
}

fn timed(body: impl FnOnce()) -> Cost {
    let (wall, processor) = (Instant::now(), thread_seconds());
    body();
    Cost { wall: wall.elapsed().as_secs_f64(), processor: thread_seconds() - processor }
}

const WORKLOADS: [&str; 12] = [
    "put, new keys",
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
    [
        put,
        get,
        many,
        views,
        scan,
        miss,
        overwrite,
        scan_again,
        delete,
        close,
        open,
        roofline(settings, path),
    ]
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
