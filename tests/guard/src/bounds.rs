//! What operations cost when that was last recorded, and how much of a change is too much.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::trace::{Operation, Sample};

/// One kind of figure, and how much more of it is let pass.
pub struct Column {
    pub name: &'static str,
    /// For how many keys it is told.
    pub per: f64,
    pub decimals: usize,
    get: fn(&Sample) -> u64,
    /// Built and run with what it was recorded with.
    same: Margin,
    /// Otherwise: another compiler inlines otherwise, another C library copies otherwise.
    other: Margin,
    /// Told and not judged: lines of the stack are always at hand.
    is_judged: bool,
}

/// How much a figure may grow: this share of it, or so much if that is less.
struct Margin {
    share: f64,
    most: f64,
}

/// What sums of rounded figures may be off.
const NOTHING: f64 = 1e-6;

const NONE: Margin = Margin { share: 0.0, most: 0.0 };

pub const COLUMNS: [Column; 6] = [
    Column {
        name: "instructions",
        per: 1.0,
        decimals: 1,
        get: |sample| sample.instructions,
        same: Margin { share: 0.03, most: f64::INFINITY },
        other: Margin { share: 0.15, most: f64::INFINITY },
        is_judged: true,
    },
    Column {
        name: "system_calls",
        per: 1000.0,
        decimals: 0,
        get: |sample| sample.system_calls,
        same: NONE,
        other: NONE,
        is_judged: true,
    },
    Column {
        name: "allocations",
        per: 1000.0,
        decimals: 0,
        get: |sample| sample.allocations,
        same: NONE,
        other: NONE,
        is_judged: true,
    },
    Column {
        name: "lines",
        per: 1.0,
        decimals: 2,
        get: |sample| sample.lines,
        same: Margin { share: 0.1, most: 1.0 },
        other: Margin { share: 0.4, most: 4.0 },
        is_judged: true,
    },
    Column {
        name: "static_lines",
        per: 1.0,
        decimals: 2,
        get: |sample| sample.static_lines,
        // They move with every change of the library, also of other operations.
        same: Margin { share: 0.25, most: 4.0 },
        other: Margin { share: 0.5, most: 8.0 },
        is_judged: true,
    },
    Column {
        name: "stack_lines",
        per: 1.0,
        decimals: 2,
        get: |sample| sample.stack_lines,
        same: NONE,
        other: NONE,
        is_judged: false,
    },
];

impl Column {
    fn margin(&self, recorded: f64, is_same: bool) -> f64 {
        let margin = if is_same { &self.same } else { &self.other };
        self.round((margin.share * recorded).min(margin.most))
    }

    /// As far as it is shown: so that nothing fails that looks the same.
    fn round(&self, value: f64) -> f64 {
        let unit = 10_f64.powi(self.decimals as i32);
        (value * unit).round() / unit
    }

    /// For how many keys its figures are told.
    fn keys(&self) -> String {
        if self.per > 1.0 {
            format!("{} keys", self.per)
        } else {
            "key".into()
        }
    }

    pub fn show(&self, value: f64) -> String {
        format!("{value:.*}", self.decimals)
    }
}

/// A figure of each column.
pub type Figures = [f64; COLUMNS.len()];

/// The means over all that was done. The keys and their places in the index are the same in every
/// run, so that the rare and costly case comes equally often, and counts.
pub fn figures(operation: &Operation) -> Figures {
    let keys = operation.samples.len() as f64 * operation.keys as f64;
    COLUMNS.map(|column| {
        let sum: u64 = operation.samples.iter().map(column.get).sum();
        column.round(sum as f64 / keys * column.per)
    })
}

/// The file of what was recorded.
#[derive(Debug, Default, PartialEq)]
pub struct Bounds {
    /// The versions of what it was recorded with.
    pub versions: String,
    pub figures: BTreeMap<String, Figures>,
}

const VERSIONS: &str = "# recorded with: ";
const ABOUT: &str = "\
# What one operation of libkv.so costs: as `make guard` counted it, without any margin.
# To record it anew: KV_UPDATE_GUARD=1 make guard. Then look at the difference.
# instructions, lines (heap and maps; static; stack): per key. system_calls, allocations: per 1,000.
";

impl Bounds {
    pub fn parse(text: &str) -> Result<Bounds, String> {
        let mut bounds = Bounds::default();
        let rows = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
        for row in rows.skip(1) {
            let bad = || format!("this row cannot be read: {row}");
            let mut cells = row.split('\t');
            let name = cells.next().ok_or_else(bad)?;
            let values: Result<Vec<f64>, _> = cells.map(str::parse).collect();
            let values = values.map_err(|_| bad())?.try_into().map_err(|_| bad())?;
            bounds.figures.insert(name.to_owned(), values);
        }
        let versions = text.lines().find_map(|line| line.strip_prefix(VERSIONS));
        bounds.versions = versions.unwrap_or_default().to_owned();
        Ok(bounds)
    }

