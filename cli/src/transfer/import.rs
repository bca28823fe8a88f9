//! import: records from a file into a database, so many at once.

use std::io::{BufReader, Read};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use kv::db::{Db, WriteBatch, WriteSync};
use kv::error::Kind;
use serde_json::{json, Value};

use super::binary::BinaryReader;
use super::csv::CsvReader;
use super::jsonl::JsonlReader;
use super::{format_of, Bad, Expiry, Place, Reader, Record};
use crate::args::{Format, Import, Shared};
use crate::cancel::Cancel;
use crate::fail::{Failure, Outcome};
use crate::input::{self, Source};
use crate::open::{open_with, options_of_long, Purpose};
use crate::output::{answer, remark};
use crate::progress::{Bar, Unit};

/// Bytes that are written at once, if there are not as many records before.
const BATCH_BYTES: usize = 1 << 20;
/// Bytes that are read at once.
const BUFFER: usize = 256 << 10;
/// So many of the errors that were passed over are told.
const MOST_TOLD: u64 = 20;

/// Counts the bytes that are read, for the bar.
struct Counted {
    from: Box<dyn Read>,
    bytes: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let len = self.from.read(buffer)?;
        self.bytes.fetch_add(len as u64, Ordering::Relaxed);
        Ok(len)
    }
}

/// An import under way.
struct Load<'a> {
    db: &'a Db,
    shared: &'a Shared,
    cancel: &'a Cancel,
    /// What the file is called.
    name: &'a str,
    skips: bool,
    most: usize,
    batch: WriteBatch,
    batch_bytes: usize,
    /// Those in the batch that have expired.
    batch_expired: u64,
    /// Records that are in the database.
    written: u64,
    expired: u64,
    skipped: u64,
    errors: Vec<Value>,
}

/// Reads records and writes them.
pub fn import(args: &Import, shared: &Shared) -> Result<Outcome, Failure> {
    let cancel = Cancel::listen()?;
    // First: a file that is not there makes no database.
    let source = input::source(&args.file, &cancel)?;
    let format = format_of(args.format, &args.file);
    let purpose = if args.create { Purpose::Create } else { Purpose::Write };
    let db = open_with(&args.db, purpose, &options_of_long(purpose, shared)?)?;
    let name = source.name.clone();
    let mut load = Load {
        db: &db,
        shared,
        cancel: &cancel,
        name: &name,
        skips: args.skip_errors,
        most: args.batch as usize,
        batch: WriteBatch::new(),
        batch_bytes: 0,
        batch_expired: 0,
        written: 0,
        expired: 0,
        skipped: 0,
        errors: Vec::new(),
    };
    let loaded = load.all(source, format);
    let Load { written, expired, skipped, errors, .. } = load;
    let closed = db.close();
    if let Err(failure) = loaded {
        // A reader that was interrupted fails somehow: why it did is known here.
        let left = format!("{written} records are in the database, the others are not");
        return Err(match cancel.is_asked() {
            true => cancel.failure(&left),
            false => failure.with_hint(&format!("; {left}")),
        });
    }
    closed?;
    let text = format!("{written} records imported, {expired} had expired, {skipped} left out");
    let figures = json!({
        "imported": written, "expired": expired, "skipped": skipped, "errors": errors,
    });
    if shared.json || !shared.quiet {
        answer(shared, &text, &figures)?;
    }
    Ok(Outcome::Done)
}

