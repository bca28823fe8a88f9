//! Compaction by itself: when it is due, and one group of victims at a time.

use std::sync::atomic::Ordering;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::policy::{self, Candidate, Choice, Limits, View};
use super::rate::{Throttle, CALM_BELOW};
use super::run::{Mode, Run};
use super::{needed_from, record_bytes_of, Compaction};
use crate::engine::latency::Operation;
use crate::engine::pace::{Source, FULL};
use crate::engine::stats::{add, record_bytes};
use crate::engine::Engine;
use crate::error::{Kind, Result};
use crate::manifest::State;
use crate::memory;
use crate::options::CompactionMode;
use crate::segment::Segment;

/// Garbage presses no harder than this: if compaction cannot remove it, writers still get on.
const MOST_FOR_GARBAGE: u64 = FULL / 4 * 5;

impl Engine {
    /// Compacts some segments, if there is too much garbage: what the background thread does
    /// again and again. Answers whether it did anything.
    pub fn compact_if_due(&self) -> Result<bool> {
        self.leave_expired_segment()?;
        self.seal()?;
        let mut compaction = self.compaction.lock();
        self.compact_once(&mut compaction, Mode::Step)
    }

    /// Compacts what is due, until it is paused or stopped.
    pub(in crate::engine) fn compact_in_background(&self) {
        self.measure_garbage();
        if self.options.compaction == CompactionMode::Manual {
            return;
        }
        self.look_for_expired();
        let mut has_compacted = false;
        loop {
            let Some(_turn) = self.control.begin_in_background() else { return };
            // Whoever has the lock rings the bell afterwards.
            let Some(mut compaction) = self.compaction.try_lock() else { return };
            let epoch = Instant::now();
            let limit = self.options.compaction_bytes_per_second;
            let throttle = Throttle::new(limit, Duration::ZERO);
            let compacted = self.compact_once(&mut compaction, Mode::Background(throttle, epoch));
            drop(compaction);
            match compacted {
                Ok(true) => has_compacted = true,
                Ok(false) => {
                    // A large checkpoint of what has gone would stay for as long as nobody writes.
                    if has_compacted {
                        self.remove_checkpoint_if_small();
                    }
                    return;
                }
                Err(error) => {
                    // The latch keeps what it must; the rest is tried again at the next bell.
                    if !matches!(error.kind(), Kind::Cancelled | Kind::ReadOnly) {
                        add(&self.counters.compaction_failures, 1);
                        self.tell_failed_compaction(&error);
                    }
                    return;
                }
            }
        }
    }

    /// Ends the active segment if that is worth while because of what has expired in it.
    fn look_for_expired(&self) {
        if !self.control.background_must_end()
            && self.leave_expired_segment().is_ok_and(|ended| ended)
        {
            // What fails is met by whoever syncs.
            let _ = self.seal();
        }
    }

