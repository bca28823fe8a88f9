//! The manifest as a file: read at open, appended to by every change to the set of segments.

pub mod examine;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::error::{Error, Kind, Result};
use crate::format::manifest::{
    decode_frame, decode_header, encode_frame, encode_header, frame_len, BadHeader, Edit, Frame,
    SealedSegment, Tail, HEADER_LEN,
};
use crate::format::segment::{SegmentHeader, SegmentKind};
use crate::format::{name, Identity, FORMAT_VERSION, MAX_NUMBER};
use crate::memory;
use crate::storage::{read_part, File, Storage};
use crate::wrong_turn::{is_taken, unless, when};

/// A manifest longer than this is written anew at open: some thousand edits.
const REWRITE_AT: u64 = 256 << 10;
/// The longest manifest that is read: far beyond what the location space can hold.
const MAX_LEN: u64 = 1 << 30;

/// A live segment, as the manifest has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LiveSegment {
    /// Who it is.
    pub header: SegmentHeader,
    /// What is known since it was sealed.
    pub sealed: Option<SealedSegment>,
}

/// What the edits add up to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// The live segments by id.
    pub segments: BTreeMap<u64, LiveSegment>,
    /// No segment has had this id or a higher one.
    pub next_id: u64,
    /// No sequence below this is free. The log may have used more.
    pub next_sequence: u64,
    /// Where the log ended, if the database was closed and not opened for writing since.
    pub closed: Option<Tail>,
    /// The clock has been this far, as far as values expire by it.
    pub time_ms: u64,
}

impl State {
    fn new() -> State {
        State { next_id: 1, next_sequence: 1, ..State::default() }
    }

    fn apply(&mut self, edit: &Edit) -> std::result::Result<(), &'static str> {
        if highest_number(edit) >= MAX_NUMBER {
            return Err("a number is out of range");
        }
        if !matches!(edit, Edit::Time { .. }) {
            self.closed = None;
        }
        match *edit {
            Edit::Add(header) if header.id == 0 => return Err("a segment has no id"),
            Edit::Add(header) => {
                self.next_id = self.next_id.max(header.id + 1);
                self.next_sequence = self.next_sequence.max(header.base_sequence);
                let segment = LiveSegment { header, sealed: None };
                if self.segments.insert(header.id, segment).is_some() {
                    return Err("a segment is added twice");
                }
            }
            Edit::Seal(sealed) => {
                let segment = self.segments.get_mut(&sealed.id);
                let segment = segment.ok_or("a segment is sealed that does not exist")?;
                segment.sealed = Some(sealed);
                self.next_sequence = self.next_sequence.max(sealed.next_sequence);
            }
            Edit::Remove { id } => {
                let removed = self.segments.remove(&id);
                removed.ok_or("a segment is removed that does not exist")?;
            }
            Edit::Closed(tail) => {
                self.next_sequence = self.next_sequence.max(tail.next_sequence);
                self.closed = Some(tail);
            }
            Edit::Opened => {}
            Edit::NextId { id } => self.next_id = self.next_id.max(id),
            Edit::NextSequence { sequence } => {
                self.next_sequence = self.next_sequence.max(sequence);
            }
            Edit::Time { now_ms } => self.time_ms = self.time_ms.max(now_ms),
        }
        Ok(())
    }

    /// Whether a segment that compaction writes is not sealed: the log would go on in it.
    fn has_unfinished(&self) -> bool {
        let mut segments = self.segments.values();
        segments.any(|live| live.header.kind == SegmentKind::Compacted && live.sealed.is_none())
    }

    /// The sequence after the youngest record of a segment, if it is sealed.
    pub fn end_of(&self, id: u64) -> Option<u64> {
        let sealed = self.segments.get(&id).and_then(|segment| segment.sealed);
        sealed.map(|sealed| sealed.next_sequence)
    }

    /// The lowest sequence in a segment, or a lower bound of it.
    pub fn first_of(&self, id: u64) -> Option<u64> {
        let segment = self.segments.get(&id)?;
        let base = segment.header.base_sequence;
        // The sequences of a log have no gaps; its base may be lower than its first.
        Some(match (segment.header.kind, segment.sealed) {
            (SegmentKind::Log, Some(sealed)) => {
                base.max(sealed.next_sequence.saturating_sub(sealed.records))
            }
            _ => base,
        })
    }

    /// Edits that lead from nothing to this state.
    fn edits(&self) -> Result<Vec<Edit>> {
        let mut edits = Vec::new();
        edits.try_reserve_exact(2 * self.segments.len() + 4)?;
        edits.push(Edit::NextId { id: self.next_id });
        edits.push(Edit::NextSequence { sequence: self.next_sequence });
        for segment in self.segments.values() {
            edits.push(Edit::Add(segment.header));
            edits.extend(segment.sealed.map(Edit::Seal));
        }
        edits.extend((self.time_ms > 0).then_some(Edit::Time { now_ms: self.time_ms }));
        edits.extend(self.closed.map(Edit::Closed));
        Ok(edits)
    }
}

