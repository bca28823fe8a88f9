//! Ctrl-C: the first one asks a command to end tidily, the second one ends the process at once.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

use kv::error::{Error, Kind};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::fail::Failure;

/// Whether somebody wants the command to end.
#[derive(Clone, Default)]
pub struct Cancel {
    interrupted: Arc<AtomicBool>,
    terminated: Arc<AtomicBool>,
}

impl Cancel {
    /// From now on, signals ask and do not kill.
    pub fn listen() -> Result<Cancel, Failure> {
        let cancel = Cancel::default();
        for (signal, asked) in [(SIGINT, &cancel.interrupted), (SIGTERM, &cancel.terminated)] {
            // In this order: the first signal finds that nobody has asked yet.
            flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(asked))
                .and_then(|_| flag::register(signal, Arc::clone(asked)))
                .map_err(|error| Failure::io("listen to signals", &error))?;
        }
        Ok(cancel)
    }

    /// Whether the command is to end.
    pub fn is_asked(&self) -> bool {
        [&self.interrupted, &self.terminated].iter().any(|asked| asked.load(Ordering::Relaxed))
    }

    /// The same for functions of the library.
    pub fn flow(&self) -> ControlFlow<()> {
        if self.is_asked() {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }

    /// The end of a command that was asked to end.
    pub fn failure(&self, left: &str) -> Failure {
        Failure::interrupted(self.terminated.load(Ordering::Relaxed), left)
    }

    /// What a command ends with whose call of the library failed: if that is since it was asked to
    /// end, `left` says what it leaves.
    pub fn explain(&self, error: Error, left: &str) -> Failure {
        match error.kind() {
            Kind::Cancelled if self.is_asked() => self.failure(left),
            _ => error.into(),
        }
    }
}
