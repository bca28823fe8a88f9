//! A segment that takes no more records, on its way to the medium.

use std::sync::Arc;

use super::blocks::Blocks;
use super::open::Opener;
use super::{Segment, Source};
use crate::error::Result;
use crate::format::record::Seal;
use crate::format::segment::{SegmentKind, SyncMark, TimeNote};
use crate::storage::File;
use crate::wrong_turn::unless;

/// A segment that takes no more records, and what is needed to put it on the medium.
pub struct FullSegment {
    /// The readers' side.
    pub segment: Arc<Segment>,
    /// Its file.
    pub file: Arc<dyn File>,
    /// Bytes of it, the seal included.
    pub len: u64,
    /// What the seal says.
    pub seal: Seal,
    pub(super) blocks: Arc<Blocks>,
}

impl FullSegment {
    /// Gives back what was allocated beyond the end, and reads the segment from now on as a sealed
    /// one. To be done before it is synced: while it is mapped for writing, a sync takes the pages'
    /// write permission away one by one, and interrupts every processor for each.
    pub fn settle(&mut self, opener: &Arc<Opener>) -> Result<()> {
        self.blocks.cut(self.len)?;
        let sealed = opener.sealed_and_open(self.segment.header.id, self.len, &self.file)?;
        self.segment = Arc::new(self.segment.with_source(Source::Sealed(sealed)));
        self.segment.set_allocated(0);
        Ok(())
    }

    /// Puts the segment on the medium.
    pub fn sync(&self) -> Result<()> {
        match self.segment.header.kind {
            SegmentKind::Log => unless!(SealBeforeSync, self.file.sync()),
            SegmentKind::Compacted => unless!(OutputNotSynced, self.file.sync()),
        }
    }
}

/// Notes in the file of the segment with `salt` that its first `offset` bytes are on the medium.
pub fn write_mark(file: &dyn File, salt: u32, offset: u64, turn: u64) -> Result<()> {
    let (at, bytes) = SyncMark { offset }.encode(salt, turn);
    file.write_at(&bytes, at)
}

/// Notes in the file of the segment with `salt` that the clock has been at `now_ms`.
pub fn write_time(file: &dyn File, salt: u32, now_ms: u64, turn: u64) -> Result<()> {
    let (at, bytes) = TimeNote { now_ms }.encode(salt, turn);
    file.write_at(&bytes, at)
}
