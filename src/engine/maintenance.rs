//! The maintenance thread: seals full segments, and syncs the log at the interval asked for.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::Engine;
use crate::error::Result;
use crate::options::SyncLevel;
use crate::storage::process;

/// What the maintenance thread waits for.
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
    /// Says that there is a segment to seal.
    pub fn ring(&self) {
        self.state.lock().work = true;
        self.changed.notify_one();
    }

    /// Says that the thread is to end.
    fn stop(&self) {
        self.state.lock().stop = true;
        self.changed.notify_one();
    }

    /// Waits for the bell, or for `until`. Answers whether to go on.
    fn wait(&self, until: Option<Instant>) -> bool {
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

/// The thread that looks after one engine.
pub struct Maintenance {
    engine: Arc<Engine>,
    thread: Option<JoinHandle<()>>,
}

impl Maintenance {
    /// Starts it.
    pub fn start(engine: Arc<Engine>) -> Result<Maintenance> {
        let of_thread = Arc::clone(&engine);
        let thread = process::spawn_quiet("libkv", move || of_thread.maintain())?;
        Ok(Maintenance { engine, thread: Some(thread) })
    }
}

impl Drop for Maintenance {
    fn drop(&mut self) {
        self.engine.bell.stop();
        if let Some(thread) = self.thread.take() {
            // It cannot have panicked without the latch knowing; there is nobody to tell here.
            let _ = thread.join();
        }
    }
}

impl Engine {
    fn maintain(&self) {
        let interval = (self.options.sync == SyncLevel::Interval)
            .then(|| Duration::from_millis(self.options.sync_interval_ms));
        let mut next_sync = interval.map(|interval| Instant::now() + interval);
        while self.bell.wait(next_sync) {
            self.seal_in_background();
            if let (Some(interval), Some(due)) = (interval, next_sync) {
                if Instant::now() >= due {
                    // A failure is kept by the latch; whoever writes next hears of it.
                    let _ = self.sync();
                    next_sync = Some(Instant::now() + interval);
                }
            }
        }
    }
}
