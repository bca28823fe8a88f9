//! Is a recorded history linearizable: can each operation have taken effect at one moment between
//! its call and its return, so that all answers are those of a map used by one thread?
//!
//! The search is Wing and Gong's ("Testing and verifying concurrent objects", 1993) in Lowe's
//! just-in-time order ("Testing for linearizability", 2017): events are taken by time, and an
//! operation takes effect no earlier than the return of one of those it runs beside demands. All
//! ways to get there are kept as one set of configurations (which pending operations have taken
//! effect, and what the keys hold), so that none is followed twice. With `p` operations pending
//! at a time there are at most `2^p` sets of effects, whatever the length of the history: time
//! grows with the length only. Keys are checked one by one (P-compositionality: Horn and
//! Kroening, "Faster linearizability checking via P-compositionality", 2015), unless a batch or a
//! snapshot joins them.

use std::collections::{HashMap, HashSet};

/// The time of return of an operation whose outcome nobody knows: it may have taken effect at any
/// time after its call, or not at all.
pub const NEVER: u64 = u64::MAX;

/// What was done, and what was answered. Values are numbers; each stands for some bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    Put {
        key: u64,
        value: u64,
    },
    Get {
        key: u64,
        found: Option<u64>,
    },
    /// The length of the value, which says less than the value.
    Length {
        key: u64,
        found: Option<usize>,
    },
    Delete {
        key: u64,
        was_there: bool,
    },
    /// Compare and swap: `new` takes the place of `expected` (`None`: no value), or nothing does.
    Swap {
        key: u64,
        expected: Option<u64>,
        new: Option<u64>,
        swapped: bool,
    },
    /// Several keys are written at once; `None` deletes.
    Batch(Vec<(u64, Option<u64>)>),
    /// Several keys are read at once.
    Snapshot(Vec<(u64, Option<u64>)>),
}

/// One operation of a history. Times come from a clock that all threads share.
#[derive(Clone, Debug)]
pub struct Event {
    pub thread: usize,
    pub called: u64,
    pub returned: u64,
    pub what: What,
}

/// Pending operations at a time.
const MAX_PENDING: usize = 64;
/// Configurations that are looked at per event, on average; more is an undecided history.
const EFFORT: usize = 10_000;
/// Events that a failure shows.
const SHOWN: usize = 24;

/// What the keys of a component hold, and which pending operations (by slot) have taken effect.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Configuration {
    done: u64,
    values: Vec<Option<u64>>,
}

/// What was examined.
#[derive(Default, Debug, Clone, Copy)]
pub struct Effort {
    pub events: usize,
    pub components: usize,
    pub configurations: usize,
    /// Operations called while another one on the same component was pending.
    pub overlapping: usize,
    /// The most that were pending at once.
    pub most_at_once: usize,
}

impl Effort {
    pub fn add(&mut self, other: &Effort) {
        self.events += other.events;
        self.components += other.components;
        self.configurations += other.configurations;
        self.overlapping += other.overlapping;
        self.most_at_once = self.most_at_once.max(other.most_at_once);
    }
}

/// Says whether `history` is linearizable, beginning without any key. `length` gives the length of
/// the bytes that a value stands for. A failure is described.
pub fn check(history: &[Event], length: &dyn Fn(u64) -> usize) -> Result<Effort, String> {
    let mut effort = Effort::default();
    for component in components(history) {
        let mut search = Search::new(&component, length);
        search.run()?;
        effort.add(&search.effort);
    }
    Ok(effort)
}

impl What {
    pub fn keys(&self) -> Vec<u64> {
        match self {
            What::Put { key, .. }
            | What::Get { key, .. }
            | What::Length { key, .. }
            | What::Delete { key, .. }
            | What::Swap { key, .. } => vec![*key],
            What::Batch(pairs) | What::Snapshot(pairs) => pairs.iter().map(|pair| pair.0).collect(),
        }
    }
}

/// The history in parts that share no key.
fn components(history: &[Event]) -> Vec<Vec<&Event>> {
    let mut groups = Groups::default();
    for event in history {
        let keys = event.what.keys();
        for key in &keys {
            groups.join(keys[0], *key);
        }
    }
    let mut parts: HashMap<u64, Vec<&Event>> = HashMap::new();
    for event in history {
        if let Some(key) = event.what.keys().first() {
            parts.entry(groups.leader(*key)).or_default().push(event);
        }
    }
    let mut parts: Vec<(u64, Vec<&Event>)> = parts.into_iter().collect();
    parts.sort_by_key(|(leader, _)| *leader);
    parts.into_iter().map(|(_, events)| events).collect()
}

/// Which keys belong together (union and find).
#[derive(Default)]
struct Groups(HashMap<u64, u64>);

impl Groups {
    fn leader(&mut self, key: u64) -> u64 {
        let mut leader = key;
        while let Some(&above) = self.0.get(&leader).filter(|&&above| above != leader) {
            leader = above;
        }
        self.0.insert(key, leader);
        leader
    }

    fn join(&mut self, one: u64, other: u64) {
        let (one, other) = (self.leader(one), self.leader(other));
        self.0.insert(one, other);
    }
}

/// A call or a return, by time.
#[derive(Clone, Copy)]
enum Moment {
    Call(usize),
    Return(usize),
}

struct Search<'a> {
    events: &'a [&'a Event],
    length: &'a dyn Fn(u64) -> usize,
    moments: Vec<Moment>,
    /// The place of each key in a configuration.
    places: HashMap<u64, usize>,
    /// The pending operations.
    slots: Vec<Option<usize>>,
    configurations: HashSet<Configuration>,
    effort: Effort,
}

