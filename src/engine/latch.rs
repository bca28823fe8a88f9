//! The latch: after a failure that leaves the disk's state unknown, the database refuses writes.
//!
//! A failed fsync may have dropped the pages it could not write, while later syncs succeed (Rebello
//! et al., "Can Applications Recover from fsync Failures?", 2020): trying again would hide a hole
//! in the log.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

use parking_lot::Mutex;

use super::herald::Herald;
use crate::error::{Error, Kind, Result};
use crate::notice::{Event, Figures, Level};
use crate::wrong_turn::is_taken;

/// Closed once, it stays closed until the database is opened again.
#[derive(Default)]
pub struct Latch {
    closed: AtomicBool,
    cause: Mutex<Option<Error>>,
    herald: Arc<Herald>,
}

impl Latch {
    /// An open one, which tells when it is closed.
    pub fn new(herald: Arc<Herald>) -> Latch {
        Latch { herald, ..Latch::default() }
    }

    /// Refuses writes from now on. The first cause is kept.
    pub fn close(&self, cause: &Error) {
        let is_first = {
            let mut kept = self.cause.lock();
            let is_first = kept.is_none();
            if is_first {
                *kept = Some(cause.clone());
            }
            is_first
        };
        self.closed.store(true, Ordering::Release);
        if is_first {
            let words = format_args!("the database refuses writes from now on: {cause}");
            self.herald.tell(Level::Error, Event::ReadOnly, Figures::default(), words);
        }
    }

    /// Closes the latch if `error` leaves the disk's state unknown, and passes the error on.
    pub fn watch(&self, error: Error) -> Error {
        if is_harmless(error.kind()) {
            return error;
        }
        // Whatever else the system says of a file that is ours, that it is not there for one, is a
        // failing disk.
        let error = if is_final(error.kind()) { error } else { error.with_kind(Kind::Io) };
        if !is_taken!(WritesGoOnAfterFailure) {
            self.close(&error);
        }
        error
    }

    /// An error if writes are refused.
    #[inline]
    pub fn check(&self) -> Result<()> {
        if self.closed.load(Ordering::Acquire) {
            Err(self.refusal())
        } else {
            Ok(())
        }
    }

    /// Why writes are refused, if they are.
    pub fn cause(&self) -> Option<Error> {
        self.cause.lock().clone()
    }

    #[cold]
    fn refusal(&self) -> Error {
        match self.cause() {
            Some(cause) => cause.with_kind(Kind::ReadOnly).context("the database is read-only"),
            None => Error::new(Kind::ReadOnly, "the database is read-only"),
        }
    }
}

/// Whether a failure with this answer changed nothing on disk that matters.
fn is_harmless(kind: Kind) -> bool {
    use Kind::{Busy, Cancelled, Corrupt, IndexFull, NoSpace, OutOfMemory, PermissionDenied};
    use Kind::{ReadOnly, TooManyOpen};
    matches!(kind, NoSpace | TooManyOpen | OutOfMemory | PermissionDenied | ReadOnly | Corrupt)
        || matches!(kind, Busy | Cancelled | IndexFull)
}

/// Whether a failure is reported as what it is.
fn is_final(kind: Kind) -> bool {
    matches!(kind, Kind::Io | Kind::Internal | Kind::UnknownOutcome)
}
