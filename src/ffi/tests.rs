//! Tests of the C functions together, called as C calls them.

use std::path::{Path, PathBuf};

/// A directory for one test, removed before and after.
pub(super) struct Place(PathBuf);

impl Place {
    pub(super) fn new(name: &str) -> Place {
        let place = Place(std::env::temp_dir().join(format!("kv-{}-{name}", std::process::id())));
        place.clear();
        place
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    fn clear(&self) {
        // It may not exist.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.clear();
    }
}
