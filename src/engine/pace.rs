//! Back-pressure: writers who outrun what is done behind them pause now and then, a little at
//! first, instead of standing still when there is no room at all.
//!
//! A pause is at most [`LONGEST_PAUSE`], and outside all locks. How long and how often follows from
//! the pressure: parts of a bound, in thousandths. Where there is none, a put reads one word.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};

use super::herald::{ns, Herald};
use crate::notice::{Event, Figures, Level};

/// Nobody pauses for longer.
const LONGEST_PAUSE: Duration = Duration::from_millis(8);
/// A shorter pause is not worth a system call.
const SHORTEST_PAUSE: Duration = Duration::from_micros(50);
/// Pauses come after so many bytes of the log, up to the bound.
const SPAN: u64 = 256 << 10;
/// Above the bound, the bytes between two pauses are halved for each of these.
const HALVING: u64 = 125;
/// They are no fewer than this.
const SHORTEST_SPAN: u64 = 4 << 10;
/// Whoever writes more at once owes no more pauses than this.
const MOST_OWED: u64 = 64;
/// Writers who pause for so long …
const TOLD_AT: Duration = Duration::from_millis(20);
/// … in so long are told of, once.
const TOLD_IN: Duration = Duration::from_secs(1);
/// The pressure at a bound.
pub const FULL: u64 = 1000;

/// Where pressure comes from, besides full segments that wait for the medium.
#[derive(Clone, Copy, Debug)]
pub enum Source {
    /// Garbage, that compaction has not removed yet.
    Garbage,
    /// Room that the database may still take.
    Disk,
}

/// Who decides when a writer pauses.
pub struct Pacer {
    segment_size: u64,
    /// Without the thread that puts full segments on the medium, nobody must wait for it.
    is_on: AtomicBool,
    /// How many sources press.
    pressing: AtomicUsize,
    /// Full segments that are not on the medium.
    waiting: AtomicU64,
    /// Bytes written since the last of them became full.
    since: AtomicU64,
    sources: [AtomicU64; 2],
    /// Bytes that were written since the last pause.
    owed: AtomicU64,
    /// Held while somebody pauses: whoever comes meanwhile waits as well.
    gate: Mutex<Stall>,
    is_closed: AtomicBool,
    pauses: AtomicU64,
    paused_ns: AtomicU64,
    herald: Arc<Herald>,
}

/// The pauses of the last second or so.
#[derive(Default)]
struct Stall {
    began: Option<Instant>,
    pauses: u64,
    total: Duration,
}

impl Pacer {
    /// One that lets everybody pass until it is switched on.
    pub fn new(segment_size: u64, herald: Arc<Herald>) -> Pacer {
        Pacer {
            segment_size,
            is_on: AtomicBool::new(false),
            pressing: AtomicUsize::new(0),
            waiting: AtomicU64::new(0),
            since: AtomicU64::new(0),
            sources: Default::default(),
            owed: AtomicU64::new(0),
            gate: Mutex::default(),
            is_closed: AtomicBool::new(false),
            pauses: AtomicU64::new(0),
            paused_ns: AtomicU64::new(0),
            herald,
        }
    }

    /// From now on somebody relieves the pressure, or does not any more.
    pub fn switch(&self, is_on: bool) {
        self.is_on.store(is_on, Ordering::Relaxed);
    }

