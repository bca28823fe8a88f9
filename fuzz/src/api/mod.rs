//! The C interface: calls in any order, right ones and wrong ones, against a map that does the
//! same. A room of `unsafe`: it calls what C calls, as C does.
//!
//! All handles are held for as long as the input likes: beyond compactions, beyond closing, beyond
//! their own end. Keys are few, so that they meet.

#![allow(unsafe_code, reason = "the interface of C is unsafe to call")]
#![allow(
    clippy::undocumented_unsafe_blocks,
    reason = "each is one call with pointers to values that live, or that it must refuse"
)]

mod held;
mod misuse;
mod reads;
mod writes;

use std::collections::BTreeMap;
use std::ffi::{c_void, CString};
use std::path::PathBuf;
use std::ptr::{null, null_mut};

use kv::ffi::*;

use super::input::Input;
use held::{Batch, Iter, Room, Snapshot, View};

/// More show nothing new, and take long.
const MAX_CALLS: usize = 300;
/// Bytes of values that are written at most.
const MAX_BYTES: usize = 12 << 20;
/// How many handles of a kind are held.
const MAX_HELD: usize = 4;
/// How often time goes by.
const MAX_WAITS: usize = 3;

/// A key's value.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Value {
    bytes: Vec<u8>,
    /// If it expires: not in the time that an input takes.
    ttl_ms: u64,
    version: u64,
}

/// What there is.
type Model = BTreeMap<Vec<u8>, Value>;

/// A database, all handles, and what they must show.
struct World {
    path: PathBuf,
    settings: [u8; 4],
    db: *mut kv_db,
    model: Model,
    /// No version is lower.
    version: u64,
    /// Bytes that were written.
    written: usize,
    values: u64,
    waits: usize,
    snapshots: Vec<Snapshot>,
    iters: Vec<Iter>,
    batches: Vec<Batch>,
    views: Vec<View>,
    rooms: Vec<Room>,
    /// Handles of any kind that are no more.
    freed: Vec<*mut c_void>,
}

/// Makes calls.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let mut world = World::new(&mut input);
    world.open();
    for _ in 0..MAX_CALLS {
        if input.is_empty() {
            break;
        }
        world.call(&mut input);
    }
    world.check_all();
    // Handles are freed before their database is closed, or after it.
    if input.u8() & 1 == 0 {
        world.close();
    }
    world.free_all();
    world.close();
    world.open();
    world.check_all();
    world.close();
    let _ = std::fs::remove_dir_all(&world.path);
}

/// The database's directory: where it is wanted, or in memory where there is such a place.
fn directory() -> PathBuf {
    let memory = PathBuf::from("/dev/shm");
    let other = if memory.is_dir() { memory } else { std::env::temp_dir() };
    let parent = std::env::var_os("KV_FUZZ_DIRECTORY").map_or(other, PathBuf::from);
    let thread = std::thread::current().id();
    parent.join(format!("kv-fuzz-{}-{thread:?}", std::process::id()))
}

fn c_string(path: &std::path::Path) -> CString {
    use std::os::unix::ffi::OsStrExt;
    CString::new(path.as_os_str().as_bytes()).expect("a path without NUL")
}

impl World {
    fn new(input: &mut Input) -> World {
        let path = directory();
        let _ = std::fs::remove_dir_all(&path);
        World {
            path,
            settings: input.array(),
            db: null_mut(),
            model: Model::new(),
            version: 0,
            written: 0,
            values: 0,
            waits: 0,
            snapshots: Vec::new(),
            iters: Vec::new(),
            batches: Vec::new(),
            views: Vec::new(),
            rooms: Vec::new(),
            freed: Vec::new(),
        }
    }

    fn open(&mut self) {
        let [read_mode, sync, compaction, histograms] = self.settings.map(|byte| byte & 1);
        let path = c_string(&self.path);
        let mut options = null_mut();
        unsafe {
            ok(kv_options_new(&mut options));
            ok(kv_options_set_segment_size(options, 1 << 20));
            ok(kv_options_set_read_mode(options, read_mode.into()));
            ok(kv_options_set_sync(options, if sync == 0 { KV_SYNC_NONE } else { KV_SYNC_ALWAYS }));
            ok(kv_options_set_compaction(options, compaction.into()));
            ok(kv_options_set_latency_histograms(options, histograms.into()));
            ok(kv_open(path.as_ptr(), options, &mut self.db));
            kv_options_free(options);
        }
    }

    /// Closes the database, if it is open. Its handles stay.
    fn close(&mut self) {
        if self.db.is_null() {
            return;
        }
        ok(unsafe { kv_close(self.db) });
        assert_eq!(unsafe { kv_close(self.db) }, KV_CLOSED);
        self.freed.push(self.db.cast());
        self.db = null_mut();
        let key = b"key";
        self.iters.iter_mut().for_each(Iter::is_closed);
        for snapshot in &self.snapshots {
            let status = unsafe {
                kv_snapshot_exists(snapshot.handle, key.as_ptr().cast(), key.len(), null_mut())
            };
            assert_eq!(status, KV_CLOSED);
        }
        self.rooms.iter_mut().for_each(|room| room.fill(0x5a));
    }

