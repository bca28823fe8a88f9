//! A directory of files in memory, laid out anew in microseconds: for databases that are damaged
//! and opened a million times. A room of `unsafe`.
//!
//! What is written is seen at once, and nothing is ever lost: power cuts are simulated elsewhere.
//! Maps show the bytes of the file as they are, those that a test has just damaged too.
//!
//! What makes it sound: a shelf is used by one thread at a time, and bytes are written by the
//! engine, or by a test while no call of the engine is under way and no view of them is looked at.

#![allow(unsafe_code, reason = "a map is raw memory; this room gives it to the engine")]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::Arc;

use kv::error::{Error, Kind, Result};
use kv::format::name;
use kv::storage::map::{AppendMap, Map, Memory};
use kv::storage::{File, FreeBytes, Lock, Storage};
use memmap2::{MmapMut, MmapRaw};
use parking_lot::Mutex;

use super::{heap, Damage, Files, Sample};
use crate::common::Random;

/// The longest file there can be. Only what is written takes memory.
const FILE_LIMIT: usize = 4 << 20;

/// Memory that no file uses, all zeros: fresh pages cost more than all that is done with them.
static FREE: Mutex<Vec<MmapRaw>> = Mutex::new(Vec::new());

/// The bytes of one file. They never move.
struct Content {
    /// Only `None` while it is dropped.
    memory: Option<MmapRaw>,
    len: AtomicUsize,
    /// The longest that the file has been: from here on all is zero.
    longest: AtomicUsize,
}

impl Content {
    fn new(bytes: &[u8]) -> Arc<Content> {
        heap::aside(|| {
            let memory = FREE.lock().pop().unwrap_or_else(|| {
                MmapRaw::from(MmapMut::map_anon(FILE_LIMIT).expect("there is memory for a file"))
            });
            let content =
                Content { memory: Some(memory), len: 0.into(), longest: AtomicUsize::new(0) };
            content.write(0, bytes);
            Arc::new(content)
        })
    }

    fn base(&self) -> *mut u8 {
        self.memory.as_ref().map_or(std::ptr::null_mut(), MmapRaw::as_mut_ptr)
    }

    fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    fn bytes(&self) -> &[u8] {
        // SAFETY: the file is no longer than the memory, and nobody writes meanwhile, as the head
        // of this file says; no caller keeps the slice.
        unsafe { std::slice::from_raw_parts(self.base(), self.len()) }
    }

    fn write(&self, at: usize, bytes: &[u8]) {
        self.reach((at + bytes.len()).max(self.len()));
        // SAFETY: the range lies inside the memory, as was just checked, and nobody looks at it.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.base().add(at), bytes.len()) };
    }

    /// Makes the file so long; what is new is zero.
    fn reach(&self, len: usize) {
        assert!(len <= FILE_LIMIT, "a file of {len} bytes does not fit on the shelf");
        let old = self.len.swap(len, Ordering::Relaxed);
        self.longest.fetch_max(len.max(old), Ordering::Relaxed);
        if len < old {
            // SAFETY: the range lies inside the memory, and nobody looks at what is cut off.
            unsafe { std::ptr::write_bytes(self.base().add(len), 0, old - len) };
        }
    }
}

impl Drop for Content {
    fn drop(&mut self) {
        // An append map may have been written to behind the end: the engine does not.
        self.reach(self.longest.load(Ordering::Relaxed));
        self.reach(0);
        heap::aside(|| FREE.lock().extend(self.memory.take()));
    }
}

struct FileMap {
    content: Arc<Content>,
    len: usize,
}

// SAFETY: the memory never moves and lives as long as the content; `len` is at most FILE_LIMIT,
// which is checked when the map is made. Who writes to it when is said above.
unsafe impl Memory for FileMap {
    fn base(&self) -> *mut u8 {
        self.content.base()
    }
    fn len(&self) -> usize {
        self.len
    }
}

/// The directory. A clone is the same one.
#[derive(Clone)]
pub struct Shelf {
    files: Arc<Mutex<BTreeMap<String, Arc<Content>>>>,
    random: Arc<Mutex<Random>>,
    is_locked: Arc<AtomicBool>,
}

