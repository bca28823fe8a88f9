//! A disk in memory that knows what a power cut may leave of it.
//!
//! It keeps each file and each directory twice: *live*, as every process sees it, and on the
//! *medium*, as the last sync left it. [`State::cut`] draws one of the states that the contracts at
//! the top of `src/storage/mod.rs` allow after a power cut; [`State::kill`] is what the death of
//! the process leaves. A watcher is called before every operation that changes something, and can
//! take either.

pub mod cut;
pub mod damage;
mod directory;
pub mod fault;
mod file;
mod memory;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicBool;
use std::sync::Arc;
use std::thread::ThreadId;

use kv::error::{Error, Result};
use kv::storage::Storage;
use parking_lot::{Mutex, MutexGuard};

use super::Random;
pub use directory::SimParent;
use directory::{Directory, NameChange};
use fault::{Fault, Operation};
use memory::{Region, Writing};

/// Bytes that reach the medium together or not at all, in most cases.
pub const SECTOR: usize = 512;

/// Room for all that a test may write.
const UNBOUNDED: u64 = 1 << 40;

/// One file, live and on the medium. Where both are the same, they are one region.
struct Inode {
    live: Arc<Region>,
    /// Bytes of the live file.
    len: usize,
    medium: Arc<Region>,
    /// Bytes of the file on the medium.
    medium_len: usize,
    /// Sectors that a failed sync dropped, with the bytes they had: clean, but not on the medium.
    dropped: BTreeMap<usize, Vec<u8>>,
    /// Whether the live bytes are this file's alone, so that it may write to them.
    owned: AtomicBool,
    /// Whether the live file may have been changed since the last sync.
    changed: bool,
    /// Shared with those handles that may write.
    writing: Writing,
    /// Shared with the maps that are appended to.
    appending: Writing,
}

/// Called before an operation that changes something.
pub type Watcher = Box<dyn FnMut(&State, Operation) + Send>;

/// Called before a file is opened or a checkpoint written to, with nothing locked: a moment for
/// other work in the middle of a compaction or a checkpoint.
pub type Interlude = Box<dyn FnMut() + Send>;

/// Everything a disk knows.
pub struct State {
    inodes: Vec<Inode>,
    /// The first is that of the database.
    directories: Vec<Directory>,
    /// The directory above, with their names.
    above: Directory,
    /// Whether two directories can exchange their names.
    pub exchanges: bool,
    /// Bytes that all files may have together.
    capacity: u64,
    operations: u64,
    random: Random,
    fault: Option<Fault>,
    struck: u64,
    /// Whether a write that the last fault struck has written a part.
    writes_a_part: bool,
    /// How often, in 256ths, an operation is a moment at which the kernel writes something back.
    writeback: u64,
    /// How often, in 256ths, a write of several pages is done in two.
    short_writes: u64,
    watched: Option<ThreadId>,
}

struct Shared {
    state: Mutex<State>,
    watcher: Mutex<Option<Watcher>>,
    interlude: Mutex<Option<Interlude>>,
}

/// The names in each directory, with the files' lengths.
pub type Listing = Vec<(String, Vec<(String, usize)>)>;

/// Names and lengths in words.
pub fn shown(listing: &Listing) -> String {
    let file = |(name, len): &(String, usize)| format!("{name}:{len} ");
    let directory = |(name, files): &(String, Vec<(String, usize)>)| {
        format!("{name}/ {}", files.iter().map(file).collect::<String>())
    };
    listing.iter().map(directory).collect()
}

/// The disk, and one of its directories. Clones are the same disk.
#[derive(Clone)]
pub struct SimDisk {
    shared: Arc<Shared>,
    directory: usize,
}

impl SimDisk {
    /// An empty disk. What it leaves to chance is drawn from `seed`.
    pub fn new(seed: u64) -> SimDisk {
        SimDisk::from_state(State {
            inodes: Vec::new(),
            directories: vec![Directory::default()],
            above: Directory::with("sim", 0),
            exchanges: true,
            capacity: UNBOUNDED,
            operations: 0,
            random: Random(seed),
            fault: None,
            struck: 0,
            writes_a_part: false,
            writeback: 0,
            short_writes: 0,
            watched: None,
        })
    }

    fn from_state(state: State) -> SimDisk {
        let state = Mutex::new(state);
        let shared = Shared { state, watcher: Mutex::default(), interlude: Mutex::default() };
        SimDisk { shared: Arc::new(shared), directory: 0 }
    }

    /// The directory above that of the database.
    pub fn parent(&self) -> SimParent {
        SimParent { disk: self.clone() }
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

    /// Says how often, in 256ths, a write is a short one, or interrupted, and the rest of it
    /// another.
    pub fn set_short_writes(&self, often: u64) {
        self.shared.state.lock().short_writes = often;
    }

    /// Makes operations fail, or stops doing so.
    pub fn set_fault(&self, fault: Option<Fault>) {
        self.shared.state.lock().fault = fault;
    }

    /// The fault to come, which does not come before it is set again.
    pub fn take_fault(&self) -> Option<Fault> {
        self.shared.state.lock().fault.take()
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

    /// Says whether two directories can exchange their names.
    pub fn set_exchanges(&self, exchanges: bool) {
        self.shared.state.lock().exchanges = exchanges;
    }

    /// The names in all directories, with the files' lengths.
    pub fn list_all(&self) -> Listing {
        let state = self.shared.state.lock();
        let directories = state.above.names.iter().map(|(name, &directory)| {
            let files = state.directories[directory].names.iter();
            let files = files.map(|(name, &inode)| (name.clone(), state.inodes[inode].len));
            (name.clone(), files.collect())
        });
        directories.collect()
    }

    /// The same, for messages.
    pub fn listing(&self) -> String {
        shown(&self.list_all())
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
        state.writes_a_part = fault.writes_a_part();
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
        let all = self.directories.iter().flat_map(|directory| directory.names.values());
        let named: BTreeSet<usize> = all.copied().collect();
        let used: usize = named.into_iter().map(|inode| self.inodes[inode].len).sum();
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

    fn add_file(&mut self, directory: usize, name: &str) -> usize {
        let inode = self.inodes.len();
        self.inodes.push(Inode::empty());
        self.directories[directory]
            .change(NameChange::Set { name: name.to_owned(), target: inode });
        inode
    }
}

impl Inode {
    fn empty() -> Inode {
        Inode::new(Arc::new(Region::with(&[])), 0)
    }
}
