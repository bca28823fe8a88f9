//! import and export: records in files. Each format loses no byte and keeps when values expire.

pub mod binary;
pub mod csv;
pub mod export;
pub mod import;
pub mod jsonl;

use std::io;
use std::path::Path;

use crate::args::Format;

/// One record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    pub key: Vec<u8>,
    pub value: Vec<u8>,
    pub expiry: Expiry,
}

/// When a value expires, as a file has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Expiry {
    #[default]
    Never,
    /// At a time, in milliseconds since 1970.
    At(u64),
    /// So many milliseconds after it is imported.
    After(u64),
}

impl Expiry {
    /// That of the fields `expires_at_ms` and `ttl_ms`, of which one at most is there.
    fn of(expires_at_ms: Option<u64>, ttl_ms: Option<u64>) -> Result<Expiry, String> {
        match (expires_at_ms, ttl_ms) {
            (None, None) => Ok(Expiry::Never),
            (Some(0), None) => Err("expires_at_ms cannot be 0".to_owned()),
            (Some(at), None) => Ok(Expiry::At(at)),
            (None, Some(0)) => Err("ttl_ms cannot be 0".to_owned()),
            (None, Some(ttl)) => Ok(Expiry::After(ttl)),
            (Some(_), Some(_)) => Err("there are both expires_at_ms and ttl_ms".to_owned()),
        }
    }
}

/// Where in a file a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Line(u64),
    Byte(u64),
}

impl Place {
    pub fn line(self) -> Option<u64> {
        match self {
            Place::Line(line) => Some(line),
            Place::Byte(_) => None,
        }
    }

    pub fn byte(self) -> Option<u64> {
        match self {
            Place::Line(_) => None,
            Place::Byte(byte) => Some(byte),
        }
    }
}

/// Why a record cannot be read.
#[derive(Debug)]
pub enum Bad {
    /// It is not as it should be. Those behind it can be read if `goes_on`.
    Record { place: Place, what: String, goes_on: bool },
    /// The file cannot be read.
    File(io::Error),
}

impl Bad {
    fn record(place: Place, what: impl Into<String>) -> Bad {
        Bad::Record { place, what: what.into(), goes_on: true }
    }
}

impl From<io::Error> for Bad {
    fn from(error: io::Error) -> Bad {
        Bad::File(error)
    }
}

/// Reads records one by one.
pub trait Reader {
    /// The next record with its place, or `None` at the end.
    fn next(&mut self) -> Result<Option<(Place, Record)>, Bad>;
}

/// Writes records one by one.
pub trait Writer {
    fn write(&mut self, key: &[u8], value: &[u8], expires_at_ms: Option<u64>) -> io::Result<()>;

    /// Writes what stands at the end, and all that is still in memory.
    fn finish(&mut self) -> io::Result<()>;
}

/// The format that is said, or the one that the name of the file says.
pub fn format_of(said: Option<Format>, path: &Path) -> Format {
    let by_name = || match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
        "csv" => Some(Format::Csv),
        "kvx" | "bin" => Some(Format::Binary),
        _ => None,
    };
    said.or_else(by_name).unwrap_or(Format::Jsonl)
}

/// Takes the bytes of a field that is there as text or in base64.
fn field(name: &str, text: Option<String>, base64: Option<String>) -> Result<Vec<u8>, String> {
    match (text, base64) {
        (Some(text), None) => Ok(text.into_bytes()),
        (None, Some(base64)) => crate::bytes::from_base64(base64.as_bytes())
            .map_err(|wrong| format!("{name}_base64: {wrong}")),
        (None, None) => Err(format!("there is neither {name} nor {name}_base64")),
        (Some(_), Some(_)) => Err(format!("there are both {name} and {name}_base64")),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use super::*;

    /// Keys and values that are hard on a format.
    fn hard() -> Vec<(Vec<u8>, Vec<u8>, Option<u64>)> {
        let every: Vec<u8> = (0..=255).collect();
        let texts: [&[u8]; 12] = [
            b"plain",
            b" spaces ",
            b"a,b;c\td",
            b"\"quoted\" \"",
            b"lines\nand\r\nmore\r",
            b"\0",
            b"nul\0inside",
            "é€𝄞\u{feff}".as_bytes(),
            b"\xff\xfe",
            b"{\"key\":1}",
            b"key_base64",
            &every,
        ];
        let mut all = vec![(b"empty".to_vec(), Vec::new(), None)];
        for (at, key) in texts.iter().enumerate() {
            for value in &texts {
                let expiry = (at % 3 == 0).then_some(2_000_000_000_000 + at as u64);
                all.push((key.to_vec(), value.to_vec(), expiry));
            }
        }
        all
    }

    fn round_trip(
        write: impl FnOnce(&mut Vec<u8>) -> Box<dyn Writer + '_>,
        read: impl FnOnce(Vec<u8>) -> Box<dyn Reader>,
    ) {
        let all = hard();
        let mut file = Vec::new();
        let mut writer = write(&mut file);
        for (key, value, expiry) in &all {
            writer.write(key, value, *expiry).unwrap();
        }
        writer.finish().unwrap();
        drop(writer);
        let mut reader = read(file);
        for (key, value, expiry) in all {
            let (_, record) = reader.next().unwrap().unwrap();
            let expiry = expiry.map_or(Expiry::Never, Expiry::At);
            assert_eq!(record, Record { key, value, expiry });
        }
        assert!(reader.next().unwrap().is_none());
    }

    #[test]
    fn what_is_written_is_read_in_each_format() {
        round_trip(
            |file| Box::new(jsonl::JsonlWriter::new(file)),
            |file| Box::new(jsonl::JsonlReader::new(io::Cursor::new(file))),
        );
        round_trip(
            |file| Box::new(csv::CsvWriter::new(file).unwrap()),
            |file| Box::new(csv::CsvReader::new(io::Cursor::new(file)).unwrap()),
        );
        round_trip(
            |file| Box::new(binary::BinaryWriter::new(file).unwrap()),
            |file| Box::new(binary::BinaryReader::new(io::Cursor::new(file)).unwrap()),
        );
    }

    #[test]
    fn names_of_files_tell_their_format() {
        for (name, format) in [
            ("a.csv", Format::Csv),
            ("a.CSV", Format::Csv),
            ("a.kvx", Format::Binary),
            ("a.jsonl", Format::Jsonl),
            ("-", Format::Jsonl),
        ] {
            assert_eq!(format_of(None, Path::new(name)), format, "{name}");
            assert_eq!(format_of(Some(Format::Csv), Path::new(name)), Format::Csv);
        }
    }
}
