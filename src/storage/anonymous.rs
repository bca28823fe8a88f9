//! Memory straight from the kernel: zeros, on huge pages where it has them, each part of which goes
//! back by itself. A room of `unsafe`.

#![allow(unsafe_code, reason = "memory of the kernel is raw; this room gives it out as atomics")]

use std::ops::Deref;
use std::sync::atomic::AtomicU64;
use std::sync::Arc;

use memmap2::{Advice, MmapOptions, MmapRaw, UncheckedAdvice};

use crate::error::{Error, Kind, Result};

/// One cache line.
pub type Line = [AtomicU64; 8];

/// What the kernel's large pages hold, on most machines.
pub const HUGE_PAGE: usize = 2 << 20;
/// The size of a page, or a multiple of it where machines differ.
const PAGE: usize = if cfg!(target_arch = "x86_64") { 4 << 10 } else { 64 << 10 };

/// An area of zeros.
pub struct Area {
    memory: MmapRaw,
    /// Where the first line is: at a huge page's boundary, if there is room for one.
    start: usize,
    lines: usize,
}

impl Area {
    /// An area of `len` bytes, whole cache lines. None of its pages is there before it is needed.
    pub fn new(len: usize) -> Result<Arc<Area>> {
        let is_huge = len >= HUGE_PAGE;
        let spare = if is_huge { HUGE_PAGE } else { 0 };
        let memory = MmapOptions::new().len(len + spare).map_anon();
        let memory = memory.map(MmapRaw::from).map_err(|error| {
            Error::new(Kind::OutOfMemory, format!("{len} bytes of memory are not there: {error}"))
        })?;
        let start = if is_huge { memory.as_ptr().align_offset(HUGE_PAGE) } else { 0 };
        if is_huge {
            // Where the kernel has none, small ones do.
            let _ = memory.advise_range(Advice::HugePage, start, len);
        }
        Ok(Arc::new(Area { memory, start, lines: len / size_of::<Line>() }))
    }

    /// How many lines there are.
    pub fn lines(&self) -> usize {
        self.lines
    }

    /// The lines from `first` on.
    pub fn run(self: &Arc<Area>, first: usize, count: usize) -> Run {
        assert!(first + count <= self.lines, "a run lies in its area");
        let start = self.start + first * size_of::<Line>();
        // In the memory, so that this cannot overflow.
        let lines = self.memory.as_ptr().wrapping_add(start).cast();
        Run { lines, count, start, area: Arc::clone(self) }
    }
}

/// Lines of an area. Those that are dropped are zeros again, as far as they fill pages, and no
/// memory is behind these.
pub struct Run {
    lines: *const Line,
    count: usize,
    /// Where they begin in the area's memory.
    start: usize,
    area: Arc<Area>,
}

// SAFETY: the lines are atomics in memory that `area` keeps mapped; no thread owns them.
unsafe impl Send for Run {}
// SAFETY: as above.
unsafe impl Sync for Run {}

impl Deref for Run {
    type Target = [Line];

    #[inline(always)]
    fn deref(&self) -> &[Line] {
        // SAFETY: `Area::run` has seen that the lines lie in the memory, which `area` keeps. It is
        // aligned to more than a line, and any bytes are values of atomics; nobody has them as
        // anything else.
        unsafe { std::slice::from_raw_parts(self.lines, self.count) }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let whole = pages_within(self.start, self.count * size_of::<Line>());
        // The last one gives back all.
        if whole.is_empty() || Arc::strong_count(&self.area) == 1 {
            return;
        }
        // SAFETY: the range lies in this run, whose lines nobody can reach any more. (One who could
        // would see them change to zeros, as atomics may.)
        let advised = unsafe {
            let (memory, advice) = (&self.area.memory, UncheckedAdvice::DontNeed);
            memory.unchecked_advise_range(advice, whole.start, whole.len())
        };
        // If it fails, the memory goes with the area.
        let _ = advised;
    }
}

/// The part of a range that consists of whole pages.
fn pages_within(start: usize, len: usize) -> std::ops::Range<usize> {
    start.next_multiple_of(PAGE)..(start + len) / PAGE * PAGE
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;

    const PER_PAGE: usize = PAGE / size_of::<Line>();

    #[test]
    fn areas_are_zeros_and_lines_are_lines() {
        for len in [64, 256 << 10, HUGE_PAGE, 3 * HUGE_PAGE] {
            let area = Area::new(len).unwrap();
            assert_eq!(area.lines(), len / 64);
            let run = area.run(0, area.lines());
            assert!(run.iter().flatten().all(|word| word.load(Ordering::Relaxed) == 0));
            let boundary = if len < HUGE_PAGE { PAGE } else { HUGE_PAGE };
            assert!(run.as_ptr().addr().is_multiple_of(boundary));
            assert_eq!(run.as_ptr_range().end.addr() - run.as_ptr().addr(), len);
        }
        assert!(Area::new(usize::MAX / 2).is_err_and(|error| error.kind() == Kind::OutOfMemory));
    }

    /// What is dropped is given back, and nothing beside it.
    #[test]
    fn runs_give_back_their_pages_alone() {
        let area = Area::new(2 * HUGE_PAGE).unwrap();
        let (before, after) = (PER_PAGE + 3, 3 * PER_PAGE + 5);
        let all = area.run(0, 8 * PER_PAGE);
        all.iter().flatten().for_each(|word| word.store(7, Ordering::Relaxed));
        drop(area.run(before, after));
        let sevens = |line: &Line| line.iter().all(|word| word.load(Ordering::Relaxed) == 7);
        let gone: Vec<usize> = (0..all.len()).filter(|&at| !sevens(&all[at])).collect();
        let pages = 2 * PER_PAGE..4 * PER_PAGE;
        assert_eq!(gone, pages.collect::<Vec<usize>>());
        drop(area.run(1, PER_PAGE));
        assert!(sevens(&all[0]) && sevens(&all[PER_PAGE]), "no whole page");
        drop((area, all));
    }

    #[test]
    #[should_panic(expected = "a run lies in its area")]
    fn no_run_leaves_its_area() {
        let area = Area::new(HUGE_PAGE).unwrap();
        let _ = area.run(area.lines() - 1, 2);
    }
}
