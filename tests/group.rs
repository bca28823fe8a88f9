//! Group commit: threads that write under `always` share syncs, none is told that its write is
//! durable before it is, and a sync that fails is told to all. And where nobody waits for a slow
//! medium, nobody outruns it, nor is held up by a sync that does not end.
//!
//! The storage here reads each file as a sync of it begins, and takes its records for durable only
//! when the sync has ended. So it knows what was on the medium when a write was acknowledged.

mod common;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::Arc;
use std::time::Duration;

use common::{segments_in, TempDir};
use kv::db::Db;
use kv::error::{Error, Kind, Result};
use kv::options::{Options, SyncLevel, MIN_SEGMENT_SIZE};
use kv::storage::map::{AppendMap, Map};
use kv::storage::posix::PosixStorage;
use kv::storage::{File, FreeBytes, Lock, Storage};

const THREADS: usize = 12;
const PUTS: u64 = 200;
/// Bytes of a record: header, a key and a value of 8 bytes each.
const RECORD: usize = 32;
const HEADER_PAGE: usize = 4096;
/// Long enough for others to write meanwhile, as a real disk is.
const SYNC_TIME: Duration = Duration::from_millis(1);
/// A disk that takes a segment of 1 MiB in this is slower than any that these tests run on.
const SLOW_SYNC_TIME: Duration = Duration::from_millis(40);

/// What the medium has, as far as syncs have shown.
#[derive(Default)]
struct Medium {
    syncs: AtomicU64,
    /// Syncs of segments are slow, and their records are not of the usual length.
    is_slow: AtomicBool,
    /// The next sync of a segment lasts for as long as this is set.
    is_held: AtomicBool,
    /// Whether it has begun.
    holds: AtomicBool,
    /// Syncs of segments fail.
    fails: AtomicBool,
    /// How many puts of each thread were in the log when a sync began that has ended.
    durable: [AtomicU64; THREADS],
}

struct Watched {
    storage: PosixStorage,
    medium: Arc<Medium>,
}

struct WatchedFile {
    file: Arc<dyn File>,
    medium: Arc<Medium>,
    is_segment: bool,
}

impl Watched {
    fn watch(&self, name: &str, file: Arc<dyn File>) -> Arc<dyn File> {
        let is_segment = name.ends_with(".seg");
        Arc::new(WatchedFile { file, medium: Arc::clone(&self.medium), is_segment })
    }
}

impl Storage for Watched {
    fn path(&self) -> &str {
        self.storage.path()
    }
    fn list(&self) -> Result<Vec<String>> {
        self.storage.list()
    }
    fn create(&self, name: &str) -> Result<Arc<dyn File>> {
        self.storage.create(name).map(|file| self.watch(name, file))
    }
    fn open(&self, name: &str, writable: bool) -> Result<Arc<dyn File>> {
        self.storage.open(name, writable).map(|file| self.watch(name, file))
    }
    fn rename(&self, from: &str, to: &str) -> Result<()> {
        self.storage.rename(from, to)
    }
    fn remove(&self, name: &str) -> Result<()> {
        self.storage.remove(name)
    }
    fn sync_directory(&self) -> Result<()> {
        self.storage.sync_directory()
    }
    fn free_bytes(&self) -> Result<FreeBytes> {
        self.storage.free_bytes()
    }
    fn lock(&self, name: &str) -> Result<Box<dyn Lock>> {
        self.storage.lock(name)
    }
    fn random(&self) -> Result<[u8; 16]> {
        self.storage.random()
    }
    fn now_ms(&self) -> u64 {
        self.storage.now_ms()
    }
}

impl WatchedFile {
    /// The highest put of each thread in the file. The last record may be on its way: of thread 0
    /// and of put 0, as far as its bytes tell.
    fn newest(&self) -> Result<[u64; THREADS]> {
        let mut bytes = vec![0; self.file.len()? as usize];
        self.file.read_at(&mut bytes, 0)?;
        let mut newest = [0; THREADS];
        let records = bytes.get(HEADER_PAGE..).unwrap_or_default().chunks_exact(RECORD);
        for record in records.take_while(|record| record[14] == 1) {
            let number =
                |at: usize| u64::from_le_bytes(record[at..at + 8].try_into().expect("eight bytes"));
            let newest = &mut newest[number(16) as usize];
            *newest = number(24).max(*newest);
        }
        Ok(newest)
    }
}