    /// A segment is full.
    pub fn fill(&self) {
        self.since.store(0, Ordering::Relaxed);
        if self.waiting.fetch_add(1, Ordering::Relaxed) == 0 {
            self.pressing.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A full segment is on the medium.
    pub fn settle(&self) {
        if self.waiting.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.pressing.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Says how near to its bound a source is, in thousandths: 0 where writers need not care.
    pub fn press(&self, source: Source, pressure: u64) {
        let old = self.sources[source as usize].swap(pressure, Ordering::Relaxed);
        if old == 0 && pressure > 0 {
            self.pressing.fetch_add(1, Ordering::Relaxed);
        } else if old > 0 && pressure == 0 {
            self.pressing.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Full segments that are not on the medium.
    pub fn waiting(&self) -> u64 {
        self.waiting.load(Ordering::Relaxed)
    }

    /// How many pauses there were, and how many nanoseconds they were asked to last.
    pub fn counts(&self) -> (u64, u64) {
        (self.pauses.load(Ordering::Relaxed), self.paused_ns.load(Ordering::Relaxed))
    }

    /// Returns when whoever has written `len` bytes may go on. The caller holds no lock.
    #[inline]
    pub fn pace(&self, len: usize) {
        if self.pressing.load(Ordering::Relaxed) != 0 && self.is_on.load(Ordering::Relaxed) {
            self.pace_slowly(len as u64);
        }
    }

    #[cold]
    fn pace_slowly(&self, len: u64) {
        let due = self.due(len);
        if due.is_none() && !self.is_closed.load(Ordering::Relaxed) {
            return;
        }
        let (Some(pause), Some(mut gate)) = (due, self.gate.try_lock()) else {
            // Another pauses, for all.
            MutexGuard::unlock_fair(self.gate.lock());
            return;
        };
        self.is_closed.store(true, Ordering::Relaxed);
        std::thread::sleep(pause);
        self.is_closed.store(false, Ordering::Relaxed);
        self.pauses.fetch_add(1, Ordering::Relaxed);
        self.paused_ns.fetch_add(pause.as_nanos() as u64, Ordering::Relaxed);
        self.tell(&mut gate, pause);
        // Those who wait go first: else one of them could wait for many pauses.
        MutexGuard::unlock_fair(gate);
    }

    /// Tells of writers who pause much, not more often than once in a while.
    fn tell(&self, stall: &mut Stall, pause: Duration) {
        let now = Instant::now();
        if stall.began.is_none_or(|began| now.duration_since(began) > TOLD_IN) {
            *stall = Stall { began: Some(now), ..Stall::default() };
        }
        let was_told = stall.total >= TOLD_AT;
        stall.pauses += 1;
        stall.total += pause;
        if was_told || stall.total < TOLD_AT {
            return;
        }
        let part = |source: Source| self.sources[source as usize].load(Ordering::Relaxed);
        let (pauses, total, waiting) = (stall.pauses, stall.total, self.waiting());
        let figures = Figures { count: pauses, duration_ns: ns(total), ..Figures::default() };
        let words = format_args!(
            "writers are slowed: {pauses} pauses of {total:.1?} together; {waiting} full segments \
             wait for the medium, garbage is at {} and disk space at {} thousandths of the bound",
            part(Source::Garbage),
            part(Source::Disk),
        );
        self.herald.tell(Level::Warn, Event::Stalled, figures, words);
    }

    /// Counts `len` bytes. Answers how long to pause, if it is time to.
    fn due(&self, len: u64) -> Option<Duration> {
        let since = self.since.fetch_add(len, Ordering::Relaxed) + len;
        let pressure = self.pressure(since);
        let span = span(pressure);
        let owed = self.owed.fetch_add(len, Ordering::Relaxed) + len;
        if owed < span {
            return None;
        }
        self.owed.store((owed - span).min(span * MOST_OWED), Ordering::Relaxed);
        let pause = pause(pressure);
        (pause >= SHORTEST_PAUSE).then_some(pause)
    }

    /// The highest of all pressures. One full segment is no matter, two are half of the bound, and
    /// three are all of it; in between it grows as the active segment fills.
    fn pressure(&self, since: u64) -> u64 {
        let part = |source: &AtomicU64| source.load(Ordering::Relaxed);
        let others = self.sources.iter().map(part).max().unwrap_or(0);
        let filling = since.min(self.segment_size) * (FULL / 2) / self.segment_size;
        match self.waiting() {
            0 => others,
            waiting => others.max((waiting - 1) * (FULL / 2) + filling),
        }
    }
}

/// How long to pause under this pressure.
fn pause(pressure: u64) -> Duration {
    let pressure = pressure.min(FULL) as u32;
    LONGEST_PAUSE * pressure / FULL as u32 * pressure / FULL as u32
}

/// After how many bytes to pause under this pressure.
fn span(pressure: u64) -> u64 {
    let halvings = pressure.saturating_sub(FULL) / HALVING;
    (SPAN >> halvings.min(32)).max(SHORTEST_SPAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEGMENT: u64 = 64 << 20;

    /// The pauses of a writer of records of `len` bytes, while it fills a segment.
    fn pauses(pacer: &Pacer, len: u64, bytes: u64) -> Vec<Duration> {
        (0..bytes / len).filter_map(|_| pacer.due(len)).collect()
    }

    fn pressed(waiting: u64) -> Pacer {
        let pacer = Pacer::new(SEGMENT, Arc::default());
        (0..waiting).for_each(|_| pacer.fill());
        pacer
    }

    #[test]
    fn pauses_grow_with_the_pressure_and_stay_short() {
        let mut last = (Duration::ZERO, SPAN);
        for pressure in 0..10 * FULL {
            let now = (pause(pressure), span(pressure));
            assert!(now.0 >= last.0 && now.1 <= last.1 && now.0 <= LONGEST_PAUSE);
            assert!(now.0 - last.0 < Duration::from_micros(20), "a leap at {pressure}");
            last = now;
        }
        assert_eq!(last, (LONGEST_PAUSE, SHORTEST_SPAN));
        assert_eq!(pause(FULL / 2), LONGEST_PAUSE / 4);
    }

    #[test]
    fn each_full_segment_makes_writers_slower() {
        let total = |waiting| pauses(&pressed(waiting), 1000, SEGMENT).iter().sum::<Duration>();
        let times: Vec<Duration> = (0..6).map(total).collect();
        assert_eq!(times[0], Duration::ZERO);
        // As a rule one segment is being put on the medium: that must cost next to nothing at
        // first. Filling another one meanwhile lasts 0.2 s longer, 1 s, 10 s, and then minutes.
        let about = [0.0, 0.17, 1.2, 12.0, 120.0].map(Duration::from_secs_f64);
        for (time, about) in times.iter().zip(about) {
            assert!(*time >= about / 2 && *time <= about * 3, "{times:?}");
        }
        assert!(times[5] > Duration::from_secs(60), "{times:?}");
        let first = pauses(&pressed(1), 1000, SEGMENT / 16);
        assert!(first.is_empty(), "{first:?}");
    }

    #[test]
    fn the_size_of_records_makes_no_difference() {
        let mut sums = Vec::new();
        for len in [100, 10_000, 1 << 20] {
            let pacer = pressed(3);
            sums.push(pauses(&pacer, len, SEGMENT / 4).len());
        }
        // A long record owes pauses, which those after it make.
        let pacer = pressed(3);
        assert!(pacer.due(4 << 20).is_some());
        assert_eq!(pauses(&pacer, 100, 1600).len(), 15, "{sums:?}");
        assert!(sums[0].abs_diff(sums[1]) < 10, "{sums:?}");
    }

    #[test]
    fn sources_press_until_they_are_relieved() {
        let pacer = Pacer::new(SEGMENT, Arc::default());
        pacer.switch(true);
        let is_pressed = |pacer: &Pacer| pacer.pressing.load(Ordering::Relaxed) != 0;
        pacer.press(Source::Garbage, 300);
        pacer.press(Source::Garbage, 700);
        pacer.press(Source::Disk, 100);
        assert!(is_pressed(&pacer));
        assert_eq!(pacer.pressure(0), 700);
        pacer.press(Source::Garbage, 0);
        assert_eq!(pacer.pressure(0), 100);
        pacer.press(Source::Disk, 0);
        assert!(!is_pressed(&pacer));
        pacer.fill();
        pacer.fill();
        pacer.settle();
        assert!(is_pressed(&pacer));
        pacer.settle();
        assert!(!is_pressed(&pacer));
        pacer.pace(usize::MAX);
        assert_eq!(pacer.counts(), (0, 0));
    }
}
