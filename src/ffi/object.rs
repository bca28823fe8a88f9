//! Handles of everything but databases: numbers in the shape of pointers, checked on every call.
//!
//! As with `kv_db` ([`handle`](super::handle)), such a pointer is never an address: it names a slot
//! of the table of its type, and the generation that the slot had when the handle was made. One
//! that was freed, one of another type and a made-up one are told without touching what is gone.
//!
//! These handles belong to one thread at a time, and that is checked too. A call takes the slot
//! from IDLE to BUSY by compare-and-swap, and has what is in it for itself until it leaves; or, if
//! it only looks, it counts itself among those who do. Whoever comes in between, another thread or
//! a callback in the middle of the call, is turned away. Freeing takes the slot as the first kind
//! of call does, so that nothing is freed under a call.

use super::db::kv_db;
use super::guard::refuse_in_forked_child;
use super::slots::{Slot, Slots, SLOT_BITS};
use super::status::set_message;
use crate::epoch::KEEPS;
use crate::error::{Error, Kind, Result};
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::ptr;
use std::sync::atomic::Ordering;

// A handle has 64 bits: 8 of tag, 28 of generation, 26 of slot, 2 of mark. The tag makes it an
// address that no 64-bit system gives a process, the mark an odd one.
const _: () = assert!(usize::BITS == 64);
const MARK: u64 = 0b11;
const MARK_BITS: u32 = 2;
const GENERATION_BITS: u32 = 28;
const GENERATION_SHIFT: u32 = MARK_BITS + SLOT_BITS;
const TAG_SHIFT: u32 = GENERATION_SHIFT + GENERATION_BITS;
const _: () = assert!(TAG_SHIFT + 8 == u64::BITS);
const FIXED_MASK: u64 = 0xFF << TAG_SHIFT | ((1 << MARK_BITS) - 1);
const LAST_GENERATION: u64 = (1 << GENERATION_BITS) - 1;

/// The types of handles, each of which has one table. 0xDB is `kv_db`; 0x00 and 0xFF begin real
/// addresses.
#[derive(Clone, Copy)]
#[repr(u8)]
pub(super) enum Tag {
    Options = FIRST_TAG,
    View = FIRST_TAG + 1,
    Batch = FIRST_TAG + 2,
    Reservation = FIRST_TAG + 3,
    Snapshot = FIRST_TAG + 4,
    Iter = FIRST_TAG + 5,
    #[cfg(test)]
    Test = 0xD0,
    #[cfg(test)]
    Other = 0xD1,
}

const FIRST_TAG: u8 = 0xC0;

impl Tag {
    /// Where threads keep vacant slots at hand.
    const fn at_hand(self) -> Option<usize> {
        let place = (self as u8 - FIRST_TAG) as usize;
        if place < KEEPS {
            return Some(place);
        }
        None
    }
}

/// In the low bits of a slot's word; the generation is above.
const PHASE_BITS: u32 = 16;
/// Nothing is in the slot. A new one is this, of generation 0. In all other phases the value is
/// initialised.
const VACANT: u64 = 0;
/// A handle names it, and no call uses it. So many more calls share it as the phase is more.
const IDLE: u64 = 1;
/// One call has it for itself.
const BUSY: u64 = (1 << PHASE_BITS) - 1;
const _: () = assert!(GENERATION_BITS + PHASE_BITS <= u64::BITS);

/// The handles of one type: `C` is what C calls it, `T` what is behind it.
pub(super) struct Table<C, T> {
    tag: Tag,
    /// The parameter's name in C.
    noun: &'static str,
    /// What returns such handles.
    makers: &'static str,
    /// Whether it is its parent's in a child of fork().
    of_database: bool,
    slots: Slots<T>,
    _named: PhantomData<fn(*mut C)>,
}

impl<C, T: Send> Table<C, T> {
    /// No handles yet, of what needs no database: a child of fork() has its own.
    pub(super) const fn alone(tag: Tag, noun: &'static str, makers: &'static str) -> Table<C, T> {
        let (slots, _named) = (Slots::new(tag.at_hand()), PhantomData);
        Table { tag, noun, makers, of_database: false, slots, _named }
    }

