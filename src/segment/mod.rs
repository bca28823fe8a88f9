//! One file of the log: reading its records. Appending is in [`active`] and [`output`], walking
//! through it in [`scan`] and [`digest`]; [`table`] finds the segment that a location means.

pub mod active;
pub mod blocks;
pub mod digest;
pub mod full;
mod hold;
pub mod open;
pub mod output;
pub mod pick;
pub mod scan;
pub mod survey;
pub mod table;
mod usage;
pub mod walk;
mod window;

use std::sync::Arc;

use crate::epoch::Guard;
use crate::error::{Error, Kind, Result};
use crate::format::name;
use crate::format::record::{Header, Record, HEADER_LEN};
use crate::format::segment::SegmentHeader;
use crate::index::Location;
use crate::storage::map::Map;
use crate::storage::{File, Storage};
use crate::wrong_turn::is_taken;
pub use hold::Hold;
use open::SealedFile;
use usage::Usage;

/// What a segment's bytes are read through.
#[derive(Clone)]
pub enum Body {
    /// A map.
    Mapped(Map),
    /// The file, up to this length.
    File(Arc<dyn File>, u64),
}

/// Where a segment's bytes come from.
pub enum Source {
    /// The map that it is written through: it is the segment that is being written.
    Active(Body),
    /// A file that does not change any more.
    Sealed(Arc<SealedFile>),
}

/// One file of the log.
pub struct Segment {
    /// Who it is.
    pub header: SegmentHeader,
    /// Its path, for messages.
    path: String,
    source: Source,
    /// The location of its byte 0.
    base: u64,
    /// Shared by successive forms of one segment.
    usage: Arc<Usage>,
}

impl Segment {
    /// A segment whose byte 0 has the location `base`.
    pub fn new(header: SegmentHeader, storage: &dyn Storage, source: Source, base: u64) -> Segment {
        let path = format!("{}/{}", storage.path(), name::segment(header.id));
        Segment { header, path, source, base, usage: Arc::default() }
    }

    /// The same segment, read in another way.
    pub fn with_source(&self, source: Source) -> Segment {
        self.moved(source, self.base)
    }

    /// The same segment, at another place among the locations.
    pub fn moved(&self, source: Source, base: u64) -> Segment {
        Segment {
            header: self.header,
            path: self.path.clone(),
            source,
            base,
            usage: Arc::clone(&self.usage),
        }
    }

    /// Bytes that can be read.
    pub fn len(&self) -> u64 {
        match &self.source {
            Source::Active(body) => body.len(),
            Source::Sealed(file) => file.len(),
        }
    }

    /// Whether there is nothing to read.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The location of the record at `offset`.
    pub fn location(&self, offset: u64) -> Location {
        Location(self.base + offset / 8)
    }

    /// The offset of the record at `location`, which is one of this segment's.
    pub fn offset(&self, location: Location) -> u64 {
        (location.0 - self.base) * 8
    }

    /// Where its locations begin.
    pub fn base(&self) -> u64 {
        self.base
    }

    /// What the segment is read through, while the thread is pinned.
    #[inline]
    fn body<'a>(&'a self, guard: &'a Guard) -> Result<&'a Body> {
        match &self.source {
            Source::Active(body) => Ok(body),
            Source::Sealed(file) => file.body(guard),
        }
    }

