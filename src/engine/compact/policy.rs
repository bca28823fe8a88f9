//! Which segments to compact next, and whether at all: a pure function of how full they are.
//!
//! Garbage is let grow up to a share of the log and some part of a segment more, or less where
//! there is little room. Past it, the segments that give most for the work go first: cost and
//! benefit as in Rosenblum and Ousterhout, "The Design and Implementation of a Log-Structured File
//! System" (1991), `(1 - u) * age / (1 + u)`, where `u` is the share that must be copied. The age
//! counts as its square root: simulated, that copies less than the age itself where all keys are
//! overwritten alike, 1.4 instead of 1.6 bytes per byte put, and no more where few keys are
//! overwritten most of the time.

use std::ops::RangeInclusive;

use crate::memory::{self, Result};

/// A sealed segment, as far as the choice goes.
#[derive(Clone, Copy, Debug)]
pub struct Candidate {
    /// Its id.
    pub id: u64,
    /// Bytes of its records.
    pub bytes: u64,
    /// Bytes of those that are dead, tombstones included.
    pub dead: u64,
    /// Bytes of others that have expired: an estimate, but for whether they are all of the others.
    pub expired: u64,
    /// Bytes of tombstones.
    pub tombstones: u64,
    /// It holds no record that a tombstone below this sequence is needed against.
    pub needed_from: u64,
    /// The sequence after its youngest record.
    pub end: u64,
    /// It cannot be read, and is no victim.
    pub is_damaged: bool,
}

impl Candidate {
    /// Whether nothing in it is needed, but to hide older records.
    fn is_spent(&self) -> bool {
        self.dead + self.expired == self.bytes && !self.is_damaged
    }

    /// Bytes of it that would be copied at most.
    fn kept(&self) -> u64 {
        self.bytes.saturating_sub(self.dead) + self.tombstones
    }
}

/// The log as a whole.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// The sealed segments.
    pub sealed: Vec<Candidate>,
    /// Bytes of records in the others, which cannot be compacted yet.
    pub unsealed_bytes: u64,
    /// Bytes of dead ones among those.
    pub unsealed_dead: u64,
    /// Bytes of others among those that have expired.
    pub unsealed_expired: u64,
    /// None of them holds a record that a tombstone below this sequence is needed against.
    pub unsealed_needed_from: u64,
    /// The sequence of the next write.
    pub now: u64,
}

/// When to compact, and how much at once.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The share of the log that may be garbage, in percent.
    pub garbage_percent: u64,
    /// The usual size of a segment.
    pub segment_size: u64,
    /// Bytes of garbage that are let be besides.
    pub slack: u64,
    /// Bytes of records that a group of victims may leave.
    pub room: u64,
}

impl Limits {
    /// The limits of a database with so many live bytes and so much garbage allowed.
    pub fn new(live: u64, garbage_percent: u64, segment_size: u64) -> Limits {
        let slack = (live / 8).clamp(segment_size / 16, segment_size / 4);
        Limits { garbage_percent, segment_size, slack, room: segment_size }
    }

    /// The same for one that is short of space, and has this room for what compaction writes.
    #[must_use]
    pub fn tight(self, room: u64) -> Limits {
        let garbage_percent = self.garbage_percent.min(SHORT_PERCENT);
        Limits { garbage_percent, slack: 0, room: room.min(self.segment_size), ..self }
    }
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// There is little garbage, or none that can be got at.
    Nothing,
    /// These hold nothing that is needed.
    Remove(Vec<u64>),
    /// Copy what is needed of these to one segment, as a rule.
    Rewrite(Vec<u64>),
}

/// Bytes of hints and of the checkpoint for each live record of 136 bytes, as it is where a quarter
/// of the log is garbage.
const BESIDE_RECORD: u64 = 21;
/// What is worked out of the garbage allowed, in percent. At the least of it compaction copies 1.4
/// bytes for each byte put; with shorter records than 136 bytes all files take more than 1.5 times
/// as much as these.
const AUTOMATIC: RangeInclusive<u64> = 23..=33;
/// The garbage that is let be when there is little room, in percent.
const SHORT_PERCENT: u64 = 5;
/// What the output of a group may take, in segments: half of one, as a rule.
const OUTPUT: f64 = 0.8;
/// Segments removed at once.
const REMOVED_AT_ONCE: usize = 1024;
/// Compaction that has begun goes on until garbage is below so much of the limit, in percent.
const STOP_PERCENT: u64 = 97;

impl View {
    fn bytes(&self) -> u64 {
        self.sealed.iter().map(|c| c.bytes).sum::<u64>() + self.unsealed_bytes
    }

    /// Bytes of live records.
    pub fn live(&self) -> u64 {
        let live = |c: &Candidate| c.bytes.saturating_sub(c.dead + c.expired);
        let garbage = self.unsealed_dead + self.unsealed_expired;
        self.sealed.iter().map(live).sum::<u64>() + self.unsealed_bytes.saturating_sub(garbage)
    }

    fn expired(&self) -> u64 {
        self.sealed.iter().map(|c| c.expired).sum::<u64>() + self.unsealed_expired
    }

