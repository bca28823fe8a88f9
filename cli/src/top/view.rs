//! What is on the screen, line by line. It draws nothing.

use std::path::Path;
use std::time::Duration;

use super::rates::{Pace, Rates};
use crate::bytes::escaped;
use crate::output::human;
use crate::picture;

/// Columns where nobody knows how many there are.
pub const COLUMNS: usize = 80;
/// The shortest bar of the disk, and the longest.
const SHORTEST: usize = 10;
const LONGEST: usize = 60;
/// Lines of the picture of segments, at least and at most.
const FEWEST_ROWS: usize = 3;
const MOST_ROWS: usize = 40;
/// Lines around its bars.
const AROUND_PICTURE: usize = 3;

/// A line, and how it looks.
pub struct Line {
    pub text: String,
    pub look: Look,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    Plain,
    Heading,
    /// Has a bar of what is live and what is garbage.
    Bar,
    Warning,
}

/// Where it is shown, and what is said above it.
pub struct Frame<'a> {
    pub path: &'a Path,
    pub interval: Duration,
    pub columns: usize,
    pub rows: usize,
    /// Whether it is shown once, so that nothing ends it.
    pub is_once: bool,
}

/// All lines that there is room for.
pub fn all(rates: &Rates, frame: &Frame) -> Vec<Line> {
    let mut lines = Vec::new();
    head(&mut lines, rates, frame);
    operations(&mut lines, rates);
    writes(&mut lines, rates);
    disk(&mut lines, rates, frame.columns);
    let room = frame.rows.saturating_sub(lines.len() + AROUND_PICTURE);
    let rows = room.clamp(FEWEST_ROWS, MOST_ROWS);
    lines.push(plain(String::new()));
    for line in picture::draw(&rates.now.segments, rows, frame.columns) {
        let look = if line.contains(" [") { Look::Bar } else { Look::Plain };
        lines.push(Line { text: line, look });
    }
    lines.truncate(frame.rows);
    for line in &mut lines {
        if let Some((at, _)) = line.text.char_indices().nth(frame.columns) {
            line.text.truncate(at);
        }
    }
    lines
}

fn plain(text: String) -> Line {
    Line { text, look: Look::Plain }
}

fn head(lines: &mut Vec<Line>, rates: &Rates, frame: &Frame) {
    let now = rates.now;
    let path = escaped(frame.path.as_os_str().as_encoded_bytes());
    let text = format!("kv top  {path}  process {}", now.pid);
    lines.push(Line { text, look: Look::Heading });
    let age = now.age_ms() as f64 / 1000.0;
    let open = now.unix_ms.saturating_sub(now.at_opening().unix_ms) as f64 / 1000.0;
    let mut text = format!("open for {open:.0} s, figures of {age:.1} s ago");
    if !frame.is_once {
        let seconds = frame.interval.as_secs_f64();
        text += &format!(", looked at each {seconds} s; q or Ctrl-C ends");
    }
    lines.push(plain(text));
    if rates.before.count("opened_timestamp_seconds") == 0 {
        lines.push(plain("rates are averages since it was opened".to_owned()));
    } else {
        lines.push(plain(format!("rates are of the last {:.1} s", rates.seconds)));
    }
    if now.get("read_only") > 0.0 {
        let text = "writes are refused: kv_stats() and the log say why".to_owned();
        lines.push(Line { text, look: Look::Warning });
    }
    let (keys, index) = (now.count("keys"), now.count("index_bytes"));
    let each = match keys {
        0 => String::new(),
        _ => format!(" ({:.1} B a key)", index as f64 / keys as f64),
    };
    let snapshots = now.count("snapshots");
    lines.push(plain(String::new()));
    lines
        .push(plain(format!("keys {keys}   index {}{each}   snapshots {snapshots}", human(index))));
}

fn operations(lines: &mut Vec<Line>, rates: &Rates) {
    lines.push(plain(String::new()));
    let operations = rates.operations();
    if !rates.now.is_timed {
        let text = "no gets, no latencies: the program sets the option latency_histograms";
        return lines.push(plain(text.to_owned()));
    }
    if operations.is_empty() {
        return lines.push(plain("nothing was timed yet".to_owned()));
    }
    let text = format!(
        "{:<12} {:>12} {:>10} {:>10} {:>10} {:>10}",
        "operation", "per second", "p50", "p99", "p99.9", "longest"
    );
    lines.push(Line { text, look: Look::Heading });
    lines.extend(operations.iter().map(|pace| plain(operation(pace))));
    if let Some(sampled) = operations.iter().find(|pace| pace.one_in > 1) {
        let one_in = sampled.one_in;
        let text = format!(
            "* one in {one_in} is timed and counted; longest: of those, since it was opened"
        );
        lines.push(plain(text));
    }
}

fn operation(pace: &Pace) -> String {
    let star = if pace.one_in > 1 { "*" } else { " " };
    let [p50, p99, p99_9] =
        pace.quantiles_ns.map_or(["-"; 3].map(str::to_owned), |all| all.map(time));
    format!(
        "{:<12} {:>11}{star} {p50:>10} {p99:>10} {p99_9:>10} {:>10}",
        pace.name,
        number(pace.per_second),
        time(pace.longest_ns),
    )
}

