//! Memory shared with a file: read-only maps, and maps that are appended to. One of the rooms of
//! `unsafe`.
//!
//! A map has a watermark: bytes below it are published and never change again; bytes above it are
//! touched by the one [`AppendMap`] alone, but for a [`Hole`] that it has given to somebody else.
//! That is what makes reading beside a writer sound. Bytes of a hole that was published unfilled
//! are in no slice: who reads asks for one record at a time.

#![allow(unsafe_code, reason = "a map is raw memory; this room gives it out as checked slices")]

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;

use crate::cpu;

/// Memory that a map may stand on.
///
/// # Safety
/// `base` points to `len` bytes that stay valid, at the same address, while the value lives, may be
/// shared between threads, and are changed by nobody but through [`AppendMap`].
pub unsafe trait Memory: Send + Sync {
    /// Where the memory begins.
    fn base(&self) -> *mut u8;
    /// Bytes of memory.
    fn len(&self) -> usize;
    /// Whether it is a shared map of a file, which loses nothing when its pages are given back.
    fn is_file(&self) -> bool {
        false
    }
    /// Whether there is no byte.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

// SAFETY: a MmapRaw owns its mapping until it is dropped and never moves it. That the file behind
// it is not cut below what is read, or written past this map, is what the database's lock and the
// order of operations in the engine are for; media errors under a page are documented to raise
// SIGBUS.
unsafe impl Memory for memmap2::MmapRaw {
    fn base(&self) -> *mut u8 {
        self.as_mut_ptr()
    }
    fn len(&self) -> usize {
        memmap2::MmapRaw::len(self)
    }
    fn is_file(&self) -> bool {
        true
    }
}

/// The size of a page, or a multiple of it, on the machines that libkv runs on.
const PAGE: usize = 64 << 10;

/// Bytes that are populated in one call. It keeps all other threads from changing the address
/// space, and so from growing their heap, as long as it lasts.
const POPULATED_AT_ONCE: usize = 256 << 10;

/// Bytes whose pages are given back in one call, for the same reason.
const GIVEN_BACK_AT_ONCE: usize = 4 << 20;

/// Bytes in a cache line, as a step for fetching ahead.
const CACHE_LINE: usize = 64;

struct Region {
    memory: Box<dyn Memory>,
    /// The memory's base, kept here to spare a call.
    base: *mut u8,
    /// Bytes below this are published.
    published: AtomicUsize,
}

// SAFETY: `base` points into `memory`, which is Send + Sync; what is read through it is published
// and immutable, what is written is above the watermark, by the one AppendMap.
unsafe impl Send for Region {}
// SAFETY: as above.
unsafe impl Sync for Region {}

/// A shared, read-only view of a file's published bytes. Cloning it is cheap; the memory goes with
/// the last clone.
#[derive(Clone)]
pub struct Map {
    region: Arc<Region>,
}

impl Map {
    /// A map of memory whose bytes are all published.
    pub fn new(memory: Box<dyn Memory>) -> Map {
        let len = memory.len();
        Map { region: Arc::new(Region::new(memory, len)) }
    }

    /// The published bytes from `offset` on, `len` of them; `None` if they are not all published.
    #[inline]
    pub fn bytes(&self, offset: usize, len: usize) -> Option<&[u8]> {
        let end = offset.checked_add(len)?;
        if end > self.published() {
            return None;
        }
        // SAFETY: offset..end lies below the watermark, hence inside the memory; those bytes are
        // written no more, and the slice borrows self, which keeps the memory.
        Some(unsafe { std::slice::from_raw_parts(self.region.base.add(offset), len) })
    }

    /// How many bytes are published.
    #[inline]
    pub fn published(&self) -> usize {
        self.region.published.load(Ordering::Acquire)
    }

    /// Where the map begins: what tells it from all others that live.
    pub fn address(&self) -> usize {
        self.region.base.addr()
    }

    /// The offset of `bytes` in the map, if they are published bytes of it.
    pub fn offset_of(&self, bytes: &[u8]) -> Option<usize> {
        let offset = bytes.as_ptr().addr().checked_sub(self.address())?;
        (offset.checked_add(bytes.len())? <= self.published()).then_some(offset)
    }

    /// Begins to fetch the cache lines of `offset..offset + len`. They need not be published, nor
    /// even inside the map.
    #[inline]
    pub fn prefetch(&self, offset: usize, len: usize) {
        for at in (offset..offset + len).step_by(CACHE_LINE) {
            cpu::fetch(self.region.base.wrapping_add(at));
        }
    }