/// The highest id or sequence in an edit.
fn highest_number(edit: &Edit) -> u64 {
    match *edit {
        // The next id is a number as well.
        Edit::Add(header) => {
            header.id.saturating_add(1).max(header.base_sequence).max(header.horizon)
        }
        Edit::Seal(sealed) => sealed.id.max(sealed.next_sequence),
        Edit::Closed(tail) => tail.id.max(tail.next_sequence),
        Edit::Remove { id } | Edit::NextId { id } => id,
        Edit::NextSequence { sequence } => sequence,
        Edit::Time { now_ms } => now_ms,
        Edit::Opened => 0,
    }
}

/// The manifest of an open database.
pub struct Manifest {
    identity: Identity,
    file: Arc<dyn File>,
    /// Where the next frame goes.
    end: u64,
    state: State,
    /// The format version in its header.
    version: u32,
}

impl Manifest {
    /// Creates the manifest of a new, empty database.
    pub fn create(storage: &dyn Storage) -> Result<Manifest> {
        let identity = Identity {
            uuid: storage.random()?,
            hash_seed: storage.random()?,
            created_ms: storage.now_ms(),
        };
        Manifest::write_anew(storage, identity, State::new())
    }

    /// Reads the manifest, and changes nothing.
    pub fn open(storage: &dyn Storage) -> Result<Manifest> {
        let path = format!("{}/{}", storage.path(), name::MANIFEST);
        let file = storage.open(name::MANIFEST, true)?;
        // Its name may be as new as the death of the last process: until it is on the medium, a
        // power cut could bring back an older manifest, and what is done now follows from this one.
        unless!(ManifestNameBelieved, storage.sync_directory())?;
        // What a failed sync left in the cache alone must not be believed.
        unless!(UnsyncedManifestBelieved, file.sync().and_then(|()| file.drop_cache()))?;
        let Stored { identity, version, state, end, .. } = read_file(&*file, &path)?;
        let end = if is_taken!(ManifestGoesOnBehindTornFrame) { file.len()? } else { end };
        Ok(Manifest { identity, file, end, state, version })
    }

    /// Removes what an interrupted write left at the end, and shortens a long manifest. One of an
    /// older version gets this one, so that no older libkv opens what is written from now on.
    pub fn tidy(&mut self, storage: &dyn Storage) -> Result<()> {
        let is_old = self.version < FORMAT_VERSION;
        if is_old || self.end < self.file.len()? || self.end > REWRITE_AT {
            *self = Manifest::write_anew(storage, self.identity, self.state.clone())?;
        }
        Ok(())
    }

    /// Writes a manifest that holds `state` and nothing else, and puts it in the place of the one
    /// that is there, if one is.
    pub fn write_anew(storage: &dyn Storage, identity: Identity, state: State) -> Result<Manifest> {
        let mut bytes = encode_header(&identity).to_vec();
        let frame = encode_frame(&state.edits()?, &identity.uuid, HEADER_LEN as u64)?;
        memory::append(&mut bytes, &frame)?;
        storage.remove_if_there(name::MANIFEST_NEW)?;
        let file = storage.create(name::MANIFEST_NEW)?;
        file.write_at(&bytes, 0)?;
        unless!(ManifestRenamedBeforeSync, file.sync())?;
        storage.rename(name::MANIFEST_NEW, name::MANIFEST)?;
        when!(ManifestRenamedBeforeSync, file.sync()?);
        unless!(ManifestNameNotSynced, storage.sync_directory())?;
        let (end, version) = (bytes.len() as u64, FORMAT_VERSION);
        Ok(Manifest { identity, file, end, state, version })
    }

    /// Who the database is.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Bytes of the file.
    pub fn file_len(&self) -> u64 {
        self.end
    }

    /// What the edits so far add up to.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Adds `edits`, all or none of them, and returns when they are on the medium.
    pub fn append(&mut self, edits: &[Edit]) -> Result<()> {
        let frame = self.encode(edits)?;
        self.append_encoded(&frame, edits)
    }

    /// The frame that adds `edits` next.
    pub fn encode(&self, edits: &[Edit]) -> Result<Vec<u8>> {
        Ok(encode_frame(edits, &self.identity.uuid, self.end)?)
    }

    /// The same as [`Manifest::append`], with the frame, to which nothing was added since.
    pub fn append_encoded(&mut self, frame: &[u8], edits: &[Edit]) -> Result<()> {
        if edits.is_empty() {
            // A frame without any would be taken for the end, or for damage.
            return Ok(());
        }
        if let Err(error) = self.file.write_at(frame, self.end) {
            // Part of a frame at the end is harmless, but tidier gone.
            let _ = self.file.truncate(self.end);
            return Err(error);
        }
        unless!(ManifestNotSynced, self.file.sync())?;
        self.end += frame.len() as u64;
        for edit in edits {
            let applied = self.state.apply(edit);
            applied.map_err(|what| Error::new(Kind::Internal, format!("a bad edit: {what}")))?;
        }
        Ok(())
    }
}

