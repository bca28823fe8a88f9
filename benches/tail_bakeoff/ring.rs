//! Design (b): a small mapped ring takes the record; a thread moves it on with large pwrites.
//!
//! Byte p of the log lies at p mod 4 MiB of the ring until it is in segment p / size. Recovery
//! would read the segments to their end and go on in the ring from there.

use crate::record::{Record, RECORD};
use crate::sys::{allocate, copy_in_allocated, WriteMap};
use crate::tail::{lock, Files, Syncer, Tail, SEGMENT_USED};
use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

const RING: u64 = 4 << 20;
const CHUNK: u64 = 256 << 10;
/// Blocks of a segment are allocated in steps of this size, where they are allocated ahead.
const STEP: u64 = 8 << 20;

/// Number `id` of the segments that make up the log.
struct Segment {
    id: u64,
    file: Arc<File>,
}

struct Shared {
    map: WriteMap,
    files: Arc<Files>,
    /// Log positions: in the ring, and in the segments.
    acknowledged: AtomicU64,
    drained: AtomicU64,
    /// The segment being filled. Whoever holds it drains: the thread, a sync, or the writer
    /// itself when the ring is full.
    segment: Mutex<Segment>,
    /// The thread met an error; the writer will meet the same one and can return it.
    failed: AtomicBool,
    stop: AtomicBool,
    allocate_ahead: bool,
}

impl Shared {
    /// Brings everything below `position` into the segments.
    fn drain_to(&self, position: u64) -> io::Result<()> {
        while self.drained.load(Ordering::Acquire) < position {
            self.drain_chunk(&mut lock(&self.segment))?;
        }
        Ok(())
    }

    fn drain_chunk(&self, segment: &mut Segment) -> io::Result<()> {
        let from = self.drained.load(Ordering::Acquire);
        let pending = self.acknowledged.load(Ordering::Acquire) - from;
        let (in_ring, in_segment) = (from % RING, from % SEGMENT_USED);
        let len = pending.min(CHUNK).min(RING - in_ring).min(SEGMENT_USED - in_segment);
        if from / SEGMENT_USED > segment.id {
            *segment = Segment { id: segment.id + 1, file: self.files.create()? };
        }
        let file = &segment.file;
        // Steps that begin in this chunk: at most one, because a chunk is smaller than a step.
        let begins = in_segment.next_multiple_of(STEP);
        if self.allocate_ahead && begins < in_segment + len {
            allocate(file, begins as usize, STEP as usize)?;
        }
        let wrote = self.map.write_out(in_ring as usize, len as usize, file, in_segment)?;
        self.drained.fetch_add(wrote as u64, Ordering::Release);
        Ok(())
    }

    /// The background thread: whole chunks only.
    fn run(&self) {
        while !self.stop.load(Ordering::Relaxed) {
            let drained = self.drained.load(Ordering::Acquire);
            let due = self.acknowledged.load(Ordering::Acquire) - drained >= CHUNK;
            let failed = self.failed.load(Ordering::Relaxed);
            if !due || failed {
                thread::park();
            } else if self.drain_to(drained + CHUNK).is_err() {
                self.failed.store(true, Ordering::Relaxed);
            }
        }
    }
}

pub struct Ring {
    shared: Arc<Shared>,
    position: u64,
    /// Up to here the ring is known to be free.
    limit: u64,
    wake_at: u64,
    drainer: Option<JoinHandle<()>>,
}

impl Ring {
    pub fn open(dir: &Path, allocate_ahead: bool) -> io::Result<Ring> {
        let mut options = OpenOptions::new();
        let path = dir.join("RING");
        let file = options.read(true).write(true).create_new(true).open(path)?;
        allocate(&file, 0, RING as usize)?;
        let map = WriteMap::new(&file, RING as usize)?;
        map.populate(0, RING as usize)?;
        let files = Files::new(dir);
        let segment = Mutex::new(Segment { id: 0, file: files.create()? });
        let shared = Arc::new(Shared {
            map,
            files,
            segment,
            acknowledged: AtomicU64::new(0),
            drained: AtomicU64::new(0),
            failed: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            allocate_ahead,
        });
        let theirs = shared.clone();
        let drainer = Some(thread::spawn(move || theirs.run()));
        Ok(Ring { shared, position: 0, limit: RING, wake_at: CHUNK, drainer })
    }

    #[cold]
    fn make_room(&mut self, end: u64) -> io::Result<()> {
        if end > self.shared.drained.load(Ordering::Acquire) + RING {
            self.shared.drain_to(end - RING)?;
        }
        self.limit = self.shared.drained.load(Ordering::Acquire) + RING;
        Ok(())
    }

    /// Once per chunk: wakes the thread, and finds out whether it has failed.
    #[cold]
    fn look_after_drainer(&mut self, end: u64) -> io::Result<()> {
        if self.shared.failed.load(Ordering::Relaxed) {
            self.shared.drain_to(self.position)?;
            self.shared.failed.store(false, Ordering::Relaxed);
        }
        self.wake_at = end + CHUNK;
        self.wake();
        Ok(())
    }

    fn wake(&self) {
        if let Some(drainer) = &self.drainer {
            drainer.thread().unpark();
        }
    }
}

impl Tail for Ring {
    fn append(&mut self, record: &Record) -> io::Result<()> {
        let end = self.position + RECORD as u64;
        if end > self.wake_at {
            self.look_after_drainer(end)?;
        }
        if end > self.limit {
            self.make_room(end)?;
        }
        let start = (self.position % RING) as usize;
        let before_wrap = RECORD.min(RING as usize - start);
        if before_wrap == RECORD {
            copy_in_allocated(&self.shared.map, start, record);
        } else {
            copy_in_allocated(&self.shared.map, start, &record[..before_wrap]);
            copy_in_allocated(&self.shared.map, 0, &record[before_wrap..]);
        }
        self.shared.acknowledged.store(end, Ordering::Release);
        self.position = end;
        Ok(())
    }

    fn syncer(&self) -> Option<Syncer> {
        let shared = self.shared.clone();
        Some(Box::new(move || {
            shared.drain_to(shared.acknowledged.load(Ordering::Acquire))?;
            shared.files.sync()
        }))
    }

    fn finish(self: Box<Self>) -> io::Result<()> {
        self.shared.drain_to(self.position)?;
        let segment = lock(&self.shared.segment);
        segment.file.set_len(self.position - segment.id * SEGMENT_USED)
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.wake();
        if let Some(drainer) = self.drainer.take() {
            let _ = drainer.join();
        }
    }
}
