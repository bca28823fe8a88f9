//! Builds and runs what README.md and the documents show, as a reader would, word for word.
//!
//! usage: kv-documents SOURCE
//!
//! A block of code is one of these; any other fails:
//!
//! - a file, named in its first line, that later commands use;
//! - `c`, in a section that links to a program of examples-c/: a part of it, word for word;
//! - `sh`: commands, run in one shell from the first to the last; `text`: what they print;
//! - `console`: commands of `kv`, which the tests of the command line run;
//! - any, after `<!-- run by FILE -->`: a test elsewhere, which names the document.
//!
//! After `<!-- needs HEADER -->` a block is left out where there is no such header. Either can be
//! behind the language instead.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs};

mod blocks;
mod session;

use session::{follow, say, Place};

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let result = match arguments.as_slice() {
        [source] => all(Path::new(source)),
        _ => Err("usage: kv-documents SOURCE".into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&error);
            ExitCode::FAILURE
        }
    }
}

/// README.md installs libkv to the reader's home; the others use that.
fn all(source: &Path) -> Result<(), String> {
    let failed = |error: std::io::Error| error.to_string();
    let source = source.canonicalize().map_err(failed)?;
    let home = env::temp_dir().join(format!("kv-documents-{}", std::process::id()));
    fs::create_dir_all(&home).map_err(failed)?;
    let place = Place { source, home };
    let result = follow_all(&place);
    if result.is_ok() {
        fs::remove_dir_all(&place.home).map_err(failed)?;
    } else {
        say(&format!("what was made is in {}", place.home.display()));
    }
    result
}

fn follow_all(place: &Place) -> Result<(), String> {
    let told = |name: &str, blocks: usize| say(&format!("{name}: {blocks} blocks of code"));
    told("README.md", follow(place, "README.md", &place.source)?);
    let library = place.home.join(".local/lib");
    let set = |name: &str, value: PathBuf| {
        // Nothing else runs in this process.
        env::set_var(name, value);
    };
    set("PKG_CONFIG_PATH", library.join("pkgconfig"));
    set("LD_LIBRARY_PATH", library);
    for name in ["docs/COOKBOOK.md", "docs/MIGRATION.md"] {
        let directory = place.home.join(name.replace('/', "-"));
        fs::create_dir_all(&directory).map_err(|error| error.to_string())?;
        told(name, follow(place, name, &directory)?);
    }
    Ok(())
}
