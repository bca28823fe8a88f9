//! The memory behind a simulated file: its live bytes, which maps of the file show as they are. A
//! room of `unsafe`.
//!
//! Every region has room for the largest file the simulation knows, so that it never moves. Regions
//! are reused, because fresh pages cost more than everything else that is done with them. A region
//! may belong to several files, live ones and those on media, as long as nobody writes to it.
//!
//! What makes it sound: outside maps, bytes are read and written under the disk's lock; through an
//! append map they are written by the thread that runs the workload; and the disk looks at a file
//! that may be appended to on that thread alone ([`super::State::on_watched_thread`]).

#![allow(unsafe_code, reason = "a map is raw memory; this room gives it to the engine")]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;

use kv::storage::map::Memory;
use memmap2::{MmapMut, MmapRaw};
use parking_lot::Mutex;

/// The longest file there can be.
pub const FILE_LIMIT: usize = 4 << 20;

/// Regions that nobody uses, and from where on they are zeros.
static FREE: Mutex<Vec<(MmapRaw, usize)>> = Mutex::new(Vec::new());

/// Memory for one file.
pub struct Region {
    /// Only `None` while it is dropped.
    memory: Option<MmapRaw>,
    /// Where the region begins.
    base: *mut u8,
    /// Bytes from here on are zero: the longest that the file has been.
    used: AtomicUsize,
}

// SAFETY: `base` points into `memory`, which is Send + Sync; who reads and writes when is said
// above.
unsafe impl Send for Region {}
// SAFETY: as above.
unsafe impl Sync for Region {}

impl Region {
    /// A region that begins with `bytes`; zeros follow.
    pub fn with(bytes: &[u8]) -> Region {
        assert!(bytes.len() <= FILE_LIMIT);
        let (memory, used) = FREE.lock().pop().unwrap_or_else(|| {
            let fresh = MmapMut::map_anon(FILE_LIMIT).expect("there is memory for a file");
            (MmapRaw::from(fresh), 0)
        });
        let used_now = AtomicUsize::new(bytes.len());
        let region = Region { base: memory.as_mut_ptr(), memory: Some(memory), used: used_now };
        region.write(0, bytes);
        region.zero(bytes.len(), used.max(bytes.len()));
        region
    }

    /// Says that the file has had `len` bytes.
    pub fn reach(&self, len: usize) {
        self.used.fetch_max(len, Ordering::Relaxed);
    }

    pub fn bytes(&self, len: usize) -> &[u8] {
        assert!(len <= FILE_LIMIT);
        // SAFETY: the range lies inside the memory, which lives as long as self. Nobody writes to
        // it while the disk's lock is held by the only thread that appends; no caller keeps it
        // longer.
        unsafe { std::slice::from_raw_parts(self.base, len) }
    }

    pub fn write(&self, at: usize, bytes: &[u8]) {
        assert!(at + bytes.len() <= FILE_LIMIT);
        // SAFETY: the range lies inside the memory. No slice of the region that covers it exists:
        // the engine reads no byte that is written later on, and the disk holds its lock.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.base.add(at), bytes.len()) };
    }

    pub fn zero(&self, from: usize, to: usize) {
        assert!(from <= to && to <= FILE_LIMIT);
        // SAFETY: as for write.
        unsafe { std::ptr::write_bytes(self.base.add(from), 0, to - from) };
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        let used = self.used.load(Ordering::Relaxed);
        FREE.lock().extend(self.memory.take().map(|memory| (memory, used)));
    }
}

/// A map of a file's first bytes.
pub struct FileMap {
    pub region: Arc<Region>,
    pub len: usize,
    /// If it is written to.
    pub writing: Option<Writing>,
}

/// Whoever has this may write to a file, or to a map of it.
pub type Writing = Arc<()>;

// SAFETY: the region never moves and lives as long as self; `len` is at most FILE_LIMIT, which the
// one who makes the map checks. Bytes that the engine has published are changed by nobody, except
// where it reads no map: in the header page, and behind the end of the log when that is cut.
unsafe impl Memory for FileMap {
    fn base(&self) -> *mut u8 {
        self.region.base
    }
    fn len(&self) -> usize {
        self.len
    }
}
