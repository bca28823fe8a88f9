//! An allocator that has nothing left for large requests: for the n-th one only, or from the n-th
//! on, while a test says so.
//!
//! What the test itself allocates is not counted; what all other threads of the process do is, and
//! what the test's thread does within [`run`]: that is the library.
#![allow(unsafe_code, reason = "an allocator hands out raw memory")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicU64, Ordering};

/// From so many bytes on a request can fail. Below, the C library has some for a long time.
pub const LARGE: usize = 16 << 10;
/// The buckets of the index, which only very many keys make large, can fail from here on: they are
/// the only ones that are aligned to cache lines.
const LARGE_BUCKETS: usize = 512;
const CACHE_LINE: usize = 64;

/// Requests until one fails; 0: none does.
static LEFT: AtomicU64 = AtomicU64::new(0);
/// How many fail then, one after the other.
static FAILING: AtomicU64 = AtomicU64::new(0);
static FAILED: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static IS_TEST: Cell<bool> = const { Cell::new(false) };
}

struct Scarce;

#[global_allocator]
static SCARCE: Scarce = Scarce;

/// Whether a request for `size` bytes fails.
fn fails(size: usize, align: usize) -> bool {
    if size < if align >= CACHE_LINE { LARGE_BUCKETS } else { LARGE } {
        return false;
    }
    if LEFT.load(Ordering::Relaxed) == 0 || IS_TEST.try_with(Cell::get).unwrap_or(true) {
        return false;
    }
    let less = |left: u64| left.checked_sub(1).filter(|left| *left > 0);
    if LEFT.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok() {
        return false;
    }
    let less = |failing: u64| failing.checked_sub(1);
    let fails = FAILING.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok();
    FAILED.fetch_add(u64::from(fails), Ordering::Relaxed);
    fails
}

// SAFETY: Whatever is handed out is the system's, and so is what is taken back.
unsafe impl GlobalAlloc for Scarce {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match fails(layout.size(), layout.align()) {
            true => null_mut(),
            // SAFETY: The caller keeps to the same rules.
            false => unsafe { System.alloc(layout) },
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        match fails(layout.size(), layout.align()) {
            true => null_mut(),
            // SAFETY: As above.
            false => unsafe { System.alloc_zeroed(layout) },
        }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: As above.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        match size > layout.size() && fails(size, layout.align()) {
            true => null_mut(),
            // SAFETY: As above.
            false => unsafe { System.realloc(at, layout, size) },
        }
    }
}

/// Says that this thread's requests are the test's own.
pub fn this_is_the_test() {
    IS_TEST.set(true);
}

/// Runs a call of the library. Inside, [`aside`] is for what the test does.
pub fn run<R>(call: impl FnOnce() -> R) -> R {
    IS_TEST.set(false);
    let result = call();
    IS_TEST.set(true);
    result
}

/// Runs what the test does while the library runs.
pub fn aside<R>(call: impl FnOnce() -> R) -> R {
    let before = IS_TEST.replace(true);
    let result = call();
    IS_TEST.set(before);
    result
}

/// From now on the large request number `first` fails, counted from 1, and `count` in all.
pub fn arm(first: u64, count: u64) {
    FAILED.store(0, Ordering::Relaxed);
    FAILING.store(count, Ordering::Relaxed);
    LEFT.store(first, Ordering::Relaxed);
}

/// There is memory again. Answers how many requests have failed.
pub fn disarm() -> u64 {
    LEFT.store(0, Ordering::Relaxed);
    FAILING.store(0, Ordering::Relaxed);
    FAILED.load(Ordering::Relaxed)
}