impl Load<'_> {
    fn all(&mut self, source: Source, format: Format) -> Result<(), Failure> {
        let bar = Bar::new(self.shared, "importing", Unit::Bytes, source.len);
        let bytes = Arc::new(AtomicU64::new(0));
        let counted = Counted { from: source.reader, bytes: Arc::clone(&bytes) };
        let from = BufReader::with_capacity(BUFFER, counted);
        let mut reader: Box<dyn Reader> = match format {
            Format::Jsonl => Box::new(JsonlReader::new(from)),
            Format::Csv => Box::new(CsvReader::new(from).map_err(|bad| self.fatal(bad))?),
            Format::Binary => Box::new(BinaryReader::new(from).map_err(|bad| self.fatal(bad))?),
        };
        let read = self.records(&mut *reader, &bar, &bytes);
        // What is whole before the failure is in the database, as is said of it.
        match read {
            Err(_) if self.cancel.is_asked() => read,
            _ => self.flush().and(read),
        }
    }

    fn records(
        &mut self,
        reader: &mut dyn Reader,
        bar: &Bar,
        bytes: &AtomicU64,
    ) -> Result<(), Failure> {
        loop {
            if self.cancel.is_asked() {
                return Err(self.cancel.failure(""));
            }
            match reader.next() {
                Ok(Some((place, record))) => self.add(place, &record, bar)?,
                Ok(None) => return Ok(()),
                Err(Bad::Record { place, what, goes_on: true }) => self.pass(place, &what, bar)?,
                Err(bad) => return Err(self.fatal(bad)),
            }
            if self.batch.len() >= self.most || self.batch_bytes >= BATCH_BYTES {
                self.flush()?;
                bar.set(bytes.load(Ordering::Relaxed));
            }
        }
    }

    /// Adds a record to the batch. One that has expired is as good as deleted.
    fn add(&mut self, place: Place, record: &Record, bar: &Bar) -> Result<(), Failure> {
        let Record { key, value, expiry } = record;
        let added = match *expiry {
            Expiry::Never => self.batch.put(key, value, 0),
            Expiry::After(ttl_ms) => self.batch.put(key, value, ttl_ms),
            Expiry::At(at) if at <= now_ms() => {
                self.batch_expired += 1;
                self.batch.delete(key)
            }
            Expiry::At(at) => self.batch.put_until(key, value, at),
        };
        let Err(error) = added else {
            self.batch_bytes += key.len() + value.len();
            return Ok(());
        };
        match error.kind() {
            Kind::EmptyKey | Kind::KeyTooLong | Kind::ValueTooLong | Kind::InvalidArgument => {
                self.pass(place, &error.to_string(), bar)
            }
            _ => Err(error.into()),
        }
    }

    /// Leaves a record out, if that is what was asked for.
    fn pass(&mut self, place: Place, what: &str, bar: &Bar) -> Result<(), Failure> {
        let failure = self.failure(place, what);
        if !self.skips {
            return Err(failure);
        }
        self.skipped += 1;
        if self.skipped <= MOST_TOLD {
            self.errors.push(json!({ "line": place.line(), "message": what }));
            if !self.shared.quiet && !self.shared.json {
                bar.say(&format!("kv: left out: {}", self.said(place, what)));
            }
        } else if self.skipped == MOST_TOLD + 1 && !self.shared.json {
            remark(self.shared, "more errors are counted, and not told");
        }
        Ok(())
    }

    fn said(&self, place: Place, what: &str) -> String {
        match place {
            Place::Line(line) => format!("{}, line {line}: {what}", self.name),
            Place::Byte(byte) => format!("{}, the record at byte {byte}: {what}", self.name),
        }
    }

    fn failure(&self, place: Place, what: &str) -> Failure {
        Failure::input(self.name, place.line(), place.byte(), self.said(place, what))
    }

    fn fatal(&self, bad: Bad) -> Failure {
        match bad {
            Bad::Record { place, what, .. } => self.failure(place, &what),
            Bad::File(error) => Failure::io(&format!("read {}", self.name), &error),
        }
    }

    /// Writes the batch.
    fn flush(&mut self) -> Result<(), Failure> {
        self.db.write(&self.batch, WriteSync::AsOpened)?;
        self.written += self.batch.len() as u64 - self.batch_expired;
        self.expired += std::mem::take(&mut self.batch_expired);
        self.batch.clear();
        self.batch_bytes = 0;
        Ok(())
    }
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}
