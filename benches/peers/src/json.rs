//! All figures as JSON, for programs.

use std::fmt::Write as _;

use crate::engines::Entry;
use crate::metrics::Better;
use crate::rounds::Run;

/// A text as a string of JSON's.
fn string(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            c if (c as u32) < 0x20 => _ = write!(out, "\\u{:04x}", c as u32),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

fn list(items: impl Iterator<Item = String>) -> String {
    format!("[{}]", items.collect::<Vec<String>>().join(",\n"))
}

fn object(members: &[(&str, String)]) -> String {
    let members: Vec<String> =
        members.iter().map(|(name, value)| format!("{}: {value}", string(name))).collect();
    format!("{{{}}}", members.join(", "))
}

pub fn document(engines: &[(&'static Entry, String)], runs: &[Run], failures: &[String]) -> String {
    let engine = |(entry, version): &(&'static Entry, String)| {
        object(&[
            ("name", string(entry.name)),
            ("version", string(version)),
            ("class", string(&format!("{:?}", entry.class))),
            ("options", string(entry.options)),
        ])
    };
    let engines = list(engines.iter().map(engine));
    let runs = list(runs.iter().map(|run| {
        let results = run.measured.iter().map(|m| {
            let values: Vec<String> = m.values.iter().map(f64::to_string).collect();
            object(&[
                ("engine", string(m.engine.name)),
                ("class", string(&format!("{:?}", run.class(m.engine)))),
                ("workload", string(m.metric.name)),
                ("unit", string(m.metric.unit)),
                ("more_is_better", (m.metric.better == Better::More).to_string()),
                ("median", m.median().to_string()),
                ("rounds", format!("[{}]", values.join(", "))),
            ])
        });
        object(&[
            ("keys", run.keys.to_string()),
            ("value_bytes", run.value.to_string()),
            ("results", list(results)),
        ])
    }));
    let failures = list(failures.iter().map(|failure| string(failure)));
    object(&[("engines", engines), ("runs", runs), ("failures", failures)]) + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Strings are quoted so that nothing in them ends them.
    #[test]
    fn strings_are_quoted() {
        assert_eq!(string("a\"b\\c\nd"), "\"a\\\"b\\\\c\\u000ad\"");
        assert_eq!(
            object(&[("a", "1".to_owned()), ("b", list(std::iter::empty()))]),
            "{\"a\": 1, \"b\": []}"
        );
    }
}
