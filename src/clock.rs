//! Time for values that expire: it never goes back.
//!
//! The clock on the wall may be set back; then values that had expired would come back, and others
//! live longer. So time here goes on at the pace of the steady clock, and follows the clock on the
//! wall only when that is ahead: values expire early by no more than it was set forward.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Where time comes from.
#[derive(Clone, Default)]
pub enum TimeSource {
    /// The machine.
    #[default]
    System,
    /// Whoever holds it too.
    Manual(Arc<ManualTime>),
}

/// Time that stands still until it is set, for tests.
#[derive(Debug, Default)]
pub struct ManualTime {
    /// The clock on the wall: milliseconds since 1970.
    pub wall_ms: AtomicU64,
    /// The steady clock, in milliseconds.
    pub steady_ms: AtomicU64,
}

impl ManualTime {
    /// Lets both clocks go on.
    pub fn advance(&self, ms: u64) {
        self.wall_ms.fetch_add(ms, Ordering::SeqCst);
        self.steady_ms.fetch_add(ms, Ordering::SeqCst);
    }
}

impl fmt::Debug for TimeSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TimeSource::System => "System",
            TimeSource::Manual(_) => "Manual",
        })
    }
}

impl TimeSource {
    fn wall_ms(&self) -> u64 {
        match self {
            TimeSource::System => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH);
                since.map_or(0, |since| since.as_millis() as u64)
            }
            TimeSource::Manual(time) => time.wall_ms.load(Ordering::SeqCst),
        }
    }

    fn steady_ms(&self) -> u64 {
        static START: OnceLock<Instant> = OnceLock::new();
        match self {
            TimeSource::System => START.get_or_init(Instant::now).elapsed().as_millis() as u64,
            TimeSource::Manual(time) => time.steady_ms.load(Ordering::SeqCst),
        }
    }
}

/// The time of one database.
pub struct Clock {
    source: TimeSource,
    /// What is added to the steady clock. It only grows.
    offset: AtomicU64,
}

impl Clock {
    /// A clock that is not before `least_ms`.
    pub fn new(source: TimeSource, least_ms: u64) -> Clock {
        let offset = AtomicU64::new(least_ms.saturating_sub(source.steady_ms()));
        Clock { source, offset }
    }

    /// Milliseconds since 1970. No call answers less than one that ended before it began.
    pub fn now_ms(&self) -> u64 {
        // The wall first: a pause between the two makes the difference too small, not too large.
        let wall = self.source.wall_ms();
        let steady = self.source.steady_ms();
        let offset = wall.saturating_sub(steady);
        steady + self.offset.fetch_max(offset, Ordering::SeqCst).max(offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(wall: u64) -> (Arc<ManualTime>, TimeSource) {
        let time = Arc::new(ManualTime::default());
        time.wall_ms.store(wall, Ordering::SeqCst);
        (Arc::clone(&time), TimeSource::Manual(time))
    }

    #[test]
    fn time_follows_the_wall_forward_and_never_back() {
        let (time, source) = at(1_000_000);
        let clock = Clock::new(source, 0);
        assert_eq!(clock.now_ms(), 1_000_000);
        time.advance(10);
        assert_eq!(clock.now_ms(), 1_000_010);
        time.wall_ms.store(500_000, Ordering::SeqCst);
        assert_eq!(clock.now_ms(), 1_000_010, "set back");
        time.advance(7);
        assert_eq!(clock.now_ms(), 1_000_017, "it goes on all the same");
        time.wall_ms.store(2_000_000, Ordering::SeqCst);
        assert_eq!(clock.now_ms(), 2_000_000, "set forward");
    }

    #[test]
    fn time_does_not_begin_before_where_it_was() {
        let (time, source) = at(1000);
        let clock = Clock::new(source, 5000);
        assert_eq!(clock.now_ms(), 5000);
        time.advance(3);
        assert_eq!(clock.now_ms(), 5003);
    }

    #[test]
    fn the_machine_has_a_clock() {
        let clock = Clock::new(TimeSource::System, 0);
        let now = clock.now_ms();
        assert!(now > 1_700_000_000_000);
        assert!(clock.now_ms() >= now);
    }
}
