//! Which keys are asked for in which order: made before the clock runs, the same for every engine.

use crate::data::{Operations, Shuffle, WRITE};
use crate::workload::{mix, Zipf};

/// All numbers, once each, in order or not.
pub fn each_once(keys: u64, is_shuffled: bool) -> Operations {
    let shuffle = Shuffle::new(keys);
    let number = |i| if is_shuffled { shuffle.at(i) } else { i };
    (0..keys).map(|i| number(i) as u32).collect()
}

/// As many numbers as there are keys, all equally often.
pub fn uniform(keys: u64, seed: u64) -> Operations {
    (0..keys).map(|i| (mix(i ^ seed << 40) % keys) as u32).collect()
}

/// As many numbers as there are keys, a few of them often.
pub fn zipf(keys: u64, zipf: &Zipf, seed: u64) -> Operations {
    (0..keys).map(|i| zipf.draw(mix(i ^ seed << 40)) as u32).collect()
}

/// YCSB's core workloads, without the one that asks for ranges of keys.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ycsb {
    A,
    B,
    C,
    D,
    F,
}

impl Ycsb {
    /// In the order that YCSB advises: those that insert come last.
    pub const ALL: [(Ycsb, &'static str); 5] = [
        (Ycsb::A, "ycsb-a"),
        (Ycsb::B, "ycsb-b"),
        (Ycsb::C, "ycsb-c"),
        (Ycsb::F, "ycsb-f"),
        (Ycsb::D, "ycsb-d"),
    ];

    /// Of a hundred operations, those that write.
    fn writes(self) -> u64 {
        match self {
            Ycsb::A | Ycsb::F => 50,
            Ycsb::B | Ycsb::D => 5,
            Ycsb::C => 0,
        }
    }

    /// One list for each thread. What D inserts are numbers from `next` on, each thread its own;
    /// what it reads is there: loaded, or inserted before by the same thread.
    pub fn lists(self, keys: u64, threads: u64, zipf: &Zipf, next: u64) -> Vec<Operations> {
        let list = |thread: u64| {
            let mut inserted = 0;
            let operation = |i: u64| {
                let random = mix(i ^ (self as u64 + 1) << 48 ^ (thread + threads) << 40);
                let is_write = (random >> 20) % 100 < self.writes();
                let drawn = mix(random);
                let number = match (self, is_write) {
                    (Ycsb::D, true) => {
                        inserted += 1;
                        next + thread + (inserted - 1) * threads
                    }
                    (Ycsb::D, false) => match zipf.rank(drawn) {
                        rank if rank < inserted => next + thread + (inserted - 1 - rank) * threads,
                        rank => keys - 1 - (rank - inserted),
                    },
                    _ => zipf.draw(drawn),
                };
                number as u32 | if is_write { WRITE } else { 0 }
            };
            (0..keys / threads).map(operation).collect()
        };
        (0..threads).map(list).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Shares of writes are those of YCSB, numbers are of keys that are there, and D inserts each
    /// number once and reads nothing that was not inserted before.
    #[test]
    fn ycsb_asks_for_what_it_should() {
        let (keys, next) = (10_000, 20_000);
        let zipf = Zipf::new(keys, 0.99);
        for ((ycsb, _), threads) in Ycsb::ALL.into_iter().flat_map(|y| [(y, 1), (y, 2)]) {
            let lists = ycsb.lists(keys, threads, &zipf, next);
            assert_eq!(lists.len() as u64, threads);
            let mut all = std::collections::HashSet::new();
            for list in &lists {
                let writes = list.iter().filter(|op| **op & WRITE != 0).count() as f64;
                let share = 100.0 * writes / list.len() as f64;
                assert!((share - ycsb.writes() as f64).abs() < 2.0, "{ycsb:?} writes {share} %");
                let mut own = std::collections::HashSet::new();
                for op in list {
                    let number = op & !WRITE;
                    if ycsb == Ycsb::D && op & WRITE != 0 {
                        assert!(u64::from(number) >= next && all.insert(number));
                        own.insert(number);
                    } else {
                        assert!(u64::from(number) < keys || own.contains(&number));
                    }
                }
            }
        }
    }
}
