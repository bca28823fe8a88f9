//! Removing a database: its files and no others.

use crate::error::{Error, Kind, Result};
use crate::format::name;
use crate::manifest;
use crate::storage::Storage;

/// Removes the files of the database in `storage`. Nobody has it open, nor can until it is gone.
pub fn destroy(storage: &dyn Storage) -> Result<()> {
    let names = storage.list()?;
    if names.iter().any(|name| name == name::MANIFEST) {
        manifest::check_owner(storage)?;
    } else if !names.iter().any(|name| name::parse_segment(name).is_some()) {
        let message = format!("{} is not a libkv database", storage.path());
        return Err(Error::new(Kind::NotADatabase, message));
    }
    let _lock = storage.lock(name::LOCK)?;
    let is_segment = |name: &str| name::parse_segment(name).or(name::parse_hint(name)).is_some();
    for name in names.iter().filter(|name| is_segment(name)) {
        storage.remove(name)?;
    }
    for name in names.iter().filter(|name| name::is_stats(name)) {
        storage.remove_if_there(name)?;
    }
    // The manifest after them: until then, what is left is known as a database.
    storage.sync_directory()?;
    for name in [name::INDEX_NEW, name::INDEX, name::MANIFEST_NEW, name::MANIFEST] {
        storage.remove_if_there(name)?;
    }
    for name in [name::PARTIAL, name::LOCK] {
        storage.remove_if_there(name)?;
    }
    storage.sync_directory()
}
