//! Tables for people: one for each workload, best first, with ratios to libkv and the roofline.

use std::fmt::Write as _;

use crate::engine::Class;
use crate::metrics::{Better, Metric, METRICS};
use crate::rounds::{Measured, Run};
use crate::stats::{least, most, number};

const LIBKV: &str = "libkv";

/// All tables of a run.
pub fn tables(run: &Run) -> String {
    METRICS.iter().filter_map(|metric| table(run, metric)).collect()
}

fn table(run: &Run, metric: &Metric) -> Option<String> {
    let mut text = String::new();
    let better = if metric.better == Better::More { "more is better" } else { "less is better" };
    let libkv = run.of(LIBKV, metric.name).map(Measured::median);
    let mut all: Vec<&Measured> = run.all(metric).collect();
    if all.is_empty() {
        return None;
    }
    all.sort_by(|a, b| match metric.better {
        Better::More => b.median().total_cmp(&a.median()),
        Better::Less => a.median().total_cmp(&b.median()),
    });
    let _ = writeln!(text, "\n{} ({}, {better})", metric.name, metric.unit);
    let _ = writeln!(text, "  {:<16} {:>14} {:>10}  rounds", "", "median", "to libkv");
    let groups = [
        (Class::KeepsAtKill, ""),
        (Class::LosesAtKill, "  apart, since kill -9 loses writes:\n"),
        (Class::Roofline, "  rooflines:\n"),
    ];
    for (class, title) in groups {
        let mut rows = all.iter().filter(|row| run.class(row.engine) == class).peekable();
        if rows.peek().is_some() {
            text.push_str(title);
        }
        for row in rows {
            let ratio = libkv.map_or_else(String::new, |libkv| number(row.median() / libkv));
            let (name, median) = (row.engine.name, number(row.median()));
            let rounds = format!("{} to {}", number(least(&row.values)), number(most(&row.values)));
            let _ = writeln!(text, "  {name:<16} {median:>14} {ratio:>10}  {rounds}");
        }
    }
    if let Some((share, name)) = roofline(run, metric) {
        let _ = writeln!(text, "  libkv has {share:.0} % of {name}");
    }
    Some(text)
}

/// What share of its roofline libkv has, in percent.
pub fn roofline(run: &Run, metric: &Metric) -> Option<(f64, &'static str)> {
    let (engine, name) = metric.roofline?;
    let roof = run.of(engine, name)?.median();
    Some((100.0 * run.of(LIBKV, metric.name)?.median() / roof, engine))
}