    /// Compacts one group, if there is too much garbage. Answers whether it did.
    fn compact_once<'a>(&'a self, compaction: &mut Compaction, mode: Mode<'a>) -> Result<bool> {
        self.latch.check()?;
        // Nothing is rewritten in a database that is only read.
        if !self.writer.lock().opened {
            return Ok(false);
        }
        let view = self.choices(compaction)?;
        let choice = policy::choose(&view, &self.limits(&view), compaction.is_running)?;
        let group = match choice {
            Choice::Nothing => {
                if std::mem::take(&mut compaction.is_running) {
                    add(&self.counters.compactions, 1);
                    if let Some(begun) = compaction.begun.take() {
                        self.tell_end_of_compaction(&begun, None);
                    }
                }
                self.measure_garbage();
                return Ok(false);
            }
            Choice::Remove(group) => group,
            Choice::Rewrite(group) => {
                compaction.is_running = true;
                let begin = || self.tell_compaction("in the background");
                compaction.begun.get_or_insert_with(begin);
                group
            }
        };
        let sealed = self.sealed_segments()?;
        let victim = |id: &u64| sealed.iter().find(|s| s.header.id == *id).cloned();
        let mut victims: Vec<Arc<Segment>> = memory::collect(group.iter().filter_map(victim))?;
        drop(sealed);
        victims.sort_unstable_by_key(|victim| (victim.header.base_sequence, victim.header.id));
        let is_background = matches!(mode, Mode::Background(..));
        let mut run = Run::new(self, mode);
        let bytes = victims.iter().map(|v| record_bytes_of(v)).sum();
        run.plan(victims.len() as u64, bytes);
        let compact = || self.compact_group(compaction, &victims, &mut run);
        self.timed(Operation::Compaction, compact)?;
        if is_background {
            self.let_go_later(victims);
        }
        // Without a gain it is enough for now, or it would go on for ever: what the choice rests on
        // may have changed meanwhile.
        Ok(run.written() < bytes)
    }

    /// The limits that the options set, for the log as it is.
    pub(super) fn limits(&self, view: &View) -> Limits {
        let percent = match self.options.compaction_garbage_percent {
            0 => view.automatic_percent(self.len() as u64),
            percent => percent,
        };
        let limits = Limits::new(view.live(), percent, self.options.segment_size);
        match self.is_short_of_space() {
            true => limits.tight(self.room_for_output()),
            false => limits,
        }
    }

    /// The log as the choice of victims sees it, if `state` is that of the manifest.
    fn garbage_view(&self, state: &State, firsts: &[(u64, u64)], cutoff: u64) -> Result<View> {
        let mut view = View { unsealed_needed_from: u64::MAX, ..View::default() };
        view.sealed.try_reserve_exact(state.segments.len())?;
        self.table.look_at_all(|segment| {
            let Some(live) = state.segments.get(&segment.header.id) else { return };
            let Some(sealed) = live.sealed else {
                view.unsealed_bytes += record_bytes(segment.len());
                view.unsealed_dead += segment.dead();
                view.unsealed_expired += segment.expired(cutoff).min(segment.len());
                if segment.dead() > 0 {
                    let needed_from = needed_from(state, firsts, segment);
                    view.unsealed_needed_from = view.unsealed_needed_from.min(needed_from);
                }
                return;
            };
            let bytes = record_bytes_of(segment);
            let dead = segment.dead().min(bytes);
            view.sealed.push(Candidate {
                id: segment.header.id,
                bytes,
                dead,
                expired: segment.expired(cutoff).min(bytes - dead),
                tombstones: segment.tombstones().min(bytes),
                needed_from: needed_from(state, firsts, segment),
                end: sealed.next_sequence,
                is_damaged: false,
            });
        });
        Ok(view)
    }

    /// Works out how much garbage there is beyond the limit, and says so to whom it concerns.
    /// Nothing is worked out while the manifest is being written: that can take its time.
    pub(in crate::engine) fn measure_garbage(&self) {
        let view = match self.manifest.try_lock() {
            // Without the writer, who may wait for the manifest: this is an estimate.
            Some(manifest) => self.garbage_view(manifest.state(), &[], self.clock.now_ms()),
            None => return,
        };
        // Without memory for it, the one before stays.
        let Ok(view) = view else { return };
        let limits = self.limits(&view);
        let pressure = view.pressure(&limits);
        self.control.pressure.store((pressure * 1000.0) as u32, Ordering::Relaxed);
        // Writers wait for what goes on only, and however long it takes, they get on.
        let is_relieved =
            self.options.compaction == CompactionMode::Auto && !self.control.is_paused();
        let pressure = match is_relieved {
            true => (view.pressure_on_writers(&limits) - CALM_BELOW) / (1.0 - CALM_BELOW),
            false => 0.0,
        };
        let pressure = pressure.max(0.0) * FULL as f64;
        self.pacer.press(Source::Garbage, (pressure as u64).min(MOST_FOR_GARBAGE));
    }

    /// What there is to choose from.
    fn choices(&self, compaction: &Compaction) -> Result<View> {
        let (now, firsts, cutoff) = {
            let writer = self.writer.lock();
            (writer.next_sequence, writer.unsealed_firsts()?, self.expiry_cutoff(&writer))
        };
        let view = self.garbage_view(self.manifest.lock().state(), &firsts, cutoff)?;
        let mut view = View { now, ..view };
        for candidate in &mut view.sealed {
            candidate.is_damaged = compaction.unreadable.contains(&candidate.id);
        }
        Ok(view)
    }
}
