//! In the place of `parking_lot`: loom's mutex, which can be in a `static`.

use std::cell::{Cell, UnsafeCell};
use std::ops::{Deref, DerefMut};

use loom::sync as model;

use crate::explore::generation;
use crate::local::Local;

#[derive(Default)]
pub struct Mutex<T> {
    /// The execution that it was made in.
    made: UnsafeCell<Option<(u64, &'static model::Mutex<()>)>>,
    value: UnsafeCell<T>,
}

// SAFETY: loom runs the threads of a model on one thread; `made` is borrowed while none of its
// calls is made, and `value` while its mutex is locked.
unsafe impl<T: Send> Sync for Mutex<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Send for Mutex<T> {}

/// How many locks a thread holds whose values are empty: what they guard is around them.
static HELD: Local<Cell<usize>> = Local::new(|| Cell::new(0));

/// Whether the calling thread alone may change what is around some lock.
pub fn is_held() -> bool {
    HELD.get() > 0
}

pub struct MutexGuard<'a, T> {
    value: &'a mut T,
    _lock: model::MutexGuard<'static, ()>,
}

impl<T> Mutex<T> {
    pub const fn new(value: T) -> Mutex<T> {
        Mutex { made: UnsafeCell::new(None), value: UnsafeCell::new(value) }
    }

    fn model(&self) -> &'static model::Mutex<()> {
        // SAFETY: see `Sync`.
        let made = unsafe { &mut *self.made.get() };
        match *made {
            Some((generation, mutex)) if generation == self::generation() => mutex,
            _ => {
                let mutex = Box::leak(Box::new(model::Mutex::new(())));
                *made = Some((generation(), mutex));
                mutex
            }
        }
    }

    pub fn lock(&self) -> MutexGuard<'_, T> {
        let lock = self.model().lock().expect("no thread of a model panics and goes on");
        HELD.set(HELD.get() + usize::from(size_of::<T>() == 0));
        // SAFETY: the mutex is locked for as long as the reference lives.
        MutexGuard { value: unsafe { &mut *self.value.get() }, _lock: lock }
    }
}

impl<T> Drop for MutexGuard<'_, T> {
    fn drop(&mut self) {
        HELD.set(HELD.get() - usize::from(size_of::<T>() == 0));
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.value
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.value
    }
}
