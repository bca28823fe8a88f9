//! Numbers in a file that several processes map: what one of them noted is there when it was
//! killed.

use std::fs::OpenOptions;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

/// A mapped file of numbers.
pub struct Shared {
    start: *mut u8,
    words: usize,
}

// SAFETY: the map is reached through atomics alone and lives as long as the value.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

impl Shared {
    /// Maps the first `words` numbers of a file, which is made if it is not there.
    pub fn open(path: &Path, words: usize) -> Shared {
        let mut options = OpenOptions::new();
        let opened = options.read(true).write(true).create(true).truncate(false).open(path);
        let file = opened.expect("the notes can be opened");
        let len = words * 8;
        file.set_len(len as u64).expect("the notes can be made as long as they get");
        // SAFETY: a new map of a file that stays so long; nothing else of this process is replaced.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                len,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                file.as_raw_fd(),
                0,
            )
        };
        assert!(start != libc::MAP_FAILED, "the notes can be mapped");
        Shared { start: start.cast(), words }
    }

    fn word(&self, at: usize) -> &AtomicU64 {
        assert!(at < self.words);
        // SAFETY: within the map, aligned, and only ever reached as an atomic.
        unsafe { AtomicU64::from_ptr(self.start.cast::<u64>().add(at)) }
    }

    pub fn get(&self, at: usize) -> u64 {
        self.word(at).load(Ordering::SeqCst)
    }

    pub fn set(&self, at: usize, number: u64) {
        self.word(at).store(number, Ordering::SeqCst);
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // SAFETY: what was mapped in `open`, which no reference outlives.
        unsafe { libc::munmap(self.start.cast(), self.words * 8) };
    }
}