    /// The garbage, in percent of the log, with which all files together are 1.5 times as long as
    /// the records of this many keys.
    pub fn automatic_percent(&self, keys: u64) -> u64 {
        let records = self.live() + self.expired();
        let files = u128::from(records + keys * BESIDE_RECORD);
        let needed = (files * 200).div_ceil(u128::from(records.max(1)) * 3);
        100u64.saturating_sub(needed as u64).clamp(*AUTOMATIC.start(), *AUTOMATIC.end())
    }

    /// Bytes of the log beyond which there is too much garbage.
    fn limit(&self, limits: &Limits, garbage_percent: u64) -> u64 {
        let full = self.live() as u128 * 100 / (100 - garbage_percent.min(99)) as u128;
        full as u64 + limits.slack
    }

    /// How near space is to its bound: 0 as long as three quarters of a segment are left, 1 where
    /// one quarter is, for what takes its time. The bound is two segments above what the garbage
    /// allowed makes of the live bytes (1.5 times those, where it is worked out, with hints and a
    /// checkpoint); most of one may be needed for an output.
    pub fn pressure(&self, limits: &Limits) -> f64 {
        self.pressure_of(self.live(), limits)
    }

    /// The same as far as it is the doing of those who write: that time passes is not.
    pub fn pressure_on_writers(&self, limits: &Limits) -> f64 {
        self.pressure_of(self.live() + self.expired(), limits)
    }

    fn pressure_of(&self, live: u64, limits: &Limits) -> f64 {
        let (segment, live) = (limits.segment_size as f64, live as f64);
        let with_garbage = live * 100.0 / (100 - limits.garbage_percent.min(99)) as f64;
        let bound =
            with_garbage + (2.0 * segment - OUTPUT * segment.min(live)) / 1.08 - segment / 4.0;
        let ramp = segment / 2.0;
        (self.bytes() as f64 - (bound - ramp)).max(0.0) / ramp
    }

    /// What may need tombstones.
    fn holders(&self) -> Holders {
        let mut holders = Holders { first: (None, self.unsealed_needed_from), second: u64::MAX };
        for c in self.sealed.iter().filter(|c| c.dead > 0) {
            if c.needed_from < holders.first.1 {
                holders.second = holders.first.1;
                holders.first = (Some(c.id), c.needed_from);
            } else {
                holders.second = holders.second.min(c.needed_from);
            }
        }
        holders
    }

    /// Bytes that compacting each sealed segment would free.
    fn reclaimable(&self, holders: &Holders) -> Result<Vec<u64>> {
        let free = |c: &Candidate| match holders.hold_back(c) {
            // What has expired leaves tombstones then, which are shorter: say, by half.
            true => c.dead.saturating_sub(c.tombstones) + c.expired / 2,
            false => c.dead + c.expired,
        };
        let free = |c: &Candidate| if c.is_damaged { 0 } else { free(c).min(c.bytes) };
        memory::collect(self.sealed.iter().map(free))
    }

    /// Segments that hold nothing that is needed, the oldest first; what is needed by nobody but
    /// others of them is not needed either.
    fn spent(&self) -> Result<Vec<u64>> {
        let mut spent = memory::collect(self.sealed.iter().filter(|c| c.is_spent()))?;
        spent.sort_unstable_by_key(|c| (c.end, c.id));
        spent.truncate(REMOVED_AT_ONCE);
        loop {
            let mut ids = memory::collect(spent.iter().map(|c| c.id))?;
            ids.sort_unstable();
            let stays = |c: &&Candidate| c.dead > 0 && ids.binary_search(&c.id).is_err();
            let needed_from = self.sealed.iter().filter(stays).map(|c| c.needed_from).min();
            let needed_from = needed_from.unwrap_or(u64::MAX).min(self.unsealed_needed_from);
            let count = spent.len();
            spent.retain(|c| c.tombstones + c.expired == 0 || c.end <= needed_from);
            if spent.len() == count {
                return memory::collect(spent.iter().map(|c| c.id));
            }
        }
    }
}

/// Segments with dead records: those that may need tombstones of others.
struct Holders {
    /// The one that may need those with the lowest sequences, and from which on. None: one that is
    /// not sealed.
    first: (Option<u64>, u64),
    /// From which on one of all but the first may.
    second: u64,
}

impl Holders {
    /// Whether what hides older records in `of` may be needed because of another segment.
    fn hold_back(&self, of: &Candidate) -> bool {
        let from = if self.first.0 == Some(of.id) { self.second } else { self.first.1 };
        of.tombstones + of.expired > 0 && from < of.end
    }
}

