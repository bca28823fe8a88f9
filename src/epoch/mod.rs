//! Readers without locks: what they look at is freed only when they have left.
//!
//! A reader pins its thread, and is then safe to look at whatever it finds through a [`Slot`].
//! Who takes something out of a slot waits for a grace period before it is freed: until every
//! thread that was pinned at that moment has unpinned at least once. Whoever pins later cannot find
//! it any more. A pin is two plain stores to a cache line that is the thread's own; the barrier
//! that this needs is paid by the one who waits ([`barrier`]). This is the read-copy-update of
//! McKenney and Slingwine (1998), in the form that Desnoyers et al. gave it for user space (2012).
//!
//! A pinned thread must not wait for a grace period, nor for a thread that does.

#![allow(unsafe_code, reason = "records and retired values are reached through raw pointers")]

mod record;
mod slot;

use std::cell::Cell;
use std::marker::PhantomData;
use std::ptr;
use std::time::Duration;

use parking_lot::Mutex;

use crate::error::Result;
use crate::storage::barrier;
use record::Records;
pub use record::{Record, KEEPS};
pub use slot::{release, Retired, Slot};

/// The threads of this process that ever called.
static RECORDS: Records = Records::new();

thread_local! {
    /// This thread's record, or NULL: it has nothing to drop, which makes it cheap to read.
    static MINE: Cell<*const Record> = const { Cell::new(ptr::null()) };
    /// Gives the record back when the thread ends.
    static RETURN_AT_EXIT: ReturnAtExit = const { ReturnAtExit };
}

struct ReturnAtExit;

impl Drop for ReturnAtExit {
    fn drop(&mut self) {
        // SAFETY: NULL, or a record, and records are never freed.
        if let Some(record) = unsafe { MINE.replace(ptr::null()).as_ref() } {
            record.give_back();
        }
    }
}

/// A record to write to, for as long as this lives.
pub struct Seat {
    record: &'static Record,
    /// Whether the thread has it for this time only.
    lent: bool,
    /// It is this thread's.
    _not_send: PhantomData<*const ()>,
}

impl Seat {
    /// The record.
    #[inline(always)]
    pub fn record(&self) -> &'static Record {
        self.record
    }
}

impl Drop for Seat {
    #[inline(always)]
    fn drop(&mut self) {
        if self.lent {
            self.record.give_back();
        }
    }
}

/// This thread's record.
#[inline(always)]
pub fn seat() -> Result<Seat> {
    // SAFETY: NULL, or a record, and records are never freed.
    match unsafe { MINE.get().as_ref() } {
        Some(record) => Ok(Seat { record, lent: false, _not_send: PhantomData }),
        None => another_seat(),
    }
}

/// A record for a thread that has none, or that needs one more. Where it cannot be kept, it is
/// lent: to a call from the thread's last destructors, and to a call inside a call.
#[cold]
pub fn another_seat() -> Result<Seat> {
    let record = RECORDS.take()?;
    let keep = MINE.get().is_null() && RETURN_AT_EXIT.try_with(|_| ()).is_ok();
    if keep {
        MINE.set(record);
    }
    Ok(Seat { record, lent: !keep, _not_send: PhantomData })
}

/// Every record there is.
pub fn records() -> impl Iterator<Item = &'static Record> {
    RECORDS.all()
}

/// The thread is pinned: what it finds in slots stays until this is dropped.
pub struct Guard {
    seat: Seat,
    /// Whether this pinned the thread, or one before it did.
    outermost: bool,
}

/// Pins the thread. Pins may be nested; the outermost one counts.
#[inline(always)]
pub fn pin() -> Result<Guard> {
    let seat = seat()?;
    let outermost = seat.record.pin();
    Ok(Guard { seat, outermost })
}

impl Drop for Guard {
    #[inline(always)]
    fn drop(&mut self) {
        if self.outermost {
            self.seat.record.unpin();
        }
    }
}

/// Returns when every thread that was pinned at the time of the call has unpinned since.
///
/// # Panics
/// If the calling thread is pinned: it would wait for itself.
pub fn synchronize() {
    // SAFETY: NULL, or a record, and records are never freed.
    let mine = unsafe { MINE.get().as_ref() };
    assert!(mine.is_none_or(|mine| mine.pinned_in().is_none()), "a pinned thread waits for itself");
    barrier::heavy();
    for record in records() {
        let Some(turn) = record.pinned_in() else { continue };
        let mut waited = Patience::default();
        while !record.has_left(turn) {
            waited.a_little();
        }
    }
}

/// Waiting: busily at first, for those who are about to leave.
#[derive(Default)]
pub struct Patience {
    rounds: u32,
}

impl Patience {
    /// Waits once more, longer if it was often before.
    pub fn a_little(&mut self) {
        match self.rounds {
            0..64 => crate::atomic::spin_loop(),
            64..256 => std::thread::yield_now(),
            _ => std::thread::sleep(Duration::from_micros(200)),
        }
        self.rounds = self.rounds.saturating_add(1);
    }
}

/// Garbage that no reader needs to wait for is collected when it holds this many bytes.
const COLLECTED_AT: usize = 64 << 10;

/// What waits to be freed.
static GARBAGE: Mutex<Garbage> =
    Mutex::new(Garbage { fresh: Vec::new(), fresh_bytes: 0, waiting: None });

struct Garbage {
    fresh: Vec<Box<dyn Send>>,
    fresh_bytes: usize,
    waiting: Option<Batch>,
}

/// Garbage whose grace period has begun.
struct Batch {
    items: Vec<Box<dyn Send>>,
    /// The pins it waits for.
    pins: Vec<(&'static Record, u64)>,
}

/// Frees `item`, which holds `bytes`, after a grace period: in this call or in a later one.
pub fn defer(item: Box<dyn Send>, bytes: usize) {
    let freed = {
        let mut garbage = GARBAGE.lock();
        match garbage.fresh.try_reserve(1) {
            Ok(()) => garbage.fresh.push(item),
            // Readers may have it, and there is no memory to note it: it stays for ever.
            Err(_) => std::mem::forget(item),
        }
        garbage.fresh_bytes += bytes;
        match garbage.fresh_bytes >= COLLECTED_AT {
            true => garbage.collect(),
            false => Vec::new(),
        }
    };
    // Without the lock, since what is freed may have garbage of its own.
    drop(freed);
}

/// Frees all that was deferred before the call. The thread is not pinned.
pub fn flush() {
    let (fresh, waiting) = {
        let mut garbage = GARBAGE.lock();
        garbage.fresh_bytes = 0;
        (std::mem::take(&mut garbage.fresh), garbage.waiting.take())
    };
    synchronize();
    drop((fresh, waiting));
}

impl Garbage {
    /// Takes out what may be freed, and begins the grace period of the rest. Waits for nobody.
    fn collect(&mut self) -> Vec<Box<dyn Send>> {
        if let Some(batch) = &mut self.waiting {
            batch.pins.retain(|(record, turn)| !record.has_left(*turn));
            if !batch.pins.is_empty() {
                return Vec::new();
            }
        }
        let freed = self.waiting.take().map_or_else(Vec::new, |batch| batch.items);
        barrier::heavy();
        let pins = records().filter_map(|record| Some((record, record.pinned_in()?))).collect();
        self.waiting = Some(Batch { items: std::mem::take(&mut self.fresh), pins });
        self.fresh_bytes = 0;
        freed
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
