//! A disk in memory that knows what a power cut may leave of it.
//!
//! It keeps each file and the directory twice: *live*, as every process sees it, and on the
//! *medium*, as the last sync left it. [`State::cut`] draws one of the states that the contracts at
//! the top of `src/storage/mod.rs` allow after a power cut; [`State::kill`] is what the death of
//! the process leaves. A watcher is called before every operation that changes something, and can
//! take either.

pub mod cut;
pub mod fault;
mod file;
mod memory;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::ThreadId;

use kv::error::{Error, Kind, Result};
use kv::storage::{File, FreeBytes, Lock, Storage};
use parking_lot::{Mutex, MutexGuard};

use super::Random;
use fault::{Fault, Operation};
use file::SimFile;
use memory::Region;

/// Bytes that reach the medium together or not at all, in most cases.
pub const SECTOR: usize = 512;

/// Room for all that a test may write.
const UNBOUNDED: u64 = 1 << 40;

/// A directory: which name means which file.
type Names = BTreeMap<String, usize>;

/// One file, live and on the medium.
#[derive(Clone)]
struct Inode {
    live: Arc<Region>,
    /// Bytes of the live file.
    len: usize,
    medium: Arc<Vec<u8>>,
    /// Sectors that a failed sync dropped, with the bytes they had: clean, but not on the medium.
    dropped: BTreeMap<usize, Vec<u8>>,
}

/// A change to the directory that is not on the medium yet.
#[derive(Clone, Debug)]
enum NameChange {
    Set { name: String, inode: usize },
    Remove { name: String },
    Rename { from: String, to: String, inode: usize },
}

/// Called before an operation that changes something.
pub type Watcher = Box<dyn FnMut(&State, Operation) + Send>;

/// Called before a file is opened or a checkpoint written to, with nothing locked: a moment for
/// other work in the middle of a compaction or a checkpoint.
pub type Interlude = Box<dyn FnMut() + Send>;

/// Everything a disk knows.
pub struct State {
    inodes: Vec<Inode>,
    names: Names,
    medium_names: Names,
    /// What leads from `medium_names` to `names`.
    pending: Vec<NameChange>,
    locked: bool,
    /// Bytes that all files may have together.
    capacity: u64,
    operations: u64,
    random: Random,
    fault: Option<Fault>,
    struck: u64,
    /// How often, in 256ths, an operation is a moment at which the kernel writes something back.
    writeback: u64,
    watched: Option<ThreadId>,
}

struct Shared {
    state: Mutex<State>,
    watcher: Mutex<Option<Watcher>>,
    interlude: Mutex<Option<Interlude>>,
}

/// The disk. Clones are the same disk.
#[derive(Clone)]
pub struct SimDisk {
    shared: Arc<Shared>,
}

impl SimDisk {
    /// An empty disk. What it leaves to chance is drawn from `seed`.
    pub fn new(seed: u64) -> SimDisk {
        SimDisk::from_state(State {
            inodes: Vec::new(),
            names: Names::new(),
            medium_names: Names::new(),
            pending: Vec::new(),
            locked: false,
            capacity: UNBOUNDED,
            operations: 0,
            random: Random(seed),
            fault: None,
            struck: 0,
            writeback: 0,
            watched: None,
        })
    }

    fn from_state(state: State) -> SimDisk {
        let state = Mutex::new(state);
        let shared = Shared { state, watcher: Mutex::default(), interlude: Mutex::default() };
        SimDisk { shared: Arc::new(shared) }
    }

    /// The disk as the engine takes it.
    pub fn storage(&self) -> Arc<dyn Storage> {
        Arc::new(self.clone())
    }

    /// Has `watcher` called before each operation of this thread that changes something.
    pub fn watch(&self, watcher: Watcher) {
        self.shared.state.lock().watched = Some(std::thread::current().id());
        *self.shared.watcher.lock() = Some(watcher);
    }

    /// Calls no watcher any more.
    pub fn unwatch(&self) {
        *self.shared.watcher.lock() = None;
    }

