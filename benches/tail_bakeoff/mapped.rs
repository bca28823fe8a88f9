//! Design (a): the active segment itself is mapped for writing, its blocks allocated ahead.

use crate::record::{Record, RECORD};
use crate::sys::{allocate, WriteMap};
use crate::tail::{lock, Files, Syncer, Tail, SEGMENT, SEGMENT_USED};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

const FIRST_STEP: usize = 64 << 10;
const LAST_STEP: usize = 8 << 20;
/// The background thread populates this much in one call.
const CHUNK: usize = 256 << 10;

#[derive(Clone, Copy, PartialEq)]
pub enum Populate {
    /// Each page is faulted in by the first record that touches it.
    Never,
    /// Each step is populated by the put that allocates it.
    Inline,
    /// No blocks are allocated, only the length is set: what fallocate is there to avoid.
    Sparse,
    /// A thread allocates, and populates this many bytes ahead of the writer.
    Ahead(usize),
    /// The same, but zeros are written into each step first: the page cache then holds it in
    /// large folios, which fault in for less.
    ZeroedAhead(usize),
}

/// Hands out the growing steps: doubled from first to last, and not begun again by a new segment.
struct Steps {
    next: AtomicUsize,
    populate: Populate,
}

struct Segment {
    file: Arc<File>,
    map: WriteMap,
    /// Blocks exist and the file's length reaches so far: bytes below can be written.
    allocated: AtomicUsize,
    /// Where the writer is; the background thread keeps ahead of it.
    position: AtomicUsize,
    growing: Mutex<()>,
}

impl Segment {
    fn create(files: &Files, steps: &Steps) -> io::Result<Arc<Segment>> {
        let file = files.create()?;
        let map = WriteMap::new(&file, SEGMENT)?;
        let (allocated, position) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let segment = Segment { file, map, allocated, position, growing: Mutex::new(()) };
        segment.grow_to(1, steps)?;
        Ok(Arc::new(segment))
    }

    /// Allocates step by step until `wanted` bytes can be written. A full disk is an error here,
    /// before any byte is touched.
    fn grow_to(&self, wanted: usize, steps: &Steps) -> io::Result<()> {
        let _growing = lock(&self.growing);
        let mut end = self.allocated.load(Ordering::Acquire);
        while end < wanted.min(SEGMENT) {
            let step = steps.next.load(Ordering::Relaxed).min(SEGMENT - end);
            match steps.populate {
                Populate::Sparse => self.file.set_len((end + step) as u64)?,
                _ => allocate(&self.file, end, step)?,
            }
            match steps.populate {
                Populate::Inline => self.map.populate(end, step)?,
                // Not published yet, so no record can be overwritten.
                Populate::ZeroedAhead(_) => write_zeros(&self.file, end, step)?,
                _ => {}
            }
            end += step;
            self.allocated.store(end, Ordering::Release);
            let doubled = (step * 2).min(LAST_STEP);
            steps.next.fetch_max(doubled, Ordering::Relaxed);
        }
        Ok(())
    }
}

fn write_zeros(file: &File, offset: usize, len: usize) -> io::Result<()> {
    let zeros = vec![0; CHUNK.min(len)];
    (offset..offset + len).step_by(zeros.len()).try_for_each(|at| {
        file.write_all_at(&zeros[..zeros.len().min(offset + len - at)], at as u64)
    })
}

/// The writer's side.
pub struct Mapped {
    files: Arc<Files>,
    steps: Arc<Steps>,
    segment: Arc<Segment>,
    offset: usize,
    /// What the writer knows to be allocated.
    limit: usize,
    /// Maps of full segments stay, for reading.
    sealed: Vec<Arc<Segment>>,
    helper: Option<Helper>,
}

impl Mapped {
    pub fn open(dir: &Path, populate: Populate) -> io::Result<Mapped> {
        let files = Files::new(dir);
        let steps = Arc::new(Steps { next: AtomicUsize::new(FIRST_STEP), populate });
        let segment = Segment::create(&files, &steps)?;
        let helper = match populate {
            Populate::Ahead(window) | Populate::ZeroedAhead(window) => {
                Some(Helper::start(&files, &steps, &segment, window))
            }
            _ => None,
        };
        Ok(Mapped { files, steps, segment, offset: 0, limit: 0, sealed: Vec::new(), helper })
    }

