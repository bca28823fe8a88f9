//! A disk in memory that is as small as it can be: each map has as many bytes as it says and not
//! one more, so that the sanitizer sees every read past an end. A room of `unsafe`.
//!
//! The simulated disk of the tests knows what a power cut leaves; this one knows what may not be
//! touched.

#![allow(unsafe_code, reason = "a map is raw memory; this room gives it to the engine")]

use std::alloc::{alloc_zeroed, dealloc, Layout};
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kv::error::{Error, Kind, Result};
use kv::storage::map::{AppendMap, Map, Memory};
use kv::storage::{DirectoryId, File, FreeBytes, Lock, Parent, Storage};

/// No file may become longer: whoever wants that believes what he should not.
pub const FILE_LIMIT: u64 = 16 << 20;

/// Zeroed memory that does not move.
struct Region {
    base: *mut u8,
    len: usize,
}

// SAFETY: `base` is memory of its own, freed when the value goes; who reads and writes when is said
// at `Memory` and at `Body`.
unsafe impl Send for Region {}
// SAFETY: as above.
unsafe impl Sync for Region {}

impl Region {
    fn layout(len: usize) -> Layout {
        // No more alignment than the allocator gives by itself: then zeros cost nothing.
        Layout::from_size_align(len.max(1), 16).expect("a region is not that large")
    }

    fn new(len: usize) -> Region {
        // SAFETY: the layout has at least one byte.
        let base = unsafe { alloc_zeroed(Region::layout(len)) };
        assert!(!base.is_null(), "there is memory for a region");
        Region { base, len }
    }

    fn with(len: usize, bytes: &[u8]) -> Region {
        let region = Region::new(len);
        region.write(0, bytes);
        region
    }

    fn read(&self, from: usize, out: &mut [u8]) {
        assert!(from + out.len() <= self.len);
        // SAFETY: the range lies inside; bytes that a map may be writing to are not read through
        // the file by the one thread that there is.
        unsafe { std::ptr::copy_nonoverlapping(self.base.add(from), out.as_mut_ptr(), out.len()) };
    }

    fn write(&self, at: usize, bytes: &[u8]) {
        assert!(at + bytes.len() <= self.len);
        // SAFETY: the range lies inside, and no slice of it exists: the engine writes to no byte
        // that it has published.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.base.add(at), bytes.len()) };
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: it was allocated with this layout.
        unsafe { dealloc(self.base, Region::layout(self.len)) };
    }
}

/// A map of a region.
struct Mapped(Arc<Region>);

// SAFETY: the region never moves and lives as long as self.
unsafe impl Memory for Mapped {
    fn base(&self) -> *mut u8 {
        self.0.base
    }
    fn len(&self) -> usize {
        self.0.len
    }
}

/// The bytes of a file: the first `len` of a region, which a map for appending shares. Those behind
/// are zero.
struct Body {
    region: Arc<Region>,
    len: usize,
}

impl Body {
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.len];
        self.region.read(0, &mut bytes);
        bytes
    }

    /// Makes it `len` bytes long.
    fn set_len(&mut self, len: usize) {
        if len < self.len {
            self.region.write(len, &vec![0; self.len - len]);
        }
        if len > self.region.len {
            assert!(Arc::strong_count(&self.region) == 1, "a file grows out of its map");
            self.region = Arc::new(Region::with(len.next_power_of_two(), &self.bytes()));
        }
        self.len = len;
    }
}

/// One file.
#[derive(Clone)]
struct DiskFile {
    name: String,
    body: Arc<Mutex<Body>>,
}

/// One directory, and the clock.
#[derive(Clone)]
pub struct Disk {
    inner: Arc<Inner>,
}

