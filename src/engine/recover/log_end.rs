//! The segments that are not sealed: how far the log goes, and whether it may end there.

use std::sync::Arc;

use super::{FoundFull, FoundTail, Recovery};
use crate::error::{Error, Result};
use crate::format::manifest::SealedSegment;
use crate::format::name;
use crate::format::segment::{SegmentHeader, HEADER_PAGE};
use crate::memory;
use crate::segment::digest::{self, End};
use crate::segment::scan::{Scan, Whole};
use crate::segment::{Segment, Source};
use crate::storage::File;
use crate::wrong_turn::is_taken;

impl Recovery {
    /// Reads the segments that are not sealed, and finds where the log ends.
    pub(super) fn read_log_end(&mut self, unsealed: &[SegmentHeader]) -> Result<()> {
        let closed = self.manifest.state().closed;
        if let Some(tail) = closed {
            let ids = unsealed.iter().map(|header| header.id);
            if !ids.eq((tail.id != 0).then_some(tail.id)) {
                let manifest = format!("{}/{}", self.storage.path(), name::MANIFEST);
                return Err(Error::corrupt(&manifest, 0, "it was closed with another log"));
            }
        }
        let mut expected = None;
        let mut ended: Option<Error> = None;
        for header in unsealed {
            let (file, mark, path) = self.open_segment(*header, false)?;
            let len = file.len()?;
            if let (Some(end), false) = (&ended, is_taken!(HoleInLogPassed)) {
                // A sync reaches a segment only after the ones before it.
                if mark.offset > HEADER_PAGE as u64 {
                    return Err(end.clone());
                }
                if !is_taken!(DiscardedSegmentsKept) {
                    memory::push(&mut self.discarded, header.id)?;
                }
                continue;
            }
            let synced = match closed {
                Some(tail) if len != tail.len => {
                    let what = format!("the file has {len} bytes, not {}", tail.len);
                    return Err(Error::corrupt(&path, len.min(tail.len), what));
                }
                Some(tail) => tail.len,
                None => mark.offset,
            };
            ended = self.read_unsealed(*header, file, (len, synced), &mut expected)?;
        }
        self.check_log_is_whole()
    }

    /// Reads one segment of the end of the log. Answers where and why the log ends in it, if it
    /// does.
    fn read_unsealed(
        &mut self,
        header: SegmentHeader,
        file: Arc<dyn File>,
        (len, synced): (u64, u64),
        expected: &mut Option<u64>,
    ) -> Result<Option<Error>> {
        let span = len.max(self.options.segment_size);
        let source = Source::Sealed(self.opener.sealed(header.id, len));
        let storage = Arc::clone(&self.storage);
        let make = |base| Segment::new(header, &*storage, source, base);
        let segment = self.table.add(header.id, span, make)?;
        let mut scan = Scan::new(Arc::clone(&file), header, len);
        if let Some(expected) = *expected {
            scan.expect(expected);
        }
        let hash = |key: &[u8]| self.hasher.hash(key);
        let walked = digest::of_scan(&mut scan, header.kind, hash)?;
        segment.set_expiring(walked.expiring);
        memory::push(&mut self.log_end, (Arc::clone(&segment), walked.digest))?;
        let what = match walked.end {
            End::Seal(seal) => {
                let sealed = SealedSegment {
                    id: header.id,
                    len: scan.offset(),
                    records: seal.records,
                    next_sequence: seal.next_sequence,
                    expiring: walked.expiring,
                };
                memory::push(&mut self.full, FoundFull { segment, file, sealed })?;
                *expected = Some(seal.next_sequence);
                self.next_sequence = self.next_sequence.max(seal.next_sequence);
                return Ok(None);
            }
            End::End => "the log ends before what was synced",
            End::Damage(what) => what,
        };
        let torn = match walked.end {
            End::Damage(what) => Some(what),
            _ => scan.is_in_batch().then_some("a batch has no end"),
        };
        let end = segment.damaged(scan.offset(), what);
        // A batch without its end was never written.
        let Whole { offset, records, next_sequence } = scan.whole();
        let next = match records {
            // The base is a lower bound. What the manifest says may be too high, which is allowed
            // where nothing says what must follow.
            0 => expected.unwrap_or(self.next_sequence).max(header.base_sequence),
            _ => next_sequence,
        };
        self.tail = Some(FoundTail { segment, file, len: offset, records, torn });
        // The log goes on without a gap, whatever was begun after this point and is discarded.
        self.next_sequence = next;
        if offset < synced && !is_taken!(DamageTakenForTornTail) {
            return Err(end);
        }
        Ok(Some(end))
    }

    /// Everything sealed was on the medium after all that came before it: the log cannot end
    /// earlier.
    fn check_log_is_whole(&self) -> Result<()> {
        let sealed = self.manifest.state().segments.values().filter_map(|s| s.sealed);
        let reached = sealed.map(|sealed| sealed.next_sequence).max().unwrap_or(0);
        match &self.tail {
            Some(tail) if self.next_sequence < reached => {
                Err(tail.segment.damaged(tail.len, "the log ends before what was compacted"))
            }
            _ => Ok(()),
        }
    }
}
