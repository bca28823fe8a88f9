//! The database that salvaging makes: compacted segments, and a manifest that says it was closed.

use std::collections::BTreeMap;

use crate::error::Result;
use crate::format::encode::Moved;
use crate::format::manifest::{SealedSegment, Tail};
use crate::format::record::{Record, SEAL_LEN};
use crate::format::segment::{SegmentHeader, SegmentKind};
use crate::format::{name, Expiring, Identity};
use crate::manifest::{LiveSegment, Manifest, State};
use crate::options::Options;
use crate::segment::output::Appender;
use crate::storage::Storage;

/// A database that is being made.
pub(super) struct Output<'a> {
    pub target: &'a dyn Storage,
    /// No record has a lower sequence.
    pub base_sequence: u64,
    /// All records have lower ones.
    pub horizon: u64,
    pub keys: u64,
    pub bytes: u64,
    identity: Option<Identity>,
    segments: BTreeMap<u64, LiveSegment>,
    current: Option<Current>,
    segment_size: u64,
}

/// The segment that is being written.
struct Current {
    header: SegmentHeader,
    appender: Appender,
    next_sequence: u64,
    expiring: Expiring,
}

impl<'a> Output<'a> {
    pub fn new(target: &'a dyn Storage) -> Output<'a> {
        Output {
            target,
            base_sequence: 0,
            horizon: 0,
            keys: 0,
            bytes: 0,
            identity: None,
            segments: BTreeMap::new(),
            current: None,
            segment_size: Options::default().segment_size,
        }
    }

    /// Adds a record, which verifies, with its sequence.
    pub fn append(&mut self, record: &Record, sequence: u64) -> Result<()> {
        let moved = Moved::new(record, sequence.saturating_sub(self.base_sequence));
        let len = moved.record_len();
        let needed = (len + SEAL_LEN) as u64;
        if self.current.as_ref().is_some_and(|c| c.appender.end() + needed > self.segment_size) {
            self.seal()?;
        }
        let mut current = match self.current.take() {
            Some(current) => current,
            None => self.begin()?,
        };
        current.appender.append(&moved)?;
        current.next_sequence = current.next_sequence.max(sequence + 1);
        if let Some(expiry) = moved.expiry() {
            current.expiring.add(len, expiry);
        }
        self.current = Some(current);
        self.keys += 1;
        self.bytes += len as u64;
        Ok(())
    }

    fn identity(&mut self) -> Result<Identity> {
        let identity = match self.identity {
            Some(identity) => identity,
            None => Identity {
                uuid: self.target.random()?,
                hash_seed: self.target.random()?,
                created_ms: self.target.now_ms(),
            },
        };
        self.identity = Some(identity);
        Ok(identity)
    }

    fn begin(&mut self) -> Result<Current> {
        let random = self.target.random()?;
        let header = SegmentHeader {
            id: self.segments.len() as u64 + 1,
            salt: u32::from_le_bytes([random[0], random[1], random[2], random[3]]),
            kind: SegmentKind::Compacted,
            base_sequence: self.base_sequence,
            horizon: self.horizon,
        };
        let page = header.encode(&self.identity()?.uuid);
        let file = self.target.create(&name::segment(header.id))?;
        Ok(Current {
            header,
            appender: Appender::new(file, header.salt, 0, page),
            next_sequence: self.base_sequence,
            expiring: Expiring::default(),
        })
    }

    /// Ends the current segment, and puts it on the medium.
    fn seal(&mut self) -> Result<()> {
        let Some(mut current) = self.current.take() else { return Ok(()) };
        let (seal, written) = current.appender.seal(current.next_sequence);
        written?;
        current.appender.file().sync()?;
        let header = current.header;
        let sealed = SealedSegment {
            id: header.id,
            len: current.appender.end(),
            records: seal.records,
            next_sequence: seal.next_sequence,
            expiring: current.expiring,
        };
        self.segments.insert(header.id, LiveSegment { header, sealed: Some(sealed) });
        Ok(())
    }

    /// Ends the database, whose sequences go on at `next_sequence`.
    pub fn finish(&mut self, next_sequence: u64, time_ms: u64) -> Result<()> {
        self.seal()?;
        let identity = self.identity()?;
        let segments = std::mem::take(&mut self.segments);
        let state = State {
            next_id: segments.len() as u64 + 1,
            segments,
            next_sequence,
            closed: Some(Tail { id: 0, len: 0, next_sequence }),
            time_ms,
        };
        // Its last step puts all names on the medium.
        Manifest::write_anew(self.target, identity, state).map(|_| ())
    }
}
