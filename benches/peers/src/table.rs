//! Tables for people: one for each workload, best first, with ratios to libkv and the roofline.

use std::fmt::Write as _;

use crate::engine::Class;
use crate::engines::{Entry, ENGINES};
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

/// One row for each workload and one column for each engine, in Markdown.
pub fn summary(run: &Run) -> String {
    let mut engines: Vec<&Entry> = Vec::new();
    for measured in &run.measured {
        if !engines.iter().any(|engine| engine.name == measured.engine.name) {
            engines.push(measured.engine);
        }
    }
    engines.sort_by_key(|engine| ENGINES.iter().position(|entry| entry.name == engine.name));
    engines.retain(|engine| run.class(engine) != Class::Roofline);
    let mut text = String::from("| workload |");
    engines.iter().for_each(|engine| _ = write!(text, " {} |", engine.name));
    text.push_str(" to the best peer | of the roofline |\n|---|");
    (0..engines.len() + 2).for_each(|_| text.push_str("---:|"));
    for metric in METRICS.iter().filter(|metric| run.all(metric).next().is_some()) {
        let _ = write!(text, "\n| `{}` |", metric.name);
        for engine in &engines {
            let median = run.of(engine.name, metric.name).map(|m| number(m.median()));
            let _ = write!(text, " {} |", median.unwrap_or_default());
        }
        let ratio = to_best_peer(run, metric).map_or_else(String::new, |r| format!("{r:.2}"));
        let share = roofline(run, metric).map_or_else(String::new, |(s, _)| format!("{s:.0} %"));
        let _ = write!(text, " {ratio} | {share} |");
    }
    text.push('\n');
    text
}

/// How many times as good as the best of those that keep their data libkv is.
fn to_best_peer(run: &Run, metric: &Metric) -> Option<f64> {
    let libkv = run.of(LIBKV, metric.name)?.median();
    let is_peer =
        |row: &&Measured| row.engine.name != LIBKV && run.class(row.engine) == Class::KeepsAtKill;
    let peers = run.all(metric).filter(is_peer).map(Measured::median);
    match metric.better {
        Better::More => peers.max_by(f64::total_cmp).map(|best| libkv / best),
        Better::Less => peers.min_by(f64::total_cmp).map(|best| best / libkv),
    }
}