impl File for WatchedFile {
    fn len(&self) -> Result<u64> {
        self.file.len()
    }
    fn read_at(&self, out: &mut [u8], offset: u64) -> Result<()> {
        self.file.read_at(out, offset)
    }
    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        self.file.write_at(bytes, offset)
    }
    fn allocate(&self, len: u64) -> Result<()> {
        self.file.allocate(len)
    }
    fn truncate(&self, len: u64) -> Result<()> {
        self.file.truncate(len)
    }
    fn sync(&self) -> Result<()> {
        if !self.is_segment {
            return self.file.sync();
        }
        if self.medium.is_held.load(Ordering::SeqCst)
            && !self.medium.holds.swap(true, Ordering::SeqCst)
        {
            while self.medium.is_held.load(Ordering::SeqCst) {
                std::thread::yield_now();
            }
        }
        if self.medium.is_slow.load(Ordering::SeqCst) {
            std::thread::sleep(SLOW_SYNC_TIME);
            return Ok(());
        }
        let newest = self.newest()?;
        std::thread::sleep(SYNC_TIME);
        if self.medium.fails.load(Ordering::SeqCst) {
            return Err(Error::new(Kind::Io, "the disk is gone"));
        }
        self.medium.syncs.fetch_add(1, Ordering::SeqCst);
        for (durable, newest) in self.medium.durable.iter().zip(newest) {
            durable.fetch_max(newest, Ordering::SeqCst);
        }
        Ok(())
    }
    fn drop_cache(&self) -> Result<()> {
        self.file.drop_cache()
    }
    fn map(&self, len: u64) -> Result<Map> {
        self.file.map(len)
    }
    fn map_append(&self, start: u64, capacity: u64) -> Result<AppendMap> {
        self.file.map_append(start, capacity)
    }
}

fn open(directory: &TempDir, sync: SyncLevel) -> (Db, Arc<Medium>) {
    let path = directory.join("db");
    let storage = PosixStorage::open(&path, true).expect("a new directory");
    let medium = Arc::new(Medium::default());
    let storage = Watched { storage, medium: Arc::clone(&medium) };
    let options = Options { sync, segment_size: MIN_SEGMENT_SIZE, ..Options::default() };
    let db = Db::open_in(Arc::new(storage), &options).expect("a new database opens");
    (db, medium)
}

/// Puts 1, 2, 3, ... under the key of a thread; answers how many were acknowledged before one
/// failed, and with what.
fn put_all(db: &Db, medium: &Medium, thread: usize, puts: u64) -> (u64, Option<Kind>) {
    for number in 1..=puts {
        let put = db.put(&(thread as u64).to_le_bytes(), &number.to_le_bytes());
        let durable = medium.durable[thread].load(Ordering::SeqCst);
        if let Err(error) = put {
            return (number - 1, Some(error.kind()));
        }
        assert!(durable >= number, "put {number} of thread {thread} is acknowledged too early");
    }
    (puts, None)
}

fn put_in_threads(db: &Db, medium: &Medium, puts: u64) -> Vec<(u64, Option<Kind>)> {
    std::thread::scope(|scope| {
        let spawn = |thread| scope.spawn(move || put_all(db, medium, thread, puts));
        let threads: Vec<_> = (0..THREADS).map(spawn).collect();
        threads.into_iter().map(|thread| thread.join().expect("a thread that puts")).collect()
    })
}

#[test]
fn threads_share_syncs_and_are_told_the_truth() {
    let directory = TempDir::new("group");
    let (db, medium) = open(&directory, SyncLevel::Always);
    let results = put_in_threads(&db, &medium, PUTS);
    assert!(results.iter().all(|result| *result == (PUTS, None)), "{results:?}");
    let (puts, syncs) = (PUTS * THREADS as u64, medium.syncs.load(Ordering::SeqCst));
    assert!(syncs * 3 < puts, "{syncs} syncs for {puts} puts");
    let stalls = db.engine().stats();
    let (led, followed) = (stalls.syncs_led, stalls.syncs_followed);
    assert!(led <= syncs && led + followed <= puts, "{led} led, {followed} followed");
    db.close().expect("close");
}

