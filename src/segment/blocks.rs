//! The blocks of a segment's file: allocated in steps ahead of the writer, and cut off in the end.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::error::{Kind, Result};
use crate::storage::map::Map;
use crate::storage::File;

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
        match self.blocks.file.allocate(self.to) {
            Err(error) if error.kind() == Kind::NoSpace => {
                // The step may be too much where the record itself is not.
                self.blocks.file.allocate(self.least)?;
                self.to = self.least;
            }
            other => other?,
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
