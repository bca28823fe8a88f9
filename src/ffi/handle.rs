//! Database handles: numbers in the shape of pointers, checked against a slot on every call.
//!
//! A `kv_db *` is never an address. It names a slot of a table and the generation that the slot
//! had when the database was opened, so that a stale or made-up handle is told from a good one
//! without touching memory that may be gone.
//!
//! # Why a database cannot be closed under a call
//!
//! A slot has a word: its generation and phase. Each thread has a record of the handle that it
//! is using ([`presence`]). A call
//!
//! 1. writes the handle to its record, 2. makes a light barrier, 3. reads the word: is it
//!    (my generation, OPEN)? If so it uses the database, and in any case 4. clears its record;
//!
//! the closer
//!
//! 1. changes the word from (generation, OPEN) to (generation, CLOSING), 2. makes a heavy
//!    barrier, 3. reads every record until it does not name the handle, 4. takes the database.
//!
//! The barriers ([`barrier`]) promise that the closer's step 3 sees what the call did in step 1,
//! or the call's step 3 sees what the closer did in step 1. In the first case the closer waits
//! for the call's step 4. In the second the call sees CLOSING and is turned away. With less than
//! a full barrier on both sides, both could miss the other: a store may become visible after a
//! later load. A thread that calls for the first time adds its record to the list before its
//! barrier too, so that the closer, which reads the list after its own, misses no record of a
//! call that was let in.
//!
//! The records need not be clear at the same moment: after the closer's step 1 nobody is let in,
//! so a record that did not name the handle once does not name it again for a call that uses the
//! database. The call's step 4 is `Release` and the closer reads with `Acquire`: all that the
//! call did to the database happens before it is taken.

use super::db::kv_db;
use super::listen;
use super::presence::{self, Presence};
use crate::db::Db;
use crate::error::{Error, Kind, Result};
use crate::storage::barrier;
use std::alloc::Layout;
use std::cell::UnsafeCell;
use std::mem::MaybeUninit;
use std::ops::Deref;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

// A handle has 64 bits: 8 of tag, 40 of generation, 12 of slot, 4 of mark. The tag makes it an
// address that no 64-bit system gives a process, so using it as one faults; the mark makes it
// odd, as no pointer to an object of libkv's or malloc's is.
const _: () = assert!(usize::BITS == 64);
const MARK: u64 = 0b0111;
const MARK_BITS: u32 = 4;
const SLOT_BITS: u32 = 12;
const GENERATION_BITS: u32 = 40;
const TAG: u64 = 0xDB;
const TAG_SHIFT: u32 = MARK_BITS + SLOT_BITS + GENERATION_BITS;
const FIXED: u64 = TAG << TAG_SHIFT | MARK;
const FIXED_MASK: u64 = 0xFF << TAG_SHIFT | ((1 << MARK_BITS) - 1);
const SLOTS: usize = 1 << SLOT_BITS;
const LAST_GENERATION: u64 = (1 << GENERATION_BITS) - 1;

/// In the low bits of a slot's word; the generation is above.
const PHASE_BITS: u32 = 2;
const VACANT: u64 = 0;
const OPEN: u64 = 1;
const CLOSING: u64 = 2;

/// The place of one database. Slots are never freed: a stale handle must find its own.
#[repr(align(128))]
struct Slot {
    word: AtomicU64,
    /// Initialised while the phase is OPEN or CLOSING: [`insert`] writes it before it stores
    /// OPEN, and the winner of [`remove`] moves it away when no call is inside.
    db: UnsafeCell<MaybeUninit<Db>>,
}

// SAFETY: `db` is shared as `&Db`, which is Sync, by calls that were let in; it is written and
// moved, and Db is Send, only while none is (`insert`: the phase is VACANT; `remove`: above).
unsafe impl Sync for Slot {}

const _: () = {
    const fn crosses_threads<T: Send + Sync>() {}
    crosses_threads::<Db>();
};

/// The slots that were ever needed, from the front.
static TABLE: [AtomicPtr<Slot>; SLOTS] = [const { AtomicPtr::new(ptr::null_mut()) }; SLOTS];
/// How many there are. Held while a slot is given out, so that it is given once.
static IN_TABLE: Mutex<usize> = Mutex::new(0);

/// A call that is inside a database. The database stays until this is dropped.
pub(super) struct Entered {
    db: *const Db,
    _presence: Presence,
}

impl Deref for Entered {
    type Target = Db;

    #[inline]
    fn deref(&self) -> &Db {
        // SAFETY: `enter` made this only of an open database, and `remove` leaves a database in
        // its place while the thread says that it is using it, until this is dropped.
        unsafe { &*self.db }
    }
}

/// Enters the database that `handle` names, if it is open.
#[inline(always)]
pub(super) fn enter(handle: *mut kv_db) -> Result<Entered> {
    let Some((slot, generation)) = find(handle) else { return Err(refusal(handle)) };
    let open = generation << PHASE_BITS | OPEN;
    // Looked at twice: a call with a stale handle has nothing to announce.
    if slot.word.load(Ordering::Relaxed) != open {
        return Err(refusal(handle));
    }
    let presence = presence::announce(handle.addr())?;
    barrier::light();
    if slot.word.load(Ordering::Acquire) != open {
        return Err(refusal(handle));
    }
    Ok(Entered { db: slot.db.get().cast(), _presence: presence })
}

