//! A database opened and used as a C program does.

use std::ffi::{c_void, CStr, CString};
use std::path::Path;
use std::time::{Duration, Instant};

use kv::ffi::{
    kv_close, kv_compact, kv_db, kv_delete, kv_error_message, kv_get_into, kv_open,
    kv_options_free, kv_options_new, kv_options_set, kv_put, kv_stats, kv_stats_t, kv_status,
    kv_sync, KV_OK,
};

use crate::settings::Settings;

pub struct Handle(*mut kv_db);

// SAFETY: kv.h allows any number of threads to use one database.
unsafe impl Send for Handle {}
// SAFETY: as above.
unsafe impl Sync for Handle {}

impl Handle {
    /// Opens with these options, and then those of the command line.
    pub fn open(path: &Path, settings: &Settings, options: &[(&str, &str)]) -> Handle {
        let given = settings.options.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let all: Vec<(&str, &str)> = options.iter().copied().chain(given).collect();
        Handle::open_with(path, &all)
    }

    pub fn open_with(path: &Path, options: &[(&str, &str)]) -> Handle {
        let path = c_string(&path.to_string_lossy());
        let mut handle = std::ptr::null_mut();
        // SAFETY: every pointer is to a live variable or string, as kv.h asks.
        unsafe {
            let mut made = std::ptr::null_mut();
            expect(kv_options_new(&mut made));
            for (name, value) in options {
                let (name, value) = (c_string(name), c_string(value));
                expect(kv_options_set(made, name.as_ptr(), value.as_ptr()));
            }
            expect(kv_open(path.as_ptr(), made, &mut handle));
            kv_options_free(made);
        }
        Handle(handle)
    }

    #[inline]
    pub fn put(&self, key: &[u8; 16], value: &[u8]) {
        let (k, v) = (key.as_ptr().cast::<c_void>(), value.as_ptr().cast());
        // SAFETY: key and value are given with their lengths.
        expect(unsafe { kv_put(self.0, k, 16, v, value.len()) });
    }

    #[inline]
    pub fn get(&self, key: &[u8; 16], buffer: &mut [u8]) -> usize {
        let (mut len, key) = (0, key.as_ptr().cast());
        let (buffer, room) = (buffer.as_mut_ptr().cast(), buffer.len());
        // SAFETY: the buffer is given with its length.
        expect(unsafe { kv_get_into(self.0, key, 16, buffer, room, &mut len) });
        len
    }

    pub fn delete(&self, key: &[u8; 16]) {
        // SAFETY: the key is given with its length.
        expect(unsafe { kv_delete(self.0, key.as_ptr().cast(), 16) });
    }

    pub fn sync(&self) {
        // SAFETY: the handle is open.
        expect(unsafe { kv_sync(self.0) });
    }

    pub fn compact(&self) {
        // SAFETY: the handle is open.
        expect(unsafe { kv_compact(self.0) });
    }

    pub fn close(self) {
        // SAFETY: the handle is open, and nobody can use it after this.
        expect(unsafe { kv_close(self.0) });
    }

    /// Figures of this moment.
    pub fn stats(&self) -> kv_stats_t {
        // SAFETY: the struct is made of numbers, for which zeros are valid.
        let mut stats: kv_stats_t = unsafe { std::mem::zeroed() };
        stats.size = size_of::<kv_stats_t>();
        // SAFETY: the struct lives, and says how long it is.
        expect(unsafe { kv_stats(self.0, &mut stats) });
        stats
    }

    /// How long writers were held back.
    pub fn held_back(&self) -> Option<Duration> {
        Some(Duration::from_nanos(self.stats().writer_paused_ns))
    }

    /// Bytes that compaction, hints and checkpoints have written.
    pub fn rewritten(&self) -> Option<u64> {
        let stats = self.stats();
        Some(stats.bytes_compacted + stats.bytes_hints_and_checkpoints)
    }
}

fn c_string(text: &str) -> CString {
    CString::new(text).expect("the text has no NUL")
}

#[inline]
fn expect(status: kv_status) {
    if status != KV_OK {
        // SAFETY: the message is a string that lives until this thread's next call.
        let message = unsafe { CStr::from_ptr(kv_error_message()) };
        panic!("a call answered {status}: {}", message.to_string_lossy());
    }
}

pub fn timed(body: impl FnOnce()) -> f64 {
    let begin = Instant::now();
    body();
    begin.elapsed().as_secs_f64()
}
