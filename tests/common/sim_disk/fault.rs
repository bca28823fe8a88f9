//! Faults: which operation of a simulated disk fails, how often, and with what.

use kv::error::Error;

/// What is asked of a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    List,
    Create,
    Open,
    Rename,
    Remove,
    SyncDirectory,
    Lock,
    Read,
    Write,
    Allocate,
    Truncate,
    Sync,
    DropCache,
    Map,
    MapAppend,
}

impl Operation {
    /// Whether it changes what is on the disk, or on the medium.
    pub fn changes(self) -> bool {
        use Operation::{Allocate, Create, Remove, Rename, Sync, SyncDirectory, Truncate, Write};
        matches!(
            self,
            Create | Rename | Remove | SyncDirectory | Write | Allocate | Truncate | Sync
        )
    }
}

/// A fault to come.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    /// Of which operations; all if `None`.
    pub of: Option<Operation>,
    /// How many of them succeed before.
    pub after: u64,
    /// Whether all later ones fail as well.
    pub lasting: bool,
    /// The number of the error.
    pub errno: i32,
}

pub const EIO: i32 = 5;
pub const ENOMEM: i32 = 12;
pub const ENOSPC: i32 = 28;

impl Fault {
    /// Whether it is the turn of `operation` to fail. `grows`: it needs blocks that its file does
    /// not have.
    pub fn strikes(&mut self, operation: Operation, grows: bool) -> bool {
        let can_fail = self.errno != ENOSPC || grows;
        if !can_fail || self.of.is_some_and(|of| of != operation) {
            return false;
        }
        let now = self.after == 0;
        self.after = self.after.saturating_sub(1);
        now
    }

    /// The error that the engine gets.
    pub fn error(&self, operation: Operation, name: &str) -> Error {
        let cause = std::io::Error::from_raw_os_error(self.errno);
        Error::io(format_args!("{operation:?} {name} (a fault of the simulated disk)"), &cause)
    }
}
