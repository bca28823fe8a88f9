//! Counts what one operation of the shipped library costs (instructions, system calls, allocations,
//! cache lines) and fails if that has grown. Counts are the same on a busy machine; times are not.
//!
//! usage: LIBRARY=.../libkv.so kv-guard (KV_UPDATE_GUARD=1: record what is counted)

mod bounds;
mod machine;
mod trace;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs};

use bounds::{figures, Bounds, Verdict, COLUMNS};
use trace::{Operation, Trace};

fn main() -> ExitCode {
    match guard() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(message) => {
            eprintln!("kv-guard: {message}");
            ExitCode::FAILURE
        }
    }
}

/// Answers whether nothing has grown.
fn guard() -> Result<bool, String> {
    let library = env::var_os("LIBRARY").ok_or("no library was named (LIBRARY=.../libkv.so)")?;
    let library = fs::canonicalize(PathBuf::from(&library))
        .map_err(|error| format!("{}: {error}", library.to_string_lossy()))?;
    let sources = Path::new(env!("CARGO_MANIFEST_DIR"));
    let trace = count(sources, &library)?;
    let versions = machine::versions(&library, &trace.glibc)?;
    println!("{}", table(&trace.operations));
    let file = sources.join("bounds.tsv");
    if env::var_os("KV_UPDATE_GUARD").is_some_and(|set| !set.is_empty() && set != "0") {
        let text = Bounds::text(&versions, &trace.operations);
        fs::write(&file, text).map_err(|error| format!("{}: {error}", file.display()))?;
        println!("recorded in {}, with {versions}", file.display());
        return Ok(true);
    }
    let text = fs::read_to_string(&file).map_err(|e| format!("{}: {e}", file.display()))?;
    Ok(judge(&Bounds::parse(&text)?, &trace, &versions))
}

fn count(sources: &Path, library: &Path) -> Result<Trace, String> {
    let directory = machine::Directory::new()?;
    let program = directory.0.join("operations");
    machine::build(sources, library, &program)?;
    machine::measure(&program, &directory.0.join("database"))
}

fn table(operations: &[Operation]) -> String {
    let mut text = format!("  {:<12}", "per key");
    for column in &COLUMNS {
        let per = if column.per > 1.0 { " /1000" } else { "" };
        text += &format!(" {:>18}", column.name.replace('_', " ") + per);
    }
    for operation in operations {
        text += &format!("\n  {:<12}", operation.name);
        for (column, value) in COLUMNS.iter().zip(figures(operation)) {
            text += &format!(" {:>18}", column.show(value));
        }
    }
    text
}

fn judge(bounds: &Bounds, trace: &Trace, versions: &str) -> bool {
    let is_same = bounds.versions == versions;
    let mut verdict = Verdict::default();
    for operation in &trace.operations {
        bounds.compare(operation, is_same, &mut verdict);
    }
    for name in bounds.figures.keys() {
        if !trace.operations.iter().any(|operation| operation.name == *name) {
            verdict.failures.push(format!("{name}: it is recorded, and not done any more"));
        }
    }
    if !is_same {
        println!("note: counted with  {versions}");
        println!("      recorded with {}", bounds.versions);
        println!("      so instructions and lines may differ by more than usual");
    }
    for note in &verdict.notes {
        println!("note: {note}");
    }
    if !verdict.notes.is_empty() {
        println!("      to keep it so, record it: KV_UPDATE_GUARD=1 make guard");
    }
    for failure in &verdict.failures {
        println!("FAILED: {failure}");
    }
    if verdict.failures.is_empty() {
        println!("nothing has grown; counted with {versions}");
    } else {
        println!("If that is wanted: KV_UPDATE_GUARD=1 make guard, and say why in the commit.");
    }
    verdict.failures.is_empty()
}
