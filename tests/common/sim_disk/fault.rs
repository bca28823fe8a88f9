//! Faults: which operation of a simulated disk fails, how often, and with what.

use kv::error::{Error, Kind};

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

pub const EINTR: i32 = 4;
pub const EIO: i32 = 5;
pub const ENOMEM: i32 = 12;
pub const EMFILE: i32 = 24;
pub const EFBIG: i32 = 27;
pub const ENOSPC: i32 = 28;
pub const EROFS: i32 = 30;
pub const EDQUOT: i32 = 122;

impl Operation {
    /// All of them.
    pub const ALL: [Operation; 15] = {
        use Operation::{Allocate, Create, DropCache, List, Lock, Map, MapAppend, Open};
        use Operation::{Read, Remove, Rename, Sync, SyncDirectory, Truncate, Write};
        [
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
        ]
    };

    /// Whether it puts something on the medium.
    pub fn syncs(self) -> bool {
        matches!(self, Operation::Sync | Operation::SyncDirectory)
    }
}

impl Fault {
    /// Whether it is the turn of `operation` to fail. `grows`: it needs blocks that its file does
    /// not have.
    pub fn strikes(&mut self, operation: Operation, grows: bool) -> bool {
        let is_meant = self.of == Some(operation);
        let can_fail = match self.errno {
            // A file system that puts off allocating says so when it is synced.
            ENOSPC | EDQUOT | EFBIG => grows || is_meant && operation.syncs(),
            EROFS => operation.changes() && !operation.syncs(),
            _ => true,
        };
        if !can_fail || self.of.is_some_and(|of| of != operation) {
            return false;
        }
        let now = self.after == 0;
        self.after = self.after.saturating_sub(1);
        now
    }

    /// Whether nothing on the disk has changed when it has struck.
    pub fn is_harmless(&self) -> bool {
        !matches!(self.errno, EIO | EINTR) && !self.of.is_some_and(Operation::syncs)
    }

    /// Whether a write that it strikes has written a part.
    pub fn writes_a_part(&self) -> bool {
        !matches!(self.errno, EROFS | EMFILE | ENOMEM)
    }

    /// The error that the engine gets.
    pub fn error(&self, operation: Operation, name: &str) -> Error {
        let cause = std::io::Error::from_raw_os_error(self.errno);
        let what = format_args!("{operation:?} {name} (a fault of the simulated disk)");
        match operation.syncs() {
            // As from the real disk: whatever the cause, nothing is known of what was synced.
            true => Error::io(what, &cause).with_kind(Kind::Io),
            false => Error::io(what, &cause),
        }
    }
}
