//! CSV with the columns key, key_base64, value, value_base64 and expires_at_ms. What is no UTF-8,
//! or has a NUL, is in the column of base64, and the other one is empty.

use std::io::{self, Read, Write};
use std::str::from_utf8;

use csv::{ByteRecord, ErrorKind, ReaderBuilder};

use super::{field, Bad, Expiry, Place, Reader, Record, Writer};
use crate::bytes::to_base64;

const COLUMNS: [&str; 6] =
    ["key", "key_base64", "value", "value_base64", "expires_at_ms", "ttl_ms"];

/// Writes rows.
pub struct CsvWriter<W: Write>(csv::Writer<W>);

impl<W: Write> CsvWriter<W> {
    /// Begins with the header.
    pub fn new(out: W) -> io::Result<CsvWriter<W>> {
        let mut writer = csv::Writer::from_writer(out);
        // Who reads it need not know of times to live: a file has times.
        writer.write_record(&COLUMNS[..5]).map_err(as_io)?;
        Ok(CsvWriter(writer))
    }
}

/// What the system said, if that is the reason: a pipe that nobody reads is known by it.
fn as_io(error: csv::Error) -> io::Error {
    match error.into_kind() {
        ErrorKind::Io(error) => error,
        other => io::Error::other(format!("{other:?}")),
    }
}

/// The two columns of some bytes, of which one is empty.
fn columns_of(bytes: &[u8]) -> (&[u8], String) {
    match from_utf8(bytes) {
        Ok(text) if !text.contains('\0') => (bytes, String::new()),
        _ => (&[], to_base64(bytes)),
    }
}

impl<W: Write> Writer for CsvWriter<W> {
    fn write(&mut self, key: &[u8], value: &[u8], expires_at_ms: Option<u64>) -> io::Result<()> {
        let ((key, key_base64), (value, value_base64)) = (columns_of(key), columns_of(value));
        let expiry = expires_at_ms.map(|at| at.to_string()).unwrap_or_default();
        let row = [key, key_base64.as_bytes(), value, value_base64.as_bytes(), expiry.as_bytes()];
        self.0.write_record(row).map_err(as_io)
    }