    /// Sets what is done whenever a file is opened.
    pub fn set_interlude(&self, interlude: Option<Interlude>) {
        *self.shared.interlude.lock() = interlude;
    }

    /// Does what is done in the middle of other work.
    fn have_interlude(&self) {
        let interlude = self.shared.interlude.lock().take();
        if let Some(mut interlude) = interlude {
            interlude();
            self.set_interlude(Some(interlude));
        }
    }

    /// Says how often, in 256ths, an operation makes the kernel write something back by itself.
    pub fn set_writeback(&self, often: u64) {
        let mut state = self.shared.state.lock();
        state.writeback = often;
        state.watched = Some(std::thread::current().id());
    }

    /// Makes operations fail, or stops doing so.
    pub fn set_fault(&self, fault: Option<Fault>) {
        self.shared.state.lock().fault = fault;
    }

    /// Says how many bytes all files may have together.
    pub fn set_capacity(&self, bytes: u64) {
        self.shared.state.lock().capacity = bytes;
    }

    /// How many operations a fault has struck.
    pub fn struck(&self) -> u64 {
        self.shared.state.lock().struck
    }

    /// How many operations there were.
    pub fn operations(&self) -> u64 {
        self.shared.state.lock().operations
    }

    /// The names in the directory, with the files' lengths, for messages.
    pub fn listing(&self) -> String {
        let state = self.shared.state.lock();
        let shown = state.names.iter().map(|(n, &i)| format!("{n}:{}", state.inodes[i].len));
        shown.collect::<Vec<_>>().join(" ")
    }

    /// Lets `look` see the state between two operations.
    pub fn look<R>(&self, look: impl FnOnce(&State) -> R) -> R {
        look(&self.shared.state.lock())
    }

    /// Begins an operation: counts it, shows the disk to the watcher, and fails it if a fault is
    /// due.
    fn begin(
        &self,
        operation: Operation,
        name: &str,
        grows: bool,
    ) -> std::result::Result<MutexGuard<'_, State>, (MutexGuard<'_, State>, Error)> {
        let mut state = self.shared.state.lock();
        state.operations += 1;
        if operation.changes() && state.on_watched_thread() {
            if let Some(watcher) = self.shared.watcher.lock().as_mut() {
                watcher(&state, operation);
            }
            state.write_back_sometimes();
        }
        let Some(mut fault) = state.fault else { return Ok(state) };
        let strikes = fault.strikes(operation, grows);
        let over = strikes && !fault.lasting;
        state.fault = (!over).then_some(fault);
        if !strikes {
            return Ok(state);
        }
        state.struck += 1;
        let error = fault.error(operation, name);
        Err((state, error))
    }

    /// An operation whose failure changes nothing.
    fn operate(&self, operation: Operation, name: &str) -> Result<MutexGuard<'_, State>> {
        let grows = operation == Operation::Create;
        self.begin(operation, name, grows).map_err(|(_, error)| error)
    }
}

impl State {
    /// Whether this is the thread that runs the workload: only it may look at files that are
    /// appended to.
    pub fn on_watched_thread(&self) -> bool {
        self.watched == Some(std::thread::current().id())
    }

    /// Bytes that files may still grow by.
    fn free(&self) -> u64 {
        let used: usize = self.names.values().map(|&inode| self.inodes[inode].len).sum();
        self.capacity.saturating_sub(used as u64)
    }

    /// An error if there is no room for a file to become so long.
    fn check_room(&self, inode: usize, len: usize) -> Result<()> {
        let more = len.saturating_sub(self.inodes[inode].len) as u64;
        if more <= self.free() {
            return Ok(());
        }
        let cause = std::io::Error::from_raw_os_error(fault::ENOSPC);
        Err(Error::io("grow a file of a disk that is full", &cause))
    }

    fn find(&self, name: &str) -> Result<usize> {
        let inode = self.names.get(name).copied();
        inode.ok_or_else(|| Error::new(Kind::DoesNotExist, format!("there is no {name}")))
    }

    fn change(&mut self, change: NameChange) {
        change.apply(&mut self.names);
        self.pending.push(change);
    }

