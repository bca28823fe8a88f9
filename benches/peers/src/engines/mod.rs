//! The engines: what each is called, can do, is set to, and needs to be there.

mod candy;
mod fjall;
mod kyoto;
mod leveldb;
mod libkv;
mod lmdb;
mod redb;
mod rocksdb;
mod roofline;
mod tkrzw;

use std::ffi::{c_void, CStr};

use crate::bench::{self, Job};
use crate::engine::{Can, Class, Engine, EVERYTHING};
use crate::kill;

/// One line of the table of engines.
pub struct Entry {
    pub name: &'static str,
    pub class: Class,
    pub can: &'static [Can],
    /// What it is set to, and why writes survive kill -9 or do not.
    pub options: &'static str,
    /// The Debian package that has it, if it has to be installed.
    pub package: &'static str,
    /// Its version, or why it is not there.
    pub version: fn() -> Result<String, String>,
    pub bench: fn(&Job, &'static [Can]) -> Result<(), String>,
    pub load: fn(&Job) -> Result<(), String>,
}

const fn entry<E: Engine>(
    name: &'static str,
    class: Class,
    can: &'static [Can],
    package: &'static str,
    version: fn() -> Result<String, String>,
    options: &'static str,
) -> Entry {
    let (bench, load) = (bench::run::<E>, kill::load::<E>);
    Entry { name, class, can, options, package, version, bench, load }
}

const ORDINARY: &[Can] = &[Can::Write, Can::Read, Can::Scan, Can::Sync, Can::Open];
const BATCHES: &[Can] = &[Can::Write, Can::Read, Can::Scan, Can::Sync, Can::Open, Can::Batch];
/// Beside a variant of the same engine that syncs.
const UNSYNCED: &[Can] = &[Can::Write, Can::Read, Can::Scan, Can::Open];
const IN_MEMORY: &[Can] =
    &[Can::Write, Can::Read, Can::Scan, Can::View, Can::Batch, Can::GetMany, Can::Open];
const APPENDS: &[Can] = &[Can::Write, Can::Batch, Can::Sync];

fn of_crate(name: &str) -> Result<String, String> {
    let lock = include_str!("../../Cargo.lock");
    let at = lock.find(&format!("name = \"{name}\"\n")).ok_or("it is not in Cargo.lock")?;
    let version = lock[at..].lines().nth(1).and_then(|line| line.split('"').nth(1));
    Ok(version.unwrap_or_default().to_owned())
}

/// The file that a function was loaded from, with all links followed.
fn file_of(function: *const c_void) -> String {
    // SAFETY: the struct is plain data, and the function is one of a loaded library.
    let name = unsafe {
        let mut info: libc::Dl_info = std::mem::zeroed();
        if libc::dladdr(function, &mut info) == 0 || info.dli_fname.is_null() {
            return String::new();
        }
        CStr::from_ptr(info.dli_fname).to_string_lossy().into_owned()
    };
    let path = std::fs::canonicalize(&name).map(|path| path.to_string_lossy().into_owned());
    path.unwrap_or(name)
}

use Class::{KeepsAtKill, LosesAtKill, Roofline};

/// All engines, in the order of the first round.
pub static ENGINES: [Entry; 14] = [
    entry::<libkv::LibKv>(
        "libkv", KeepsAtKill, EVERYTHING, "", libkv::version,
        "sync=none, all else by default: records go to a shared map; get: kv_get_into",
    ),
    entry::<lmdb::Lmdb>(
        "lmdb", KeepsAtKill, EVERYTHING, "liblmdb-dev", lmdb::version,
        "MDB_WRITEMAP, MDB_NOSYNC, MDB_NOTLS, a transaction per put: pages are changed in a \
         shared map, which the kernel keeps; get: transaction renewed and reset, value copied",
    ),
    entry::<leveldb::LevelDb>(
        "leveldb", KeepsAtKill, BATCHES, "libleveldb-dev", leveldb::version,
        "sync=false, no compression, bloom filter of 10 bits, write buffer 64 MiB, cache twice \
         the data, 10,000 files: each put is in the log by write(2); get: leveldb_get",
    ),
    entry::<rocksdb::RocksDb>(
        "rocksdb", KeepsAtKill, EVERYTHING, "librocksdb-dev", rocksdb::version,
        "sync=false, no compression, full bloom filter of 10 bits, block cache twice the data: \
         each put is in the log by write(2); get: rocksdb_get_pinned, value copied",
    ),
    entry::<tkrzw::Tkrzw<false>>(
        "tkrzw", KeepsAtKill, BATCHES, "libtkrzw-dev", tkrzw::version,
        "HashDBM in place, MemoryMapParallelFile, buckets twice the keys: all in a shared map; \
         get: tkrzw_dbm_process, value copied; batches (set_multi) are not atomic",
    ),
    entry::<tkrzw::Tkrzw<true>>(
        "tkrzw-append", KeepsAtKill, BATCHES, "libtkrzw-dev", tkrzw::version,
        "the same, UPDATE_APPENDING: no space is used again without a rebuild, and none is made",
    ),
    entry::<kyoto::Kyoto>(
        "kyoto", KeepsAtKill, BATCHES, "libkyotocabinet-dev", kyoto::version,
        "HashDB, bnum twice the keys, opts=l, msiz over all of the file: all in a shared map; get: \
         kcdbgetbuf; batches (set_bulk) are not atomic",
    ),
    entry::<candy::Candy<true>>(
        "candystore", KeepsAtKill, ORDINARY, "", || of_crate("candystore"),
        "defaults (a checkpoint, which syncs, every 128 KiB or 5 s), initial_capacity the keys: \
         each put is in the log by pwrite(2), the index in a shared map",
    ),
    entry::<candy::Candy<false>>(
        "candy-unsynced", KeepsAtKill, UNSYNCED, "", || of_crate("candystore"),
        "no checkpoints: nothing is synced; opening after a kill reads all of the log",
    ),
    entry::<redb::Redb<true>>(
        "redb", KeepsAtKill, EVERYTHING, "", || of_crate("redb"),
        "Durability::Immediate in a file whose sync does nothing (a StorageBackend), cache twice \
         the data, a transaction per put: each commit is in the file by pwrite(2)",
    ),
    entry::<fjall::Fjall>(
        "fjall", KeepsAtKill, BATCHES, "", || of_crate("fjall"),
        "defaults without compression, cache twice the data: each put or batch is in the journal \
         by write(2), as PersistMode::Buffer has it; bloom filter as by default",
    ),
    entry::<redb::Redb<false>>(
        "redb-none", LosesAtKill, IN_MEMORY, "", || of_crate("redb"),
        "Durability::None, cache twice the data, a transaction per put: commits stay in memory \
         until one with Durability::Immediate comes",
    ),
    entry::<roofline::Append>(
        "roof-append", Roofline, APPENDS, "", || Ok("-".to_owned()),
        "records as long as libkv's copied to an allocated, mapped file, one after the other; \
         sync: fdatasync after each",
    ),
    entry::<roofline::Table>(
        "roof-table", Roofline, &[Can::Read], "", || Ok("-".to_owned()),
        "open addressing, at most half full, from hash to offset in a mapped array: look-up, \
         comparison of the key, copy; no checksum",
    ),
];

pub fn find(name: &str) -> Option<&'static Entry> {
    ENGINES.iter().find(|entry| entry.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The document has each engine's line as it is here; every name is there once.
    #[test]
    fn the_document_has_the_same_options() {
        let document = include_str!("../../../../docs/BENCHMARKS.md");
        for entry in &ENGINES {
            let line = format!("| `{}` | {} |", entry.name, entry.options);
            assert!(document.contains(&line), "docs/BENCHMARKS.md lacks this line:\n{line}");
            assert_eq!(ENGINES.iter().filter(|other| other.name == entry.name).count(), 1);
        }
    }
}
