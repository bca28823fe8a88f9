//! Memory for the tables of the index: each takes its part of an area, one after the other.
//!
//! Pieces grow about in turn, each to a table a little larger than its last one. So tables die
//! about in the order in which they were made, and areas empty from the oldest on: an area goes
//! when its last table has gone, and pages that lie in dead tables go at once. What was taken is
//! never taken again. That leaves little room unused, where `malloc` keeps the holes of outgrown
//! tables, and it puts most tables on huge pages, whose addresses are translated faster.

use parking_lot::Mutex;

use crate::atomic::Arc;
use crate::error::Result;
use crate::storage::anonymous::{Area, Line, Run, HUGE_PAGE};

/// An area has room for so many tables like the one that it was made for, …
const TABLES: usize = 32;
/// … but these bytes at most, unless one table has more.
const AREA_MAX: usize = 32 * HUGE_PAGE;
/// Bytes of an area for small tables.
const AREA_MIN: usize = 256 << 10;
/// Bytes of a table from which on areas are made of huge pages: the index has a few MiB then.
const LARGE_TABLE: usize = 4 << 10;

/// Where the tables of one index are.
#[derive(Default)]
pub struct Arena(Mutex<Option<Newest>>);

/// The area that tables are taken from, and how many of its lines are.
struct Newest {
    area: Arc<Area>,
    taken: usize,
}

impl Arena {
    /// So many lines of zeros.
    pub fn take(&self, lines: usize) -> Result<Run> {
        let mut newest = self.0.lock();
        let has_room = |newest: &&mut Newest| newest.area.lines() - newest.taken >= lines;
        if let Some(newest) = newest.as_mut().filter(has_room) {
            newest.taken += lines;
            return Ok(newest.area.run(newest.taken - lines, lines));
        }
        let area = Area::new(area_len(lines * size_of::<Line>()))?;
        let run = area.run(0, lines);
        *newest = Some(Newest { area, taken: lines });
        Ok(run)
    }
}

/// Bytes of an area for tables of `len` bytes.
fn area_len(len: usize) -> usize {
    if len < LARGE_TABLE {
        return AREA_MIN;
    }
    let several = (len * TABLES).clamp(HUGE_PAGE, AREA_MAX);
    several.max(len).next_multiple_of(HUGE_PAGE)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use std::collections::VecDeque;

    use super::*;
    use crate::atomic::Ordering;

    /// Tables that grow in turn, as those of the pieces do: each is zeros, and its own.
    #[test]
    fn tables_that_grow_in_turn() {
        let arena = Arena::default();
        let mut tables: VecDeque<(u64, Run)> = VecDeque::new();
        for number in 1..2000 {
            let lines = 1 + (1.005_f64.powi(number as i32)) as usize;
            let table = arena.take(lines).unwrap();
            let words = table.iter().flatten();
            assert!(words.clone().all(|word| word.load(Ordering::Relaxed) == 0), "{number}");
            words.for_each(|word| word.store(number, Ordering::Relaxed));
            tables.push_back((number, table));
            if tables.len() > 64 {
                let (number, oldest) = tables.pop_front().unwrap();
                let mut words = oldest.iter().flatten();
                assert!(words.all(|word| word.load(Ordering::Relaxed) == number), "{number}");
            }
        }
    }

    #[test]
    fn areas_fit_their_tables() {
        assert_eq!(area_len(64), AREA_MIN);
        assert_eq!(area_len(LARGE_TABLE), HUGE_PAGE);
        assert_eq!(area_len(100 << 10), 2 * HUGE_PAGE);
        assert_eq!(area_len(3 * HUGE_PAGE), AREA_MAX);
        assert_eq!(area_len(AREA_MAX + 1), AREA_MAX + HUGE_PAGE);
    }
}
