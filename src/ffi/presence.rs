//! Who is inside which database: what each thread's record ([`crate::epoch`]) says of the handle it
//! uses.

use crate::epoch::{self, Patience, Seat};
use crate::error::Result;
use std::sync::atomic::Ordering;

/// Says that the thread uses a handle, until it is dropped.
pub(super) struct Presence(Seat);

impl Drop for Presence {
    #[inline(always)]
    fn drop(&mut self) {
        // Release: what the call did comes before what the closer does when it has read this.
        self.0.record().uses.store(0, Ordering::Release);
    }
}

/// Says that this thread uses `handle`. The caller makes a light barrier next.
#[inline(always)]
pub(super) fn announce(handle: usize) -> Result<Presence> {
    let mut seat = epoch::seat()?;
    if seat.record().uses.load(Ordering::Relaxed) != 0 {
        // A call inside a call: one record cannot say two things.
        seat = epoch::another_seat()?;
    }
    seat.record().uses.store(handle, Ordering::Relaxed);
    Ok(Presence(seat))
}

/// Whether this thread is in the middle of a call that uses `handle`.
pub(super) fn is_mine(handle: usize) -> Result<bool> {
    Ok(epoch::seat()?.record().uses.load(Ordering::Relaxed) == handle)
}

/// Waits until nobody uses `handle`. The caller has seen to it that nobody begins to, and has made
/// a heavy barrier since.
pub(super) fn wait_until_unused(handle: usize) {
    for record in epoch::records() {
        let mut waited = Patience::default();
        while record.uses.load(Ordering::Acquire) == handle {
            waited.a_little();
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use super::*;
    use std::thread;

    fn users(handle: usize) -> usize {
        epoch::records().filter(|record| record.uses.load(Ordering::SeqCst) == handle).count()
    }

    #[test]
    fn a_presence_is_seen_until_it_is_dropped() {
        let presence = announce(11).unwrap();
        assert_eq!(users(11), 1);
        let second = announce(11).unwrap();
        assert_eq!(users(11), 2);
        drop(presence);
        drop(second);
        assert_eq!(users(11), 0);
        wait_until_unused(11);
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
