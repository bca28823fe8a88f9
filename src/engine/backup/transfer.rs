//! Bringing the files of segments into another directory: by a second name where that can be had,
//! else by copying.

use std::ops::ControlFlow;
use std::sync::Arc;

use crate::engine::compact::Progress;
use crate::engine::recover::has_seal;
use crate::error::{Error, Kind, Result};
use crate::format::manifest::SealedSegment;
use crate::format::name;
use crate::format::segment::{SegmentHeader, HEADER_PAGE};
use crate::manifest::LiveSegment;
use crate::storage::{File, Storage};

/// Bytes that are copied or verified between two looks at whether to go on.
pub(super) const STEP: u64 = 1 << 20;

/// Told how far it is; can end it.
pub type Tell<'a> = &'a mut dyn FnMut(&Progress) -> ControlFlow<()>;

/// Files on their way into a directory.
pub(super) struct Transfer<'a> {
    pub target: &'a dyn Storage,
    /// An error if it is to end, whatever it has been told.
    check: &'a dyn Fn() -> Result<()>,
    tell: Tell<'a>,
    progress: Progress,
    buffer: Vec<u8>,
}

impl<'a> Transfer<'a> {
    pub fn new(
        target: &'a dyn Storage,
        check: &'a dyn Fn() -> Result<()>,
        tell: Tell<'a>,
    ) -> Transfer<'a> {
        Transfer { target, check, tell, progress: Progress::default(), buffer: Vec::new() }
    }

    /// Says how many segments there are, with how many bytes.
    pub fn plan(&mut self, segments: u64, bytes: u64) -> Result<()> {
        self.progress.segments_total += segments;
        self.progress.total_bytes += bytes;
        self.advance(0)
    }

    /// So many bytes more are done. An error if that is enough.
    pub fn advance(&mut self, bytes: u64) -> Result<()> {
        self.progress.done_bytes += bytes;
        (self.check)()?;
        match (self.tell)(&self.progress) {
            ControlFlow::Continue(()) => (self.check)(),
            ControlFlow::Break(()) => {
                Err(Error::new(Kind::Cancelled, "the progress function cancelled it"))
            }
        }
    }

    /// A segment is done.
    pub fn segment_done(&mut self) {
        self.progress.segments_done += 1;
    }

    /// Gives a file of `from` a second name. Answers whether that can be done.
    pub fn link(&self, from: &dyn Storage, name: &str) -> Result<bool> {
        self.target.link_from(from, name)
    }

    /// The same for a file that can be done without. Answers whether it was there and linked.
    pub fn link_if_there(&self, from: &dyn Storage, name: &str) -> bool {
        self.link(from, name).unwrap_or(false)
    }

    /// Copies the first `len` bytes of a segment's file, and counts them as done if they `count`.
    /// They are not on the medium yet.
    pub fn copy(
        &mut self,
        source: &dyn File,
        name: &str,
        len: u64,
        count: bool,
    ) -> Result<Arc<dyn File>> {
        let target = self.target.create(name)?;
        let mut at = 0;
        while at < len {
            let part = (len - at).min(STEP) as usize;
            self.copy_part(source, &*target, at, part)?;
            at += part as u64;
            self.advance(if count { part as u64 } else { 0 })?;
        }
        Ok(target)
    }

    fn copy_part(
        &mut self,
        source: &dyn File,
        target: &dyn File,
        at: u64,
        len: usize,
    ) -> Result<()> {
        if self.buffer.len() < len {
            let missing = len - self.buffer.len();
            self.buffer
                .try_reserve_exact(missing)
                .map_err(|_| Error::new(Kind::OutOfMemory, "there is no memory for copying"))?;
            self.buffer.resize(len, 0);
        }
        let buffer = &mut self.buffer[..len];
        source.read_at(buffer, at)?;
        target.write_at(buffer, at)
    }

    /// Copies the hint of a segment, if there is one. It need not be there, nor be whole, nor on
    /// the medium.
    pub fn copy_hint(&mut self, from: &dyn Storage, id: u64) {
        let name = name::hint(id);
        let copied = from.open(&name, false).and_then(|source| {
            let len = source.len()?;
            let target = self.target.create(&name)?;
            let mut at = 0;
            while at < len {
                let part = (len - at).min(STEP) as usize;
                self.copy_part(&*source, &*target, at, part)?;
                at += part as u64;
            }
            Ok(())
        });
        if copied.is_err() {
            let _ = self.target.remove(&name);
        }
    }
}

/// The path of a segment's file in `storage`.
pub(super) fn path_of(storage: &dyn Storage, id: u64) -> String {
    format!("{}/{}", storage.path(), name::segment(id))
}

/// Opens the file of a live segment for reading: its header is the one that the manifest knows.
pub(super) fn open_segment(
    storage: &dyn Storage,
    uuid: &[u8; 16],
    header: &SegmentHeader,
) -> Result<Arc<dyn File>> {
    let path = path_of(storage, header.id);
    let opened = storage.open(&name::segment(header.id), false);
    let file = opened.map_err(|error| match error.kind() {
        Kind::DoesNotExist => Error::corrupt(&path, 0, "the file is missing"),
        _ => error,
    })?;
    let mut page = vec![0; HEADER_PAGE];
    if file.len()? < page.len() as u64 {
        return Err(Error::corrupt(&path, 0, "the file is shorter than a header page"));
    }
    file.read_at(&mut page, 0)?;
    match SegmentHeader::decode(&page, uuid) {
        Ok(found) if found == *header => Ok(file),
        Ok(_) => Err(Error::corrupt(&path, 0, "the header is not the one in the manifest")),
        Err(what) => Err(Error::corrupt(&path, 0, what)),
    }
}

/// The same for a sealed segment: it also has the length and the seal that the manifest knows.
pub(super) fn open_sealed(
    storage: &dyn Storage,
    uuid: &[u8; 16],
    header: &SegmentHeader,
    sealed: &SealedSegment,
) -> Result<Arc<dyn File>> {
    let file = open_segment(storage, uuid, header)?;
    let (len, path) = (file.len()?, path_of(storage, header.id));
    if len != sealed.len {
        let what = format!("the file has {len} bytes, not {}", sealed.len);
        return Err(Error::corrupt(&path, len.min(sealed.len), what));
    }
    if !has_seal(&*file, header, sealed)? {
        return Err(Error::corrupt(&path, len, "the seal is not the one in the manifest"));
    }
    Ok(file)
}

/// How many bytes the segments have, as far as the manifest knows.
pub(super) fn sealed_bytes<'a>(segments: impl Iterator<Item = &'a LiveSegment>) -> u64 {
    segments.filter_map(|live| live.sealed).map(|sealed| sealed.len).sum()
}
