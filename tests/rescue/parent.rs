//! A directory above shelves, for what is salvaged in memory.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::sync::Arc;

use kv::error::{Error, Kind, Result};
use kv::storage::{DirectoryId, Parent, Storage};
use parking_lot::Mutex;

use crate::damage::shelf::Shelf;

/// Shelves with their names.
#[derive(Default)]
pub struct Shelves(Mutex<BTreeMap<OsString, Shelf>>);

impl Shelves {
    pub fn get(&self, name: &str) -> Option<Shelf> {
        self.0.lock().get(OsStr::new(name)).cloned()
    }

    pub fn len(&self) -> usize {
        self.0.lock().len()
    }
}

fn missing() -> Error {
    Error::new(Kind::DoesNotExist, "there is no such shelf")
}

impl Parent for Shelves {
    fn path(&self) -> &str {
        "shelves"
    }

    fn open(&self, name: &OsStr) -> Result<Option<Arc<dyn Storage>>> {
        Ok(self.0.lock().get(name).map(Shelf::storage))
    }

    fn create(&self, name: &OsStr) -> Result<()> {
        self.0.lock().insert(name.to_owned(), Shelf::new(7, []));
        Ok(())
    }

    fn rename(&self, from: &OsStr, to: &OsStr) -> Result<()> {
        let mut shelves = self.0.lock();
        let shelf = shelves.remove(from).ok_or_else(missing)?;
        shelves.insert(to.to_owned(), shelf);
        Ok(())
    }

    fn exchange(&self, _one: &OsStr, _other: &OsStr) -> Result<bool> {
        Ok(false)
    }

    fn remove(&self, name: &OsStr) -> Result<()> {
        self.0.lock().remove(name).map(|_| ()).ok_or_else(missing)
    }

    fn sync(&self) -> Result<()> {
        Ok(())
    }

    fn lineage(&self) -> Result<Vec<DirectoryId>> {
        Ok(Vec::new())
    }
}