/// A manifest as it was found.
pub struct Stored {
    /// Who the database is.
    pub identity: Identity,
    /// What the edits add up to.
    pub state: State,
    /// Frames that were written, the first included, but for those that only tell the time: that is
    /// told by who only reads, too.
    pub frames: usize,
    version: u32,
    /// Where the whole part ends.
    end: u64,
}

/// Reads the manifest of a database that is not open.
pub fn read(storage: &dyn Storage) -> Result<Stored> {
    let path = format!("{}/{}", storage.path(), name::MANIFEST);
    read_file(&*storage.open(name::MANIFEST, false)?, &path)
}

fn read_file(file: &dyn File, path: &str) -> Result<Stored> {
    let len = file.len()?;
    if len > MAX_LEN {
        return Err(Error::corrupt(path, MAX_LEN, "the file is longer than a manifest can be"));
    }
    let bytes = read_part(file, 0, len as usize, path)?;
    let (identity, version) = decode_header(&bytes).map_err(|bad| refuse(path, bad))?;
    let (state, frames, end) = replay(path, &bytes, &identity)?;
    Ok(Stored { identity, version, state, frames, end })
}

/// An error if the directory's manifest is of no libkv, or of a newer one. Damage is no obstacle.
pub fn check_owner(storage: &dyn Storage) -> Result<()> {
    let file = storage.open(name::MANIFEST, false)?;
    let mut header = [0; HEADER_LEN];
    if file.len()? < header.len() as u64 {
        return Ok(());
    }
    file.read_at(&mut header, 0)?;
    match decode_header(&header) {
        Err(bad @ (BadHeader::NotAManifest | BadHeader::Newer(_))) => {
            Err(refuse(&format!("{}/{}", storage.path(), name::MANIFEST), bad))
        }
        _ => Ok(()),
    }
}

fn refuse(path: &str, bad: BadHeader) -> Error {
    match bad {
        BadHeader::NotAManifest => Error::new(
            Kind::NotADatabase,
            format!("{path} is not the manifest of a libkv database"),
        ),
        BadHeader::Newer(version) => Error::new(
            Kind::NewerFormat,
            format!(
                "{path} has format version {version}; this libkv knows versions up to \
                 {FORMAT_VERSION}: use a newer libkv"
            ),
        ),
        BadHeader::Damaged(what, offset) => Error::corrupt(path, offset, what),
    }
}

/// Applies all frames; answers the state, how many frames tell more than the time, and where the
/// whole part of the file ends.
fn replay(path: &str, bytes: &[u8], identity: &Identity) -> Result<(State, usize, u64)> {
    let mut state = State::new();
    let mut frames = 0;
    let mut at = HEADER_LEN as u64;
    loop {
        match decode_frame(bytes, &identity.uuid, at)? {
            Frame::Edits(edits, next) => {
                for edit in &edits {
                    state.apply(edit).map_err(|what| Error::corrupt(path, at, what))?;
                }
                if state.has_unfinished() {
                    let what = "a segment is added that compaction has not finished";
                    return Err(Error::corrupt(path, at, what));
                }
                at = next;
                let tells_more = edits.iter().any(|edit| !matches!(edit, Edit::Time { .. }));
                frames += usize::from(tells_more);
            }
            Frame::End if at > HEADER_LEN as u64 => return Ok((state, frames, at)),
            // The first frame was synced before the file got its name.
            Frame::End => return Err(Error::corrupt(path, at, "the first frame is missing")),
            Frame::Unknown => return Err(Error::corrupt(path, at, "an edit is unknown")),
            Frame::Bad(what) => {
                // Every frame is on the medium before the next is begun: an interrupted one is the
                // last.
                let first = at == HEADER_LEN as u64;
                if first || whole_frame_after(bytes, identity, at)? {
                    return Err(Error::corrupt(path, at, what));
                }
                return Ok((state, frames, at));
            }
        }
    }
}

/// Whether a frame that verifies begins anywhere behind `at`.
fn whole_frame_after(bytes: &[u8], identity: &Identity, at: u64) -> Result<bool> {
    // An interrupted write is short. A file made so that every byte looks like the length of a long
    // frame could keep this busy for hours: past this much work it is damage in any case.
    let mut work = 64 * bytes.len() as u64 + (64 << 20);
    for offset in (at + 8..bytes.len() as u64).step_by(8) {
        let rest = bytes.len() as u64 - offset;
        match frame_len(&bytes[offset as usize..]) {
            Some(len) if len <= rest => match work.checked_sub(len) {
                Some(left) => work = left,
                None => return Ok(true),
            },
            _ => continue,
        }
        let frame = decode_frame(bytes, &identity.uuid, offset)?;
        if matches!(frame, Frame::Edits(..) | Frame::Unknown) {
            return Ok(true);
        }
    }
    Ok(false)
}