struct Inner {
    files: Mutex<BTreeMap<String, DiskFile>>,
    locked: Mutex<bool>,
    random: AtomicU64,
    now_ms: AtomicU64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Disk {
    /// A disk with these files.
    pub fn new(files: &BTreeMap<String, Vec<u8>>, now_ms: u64) -> Disk {
        let file = |(name, bytes): (&String, &Vec<u8>)| {
            let region = Arc::new(Region::with(bytes.len(), bytes));
            let body = Arc::new(Mutex::new(Body { region, len: bytes.len() }));
            (name.clone(), DiskFile { name: name.clone(), body })
        };
        let inner = Inner {
            files: Mutex::new(files.iter().map(file).collect()),
            locked: Mutex::new(false),
            random: AtomicU64::new(1),
            now_ms: AtomicU64::new(now_ms),
        };
        Disk { inner: Arc::new(inner) }
    }

    /// The disk as the engine takes it.
    pub fn storage(&self) -> Arc<dyn Storage> {
        Arc::new(self.clone())
    }

    /// All files but the lock.
    pub fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let files = lock(&self.inner.files);
        let named = files.iter().filter(|(name, _)| *name != kv::format::name::LOCK);
        named.map(|(name, file)| (name.clone(), lock(&file.body).bytes())).collect()
    }

    /// Lets time go by.
    pub fn set_now(&self, now_ms: u64) {
        self.inner.now_ms.store(now_ms, Ordering::Relaxed);
    }
}

fn missing(name: &str) -> Error {
    Error::new(Kind::DoesNotExist, format!("there is no {name}"))
}

impl Storage for Disk {
    fn path(&self) -> &str {
        "disk"
    }

    fn list(&self) -> Result<Vec<String>> {
        Ok(lock(&self.inner.files).keys().cloned().collect())
    }

    fn create(&self, name: &str) -> Result<Arc<dyn File>> {
        let mut files = lock(&self.inner.files);
        if files.contains_key(name) {
            return Err(Error::new(Kind::Io, format!("cannot create {name}: it exists")));
        }
        let body = Arc::new(Mutex::new(Body { region: Arc::new(Region::new(0)), len: 0 }));
        let file = DiskFile { name: name.to_owned(), body };
        files.insert(name.to_owned(), file.clone());
        Ok(Arc::new(file))
    }

    fn open(&self, name: &str, _writable: bool) -> Result<Arc<dyn File>> {
        let files = lock(&self.inner.files);
        let file = files.get(name).ok_or_else(|| missing(name))?;
        Ok(Arc::new(file.clone()))
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        let mut files = lock(&self.inner.files);
        let file = files.remove(from).ok_or_else(|| missing(from))?;
        files.insert(to.to_owned(), file);
        Ok(())
    }

    fn remove(&self, name: &str) -> Result<()> {
        lock(&self.inner.files).remove(name).map(drop).ok_or_else(|| missing(name))
    }

    fn sync_directory(&self) -> Result<()> {
        Ok(())
    }

    fn lock(&self, name: &str) -> Result<Box<dyn Lock>> {
        let mut locked = lock(&self.inner.locked);
        if std::mem::replace(&mut *locked, true) {
            return Err(Error::new(Kind::AlreadyOpen, "the disk is in use"));
        }
        if !lock(&self.inner.files).contains_key(name) {
            drop(self.create(name)?);
        }
        Ok(Box::new(Held(Arc::clone(&self.inner))))
    }

    fn free_bytes(&self) -> Result<FreeBytes> {
        Ok(FreeBytes { free: 1 << 40, total: 1 << 40 })
    }

    fn random(&self) -> Result<[u8; 16]> {
        let mut state = self.inner.random.fetch_add(1, Ordering::Relaxed);
        let mut out = [0; 16];
        for byte in &mut out {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            *byte = (state >> 56) as u8;
        }
        Ok(out)
    }

    fn now_ms(&self) -> u64 {
        self.inner.now_ms.load(Ordering::Relaxed)
    }
}

/// The directory above others.
#[derive(Default)]
pub struct DiskParent {
    directories: Mutex<BTreeMap<OsString, Disk>>,
}

