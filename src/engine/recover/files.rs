//! The files of segments: opened, with what their header pages say.

use std::sync::Arc;

use super::Recovery;
use crate::error::{Error, Kind, Result};
use crate::format::name;
use crate::format::segment::{SegmentHeader, SyncMark, TimeNote, HEADER_PAGE};
use crate::storage::File;
use crate::wrong_turn::is_taken;

impl Recovery {
    /// The header of a segment's file, with its sync mark and what it knows of the clock; what is
    /// wrong with it if it is damaged. That it cannot be read now does not mean that it is damaged.
    pub(super) fn read_header(
        &self,
        file: &dyn File,
    ) -> Result<std::result::Result<(SegmentHeader, SyncMark, TimeNote), &'static str>> {
        if file.len()? < HEADER_PAGE as u64 {
            return Ok(Err("the file is shorter than a header page"));
        }
        let mut page = vec![0; HEADER_PAGE];
        file.read_at(&mut page, 0)?;
        let header = SegmentHeader::decode(&page, &self.manifest.identity().uuid);
        Ok(header.map(|header| {
            let mark = SyncMark::decode(&page, header.salt);
            (header, mark, TimeNote::decode(&page, header.salt))
        }))
    }

    /// Opens the file of a segment that the manifest knows. `is_synced` says that it is on the
    /// medium.
    pub(super) fn open_segment(
        &mut self,
        header: SegmentHeader,
        is_synced: bool,
    ) -> Result<(Arc<dyn File>, SyncMark, String)> {
        let name = name::segment(header.id);
        let path = format!("{}/{name}", self.storage.path());
        let is_sealed =
            self.manifest.state().segments.get(&header.id).is_some_and(|s| s.sealed.is_some());
        let file = self.storage.open(&name, !is_sealed).map_err(|error| match error.kind() {
            Kind::DoesNotExist => Error::corrupt(&path, 0, "the file is missing"),
            _ => error,
        })?;
        if !is_synced && !is_taken!(UnsyncedLogBelieved) {
            // What a failed sync left in the cache alone must not be believed, nor lost later on.
            file.sync()?;
            file.drop_cache()?;
        }
        let (found, mark, note) =
            self.read_header(&*file)?.map_err(|what| Error::corrupt(&path, 0, what))?;
        if found != header {
            return Err(Error::corrupt(&path, 0, "the header is not the one in the manifest"));
        }
        self.time_ms = self.time_ms.max(note.now_ms);
        Ok((file, mark, path))
    }
}
