//! Who is inside: one record for each thread that calls, which says what it is doing now. A room of
//! `unsafe`.
//!
//! A record is written by its thread alone, with plain stores, so that a call costs no locked
//! instruction and no shared cache line. It is never freed: a thread that ends leaves it for the
//! next one, so there are as many as ever were needed at once.

use std::alloc::Layout;
use std::ptr;

use crate::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering};
use crate::error::{Error, Kind, Result};
use crate::storage::barrier;

/// How many things a thread can keep at hand at the library's boundary.
pub const KEEPS: usize = 8;

/// What one thread is doing, with its cache line and the one that is fetched with it.
#[repr(align(128))]
pub struct Record {
    /// What the thread is using at the library's boundary; 0: nothing.
    pub uses: AtomicUsize,
    /// What the thread keeps at hand there; 0: nothing. Who has the record next has it.
    pub keeps: [AtomicUsize; KEEPS],
    /// Odd while the thread is pinned; pinning and unpinning add one each.
    turn: AtomicU64,
    /// Whether a thread has the record.
    taken: AtomicBool,
    /// The record that was made before this one. It does not change once this is in the list.
    next: *const Record,
}

// SAFETY: `next` is not changed once the record is shared, and points to what is never freed.
unsafe impl Sync for Record {}

impl Record {
    /// Pins the thread whose record this is. Answers `false`, and does nothing, if it is pinned.
    #[inline(always)]
    pub fn pin(&self) -> bool {
        let turn = self.turn.load(Ordering::Relaxed);
        if turn % 2 == 1 {
            return false;
        }
        // Release: who waits for an earlier pin of this record, and sees this one instead, sees
        // also what was done under that one, maybe by another thread.
        self.turn.store(turn + 1, Ordering::Release);
        barrier::light();
        true
    }

    /// Takes the pin back.
    #[inline(always)]
    pub fn unpin(&self) {
        let turn = self.turn.load(Ordering::Relaxed);
        // Release: what was read under the pin comes before what is done to it by the one who
        // sees that it is gone.
        self.turn.store(turn + 1, Ordering::Release);
    }

    /// What tells this pin from all others of the record, if it is pinned.
    pub fn pinned_in(&self) -> Option<u64> {
        let turn = self.turn.load(Ordering::Acquire);
        (turn % 2 == 1).then_some(turn)
    }

    /// Whether the pin that [`Record::pinned_in`] told of is gone.
    pub fn has_left(&self, turn: u64) -> bool {
        self.turn.load(Ordering::Acquire) != turn
    }

    /// Gives the record to whoever needs one next.
    pub fn give_back(&self) {
        self.taken.store(false, Ordering::Release);
    }
}

/// The records that were ever needed.
pub struct Records {
    /// The one that was made last.
    newest: AtomicPtr<Record>,
}

impl Records {
    /// None yet.
    pub const fn new() -> Records {
        Records { newest: AtomicPtr::new(ptr::null_mut()) }
    }

    /// A record that no thread has.
    pub fn take(&self) -> Result<&'static Record> {
        let free = self.all().find(|record| {
            // Acquire: what the last one who had it wrote comes first.
            let (taken, relaxed) = (Ordering::Acquire, Ordering::Relaxed);
            record.taken.compare_exchange(false, true, taken, relaxed).is_ok()
        });
        match free {
            Some(record) => Ok(record),
            None => self.add(),
        }
    }

    /// Makes a record, taken, and puts it at the front of the list.
    fn add(&self) -> Result<&'static Record> {
        let layout = Layout::new::<Record>();
        // SAFETY: a record has a size.
        let memory = unsafe { std::alloc::alloc(layout) }.cast::<Record>();
        if memory.is_null() {
            let what = "there is no memory for what a new thread needs";
            return Err(Error::new(Kind::OutOfMemory, what));
        }
        let mut next = self.newest.load(Ordering::Relaxed);
        loop {
            let record = Record {
                uses: AtomicUsize::new(0),
                keeps: std::array::from_fn(|_| AtomicUsize::new(0)),
                turn: AtomicU64::new(0),
                taken: AtomicBool::new(true),
                next,
            };
            // SAFETY: the memory was just allocated with a record's size and alignment, and nobody
            // else knows of it before the exchange succeeds.
            unsafe { memory.write(record) };
            match self.newest.compare_exchange(next, memory, Ordering::AcqRel, Ordering::Relaxed) {
                // SAFETY: initialised above, and never freed or borrowed mutably.
                Ok(_) => return Ok(unsafe { &*memory }),
                Err(newer) => next = newer,
            }
        }
    }

    /// Every record there is.
    pub fn all(&self) -> impl Iterator<Item = &'static Record> {
        // SAFETY: NULL or a record, which was initialised before it was stored and is never freed.
        let newest = unsafe { self.newest.load(Ordering::Acquire).as_ref() };
        // SAFETY: as above; the chain was complete when its newest record was stored.
        std::iter::successors(newest, |record| unsafe { record.next.as_ref() })
    }
}
