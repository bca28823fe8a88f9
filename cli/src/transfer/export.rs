//! export: all records of one moment into a file, which gets its name when it is whole.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use kv::db::Db;
use serde_json::json;

use super::binary::BinaryWriter;
use super::csv::CsvWriter;
use super::jsonl::JsonlWriter;
use super::{format_of, Writer};
use crate::args::{Export, Format, Shared};
use crate::bytes::Encoding;
use crate::cancel::Cancel;
use crate::fail::{Failure, Outcome};
use crate::input::is_dash;
use crate::open::{open, Purpose};
use crate::output::{answer, remark};
use crate::progress::{Bar, Unit};
use crate::scan;

const BUFFER: usize = 256 << 10;
/// Somebody looks after so many records whether the command is to end.
const DEAF_FOR: u64 = 64;

/// Where records go.
enum Target {
    Output,
    /// A pipe, a device: whatever cannot be replaced.
    There(PathBuf),
    /// A file, and its name until it is whole.
    File(PathBuf, PathBuf),
}

impl Target {
    fn of(path: &Path) -> Target {
        if is_dash(path) {
            return Target::Output;
        }
        let is_other = fs::metadata(path).is_ok_and(|about| !about.is_file());
        if is_other {
            return Target::There(path.to_owned());
        }
        let mut partial = path.as_os_str().to_owned();
        partial.push(".partial");
        Target::File(path.to_owned(), partial.into())
    }

    fn open(&self) -> Result<Box<dyn Write>, Failure> {
        let path = match self {
            Target::Output => return Ok(Box::new(io::stdout().lock())),
            Target::There(path) => path,
            Target::File(_, partial) => partial,
        };
        let file = match self {
            Target::There(_) => File::options().write(true).open(path),
            _ => File::create(path),
        };
        Ok(Box::new(file.map_err(|error| self.failure(&error))?))
    }

    fn failure(&self, error: &io::Error) -> Failure {
        match self {
            Target::Output => Failure::output(error),
            Target::There(path) | Target::File(path, _) => {
                Failure::io(&format!("write {}", path.display()), error)
            }
        }
    }

    /// Gives the whole file its name.
    fn keep(&self) -> Result<(), Failure> {
        let Target::File(path, partial) = self else { return Ok(()) };
        let kept = File::open(partial).and_then(|file| file.sync_all());
        kept.and_then(|()| fs::rename(partial, path)).map_err(|error| self.failure(&error))
    }

    /// Removes what is not whole.
    fn forget(&self) {
        if let Target::File(_, partial) = self {
            // If it cannot be removed, its name says what it is.
            let _ = fs::remove_file(partial);
        }
    }

    /// What is there if the command ends before its time.
    fn left(&self) -> String {
        match self {
            Target::Output => "what was written is not all".to_owned(),
            Target::There(path) => format!("what {} got is not all", path.display()),
            Target::File(path, _) => format!("{} is as it was before", path.display()),
        }
    }
}

/// Writes all records.
pub fn export(args: &Export, shared: &Shared) -> Result<Outcome, Failure> {
    let cancel = Cancel::listen()?;
    let prefix = scan::prefix(args.prefix.as_deref(), args.encodings.of_keys(Encoding::Raw))?;
    let db = open(&args.db, Purpose::Read, shared)?;
    let target = Target::of(&args.file);
    let format = format_of(args.format, &args.file);
    let exported = write_all(&db, &target, format, &prefix, shared, &cancel);
    let closed = db.close();
    let records = match exported {
        Ok(records) => records,
        Err(failure) => {
            target.forget();
            return Err(failure);
        }
    };
    target.keep()?;
    closed?;
    match target {
        // Standard output has the records, and nothing but them.
        Target::Output => remark(shared, &format!("{records} records exported")),
        _ if shared.json || !shared.quiet => {
            let figures = json!({ "exported": records });
            answer(shared, &format!("{records} records exported"), &figures)?;
        }
        _ => {}
    }
    Ok(Outcome::Done)
}

fn write_all(
    db: &Db,
    target: &Target,
    format: Format,
    prefix: &[u8],
    shared: &Shared,
    cancel: &Cancel,
) -> Result<u64, Failure> {
    let failed = |error: io::Error| target.failure(&error);
    let out = BufWriter::with_capacity(BUFFER, target.open()?);
    let mut writer: Box<dyn Writer> = match format {
        Format::Jsonl => Box::new(JsonlWriter::new(out)),
        Format::Csv => Box::new(CsvWriter::new(out).map_err(failed)?),
        Format::Binary => Box::new(BinaryWriter::new(out).map_err(failed)?),
    };
    // How many keys have a prefix is known in the end.
    let total = prefix.is_empty().then(|| db.count());
    let bar = Bar::new(shared, "exporting", Unit::Things, total);
    let mut records = 0;
    scan::walk(db, prefix, |key, value| {
        if u64::is_multiple_of(records, DEAF_FOR) {
            if cancel.is_asked() {
                return Err(cancel.failure(&target.left()));
            }
            bar.set(records);
        }
        // A value that has expired since the walk began is gone.
        if let Some(expires_at) = db.expires_at(key)? {
            writer.write(key, value, expires_at).map_err(failed)?;
            records += 1;
        }
        Ok(true)
    })?;
    writer.finish().map_err(failed)?;
    Ok(records)
}
