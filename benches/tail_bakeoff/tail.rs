//! What every contestant is: something to append to, over segment files that can be synced.

use crate::record::{count_whole, Record, RECORD};
use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A segment holds whole records only, so it ends a little before 64 MiB.
pub const SEGMENT: usize = 64 << 20;
pub const SEGMENT_RECORDS: u64 = (SEGMENT / RECORD) as u64;
pub const SEGMENT_USED: u64 = SEGMENT_RECORDS * RECORD as u64;

/// Makes everything acknowledged so far durable; called from a second thread.
pub type Syncer = Box<dyn Fn() -> io::Result<()> + Send>;

pub trait Tail {
    fn append(&mut self, record: &Record) -> io::Result<()>;
    /// None: there is no file.
    fn syncer(&self) -> Option<Syncer>;
    /// Brings what was acknowledged into the segment files.
    fn finish(self: Box<Self>) -> io::Result<()>;
}

/// The segment files of one contestant, in order.
pub struct Files {
    dir: PathBuf,
    state: Mutex<State>,
}

struct State {
    created: u64,
    /// Oldest first; the last one is being written.
    unsynced: Vec<Arc<File>>,
}

impl Files {
    pub fn new(dir: &Path) -> Arc<Files> {
        let state = State { created: 0, unsynced: Vec::new() };
        Arc::new(Files { dir: dir.to_path_buf(), state: Mutex::new(state) })
    }

    pub fn create(&self) -> io::Result<Arc<File>> {
        let mut state = lock(&self.state);
        let path = segment_path(&self.dir, state.created);
        let mut options = OpenOptions::new();
        let file = Arc::new(options.read(true).write(true).create_new(true).open(path)?);
        state.created += 1;
        state.unsynced.push(file.clone());
        Ok(file)
    }

    pub fn sync(&self) -> io::Result<()> {
        let files = lock(&self.state).unsynced.clone();
        for file in &files {
            file.sync_data()?;
        }
        lock(&self.state).unsynced.drain(..files.len().saturating_sub(1));
        Ok(())
    }

    pub fn syncer(self: &Arc<Self>) -> Syncer {
        let files = self.clone();
        Box::new(move || files.sync())
    }
}

/// How many records the segments in `dir` hold: whole, in order, none missing.
pub fn count_stored(dir: &Path) -> io::Result<u64> {
    let mut total = 0;
    for id in 0.. {
        let path = segment_path(dir, id);
        let whole = if path.exists() { count_whole(&path, total)? } else { 0 };
        total += whole;
        if whole < SEGMENT_RECORDS {
            break;
        }
    }
    Ok(total)
}

fn segment_path(dir: &Path, id: u64) -> PathBuf {
    dir.join(format!("{id:08}.seg"))
}

/// A panicked holder ends the benchmark anyway.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
