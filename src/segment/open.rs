//! The files of sealed segments: opened when they are first read, and never too many at once.
//!
//! However many segments there are, maps and descriptors stay below a bound. Past it, the file that
//! has not been read for a while is closed (the clock, or second chance, of Corbató 1968); whoever
//! reads it meanwhile keeps it until it unpins.

use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::Body;
use crate::atomic::{AtomicBool, Ordering};
use crate::epoch::{Guard, Slot};
use crate::error::{Error, Kind, Result};
use crate::format::name;
use crate::options::ReadMode;
use crate::storage::{File, Storage};

/// Opens files of sealed segments, and closes some.
pub struct Opener {
    storage: Arc<dyn Storage>,
    mode: ReadMode,
    limit: usize,
    clock: Mutex<Clock>,
}

/// The files that are open, and where the search for one to close goes on.
#[derive(Default)]
struct Clock {
    open: Vec<Weak<SealedFile>>,
    hand: usize,
}

/// The file of one sealed segment.
pub struct SealedFile {
    name: String,
    len: u64,
    opener: Arc<Opener>,
    body: Slot<Body>,
    /// Whether it was read since the hand of the clock passed.
    used: AtomicBool,
}

impl Opener {
    /// One that reads in `mode` and keeps up to `limit` files open.
    pub fn new(storage: Arc<dyn Storage>, mode: ReadMode, limit: usize) -> Arc<Opener> {
        Arc::new(Opener { storage, mode, limit, clock: Mutex::default() })
    }

    /// The file of segment `id`, which has `len` bytes. It is opened when it is read.
    pub fn sealed(self: &Arc<Self>, id: u64, len: u64) -> Arc<SealedFile> {
        let (body, used) = (Slot::default(), AtomicBool::new(true));
        Arc::new(SealedFile { name: name::segment(id), len, opener: Arc::clone(self), body, used })
    }

    /// The same, open already.
    pub fn sealed_and_open(
        self: &Arc<Self>,
        id: u64,
        len: u64,
        file: &Arc<dyn File>,
    ) -> Result<Arc<SealedFile>> {
        let sealed = self.sealed(id, len);
        let body = self.body(file, len)?;
        sealed.admit(&mut self.clock.lock(), body)?;
        Ok(sealed)
    }

    /// How many files are open.
    pub fn open_files(&self) -> usize {
        self.clock.lock().open.iter().filter(|file| file.strong_count() > 0).count()
    }

    fn body(&self, file: &Arc<dyn File>, len: u64) -> Result<Body> {
        Ok(match self.mode {
            ReadMode::Mmap => Body::Mapped(file.map(len)?),
            ReadMode::Pread => Body::File(Arc::clone(file), len),
        })
    }
}

impl SealedFile {
    /// Bytes of the file.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// What the file is read through.
    #[inline]
    pub fn body<'g>(self: &'g Arc<Self>, guard: &'g Guard) -> Result<&'g Body> {
        match self.body.get(guard) {
            Some(body) => {
                // Looked at first: all readers would write to one cache line.
                if !self.used.load(Ordering::Relaxed) {
                    self.used.store(true, Ordering::Relaxed);
                }
                Ok(body)
            }
            None => self.open(guard),
        }
    }

    /// The same, for longer than the pin.
    pub fn keep_body(self: &Arc<Self>, guard: &Guard) -> Result<Arc<Body>> {
        loop {
            self.body(guard)?;
            // Nothing, if the file was closed since.
            if let Some(body) = self.body.get_arc(guard) {
                return Ok(body);
            }
        }
    }

    #[cold]
    fn open<'g>(self: &'g Arc<Self>, guard: &'g Guard) -> Result<&'g Body> {
        let mut clock = self.opener.clock.lock();
        if self.body.get(guard).is_none() {
            let damaged = |at, what: String| {
                let path = format!("{}/{}", self.opener.storage.path(), self.name);
                Error::corrupt(&path, at, what)
            };
            let opened = self.opener.storage.open(&self.name, false);
            let file = opened.map_err(|error| match error.kind() {
                Kind::DoesNotExist => damaged(0, "the file is missing".to_owned()),
                _ => error,
            })?;
            let len = file.len()?;
            if len != self.len {
                let what = format!("the file has {len} bytes, not {}", self.len);
                return Err(damaged(len.min(self.len), what));
            }
            let body = self.opener.body(&file, len)?;
            self.admit(&mut clock, body)?;
        }
        // Nobody closes it: the clock is locked.
        self.body.get(guard).ok_or_else(|| Error::new(Kind::Internal, "an open file is not open"))
    }

    /// Notes that the file is open, and closes another if there are too many.
    fn admit(self: &Arc<Self>, clock: &mut Clock, body: Body) -> Result<()> {
        clock.open.try_reserve(1)?;
        self.used.store(true, Ordering::Relaxed);
        drop(self.body.replace(Some(Arc::new(body))));
        clock.make_room(self.opener.limit);
        clock.open.push(Arc::downgrade(self));
        Ok(())
    }
}

impl Clock {
    /// Closes files until there is room for one more.
    fn make_room(&mut self, limit: usize) {
        while self.open.len() >= limit.max(1) {
            self.hand %= self.open.len();
            match self.open[self.hand].upgrade() {
                Some(file) if file.used.swap(false, Ordering::Relaxed) => self.hand += 1,
                held => {
                    self.open.swap_remove(self.hand);
                    // Its readers may be under way: it is freed when they have left. A map holds
                    // no memory of its own, but address space, of which there is enough for now.
                    if let Some(file) = held {
                        file.body.replace(None).holding(CLOSED_WEIGHT);
                    }
                }
            }
        }
    }
}

/// What a closed file counts as garbage: a few of them are freed together.
const CLOSED_WEIGHT: usize = 16 << 10;