    /// Asks the system to read `len` bytes from `offset` on into its cache, if they are not there.
    /// A hint: failures are ignored.
    pub fn will_need(&self, offset: usize, len: usize) {
        let from = offset & !(PAGE - 1);
        let to = offset.saturating_add(len).min(self.region.memory.len());
        if from < to && self.region.memory.is_file() {
            // SAFETY: the range lies inside the memory, and advice changes no byte.
            unsafe {
                libc::madvise(self.region.base.add(from).cast(), to - from, libc::MADV_WILLNEED);
            }
        }
    }

    /// Touches the pages of `from..to`, so that writing there takes no page faults. They come in
    /// large portions, where the file system has them: fewer misses of the processor's address
    /// cache; but a sync then writes the whole portion of each byte that was written. The file has
    /// blocks there. A hint: failures are ignored.
    pub fn populate(&self, from: usize, to: usize) {
        let from = from & !(PAGE - 1);
        if from >= to || to > self.region.memory.len() {
            return;
        }
        // SAFETY: the range lies inside the memory, and advice changes no byte.
        unsafe {
            libc::madvise(self.region.base.add(from).cast(), to - from, libc::MADV_HUGEPAGE);
        }
        for at in (from..to).step_by(POPULATED_AT_ONCE) {
            let len = POPULATED_AT_ONCE.min(to - at);
            // SAFETY: the range lies inside the memory. Populating for writing changes no byte, and
            // where pages cannot be had the call fails without a signal.
            unsafe {
                libc::madvise(self.region.base.add(at).cast(), len, libc::MADV_POPULATE_WRITE);
            }
        }
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        let len = self.memory.len();
        for at in (0..len).step_by(GIVEN_BACK_AT_ONCE).filter(|_| self.memory.is_file()) {
            let part = GIVEN_BACK_AT_ONCE.min(len - at);
            // SAFETY: the range lies inside the memory, which belongs to a file that keeps the
            // bytes, and nobody looks at it any more.
            unsafe { libc::madvise(self.base.add(at).cast(), part, libc::MADV_DONTNEED) };
        }
    }
}

impl Region {
    fn new(memory: Box<dyn Memory>, published: usize) -> Region {
        let base = memory.base();
        Region { memory, base, published: AtomicUsize::new(published) }
    }
}

/// The one writer of a map: appends above the watermark, then publishes.
pub struct AppendMap {
    map: Map,
    /// Bytes of the file that have blocks: nothing is written past them.
    limit: usize,
    /// Bytes above the watermark that somebody else fills: they are not written.
    hole: Range<usize>,
}

/// Memory above a map's watermark that whoever has this may fill, and nobody else looks at.
pub struct Hole {
    map: Map,
    range: Range<usize>,
}

impl Hole {
    /// The first byte, for one who fills it.
    pub fn start(&self) -> *mut u8 {
        self.map.region.base.wrapping_add(self.range.start)
    }

    /// How many bytes there are.
    pub fn len(&self) -> usize {
        self.range.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.range.is_empty()
    }

    /// What it was filled with. Whoever has the address of its first byte must not write meanwhile.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: the range lies inside the memory, which self keeps. `AppendMap::hole` gave it to
        // this value alone, and it is written through `start` only, by the caller's promise not
        // now.
        unsafe { std::slice::from_raw_parts(self.start(), self.range.len()) }
    }

    /// Writes `bytes` to its beginning.
    pub fn fill(&mut self, bytes: &[u8]) {
        assert!(bytes.len() <= self.range.len(), "a hole takes what fits");
        // SAFETY: the bytes lie inside the hole, which belongs to self, and no slice of it lives.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.start(), bytes.len()) };
    }
}

impl AppendMap {
    /// A writer of `memory`, whose bytes below `start` are published. Nothing can be written until
    /// [`AppendMap::grow`].
    pub fn new(memory: Box<dyn Memory>, start: usize) -> AppendMap {
        debug_assert!(start <= memory.len());
        AppendMap {
            map: Map { region: Arc::new(Region::new(memory, start)) },
            limit: start,
            hole: 0..0,
        }
    }

    /// The readers' side.
    pub fn map(&self) -> &Map {
        &self.map
    }

    /// Bytes that can be appended before the map is full, whatever is allocated.
    pub fn capacity(&self) -> usize {
        self.map.region.memory.len()
    }

    /// Bytes of the file that may be written.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Says that the file has blocks for its first `limit` bytes.
    pub fn grow(&mut self, limit: usize) {
        assert!(limit <= self.capacity(), "a map cannot grow past its memory");
        self.limit = self.limit.max(limit);
    }

    /// Says that the file will have blocks for its first `limit` bytes only.
    pub fn shrink(&mut self, limit: usize) {
        assert!(limit >= self.map.published(), "a map does not lose what is published");
        self.limit = self.limit.min(limit);
    }

