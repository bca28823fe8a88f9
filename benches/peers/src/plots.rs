//! Plots: throughput by workload, percentiles of latency, and cost by the number of keys.

use std::io;
use std::path::Path;

use crate::engine::Class;
use crate::engines::{Entry, ENGINES};
use crate::metrics::{Better, Metric, METRICS};
use crate::rounds::{Measured, Run};
use crate::stats::number;
use crate::svg::{Anchor, Log, Svg};

const TITLE: &str = r#"font-size="15" font-weight="bold""#;
const PANEL_TITLE: &str = r#"font-size="12" font-weight="bold""#;
const GREY: &str = r##"fill="#666""##;
const GRID: &str = "#e2e2e2";
/// Room above all panels, and between them.
const TOP: f64 = 50.0;
const GAP: f64 = 24.0;
const COLUMNS: usize = 3;

/// Writes all plots into a directory, which is made if need be.
pub fn draw(directory: &Path, runs: &[Run]) -> io::Result<()> {
    std::fs::create_dir_all(directory)?;
    let mut lengths: Vec<usize> = runs.iter().map(|run| run.value).collect();
    lengths.dedup();
    for value in lengths {
        let same: Vec<&Run> = runs.iter().filter(|run| run.value == value).collect();
        for run in &same {
            let about = format!("{value}-{}", run.keys);
            throughput(run, &directory.join(format!("throughput-{about}.svg")))?;
            latency(run, &directory.join(format!("latency-{about}.svg")))?;
        }
        if same.len() > 1 {
            cost(&same, &directory.join(format!("cost-{value}.svg")))?;
        }
    }
    Ok(())
}

fn color(run: &Run, engine: &Entry) -> &'static str {
    match (run.class(engine), engine.name) {
        (_, "libkv") => "#1565c0",
        (Class::KeepsAtKill, _) => "#8fa3b5",
        (Class::LosesAtKill, _) => "#e0b4a0",
        (Class::Roofline, _) => "#dddddd",
    }
}

/// One colour for each engine, for lines that cross.
fn line_color(engine: &Entry) -> &'static str {
    const COLORS: [&str; 14] = [
        "#1565c0", "#d32f2f", "#2e7d32", "#ef6c00", "#6a1b9a", "#ab47bc", "#00838f", "#795548",
        "#bcaaa4", "#c2185b", "#9e9d24", "#f48fb1", "#bbbbbb", "#bbbbbb",
    ];
    let at = ENGINES.iter().position(|entry| entry.name == engine.name);
    COLORS[at.unwrap_or_default() % COLORS.len()]
}

fn subject(run: &Run) -> String {
    format!("{} keys of 16 bytes, values of {} bytes", number(run.keys as f64), run.value)
}

const BAR: f64 = 15.0;

/// A panel of bars for each workload, best first.
fn throughput(run: &Run, file: &Path) -> io::Result<()> {
    let rates = METRICS
        .iter()
        .filter(|metric| metric.better == Better::More && metric.unit == "operations/s");
    let panels: Vec<(&Metric, Vec<&Measured>)> = rates
        .map(|metric| {
            let mut all: Vec<&Measured> = run.all(metric).collect();
            all.sort_by(|a, b| b.median().total_cmp(&a.median()));
            (metric, all)
        })
        .filter(|(_, all)| !all.is_empty())
        .collect();
    let most = panels.iter().map(|(_, all)| all.len()).max().unwrap_or_default();
    let (width, height) = (340.0, most as f64 * BAR + 40.0);
    let rows = panels.len().div_ceil(COLUMNS);
    let mut svg = Svg::new(COLUMNS as f64 * (width + GAP) + GAP, TOP + rows as f64 * height + GAP);
    svg.text(GAP, 22.0, Anchor::Start, TITLE, &format!("Operations per second: {}", subject(run)));
    let legend = "blue: libkv; pink: loses writes at kill -9; light: what the machine allows";
    svg.text(GAP, 38.0, Anchor::Start, GREY, legend);
    for (at, (metric, all)) in panels.iter().enumerate() {
        let x = GAP + (at % COLUMNS) as f64 * (width + GAP);
        let y = TOP + (at / COLUMNS) as f64 * height + 14.0;
        svg.text(x, y, Anchor::Start, PANEL_TITLE, metric.name);
        let longest = all.first().map_or(1.0, |best| best.median());
        for (row, measured) in all.iter().enumerate() {
            let y = y + 6.0 + row as f64 * BAR;
            let length = (width - 165.0) * measured.median() / longest;
            svg.text(x + 92.0, y + 11.0, Anchor::End, "", measured.engine.name);
            let color = color(run, measured.engine);
            svg.rect(x + 97.0, y + 2.0, length.max(0.5), BAR - 3.0, color);
            let label = number(measured.median());
            svg.text(x + 101.0 + length, y + 11.0, Anchor::Start, GREY, &label);
        }
    }
    std::fs::write(file, svg.document())
}