impl Shelf {
    /// A directory with these files. What it says to be random follows from the seed.
    pub fn new<'f>(seed: u64, files: impl IntoIterator<Item = (&'f String, &'f [u8])>) -> Shelf {
        let files = files.into_iter().map(|(name, bytes)| (name.clone(), Content::new(bytes)));
        Shelf {
            files: Arc::new(Mutex::new(files.collect())),
            random: Arc::new(Mutex::new(Random(seed))),
            is_locked: Arc::default(),
        }
    }

    /// The same directory as a storage.
    pub fn storage(&self) -> Arc<dyn Storage> {
        Arc::new(self.clone())
    }

    /// The files as they are now, but for LOCK.
    pub fn files(&self) -> Files {
        let files = self.files.lock();
        let files = files.iter().filter(|(name, _)| *name != name::LOCK);
        files.map(|(name, content)| (name.clone(), content.bytes().to_vec())).collect()
    }

    /// Does to a file what was done to the sample's, under the eyes of whoever has it open: what is
    /// not damaged stays as it is.
    pub fn damage(&self, damage: &Damage, sample: &Sample) {
        let name = &damage.file;
        match (self.find(name).ok(), &damage.bytes) {
            (Some(content), Some(bytes)) => {
                for at in damage.differing(sample) {
                    content.write(at, bytes.get(at..=at).unwrap_or_default());
                }
                if sample.files.get(name).map(Vec::len) != Some(bytes.len()) {
                    content.reach(bytes.len());
                }
            }
            (None, Some(bytes)) => {
                _ = self.files.lock().insert(name.clone(), Content::new(bytes));
            }
            (_, None) => _ = self.files.lock().remove(name),
        }
    }

    fn find(&self, name: &str) -> Result<Arc<Content>> {
        let found = self.files.lock().get(name).cloned();
        found.ok_or_else(|| Error::new(Kind::DoesNotExist, format!("there is no {name}")))
    }
}

impl Storage for Shelf {
    fn path(&self) -> &str {
        "shelf"
    }

    fn list(&self) -> Result<Vec<String>> {
        Ok(self.files.lock().keys().cloned().collect())
    }

    fn create(&self, name: &str) -> Result<Arc<dyn File>> {
        let content = Content::new(&[]);
        if self.files.lock().insert(name.into(), Arc::clone(&content)).is_some() {
            return Err(Error::new(Kind::Io, format!("cannot create {name}: it exists")));
        }
        Ok(Arc::new(ShelfFile { content, name: name.into() }))
    }

    fn open(&self, name: &str, _writable: bool) -> Result<Arc<dyn File>> {
        Ok(Arc::new(ShelfFile { content: self.find(name)?, name: name.into() }))
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        let content = self.find(from)?;
        let mut files = self.files.lock();
        files.remove(from);
        files.insert(to.into(), content);
        Ok(())
    }

    fn remove(&self, name: &str) -> Result<()> {
        self.find(name)?;
        self.files.lock().remove(name);
        Ok(())
    }

    fn sync_directory(&self) -> Result<()> {
        Ok(())
    }

    fn lock(&self, name: &str) -> Result<Box<dyn Lock>> {
        if self.is_locked.swap(true, Ordering::Relaxed) {
            return Err(Error::new(Kind::AlreadyOpen, "the shelf is in use"));
        }
        self.files.lock().insert(name.into(), Content::new(&[]));
        Ok(Box::new(ShelfLock(Arc::clone(&self.is_locked))))
    }

    fn free_bytes(&self) -> Result<FreeBytes> {
        Ok(FreeBytes { free: 1 << 40, total: 1 << 41 })
    }

    fn random(&self) -> Result<[u8; 16]> {
        let bytes = self.random.lock().bytes(16);
        Ok(bytes.try_into().expect("that many were asked for"))
    }

    fn now_ms(&self) -> u64 {
        1_700_000_000_000
    }
}

struct ShelfLock(Arc<AtomicBool>);

impl Lock for ShelfLock {}

impl Drop for ShelfLock {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

struct ShelfFile {
    content: Arc<Content>,
    name: String,
}

impl ShelfFile {
    fn memory(&self, len: u64) -> Box<FileMap> {
        let (content, len) = (Arc::clone(&self.content), len as usize);
        assert!(len <= FILE_LIMIT, "a map of {len} bytes does not fit on the shelf");
        Box::new(FileMap { content, len })
    }
}

impl File for ShelfFile {
    fn len(&self) -> Result<u64> {
        Ok(self.content.len() as u64)
    }

    fn read_at(&self, out: &mut [u8], offset: u64) -> Result<()> {
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        let part = from.checked_add(out.len()).and_then(|to| self.content.bytes().get(from..to));
        let path = || format!("shelf/{}", self.name);
        let ends = || Error::corrupt(&path(), self.content.len() as u64, "it ends early");
        out.copy_from_slice(part.ok_or_else(ends)?);
        Ok(())
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        self.content.write(offset as usize, bytes);
        Ok(())
    }

    fn allocate(&self, len: u64) -> Result<()> {
        self.content.reach(self.content.len().max(len as usize));
        Ok(())
    }

    fn truncate(&self, len: u64) -> Result<()> {
        self.content.reach(len as usize);
        Ok(())
    }

    fn sync(&self) -> Result<()> {
        Ok(())
    }

    fn drop_cache(&self) -> Result<()> {
        Ok(())
    }

    fn map(&self, len: u64) -> Result<Map> {
        assert!(len <= self.content.len() as u64, "a file is mapped past its end");
        Ok(Map::new(self.memory(len)))
    }

    fn map_append(&self, start: u64, capacity: u64) -> Result<AppendMap> {
        Ok(AppendMap::new(self.memory(capacity), start as usize))
    }
}
