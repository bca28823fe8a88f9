//! Values that expire, as far as the disk goes: what may be reclaimed of them, when somebody has to
//! look, and how far the clock has been.
//!
//! Whether a value is there is up to whoever reads it. Here it is about time that passes while
//! nobody calls. The thread that compacts looks again when something may have expired; and the
//! files are told how far the clock has been, so that what had expired does not come back when the
//! database is opened again after the clock on the wall was set back.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::sync::Syncer;
use super::write::Writer;
use super::Engine;
use crate::clock::{Clock, TimeSource};
use crate::error::Result;
use crate::format::manifest::Edit;
use crate::format::MAX_NUMBER;
use crate::segment::full::write_time;
use crate::segment::table::SegmentTable;
use crate::segment::Segment;
use crate::storage::File;
use crate::wrong_turn::is_taken;

/// While values expire, somebody looks so often …
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// … and while values are there that will, so often: the clock may be set forward.
const LOOK_AT_LEAST_EVERY: Duration = Duration::from_secs(60);
/// The files are told again when so many milliseconds have passed.
const NOTED_EVERY_MS: u64 = 500;

/// What is known of all values that expire together.
#[derive(Debug, Default)]
pub struct Expiries {
    /// When the last one expires; 0 if none does. It may be too late, and is never too early, but
    /// for a moment while it is worked out.
    last: AtomicU64,
    /// The files know that the clock has been so far.
    noted: AtomicU64,
}

impl Expiries {
    /// What is known of them, and the clock, of a database that has these segments, and whose files
    /// know that the clock has been at `noted`.
    pub fn at_open(source: &TimeSource, segments: &SegmentTable, noted: u64) -> (Clock, Expiries) {
        let mut last = 0;
        segments.look_at_all(|segment| last = segment.expiring().last.max(last));
        let last = last.min(MAX_NUMBER);
        // Beyond the last one it makes no difference; a clock that was far ahead by mistake does
        // not stay so.
        let noted = noted.min(last);
        let expiries = Expiries { last: AtomicU64::new(last), noted: AtomicU64::new(noted) };
        (Clock::new(source.clone(), noted), expiries)
    }

    /// Counts one; answers whether there was none.
    #[inline]
    fn add(&self, expiry: u64) -> bool {
        self.last.load(Ordering::SeqCst) < expiry
            && self.last.fetch_max(expiry, Ordering::SeqCst) == 0
    }

    /// Whether a value may be there that expires later than at the time the files know.
    fn may_matter(&self) -> bool {
        self.last.load(Ordering::SeqCst) > self.noted.load(Ordering::Relaxed)
    }
}

impl Engine {
    /// Values that expire then, or before, may be reclaimed: no snapshot sees them any more. One
    /// that is taken later takes its time with the writer locked as well, and sees no earlier one.
    pub(super) fn expiry_cutoff(&self, writer: &Writer) -> u64 {
        let now = self.clock.now_ms();
        writer.watch.earliest().map_or(now, |earliest| earliest.min(now))
    }

    /// Says that a value was counted in its segment that expires.
    #[inline]
    pub(super) fn note_expiry(&self, expiry: u64) {
        if self.expiries.add(expiry) {
            // The first one: the thread that compacts has to look at times from now on.
            self.compact_bell.ring();
        }
    }

    /// When the thread that compacts must look again though nobody rings. `None`: no value expires.
    pub(super) fn next_look(&self) -> Option<Instant> {
        if self.expiries.last.load(Ordering::SeqCst) == 0 {
            return None;
        }
        // Whoever adds one from here on, and finds none, rings.
        self.expiries.last.store(0, Ordering::SeqCst);
        let now = self.clock.now_ms();
        let (mut last, mut wait) = (0, LOOK_AT_LEAST_EVERY);
        self.table.look_at_all(|segment| {
            let expiring = segment.expiring();
            if expiring.bytes <= segment.dead_expiring() {
                return;
            }
            last = last.max(expiring.last);
            if expiring.last > now {
                wait = wait.min(Duration::from_millis(expiring.first.saturating_sub(now)));
            }
        });
        self.expiries.last.fetch_max(last, Ordering::SeqCst);
        (self.expiries.last.load(Ordering::SeqCst) > 0)
            .then(|| Instant::now() + wait.max(LOOK_EVERY))
    }

    /// What tells the manifest how far the clock has been, if that matters.
    pub(super) fn time_edit(&self) -> Option<Edit> {
        let now_ms = self.clock.now_ms().min(MAX_NUMBER - 1);
        let is_told = self.expiries.may_matter() && !is_taken!(TimeNotStored);
        is_told.then_some(Edit::Time { now_ms })
    }

    /// Tells the segment that is being written how far the clock has been, if that matters and was
    /// not done just now. It is on the medium with the next sync.
    pub(super) fn keep_time(
        &self,
        syncer: &mut Syncer,
        segment: &Segment,
        file: &dyn File,
    ) -> Result<()> {
        if !self.expiries.may_matter() {
            return Ok(());
        }
        let now = self.clock.now_ms();
        let noted = self.expiries.noted.load(Ordering::Relaxed);
        if now >= noted.saturating_add(NOTED_EVERY_MS) {
            write_time(file, segment.header.salt, now, syncer.time_turn)?;
            syncer.time_turn += 1;
            self.expiries.noted.store(now, Ordering::Relaxed);
        }
        Ok(())
    }

    /// The same while nobody syncs, if something has expired that the files do not know of.
    pub(super) fn keep_time_by_itself(&self) {
        if self.latch.check().is_err() || !self.has_expired_unnoted() {
            return;
        }
        let mut syncer = self.syncer.lock();
        let (segment, file) = {
            let writer = self.writer.lock();
            let Some(active) = writer.active.as_ref().filter(|_| writer.opened) else { return };
            (active.segment().clone(), active.file().clone())
        };
        // It is tried again, and there is nothing that rests on it but the clock.
        let _ = self.keep_time(&mut syncer, &segment, &*file);
    }

    /// Whether something may have expired since the time that the files know.
    pub(super) fn has_expired_unnoted(&self) -> bool {
        let noted = self.expiries.noted.load(Ordering::Relaxed);
        let now = self.clock.now_ms();
        let mut has_expired = false;
        self.table.look_at_all(|segment| {
            let expiring = segment.expiring();
            has_expired |= expiring.bytes > 0 && expiring.first <= now && expiring.last > noted;
        });
        self.expiries.may_matter() && has_expired
    }
}
