//! In the place of the library's `atomic`: loom's atomics.
//!
//! Loom looks for a schedule in which a store comes before another thread's load only if that load
//! was the last access to the atomic. A thread that loads what it is about to store, as every
//! writer here does, would hide all schedules that matter. So a load by a thread that alone may
//! store is none of loom's steps: it has one value to see, and its place among other threads' loads
//! makes no difference. Such a thread holds the lock of the atomics' owner, or stored last to an
//! atomic that has one writer.

use std::cell::{Cell, UnsafeCell};
use std::ptr;

use loom::sync::atomic as model;
pub use loom::sync::atomic::{fence, AtomicBool, AtomicUsize};
pub use loom::sync::Arc;
pub use std::sync::atomic::Ordering;

use loom::thread::{current, ThreadId};

use crate::explore::generation;
use crate::mutex;

/// Waiting for another thread: loom lets it run.
pub fn spin_loop() {
    loom::thread::yield_now();
}

pub struct AtomicU64 {
    model: model::AtomicU64,
    /// Who stored last, if without a lock.
    storer: Cell<Option<ThreadId>>,
}

// SAFETY: loom runs the threads of a model on one thread, and switches between them only inside of
// its own calls.
unsafe impl Sync for AtomicU64 {}

impl AtomicU64 {
    pub fn new(value: u64) -> AtomicU64 {
        AtomicU64 { model: model::AtomicU64::new(value), storer: Cell::new(None) }
    }

    pub fn load(&self, order: Ordering) -> u64 {
        if mutex::is_held() || self.storer.get() == Some(current().id()) {
            // SAFETY: no other thread stores meanwhile, which loom checks.
            return unsafe { self.model.unsync_load() };
        }
        self.model.load(order)
    }

    pub fn store(&self, value: u64, order: Ordering) {
        self.model.store(value, order);
        self.note_storer();
    }

    /// What is stored under a lock may be stored by others later.
    fn note_storer(&self) {
        self.storer.set((!mutex::is_held()).then(|| current().id()));
    }

    pub fn fetch_add(&self, value: u64, order: Ordering) -> u64 {
        let old = self.model.fetch_add(value, order);
        self.note_storer();
        old
    }
}

impl Default for AtomicU64 {
    fn default() -> AtomicU64 {
        AtomicU64::new(0)
    }
}

/// Like loom's, but it can be in a `static`: in each execution it begins with its first value. Who
/// touches it first must have come before all others, as with any creation.
pub struct AtomicPtr<T: 'static> {
    first: *mut T,
    /// The execution that it was made in.
    made: UnsafeCell<Option<(u64, &'static model::AtomicPtr<T>)>>,
}

// SAFETY: loom runs the threads of a model on one thread, and switches between them only inside of
// its own calls, none of which is made while `made` is borrowed.
unsafe impl<T: 'static> Sync for AtomicPtr<T> {}
// SAFETY: as above.
unsafe impl<T: 'static> Send for AtomicPtr<T> {}

impl<T: 'static> AtomicPtr<T> {
    pub const fn new(first: *mut T) -> AtomicPtr<T> {
        AtomicPtr { first, made: UnsafeCell::new(None) }
    }

    fn model(&self) -> &'static model::AtomicPtr<T> {
        // SAFETY: see `Sync`.
        let made = unsafe { &mut *self.made.get() };
        match *made {
            Some((generation, atomic)) if generation == self::generation() => atomic,
            _ => {
                // Never freed: it is loom's object that counts, and that goes with the execution.
                let atomic = Box::leak(Box::new(model::AtomicPtr::new(self.first)));
                *made = Some((generation(), atomic));
                atomic
            }
        }
    }

    pub fn load(&self, order: Ordering) -> *mut T {
        if mutex::is_held() {
            // SAFETY: no other thread stores meanwhile, which loom checks.
            return unsafe { self.model().unsync_load() };
        }
        self.model().load(order)
    }

    pub fn store(&self, value: *mut T, order: Ordering) {
        self.model().store(value, order);
    }

    pub fn swap(&self, value: *mut T, order: Ordering) -> *mut T {
        self.model().swap(value, order)
    }

    pub fn compare_exchange(
        &self,
        expected: *mut T,
        value: *mut T,
        success: Ordering,
        failure: Ordering,
    ) -> Result<*mut T, *mut T> {
        self.model().compare_exchange(expected, value, success, failure)
    }

    /// For a destructor: what is written to it is the first value of a new atomic.
    pub fn get_mut(&mut self) -> &mut *mut T {
        if self.made.get_mut().is_some_and(|(made_in, _)| made_in == generation()) {
            self.first = self.model().swap(ptr::null_mut(), Ordering::AcqRel);
        }
        *self.made.get_mut() = None;
        &mut self.first
    }
}