    fn add_file(&mut self, name: &str) -> usize {
        let inode = self.inodes.len();
        self.inodes.push(Inode::empty());
        self.change(NameChange::Set { name: name.to_owned(), inode });
        inode
    }
}

impl Inode {
    fn empty() -> Inode {
        let live = Arc::new(Region::new());
        Inode { live, len: 0, medium: Arc::default(), dropped: BTreeMap::new() }
    }
}

impl NameChange {
    /// The file that gets a name.
    fn inode(&self) -> Option<usize> {
        match self {
            NameChange::Set { inode, .. } | NameChange::Rename { inode, .. } => Some(*inode),
            NameChange::Remove { .. } => None,
        }
    }

    fn apply(&self, names: &mut Names) {
        match self {
            NameChange::Set { name, inode } => {
                names.insert(name.clone(), *inode);
            }
            NameChange::Remove { name } => {
                names.remove(name);
            }
            NameChange::Rename { from, to, inode } => {
                names.remove(from);
                names.insert(to.clone(), *inode);
            }
        }
    }

    /// The names that it is about.
    fn names(&self) -> Vec<&String> {
        match self {
            NameChange::Set { name, .. } | NameChange::Remove { name } => vec![name],
            NameChange::Rename { from, to, .. } => vec![from, to],
        }
    }
}

impl Storage for SimDisk {
    fn path(&self) -> &str {
        "sim"
    }

    fn list(&self) -> Result<Vec<String>> {
        Ok(self.operate(Operation::List, "sim")?.names.keys().cloned().collect())
    }

    fn create(&self, name: &str) -> Result<Arc<dyn File>> {
        let mut state = self.operate(Operation::Create, name)?;
        if state.names.contains_key(name) {
            return Err(Error::new(Kind::Io, format!("cannot create {name}: it exists")));
        }
        let inode = state.add_file(name);
        Ok(Arc::new(SimFile { disk: self.clone(), inode, name: name.to_owned() }))
    }

    fn open(&self, name: &str, _writable: bool) -> Result<Arc<dyn File>> {
        self.have_interlude();
        let inode = self.operate(Operation::Open, name)?.find(name)?;
        Ok(Arc::new(SimFile { disk: self.clone(), inode, name: name.to_owned() }))
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        let mut state = self.operate(Operation::Rename, from)?;
        let inode = state.find(from)?;
        state.change(NameChange::Rename { from: from.to_owned(), to: to.to_owned(), inode });
        Ok(())
    }

    fn remove(&self, name: &str) -> Result<()> {
        let mut state = self.operate(Operation::Remove, name)?;
        state.find(name)?;
        state.change(NameChange::Remove { name: name.to_owned() });
        Ok(())
    }

    fn sync_directory(&self) -> Result<()> {
        let mut state = self.operate(Operation::SyncDirectory, "sim")?;
        state.medium_names = state.names.clone();
        state.pending.clear();
        Ok(())
    }

    fn lock(&self, name: &str) -> Result<Box<dyn Lock>> {
        let mut state = self.operate(Operation::Lock, name)?;
        if state.locked {
            return Err(Error::new(Kind::AlreadyOpen, "the simulated disk is in use"));
        }
        state.locked = true;
        if !state.names.contains_key(name) {
            state.add_file(name);
        }
        Ok(Box::new(SimLock { disk: self.clone() }))
    }

    fn free_bytes(&self) -> Result<FreeBytes> {
        let state = self.shared.state.lock();
        Ok(FreeBytes { free: state.free(), total: state.capacity })
    }

    fn random(&self) -> Result<[u8; 16]> {
        let bytes = self.shared.state.lock().random.bytes(16);
        let mut out = [0; 16];
        out.copy_from_slice(&bytes);
        Ok(out)
    }

    fn now_ms(&self) -> u64 {
        1_700_000_000_000
    }
}

struct SimLock {
    disk: SimDisk,
}

impl Lock for SimLock {}

impl Drop for SimLock {
    fn drop(&mut self) {
        self.disk.shared.state.lock().locked = false;
    }
}