    fn finish(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Reads rows. The columns may be in any order; which are there the header says.
pub struct CsvReader<R> {
    rows: csv::Reader<R>,
    row: ByteRecord,
    /// Where each of [`COLUMNS`] is.
    places: [Option<usize>; COLUMNS.len()],
}

impl<R: Read> CsvReader<R> {
    /// Reads the header.
    pub fn new(from: R) -> Result<CsvReader<R>, Bad> {
        let mut rows = ReaderBuilder::new().from_reader(from);
        let header = rows.byte_headers().map_err(|error| bad(error, 1))?;
        let wrong = |what: String| Bad::Record { place: Place::Line(1), what, goes_on: false };
        let mut places = [None; COLUMNS.len()];
        for (at, name) in header.iter().enumerate() {
            let column = COLUMNS.iter().position(|column| column.as_bytes() == name);
            let Some(column) = column else {
                let (name, known) = (crate::bytes::escaped(name), COLUMNS.join(", "));
                return Err(wrong(format!("the header has \"{name}\"; there may be {known}")));
            };
            if places[column].replace(at).is_some() {
                return Err(wrong(format!("the header has {} twice", COLUMNS[column])));
            }
        }
        if places[0].or(places[1]).is_none() || places[2].or(places[3]).is_none() {
            return Err(wrong("the header must have key and value, or the same in base64".into()));
        }
        Ok(CsvReader { rows, row: ByteRecord::new(), places })
    }

    fn cell(&self, column: usize) -> Option<&[u8]> {
        self.row.get(self.places[column]?)
    }

    fn parse(&self) -> Result<Record, String> {
        Ok(Record {
            key: self.bytes("key", 0)?,
            value: self.bytes("value", 2)?,
            expiry: Expiry::of(self.number(4)?, self.number(5)?)?,
        })
    }

    /// What is in the column, or in the next one as base64.
    fn bytes(&self, name: &str, column: usize) -> Result<Vec<u8>, String> {
        let base64 = self.cell(column + 1).filter(|cell| !cell.is_empty());
        let text = self.cell(column).filter(|cell| !cell.is_empty() || base64.is_none());
        match (text, base64) {
            (Some(text), None) => Ok(text.to_vec()),
            // Neither column has anything: the value is empty.
            (None, None) => Ok(Vec::new()),
            (text, base64) => {
                let shown = |cell: &[u8]| String::from_utf8_lossy(cell).into_owned();
                field(name, text.map(shown), base64.map(shown))
            }
        }
    }

    fn number(&self, column: usize) -> Result<Option<u64>, String> {
        let Some(cell) = self.cell(column).filter(|cell| !cell.is_empty()) else {
            return Ok(None);
        };
        let number = from_utf8(cell).ok().and_then(|text| text.parse().ok());
        number.map(Some).ok_or_else(|| format!("{} is no number", COLUMNS[column]))
    }
}

impl<R: Read> Reader for CsvReader<R> {
    fn next(&mut self) -> Result<Option<(Place, Record)>, Bad> {
        let line = self.rows.position().line();
        if !self.rows.read_byte_record(&mut self.row).map_err(|error| bad(error, line))? {
            return Ok(None);
        }
        let place = Place::Line(self.row.position().map_or(line, csv::Position::line));
        let record = self.parse().map_err(|what| Bad::record(place, what))?;
        Ok(Some((place, record)))
    }
}

fn bad(error: csv::Error, line: u64) -> Bad {
    let line = error.position().map_or(line, csv::Position::line);
    match error.into_kind() {
        ErrorKind::Io(error) => Bad::File(error),
        ErrorKind::UnequalLengths { expected_len, len, .. } => {
            Bad::record(Place::Line(line), format!("{len} columns; the header has {expected_len}"))
        }
        other => Bad::record(Place::Line(line), format!("{other:?}")),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<(Place, Record)>, String> {
        let said = |bad: Bad| match bad {
            Bad::Record { place, what, .. } => format!("{place:?}: {what}"),
            Bad::File(error) => error.to_string(),
        };
        let mut reader = CsvReader::new(text.as_bytes()).map_err(said)?;
        let mut all = Vec::new();
        while let Some(found) = reader.next().map_err(said)? {
            all.push(found);
        }
        Ok(all)
    }

    #[test]
    fn columns_may_be_few_and_in_any_order() {
        let all = read("value,key\n\"1\n2\",a\n,b\n").unwrap();
        assert_eq!((all[0].0, all[1].0), (Place::Line(2), Place::Line(4)));
        assert_eq!((&all[0].1.key[..], &all[0].1.value[..]), (&b"a"[..], &b"1\n2"[..]));
        assert_eq!((&all[1].1.key[..], &all[1].1.value[..]), (&b"b"[..], &b""[..]));
        let all = read("key_base64,value,ttl_ms\nAA==,x,50\n").unwrap();
        assert_eq!((&all[0].1.key[..], all[0].1.expiry), (&b"\0"[..], Expiry::After(50)));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        for (text, said) in [
            ("", "header"),
            ("a,b\n1,2\n", "Line(1): the header has \"a\""),
            ("key\n1\n", "header must have"),
            ("key,key,value\n", "key twice"),
            ("key,value\na,b\nc\n", "Line(3): 1 columns"),
            ("key,value,expires_at_ms\na,b,x\n", "Line(2): expires_at_ms is no number"),
            ("key,value,value_base64\na,b,AA==\n", "Line(2): there are both value"),
            ("key,value_base64\na,A\n", "Line(2): value_base64"),
        ] {
            let wrong = read(text).unwrap_err();
            assert!(wrong.contains(said), "{text:?}: {wrong}");
        }
    }
}
