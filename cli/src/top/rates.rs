//! What happened between two states: how often, how much, how long.

use std::collections::BTreeMap;

use super::state::State;

/// Two states, and the time between them.
pub struct Rates<'a> {
    pub before: &'a State,
    pub now: &'a State,
    pub seconds: f64,
}

/// An operation between them.
#[derive(Debug, PartialEq)]
pub struct Pace {
    pub name: String,
    pub per_second: f64,
    /// Of so many, one is timed.
    pub one_in: u64,
    /// How long 50, 99 and 99.9 % of them took at most; none if none was timed.
    pub quantiles_ns: Option<[u64; 3]>,
    /// The longest since the database was opened.
    pub longest_ns: u64,
}

/// Thousandths of the quantiles.
const QUANTILES: [u64; 3] = [500, 990, 999];

impl Rates<'_> {
    /// How much a figure grew, which counts.
    fn growth(&self, name: &str) -> f64 {
        (self.now.get(name) - self.before.get(name)).max(0.0)
    }

    /// The same for each second.
    pub fn per_second(&self, name: &str) -> f64 {
        self.growth(name) / self.seconds.max(1e-3)
    }

    /// Puts for each second.
    pub fn puts(&self) -> f64 {
        (self.per_second("writes_total") - self.per_second("deletes_total")).max(0.0)
    }

    /// Bytes that were written for each byte of a record that puts and deletes wrote: compaction
    /// writes records again, and hints and checkpoints come beside them. None if nothing was
    /// written.
    pub fn write_amplification(&self) -> Option<f64> {
        let written = self.growth("written_bytes_total");
        let more = self.growth("compaction_written_bytes_total")
            + self.growth("hint_and_checkpoint_bytes_total");
        (written > 0.0).then(|| (written + more) / written)
    }

    /// All operations that the database has timed.
    pub fn operations(&self) -> Vec<Pace> {
        let none = BTreeMap::new();
        let pace = |now: &super::state::Operation| {
            let before = self.before.operations.iter().find(|before| before.name == now.name);
            let before = before.map_or(&none, |before| &before.times);
            let new = |(time, count): (&u64, &u64)| {
                (*time, count.saturating_sub(before.get(time).copied().unwrap_or_default()))
            };
            let times: Vec<(u64, u64)> = now.times.iter().map(new).collect();
            let count: u64 = times.iter().map(|(_, count)| count).sum();
            let quantile = |thousandths| quantile(&times, count, thousandths).min(now.longest_ns);
            Pace {
                name: now.name.clone(),
                per_second: (count * now.one_in) as f64 / self.seconds.max(1e-3),
                one_in: now.one_in,
                quantiles_ns: (count > 0).then(|| QUANTILES.map(quantile)),
                longest_ns: now.longest_ns,
            }
        };
        self.now.operations.iter().map(pace).collect()
    }
}

/// The time that so many thousandths of all did not exceed.
fn quantile(times: &[(u64, u64)], count: u64, thousandths: u64) -> u64 {
    let wanted = (count * thousandths).div_ceil(1000).max(1);
    let mut seen = 0;
    let found = times.iter().find(|(_, count)| {
        seen += count;
        seen >= wanted
    });
    found.map_or(0, |(time, _)| *time)
}

#[cfg(test)]
mod tests {
    use super::super::state::tests::state;
    use super::*;

    #[test]
    fn rates_are_differences() {
        let before = state(1_000_000, 100, " 100:10 200:5");
        let now = state(1_002_000, 300, " 100:10 200:10 300:95");
        let rates = Rates { before: &before, now: &now, seconds: 2.0 };
        assert_eq!((rates.per_second("writes_total"), rates.puts()), (100.0, 100.0));
        assert_eq!(rates.per_second("written_bytes_total"), 10_000.0);
        assert_eq!(rates.write_amplification(), Some(1.0));
        let operations = rates.operations();
        assert_eq!(operations.len(), 1);
        assert_eq!(operations[0].per_second, 1600.0);
        assert_eq!(operations[0].quantiles_ns, Some([300, 300, 300]));
        assert_eq!(operations[0].longest_ns, 900);
    }

    #[test]
    fn nothing_happens_between_a_state_and_itself() {
        let now = state(1_002_000, 300, " 100:10");
        let rates = Rates { before: &now, now: &now, seconds: 0.0 };
        assert_eq!((rates.puts(), rates.write_amplification()), (0.0, None));
        assert_eq!(rates.operations()[0].quantiles_ns, None);
        let begun = now.at_opening();
        let rates = Rates { before: &begun, now: &now, seconds: 2.0 };
        assert_eq!(rates.puts(), 150.0);
        assert_eq!(rates.operations()[0].quantiles_ns, Some([100, 100, 100]));
    }

    #[test]
    fn quantiles_are_of_those_that_were_counted() {
        let times = [(1, 500), (2, 490), (3, 9), (4, 1)];
        let all = QUANTILES.map(|thousandths| quantile(&times, 1000, thousandths));
        assert_eq!(all, [1, 2, 3]);
        assert_eq!(quantile(&times, 1000, 1000), 4);
        assert_eq!(quantile(&[], 0, 500), 0);
    }
}
