//! How fast compaction goes in the background: a limit in bytes per second that gives way to the
//! bound on space, and rests that leave the processors to others while there is no hurry.

use std::time::Duration;

/// Bytes that may be spent at once after a rest.
const BURST: f64 = (1 << 20) as f64;
/// With less pressure than this, compaction rests between its steps. With more it does not, and
/// writers are slowed.
pub const CALM_BELOW: f64 = 0.25;
/// The longest rest between two steps for the sake of others.
const LONGEST_REST: Duration = Duration::from_millis(10);
/// The longest rest for the sake of the limit: then it is worked out again.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// A token bucket. It knows no clock: each call says what time it is.
#[derive(Debug)]
pub struct Throttle {
    /// Bytes per second; 0 is no limit.
    limit: u64,
    /// Bytes that may be spent now; below 0 what was spent too early.
    tokens: f64,
    /// When the tokens were last counted.
    counted: Duration,
}

impl Throttle {
    /// A throttle that begins at the time `now`.
    pub fn new(limit: u64, now: Duration) -> Throttle {
        Throttle { limit, tokens: BURST, counted: now }
    }

    /// The bytes per second allowed under `pressure`: the limit where there is none, the more the
    /// nearer space comes to its bound, and without an end there, at 1.
    fn rate(&self, pressure: f64) -> f64 {
        if self.limit == 0 || pressure >= 1.0 {
            return f64::INFINITY;
        }
        self.limit as f64 / (1.0 - pressure.max(0.0))
    }

    /// How long to rest after a step of `bytes` that lasted from `begun` to `now`, under a pressure
    /// of so many thousandths.
    pub fn rest(&mut self, begun: Duration, now: Duration, bytes: u64, pressure: u32) -> Duration {
        let pressure = f64::from(pressure) / 1000.0;
        let rate = self.rate(pressure);
        let gone = now.saturating_sub(self.counted).as_secs_f64();
        self.counted = now;
        let wait = if rate.is_finite() {
            self.tokens = (self.tokens + gone * rate).min(BURST) - bytes as f64;
            Duration::from_secs_f64((-self.tokens / rate).clamp(0.0, LONGEST_WAIT.as_secs_f64()))
        } else {
            self.tokens = BURST;
            Duration::ZERO
        };
        let calm = (1.0 - pressure / CALM_BELOW).clamp(0.0, 1.0);
        let share = now.saturating_sub(begun).mul_f64(calm).min(LONGEST_REST);
        wait.max(share)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: u64 = 1 << 16;
    /// More than any limit here lets through in ten seconds.
    const NO_LIMIT: u64 = 1 << 32;

    /// Bytes that steps without duration get through in ten seconds.
    fn spent(limit: u64, pressure: u32) -> u64 {
        let mut now = Duration::ZERO;
        let mut throttle = Throttle::new(limit, now);
        let mut bytes = 0;
        while now < Duration::from_secs(10) && bytes < NO_LIMIT {
            now += throttle.rest(now, now, STEP, pressure);
            bytes += STEP;
        }
        bytes
    }

    #[test]
    fn the_limit_holds_while_there_is_no_pressure() {
        let limit = 4 << 20;
        let bytes = spent(limit, 0);
        let burst = BURST as u64;
        assert!((10 * limit..=10 * limit + burst + STEP).contains(&bytes), "{bytes}");
        // A limit below a step holds as well: the rest is cut, and goes on after the next step.
        let bytes = spent(1000, 0);
        assert!(bytes < burst + 12 * STEP, "{bytes}");
    }

    #[test]
    fn pressure_raises_the_limit_smoothly_until_there_is_none() {
        let limit = 4 << 20;
        let mut last = 0;
        for tenths in 0..10 {
            let bytes = spent(limit, tenths * 100);
            assert!(bytes > last, "{tenths} tenths: {bytes} after {last}");
            last = bytes;
        }
        assert!(last > 80 * limit, "{last}");
        assert_eq!(spent(limit, 1000), NO_LIMIT);
        assert_eq!(spent(limit, 7500), NO_LIMIT);
        assert_eq!(spent(0, 0), NO_LIMIT);
    }

    #[test]
    fn a_step_is_followed_by_as_long_a_rest_unless_there_is_pressure() {
        let mut throttle = Throttle::new(0, Duration::ZERO);
        let (begun, now) = (Duration::from_millis(10), Duration::from_millis(14));
        let mut rest = |pressure| throttle.rest(begun, now, STEP, pressure);
        assert_eq!(rest(0), Duration::from_millis(4));
        assert_eq!(rest(125), Duration::from_millis(2));
        assert_eq!(rest(250), Duration::ZERO);
        assert_eq!(rest(3000), Duration::ZERO);
        let late = Duration::from_secs(5);
        assert_eq!(throttle.rest(begun, late, STEP, 0), LONGEST_REST);
    }
}
