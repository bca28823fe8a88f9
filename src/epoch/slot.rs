//! A place for a shared value that is read without a lock, and replaced under readers' eyes. A room
//! of `unsafe`.

use std::marker::PhantomData;
use std::ptr;

use super::{defer, synchronize, Guard};
use crate::atomic::{Arc, AtomicPtr, Ordering};

/// Holds an `Arc<T>` or nothing. A reader needs a pin and nothing else; what is taken out is freed
/// when no pinned reader can have it any more.
pub struct Slot<T: Send + Sync + 'static> {
    /// From `Arc::into_raw`, or NULL.
    value: AtomicPtr<T>,
    _owned: PhantomData<Arc<T>>,
}

impl<T: Send + Sync + 'static> Default for Slot<T> {
    fn default() -> Slot<T> {
        Slot { value: AtomicPtr::new(ptr::null_mut()), _owned: PhantomData }
    }
}

impl<T: Send + Sync + 'static> Slot<T> {
    /// What is there now. It stays valid as long as the pin, whatever becomes of the slot.
    #[inline(always)]
    pub fn get<'g>(&'g self, _pinned: &'g Guard) -> Option<&'g T> {
        // SAFETY: NULL, or from an Arc that this slot owns. Once it is taken out of the slot, the
        // Arc is dropped only by `Retired`, after all threads that were pinned then have unpinned;
        // and this thread is pinned since before the load until after 'g.
        unsafe { self.value.load(Ordering::Acquire).as_ref() }
    }

    /// What is there now, to keep.
    pub fn get_arc(&self, pinned: &Guard) -> Option<Arc<T>> {
        let value: *const T = self.get(pinned)?;
        // SAFETY: `value` came from Arc::into_raw, and the count that belongs to the slot is not
        // given up before the pin is (see `get`), so it is above 0 while it is raised here.
        unsafe {
            Arc::increment_strong_count(value);
            Some(Arc::from_raw(value))
        }
    }

    /// Puts `value` in the place of what is there.
    pub fn replace(&self, value: Option<Arc<T>>) -> Retired<T> {
        let value = value.map_or(ptr::null_mut(), |value| Arc::into_raw(value).cast_mut());
        let old = self.value.swap(value, Ordering::AcqRel);
        // SAFETY: NULL, or from Arc::into_raw; the swap has taken it out of the slot, so that this
        // is the only owner of the slot's count.
        Retired((!old.is_null()).then(|| unsafe { Arc::from_raw(old) }))
    }
}

impl<T: Send + Sync + 'static> Drop for Slot<T> {
    fn drop(&mut self) {
        // Nobody can have a reference from `get`, which borrows the slot.
        let value = *self.value.get_mut();
        if !value.is_null() {
            // SAFETY: from Arc::into_raw, and owned by the slot, which ends here.
            drop(unsafe { Arc::from_raw(value) });
        }
    }
}

/// What was taken out of a [`Slot`]: pinned readers may still have it. Dropped, it is freed some
/// time after they have left.
#[must_use]
pub struct Retired<T: Send + Sync + 'static>(Option<Arc<T>>);

impl<T: Send + Sync + 'static> Default for Retired<T> {
    fn default() -> Retired<T> {
        Retired(None)
    }
}

impl<T: Send + Sync + 'static> Drop for Retired<T> {
    fn drop(&mut self) {
        if let Some(value) = self.0.take() {
            let bytes = size_of_val(&*value);
            defer(Box::new(value), bytes);
        }
    }
}

impl<T: Send + Sync + 'static> Retired<T> {
    /// Takes another one along: if it is the same value, nothing waits for it by itself.
    pub fn with(&mut self, mut other: Retired<T>) {
        match (&self.0, &other.0) {
            // It stays for as long as this one holds it.
            (Some(own), Some(same)) if Arc::ptr_eq(own, same) => drop(other.0.take()),
            (None, _) => std::mem::swap(self, &mut other),
            _ => {}
        }
    }

    /// Says that the value holds `bytes` of memory, which decides how soon it is freed.
    pub fn holding(mut self, bytes: usize) {
        if let Some(value) = self.0.take() {
            defer(Box::new(value), bytes);
        }
    }
}

/// Waits until no reader can have any of these, and frees them. The thread is not pinned.
pub fn release<T: Send + Sync + 'static>(mut retired: impl AsMut<[Retired<T>]>) {
    let retired = retired.as_mut();
    if retired.iter().all(|one| one.0.is_none()) {
        return;
    }
    synchronize();
    // The readers have left: nothing to put off.
    retired.iter_mut().for_each(|one| drop(one.0.take()));
}