    /// The text of the file, with the operations in this order.
    pub fn text(versions: &str, operations: &[Operation]) -> String {
        let mut text = format!("{ABOUT}{VERSIONS}{versions}\noperation");
        for column in &COLUMNS {
            let _ = write!(text, "\t{}", column.name);
        }
        for operation in operations {
            let _ = write!(text, "\n{}", operation.name);
            for (column, value) in COLUMNS.iter().zip(figures(operation)) {
                let _ = write!(text, "\t{}", column.show(value));
            }
        }
        text + "\n"
    }

    /// Compares what an operation costs now with what is recorded of it.
    pub fn compare(&self, operation: &Operation, is_same: bool, verdict: &mut Verdict) {
        let name = &operation.name;
        let Some(recorded) = self.figures.get(name) else {
            verdict.failures.push(format!("{name}: nothing is recorded of it"));
            return;
        };
        for (at, column) in COLUMNS.iter().enumerate().filter(|(_, column)| column.is_judged) {
            let (before, now) = (recorded[at], figures(operation)[at]);
            let margin = column.margin(before, is_same);
            let change = |verb| {
                let (what, keys) = (column.name.replace('_', " "), column.keys());
                let (before, now) = (column.show(before), column.show(now));
                format!("{name}: {what} per {keys} {verb} from {before} to {now}")
            };
            if now > before + margin + NOTHING {
                let most = column.show(before + margin);
                let mut message = format!("{}; {most} are allowed", change("grew"));
                if column.name == "system_calls" {
                    let _ = write!(message, "; there are {}", list(&operation.system_calls));
                }
                verdict.failures.push(message);
            } else if now < before - margin - NOTHING {
                verdict.notes.push(change("shrank"));
            }
        }
    }
}

fn list(system_calls: &BTreeMap<String, u64>) -> String {
    let calls: Vec<String> =
        system_calls.iter().map(|(name, times)| format!("{times} of {name}")).collect();
    calls.join(", ")
}

/// What comes of comparing.
#[derive(Debug, Default)]
pub struct Verdict {
    pub failures: Vec<String>,
    pub notes: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operation(sample: Sample) -> Operation {
        let (name, samples) = ("get".to_owned(), vec![sample; 10]);
        Operation { name, keys: 1, samples, system_calls: [("futex".to_owned(), 10)].into() }
    }

    fn usual() -> Sample {
        let (instructions, allocations, lines, static_lines, stack_lines) = (1000, 2, 40, 20, 9);
        Sample { instructions, system_calls: 0, allocations, lines, static_lines, stack_lines }
    }

    fn verdict(now: Sample, is_same: bool) -> Verdict {
        let bounds = Bounds::parse(&Bounds::text("x 1", &[operation(usual())])).unwrap();
        let mut verdict = Verdict::default();
        bounds.compare(&operation(now), is_same, &mut verdict);
        verdict
    }

    #[test]
    fn what_is_written_is_read_back() {
        let bounds = Bounds::parse(&Bounds::text("x 1, y 2", &[operation(usual())])).unwrap();
        assert_eq!(bounds.versions, "x 1, y 2");
        assert_eq!(bounds.figures["get"], [1000.0, 0.0, 2000.0, 40.0, 20.0, 9.0]);
        assert!(Bounds::parse("operation\nget\t1\n").is_err());
    }

    #[test]
    fn growth_within_the_margin_passes_and_beyond_it_fails() {
        let more = Sample { instructions: 1030, lines: 41, stack_lines: 20, ..usual() };
        assert!(verdict(more, true).failures.is_empty());
        let calls = verdict(Sample { system_calls: 1, ..usual() }, false).failures;
        let expected = "get: system calls per 1000 keys grew from 0 to 1000; 0 are allowed; \
             there are 10 of futex";
        assert_eq!(calls, [expected]);
        for worse in [
            Sample { instructions: 1031, ..usual() },
            Sample { allocations: 3, ..usual() },
            Sample { lines: 42, ..usual() },
            Sample { static_lines: 25, ..usual() },
        ] {
            assert_eq!(verdict(worse, true).failures.len(), 1);
        }
    }

    #[test]
    fn other_versions_have_other_margins() {
        let more = Sample { instructions: 1150, lines: 44, ..usual() };
        assert!(verdict(more, false).failures.is_empty());
        let more = Sample { instructions: 1151, lines: 45, ..usual() };
        assert_eq!(verdict(more, false).failures.len(), 2);
    }

    #[test]
    fn what_shrinks_is_noted() {
        let less = Sample { instructions: 900, allocations: 1, ..usual() };
        let verdict = verdict(less, true);
        assert!(verdict.failures.is_empty());
        assert_eq!(verdict.notes[0], "get: instructions per key shrank from 1000.0 to 900.0");
        assert_eq!(verdict.notes[1], "get: allocations per 1000 keys shrank from 2000 to 1000");
    }
}