    /// The record at `offset`, with all its bytes but unverified. `scratch` holds them where there
    /// is no map.
    #[inline]
    pub fn record<'a>(
        &'a self,
        guard: &'a Guard,
        offset: u64,
        scratch: &'a mut Vec<u8>,
    ) -> Result<Record<'a>> {
        let record = self.body(guard)?.record(offset, scratch)?;
        record.ok_or_else(|| self.damaged(offset, "no record can be made out"))
    }

    /// Begins to fetch the record at `offset`, if that can be had without opening a file.
    pub fn prefetch(&self, guard: &Guard, offset: u64) {
        if let Ok(Body::Mapped(map)) = self.body(guard) {
            map.prefetch(offset as usize, FETCHED_AHEAD);
        }
    }

    /// The map that the segment is read through, if it is read through one.
    pub fn map<'a>(&'a self, guard: &'a Guard) -> Result<Option<&'a Map>> {
        self.body(guard).map(Body::map)
    }

    /// An error unless `record`, found at `offset`, is what was written there.
    #[inline]
    pub fn verify(&self, record: &Record, offset: u64) -> Result<()> {
        if is_taken!(ReadNotChecked) || record.verifies(self.header.salt, offset) {
            Ok(())
        } else {
            Err(self.damaged(offset, "the checksum of the record does not match"))
        }
    }

    /// Whether `record`, found at `offset`, is one of `key`. If it is not, it may be another key
    /// with the same tag in the index, or this key's bytes damaged: only the checksum tells.
    #[inline]
    pub fn is_of(&self, key: &[u8], record: &Record, offset: u64) -> Result<bool> {
        if record.key() == key {
            return Ok(true);
        }
        self.verify(record, offset).map(|()| false)
    }

    /// The sequence of one of this segment's records.
    pub fn sequence(&self, record: &Record) -> u64 {
        self.header.base_sequence.wrapping_add(record.sequence_delta())
    }

    /// Reports damage at `offset`.
    #[cold]
    pub fn damaged(&self, offset: u64, what: &str) -> Error {
        Error::corrupt(&self.path, offset, what)
    }
}

impl Body {
    /// Bytes that can be read.
    fn len(&self) -> u64 {
        match self {
            Body::Mapped(map) => map.published() as u64,
            Body::File(_, len) => *len,
        }
    }

    /// The map, if it is one.
    pub fn map(&self) -> Option<&Map> {
        match self {
            Body::Mapped(map) => Some(map),
            Body::File(..) => None,
        }
    }

    /// The record at `offset`, unverified, if one can be made out.
    #[inline]
    pub fn record<'a>(
        &'a self,
        offset: u64,
        scratch: &'a mut Vec<u8>,
    ) -> Result<Option<Record<'a>>> {
        match self {
            Body::Mapped(map) => {
                // All lines of a small record at once, not the rest when the first has told its
                // length.
                map.prefetch(offset as usize, FETCHED_AHEAD);
                let at = offset as usize;
                let Some(header) = map.bytes(at, HEADER_LEN).and_then(Header::decode) else {
                    return Ok(None);
                };
                let bytes = map.bytes(at, header.checked_len());
                Ok(bytes.and_then(|bytes| Record::of(header, bytes)))
            }
            Body::File(file, len) => read_record(&**file, *len, offset, scratch),
        }
    }
}

/// Bytes of a record that are fetched before its length is known.
const FETCHED_AHEAD: usize = 192;

/// Bytes read at first: enough for most small records, so that they cost one system call.
const FIRST_READ: usize = 1024;

/// Reads the record at `offset` of a file of `len` bytes.
fn read_record<'a>(
    file: &dyn File,
    len: u64,
    offset: u64,
    scratch: &'a mut Vec<u8>,
) -> Result<Option<Record<'a>>> {
    let rest = len.saturating_sub(offset).min(usize::MAX as u64) as usize;
    if rest < HEADER_LEN {
        return Ok(None);
    }
    scratch.clear();
    scratch.resize(rest.min(FIRST_READ), 0);
    file.read_at(scratch, offset)?;
    let Some(header) = Header::decode(scratch) else { return Ok(None) };
    let total = header.record_len();
    if total > rest {
        return Ok(None);
    }
    let have = scratch.len();
    if total > have {
        scratch
            .try_reserve_exact(total - have)
            .map_err(|_| Error::new(Kind::OutOfMemory, "there is no memory for the record"))?;
        scratch.resize(total, 0);
        file.read_at(&mut scratch[have..], offset + have as u64)?;
    }
    Ok(Record::decode(scratch))
}
