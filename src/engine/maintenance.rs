//! The background threads: one seals full segments and syncs the log at the interval asked for, one
//! allocates blocks ahead of the writer, one compacts; and one publishes figures, if that is
//! wanted.

use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::Ordering;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::space::Purpose;
use super::Engine;
use crate::epoch;
use crate::error::{Error, Kind, Result};
use crate::index::PIECES;
use crate::notice::Level;
use crate::options::SyncLevel;
use crate::segment::active::ActiveSegment;
use crate::segment::blocks::Step;
use crate::segment::Segment;
use crate::storage::process;

/// What a background thread waits for.
#[derive(Default)]
pub struct Bell {
    state: Mutex<Rung>,
    changed: Condvar,
}

#[derive(Default)]
struct Rung {
    work: bool,
    stop: bool,
}

impl Bell {
    /// Says that there is work.
    pub fn ring(&self) {
        self.state.lock().work = true;
        self.changed.notify_one();
    }

    /// Says that the thread is to end.
    pub(super) fn stop(&self) {
        self.state.lock().stop = true;
        self.changed.notify_one();
    }

    /// Waits for the bell, or for `until`. Answers whether to go on.
    pub(super) fn wait(&self, until: Option<Instant>) -> bool {
        let mut state = self.state.lock();
        while !state.work && !state.stop {
            match until {
                None => self.changed.wait(&mut state),
                Some(until) => {
                    if self.changed.wait_until(&mut state, until).timed_out() {
                        break;
                    }
                }
            }
        }
        state.work = false;
        !state.stop
    }
}

/// The threads that look after one engine.
pub struct Maintenance {
    engine: Arc<Engine>,
    threads: Vec<JoinHandle<()>>,
}

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// A step that lasted the writer less than this is worth populating: page faults are a part of its
/// time then. A slower writer would see its pages written to the medium twice, empty and filled.
const FAST_STEP: Duration = Duration::from_millis(200);

/// Pieces of the index that are loaded before others get their turn.
const LOADED_AT_ONCE: usize = 16;

/// How much less of a scarce processor the threads get than those who put and get: compaction is in
/// no hurry, and syncs wait for the medium most of the time.
const NICENESS_OF_COMPACTION: i32 = 10;
const NICENESS_OF_SYNC: i32 = 5;

impl Maintenance {
    /// Starts them.
    pub fn start(engine: Arc<Engine>) -> Result<Maintenance> {
        let mut started = Maintenance { engine, threads: Vec::new() };
        started.spawn("libkv-sync", Engine::seal_and_sync)?;
        started.spawn("libkv-ahead", Engine::work_ahead)?;
        started.spawn("libkv-compact", Engine::compact_when_rung)?;
        started.publish();
        started.engine.pacer.switch(true);
        Ok(started)
    }

    /// Figures get a thread of their own: whoever syncs or allocates is waited for, and a
    /// compaction may take long. That there is none, or that it met a bug, is no reason not to go
    /// on.
    fn publish(&mut self) {
        if !self.engine.publishes() {
            return;
        }
        let engine = Arc::clone(&self.engine);
        let body = move || {
            process::yield_to_others(NICENESS_OF_COMPACTION);
            if catch_unwind(AssertUnwindSafe(|| engine.publish_now_and_then())).is_err() {
                let words = format_args!("publishing figures met a bug in libkv {VERSION}");
                engine.herald.log(Level::Error, words);
            }
        };
        match process::spawn_quiet("libkv-publish", body) {
            Ok(thread) => self.threads.push(thread),
            Err(error) => {
                let words = format_args!("no figures are published: {error}");
                self.engine.herald.log(Level::Warn, words);
            }
        }
    }

    fn spawn(&mut self, name: &str, body: fn(&Engine)) -> Result<()> {
        let engine = Arc::clone(&self.engine);
        let guarded = move || {
            if catch_unwind(AssertUnwindSafe(|| body(&engine))).is_err() {
                let cause = format!("a background thread met a bug in libkv {VERSION}");
                engine.latch.close(&Error::new(Kind::Internal, cause));
            }
        };
        self.threads.push(process::spawn_quiet(name, guarded)?);
        Ok(())
    }
}

impl Drop for Maintenance {
    fn drop(&mut self) {
        self.engine.pacer.switch(false);
        self.engine.sync_bell.stop();
        self.engine.ahead_bell.stop();
        self.engine.control().stop();
        self.engine.compact_bell.stop();
        self.engine.publisher.stop();
        for thread in self.threads.drain(..) {
            // A panic inside was kept by the latch.
            let _ = thread.join();
        }
    }
}

