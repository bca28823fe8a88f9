//! Memory that was freed stays as it is for a while: a model of a mistake reads it, and must live
//! to tell.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};

/// Blocks in quarantine.
const BLOCKS: usize = 1 << 14;

struct Quarantine {
    busy: AtomicBool,
    ring: UnsafeCell<([(*mut u8, Layout); BLOCKS], usize)>,
}

// SAFETY: the ring is used only by who has set `busy`.
unsafe impl Sync for Quarantine {}

#[global_allocator]
static QUARANTINE: Quarantine = Quarantine {
    busy: AtomicBool::new(false),
    ring: UnsafeCell::new(([(ptr::null_mut(), Layout::new::<u8>()); BLOCKS], 0)),
};

// SAFETY: all memory comes from the system and goes back to it with its own layout, once.
unsafe impl GlobalAlloc for Quarantine {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        while self.busy.swap(true, Ordering::Acquire) {
            std::hint::spin_loop();
        }
        // SAFETY: this thread alone has set `busy`.
        let (ring, next) = unsafe { &mut *self.ring.get() };
        let (oldest, its_layout) = std::mem::replace(&mut ring[*next], (block, layout));
        *next = (*next + 1) % BLOCKS;
        self.busy.store(false, Ordering::Release);
        if !oldest.is_null() {
            // SAFETY: it was put here when its owner freed it, with this layout.
            unsafe { System.dealloc(oldest, its_layout) };
        }
    }
}