fn writes(lines: &mut Vec<Line>, rates: &Rates) {
    let now = rates.now;
    let speed = |name: &str| human(rates.per_second(name) as u64);
    let amplified = match rates.write_amplification() {
        Some(by) => format!("{by:.2}"),
        None => "-".to_owned(),
    };
    lines.push(plain(String::new()));
    lines.push(plain(format!(
        "puts {}/s   deletes {}/s   records {}/s   write amplification {amplified}",
        number(rates.puts()),
        number(rates.per_second("deletes_total")),
        speed("written_bytes_total"),
    )));
    let paused = rates.per_second("writer_paused_seconds_total") * 100.0;
    lines.push(plain(format!(
        "syncs {}/s   unsynced {}   writers paused {}/s, {paused:.1} % of a thread",
        number(rates.per_second("syncs_total")),
        now.count("unsynced_writes"),
        number(rates.per_second("writer_pauses_total")),
    )));
    lines.push(plain(format!(
        "to do: {} segments to seal, {} hints, {} of log since the last checkpoint",
        now.count("waiting_segments"),
        now.hints_due,
        human(now.log_since_checkpoint),
    )));
}

fn disk(lines: &mut Vec<Line>, rates: &Rates, columns: usize) {
    let now = rates.now;
    let speed = |name: &str| human(rates.per_second(name) as u64);
    let state = match (now.get("compaction_running") > 0.0, now.get("compaction_paused") > 0.0) {
        (_, true) => "paused".to_owned(),
        (false, _) => "idle".to_owned(),
        (true, _) => {
            let (done, all) =
                (now.get("compaction_done_bytes"), now.get("compaction_planned_bytes"));
            format!("{:.0} % of {}", done * 100.0 / all.max(1.0), human(all as u64))
        }
    };
    let failures = match now.count("compaction_failures_total") {
        0 => String::new(),
        count => format!(", {count} failed"),
    };
    lines.push(plain(format!(
        "compaction {state}   reads {}/s   writes {}/s   {} done{failures}",
        speed("compaction_read_bytes_total"),
        speed("compaction_written_bytes_total"),
        now.count("compactions_total"),
    )));
    let (live, dead) = (now.count("live_bytes"), now.count("garbage_bytes"));
    let all = now.count("disk_bytes").max(live + dead);
    let share = |bytes: u64| if all == 0 { 0.0 } else { bytes as f64 * 100.0 / all as f64 };
    let name = format!("disk {} [", human(all));
    let (of_live, of_dead) = (share(live), share(dead));
    let rest =
        format!("] live {} {of_live:.0}%  garbage {} {of_dead:.0}%", human(live), human(dead));
    let width = columns.saturating_sub(name.len() + rest.len()).clamp(SHORTEST, LONGEST);
    let text = format!("{name}{}{rest}", picture::bar(live, dead, all, width, all));
    lines.push(Line { text, look: Look::Bar });
}

/// A rate for people.
fn number(rate: f64) -> String {
    match rate < 10.0 && rate > 0.0 {
        true => format!("{rate:.1}"),
        false => format!("{rate:.0}"),
    }
}

/// A time for people.
fn time(ns: u64) -> String {
    let ns = ns as f64;
    match ns {
        ns if ns < 1e3 => format!("{ns:.0} ns"),
        ns if ns < 1e6 => format!("{:.1} us", ns / 1e3),
        ns if ns < 1e9 => format!("{:.1} ms", ns / 1e6),
        ns => format!("{:.1} s", ns / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::super::state::tests::state;
    use super::*;

    fn shown(columns: usize, rows: usize) -> Vec<Line> {
        let (before, now) = (state(1_000_000, 0, ""), state(1_002_000, 300, " 100:10"));
        let rates = Rates { before: &before, now: &now, seconds: 2.0 };
        let path = Path::new("/a\x1b[2J/db");
        let interval = Duration::from_secs(1);
        all(&rates, &Frame { path, interval, columns, rows, is_once: false })
    }

    #[test]
    fn it_fits_every_screen() {
        for (columns, rows) in [(80, 24), (200, 60), (20, 5), (1, 1), (0, 0), (80, usize::MAX)] {
            let lines = shown(columns, rows);
            assert!(lines.len() <= rows, "{columns} {rows}");
            assert!(lines.iter().all(|line| line.text.chars().count() <= columns));
        }
        let lines = shown(80, 24);
        let text: Vec<&str> = lines.iter().map(|line| line.text.as_str()).collect();
        let text = text.join("\n");
        for part in ["process 7", "puts 150/s", "put ", "p99.9", "* one in 32", "00000003.seg ["] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(!text.contains('\x1b'), "a path cannot clear the screen");
        let bars = lines.iter().filter(|line| line.look == Look::Bar).count();
        assert_eq!(bars, 2);
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!([number(0.0), number(0.25), number(12.4)], ["0", "0.2", "12"]);
        assert_eq!([time(7), time(1500), time(2_000_000)], ["7 ns", "1.5 us", "2.0 ms"]);
    }
}
