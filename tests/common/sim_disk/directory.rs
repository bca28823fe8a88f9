//! Directories of a simulated disk: that of a database, others beside it, and the one above.

use std::any::Any;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::sync::Arc;

use kv::error::{Error, Kind, Result};
use kv::storage::{DirectoryId, File, FreeBytes, Lock, Parent, Storage};

use super::fault::Operation;
use super::file::SimFile;
use super::{SimDisk, State};

/// Which name means which file, or which directory.
pub type Names = BTreeMap<String, usize>;

/// A directory, live and on the medium.
#[derive(Clone, Default)]
pub struct Directory {
    pub names: Names,
    pub medium_names: Names,
    /// What leads from `medium_names` to `names`.
    pub pending: Vec<NameChange>,
    pub locked: bool,
}

/// A change to a directory that is not on the medium yet.
#[derive(Clone, Debug)]
pub enum NameChange {
    Set { name: String, target: usize },
    Remove { name: String },
    Rename { from: String, to: String, target: usize },
    Exchange { one: String, other: String },
}

impl NameChange {
    /// What gets a name.
    pub fn target(&self) -> Option<usize> {
        match self {
            NameChange::Set { target, .. } | NameChange::Rename { target, .. } => Some(*target),
            NameChange::Remove { .. } | NameChange::Exchange { .. } => None,
        }
    }

    pub fn apply(&self, names: &mut Names) {
        match self {
            NameChange::Set { name, target } => {
                names.insert(name.clone(), *target);
            }
            NameChange::Remove { name } => {
                names.remove(name);
            }
            NameChange::Rename { from, to, target } => {
                names.remove(from);
                names.insert(to.clone(), *target);
            }
            NameChange::Exchange { one, other } => {
                if let (Some(&first), Some(&second)) = (names.get(one), names.get(other)) {
                    names.insert(one.clone(), second);
                    names.insert(other.clone(), first);
                }
            }
        }
    }

    /// The names that it is about.
    pub fn names(&self) -> Vec<&String> {
        match self {
            NameChange::Set { name, .. } | NameChange::Remove { name } => vec![name],
            NameChange::Rename { from, to, .. } => vec![from, to],
            NameChange::Exchange { one, other } => vec![one, other],
        }
    }
}

impl Directory {
    /// A directory with one name, on the medium.
    pub fn with(name: &str, target: usize) -> Directory {
        let names = Names::from([(name.to_owned(), target)]);
        Directory { medium_names: names.clone(), names, ..Directory::default() }
    }

    fn find(&self, name: &str) -> Result<usize> {
        let found = self.names.get(name).copied();
        found.ok_or_else(|| Error::new(Kind::DoesNotExist, format!("there is no {name}")))
    }

    pub fn change(&mut self, change: NameChange) {
        change.apply(&mut self.names);
        self.pending.push(change);
    }

    fn sync(&mut self) {
        self.medium_names = self.names.clone();
        self.pending.clear();
    }
}

fn exists(name: &str) -> Error {
    Error::new(Kind::Io, format!("cannot create {name}: it exists"))
}

impl SimDisk {
    /// The same disk, seen from the directory from which `other` is seen.
    pub fn seen_from(self, other: &SimDisk) -> SimDisk {
        SimDisk { directory: other.directory, ..self }
    }

    fn file(&self, state: &mut State, inode: usize, name: &str, writable: bool) -> Arc<dyn File> {
        let file = &mut state.inodes[inode];
        let writing = writable.then(|| {
            file.own();
            Arc::clone(&file.writing)
        });
        Arc::new(SimFile { disk: self.clone(), inode, name: name.to_owned(), writing })
    }
}

impl Storage for SimDisk {
    fn path(&self) -> &str {
        "sim"
    }

    fn list(&self) -> Result<Vec<String>> {
        let state = self.operate(Operation::List, "sim")?;
        Ok(state.directories[self.directory].names.keys().cloned().collect())
    }

    fn create(&self, name: &str) -> Result<Arc<dyn File>> {
        let mut state = self.operate(Operation::Create, name)?;
        if state.directories[self.directory].names.contains_key(name) {
            return Err(exists(name));
        }
        let inode = state.add_file(self.directory, name);
        Ok(self.file(&mut state, inode, name, true))
    }

    fn open(&self, name: &str, writable: bool) -> Result<Arc<dyn File>> {
        self.have_interlude();
        let mut state = self.operate(Operation::Open, name)?;
        let inode = state.directories[self.directory].find(name)?;
        Ok(self.file(&mut state, inode, name, writable))
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        let mut state = self.operate(Operation::Rename, from)?;
        let directory = &mut state.directories[self.directory];
        let target = directory.find(from)?;
        directory.change(NameChange::Rename { from: from.to_owned(), to: to.to_owned(), target });
        Ok(())
    }