impl Engine {
    /// Lets the log begin its way to the medium, for somebody who will wait for it later.
    pub(super) fn want_sync(&self) {
        self.wants_sync.store(true, Ordering::Relaxed);
        self.sync_bell.ring();
    }

    /// Lets go of segments that compaction has dropped. Their last names are gone, so that the file
    /// system frees their blocks, which can take as long as writing them: not on the thread that
    /// compacts, for which writers may wait.
    pub(super) fn let_go_later(&self, mut segments: Vec<Arc<Segment>>) {
        let mut gone = self.gone.lock();
        if gone.try_reserve(segments.len()).is_ok() {
            gone.append(&mut segments);
        }
        drop(gone);
        self.sync_bell.ring();
    }

    fn seal_and_sync(&self) {
        let interval = (self.options.sync == SyncLevel::Interval)
            .then(|| Duration::from_millis(self.options.sync_interval_ms));
        let mut next_sync = interval.map(|interval| Instant::now() + interval);
        process::yield_to_others(NICENESS_OF_SYNC);
        while self.sync_bell.wait(next_sync) {
            if self.seal_in_background() {
                self.sync_bell.ring();
            }
            if self.wants_sync.swap(false, Ordering::Relaxed) {
                // Whoever waits for it later is told of a failure.
                let _ = self.sync();
            }
            if let (Some(interval), Some(due)) = (interval, next_sync) {
                if Instant::now() >= due {
                    // A failure is kept by the latch; whoever writes next hears of it.
                    let _ = self.sync();
                    next_sync = Some(Instant::now() + interval);
                }
            }
            // Last, since it takes its time.
            let gone = std::mem::take(&mut *self.gone.lock());
            drop(gone);
        }
    }

    /// Loads some pieces of the index that nobody has asked for yet; answers how many.
    fn load_pieces(&self, from: usize) -> usize {
        let to = PIECES.min(from + LOADED_AT_ONCE);
        for number in from..to {
            // Whoever needs a piece that cannot be loaded hears of it.
            let _ = epoch::pin().and_then(|guard| self.index.load(&guard, number));
        }
        to - from
    }

    /// Does what has no hurry, whenever the log has grown, segments were sealed or values may have
    /// expired: pieces of the index, compaction, hints, checkpoints.
    fn compact_when_rung(&self) {
        process::yield_to_others(NICENESS_OF_COMPACTION);
        let mut loaded = 0;
        self.compact_bell.ring();
        while self.compact_bell.wait(self.next_look()) {
            self.compact_in_background();
            self.keep_time_by_itself();
            if loaded < PIECES {
                loaded += self.load_pieces(loaded);
                self.compact_bell.ring();
            }
            // One at a time, so that compaction gets its turn.
            if self.write_next_hint() {
                self.compact_bell.ring();
            } else {
                self.checkpoint_if_due();
            }
        }
    }

    /// Keeps blocks allocated ahead of the writer, and pages ready if it is fast.
    fn work_ahead(&self) {
        let mut last_step = Instant::now();
        while self.ahead_bell.wait(None) {
            // What is synced after each write must not come in large portions.
            let is_fast = last_step.elapsed() < FAST_STEP && self.options.sync != SyncLevel::Always;
            last_step = Instant::now();
            // Here too, since compaction may be waiting for the disk.
            self.measure_garbage();
            self.compact_bell.ring();
            while let Some(step) = self.allocate_ahead() {
                if is_fast {
                    step.populate();
                }
            }
            if self.wants_spare() {
                // What the latch does not keep is met by the writer when it matters.
                let _ = self.prepare_spare(is_fast);
            }
        }
    }

    /// One step. A failure is left to the writer, who meets it when it matters.
    fn allocate_ahead(&self) -> Option<Step> {
        let allowed = self.may_allocate(1, Purpose::Ahead).ok()?;
        let step = self.writer.lock().active.as_mut()?.next_step(allowed)?;
        // Without the writer's lock: the file system may take its time.
        let step = step.allocate().ok()??;
        let mut writer = self.writer.lock();
        let active = writer.active.as_mut()?;
        active.grow(&step).then_some(step)
    }

    /// Whether it is time to prepare the next segment.
    fn wants_spare(&self) -> bool {
        let writer = self.writer.lock();
        writer.active.as_ref().is_some_and(ActiveSegment::wants_successor)
    }
}
