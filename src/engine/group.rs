//! Group commit: of all who wait for the medium one syncs, for itself and for everybody whose
//! record was in the log when it began. The others sleep.
//!
//! A sync covers what was in the log when the leader looked at its end. Whoever comes later waits
//! for the next one, and does not wake for this one, but for a single one that leads the next.

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Condvar, Mutex};

use crate::error::{Error, Result};
use crate::wrong_turn::unless;

/// How often a leader lets others run before it begins. Measured with 16 threads on 2 processors:
/// 0 makes groups of 9, 1 of 12, 2 of 15.
const GATHERING_YIELDS: usize = 2;

/// Those who wait for a sync.
#[derive(Default)]
pub struct Group {
    state: Mutex<State>,
    /// Those who wait for the end of round n sleep at the one with its parity.
    ended: [Condvar; 2],
    led: AtomicU64,
    followed: AtomicU64,
}

#[derive(Default)]
struct State {
    /// The sync that is under way, or else the next one.
    round: u64,
    is_led: bool,
    /// The sync under way covers the sequences below this, once that is known.
    covered: Option<u64>,
    /// How many wait for a round, by its parity.
    waiting: [usize; 2],
    failed: Option<Failed>,
    /// How many there were around the last sync: those whom it covered, and those who came late.
    expected: usize,
}

/// The last sync that failed.
struct Failed {
    round: u64,
    covered: u64,
    error: Error,
}

/// What somebody who wants a sync is to do.
pub enum Turn<'a> {
    /// Nothing: another has synced, with this result.
    Over(Result<()>),
    /// Sync.
    Lead(Leader<'a>),
}

/// The one who syncs. When it goes, the next one leads.
pub struct Leader<'a> {
    group: &'a Group,
    round: u64,
}

impl Group {
    /// Waits until a sync has covered `sequence`, or until it is this thread's turn to sync.
    /// `is_done` answers whether everything below it is on the medium.
    pub fn join(&self, sequence: u64, is_done: impl Fn() -> bool) -> Turn<'_> {
        let mut state = self.state.lock();
        let joined = state.round;
        loop {
            if is_done() {
                return self.leave(&state, Ok(()));
            }
            if let Some(failed) = &state.failed {
                if failed.round >= joined && failed.covered >= sequence {
                    let error = failed.error.clone();
                    return self.leave(&state, unless!(FailedSyncNotShared, Err(error)));
                }
            }
            if !state.is_led {
                state.is_led = true;
                return Turn::Lead(Leader { group: self, round: state.round });
            }
            let comes_late = state.covered.is_some_and(|covered| covered < sequence);
            let at = parity(state.round + u64::from(comes_late));
            state.waiting[at] += 1;
            self.ended[at].wait(&mut state);
            state.waiting[at] -= 1;
        }
    }

    fn leave(&self, state: &State, result: Result<()>) -> Turn<'_> {
        self.followed.fetch_add(1, Ordering::Relaxed);
        if !state.is_led {
            // Perhaps this one was woken to lead.
            self.ended[parity(state.round)].notify_one();
        }
        Turn::Over(result)
    }

    /// How many syncs there were, and how many were spared by waiting for another's.
    pub fn counts(&self) -> (u64, u64) {
        (self.led.load(Ordering::Relaxed), self.followed.load(Ordering::Relaxed))
    }
}

impl Leader<'_> {
    /// Lets those come along whom the last sync has just woken, if they are about to: else they
    /// and those who came late to it would take turns, in groups of half the size.
    pub fn gather(&self) {
        for _ in 0..GATHERING_YIELDS {
            let state = self.group.state.lock();
            if state.waiting[parity(self.round)] + 1 >= state.expected {
                return;
            }
            drop(state);
            std::thread::yield_now();
        }
    }

    /// Says that the sync under way covers the sequences below `covered`.
    pub fn covers(&self, covered: u64) {
        self.group.state.lock().covered = Some(covered);
    }

    /// Ends the sync: everybody whom it covers has this result.
    pub fn finish(self, result: Result<()>) -> Result<()> {
        self.group.led.fetch_add(1, Ordering::Relaxed);
        if let Err(error) = &result {
            let mut state = self.group.state.lock();
            if let Some(covered) = state.covered {
                state.failed = Some(Failed { round: self.round, covered, error: error.clone() });
            }
        }
        result
    }
}

impl Drop for Leader<'_> {
    fn drop(&mut self) {
        let mut state = self.group.state.lock();
        state.is_led = false;
        state.covered = None;
        state.round += 1;
        state.expected = 1 + state.waiting[0] + state.waiting[1];
        drop(state);
        self.group.ended[parity(self.round)].notify_all();
        self.group.ended[parity(self.round + 1)].notify_one();
    }
}

fn parity(round: u64) -> usize {
    (round % 2) as usize
}

#[cfg(test)]
#[allow(clippy::panic, reason = "a panic is how a test fails")]
mod tests {
    use super::*;
    use crate::error::Kind;

    fn lead(group: &Group) -> Leader<'_> {
        match group.join(1, || false) {
            Turn::Lead(leader) => leader,
            Turn::Over(_) => panic!("nobody else syncs"),
        }
    }

    /// Has two wait for a sync that covers one of them, and ends it so.
    fn share(result: Result<()>) -> (Option<Result<()>>, Option<Result<()>>) {
        let group = Group::default();
        let leader = lead(&group);
        let durable = AtomicU64::new(0);
        let wait =
            |sequence| match group.join(sequence, || durable.load(Ordering::SeqCst) >= sequence) {
                Turn::Over(result) => Some(result),
                Turn::Lead(_) => None,
            };
        let until = |waiting: usize| {
            while group.state.lock().waiting.iter().sum::<usize>() < waiting {
                std::thread::yield_now();
            }
        };
        std::thread::scope(|scope| {
            let early = scope.spawn(|| wait(10));
            until(1);
            leader.covers(10);
            let late = scope.spawn(|| wait(11));
            until(2);
            if result.is_ok() {
                durable.store(10, Ordering::SeqCst);
            }
            let _ = leader.finish(result);
            let joined = "a thread that waits ends";
            (early.join().expect(joined), late.join().expect(joined))
        })
    }

    #[test]
    fn a_sync_is_shared_by_those_whom_it_covers() {
        assert!(matches!(share(Ok(())), (Some(Ok(())), None)));
    }

    #[test]
    fn a_failure_is_shared_by_those_whom_it_would_have_covered() {
        let error = Error::new(Kind::OutOfMemory, "no memory");
        let (early, late) = share(Err(error));
        assert_eq!(early.and_then(Result::err).map(|error| error.kind()), Some(Kind::OutOfMemory));
        assert!(late.is_none(), "who came late syncs for itself");
    }

    #[test]
    fn a_leader_that_goes_without_a_result_leaves_the_turn_to_the_next() {
        let group = Group::default();
        drop(lead(&group));
        drop(lead(&group));
        assert_eq!(group.counts(), (0, 0));
    }
}