/// Gives `db` a slot and returns its handle.
pub(super) fn insert(db: Db) -> Result<*mut kv_db> {
    barrier::prepare();
    let mut in_table = IN_TABLE.lock().unwrap_or_else(PoisonError::into_inner);
    let (index, slot) = vacancy(&mut in_table)?;
    let generation = (slot.word.load(Ordering::Acquire) >> PHASE_BITS) + 1;
    // SAFETY: the phase is VACANT, so no call uses the database, and the lock keeps other
    // inserts out; what was there before was moved away by `remove`.
    unsafe { (*slot.db.get()).write(db) };
    slot.word.store(generation << PHASE_BITS | OPEN, Ordering::SeqCst);
    Ok(encode(index, generation))
}

/// Takes the database that `handle` names out of its slot, when the calls inside have left. Of
/// several that try, one gets it.
pub(super) fn remove(handle: *mut kv_db) -> Result<Db> {
    let Some((slot, generation)) = find(handle) else { return Err(refusal(handle)) };
    let word = generation << PHASE_BITS;
    // Closing waits for the thread that tells, which is this one, or waits for this one.
    if listen::is_telling() && enter(handle)?.has_listeners() {
        let text = "the database cannot be closed by a function that is told what happens";
        return Err(Error::new(Kind::Busy, text));
    }
    if slot.word.load(Ordering::Relaxed) == word | OPEN && presence::is_mine(handle.addr())? {
        let text = "the database cannot be closed from inside a call: this is a progress function";
        return Err(Error::new(Kind::Busy, text));
    }
    let won = slot.word.compare_exchange(
        word | OPEN,
        word | CLOSING,
        Ordering::SeqCst,
        Ordering::Relaxed,
    );
    if won.is_err() {
        return Err(refusal(handle));
    }
    barrier::heavy();
    // SAFETY: initialised since the phase was OPEN, and not moved before the end of this call,
    // which alone has made the phase CLOSING; others share it as `&Db` too.
    unsafe { (*slot.db.get()).assume_init_ref() }.interrupt();
    presence::wait_until_unused(handle.addr());
    // SAFETY: the database is initialised since the phase was OPEN; this call alone made it
    // CLOSING; and no call is inside (see the top of this file). VACANT is stored below, so that
    // it is not read again.
    let db = unsafe { (*slot.db.get()).assume_init_read() };
    slot.word.store(word | VACANT, Ordering::Release);
    Ok(db)
}

/// The slot and the generation that `handle` names, if it has a handle's form and its slot
/// exists.
#[inline(always)]
fn find(handle: *mut kv_db) -> Option<(&'static Slot, u64)> {
    let bits = handle.addr() as u64;
    if bits & FIXED_MASK != FIXED {
        return None;
    }
    let index = (bits >> MARK_BITS) as usize % SLOTS;
    let slot = TABLE[index].load(Ordering::Acquire);
    // SAFETY: NULL or a slot that `new_slot` initialised before it stored the pointer; slots
    // are never freed and never borrowed mutably.
    let slot = unsafe { slot.as_ref() }?;
    Some((slot, bits >> (MARK_BITS + SLOT_BITS) & LAST_GENERATION))
}

fn encode(index: usize, generation: u64) -> *mut kv_db {
    let bits = FIXED | generation << (MARK_BITS + SLOT_BITS) | (index as u64) << MARK_BITS;
    ptr::without_provenance_mut(bits as usize)
}

/// Why `handle` cannot be entered.
#[cold]
fn refusal(handle: *mut kv_db) -> Error {
    if handle.is_null() {
        return Error::new(Kind::NullArgument, "db is NULL");
    }
    let issued = |(slot, generation): (&Slot, u64)| {
        (1..=slot.word.load(Ordering::Relaxed) >> PHASE_BITS).contains(&generation)
    };
    if find(handle).is_some_and(issued) {
        return Error::new(Kind::Closed, "the database handle was closed");
    }
    Error::new(Kind::InvalidArgument, "db is not a handle that kv_open() returned")
}

/// A slot that holds no database and has a generation left.
fn vacancy(in_table: &mut usize) -> Result<(usize, &'static Slot)> {
    for (index, entry) in TABLE.iter().enumerate().take(*in_table) {
        // SAFETY: as in `find`.
        let slot = unsafe { entry.load(Ordering::Acquire).as_ref() };
        let vacant = |slot: &&Slot| {
            let word = slot.word.load(Ordering::Acquire);
            word & ((1 << PHASE_BITS) - 1) == VACANT && word >> PHASE_BITS < LAST_GENERATION
        };
        if let Some(slot) = slot.filter(vacant) {
            return Ok((index, slot));
        }
    }
    let index = *in_table;
    let Some(entry) = TABLE.get(index) else {
        let text = format!("{SLOTS} databases are open, which is the limit of a process");
        return Err(Error::new(Kind::TooManyOpen, text));
    };
    let slot = new_slot()?;
    entry.store(ptr::from_ref(slot).cast_mut(), Ordering::Release);
    *in_table += 1;
    Ok((index, slot))
}

/// A vacant slot, for ever.
fn new_slot() -> Result<&'static Slot> {
    let layout = Layout::new::<Slot>();
    // SAFETY: a slot has a size.
    let memory = unsafe { std::alloc::alloc(layout) }.cast::<Slot>();
    if memory.is_null() {
        return Err(super::convert::out_of_memory(layout.size()));
    }
    let slot = Slot { word: AtomicU64::new(VACANT), db: UnsafeCell::new(MaybeUninit::uninit()) };
    // SAFETY: the memory was just allocated with a slot's size and alignment, is initialised
    // before it is borrowed, and is never freed.
    unsafe {
        memory.write(slot);
        Ok(&*memory)
    }
}

#[cfg(test)]
#[path = "handle_tests.rs"]
mod tests;
