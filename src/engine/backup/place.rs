//! The place that a backup or a restored database takes: the directory is made beside it, under the
//! same name with `.partial` behind it, and gets its name when it is whole and on the medium.
//!
//! The file `PARTIAL` says of a directory that it may be removed: it is in one that is being made,
//! and in one that is about to be replaced. It is on the medium before any other file is, and goes
//! last.

use std::ffi::{OsStr, OsString};
use std::sync::Arc;

use crate::error::{Error, Kind, Result};
use crate::format::name;
use crate::manifest::{self, State};
use crate::storage::{Lock, Parent, Storage};
use crate::wrong_turn::unless;

/// Where a directory is to be.
pub(in crate::engine) struct Place<'a> {
    parent: &'a dyn Parent,
    name: &'a OsStr,
    /// The name of the directory while it is being made.
    partial: OsString,
    /// The name that the old one has for a moment where names cannot be exchanged.
    old: OsString,
}

/// A directory that is being made. Nobody else has it.
pub(in crate::engine) struct Fresh<'a> {
    place: &'a Place<'a>,
    pub storage: Arc<dyn Storage>,
    lock: Box<dyn Lock>,
}

/// The directory that is to be replaced. Nobody else has it open.
pub(in crate::engine) struct Present {
    pub storage: Arc<dyn Storage>,
    /// What is in it; nothing, if it is empty.
    pub state: Option<State>,
    lock: Option<Box<dyn Lock>>,
}

impl<'a> Place<'a> {
    pub fn new(parent: &'a dyn Parent, name: &'a OsStr) -> Place<'a> {
        let with = |suffix: &str| {
            let mut longer = name.to_owned();
            longer.push(suffix);
            longer
        };
        Place { parent, name, partial: with(".partial"), old: with(".old") }
    }

    /// The place as people know it.
    pub fn path(&self) -> String {
        self.shown(self.name)
    }

    fn shown(&self, name: &OsStr) -> String {
        format!("{}/{}", self.parent.path(), name.display())
    }

    /// An error if the place is the directory `own`, or one inside it, or around it.
    pub fn must_be_apart_from(&self, own: &dyn Storage) -> Result<()> {
        let lineage = own.lineage()?;
        let is_inside = match lineage.first() {
            Some(id) => self.parent.lineage()?.contains(id),
            None => false,
        };
        let is_around = match self.parent.open(self.name)? {
            Some(there) => there.lineage()?.first().is_some_and(|id| lineage.contains(id)),
            None => false,
        };
        if !is_inside && !is_around {
            return Ok(());
        }
        let (path, own) = (self.path(), own.path());
        let what = match is_inside {
            true => format!("{path} is inside {own}, the database's own directory"),
            false => format!("{path} is {own}, the database's own directory, or contains it"),
        };
        Err(Error::new(Kind::InvalidArgument, what))
    }

    /// An error unless there is nothing, or an empty directory.
    pub fn must_be_free(&self) -> Result<()> {
        let Some(there) = self.parent.open(self.name)? else { return Ok(()) };
        match there.list()?.first() {
            None => Ok(()),
            Some(name) => {
                let what = format!("{} is not empty: it holds {name}", self.path());
                Err(Error::new(Kind::AlreadyExists, what))
            }
        }
    }

    /// What is to be replaced, if there is anything: a backup of the database `uuid` to which
    /// nothing was written since, or an empty directory. An error if it is anything else.
    pub fn older_backup(&self, uuid: &[u8; 16]) -> Result<Option<Present>> {
        self.settle_old()?;
        let Some(storage) = self.parent.open(self.name)? else { return Ok(None) };
        // Before the lock file is made: what is no backup is left as it is.
        if self.check_backup(&*storage, uuid)?.is_none() {
            return Ok(Some(Present { storage, state: None, lock: None }));
        }
        let lock = Some(storage.lock(name::LOCK)?);
        let state = self.check_backup(&*storage, uuid)?;
        Ok(Some(Present { storage, state, lock }))
    }

    /// What the backup in `storage` holds; nothing if there is none, and nothing else either.
    fn check_backup(&self, storage: &dyn Storage, uuid: &[u8; 16]) -> Result<Option<State>> {
        let path = self.path();
        let names = storage.list()?;
        let has_manifest = names.iter().any(|name| name == name::MANIFEST);
        let is_known =
            |name: &String| if has_manifest { name::is_ours(name) } else { is_sign(name) };
        if let Some(other) = names.iter().find(|name| !is_known(name)) {
            let what = format!("{path} is not a backup, or not only one: it holds {other}");
            return Err(Error::new(Kind::NotADatabase, what));
        }
        if !has_manifest {
            return Ok(None);
        }
        let stored = manifest::read(storage)?;
        if stored.identity.uuid != *uuid {
            let what = format!("{path} holds another database");
            return Err(Error::new(Kind::AlreadyExists, what));
        }
        // A backup's manifest is one frame; a write adds another before it does anything else.
        if stored.frames > 1 || stored.state.closed.is_none() {
            let what = format!(
                "{path} is a database, or a backup that was opened and written to: it would be lost"
            );
            return Err(Error::new(Kind::AlreadyExists, what));
        }
        Ok(Some(stored.state))
    }

    /// Puts in order what a crash left where names cannot be exchanged.
    fn settle_old(&self) -> Result<()> {
        let Some(old) = self.parent.open(&self.old)? else { return Ok(()) };
        if !is_leftover(&old.list()?) {
            return Ok(());
        }
        if self.parent.open(self.name)?.is_none() {
            self.parent.rename(&self.old, self.name)?;
            return self.parent.sync();
        }
        let lock = old.lock(name::LOCK)?;
        self.remove(&self.old, &*old, Some(lock))
    }

    /// Makes the directory beside the place. One that a crash left there is used again.
    pub fn begin(&self) -> Result<Fresh<'_>> {
        let found = self.parent.open(&self.partial)?;
        if let Some(found) = &found {
            if !is_leftover(&found.list()?) {
                let path = self.shown(&self.partial);
                let what = format!("{path} is in the way: no backup has left it; remove it");
                return Err(Error::new(Kind::AlreadyExists, what));
            }
        } else {
            self.parent.create(&self.partial)?;
        }
        let begun = self.begin_in(found.clone());
        if begun.is_err() && found.is_none() {
            // What is in it is of another who makes it just now, and then it stays.
            let _ = self.parent.remove(&self.partial);
        }
        begun
    }

    fn begin_in(&self, found: Option<Arc<dyn Storage>>) -> Result<Fresh<'_>> {
        let storage = match found {
            Some(found) => found,
            None => self.parent.open(&self.partial)?.ok_or_else(|| {
                let what = format!("{} has vanished", self.shown(&self.partial));
                Error::new(Kind::DoesNotExist, what)
            })?,
        };
        let lock = storage.lock(name::LOCK)?;
        let fresh = Fresh { place: self, storage, lock };
        let marked = || unless!(BackupNotMarked, mark(&*fresh.storage));
        let emptied = empty(&*fresh.storage).and_then(|()| marked());
        match emptied {
            Ok(()) => Ok(fresh),
            Err(error) => {
                fresh.abandon();
                Err(error)
            }
        }
    }

    /// Removes a directory for good, with all that is in it.
    fn remove(
        &self,
        name: &OsStr,
        storage: &dyn Storage,
        lock: Option<Box<dyn Lock>>,
    ) -> Result<()> {
        empty(storage)?;
        storage.remove_if_there(name::PARTIAL)?;
        storage.remove_if_there(name::LOCK)?;
        drop(lock);
        self.parent.remove(name)
    }
}