    /// The same for what belongs to a database: a child of fork() is refused and frees nothing.
    pub(super) const fn of_database(
        tag: Tag,
        noun: &'static str,
        makers: &'static str,
    ) -> Table<C, T> {
        let (slots, _named) = (Slots::new(tag.at_hand()), PhantomData);
        Table { tag, noun, makers, of_database: true, slots, _named }
    }

    /// Gives `value` a slot and returns its handle.
    #[inline]
    pub(super) fn insert(&self, value: T) -> Result<*mut C> {
        let (number, slot) = self.slots.take()?;
        let generation = (slot.word.load(Ordering::Relaxed) >> PHASE_BITS) + 1;
        // SAFETY: the slot was taken for this call alone, and is VACANT: no handle leads to it, and
        // what was in it was moved out.
        unsafe { (*slot.value.get()).write(value) };
        // Release: who holds the value sees it whole.
        slot.word.store(generation << PHASE_BITS | IDLE, Ordering::Release);
        Ok(self.encode(number, generation))
    }

    /// Has what `handle` names for itself until the answer is dropped.
    #[inline(always)]
    pub(super) fn hold(&self, handle: *const C) -> Result<Held<'_, T>> {
        let (_, slot, generation) = self.claim(handle)?;
        Ok(Held { slot, idle: generation << PHASE_BITS | IDLE, _held: PhantomData })
    }

    /// Shares what `handle` names with others that do, until the answer is dropped.
    #[inline(always)]
    pub(super) fn share(&self, handle: *const C) -> Result<Shared<'_, T>>
    where
        T: Sync,
    {
        if self.of_database {
            refuse_in_forked_child()?;
        }
        let Some((_, slot, generation)) = self.find(handle) else {
            return Err(self.refusal(handle));
        };
        let (first, last) = (generation << PHASE_BITS | IDLE, generation << PHASE_BITS | BUSY);
        let mut word = slot.word.load(Ordering::Relaxed);
        // The last phase before BUSY is left alone: one more would be BUSY.
        while (first..last - 1).contains(&word) {
            let (acquire, relaxed) = (Ordering::Acquire, Ordering::Relaxed);
            match slot.word.compare_exchange_weak(word, word + 1, acquire, relaxed) {
                Ok(_) => return Ok(Shared { slot }),
                Err(now) => word = now,
            }
        }
        Err(self.refusal(handle))
    }

    /// Takes out what `handle` names; the handle is stale from now on.
    #[inline]
    pub(super) fn remove(&self, handle: *const C) -> Result<T> {
        let (number, slot, generation) = self.claim(handle)?;
        // SAFETY: `claim` found the phase IDLE, so that the value is initialised, and made it BUSY
        // for this call alone. VACANT is stored next, so that the value is not read again.
        let value = unsafe { (*slot.value.get()).assume_init_read() };
        slot.word.store(generation << PHASE_BITS | VACANT, Ordering::Release);
        // A slot without a generation left is left alone for ever, since a handle never comes back.
        if generation < LAST_GENERATION {
            self.slots.give_back(number, slot);
        }
        Ok(value)
    }

    /// What functions that free do: NULL is taken quietly, and what cannot be freed is left alone
    /// and told by kv_error_message().
    #[inline]
    pub(super) fn free(&self, handle: *const C) {
        let _freed = self.remove_quietly(handle);
    }

    /// The same for who has something to do with the value yet.
    #[inline]
    pub(super) fn remove_quietly(&self, handle: *const C) -> Option<T> {
        if handle.is_null() {
            return None;
        }
        self.remove(handle).map_err(|error| set_message(format_args!("{error}"))).ok()
    }

    /// Makes the slot that `handle` names BUSY, for the caller alone.
    #[inline(always)]
    fn claim(&self, handle: *const C) -> Result<(u32, &Slot<T>, u64)> {
        if self.of_database {
            refuse_in_forked_child()?;
        }
        let Some((number, slot, generation)) = self.find(handle) else {
            return Err(self.refusal(handle));
        };
        let word = generation << PHASE_BITS;
        // Acquire: what the last one who had it did comes first.
        let (acquire, relaxed) = (Ordering::Acquire, Ordering::Relaxed);
        if slot.word.compare_exchange(word | IDLE, word | BUSY, acquire, relaxed).is_err() {
            return Err(self.refusal(handle));
        }
        Ok((number, slot, generation))
    }

    /// The slot and the generation that `handle` names, if it has the form of this type's handles
    /// and its slot exists.
    #[inline(always)]
    fn find(&self, handle: *const C) -> Option<(u32, &Slot<T>, u64)> {
        let bits = handle.addr() as u64;
        if bits & FIXED_MASK != self.fixed() {
            return None;
        }
        let number = (bits >> MARK_BITS) as u32 % (1 << SLOT_BITS);
        Some((number, self.slots.get(number)?, bits >> GENERATION_SHIFT & LAST_GENERATION))
    }

    fn encode(&self, number: u32, generation: u64) -> *mut C {
        let place = generation << GENERATION_SHIFT | u64::from(number) << MARK_BITS;
        ptr::without_provenance_mut((self.fixed() | place) as usize)
    }

    /// What all handles of this type share.
    #[inline(always)]
    fn fixed(&self) -> u64 {
        (self.tag as u64) << TAG_SHIFT | MARK
    }

    /// Why `handle` cannot be used.
    #[cold]
    fn refusal(&self, handle: *const C) -> Error {
        let Table { noun, makers, .. } = self;
        if handle.is_null() {
            return Error::new(Kind::NullArgument, format!("{noun} is NULL"));
        }
        if let Some((_, slot, generation)) = self.find(handle) {
            let word = slot.word.load(Ordering::Relaxed);
            let now = word >> PHASE_BITS;
            if now == generation && word & BUSY != VACANT {
                return Error::new(Kind::Busy, format!("another call is using {noun}"));
            }
            if (1..=now).contains(&generation) {
                return Error::new(Kind::Closed, format!("{noun} was freed"));
            }
        }
        let text = format!("{noun} is not a handle that {makers} returned");
        Error::new(Kind::InvalidArgument, text)
    }
}