#[test]
fn a_thread_alone_syncs_for_each_put() {
    let directory = TempDir::new("group-alone");
    let (db, medium) = open(&directory, SyncLevel::Always);
    let before = medium.syncs.load(Ordering::SeqCst);
    assert_eq!(put_all(&db, &medium, 0, 50), (50, None));
    // One more made the segment.
    assert_eq!(medium.syncs.load(Ordering::SeqCst) - before, 51);
}

#[test]
fn a_sync_that_fails_is_told_to_all_who_wait() {
    let directory = TempDir::new("group-fails");
    let (db, medium) = open(&directory, SyncLevel::Always);
    std::thread::scope(|scope| {
        let db = &db;
        let putting = scope.spawn(|| put_in_threads(db, &medium, u64::MAX));
        while medium.syncs.load(Ordering::SeqCst) < 20 && !putting.is_finished() {
            std::thread::yield_now();
        }
        medium.fails.store(true, Ordering::SeqCst);
        let results = putting.join().expect("the threads end");
        for (acknowledged, failure) in &results {
            assert!(*acknowledged > 0, "{results:?}");
            let is_told = matches!(failure, Some(Kind::UnknownOutcome | Kind::ReadOnly));
            assert!(is_told, "{results:?}");
        }
        // Those whom the failed sync covered, if not all, and nobody went on after it.
        let unknown = |result: &&(u64, Option<Kind>)| result.1 == Some(Kind::UnknownOutcome);
        assert!(results.iter().filter(unknown).count() > 1, "{results:?}");
    });
    let refused = db.put(b"key", b"value").map_err(|error| error.kind());
    assert_eq!(refused, Err(Kind::ReadOnly));
}

#[test]
fn writers_do_not_outrun_a_slow_medium() {
    let directory = TempDir::new("pace");
    let (db, medium) = open(&directory, SyncLevel::None);
    medium.is_slow.store(true, Ordering::SeqCst);
    let db = &db;
    let write = |thread: u64| {
        let mut most = 0;
        for number in 0..10_000_u64 {
            db.put(&[thread.to_le_bytes(), number.to_le_bytes()].concat(), &[7; 1000])
                .expect("put");
            most = most.max(db.engine().stats().waiting_segments);
        }
        most
    };
    let most = std::thread::scope(|scope| {
        let threads = [0, 1].map(|thread| scope.spawn(move || write(thread)));
        threads.map(|thread| thread.join().expect("a thread that writes")).into_iter().max()
    });
    let stalls = db.engine().stats();
    assert!(stalls.rolls >= 20 && stalls.pauses > 20, "{stalls:?}");
    assert!(most <= Some(6), "{most:?} full segments wait: {stalls:?}");
}

#[test]
fn a_sync_that_does_not_end_holds_up_no_put() {
    let directory = TempDir::new("held");
    let (db, medium) = open(&directory, SyncLevel::None);
    medium.is_slow.store(true, Ordering::SeqCst);
    let put = |from: u64, to: u64| {
        (from..to).for_each(|number| db.put(&number.to_le_bytes(), &[7; 1000]).expect("put"));
    };
    put(0, 700);
    // The next segment is made in the background.
    let directory = directory.join("db");
    while segments_in(&directory).len() < 2 {
        std::thread::yield_now();
    }
    std::thread::sleep(SLOW_SYNC_TIME * 3);
    medium.is_held.store(true, Ordering::SeqCst);
    std::thread::scope(|scope| {
        let sync = scope.spawn(|| db.sync());
        while !medium.holds.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
        // Into the next segment, which takes no sync of this thread.
        put(700, 1300);
        let stalls = db.engine().stats();
        assert_eq!((stalls.rolls, stalls.rolls_without_spare), (2, 1), "{stalls:?}");
        assert!(!sync.is_finished());
        medium.is_held.store(false, Ordering::SeqCst);
        sync.join().expect("a thread that syncs").expect("sync");
    });
    assert_eq!(db.engine().stats().waiting_segments, 1);
    db.sync().expect("sync");
    assert_eq!(db.engine().stats().waiting_segments, 0);
}
