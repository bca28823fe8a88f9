//! The only door to the operating system: what the engine needs of a disk, and the real one.
//!
//! [`Storage`] is one database directory, [`File`] one file in it, [`Parent`] the directory above,
//! and maps are memory that a file shares ([`map`]). A simulated disk implements these traits and
//! hands out maps of its own memory; nothing above this room can tell the difference.
//!
//! Contracts that the engine relies on, and that a simulated disk may exploit to the full:
//! * What was written, to a file or to a map, is seen by every later read, at once.
//! * It survives the death of the process at once, a power cut only after [`File::sync`].
//! * A name that was created, renamed or removed survives a power cut only after
//!   [`Storage::sync_directory`], or [`Parent::sync`] for a directory's.
//! * After a failed sync nothing is known of the file's unsynced bytes.

pub mod anonymous;
pub mod barrier;
mod entry;
mod file;
pub mod map;
pub mod parent;
pub mod posix;
pub mod process;

use std::any::Any;
use std::ffi::OsStr;
use std::sync::Arc;

use crate::error::{Error, Kind, Result};
use crate::memory;
use map::{AppendMap, Map};

/// One database directory. Names are plain file names; nothing outside the directory is reached.
pub trait Storage: Any + Send + Sync {
    /// The directory as people know it, for messages.
    fn path(&self) -> &str;

    /// The names of all entries of the directory.
    fn list(&self) -> Result<Vec<String>>;

    /// Creates a file that must not exist yet.
    fn create(&self, name: &str) -> Result<Arc<dyn File>>;

    /// Opens an existing file for reading, and for writing too if `writable`.
    fn open(&self, name: &str, writable: bool) -> Result<Arc<dyn File>>;

    /// Gives the file `from` the name `to`, in one step, replacing what had it.
    fn rename(&self, from: &str, to: &str) -> Result<()>;

    /// Removes a file's name. Maps and open files of it stay valid.
    fn remove(&self, name: &str) -> Result<()>;

    /// The same for a file that may not be there.
    fn remove_if_there(&self, name: &str) -> Result<()> {
        match self.remove(name) {
            Err(error) if error.kind() != Kind::DoesNotExist => Err(error),
            _ => Ok(()),
        }
    }

    /// Gives the file `name` of the directory `from` the same name here too: one file then, with
    /// two names. Answers whether that can be done; it cannot across file systems, for one.
    fn link_from(&self, from: &dyn Storage, name: &str) -> Result<bool> {
        let _ = (from, name);
        Ok(false)
    }

    /// What tells this directory from all others, then the same of those above it, from the next
    /// one on, as far as they can be seen.
    fn lineage(&self) -> Result<Vec<DirectoryId>> {
        Ok(Vec::new())
    }

    /// Puts all creations, renames and removals before this call on the medium.
    fn sync_directory(&self) -> Result<()>;

    /// Takes the lock that keeps every other opener out, in this process and in others. It is
    /// released when the result is dropped, and when the process dies.
    fn lock(&self, name: &str) -> Result<Box<dyn Lock>>;

    /// Keeps openers out for as long as the result lives, without changing anything: several who
    /// read may do so at once. Nothing if somebody has it open. Where there is no such file, or one
    /// that may not be read, nobody is kept out.
    fn lock_to_read(&self, name: &str) -> Result<Option<Box<dyn Lock>>> {
        match self.lock(name) {
            Err(error) if matches!(error.kind(), Kind::Locked | Kind::AlreadyOpen) => Ok(None),
            lock => lock.map(Some),
        }
    }

    /// How much room the file system has.
    fn free_bytes(&self) -> Result<FreeBytes>;

    /// A number that nobody can predict.
    fn random(&self) -> Result<[u8; 16]>;

    /// Milliseconds since 1970 (UTC).
    fn now_ms(&self) -> u64;
}

/// What tells a directory from all others for as long as it is open: device and number.
pub type DirectoryId = (u64, u64);

/// The directory above database directories: where they are made, exchanged and removed. Names are
/// plain names, and symbolic links are not followed.
pub trait Parent: Send + Sync {
    /// The directory as people know it, for messages.
    fn path(&self) -> &str;

    /// Opens the directory `name`, if there is one.
    fn open(&self, name: &OsStr) -> Result<Option<Arc<dyn Storage>>>;

    /// Makes a directory, whose name must not be there yet.
    fn create(&self, name: &OsStr) -> Result<()>;

    /// Gives the directory `from` the name `to`, in one step. An empty directory that has it is
    /// replaced; any other is an error.
    fn rename(&self, from: &OsStr, to: &OsStr) -> Result<()>;

    /// Lets two directories exchange their names, in one step. Answers whether that can be done.
    fn exchange(&self, one: &OsStr, other: &OsStr) -> Result<bool>;

    /// Removes an empty directory.
    fn remove(&self, name: &OsStr) -> Result<()>;

    /// Puts all changes to the names of directories before this call on the medium.
    fn sync(&self) -> Result<()>;

    /// As [`Storage::lineage`].
    fn lineage(&self) -> Result<Vec<DirectoryId>>;
}

/// Room of a file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FreeBytes {
    /// Bytes that this process may still allocate.
    pub free: u64,
    /// Bytes of the whole file system.
    pub total: u64,
}

/// `len` bytes of `file` from `offset` on; `what` names them where there is no memory for them. The
/// caller has seen to it that `len` is not longer than the file.
pub fn read_part(file: &dyn File, offset: u64, len: usize, what: &str) -> Result<Vec<u8>> {
    let mut bytes = memory::zeros(len).map_err(|_| {
        Error::new(Kind::OutOfMemory, format!("there is no memory for reading {what}"))
    })?;
    file.read_at(&mut bytes, offset)?;
    Ok(bytes)
}

/// The lock on a database directory.
pub trait Lock: Send + Sync {}

/// One open file.
#[allow(clippy::len_without_is_empty, reason = "nobody asks whether a file is empty")]
pub trait File: Send + Sync {
    /// Bytes in the file.
    fn len(&self) -> Result<u64>;

    /// Fills `out` from `offset` on. It is an error if the file ends before.
    fn read_at(&self, out: &mut [u8], offset: u64) -> Result<()>;

    /// Writes all of `bytes` at `offset`, growing the file if need be.
    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()>;

    /// Makes the file `len` bytes long, with blocks for all of them, so that no later write below
    /// `len` can fail for lack of space. New bytes are zero. Never shrinks.
    fn allocate(&self, len: u64) -> Result<()>;

    /// Cuts the file to `len` bytes and gives back the blocks behind.
    fn truncate(&self, len: u64) -> Result<()>;

    /// Puts the file's bytes and length on the medium.
    fn sync(&self) -> Result<()>;

    /// Lets the `len` bytes from `offset` on begin their way to the medium, so that a later
    /// [`File::sync`] finds less to do. It promises nothing.
    fn begin_sync(&self, offset: u64, len: u64) {
        let _ = (offset, len);
    }

    /// Makes later reads come from the medium as far as that can be had: after a failed sync, the
    /// cache may show bytes that the medium does not have.
    fn drop_cache(&self) -> Result<()>;

    /// Maps the first `len` bytes for reading. The file has them, and is not cut below what is read
    /// of them while the map lives.
    fn map(&self, len: u64) -> Result<Map>;

    /// Maps `capacity` bytes for appending from `start` on. The file may be shorter: the map
    /// reaches only as far as [`AppendMap::grow`] was told that blocks were allocated.
    fn map_append(&self, start: u64, capacity: u64) -> Result<AppendMap>;
}
