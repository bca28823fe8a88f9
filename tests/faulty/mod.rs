//! A storage whose calls fail when they are told to: each call of the real one under it is counted
//! by what it does and to which file, and can be made to answer with any error, once or from then
//! on. What it answers with, it has not done.

#![allow(dead_code, reason = "each test uses a part of it")]

mod file;

use std::any::Any;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt;
use std::sync::Arc;

use kv::error::{Error, Kind, Result};
use kv::format::name;
use kv::storage::{DirectoryId, File, FreeBytes, Lock, Parent, Storage};
use parking_lot::Mutex;

use file::FaultyFile;

/// What is asked of a storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Act {
    List,
    Open,
    Create,
    Link,
    Rename,
    Remove,
    SyncDirectory,
    Lock,
    Length,
    Read,
    Write,
    Allocate,
    Cut,
    Sync,
    DropCache,
    Map,
    MapAppend,
}

/// What it is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Of {
    Segment,
    Manifest,
    Hint,
    Index,
    LockFile,
    Sign,
    /// The names of the database, or of the backup.
    Directory,
    /// The names of directories.
    Parent,
}

/// One kind of call.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Call {
    pub act: Act,
    pub of: Of,
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {:?}", self.act, self.of)
    }
}

/// A fault to come.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    pub call: Call,
    /// How many calls of the kind go well before.
    pub after: u64,
    /// Whether all later ones fail as well.
    pub lasting: bool,
    pub errno: i32,
}

#[derive(Default)]
struct State {
    fault: Option<Fault>,
    seen: BTreeMap<Call, u64>,
    struck: u64,
}

/// The calls of all directories and files of a test.
#[derive(Clone, Default)]
pub struct Calls(Arc<Mutex<State>>);

impl Calls {
    /// Begins to count anew, and sets what is to fail.
    pub fn arm(&self, fault: Option<Fault>) {
        *self.0.lock() = State { fault, ..State::default() };
    }

    /// Lets every call go well from now on.
    pub fn disarm(&self) {
        self.0.lock().fault = None;
    }

    /// How many calls of each kind there were.
    pub fn seen(&self) -> BTreeMap<Call, u64> {
        self.0.lock().seen.clone()
    }

    /// How many calls have failed as they were told to.
    pub fn struck(&self) -> u64 {
        self.0.lock().struck
    }

    fn pass(&self, act: Act, of: Of, shown: &str) -> Result<()> {
        let call = Call { act, of };
        let mut state = self.0.lock();
        *state.seen.entry(call).or_default() += 1;
        let Some(fault) = state.fault.as_mut().filter(|fault| fault.call == call) else {
            return Ok(());
        };
        if fault.after > 0 {
            fault.after -= 1;
            return Ok(());
        }
        let (errno, lasting) = (fault.errno, fault.lasting);
        if !lasting {
            state.fault = None;
        }
        state.struck += 1;
        let cause = std::io::Error::from_raw_os_error(errno);
        let error = Error::io(format_args!("{call:?} {shown} (a fault of the test)"), &cause);
        Err(match act {
            // As the real storage has it.
            Act::Sync | Act::SyncDirectory => error.with_kind(Kind::Io),
            _ => error,
        })
    }
}

fn file_of(file: &str) -> Of {
    match file {
        name::MANIFEST | name::MANIFEST_NEW => Of::Manifest,
        name::INDEX | name::INDEX_NEW => Of::Index,
        name::LOCK => Of::LockFile,
        name::PARTIAL => Of::Sign,
        _ if name::parse_hint(file).is_some() => Of::Hint,
        _ => Of::Segment,
    }
}

/// A directory.
pub struct Faulty {
    inner: Arc<dyn Storage>,
    calls: Calls,
}

impl Faulty {
    pub fn over(inner: Arc<dyn Storage>, calls: &Calls) -> Arc<dyn Storage> {
        Arc::new(Faulty { inner, calls: calls.clone() })
    }

