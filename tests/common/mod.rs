//! What several tests share: a small random generator, temporary directories, sizes of directories.
#![allow(dead_code, reason = "each test uses a part of it")]

pub mod content;
pub mod draw;
pub mod history;
pub mod linear;
pub mod oracle;
pub mod sim_disk;
pub mod sized;
pub mod store;
pub mod trace;
pub mod watchdog;
pub mod world;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// SplitMix64: small, and the same on every machine, so that a seed repeats a failure.
pub struct Random(pub u64);

impl Random {
    /// The next number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// `len` bytes.
    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut out = Vec::with_capacity(len + 8);
        while out.len() < len {
            out.extend_from_slice(&self.next().to_le_bytes());
        }
        out.truncate(len);
        out
    }
}

/// The seed of a test: from the environment (KV_TEST_SEED), or else fixed.
pub fn seed() -> u64 {
    std::env::var("KV_TEST_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(20_260_101)
}

/// A directory that is removed when the value goes.
pub struct TempDir(PathBuf);

impl TempDir {
    /// A new, empty directory whose name contains `name`.
    pub fn new(name: &str) -> TempDir {
        TempDir::inside(&std::env::temp_dir(), name)
    }

    /// The same in memory where the system has such a place: for tests that open a database very
    /// often.
    pub fn in_memory(name: &str) -> TempDir {
        let memory = Path::new("/dev/shm");
        if memory.is_dir() {
            TempDir::inside(memory, name)
        } else {
            TempDir::new(name)
        }
    }

    fn inside(parent: &Path, name: &str) -> TempDir {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("kv-test-{name}-{}-{count}", std::process::id());
        let path = parent.join(name);
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir(&path).expect("the temporary directory can be written");
        TempDir(path)
    }

    /// A path inside.
    pub fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Bytes in all files of a directory.
pub fn bytes_in(directory: &Path) -> u64 {
    let entries = std::fs::read_dir(directory).expect("the directory can be read");
    entries.map(|entry| entry.and_then(|e| e.metadata()).map_or(0, |data| data.len())).sum()
}

/// The files of a directory whose names end in `.seg`, in order.
pub fn segments_in(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).expect("the directory can be read");
    let paths = entries.map(|entry| entry.expect("the directory can be read").path());
    let mut segments: Vec<PathBuf> =
        paths.filter(|path| path.extension().is_some_and(|suffix| suffix == "seg")).collect();
    segments.sort();
    segments
}

/// Copies the files of a directory to a new directory. Those that are removed meanwhile can be done
/// without, and the manifest comes first: what it does not know yet is left over, while what it
/// knows must be there. So nobody compacts meanwhile.
pub fn copy_directory(from: &Path, to: &Path) {
    std::fs::create_dir(to).expect("the copy can be created");
    let copy = |name: &std::ffi::OsStr| match std::fs::copy(from.join(name), to.join(name)) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        copied => drop(copied.expect("the file can be copied")),
    };
    copy("MANIFEST".as_ref());
    // Only now, for it may know files that were not there before it was copied.
    for entry in std::fs::read_dir(from).expect("the directory can be read") {
        let name = entry.expect("the directory can be read").file_name();
        if name != "MANIFEST" {
            copy(&name);
        }
    }
}