/// For puts and gets a line for each engine, from the median to the longest, with its dots.
fn latency(run: &Run, file: &Path) -> io::Result<()> {
    const PARTS: [&str; 4] = ["p50", "p99", "p99.9", "max"];
    let of = |engine: &Entry, what: &str| -> Option<Vec<f64>> {
        let median = |part| run.of(engine.name, &format!("{what}-{part}")).map(Measured::median);
        PARTS.iter().map(median).collect()
    };
    type Rows<'e> = Vec<(&'e Entry, Vec<f64>)>;
    let panels: Vec<(&str, Rows)> = ["put", "get"]
        .iter()
        .map(|what| {
            let rows = ENGINES.iter().filter_map(|engine| Some((engine, of(engine, what)?)));
            let mut rows: Rows = rows.collect();
            rows.sort_by(|a, b| a.1[2].total_cmp(&b.1[2]));
            (*what, rows)
        })
        .filter(|(_, rows)| !rows.is_empty())
        .collect();
    if panels.is_empty() {
        return Ok(());
    }
    let (width, row_height) = (720.0, 20.0);
    let rows: usize = panels.iter().map(|(_, rows)| rows.len() + 4).sum();
    let mut svg = Svg::new(width, TOP + rows as f64 * row_height);
    svg.text(GAP, 22.0, Anchor::Start, TITLE, &format!("Latency: {}", subject(run)));
    svg.text(GAP, 38.0, Anchor::Start, GREY, "dots: p50, p99, p99.9, longest; one thread");
    let mut y = TOP + 10.0;
    for (what, rows) in &panels {
        let all = rows.iter().flat_map(|(_, parts)| parts.iter().copied());
        let axis = Log::over(all, 120.0, width - 150.0);
        svg.text(GAP, y, Anchor::Start, PANEL_TITLE, &format!("{what}, microseconds"));
        let bottom = y + 10.0 + rows.len() as f64 * row_height;
        for mark in axis.marks() {
            svg.line((axis.at(mark), y + 6.0), (axis.at(mark), bottom), GRID, 1.0);
            let label = number(mark).trim_end_matches(".0").to_owned();
            svg.text(axis.at(mark), bottom + 13.0, Anchor::Middle, GREY, &label);
        }
        for (row, (engine, parts)) in rows.iter().enumerate() {
            let y = y + 18.0 + row as f64 * row_height;
            let color = color(run, engine);
            svg.text(110.0, y + 4.0, Anchor::End, "", engine.name);
            svg.line((axis.at(parts[0]), y), (axis.at(parts[3]), y), color, 2.0);
            for (part, radius) in parts.iter().zip([5.0, 4.0, 4.0, 3.0]) {
                svg.dot(axis.at(*part), y, radius, color);
            }
        }
        y = bottom + 2.0 * row_height;
    }
    std::fs::write(file, svg.document())
}

/// Nanoseconds per operation against the number of keys, a panel for each of some workloads.
fn cost(runs: &[&Run], file: &Path) -> io::Result<()> {
    const SHOWN: [&str; 6] =
        ["fill-random", "overwrite", "read-random", "read-missing", "scan", "delete"];
    let (width, height) = (340.0, 240.0);
    let mut svg = Svg::new(COLUMNS as f64 * (width + GAP) + GAP, TOP + 2.0 * height + 70.0);
    let title = format!("Nanoseconds per operation by number of keys, values of {} bytes", {
        runs[0].value
    });
    svg.text(GAP, 22.0, Anchor::Start, TITLE, &title);
    for (at, name) in SHOWN.iter().enumerate() {
        let x = GAP + (at % COLUMNS) as f64 * (width + GAP);
        let y = TOP + (at / COLUMNS) as f64 * height;
        svg.text(x, y, Anchor::Start, PANEL_TITLE, name);
        lines(&mut svg, runs, name, (x + 45.0, y + 8.0), (width - 60.0, height - 45.0));
    }
    let (mut x, mut y) = (GAP, TOP + 2.0 * height + 14.0);
    for engine in ENGINES.iter().filter(|e| runs.iter().any(|r| r.of(e.name, SHOWN[0]).is_some())) {
        svg.rect(x, y - 8.0, 14.0, 8.0, line_color(engine));
        svg.text(x + 19.0, y, Anchor::Start, "", engine.name);
        x += 118.0;
        if x > COLUMNS as f64 * (width + GAP) - 100.0 {
            (x, y) = (GAP, y + 18.0);
        }
    }
    std::fs::write(file, svg.document())
}

/// One panel of `cost`: its lines, in a frame from `corner` with this size.
fn lines(svg: &mut Svg, runs: &[&Run], name: &str, corner: (f64, f64), size: (f64, f64)) {
    let cost = |measured: &Measured| 1e9 / measured.median();
    let all = || runs.iter().flat_map(|run| &run.measured).filter(|m| m.metric.name == name);
    let x_axis = Log::over(runs.iter().map(|run| run.keys as f64), corner.0, size.0);
    let bottom = corner.1 + size.1;
    let y_axis = Log::over(all().map(cost), 0.0, size.1);
    for mark in y_axis.marks() {
        let y = bottom - y_axis.at(mark);
        svg.line((corner.0, y), (corner.0 + size.0, y), GRID, 1.0);
        let label = number(mark).trim_end_matches(".0").to_owned();
        svg.text(corner.0 - 5.0, y + 4.0, Anchor::End, GREY, &label);
    }
    for mark in x_axis.marks() {
        let label = number(mark);
        svg.text(x_axis.at(mark), bottom + 14.0, Anchor::Middle, GREY, &label);
    }
    for engine in &ENGINES {
        let points: Vec<(f64, f64)> = runs
            .iter()
            .filter_map(|run| Some((run.keys, cost(run.of(engine.name, name)?))))
            .map(|(keys, cost)| (x_axis.at(keys as f64), bottom - y_axis.at(cost)))
            .collect();
        let color = line_color(engine);
        let thick = if engine.name == "libkv" { 3.0 } else { 1.5 };
        points.windows(2).for_each(|pair| svg.line(pair[0], pair[1], color, thick));
        points.iter().for_each(|(x, y)| svg.dot(*x, *y, 3.0, color));
    }
}
