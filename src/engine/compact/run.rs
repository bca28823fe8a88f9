//! One compaction under way: what it has read and written, and whether it may go on.

use std::ops::ControlFlow;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::control::cancelled;
use super::rate::Throttle;
use crate::engine::stats::add;
use crate::engine::Engine;
use crate::error::Result;

/// How far a compaction, a backup or a restoration is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Bytes of the segments that are to be gone through, as far as is known.
    pub total_bytes: u64,
    /// Bytes of them that were read, or need not be read.
    pub done_bytes: u64,
    /// Segments that are to be gone through, as far as is known.
    pub segments_total: u64,
    /// Segments of those that are done: compacted and gone, or brought.
    pub segments_done: u64,
}

/// Who compacts.
pub enum Mode<'a> {
    /// The background thread, with a throttle and the time it counts from.
    Background(Throttle, Instant),
    /// A caller, who is told, and can cancel; with the number of cancellations when it called.
    Caller(u64, &'a mut dyn FnMut(&Progress) -> ControlFlow<()>),
    /// A caller who does what the background thread would do next.
    Step,
}

/// One compaction.
pub struct Run<'a> {
    engine: &'a Engine,
    mode: Mode<'a>,
    progress: Progress,
    /// When the present step began.
    step_began: Instant,
    /// Bytes written so far.
    written: u64,
    /// Bytes until the pressure is worked out again.
    until_measured: u64,
    /// Bytes until the log is asked for again.
    until_synced: u64,
}

/// The pressure is worked out anew after so many bytes.
const MEASURED_EVERY: u64 = 4 << 20;
/// The log is asked for after so many, which is seldom enough for a slow medium.
const SYNCED_EVERY: u64 = 16 << 20;

/// Counts `bytes` off what is `left`. Answers whether that was the rest; it begins anew then.
fn is_due(left: &mut u64, bytes: u64, every: u64) -> bool {
    let rest = left.checked_sub(bytes);
    *left = rest.unwrap_or(every);
    rest.is_none()
}

impl<'a> Run<'a> {
    pub fn new(engine: &'a Engine, mode: Mode<'a>) -> Run<'a> {
        let (progress, step_began) = (Progress::default(), Instant::now());
        Run {
            engine,
            mode,
            progress,
            step_began,
            written: 0,
            until_measured: 0,
            until_synced: SYNCED_EVERY,
        }
    }

    /// Says that so many more segments with so many bytes are to be compacted.
    pub fn plan(&mut self, segments: u64, bytes: u64) {
        self.progress.segments_total += segments;
        self.progress.total_bytes += bytes;
        self.show();
    }

    /// Says that so many bytes need not be read.
    pub fn skip(&mut self, bytes: u64) {
        self.progress.done_bytes += bytes;
        self.show();
    }

    /// Bytes written so far.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Says that so many segments are gone.
    pub fn segments_done(&mut self, segments: u64) {
        self.progress.segments_done += segments;
    }

    /// A step is done: so many bytes of a victim were gone through, a few hundred KiB, and so many
    /// read and written. An error if it was the last one.
    pub fn step(&mut self, passed: u64, read: u64, written: u64) -> Result<()> {
        let engine = self.engine;
        add(&engine.counters.bytes_compaction_read, read);
        add(&engine.counters.bytes_compacted, written);
        self.progress.done_bytes += passed;
        self.written += written;
        self.show();
        self.may_go_on()?;
        let bytes = read + written;
        if is_due(&mut self.until_measured, bytes, MEASURED_EVERY) {
            engine.measure_garbage();
        }
        if is_due(&mut self.until_synced, bytes, SYNCED_EVERY) {
            engine.want_sync();
        }
        if let Mode::Background(throttle, epoch) = &mut self.mode {
            let pressure = engine.control.pressure.load(Ordering::Relaxed);
            let now = epoch.elapsed();
            let begun = self.step_began.duration_since(*epoch);
            engine.control.rest(throttle.rest(begun, now, bytes, pressure));
            self.step_began = Instant::now();
        }
        Ok(())
    }

    /// An error if the compaction is to end. The caller is told how far it is.
    fn may_go_on(&mut self) -> Result<()> {
        let control = &self.engine.control;
        self.engine.latch.check()?;
        match &mut self.mode {
            Mode::Background(..) if control.background_must_end() => Err(cancelled("it is paused")),
            Mode::Caller(cancels, tell) => {
                control.check(*cancels)?;
                match tell(&self.progress) {
                    ControlFlow::Continue(()) => control.check(*cancels),
                    ControlFlow::Break(()) => {
                        Err(cancelled("the progress function cancelled compaction"))
                    }
                }
            }
            Mode::Background(..) | Mode::Step => Ok(()),
        }
    }

    fn show(&self) {
        let control = &self.engine.control;
        control.done.store(self.progress.done_bytes, Ordering::Relaxed);
        control.total.store(self.progress.total_bytes, Ordering::Relaxed);
    }
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        self.progress = Progress::default();
        self.show();
    }
}