impl<'a> Search<'a> {
    fn new(events: &'a [&'a Event], length: &'a dyn Fn(u64) -> usize) -> Search<'a> {
        let mut moments = Vec::with_capacity(2 * events.len());
        for (at, event) in events.iter().enumerate() {
            assert!(event.called <= event.returned, "time runs backwards: {event:?}");
            moments.push((event.called, 0, Moment::Call(at)));
            if event.returned != NEVER {
                moments.push((event.returned, 1, Moment::Return(at)));
            }
        }
        // At the same time, calls come first: the two operations overlap.
        moments.sort_by_key(|(time, order, _)| (*time, *order));
        let mut places = HashMap::new();
        for key in events.iter().flat_map(|event| event.what.keys()) {
            let next = places.len();
            places.entry(key).or_insert(next);
        }
        let start = Configuration { done: 0, values: vec![None; places.len()] };
        Search {
            events,
            length,
            moments: moments.into_iter().map(|(_, _, moment)| moment).collect(),
            places,
            slots: Vec::new(),
            configurations: HashSet::from([start]),
            effort: Effort { events: events.len(), components: 1, ..Effort::default() },
        }
    }

    fn run(&mut self) -> Result<(), String> {
        for moment in std::mem::take(&mut self.moments) {
            match moment {
                Moment::Call(at) => self.call(at)?,
                Moment::Return(at) => self.take_effect(at)?,
            }
        }
        Ok(())
    }

    fn call(&mut self, at: usize) -> Result<(), String> {
        let free = self.slots.iter().position(Option::is_none);
        let slot = free.unwrap_or(self.slots.len());
        if slot == MAX_PENDING {
            return Err(format!("undecided: more than {MAX_PENDING} operations at once"));
        }
        if slot == self.slots.len() {
            self.slots.push(None);
        }
        self.slots[slot] = Some(at);
        let pending = self.slots.iter().flatten().count();
        self.effort.overlapping += usize::from(pending > 1);
        self.effort.most_at_once = self.effort.most_at_once.max(pending);
        Ok(())
    }

    /// The operation `at` returns: it has taken effect in each configuration that stays.
    fn take_effect(&mut self, at: usize) -> Result<(), String> {
        let slot = self.slots.iter().position(|slot| *slot == Some(at)).expect("it was called");
        let mut seen = std::mem::take(&mut self.configurations);
        let mut work: Vec<Configuration> = seen.iter().cloned().collect();
        let before = work.clone();
        while let Some(mut configuration) = work.pop() {
            self.effort.configurations += 1;
            if configuration.done & 1 << slot != 0 {
                configuration.done &= !(1 << slot);
                self.configurations.insert(configuration);
                continue;
            }
            for (other, pending) in self.slots.iter().enumerate() {
                let Some(pending) = *pending else { continue };
                if configuration.done & 1 << other != 0 {
                    continue;
                }
                let what = &self.events[pending].what;
                if let Some(values) = self.step(&configuration.values, what) {
                    let next = Configuration { done: configuration.done | 1 << other, values };
                    if seen.insert(next.clone()) {
                        work.push(next);
                    }
                }
            }
        }
        if self.effort.configurations > EFFORT * self.events.len() {
            return Err("undecided: too many operations overlap for too long".to_owned());
        }
        if self.configurations.is_empty() {
            return Err(self.describe(at, &before));
        }
        self.slots[slot] = None;
        Ok(())
    }

    /// What the keys hold afterwards, if `what` answers so for these values.
    fn step(&self, values: &[Option<u64>], what: &What) -> Option<Vec<Option<u64>>> {
        let mut next = values.to_vec();
        let place = |key: &u64| self.places[key];
        let holds = match what {
            What::Put { key, value } => {
                next[place(key)] = Some(*value);
                true
            }
            What::Get { key, found } => values[place(key)] == *found,
            What::Length { key, found } => values[place(key)].map(self.length) == *found,
            What::Delete { key, was_there } => {
                next[place(key)] = None;
                values[place(key)].is_some() == *was_there
            }
            What::Swap { key, expected, new, swapped } => {
                let equal = values[place(key)] == *expected;
                if equal {
                    next[place(key)] = *new;
                }
                equal == *swapped
            }
            What::Batch(pairs) => {
                pairs.iter().for_each(|(key, value)| next[place(key)] = *value);
                true
            }
            What::Snapshot(pairs) => pairs.iter().all(|(key, found)| values[place(key)] == *found),
        };
        holds.then_some(next)
    }

    /// A failure, with what led to it.
    fn describe(&self, at: usize, before: &[Configuration]) -> String {
        let failed = self.events[at];
        let mut shown: Vec<&Event> =
            self.events.iter().copied().filter(|event| event.called <= failed.returned).collect();
        // A write from long ago is of interest if its value was read now.
        shown.sort_by_key(|event| event.called);
        let cut = shown.len().saturating_sub(SHOWN);
        let mut text = format!("no order of these operations gives these answers; {failed:?}\n");
        let mut keys: Vec<_> = self.places.iter().collect();
        keys.sort_by_key(|(_, place)| **place);
        let keys: Vec<u64> = keys.into_iter().map(|(key, _)| *key).collect();
        text += &format!("  before it, keys {keys:?} could hold:\n");
        for configuration in before.iter().take(8) {
            text += &format!("    {:?}\n", configuration.values);
        }
        text += &format!("  {cut} earlier operations, then\n");
        for event in &shown[cut..] {
            let Event { thread, called, returned, what } = event;
            text += &format!("    thread {thread}, {called} to {returned}: {what:?}\n");
        }
        text
    }
}
