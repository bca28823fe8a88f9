//! What the figures were measured on, and what the kernel says about this process.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

pub fn describe(directory: &Path) {
    let cpu = field("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown".to_owned());
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let memory = field("/proc/meminfo", "MemTotal").unwrap_or_default();
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!("cpu: {cpu}, {cores} cores; memory: {memory}; kernel: {}", kernel.trim());
    println!("file system of {}: {}", directory.display(), file_system(directory));
    println!("load before: {}", load.trim());
}

fn field(file: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// Type, device and options of the mount that `directory` is on.
fn file_system(directory: &Path) -> String {
    let path = directory.canonicalize().unwrap_or_else(|_| directory.to_owned());
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let parts = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let of = parts.filter(|parts| parts.len() > 3 && path.starts_with(parts[1]));
    let longest = of.max_by_key(|parts| parts[1].len());
    longest.map_or_else(String::new, |parts| format!("{} on {} ({})", parts[2], parts[0], parts[3]))
}

/// Bytes of memory that are this process's own, from a field of smaps_rollup.
pub fn own_memory(name: &str) -> u64 {
    let text = field("/proc/self/smaps_rollup", name).unwrap_or_default();
    let kib = text.split(' ').next().and_then(|number| number.parse::<u64>().ok());
    kib.unwrap_or_default() << 10
}

pub fn open_files() -> usize {
    fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}

pub fn maps() -> usize {
    fs::read_to_string("/proc/self/maps").map_or(0, |text| text.lines().count())
}

pub fn map_limit() -> u64 {
    let text = fs::read_to_string("/proc/sys/vm/max_map_count").unwrap_or_default();
    text.trim().parse().unwrap_or_default()
}

/// Soft limit of open files.
pub fn file_limit() -> u64 {
    let text = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with("Max open files"));
    line.and_then(|line| line.split_whitespace().nth(3)?.parse().ok()).unwrap_or_default()
}

/// Seconds that the machine's host took from it, of all cores together.
pub fn stolen_seconds() -> f64 {
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    let ticks = text.lines().next().and_then(|line| line.split_whitespace().nth(8)?.parse().ok());
    ticks.unwrap_or(0.0) / 100.0
}

/// One file of a directory: its name, its inode, and the bytes of its blocks.
pub struct FileSize {
    pub name: String,
    pub inode: u64,
    pub bytes: u64,
}

/// What the files of a directory take on the medium. Files that vanish meanwhile are left out.
pub fn files(directory: &Path) -> Vec<FileSize> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let size = |entry: fs::DirEntry| {
        let data = entry.metadata().ok()?;
        let name = entry.file_name().to_string_lossy().into_owned();
        Some(FileSize { name, inode: data.ino(), bytes: data.blocks() * 512 })
    };
    entries.filter_map(size).collect()
}