/// What a handle names, had by one call.
pub(super) struct Held<'a, T> {
    slot: &'a Slot<T>,
    /// The slot's word when this is dropped.
    idle: u64,
    _held: PhantomData<&'a mut T>,
}

impl<T> Deref for Held<'_, T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        // SAFETY: `claim` found the phase IDLE, so that the value is initialised, and made it BUSY:
        // until this is dropped nobody else reaches it.
        unsafe { (*self.slot.value.get()).assume_init_ref() }
    }
}

impl<T> DerefMut for Held<'_, T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as in `deref`; and this is borrowed mutably.
        unsafe { (*self.slot.value.get()).assume_init_mut() }
    }
}

impl<T> Drop for Held<'_, T> {
    #[inline(always)]
    fn drop(&mut self) {
        // Release: what this call did comes before what the next one does.
        self.slot.word.store(self.idle, Ordering::Release);
    }
}

/// What a handle names, shared by calls that only look.
pub(super) struct Shared<'a, T: Sync> {
    slot: &'a Slot<T>,
}

impl<T: Sync> Deref for Shared<'_, T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        // SAFETY: `share` has counted this in a phase in which the value is initialised, and
        // nobody has it for himself before the count is taken back; T is Sync.
        unsafe { (*self.slot.value.get()).assume_init_ref() }
    }
}

impl<T: Sync> Drop for Shared<'_, T> {
    #[inline(always)]
    fn drop(&mut self) {
        // Release: what this call read comes before what the next one writes.
        self.slot.word.fetch_sub(1, Ordering::Release);
    }
}

/// Something of a database, with the handle of the database. It outlives kv_close(): a call enters
/// the database anew ([`guard::on_part`](super::guard::on_part)), and is told if it was closed.
pub(super) struct Part<T> {
    /// As a number, which can go to another thread.
    db: usize,
    pub(super) value: T,
}

impl<T> Part<T> {
    /// `value`, which belongs to the database `db`.
    pub(super) fn new(db: *mut kv_db, value: T) -> Part<T> {
        Part { db: db.addr(), value }
    }

    /// The database's handle.
    pub(super) fn db(&self) -> *mut kv_db {
        ptr::without_provenance_mut(self.db)
    }
}

#[cfg(test)]
#[path = "object_tests.rs"]
mod tests;
