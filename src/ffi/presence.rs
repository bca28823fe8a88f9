//! Who is inside: one record for each thread that calls, which says what it is using now.
//!
//! A record is written by its thread alone, with plain stores, so that a call costs no locked
//! instruction and no shared cache line. It is never freed: a thread that ends leaves it for the
//! next one, so there are as many as ever were needed at once.

use super::convert;
use crate::error::Result;
use std::alloc::Layout;
use std::cell::Cell;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};
use std::time::Duration;

/// One thread's presence, with its cache line and the one that is fetched with it.
#[repr(align(128))]
pub(super) struct Record {
    /// The handle that the thread is using; 0: none.
    uses: AtomicUsize,
    /// Whether a thread has the record.
    taken: AtomicBool,
    /// Whether it has it for one call only.
    lent: AtomicBool,
    /// The record that was made before this one. It does not change once this is in the list.
    next: *const Record,
}

/// The record that was made last.
static NEWEST: AtomicPtr<Record> = AtomicPtr::new(ptr::null_mut());

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
            record.taken.store(false, Ordering::Release);
        }
    }
}

/// Says that the thread uses a handle, until it is dropped.
pub(super) struct Presence(&'static Record);

impl Drop for Presence {
    #[inline]
    fn drop(&mut self) {
        // Release: what the call did comes before what the closer does when it has read this.
        self.0.uses.store(0, Ordering::Release);
        if self.0.lent.load(Ordering::Relaxed) {
            self.0.lent.store(false, Ordering::Relaxed);
            self.0.taken.store(false, Ordering::Release);
        }
    }
}

/// Says that this thread uses `handle`. The caller makes a light barrier next.
#[inline(always)]
pub(super) fn announce(handle: usize) -> Result<Presence> {
    // SAFETY: NULL, or a record, and records are never freed.
    let record = match unsafe { MINE.get().as_ref() } {
        Some(record) if record.uses.load(Ordering::Relaxed) == 0 => record,
        _ => another_record()?,
    };
    record.uses.store(handle, Ordering::Relaxed);
    Ok(Presence(record))
}

/// Waits until nobody uses `handle`: busily at first, for calls that are about to leave. The
/// caller has seen to it that nobody begins to, and has made a heavy barrier since.
pub(super) fn wait_until_unused(handle: usize) {
    for record in records() {
        let mut round = 0_u64;
        while record.uses.load(Ordering::Acquire) == handle {
            match round {
                0..64 => std::hint::spin_loop(),
                64..256 => std::thread::yield_now(),
                _ => std::thread::sleep(Duration::from_micros(200)),
            }
            round += 1;
        }
    }
}

/// A record for a thread that has none, or whose record says already that it is inside.
#[cold]
fn another_record() -> Result<&'static Record> {
    let record = take()?;
    // Where the record cannot be kept, it is lent: to a call from the thread's last destructors,
    // and to a call inside a call.
    if MINE.get().is_null() && RETURN_AT_EXIT.try_with(|_| ()).is_ok() {
        MINE.set(record);
    } else {
        record.lent.store(true, Ordering::Relaxed);
    }
    Ok(record)
}

/// A record that no thread has.
fn take() -> Result<&'static Record> {
    let free = records().find(|record| {
        // Acquire: what the last one who had it wrote comes first.
        record.taken.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).is_ok()
    });
    if let Some(record) = free {
        return Ok(record);
    }
    let layout = Layout::new::<Record>();
    // SAFETY: a record has a size.
    let memory = unsafe { std::alloc::alloc(layout) }.cast::<Record>();
    if memory.is_null() {
        return Err(convert::out_of_memory(layout.size()));
    }
    let mut next = NEWEST.load(Ordering::Relaxed);
    loop {
        let record = Record {
            uses: AtomicUsize::new(0),
            taken: AtomicBool::new(true),
            lent: AtomicBool::new(false),
            next,
        };
        // SAFETY: the memory was just allocated with a record's size and alignment, and nobody
        // else knows of it before the exchange succeeds.
        unsafe { memory.write(record) };
        match NEWEST.compare_exchange(next, memory, Ordering::AcqRel, Ordering::Relaxed) {
            // SAFETY: initialised above, and never freed or borrowed mutably.
            Ok(_) => return Ok(unsafe { &*memory }),
            Err(newer) => next = newer,
        }
    }
}

/// Every record there is.
fn records() -> impl Iterator<Item = &'static Record> {
    // SAFETY: NULL or a record, which was initialised before it was stored and is never freed.
    let newest = unsafe { NEWEST.load(Ordering::Acquire).as_ref() };
    // SAFETY: as above; the chain was complete when its newest record was stored.
    std::iter::successors(newest, |record| unsafe { record.next.as_ref() })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use super::*;
    use std::thread;

    fn users(handle: usize) -> usize {
        records().filter(|record| record.uses.load(Ordering::SeqCst) == handle).count()
    }

    #[test]
    fn a_presence_is_seen_until_it_is_dropped() {
        let presence = announce(11).unwrap();
        assert!(!presence.0.lent.load(Ordering::SeqCst));
        assert_eq!(users(11), 1);
        let second = announce(11).unwrap();
        assert!(second.0.lent.load(Ordering::SeqCst), "one record cannot say two things");
        assert_eq!(users(11), 2);
        drop(presence);
        drop(second);
        assert_eq!(users(11), 0);
        wait_until_unused(11);
    }

    #[test]
    fn threads_that_ended_leave_their_records_to_the_next() {
        thread::spawn(|| drop(announce(12).unwrap())).join().unwrap();
        for _ in 0..200 {
            thread::spawn(|| drop(announce(12).unwrap())).join().unwrap();
        }
        let count = records().count();
        assert!(count < 100, "{count} records, though few threads ran at once");
    }

    #[test]
    fn a_thread_can_call_while_it_ends() {
        struct CallAtExit;
        impl Drop for CallAtExit {
            fn drop(&mut self) {
                drop(announce(13).unwrap());
            }
        }
        thread_local!(static LAST: CallAtExit = const { CallAtExit });
        // Thread-locals are dropped in the reverse order, or in this one; both are tried.
        let first = thread::spawn(|| {
            LAST.with(|_| ());
            drop(announce(13).unwrap());
        });
        let second = thread::spawn(|| {
            drop(announce(13).unwrap());
            LAST.with(|_| ());
        });
        assert!(first.join().is_ok() && second.join().is_ok());
        assert_eq!(users(13), 0);
    }
}
