//! Compaction by itself: when it is due, and one group of victims at a time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::policy::{self, Candidate, Choice, Limits, View};
use super::rate::Throttle;
use super::run::{Mode, Run};
use super::{needed_from, record_bytes_of, Compaction};
use crate::engine::stats::{add, record_bytes};
use crate::engine::Engine;
use crate::error::{Kind, Result};
use crate::options::CompactionMode;
use crate::segment::Segment;

impl Engine {
    /// Compacts some segments, if there is too much garbage: what the background thread does
    /// again and again. Answers whether it did anything.
    pub fn compact_if_due(&self) -> Result<bool> {
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
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => {
                    // The latch keeps what it must; the rest is tried again at the next bell.
                    if error.kind() != Kind::Cancelled {
                        add(&self.counters.compaction_failures, 1);
                    }
                    return;
                }
            }
        }
    }

    /// Compacts one group, if there is too much garbage. Answers whether it did.
    fn compact_once<'a>(&'a self, compaction: &mut Compaction, mode: Mode<'a>) -> Result<bool> {
        self.latch.check()?;
        // Nothing is rewritten in a database that is only read.
        if !self.writer.lock().opened {
            return Ok(false);
        }
        let view = self.view_without(compaction);
        let choice = policy::choose(&view, &self.limits(), compaction.is_running);
        let group = match choice {
            Choice::Nothing => {
                if std::mem::take(&mut compaction.is_running) {
                    add(&self.counters.compactions, 1);
                }
                self.measure_garbage();
                return Ok(false);
            }
            Choice::Remove(group) => group,
            Choice::Rewrite(group) => {
                compaction.is_running = true;
                group
            }
        };
        let sealed = self.segments(true);
        let victim = |id: &u64| sealed.iter().find(|s| s.header.id == *id).cloned();
        let mut victims: Vec<Arc<Segment>> = group.iter().filter_map(victim).collect();
        victims.sort_by_key(|segment| segment.header.base_sequence);
        let mut run = Run::new(self, mode);
        run.plan(victims.len() as u64, victims.iter().map(|v| record_bytes_of(v)).sum());
        self.compact_group(compaction, &victims, &mut run)?;
        Ok(true)
    }

    /// The limits that the options set.
    pub(super) fn limits(&self) -> Limits {
        let options = &self.options;
        let limits = Limits::new(options.compaction_garbage_percent, options.segment_size);
        match self.is_short_of_space() {
            true => limits.tight(self.room_for_output()),
            false => limits,
        }
    }

    /// The log as the choice of victims sees it.
    pub(super) fn garbage_view(&self) -> View {
        let now = self.writer.lock().next_sequence;
        let sealed = self.segments(true);
        let manifest = self.manifest.lock();
        let candidate = |segment: &Arc<Segment>| {
            let bytes = record_bytes_of(segment);
            manifest.state().end_of(segment.header.id).map(|end| Candidate {
                id: segment.header.id,
                bytes,
                dead: segment.dead().min(bytes),
                tombstones: segment.tombstones().min(bytes),
                needed_from: needed_from(manifest.state(), segment),
                end,
            })
        };
        let sealed = sealed.iter().filter_map(candidate).collect();
        drop(manifest);
        let unsealed = self.segments(false);
        let dead = |segment: &Arc<Segment>| segment.dead();
        View {
            sealed,
            unsealed_bytes: unsealed.iter().map(|s| record_bytes(s.len())).sum(),
            unsealed_dead: unsealed.iter().map(dead).sum(),
            now,
        }
    }

    /// The same, with segments that are known to be damaged passed off as full.
    fn view_without(&self, compaction: &Compaction) -> View {
        let mut view = self.garbage_view();
        for candidate in &mut view.sealed {
            if compaction.damaged.contains(&candidate.id) {
                candidate.dead = candidate.dead.min(candidate.bytes / 100);
            }
        }
        view
    }
}
