//! What is told of compaction: its begin, its end, and each group of segments.

use std::sync::atomic::Ordering;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::record_bytes_of;
use crate::engine::herald::ns;
use crate::engine::stats::read;
use crate::engine::Engine;
use crate::error::{Error, Kind};
use crate::notice::{Event, Figures, Level};
use crate::segment::Segment;

/// The moment at which a compaction began, and what had been done by then.
#[derive(Debug)]
pub struct Begun {
    at: Instant,
    read: u64,
    written: u64,
    removed: u64,
}

impl Engine {
    /// Tells that a compaction begins; `whose` says on whose behalf.
    pub(super) fn tell_compaction(&self, whose: &str) -> Begun {
        let (pressure, counters) = (self.control.pressure.load(Ordering::Relaxed), &self.counters);
        let words = format_args!(
            "compaction begins, {whose}: garbage is at {pressure} thousandths of its bound"
        );
        self.herald.log(Level::Info, words);
        Begun {
            at: Instant::now(),
            read: read(&counters.bytes_compaction_read),
            written: read(&counters.bytes_compacted),
            removed: read(&counters.segments_removed),
        }
    }

    /// Tells that it has come to its end, or to another's.
    pub(super) fn tell_end_of_compaction(&self, begun: &Begun, failure: Option<&Error>) {
        let counters = &self.counters;
        let (took, removed) = (begun.at.elapsed(), read(&counters.segments_removed));
        let figures = format!(
            "after {took:.1?}: {} bytes read, {} written, {} segments removed",
            read(&counters.bytes_compaction_read) - begun.read,
            read(&counters.bytes_compacted) - begun.written,
            removed - begun.removed,
        );
        match failure {
            None => self.herald.log(Level::Info, format_args!("compaction is done {figures}")),
            Some(error) => {
                let words = format_args!("compaction ended early, {error}, {figures}");
                self.herald.log(level_of(error), words);
            }
        }
    }

    /// Tells that a compaction in the background failed, to be tried again.
    pub(super) fn tell_failed_compaction(&self, error: &Error) {
        let words = format_args!("compaction will be tried again: {error}");
        self.herald.log(level_of(error), words);
    }

    /// Tells that a group of segments has made room for what was live in them.
    pub(super) fn tell_group(&self, victims: &[Arc<Segment>], written: u64, took: Duration) {
        let Some(first) = victims.iter().map(|victim| victim.header.id).min() else { return };
        let count = victims.len() as u64;
        let bytes: u64 = victims.iter().map(|victim| record_bytes_of(victim)).sum();
        let freed = bytes.saturating_sub(written);
        let figures = Figures { segment: first, count, bytes: freed, duration_ns: ns(took) };
        let words = format_args!(
            "{count} segments of {bytes} bytes were compacted to {written} in {took:.1?}"
        );
        self.herald.tell(Level::Debug, Event::Compacted, figures, words);
    }
}

/// What was asked for is no reason to worry.
fn level_of(error: &Error) -> Level {
    match error.kind() {
        Kind::Cancelled | Kind::ReadOnly => Level::Info,
        _ => Level::Warn,
    }
}