    #[cold]
    fn make_room(&mut self) -> io::Result<()> {
        if self.offset as u64 == SEGMENT_USED {
            let next = match &self.helper {
                Some(helper) => helper.take_next(&self.files, &self.steps)?,
                None => Segment::create(&self.files, &self.steps)?,
            };
            self.sealed.push(std::mem::replace(&mut self.segment, next));
            self.offset = 0;
        }
        self.segment.grow_to(self.offset + RECORD, &self.steps)?;
        self.limit = self.segment.allocated.load(Ordering::Acquire).min(SEGMENT_USED as usize);
        Ok(())
    }
}

impl Tail for Mapped {
    fn append(&mut self, record: &Record) -> io::Result<()> {
        if self.offset + RECORD > self.limit {
            self.make_room()?;
        }
        crate::sys::copy_in_allocated(&self.segment.map, self.offset, record);
        self.offset += RECORD;
        if let Some(helper) = &mut self.helper {
            self.segment.position.store(self.offset, Ordering::Relaxed);
            helper.wake_if_due(self.offset);
        }
        Ok(())
    }

    fn syncer(&self) -> Option<Syncer> {
        Some(self.files.syncer())
    }

    fn finish(mut self: Box<Self>) -> io::Result<()> {
        drop(self.helper.take());
        self.segment.file.set_len(self.offset as u64)
    }
}

/// The background thread and what it shares with the writer.
struct Helper {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    wake_every: usize,
    wake_at: usize,
}

struct Shared {
    current: Mutex<Arc<Segment>>,
    next: Mutex<Option<Arc<Segment>>>,
    stop: AtomicBool,
}

impl Helper {
    fn start(
        files: &Arc<Files>,
        steps: &Arc<Steps>,
        segment: &Arc<Segment>,
        window: usize,
    ) -> Helper {
        let current = Mutex::new(segment.clone());
        let stop = AtomicBool::new(false);
        let shared = Arc::new(Shared { current, next: Mutex::new(None), stop });
        let (theirs, files, steps) = (shared.clone(), files.clone(), steps.clone());
        let thread = Some(thread::spawn(move || theirs.run(&files, &steps, window)));
        Helper { shared, thread, wake_every: window / 4, wake_at: 0 }
    }

    fn wake_if_due(&mut self, offset: usize) {
        if offset >= self.wake_at {
            self.wake_at = offset + self.wake_every;
            self.wake();
        }
    }

    fn wake(&self) {
        if let Some(thread) = &self.thread {
            thread.thread().unpark();
        }
    }

    fn take_next(&self, files: &Files, steps: &Steps) -> io::Result<Arc<Segment>> {
        let prepared = lock(&self.shared.next).take();
        let next = match prepared {
            Some(next) => next,
            None => Segment::create(files, steps)?,
        };
        *lock(&self.shared.current) = next.clone();
        self.wake();
        Ok(next)
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.wake();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    /// Errors are left to the writer: it meets the same one when it has no room left.
    fn run(&self, files: &Files, steps: &Steps, window: usize) {
        let mut segment = lock(&self.current).clone();
        let mut populated = 0;
        while !self.stop.load(Ordering::Relaxed) {
            let current = lock(&self.current).clone();
            if !Arc::ptr_eq(&segment, &current) {
                segment = current;
                populated = 0;
            }
            let position = segment.position.load(Ordering::Relaxed);
            let _ = segment.grow_to(position + window, steps);
            if position + LAST_STEP > SEGMENT {
                self.prepare_next(files, steps, window);
            }
            let end = segment.allocated.load(Ordering::Acquire).min(position + window);
            // What the writer has passed it has faulted in itself.
            let start = populated.max(position / CHUNK * CHUNK);
            if start >= end {
                thread::park();
                continue;
            }
            populated = end.min(start + CHUNK);
            let _ = segment.map.populate(start / 4096 * 4096, populated - start);
        }
    }

    fn prepare_next(&self, files: &Files, steps: &Steps, window: usize) {
        let mut next = lock(&self.next);
        if next.is_none() {
            *next = Segment::create(files, steps).ok();
            if let Some(segment) = &*next {
                let _ = segment.map.populate(0, window.min(LAST_STEP));
            }
        }
    }
}
