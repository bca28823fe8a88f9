//! A file read through a window, for those who can do without parts of it: what the medium fails to
//! read is zeros, and noted.

use std::sync::Arc;

use crate::error::{Error, Kind, Result};
use crate::memory;
use crate::storage::File;

/// Bytes read at once.
const WINDOW: usize = 1 << 20;
/// Bytes that are tried again for themselves where so many cannot be read at once.
const PAGE: u64 = 4096;

/// The first bytes of a file.
pub struct Window {
    file: Arc<dyn File>,
    len: u64,
    at: u64,
    bytes: Vec<u8>,
    unreadable: Vec<(u64, u64, String)>,
}

impl Window {
    /// The first `len` bytes of `file`.
    pub fn new(file: Arc<dyn File>, len: u64) -> Window {
        Window { file, len, at: 0, bytes: Vec::new(), unreadable: Vec::new() }
    }

    /// Parts that could not be read, and why.
    pub fn unreadable(&self) -> &[(u64, u64, String)] {
        &self.unreadable
    }

    /// Why something between `from` and `to` could not be read, if that is so.
    pub fn why_unreadable(&self, from: u64, to: u64) -> Option<String> {
        let found = self.unreadable.iter().find(|(at, end, _)| *at < to && from < *end);
        found.map(|(_, _, why)| why.clone())
    }

    /// `len` bytes from `offset` on, no more than the longest key with what is before it.
    pub fn bytes(&mut self, offset: u64, len: usize) -> Result<&[u8]> {
        if !self.has(offset, len as u64) {
            self.fill(offset)?;
        }
        let at = offset.saturating_sub(self.at) as usize;
        Ok(self.bytes.get(at..at + len).unwrap_or_default())
    }

    /// The next bytes from `offset` on: some of them, and no more than `most`.
    pub fn part(&mut self, offset: u64, most: u64) -> Result<&[u8]> {
        if !self.has(offset, most.min(WINDOW as u64 / 2)) {
            self.fill(offset)?;
        }
        let rest = self.bytes.get((offset - self.at) as usize..).unwrap_or_default();
        let part = &rest[..rest.len().min(most.min(usize::MAX as u64) as usize)];
        if part.is_empty() {
            return Err(Error::new(Kind::Internal, "a part of a file is read that it has not"));
        }
        Ok(part)
    }

    /// Where the next byte is that is not zero.
    pub fn next_nonzero(&mut self, from: u64) -> Result<Option<u64>> {
        let mut at = from;
        while at < self.len {
            let part = self.part(at, self.len - at)?;
            match part.iter().position(|&byte| byte != 0) {
                Some(found) => return Ok(Some(at + found as u64)),
                None => at += part.len() as u64,
            }
        }
        Ok(None)
    }

    fn has(&self, offset: u64, len: u64) -> bool {
        self.at <= offset && offset + len <= self.at + self.bytes.len() as u64
    }

    /// Reads the window that begins at `offset`.
    fn fill(&mut self, offset: u64) -> Result<()> {
        let len = self.len.saturating_sub(offset).min(WINDOW as u64) as usize;
        self.bytes.clear();
        self.bytes
            .try_reserve_exact(len)
            .map_err(|_| Error::new(Kind::OutOfMemory, "there is no memory for reading"))?;
        self.bytes.resize(len, 0);
        self.at = offset;
        match self.file.read_at(&mut self.bytes, offset) {
            Err(error) if error.kind() == Kind::Io => self.fill_by_pages(),
            other => other,
        }
    }

    /// Reads page by page, to lose no more than what cannot be read.
    fn fill_by_pages(&mut self) -> Result<()> {
        let end = self.at + self.bytes.len() as u64;
        let mut from = self.at;
        while from < end {
            let to = ((from / PAGE + 1) * PAGE).min(end);
            let place = (from - self.at) as usize..(to - self.at) as usize;
            let page = &mut self.bytes[place];
            match self.file.read_at(page, from) {
                Ok(()) => {}
                Err(error) if error.kind() == Kind::Io => {
                    page.fill(0);
                    note(&mut self.unreadable, from, to, &error)?;
                }
                Err(error) => return Err(error),
            }
            from = to;
        }
        Ok(())
    }
}

/// Notes that a part cannot be read, unless it is noted already.
fn note(unreadable: &mut Vec<(u64, u64, String)>, from: u64, to: u64, error: &Error) -> Result<()> {
    if unreadable.iter().any(|(at, end, _)| *at <= from && to <= *end) {
        return Ok(());
    }
    match unreadable.last_mut() {
        Some((_, end, _)) if *end == from => *end = to,
        _ => memory::push(unreadable, (from, to, error.to_string()))?,
    }
    Ok(())
}
