//! Which history to run: its kind, its seed, and the steps that are left out of it. As text, it is
//! what replays a failure.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use crate::common::Random;

/// What happens in a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Power cuts and kills at every operation.
    Crash,
    /// The same, with values that expire.
    Expiry,
    /// Power cuts at every operation of backups.
    Backup,
    /// Operations that fail.
    Fault,
    /// Files that are changed while nobody has them open.
    Damage,
}

/// All kinds, with their names.
pub const KINDS: [(Kind, &str); 5] = [
    (Kind::Crash, "crash"),
    (Kind::Expiry, "expiry"),
    (Kind::Backup, "backup"),
    (Kind::Fault, "fault"),
    (Kind::Damage, "damage"),
];

impl Kind {
    pub fn name(self) -> &'static str {
        KINDS.iter().find(|(kind, _)| *kind == self).map_or("", |(_, name)| name)
    }

    pub fn named(name: &str) -> Option<Kind> {
        KINDS.iter().find(|(_, other)| *other == name).map(|(kind, _)| *kind)
    }
}

/// One history. What is drawn for a step depends on the seed and on the step's number alone, so
/// that the others stay what they are when it is left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    pub kind: Kind,
    pub seed: u64,
    /// Of each part, the steps that are left out.
    pub dropped: BTreeMap<usize, BTreeSet<usize>>,
}

/// A step of a history: its part, and its number there.
pub type At = (usize, usize);

impl Plan {
    pub fn new(kind: Kind, seed: u64) -> Plan {
        Plan { kind, seed, dropped: BTreeMap::new() }
    }

    /// Whether a step is done.
    pub fn keeps(&self, (part, step): At) -> bool {
        !self.dropped.get(&part).is_some_and(|dropped| dropped.contains(&step))
    }

    /// The same history without these steps as well.
    pub fn without(&self, steps: &[At]) -> Plan {
        let mut plan = self.clone();
        for (part, step) in steps {
            plan.dropped.entry(*part).or_default().insert(*step);
        }
        plan
    }

    /// The source of what is drawn for one thing of this history.
    pub fn random(&self, of: &[u64]) -> Random {
        Random(of.iter().fold(self.seed, |seed, part| Random(seed ^ part.rotate_left(32)).next()))
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind.name(), self.seed)?;
        for (part, dropped) in &self.dropped {
            let mut separator = format!(":{part}=");
            let mut rest = dropped.iter().copied().peekable();
            while let Some(first) = rest.next() {
                let mut last = first;
                while let Some(next) = rest.next_if_eq(&(last + 1)) {
                    last = next;
                }
                write!(f, "{separator}{first}")?;
                if last > first {
                    write!(f, "-{last}")?;
                }
                separator = ",".to_owned();
            }
        }
        Ok(())
    }
}

impl FromStr for Plan {
    type Err = String;

    fn from_str(text: &str) -> Result<Plan, String> {
        let wrong = || format!("{text} is no history: kind:seed, then :part=step,first-last");
        let mut fields = text.split(':');
        let kind = fields.next().and_then(Kind::named).ok_or_else(wrong)?;
        let seed = fields.next().and_then(|seed| seed.parse().ok()).ok_or_else(wrong)?;
        let mut plan = Plan::new(kind, seed);
        for field in fields {
            let (part, ranges) = field.split_once('=').ok_or_else(wrong)?;
            let part = part.parse().map_err(|_| wrong())?;
            for range in ranges.split(',') {
                let (first, last) = range.split_once('-').unwrap_or((range, range));
                let first: usize = first.parse().map_err(|_| wrong())?;
                let last: usize = last.parse().map_err(|_| wrong())?;
                plan.dropped.entry(part).or_default().extend(first..=last);
            }
        }
        Ok(plan)
    }
}
