//! Room on the disk: what the options and the file system leave, and what of it is kept for winning
//! room back.
//!
//! A put ends where a delete and a compaction can still go on: else a full database could never
//! become emptier. It is asked for where blocks are allocated, not for each put.

use super::Engine;
use crate::error::{Error, Kind, Result};
use crate::format::segment::OVERHEAD;

/// What blocks are wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// New records, later on. It ends a segment before those that are wanted now: what is allocated
    /// at the same time in two places must not take what is kept.
    Ahead,
    /// New records.
    Put,
    /// Tombstones.
    Delete,
    /// What must stay of segments that go.
    Compaction,
}

/// Bytes of the lock file, and of a manifest of usual length.
const SMALL_FILES: u64 = 256 << 10;
/// Hints take about so many bytes for each byte of the log that they describe, as a divisor.
const LOG_PER_HINT: u64 = 12;

impl Engine {
    /// By how many bytes files may grow for this purpose; an error if that is less than `least`.
    pub(super) fn may_allocate(&self, least: u64, purpose: Purpose) -> Result<u64> {
        let mut allowed = u64::MAX;
        let limit = self.options.max_disk_bytes;
        if limit > 0 {
            let used = self.bytes_with_forecast();
            allowed = limit.saturating_sub(self.kept_of_limit(purpose)).saturating_sub(used);
            if allowed < least {
                let what = format!("the database takes {used} bytes of the {limit} that it may");
                return Err(Error::new(Kind::NoSpace, what));
            }
        }
        // That it cannot be told is no reason to refuse.
        let Ok(disk) = self.storage.free_bytes() else { return Ok(allowed) };
        let kept = self.options.segment_size.min(disk.total / 16);
        let kept = match purpose {
            Purpose::Ahead => kept * 2,
            Purpose::Put => kept,
            Purpose::Delete => kept / 2,
            Purpose::Compaction => 0,
        };
        let free = disk.free.saturating_sub(kept);
        if free < least {
            let (free, path) = (disk.free, self.storage.path());
            let what = format!(
                "{path}: {free} bytes are free on the disk, of which {kept} are kept for \
                 compaction and deletions"
            );
            return Err(Error::new(Kind::NoSpace, what));
        }
        Ok(allowed.min(free))
    }

    /// Bytes of records that one group of victims may leave: about a segment, or less if there is
    /// no room for that.
    pub(super) fn room_for_output(&self) -> u64 {
        let segment = self.options.segment_size;
        let allowed = self.may_allocate(0, Purpose::Compaction).unwrap_or(0);
        allowed.min(segment).saturating_sub(OVERHEAD as u64)
    }

    /// Whether puts will soon be refused: then garbage is worth more than usually.
    pub(super) fn is_short_of_space(&self) -> bool {
        let ahead = 2 * self.options.segment_size;
        self.may_allocate(ahead, Purpose::Put).is_err()
    }

    /// The part of `max_disk_bytes` that is kept for other purposes.
    fn kept_of_limit(&self, purpose: Purpose) -> u64 {
        // A group of victims leaves about one segment at most.
        let segment = self.options.segment_size;
        match purpose {
            Purpose::Ahead => 2 * segment + segment / 2,
            Purpose::Put => segment + segment / 2,
            Purpose::Delete => segment,
            Purpose::Compaction => 0,
        }
    }

    /// Bytes of all files, with those that are written later for what there is.
    fn bytes_with_forecast(&self) -> u64 {
        let mut log = 0;
        self.table.look_at_all(|segment| log += segment.disk_bytes());
        log + log / LOG_PER_HINT + self.index.memory() as u64 + SMALL_FILES
    }
}
