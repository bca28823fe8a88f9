//! What a process and a directory take: bytes written, blocks on the disk.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Bytes that this process has had the kernel write, or keep for writing: pages made dirty.
pub fn written() -> u64 {
    field("/proc/self/io", "write_bytes:")
}

fn field(file: &str, name: &str) -> u64 {
    let text = fs::read_to_string(file).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}

/// Bytes of the blocks of all files below a directory.
pub fn disk(directory: &Path) -> u64 {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let size = |entry: fs::DirEntry| match entry.metadata() {
        Ok(data) if data.is_dir() => disk(&entry.path()),
        Ok(data) => data.blocks() * 512,
        Err(_) => 0,
    };
    entries.map(size).sum()
}

/// Bytes that are free for this user on the file system of a directory.
pub fn free(directory: &Path) -> Result<u64, String> {
    let path = crate::library::c_string(&directory.to_string_lossy());
    // SAFETY: the struct is made of numbers, the path is a string, and both live.
    let (result, stat) = unsafe {
        let mut stat: libc::statvfs = std::mem::zeroed();
        (libc::statvfs(path.as_ptr(), &mut stat), stat)
    };
    match result {
        0 => Ok(stat.f_bavail * stat.f_frsize),
        _ => Err(format!("{}: {}", directory.display(), std::io::Error::last_os_error())),
    }
}

/// Has so many bytes of free memory at hand, or half of what there is. A virtual machine may have
/// given back what nobody used for a while; to get it again takes many times as long as to fill it
/// with zeros, and who came first would pay for all.
pub fn warm_memory(bytes: u64) {
    const PAGE: usize = 4096;
    let half = field("/proc/meminfo", "MemAvailable:") << 9;
    let mut memory = vec![0_u8; bytes.min(half) as usize];
    memory.iter_mut().step_by(PAGE).for_each(|byte| *byte = 1);
    std::hint::black_box(&memory);
}