impl Parent for DiskParent {
    fn path(&self) -> &str {
        "above"
    }

    fn open(&self, name: &OsStr) -> Result<Option<Arc<dyn Storage>>> {
        Ok(lock(&self.directories).get(name).map(Disk::storage))
    }

    fn create(&self, name: &OsStr) -> Result<()> {
        let disk = Disk::new(&BTreeMap::new(), 0);
        let before = lock(&self.directories).insert(name.to_owned(), disk);
        assert!(before.is_none(), "a directory is made twice");
        Ok(())
    }

    fn rename(&self, from: &OsStr, to: &OsStr) -> Result<()> {
        let mut directories = lock(&self.directories);
        let disk = directories.remove(from).ok_or_else(|| missing("a directory"))?;
        directories.insert(to.to_owned(), disk);
        Ok(())
    }

    fn exchange(&self, _one: &OsStr, _other: &OsStr) -> Result<bool> {
        Ok(false)
    }

    fn remove(&self, name: &OsStr) -> Result<()> {
        lock(&self.directories).remove(name).map(drop).ok_or_else(|| missing("a directory"))
    }

    fn sync(&self) -> Result<()> {
        Ok(())
    }

    fn lineage(&self) -> Result<Vec<DirectoryId>> {
        Ok(Vec::new())
    }
}

struct Held(Arc<Inner>);

impl Lock for Held {}

impl Drop for Held {
    fn drop(&mut self) {
        *lock(&self.0.locked) = false;
    }
}

impl File for DiskFile {
    fn len(&self) -> Result<u64> {
        Ok(lock(&self.body).len as u64)
    }

    fn read_at(&self, out: &mut [u8], offset: u64) -> Result<()> {
        let body = lock(&self.body);
        let end = offset.checked_add(out.len() as u64);
        if end.is_none_or(|end| end > body.len as u64) {
            return Err(Error::new(Kind::Io, format!("{} ends before", self.name)));
        }
        body.region.read(offset as usize, out);
        Ok(())
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        let mut body = lock(&self.body);
        let end = offset + bytes.len() as u64;
        assert!(end <= FILE_LIMIT, "{} is written at {offset}", self.name);
        let len = body.len.max(end as usize);
        body.set_len(len);
        body.region.write(offset as usize, bytes);
        Ok(())
    }

    fn allocate(&self, len: u64) -> Result<()> {
        assert!(len <= FILE_LIMIT, "{} gets {len} bytes", self.name);
        let mut body = lock(&self.body);
        let len = body.len.max(len as usize);
        body.set_len(len);
        Ok(())
    }

    fn truncate(&self, len: u64) -> Result<()> {
        assert!(len <= FILE_LIMIT, "{} is cut to {len} bytes", self.name);
        lock(&self.body).set_len(len as usize);
        Ok(())
    }

    fn sync(&self) -> Result<()> {
        Ok(())
    }

    fn drop_cache(&self) -> Result<()> {
        Ok(())
    }

    /// A copy: what was published changes no more.
    fn map(&self, len: u64) -> Result<Map> {
        let bytes = lock(&self.body).bytes();
        assert!(len <= bytes.len() as u64, "{} is mapped past its end", self.name);
        let region = Region::with(len as usize, &bytes[..len as usize]);
        Ok(Map::new(Box::new(Mapped(Arc::new(region)))))
    }

    fn map_append(&self, start: u64, capacity: u64) -> Result<AppendMap> {
        assert!(capacity <= FILE_LIMIT, "{} is mapped for {capacity} bytes", self.name);
        let mut body = lock(&self.body);
        let bytes = body.bytes();
        body.region = Arc::new(Region::with((capacity as usize).max(bytes.len()), &bytes));
        let memory = Mapped(Arc::clone(&body.region));
        Ok(AppendMap::new(Box::new(memory), start as usize))
    }
}
