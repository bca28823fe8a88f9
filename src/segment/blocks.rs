//! The blocks of a segment's file: allocated in steps ahead of the writer, and cut off in the end.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::error::{Kind, Result};
use crate::format::record::SEAL_LEN;
use crate::storage::map::Map;
use crate::storage::File;

/// The first allocation of a segment, and the least that one grows by.
pub(super) const FIRST_STEP: u64 = 64 << 10;
/// The most that a segment grows by at once.
pub(super) const LAST_STEP: u64 = 8 << 20;
/// Allocations end at multiples of this.
pub(super) const BLOCK: u64 = 4096;

/// How far to allocate next in a segment of `capacity` bytes that has blocks up to `from`, to reach
/// `least`, and how far at least: steps grow with the segment, but beyond `least` to no more than
/// `allowed` bytes.
pub(super) fn step(from: u64, capacity: u64, least: u64, allowed: u64) -> (u64, u64) {
    let step = from.clamp(FIRST_STEP, LAST_STEP);
    let to = (from + step).max(least).next_multiple_of(BLOCK).min(capacity.max(least));
    let to = to.min(from.saturating_add(allowed)).max(least);
    (to, least.next_multiple_of(BLOCK).min(capacity))
}

/// Where a segment of `len` bytes ends with `more` and the seal, and whether it can; or else where
/// it ends with the seal alone.
pub(super) fn end_with(len: u64, more: usize, capacity: u64) -> (u64, bool) {
    let (more, seal) = (more as u64, SEAL_LEN as u64);
    match len + more + seal <= capacity {
        true => (len + more + seal, true),
        false => (len + seal, false),
    }
}

/// The blocks of a segment's file: one thread at a time allocates them, whoever holds the segment.
pub struct Blocks {
    file: Arc<dyn File>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// How often what was allocated was given back: steps from before are void.
    trims: u64,
    /// Whether the file was cut to its length: then it must not grow any more.
    is_cut: bool,
}

/// Blocks that are to be allocated ahead of the writer, or have been.
pub struct Step {
    /// Whose blocks they are.
    pub blocks: Arc<Blocks>,
    /// The map of the file.
    pub map: Map,
    /// Where they begin.
    pub from: u64,
    /// Where they end.
    pub to: u64,
    /// As far as the step must reach to be of use.
    pub least: u64,
    /// How often blocks had been given back when it was planned.
    pub trims: u64,
}

impl Step {
    /// Whether these are blocks of that file, which it still has.
    pub fn is_of(&self, blocks: &Arc<Blocks>) -> bool {
        Arc::ptr_eq(&self.blocks, blocks) && self.trims == blocks.trims()
    }

    /// Allocates it, or what there is room for, if that is of use. `None` if the file has been cut
    /// to its length meanwhile.
    pub fn allocate(mut self) -> Result<Option<Step>> {
        let state = self.blocks.state.lock();
        if state.is_cut || state.trims != self.trims {
            return Ok(None);
        }
        let file = &*self.blocks.file;
        match file.allocate(self.to) {
            // The step may be too much where the record itself is not.
            Err(error) if error.kind() == Kind::NoSpace => {
                file.allocate(self.least)?;
                self.to = self.least;
            }
            allocated => allocated?,
        }
        drop(state);
        Ok(Some(self))
    }

    /// Touches its pages, so that the writer meets no page faults.
    pub fn populate(&self) {
        self.map.populate(self.from as usize, self.to as usize);
    }
}

impl Blocks {
    /// The blocks of `file`.
    pub fn new(file: Arc<dyn File>) -> Arc<Blocks> {
        Arc::new(Blocks { file, state: Mutex::default() })
    }

    /// Gives back what was allocated beyond `len`, for good.
    pub fn cut(&self, len: u64) -> Result<()> {
        let mut state = self.state.lock();
        state.is_cut = true;
        self.file.truncate(len)
    }

    /// How often blocks were given back so far.
    pub fn trims(&self) -> u64 {
        self.state.lock().trims
    }

    /// Gives back what is allocated beyond `len`; more may be allocated later. The caller lets
    /// nobody write there any more.
    pub fn trim(&self, len: u64) -> Result<()> {
        let mut state = self.state.lock();
        state.trims += 1;
        self.file.truncate(len)
    }
}
