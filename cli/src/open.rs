//! Which options a database is opened with: read commands write nothing that opening does not
//! need, and nothing makes a database that was not asked to.

use std::path::Path;

use kv::db::Db;
use kv::options::{CompactionMode, Options};

use crate::args::Shared;
use crate::fail::Failure;

/// How often a command that may take long publishes its figures.
const PUBLISH_MS: u64 = 1000;

/// What a command is going to do with a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    Read,
    Write,
    /// Write, and make the database if there is none.
    Create,
}

/// Opens the database in a directory.
pub fn open(path: &Path, purpose: Purpose, shared: &Shared) -> Result<Db, Failure> {
    open_with(path, purpose, &options(purpose, shared)?)
}

/// Opens it with these options, which are of this purpose.
pub fn open_with(path: &Path, purpose: Purpose, options: &Options) -> Result<Db, Failure> {
    let opened = Db::open(path, options).map_err(Failure::from);
    opened.map_err(|failure| match purpose {
        Purpose::Write if failure.is_missing() => failure.with_hint(" (see --create)"),
        _ => failure,
    })
}

/// The options for a command that may take long: `kv top` can watch it.
pub fn options_of_long(purpose: Purpose, shared: &Shared) -> Result<Options, Failure> {
    let mut options = options(purpose, shared)?;
    if !shared.options.iter().any(|setting| setting.starts_with("publish_stats_ms=")) {
        options.publish_stats_ms = PUBLISH_MS;
    }
    Ok(options)
}

/// The options for a purpose, with what the user sets.
pub fn options(purpose: Purpose, shared: &Shared) -> Result<Options, Failure> {
    let mut options = Options {
        create_if_missing: purpose == Purpose::Create,
        // Whoever reads does not want the files rewritten.
        compaction: match purpose {
            Purpose::Read => CompactionMode::Manual,
            Purpose::Write | Purpose::Create => CompactionMode::Auto,
        },
        ..Options::default()
    };
    for setting in &shared.options {
        let Some((name, value)) = setting.split_once('=') else {
            return Err(Failure::usage(format!("-o {setting}: write NAME=VALUE")));
        };
        if matches!(name, "create_if_missing" | "error_if_exists") {
            return Err(Failure::usage(format!("-o {name}: that is up to the command (--create)")));
        }
        options.set_text(name, value)?;
    }
    options.check()?;
    Ok(options)
}
