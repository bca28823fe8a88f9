//! Files that the manifest does not know: what a crash left, or what a damaged manifest has lost.

use std::sync::Arc;

use super::Recovery;
use crate::error::{Error, Result};
use crate::format::name;
use crate::format::segment::{self, SegmentKind};
use crate::memory;
use crate::segment::scan::{Item, Scan};

impl Recovery {
    pub(super) fn find_leftovers(&mut self) -> Result<()> {
        let state = self.manifest.state();
        for name in self.storage.list()? {
            let is_leftover = match name::parse_segment(&name) {
                Some(id) if state.segments.contains_key(&id) => false,
                Some(id) => {
                    self.check_leftover(id, &name)?;
                    true
                }
                None => match name::parse_hint(&name) {
                    Some(id) => !state.segments.contains_key(&id),
                    None => {
                        name::is_stats(&name)
                            || [name::MANIFEST_NEW, name::INDEX_NEW, name::PARTIAL]
                                .contains(&name.as_str())
                    }
                },
            };
            if is_leftover {
                memory::push(&mut self.leftovers, name)?;
            }
        }
        Ok(())
    }

    pub(super) fn remove_leftovers(&self) -> Result<()> {
        for name in &self.leftovers {
            let removed = self.storage.remove(name);
            // Who reads figures sees whose they are.
            if !name::is_stats(name) {
                removed?;
            }
        }
        Ok(())
    }

    /// An error unless a segment that the manifest does not know is something that a crash leaves.
    fn check_leftover(&self, id: u64, name: &str) -> Result<()> {
        let state = self.manifest.state();
        let file = self.storage.open(name, false)?;
        let header = match self.read_header(&*file)? {
            Ok((header, ..)) => header,
            Err(what @ segment::FOREIGN) => {
                let path = format!("{}/{name}", self.storage.path());
                return Err(Error::corrupt(&path, 0, what));
            }
            // Its creation was interrupted.
            Err(_) => return Ok(()),
        };
        if id < state.next_id {
            // The manifest has let it go, on the medium, before its name went. Where a file system
            // gives away blocks before a name is gone for good (ext4 with data=writeback), a power
            // cut leaves the name with the bytes of whatever file has them now.
            return Ok(());
        }
        if header.id != id {
            let path = format!("{}/{name}", self.storage.path());
            let what = format!("it is segment {} under another name", header.id);
            return Err(Error::corrupt(&path, 0, what));
        }
        let mut scan = Scan::new(Arc::clone(&file), header, file.len()?);
        let is_missed = match scan.next_item()? {
            // A log is written to only once the manifest knows it. Compaction copies what the
            // manifest knows, so that newer records are the work of one whose commit is gone.
            Item::Record(found) => {
                let is_log = header.kind == SegmentKind::Log;
                is_log || found.sequence >= state.next_sequence
            }
            _ => false,
        };
        if is_missed {
            let manifest = format!("{}/{}", self.storage.path(), name::MANIFEST);
            let what = format!("its end is missing: it does not know {name}");
            return Err(Error::corrupt(&manifest, 0, what));
        }
        Ok(())
    }
}
