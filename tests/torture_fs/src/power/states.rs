//! Which states a power cut may leave: everything up to a flush, and of what was written behind it
//! any part, in sectors.

use std::collections::HashSet;
use std::ops::Range;

use super::record::Entry;
use crate::random::Random;

/// States of each kind in one window, at most.
const OF_A_KIND: u64 = 6;
/// Cuts in the order of writing, at most.
const PREFIXES: u64 = 12;

/// How a state was chosen.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Kind {
    /// All that was written before one moment.
    Prefix,
    /// One write only.
    Single,
    /// All but one.
    AllButOne,
    /// Any.
    Subset,
    /// As a prefix, with a part of the sectors of one write.
    Torn,
}

pub const KINDS: [Kind; 5] =
    [Kind::Prefix, Kind::Single, Kind::AllButOne, Kind::Subset, Kind::Torn];

/// What of a window is on the disk.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct State {
    pub kind: Kind,
    /// Entries that had been written when the power went.
    pub entries: usize,
    /// Those that the disk has.
    pub kept: Vec<usize>,
    /// Of this one only some sectors: those whose bit is set, over and over.
    pub torn: Option<(usize, u64)>,
}

/// The entries between two flushes.
pub fn windows(entries: &[Entry]) -> Vec<Range<usize>> {
    let mut windows = Vec::new();
    let mut start = 0;
    for (at, entry) in entries.iter().enumerate() {
        if matches!(entry, Entry::Flush) {
            windows.push(start..at);
            start = at + 1;
        }
    }
    windows.push(start..entries.len());
    windows
}

/// States of one window, each once.
pub fn states(entries: &[Entry], window: &Range<usize>, random: &mut Random) -> Vec<State> {
    let is_write = |at: &usize| matches!(entries[*at], Entry::Write { .. });
    let writes: Vec<usize> = window.clone().filter(is_write).collect();
    let count = writes.len() as u64;
    let mut drawn = Vec::new();
    let mut add = |kind, entries, kept: Vec<usize>, torn| {
        drawn.push(State { kind, entries, kept, torn });
    };
    let prefix = |len: usize| writes[..len].to_vec();
    // Behind the write that is the last of a prefix, and in front of the next one.
    let moment = |len: usize| writes.get(len).copied().unwrap_or(window.end);
    for len in some(count + 1, PREFIXES, random) {
        add(Kind::Prefix, moment(len), prefix(len), None);
    }
    for at in some(count, OF_A_KIND, random) {
        add(Kind::Single, window.end, vec![writes[at]], None);
    }
    for at in some(count, OF_A_KIND, random) {
        let others = writes.iter().copied().filter(|write| *write != writes[at]).collect();
        add(Kind::AllButOne, window.end, others, None);
    }
    for _ in 0..if count > 2 { OF_A_KIND } else { 0 } {
        let mask = random.next() | random.next() & random.next();
        let some = writes.iter().copied().enumerate();
        let some = some.filter(|(at, _)| mask >> (at % 64) & 1 == random.below(2).max(1));
        add(Kind::Subset, window.end, some.map(|(_, write)| write).collect(), None);
    }
    for at in some(count, OF_A_KIND, random) {
        let mask = match random.below(2) {
            // In order, or in none.
            0 => (1 << random.below(63)) - 1,
            _ => random.next(),
        };
        add(Kind::Torn, moment(at + 1), prefix(at), Some((writes[at], mask)));
    }
    let mut seen = HashSet::new();
    drawn.retain(|state| seen.insert((state.entries, state.kept.clone(), state.torn)));
    drawn
}

/// All numbers below `count`, or `most` of them.
fn some(count: u64, most: u64, random: &mut Random) -> Vec<usize> {
    let mut left = most.min(count);
    let one = |number| {
        let is_taken = random.below(count - number) < left;
        left -= u64::from(is_taken);
        is_taken.then_some(number as usize)
    };
    (0..count).filter_map(one).collect()
}