    fn pass(&self, act: Act, file: &str) -> Result<()> {
        self.calls.pass(act, file_of(file), file)
    }

    fn wrap(&self, name: &str, inner: Arc<dyn File>) -> Arc<dyn File> {
        let (of, name) = (file_of(name), name.to_owned());
        Arc::new(FaultyFile { inner, of, name, calls: self.calls.clone() })
    }
}

impl Storage for Faulty {
    fn path(&self) -> &str {
        self.inner.path()
    }

    fn list(&self) -> Result<Vec<String>> {
        self.calls.pass(Act::List, Of::Directory, self.path())?;
        self.inner.list()
    }

    fn create(&self, name: &str) -> Result<Arc<dyn File>> {
        self.pass(Act::Create, name)?;
        Ok(self.wrap(name, self.inner.create(name)?))
    }

    fn open(&self, name: &str, writable: bool) -> Result<Arc<dyn File>> {
        self.pass(Act::Open, name)?;
        Ok(self.wrap(name, self.inner.open(name, writable)?))
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        self.pass(Act::Rename, from)?;
        self.inner.rename(from, to)
    }

    fn remove(&self, name: &str) -> Result<()> {
        self.pass(Act::Remove, name)?;
        self.inner.remove(name)
    }

    fn link_from(&self, from: &dyn Storage, name: &str) -> Result<bool> {
        let Some(from) = (from as &dyn Any).downcast_ref::<Faulty>() else { return Ok(false) };
        self.pass(Act::Link, name)?;
        self.inner.link_from(&*from.inner, name)
    }

    fn lineage(&self) -> Result<Vec<DirectoryId>> {
        self.inner.lineage()
    }

    fn sync_directory(&self) -> Result<()> {
        self.calls.pass(Act::SyncDirectory, Of::Directory, self.path())?;
        self.inner.sync_directory()
    }

    fn lock(&self, name: &str) -> Result<Box<dyn Lock>> {
        self.pass(Act::Lock, name)?;
        self.inner.lock(name)
    }

    fn free_bytes(&self) -> Result<FreeBytes> {
        self.inner.free_bytes()
    }

    fn random(&self) -> Result<[u8; 16]> {
        self.inner.random()
    }

    fn now_ms(&self) -> u64 {
        self.inner.now_ms()
    }
}

/// The directory above.
pub struct FaultyParent<P> {
    pub inner: P,
    pub calls: Calls,
}

impl<P: Parent> FaultyParent<P> {
    fn pass(&self, act: Act, name: &OsStr) -> Result<()> {
        self.calls.pass(act, Of::Parent, &name.to_string_lossy())
    }
}

impl<P: Parent> Parent for FaultyParent<P> {
    fn path(&self) -> &str {
        self.inner.path()
    }

    fn open(&self, name: &OsStr) -> Result<Option<Arc<dyn Storage>>> {
        self.pass(Act::Open, name)?;
        Ok(self.inner.open(name)?.map(|inner| Faulty::over(inner, &self.calls)))
    }

    fn create(&self, name: &OsStr) -> Result<()> {
        self.pass(Act::Create, name)?;
        self.inner.create(name)
    }

    fn rename(&self, from: &OsStr, to: &OsStr) -> Result<()> {
        self.pass(Act::Rename, from)?;
        self.inner.rename(from, to)
    }

    fn exchange(&self, one: &OsStr, other: &OsStr) -> Result<bool> {
        self.pass(Act::Rename, one)?;
        self.inner.exchange(one, other)
    }

    fn remove(&self, name: &OsStr) -> Result<()> {
        self.pass(Act::Remove, name)?;
        self.inner.remove(name)
    }

    fn sync(&self) -> Result<()> {
        self.calls.pass(Act::SyncDirectory, Of::Parent, self.path())?;
        self.inner.sync()
    }

    fn lineage(&self) -> Result<Vec<DirectoryId>> {
        self.inner.lineage()
    }
}
