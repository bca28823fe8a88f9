//! Database handles: numbers in the shape of pointers, checked against a slot on every call.
//!
//! A `kv_db *` is never an address. It names a slot of a table and the generation that the slot
//! had when the database was opened, so that a stale or made-up handle is told from a good one
//! without touching memory that may be gone.
//!
//! # Why a database cannot be closed under a call
//!
//! A slot has a word (generation and phase) and counters of the calls inside. A call does
//!
//! 1. `count += 1`, 2. `word == (my generation, OPEN)?`, and if so uses the database,
//!    3. `count -= 1`;
//!
//! the closer does
//!
//! 1. `word: (generation, OPEN) → (generation, CLOSING)`, 2. waits until it has read 0 from
//!    each counter, 3. takes the database out.
//!
//! Steps 1 and 2 of both are `SeqCst`, hence in one total order. If the call's step 2 came
//! before the closer's step 1, it was let in, and its step 1 came earlier still: the closer,
//! reading that counter later, sees the call until its step 3. If it came after, the call saw
//! CLOSING and is turned away. With anything weaker than `SeqCst`, both could miss the other.
//!
//! The counters need not be 0 at the same moment: after the closer's step 1 nobody is let in,
//! so a counter that was 0 once counts no call that uses the database. Calls turned away raise
//! it again for a moment, and do not touch the database. Step 3 of the call is `Release` and
//! the closer reads with `Acquire` (part of `SeqCst`), through a chain of read-modify-writes:
//! all that the call did to the database happens before it is taken out.

use super::db::kv_db;
use crate::db::Db;
use crate::error::{Error, Kind, Result};
use std::alloc::Layout;
use std::cell::UnsafeCell;
use std::mem::MaybeUninit;
use std::ops::Deref;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

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

/// Counters of the calls inside: several, so that threads need not share a cache line.
const STRIPES: usize = 16;

/// A counter with its cache line and the one that is fetched with it.
#[repr(align(128))]
struct Stripe(AtomicUsize);

/// The place of one database. Slots are never freed: a stale handle must find its own.
struct Slot {
    stripes: [Stripe; STRIPES],
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
    stripe: &'static AtomicUsize,
}

impl Deref for Entered {
    type Target = Db;

    #[inline]
    fn deref(&self) -> &Db {
        // SAFETY: `enter` made this only of an open database, and `remove` leaves a database in
        // its place until the counter is lowered, which only dropping this does.
        unsafe { &*self.db }
    }
}

impl Drop for Entered {
    #[inline]
    fn drop(&mut self) {
        self.stripe.fetch_sub(1, Ordering::Release);
    }
}

/// Enters the database that `handle` names, if it is open.
#[inline]
pub(super) fn enter(handle: *mut kv_db) -> Result<Entered> {
    let Some((slot, generation)) = find(handle) else { return Err(refusal(handle)) };
    let open = generation << PHASE_BITS | OPEN;
    // Looked at twice: calls with a stale handle must not keep raising the counter that the
    // closer of the slot's next database waits for.
    if slot.word.load(Ordering::Relaxed) != open {
        return Err(refusal(handle));
    }
    let stripe = &slot.stripes[stripe_of_this_thread()].0;
    stripe.fetch_add(1, Ordering::SeqCst);
    if slot.word.load(Ordering::SeqCst) != open {
        stripe.fetch_sub(1, Ordering::Release);
        return Err(refusal(handle));
    }
    Ok(Entered { db: slot.db.get().cast(), stripe })
}

/// Gives `db` a slot and returns its handle.
pub(super) fn insert(db: Db) -> Result<*mut kv_db> {
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
    let won = slot.word.compare_exchange(
        word | OPEN,
        word | CLOSING,
        Ordering::SeqCst,
        Ordering::Relaxed,
    );
    if won.is_err() {
        return Err(refusal(handle));
    }
    for stripe in &slot.stripes {
        wait_for_zero(&stripe.0);
    }
    // SAFETY: the database is initialised since the phase was OPEN; this call alone made it
    // CLOSING; and no call is inside (see the top of this file). VACANT is stored below, so that
    // it is not read again.
    let db = unsafe { (*slot.db.get()).assume_init_read() };
    slot.word.store(word | VACANT, Ordering::Release);
    Ok(db)
}

/// The slot and the generation that `handle` names, if it has a handle's form and its slot
/// exists.
#[inline]
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
    let slot = Slot {
        stripes: [const { Stripe(AtomicUsize::new(0)) }; STRIPES],
        word: AtomicU64::new(VACANT),
        db: UnsafeCell::new(MaybeUninit::uninit()),
    };
    // SAFETY: the memory was just allocated with a slot's size and alignment, is initialised
    // before it is borrowed, and is never freed.
    unsafe {
        memory.write(slot);
        Ok(&*memory)
    }
}

/// A counter for this thread. Threads have stacks apart from each other, so the address of a
/// local variable tells them apart, at no cost; which counter it is does not matter, as long as
/// the one that was raised is the one that is lowered.
#[inline]
fn stripe_of_this_thread() -> usize {
    const GOLDEN: usize = 0x9E37_79B9_7F4A_7C15;
    let local = 0_u8;
    let page = (&raw const local).addr() >> 16;
    page.wrapping_mul(GOLDEN) >> (usize::BITS - STRIPES.ilog2())
}

/// Waits until `count` has been 0: at first busily, for calls that are about to leave.
fn wait_for_zero(count: &AtomicUsize) {
    for round in 0_u64.. {
        if count.load(Ordering::SeqCst) == 0 {
            return;
        }
        match round {
            0..64 => std::hint::spin_loop(),
            64..256 => std::thread::yield_now(),
            _ => std::thread::sleep(Duration::from_micros(200)),
        }
    }
}

#[cfg(test)]
#[path = "handle_tests.rs"]
mod tests;