    fn remove(&self, name: &str) -> Result<()> {
        let mut state = self.operate(Operation::Remove, name)?;
        let directory = &mut state.directories[self.directory];
        directory.find(name)?;
        directory.change(NameChange::Remove { name: name.to_owned() });
        Ok(())
    }

    fn link_from(&self, from: &dyn Storage, name: &str) -> Result<bool> {
        let Some(from) = (from as &dyn Any).downcast_ref::<SimDisk>() else { return Ok(false) };
        if !Arc::ptr_eq(&from.shared, &self.shared) {
            return Ok(false);
        }
        let mut state = self.operate(Operation::Create, name)?;
        let target = state.directories[from.directory].find(name)?;
        let directory = &mut state.directories[self.directory];
        if directory.names.contains_key(name) {
            return Err(exists(name));
        }
        directory.change(NameChange::Set { name: name.to_owned(), target });
        Ok(true)
    }

    fn lineage(&self) -> Result<Vec<DirectoryId>> {
        Ok(vec![(1, self.directory as u64), (0, 0)])
    }

    fn sync_directory(&self) -> Result<()> {
        let mut state = self.operate(Operation::SyncDirectory, "sim")?;
        state.directories[self.directory].sync();
        Ok(())
    }

    fn lock(&self, name: &str) -> Result<Box<dyn Lock>> {
        let mut state = self.operate(Operation::Lock, name)?;
        if state.directories[self.directory].locked {
            return Err(Error::new(Kind::AlreadyOpen, "the simulated disk is in use"));
        }
        state.directories[self.directory].locked = true;
        if !state.directories[self.directory].names.contains_key(name) {
            state.add_file(self.directory, name);
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
        self.disk.shared.state.lock().directories[self.disk.directory].locked = false;
    }
}

/// The directory above those of a simulated disk.
pub struct SimParent {
    pub disk: SimDisk,
}

impl SimParent {
    /// The disk, seen from one of its directories.
    pub fn disk_in(&self, name: &str) -> Option<SimDisk> {
        let directory = self.disk.shared.state.lock().above.names.get(name).copied()?;
        Some(SimDisk { shared: Arc::clone(&self.disk.shared), directory })
    }
}

fn text(name: &OsStr) -> String {
    name.to_string_lossy().into_owned()
}

impl Parent for SimParent {
    fn path(&self) -> &str {
        "above"
    }

    fn open(&self, name: &OsStr) -> Result<Option<Arc<dyn Storage>>> {
        drop(self.disk.operate(Operation::Open, &text(name))?);
        Ok(self.disk_in(&text(name)).map(|disk| disk.storage()))
    }

    fn create(&self, name: &OsStr) -> Result<()> {
        let name = text(name);
        let mut state = self.disk.operate(Operation::Create, &name)?;
        if state.above.names.contains_key(&name) {
            return Err(exists(&name));
        }
        let target = state.directories.len();
        state.directories.push(Directory::default());
        state.above.change(NameChange::Set { name, target });
        Ok(())
    }

    fn rename(&self, from: &OsStr, to: &OsStr) -> Result<()> {
        let (from, to) = (text(from), text(to));
        let mut state = self.disk.operate(Operation::Rename, &from)?;
        let target = state.above.find(&from)?;
        let replaced = state.above.names.get(&to).copied();
        if replaced.is_some_and(|replaced| !state.directories[replaced].names.is_empty()) {
            return Err(Error::new(Kind::Io, format!("{to} is not empty")));
        }
        state.above.change(NameChange::Rename { from, to, target });
        Ok(())
    }

    fn exchange(&self, one: &OsStr, other: &OsStr) -> Result<bool> {
        let (one, other) = (text(one), text(other));
        let mut state = self.disk.operate(Operation::Rename, &one)?;
        if !state.exchanges {
            return Ok(false);
        }
        state.above.find(&one)?;
        state.above.find(&other)?;
        state.above.change(NameChange::Exchange { one, other });
        Ok(true)
    }

    fn remove(&self, name: &OsStr) -> Result<()> {
        let name = text(name);
        let mut state = self.disk.operate(Operation::Remove, &name)?;
        let directory = state.above.find(&name)?;
        if !state.directories[directory].names.is_empty() {
            return Err(Error::new(Kind::Io, format!("{name} is not empty")));
        }
        state.above.change(NameChange::Remove { name });
        Ok(())
    }

    fn sync(&self) -> Result<()> {
        self.disk.operate(Operation::SyncDirectory, "above")?.above.sync();
        Ok(())
    }

    fn lineage(&self) -> Result<Vec<DirectoryId>> {
        Ok(vec![(0, 0)])
    }
}
