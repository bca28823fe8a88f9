//! Every figure that the engine promises, each with its target: threads, group commit, latency
//! while loading, opening, space, memory, segments. docs/BENCHMARKS.md says what each one means.
//!
//! `cargo bench --bench scale -- [--only SECTION,…] [--quick] [--dir DIR] [--set OPTION=VALUE]
//! [--SIZE N] …`; without arguments it takes hours and about 30 GB.
#![allow(unsafe_code, reason = "the C functions are called as C calls them")]
#![allow(clippy::print_stdout, reason = "a benchmark prints its figures")]

mod group_commit;
mod handle;
mod histogram;
mod load;
mod machine;
mod memory;
mod open;
mod report;
mod segments;
mod settings;
mod space;
mod threads;
mod workload;

use report::Report;
use settings::Settings;

/// A part of the figures, by name.
type Section = (&'static str, fn(&Settings, &mut Report));

const SECTIONS: [Section; 7] = [
    ("threads", threads::run),
    ("group_commit", group_commit::run),
    ("load", load::run),
    ("open", open::run),
    ("space", space::run),
    ("memory", memory::run),
    ("segments", segments::run),
];

fn main() {
    if open::is_child() {
        return open::child();
    }
    histogram::check();
    let settings = Settings::from_arguments(&SECTIONS.map(|(name, _)| name));
    machine::describe(&settings.directory);
    settings.describe();
    let mut report = Report::default();
    for (name, run) in SECTIONS {
        if settings.wants(name) {
            report.begin(name);
            run(&settings, &mut report);
        }
    }
    report.conclude();
}
