//! A picture of the segments in plain characters: a bar for each, or for each group of them.

use kv::db::SegmentStats;
use kv::format::name;

use crate::output::human;

/// What a column of a bar shows.
const LIVE: char = '#';
const GARBAGE: char = '-';
const OTHER: char = '.';
/// The shortest bar, and the longest.
const SHORTEST: usize = 10;
const LONGEST: usize = 100;

/// One line of the picture: a segment, or several that follow one another.
#[derive(Default)]
struct Row {
    first: u64,
    last: u64,
    segments: usize,
    live: u64,
    dead: u64,
    disk: u64,
}

impl Row {
    fn of(segments: &[SegmentStats]) -> Row {
        let mut row = Row::default();
        for segment in segments {
            if row.segments == 0 {
                row.first = segment.id;
            }
            row.last = segment.id;
            row.segments += 1;
            row.live += segment.live_bytes;
            row.dead += segment.dead_bytes;
            row.disk += segment.disk_bytes.max(segment.live_bytes + segment.dead_bytes);
        }
        row
    }

    fn label(&self) -> String {
        match self.segments {
            1 => name::segment(self.first),
            _ => format!("{:08}-{:08}", self.first, self.last),
        }
    }

    /// Of a hundred bytes of records, so many are garbage.
    fn garbage_percent(&self) -> u64 {
        let records = self.live + self.dead;
        if records == 0 {
            return 0;
        }
        (u128::from(self.dead) * 100 / u128::from(records)) as u64
    }

    /// The bar, where the longest of the picture has `width` columns and stands for `most` bytes.
    fn bar(&self, width: usize, most: u64) -> String {
        bar(self.live, self.dead, self.disk, width, most)
    }
}

/// A bar of `disk` bytes, where `width` columns stand for `most`.
pub fn bar(live: u64, dead: u64, disk: u64, width: usize, most: u64) -> String {
    let columns = |bytes: u64| scaled(bytes, width, most);
    let all = columns(disk).max(usize::from(disk > 0));
    let (live, records) = (columns(live), columns(live + dead));
    let mut bar = String::with_capacity(width);
    bar.extend((0..live).map(|_| LIVE));
    bar.extend((live..records).map(|_| GARBAGE));
    bar.extend((records..all).map(|_| OTHER));
    bar.extend((all..width).map(|_| ' '));
    bar
}

/// How many of `width` columns `bytes` of `most` take, rounded.
fn scaled(bytes: u64, width: usize, most: u64) -> usize {
    let most = u128::from(most.max(1));
    ((u128::from(bytes) * width as u128 + most / 2) / most) as usize
}

/// The lines of the picture: at most `rows` bars in so many columns, and what they mean.
pub fn draw(segments: &[SegmentStats], rows: usize, columns: usize) -> Vec<String> {
    if segments.is_empty() {
        return vec!["no segments".to_owned()];
    }
    let group = segments.len().div_ceil(rows.max(1));
    let rows: Vec<Row> = segments.chunks(group).map(Row::of).collect();
    let labels: Vec<String> = rows.iter().map(Row::label).collect();
    let label = labels.iter().map(String::len).max().unwrap_or_default();
    // What stands around the bar.
    let width = columns.saturating_sub(label + 29).clamp(SHORTEST, LONGEST);
    let most = rows.iter().map(|row| row.disk).max().unwrap_or_default();
    let mut lines = vec![match group {
        1 => format!("segments: {}, a bar for each", segments.len()),
        _ => format!("segments: {}, a bar for each {group}", segments.len()),
    }];
    for (row, name) in rows.iter().zip(labels) {
        lines.push(format!(
            "{name:<label$} [{}] {:>10} {:>3}% garbage",
            row.bar(width, most),
            human(row.disk),
            row.garbage_percent(),
        ));
    }
    lines.push(format!("{LIVE} live  {GARBAGE} garbage  {OTHER} allocated, or not of records"));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn segment(id: u64, live: u64, dead: u64, disk: u64) -> SegmentStats {
        SegmentStats {
            id,
            live_bytes: live * MIB,
            dead_bytes: dead * MIB,
            disk_bytes: disk * MIB,
            ..SegmentStats::default()
        }
    }

    #[test]
    fn a_bar_shows_what_is_live_dead_and_neither() {
        let lines = draw(&[segment(1, 32, 16, 64), segment(2, 8, 0, 32)], 24, 61);
        assert_eq!(
            lines,
            [
                "segments: 2, a bar for each",
                "00000001.seg [##########-----.....]   64.0 MiB  33% garbage",
                "00000002.seg [###.......          ]   32.0 MiB   0% garbage",
                "# live  - garbage  . allocated, or not of records",
            ]
        );
    }

    #[test]
    fn thousands_of_segments_fit_on_a_screen() {
        let segments: Vec<SegmentStats> =
            (1..=5000).map(|id| segment(id, 48, id % 16, 64)).collect();
        for columns in [20, 80, 200] {
            let lines = draw(&segments, 24, columns);
            assert!(lines.len() <= 26, "{}", lines.len());
            assert!(lines[1].starts_with("00000001-00000209 ["), "{}", lines[1]);
            let longest = lines.iter().map(String::len).max();
            assert!(longest <= Some(columns.max(56)), "{longest:?} of {columns}");
        }
        assert!(draw(&segments, 24, 80)[0].contains("a bar for each 209"));
    }

    #[test]
    fn nothing_and_odd_figures_do_no_harm() {
        assert_eq!(draw(&[], 24, 80), ["no segments"]);
        let empty = draw(&[segment(7, 0, 0, 0)], 1, 0);
        assert!(empty[1].contains("0% garbage"), "{empty:?}");
        let short = draw(&[segment(7, 5, 5, 1)], 1, 80);
        assert!(short[1].contains("50% garbage"), "{short:?}");
    }
}
