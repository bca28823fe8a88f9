//! An allocator that counts, for each thread, how much is asked of it: at once, and in all at one
//! time. A test that wants it says `#[global_allocator]`. A room of `unsafe`.

#![allow(unsafe_code, reason = "an allocator is an unsafe trait")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// Counts, and lets the system allocate.
pub struct Counting;

thread_local! {
    /// Bytes that this thread holds, as far as it has allocated them itself.
    static HELD: Cell<isize> = const { Cell::new(0) };
    static MOST: Cell<isize> = const { Cell::new(0) };
    static LARGEST: Cell<usize> = const { Cell::new(0) };
    /// Whether what is allocated now is the test's own.
    static IS_ASIDE: Cell<bool> = const { Cell::new(false) };
}

/// What was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Need {
    /// The largest piece of memory.
    pub largest: usize,
    /// The most that was held at one time, beyond what was held before.
    pub most: usize,
}

fn count(more: usize, less: usize) {
    if IS_ASIDE.get() {
        return;
    }
    let held = HELD.get() + more as isize - less as isize;
    HELD.set(held);
    MOST.set(MOST.get().max(held));
    LARGEST.set(LARGEST.get().max(more));
}

// SAFETY: all is left to the system's allocator; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 0);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 0);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, old: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size, layout.size());
        // SAFETY: the caller's promises are passed on.
        unsafe { System.realloc(old, layout, size) }
    }

    unsafe fn dealloc(&self, old: *mut u8, layout: Layout) {
        count(0, layout.size());
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(old, layout) }
    }
}

/// What `act` asks for on this thread. Nothing where the allocator is another one.
pub fn need_of<R>(act: impl FnOnce() -> R) -> (R, Need) {
    let before = HELD.get();
    MOST.set(before);
    LARGEST.set(0);
    let result = act();
    let most = (MOST.get() - before).max(0) as usize;
    (result, Need { largest: LARGEST.get(), most })
}

/// Does `act` without counting what it asks for.
pub fn aside<R>(act: impl FnOnce() -> R) -> R {
    let was_aside = IS_ASIDE.replace(true);
    let result = act();
    IS_ASIDE.set(was_aside);
    result
}