impl Fresh<'_> {
    /// Takes everything back.
    pub fn abandon(self) {
        // What cannot be removed now is a leftover, which the next one removes.
        let _ = self.place.remove(&self.place.partial, &*self.storage, Some(self.lock));
    }

    /// Puts the directory, which is whole and on the medium, in its place.
    pub fn take_place(self, present: Option<Present>) -> Result<()> {
        let place = self.place;
        let replaced_as = match self.exchange(present.as_ref()) {
            Ok(replaced_as) => replaced_as,
            Err(error) => {
                // After a failure of the medium it may have happened all the same.
                if self.is_partial().unwrap_or(false) {
                    self.abandon();
                }
                return Err(error);
            }
        };
        // Until it is sure that the new one is there for good, the old one stays.
        unless!(BackupNameNotSynced, place.parent.sync())?;
        if let Some(present) = present {
            let _ = place.remove(replaced_as, &*present.storage, present.lock);
        }
        // If it stays, the next open removes it.
        let _ = self.storage.remove(name::PARTIAL);
        Ok(())
    }

    /// Gives the directory its name. Answers which name the old one has from now on.
    fn exchange(&self, present: Option<&Present>) -> Result<&OsStr> {
        let Place { parent, name, partial, old } = self.place;
        let Some(present) = present else {
            return parent.rename(partial, name).map(|()| partial.as_os_str());
        };
        unless!(OldBackupNotMarked, mark(&*present.storage))?;
        if parent.exchange(partial, name)? {
            return Ok(partial);
        }
        parent.rename(name, old)?;
        parent.rename(partial, name).inspect_err(|_| {
            let _ = parent.rename(old, name);
        })?;
        Ok(old)
    }

    /// Whether the directory still has the name under which it was made.
    fn is_partial(&self) -> Result<bool> {
        let Some(there) = self.place.parent.open(&self.place.partial)? else { return Ok(false) };
        Ok(there.lineage()?.first() == self.storage.lineage()?.first())
    }
}

/// Whether a file says something of a directory, and holds nothing.
fn is_sign(name: &str) -> bool {
    name == name::LOCK || name == name::PARTIAL
}

/// Whether a directory with these files may be removed.
fn is_leftover(names: &[String]) -> bool {
    let is_marked = names.iter().any(|name| name == name::PARTIAL);
    names.iter().all(|name| if is_marked { name::is_ours(name) } else { is_sign(name) })
}

/// Says on the medium that the directory may be removed.
fn mark(storage: &dyn Storage) -> Result<()> {
    if !storage.list()?.iter().any(|name| name == name::PARTIAL) {
        storage.create(name::PARTIAL)?;
    }
    storage.sync_directory()
}

/// Removes the files in a directory but for those that say what it is.
fn empty(storage: &dyn Storage) -> Result<()> {
    for name in storage.list()?.iter().filter(|name| name::is_ours(name) && !is_sign(name)) {
        storage.remove_if_there(name)?;
    }
    storage.sync_directory()
}