    fn call(&mut self, input: &mut Input) {
        match input.u8() % 32 {
            0..=3 => self.put(input),
            4 => self.delete(input),
            5 => self.get(input),
            6 => self.get_into(input),
            7 => self.view(input),
            8 => self.release_view(input),
            9 => self.exists(input),
            10 => self.get_many(input),
            11 => self.put_with(input),
            12 => self.delete_with(input),
            13 => self.add(input),
            14 => self.touch(input),
            15 => self.expire(input),
            16 => self.new_batch(input),
            17 | 18 => self.fill_batch(input),
            19 => self.write_batch(input),
            20 => self.reserve(input),
            21 => self.end_reservation(input),
            22 => self.new_snapshot(),
            23 => self.read_snapshot(input),
            24 => self.free_snapshot(input),
            25 => self.new_iter(input),
            26 | 27 => self.advance(input),
            28 => self.free_iter(input),
            29 => self.look_after(input),
            30 => {
                self.close();
                self.open();
                self.check_all();
            }
            _ => self.misuse(input),
        }
    }

    /// What is not about a key.
    fn look_after(&mut self, input: &mut Input) {
        let db = self.db;
        match input.u8() % 8 {
            0 => ok(unsafe { kv_sync(db) }),
            1 | 2 => ok(unsafe { kv_compact(db) }),
            3 => ok(unsafe { kv_compact_cancel(db) }),
            4 => ok(unsafe { kv_compaction_pause(db) }),
            5 => ok(unsafe { kv_compaction_resume(db) }),
            6 => {
                let mut text = null_mut();
                ok(unsafe { kv_metrics(db, &mut text) });
                unsafe { kv_free(text.cast()) };
                let mut live = 0;
                ok(unsafe { kv_approximate_bytes(db, &mut live) });
            }
            _ => {
                let mut stats: kv_stats_t = unsafe { std::mem::zeroed() };
                stats.size = size_of::<kv_stats_t>();
                ok(unsafe { kv_stats(db, &mut stats) });
                assert!(stats.keys >= self.model.len() as u64);
            }
        }
        let mut count = 0;
        ok(unsafe { kv_count(db, &mut count) });
        assert!(count >= self.model.len() as u64);
    }

    /// Everything is as it must be.
    fn check_all(&mut self) {
        for (key, value) in &self.model {
            let (mut found, mut len) = (null_mut(), 0);
            let status =
                unsafe { kv_get(self.db, key.as_ptr().cast(), key.len(), &mut found, &mut len) };
            assert_eq!(status, KV_OK, "{key:?} is gone");
            assert!(unsafe { bytes(found, len) } == value.bytes, "{key:?} has another value");
            unsafe { kv_free(found) };
        }
        let mut iter = null_mut();
        ok(unsafe { kv_iter_new(self.db, null_mut(), null(), 0, &mut iter) });
        let mut all = Iter::new(iter, self.model.clone(), &[]);
        while all.next() {}
        unsafe { kv_iter_free(all.handle) };
        self.views.iter().for_each(View::is_readable);
    }

    /// A key: one of few, or a long one.
    fn key(&self, input: &mut Input) -> Vec<u8> {
        match input.u8() {
            255 => vec![b'L'; usize::from(u16::MAX)],
            number @ 192.. => vec![b'k'; usize::from(number)],
            number => vec![b'k', number % 16],
        }
    }

    /// A value that no other write has.
    fn value(&mut self, input: &mut Input) -> Vec<u8> {
        let len = match input.u8() {
            255 if self.written < MAX_BYTES / 2 => 1_200_000,
            254 => 70_000,
            240..=253 => 4096,
            200..=239 => 8,
            number => usize::from(number),
        };
        if self.written + len > MAX_BYTES {
            return Vec::new();
        }
        self.written += len;
        self.values += 1;
        self.values.to_le_bytes().into_iter().cycle().take(len).collect()
    }
}

/// Fails unless it is KV_OK, with what the library has to say.
fn ok(status: kv_status) {
    if status != KV_OK {
        let message = unsafe { std::ffi::CStr::from_ptr(kv_error_message()) };
        panic!("{status}: {}", message.to_string_lossy());
    }
}

/// The bytes that a call has answered.
///
/// # Safety
/// They must be readable for as long as they are used.
unsafe fn bytes<'a>(data: *const c_void, len: usize) -> &'a [u8] {
    assert!(!data.is_null());
    unsafe { std::slice::from_raw_parts(data.cast(), len) }
}

/// One of several; nothing if there is none.
fn pick(input: &mut Input, count: usize) -> Option<usize> {
    let at = input.below(count);
    (at < count).then_some(at)
}