    /// Appends `parts` one after the other, fills up with zeros to `len` bytes, and publishes them.
    ///
    /// # Panics
    /// If there is no room below the limit, or `parts` are longer than `len`.
    #[inline]
    pub fn append(&mut self, parts: &[&[u8]], len: usize) {
        let start = self.map.region.published.load(Ordering::Relaxed);
        self.stage(start, parts, len);
        self.publish(start + len);
    }

    /// Writes `parts` above the watermark, at `start`, and zeros behind them up to `len` bytes.
    /// They are not published yet.
    ///
    /// # Panics
    /// As for [`AppendMap::append`], and if `start` is below the watermark.
    #[inline]
    pub fn stage(&mut self, start: usize, parts: &[&[u8]], len: usize) {
        let end = start + len;
        assert!(end <= self.limit, "an append past the allocated blocks");
        assert!(start >= self.map.region.published.load(Ordering::Relaxed), "it is published");
        let hole = &self.hole;
        assert!(hole.is_empty() || end <= hole.start || start >= hole.end, "another fills it");
        let mut at = start;
        for part in parts {
            assert!(part.len() <= end - at, "the parts are longer than announced");
            // SAFETY: at..at+part.len() lies between the watermark and the limit, hence inside the
            // memory; no reader looks there, no other writer exists (&mut self), and `part` cannot
            // overlap it, since slices of this map end at the watermark.
            unsafe {
                std::ptr::copy_nonoverlapping(
                    part.as_ptr(),
                    self.map.region.base.add(at),
                    part.len(),
                );
            }
            at += part.len();
        }
        // SAFETY: at..end lies between the watermark and the limit, as above.
        unsafe { std::ptr::write_bytes(self.map.region.base.add(at), 0, end - at) };
    }

    /// Gives `len` bytes at `start`, above the watermark and below the limit, to somebody else.
    /// They are theirs until the watermark has passed them or [`AppendMap::close_hole`] is called
    /// by one who knows that they are done.
    pub fn open_hole(&mut self, start: usize, len: usize) -> Hole {
        assert!(start >= self.map.published() && start + len <= self.limit, "no room for a hole");
        assert!(self.hole.is_empty(), "there is one hole at most");
        self.hole = start..start + len;
        Hole { map: self.map.clone(), range: self.hole.clone() }
    }

    /// There is no hole any more: it was filled, or is nobody's.
    pub fn close_hole(&mut self) {
        self.hole = 0..0;
    }

    /// Publishes what was written up to `end`.
    ///
    /// # Panics
    /// If `end` is below the watermark, or above the limit.
    #[inline]
    pub fn publish(&mut self, end: usize) {
        let published = self.map.region.published.load(Ordering::Relaxed);
        assert!(published <= end && end <= self.limit, "the watermark only rises");
        self.map.region.published.store(end, Ordering::Release);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use super::*;

    fn anonymous(len: usize) -> Box<dyn Memory> {
        let map = memmap2::MmapOptions::new().len(len).map_anon().unwrap();
        Box::new(memmap2::MmapRaw::from(map))
    }

    #[test]
    fn only_published_bytes_are_seen() {
        let mut writer = AppendMap::new(anonymous(8192), 100);
        let reader = writer.map().clone();
        assert!(reader.bytes(0, 100).is_some());
        assert!(reader.bytes(0, 101).is_none());
        assert!(reader.bytes(usize::MAX, 2).is_none());
        writer.grow(4096);
        writer.append(&[b"ab", b"", b"cde"], 8);
        assert_eq!(reader.bytes(100, 8).unwrap(), b"abcde\0\0\0");
        assert!(reader.bytes(100, 9).is_none());
        drop(writer);
        assert_eq!(reader.bytes(100, 5).unwrap(), b"abcde", "the memory outlives its writer");
    }

    #[test]
    fn a_hole_is_filled_by_another() {
        let mut writer = AppendMap::new(anonymous(8192), 0);
        writer.grow(4096);
        let mut hole = writer.open_hole(16, 100);
        hole.fill(b"value");
        assert_eq!(&hole.bytes()[..6], b"value\0");
        writer.stage(0, &[b"head"], 16);
        writer.stage(116, &[], 4);
        writer.close_hole();
        writer.publish(120);
        assert_eq!(&writer.map().bytes(0, 120).unwrap()[16..21], b"value");
    }

    #[test]
    #[should_panic(expected = "another fills it")]
    fn a_hole_is_not_written_to() {
        let mut writer = AppendMap::new(anonymous(8192), 0);
        writer.grow(4096);
        let _hole = writer.open_hole(16, 100);
        writer.append(&[b"0123456789"], 24);
    }

    #[test]
    #[should_panic(expected = "past the allocated blocks")]
    fn nothing_is_written_where_no_blocks_are() {
        let mut writer = AppendMap::new(anonymous(8192), 0);
        writer.grow(16);
        writer.append(&[&[1; 17]], 17);
    }
}
