//! Writes the manual pages of section 3: one for each function of include/kv.h, and libkv(3).
//!
//! usage: kv-manual SOURCE OUT   (SOURCE is the directory with include/kv.h and examples-c/)

use std::path::Path;
use std::process::ExitCode;
use std::{env, fs};

mod examples;
mod header;
mod overview;
mod page;
mod roff;

use examples::Examples;
use header::{Header, Kind};

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [source, out] = arguments.as_slice() else {
        return failed("usage: kv-manual SOURCE OUT");
    };
    match write_pages(Path::new(source), Path::new(out)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

#[allow(clippy::print_stderr, reason = "this is a program for the command line")]
fn failed(message: &str) -> ExitCode {
    eprintln!("kv-manual: {message}");
    ExitCode::FAILURE
}

fn write_pages(source: &Path, out: &Path) -> Result<(), String> {
    let header = Header::parse(&read(&source.join("include/kv.h"))?)?;
    let examples = source.join("examples-c");
    let first = read(&examples.join("quickstart.c"))?;
    let examples = Examples::read(&examples).map_err(|error| format!("examples-c: {error}"))?;
    fs::create_dir_all(out).map_err(|error| format!("{}: {error}", out.display()))?;
    let write = |name: &str, text: &str| {
        let path = out.join(format!("{name}.3"));
        fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))
    };
    for item in header.of_kind(Kind::Function) {
        write(&item.name, &page::of_function(&header, item, &examples))?;
    }
    write("libkv", &overview::of_library(&header, &first))
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}
