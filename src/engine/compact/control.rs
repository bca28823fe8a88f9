//! What holds compaction up from outside: pausing, cancelling, closing; and how far it is.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::error::{Error, Kind, Result};

/// Shared by those who compact and those who have a say in it.
#[derive(Debug, Default)]
pub struct Control {
    paused: AtomicBool,
    /// The database is being closed.
    stopping: AtomicBool,
    /// How often compactions were cancelled.
    cancels: AtomicU64,
    /// Calls that wait for their turn to compact, or have it.
    callers: AtomicU32,
    /// The thread that compacts on a caller's behalf.
    owner: Mutex<Option<usize>>,
    /// Whether the background thread is in the middle of a compaction.
    in_background: Mutex<bool>,
    changed: Condvar,
    /// Bytes of the segments that the present compaction reads.
    pub total: AtomicU64,
    /// Bytes of them that it has read.
    pub done: AtomicU64,
    /// How near space is to its bound, in thousandths; see `View::pressure`.
    pub pressure: AtomicU32,
}

/// Says that something is going on until it is dropped.
pub struct Turn<'a> {
    control: &'a Control,
    in_background: bool,
}

impl Control {
    /// Takes part in compacting for a caller.
    pub fn call(&self) -> Result<Turn<'_>> {
        if *self.owner.lock() == Some(this_thread()) {
            let message = "this thread is compacting already: a progress function cannot compact";
            return Err(Error::new(Kind::Busy, message));
        }
        self.callers.fetch_add(1, Ordering::SeqCst);
        self.wake();
        Ok(Turn { control: self, in_background: false })
    }

    /// The caller has its turn: nobody else compacts.
    pub fn own(&self) {
        *self.owner.lock() = Some(this_thread());
    }

    /// Takes part in compacting in the background, unless it is paused.
    pub fn begin_in_background(&self) -> Option<Turn<'_>> {
        let mut in_background = self.in_background.lock();
        if self.background_must_end() {
            return None;
        }
        *in_background = true;
        Some(Turn { control: self, in_background: true })
    }

    /// Whether the background thread is to leave off.
    pub fn background_must_end(&self) -> bool {
        self.is_paused() || self.is_stopping() || self.callers.load(Ordering::SeqCst) > 0
    }

    /// Whether it was paused.
    pub fn is_paused(&self) -> bool {
        self.paused.load(Ordering::SeqCst)
    }

    /// Whether the database is being closed.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    /// Whether somebody compacts.
    pub fn is_running(&self) -> bool {
        self.total.load(Ordering::Relaxed) > 0
    }

    /// How often compactions were cancelled so far.
    pub fn cancels(&self) -> u64 {
        self.cancels.load(Ordering::SeqCst)
    }

    /// An error if a compaction that a caller began when [`Control::cancels`] was `cancels` is to
    /// end.
    pub fn check(&self, cancels: u64) -> Result<()> {
        if self.is_stopping() {
            return Err(cancelled("the database is being closed"));
        }
        if self.cancels() != cancels {
            return Err(cancelled("compaction was cancelled"));
        }
        Ok(())
    }

    /// Ends all compactions that callers have begun.
    pub fn cancel(&self) {
        self.cancels.fetch_add(1, Ordering::SeqCst);
    }

    /// Keeps the background thread from compacting; returns when it does not any more.
    pub fn pause(&self) {
        self.paused.store(true, Ordering::SeqCst);
        let mut in_background = self.in_background.lock();
        self.changed.notify_all();
        while *in_background {
            self.changed.wait(&mut in_background);
        }
    }

    /// Lets the background thread compact again.
    pub fn resume(&self) {
        self.paused.store(false, Ordering::SeqCst);
    }

    /// Ends all compactions for good.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        self.wake();
    }

    fn wake(&self) {
        let _held = self.in_background.lock();
        self.changed.notify_all();
    }

    /// Rests, but not when the background thread is to leave off.
    pub fn rest(&self, time: Duration) {
        if time.is_zero() {
            return;
        }
        let mut in_background = self.in_background.lock();
        if !self.background_must_end() {
            self.changed.wait_for(&mut in_background, time);
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if self.in_background {
            *self.control.in_background.lock() = false;
            self.control.changed.notify_all();
            return;
        }
        let mut owner = self.control.owner.lock();
        if *owner == Some(this_thread()) {
            *owner = None;
        }
        self.control.callers.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The error of a compaction that was ended before its time.
#[cold]
pub fn cancelled(why: &str) -> Error {
    Error::new(Kind::Cancelled, why)
}

/// A number that no other living thread has. The standard library's costs memory that the main
/// thread of a C program never gives back.
fn this_thread() -> usize {
    thread_local!(static PLACE: u8 = const { 0 });
    PLACE.with(|place| std::ptr::from_ref(place).addr())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::time::Instant;

    #[test]
    fn pausing_waits_until_the_background_thread_has_left_off() {
        let control = Arc::new(Control::default());
        let turn = control.begin_in_background().unwrap();
        let pausing = {
            let control = Arc::clone(&control);
            std::thread::spawn(move || control.pause())
        };
        // A rest of an hour ends when it is paused.
        control.rest(Duration::from_secs(3600));
        while !control.background_must_end() {
            control.rest(Duration::from_secs(3600));
        }
        assert!(!pausing.is_finished());
        drop(turn);
        pausing.join().unwrap();
        assert!(control.begin_in_background().is_none());
        control.resume();
        assert!(control.begin_in_background().is_some());
    }

    #[test]
    fn a_rest_lasts_as_long_as_it_should_unless_a_caller_comes() {
        let control = Arc::new(Control::default());
        let (short, long) = (Duration::from_millis(5), Duration::from_secs(20));
        let began = Instant::now();
        control.rest(short);
        assert!(began.elapsed() >= short);
        let resting = {
            let control = Arc::clone(&control);
            std::thread::spawn(move || control.rest(long))
        };
        std::thread::sleep(4 * short);
        let _turn = control.call().unwrap();
        resting.join().unwrap();
        assert!(began.elapsed() < long);
    }

    #[test]
    fn a_caller_waits_for_another_threads_turn() {
        let control = Control::default();
        let _turn = control.call().unwrap();
        control.own();
        std::thread::scope(|scope| {
            scope.spawn(|| assert!(control.call().is_ok()));
        });
    }

    #[test]
    fn a_caller_sends_the_background_thread_away_and_cannot_call_twice() {
        let control = Control::default();
        let turn = control.call().unwrap();
        control.own();
        assert!(control.begin_in_background().is_none());
        assert_eq!(control.call().err().map(|e| e.kind()), Some(Kind::Busy));
        drop(turn);
        assert!(control.begin_in_background().is_some());
        assert!(control.call().is_ok());
    }

    #[test]
    fn cancelling_ends_what_was_begun_before() {
        let control = Control::default();
        let before = control.cancels();
        assert!(control.check(before).is_ok());
        control.cancel();
        assert_eq!(control.check(before).unwrap_err().kind(), Kind::Cancelled);
        assert!(control.check(control.cancels()).is_ok());
        control.stop();
        assert_eq!(control.check(control.cancels()).unwrap_err().kind(), Kind::Cancelled);
    }
}
