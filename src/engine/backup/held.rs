//! Files of segments that compaction has dropped while a backup still wants them: they stay until
//! it has them.

use std::collections::{BTreeMap, BTreeSet};

use parking_lot::Mutex;

use crate::engine::Engine;

/// Which segments are wanted, and which of them are no longer part of the database.
#[derive(Default)]
pub struct Held {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// How many want a segment.
    wanted: BTreeMap<u64, u32>,
    /// Those whose files go when nobody wants them any more.
    dropped: BTreeSet<u64>,
}

impl Held {
    /// Answers whether the files of a segment, which is no longer part of the database, have to
    /// wait: then they are removed by the last who lets it go.
    pub fn keeps(&self, id: u64) -> bool {
        let mut state = self.state.lock();
        let keeps = state.wanted.contains_key(&id);
        if keeps {
            state.dropped.insert(id);
        }
        keeps
    }

    fn hold(&self, ids: &BTreeSet<u64>) {
        let mut state = self.state.lock();
        for &id in ids {
            *state.wanted.entry(id).or_default() += 1;
        }
    }

    /// Answers whether the files are to be removed now.
    fn let_go(&self, id: u64) -> bool {
        let mut state = self.state.lock();
        let Some(wanted) = state.wanted.get_mut(&id) else { return false };
        *wanted -= 1;
        if *wanted > 0 {
            return false;
        }
        state.wanted.remove(&id);
        state.dropped.remove(&id)
    }
}

/// Segments whose files stay until they are let go.
pub struct Hold<'a> {
    engine: &'a Engine,
    ids: BTreeSet<u64>,
}

impl<'a> Hold<'a> {
    /// Holds segments that the manifest has, which is locked.
    pub fn new(engine: &'a Engine, ids: impl Iterator<Item = u64>) -> Hold<'a> {
        // One by one, which takes memory in small pieces.
        let mut all = BTreeSet::new();
        all.extend(ids);
        engine.held.hold(&all);
        Hold { engine, ids: all }
    }

    /// Lets one of them go.
    pub fn let_go(&mut self, id: u64) {
        if self.ids.remove(&id) && self.engine.held.let_go(id) {
            self.engine.remove_segment_files(id);
        }
    }
}

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        while let Some(&id) = self.ids.first() {
            self.let_go(id);
        }
    }
}