/// What to do next. `is_running`: whether compaction has begun and has not stopped since.
pub fn choose(view: &View, limits: &Limits, is_running: bool) -> Result<Choice> {
    let spent = view.spent()?;
    if !spent.is_empty() {
        return Ok(Choice::Remove(spent));
    }
    let percent = limits.garbage_percent;
    let least = if is_running { percent * STOP_PERCENT / 100 } else { percent };
    if view.bytes() <= view.limit(limits, least) {
        return Ok(Choice::Nothing);
    }
    let holders = view.holders();
    let held = view.sealed.iter().filter(|c| holders.hold_back(c));
    let held_back: u64 = held.map(|c| c.tombstones.min(c.dead)).sum();
    let mut group = release_spent(view, limits)?;
    if group.is_empty() {
        group = match held_back * 200 > view.bytes() * percent {
            true => release_tombstones(view, limits)?,
            false => best(view, &view.reclaimable(&holders)?, limits)?,
        };
    }
    Ok(match group.is_empty() {
        true => Choice::Nothing,
        false => Choice::Rewrite(group),
    })
}

/// Segments that hold tombstones of others back, those that do so longest first. Copied, they hold
/// nothing back any more.
fn release_tombstones(view: &View, limits: &Limits) -> Result<Vec<u64>> {
    let holders = view.holders();
    let is_held = |c: &&Candidate| c.tombstones > 0 && holders.hold_back(c);
    let held = memory::collect(view.sealed.iter().filter(is_held))?;
    let holds = |c: &&Candidate| {
        let holds_another = held.iter().any(|held| held.id != c.id && c.needed_from < held.end);
        c.dead > 0 && !c.is_damaged && holds_another
    };
    let mut holders = memory::collect(view.sealed.iter().filter(holds))?;
    holders.sort_unstable_by_key(|c| (c.needed_from, c.id));
    within(holders, limits.room)
}

/// Segments that hold others back which hold nothing that is needed: if copying what is live in the
/// former is far less work than reading the latter. Those go unread then.
fn release_spent(view: &View, limits: &Limits) -> Result<Vec<u64>> {
    let garbage = || view.sealed.iter().filter(|c| c.dead + c.expired > 0);
    let mut spent = memory::collect(garbage().filter(|c| c.is_spent()))?;
    let mut holders = memory::collect(garbage().filter(|c| !c.is_spent() && c.dead > 0))?;
    spent.sort_unstable_by_key(|c| (c.end, c.id));
    holders.sort_unstable_by_key(|c| (c.needed_from, c.id));
    let (mut read, mut copied, mut holding, mut worthwhile) = (0, 0, 0, 0);
    for candidate in spent {
        while let Some(holder) = holders.get(holding).filter(|h| h.needed_from < candidate.end) {
            copied += if holder.is_damaged { u64::MAX / 4 } else { holder.kept() };
            holding += 1;
        }
        read += candidate.bytes;
        let stays = view.unsealed_needed_from < candidate.end;
        if stays || copied >= u64::MAX / 4 {
            break;
        }
        if copied * 2 <= read {
            worthwhile = holding;
        }
    }
    holders.truncate(worthwhile);
    within(holders, limits.room)
}

/// As many of these, from the first on, as leave no more than `room`.
fn within(segments: Vec<&Candidate>, mut room: u64) -> Result<Vec<u64>> {
    let fits = |c: &&Candidate| {
        let left = room.checked_sub(c.kept());
        room = left.unwrap_or(0);
        left.is_some()
    };
    memory::collect(segments.into_iter().take_while(fits).map(|c| c.id))
}

/// The best victim, and of the next ones those whose records fill up half a segment with its own.
/// What a group frees is free when all of it is copied: while a large one is, writers would have to
/// wait.
fn best(view: &View, reclaimable: &[u64], limits: &Limits) -> Result<Vec<u64>> {
    // A segment with little garbage waits until there is more in it.
    let worthwhile = |c: &Candidate, free: u64| free * 200 >= c.bytes * limits.garbage_percent;
    let candidates = view.sealed.iter().zip(reclaimable.iter().copied());
    let worthwhile = candidates.filter(|(c, free)| worthwhile(c, *free));
    let scored = worthwhile.map(|(c, free)| (score(c, free, view.now), c, free));
    let mut scored: Vec<(f64, &Candidate, u64)> = memory::collect(scored)?;
    scored.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.id.cmp(&b.1.id)));
    let (bytes, free) = scored.iter().fold((0, 0), |(b, f), (_, c, free)| (b + c.bytes, f + free));
    let is_average = |c: &Candidate, f: u64| {
        u128::from(f) * u128::from(bytes) >= u128::from(free) * u128::from(c.bytes)
    };
    let mut room = limits.room;
    let mut group = Vec::new();
    for (_, candidate, free) in scored {
        let kept = candidate.bytes - free;
        let is_small = candidate.bytes * 2 < limits.segment_size;
        let fills_up = group.is_empty() || is_average(candidate, free) || is_small;
        if fills_up && kept <= room {
            room = room.min(limits.segment_size / 2).saturating_sub(kept);
            memory::push(&mut group, candidate.id)?;
        }
    }
    Ok(group)
}

fn score(candidate: &Candidate, free: u64, now: u64) -> f64 {
    let gain = free as f64 / candidate.bytes.max(1) as f64;
    let age = now.saturating_sub(candidate.end) as f64 + 1.0;
    gain * age.sqrt() / (2.0 - gain)
}

#[cfg(test)]
#[path = "policy_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "policy_edge_tests.rs"]
mod edge_tests;
