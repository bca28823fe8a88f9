//! The binary format: eight bytes that name it, records with their lengths before them and a
//! checksum behind, and at the end how many there were, so that a file that was cut is noticed.
//!
//! A record is the byte 1, the time of expiry (8 bytes; 0 for never), the length of the key (4) and
//! of the value (4), the key, the value, and the CRC-32 of all that (4). The end is the byte 0, how
//! many records there are (8), and the CRC-32 of that (4). Numbers have their lowest byte first.

use std::io::{self, Read, Write};

use crc32fast::Hasher;
use kv::format::MAX_KEY_LEN;

use super::{Bad, Expiry, Place, Reader, Record, Writer};

/// What a file begins with; the last byte is the version.
const NAME: &[u8; 8] = b"kvexprt\x01";
const RECORD: u8 = 1;
const END: u8 = 0;
/// Bytes of a record before its key.
const HEAD: usize = 17;

/// Writes records.
pub struct BinaryWriter<W> {
    out: W,
    records: u64,
}

impl<W: Write> BinaryWriter<W> {
    /// Begins with the name.
    pub fn new(mut out: W) -> io::Result<BinaryWriter<W>> {
        out.write_all(NAME)?;
        Ok(BinaryWriter { out, records: 0 })
    }

    /// Writes parts, and their checksum.
    fn write_checked(&mut self, parts: &[&[u8]]) -> io::Result<()> {
        let mut hasher = Hasher::new();
        for part in parts {
            hasher.update(part);
            self.out.write_all(part)?;
        }
        self.out.write_all(&hasher.finalize().to_le_bytes())
    }
}

impl<W: Write> Writer for BinaryWriter<W> {
    fn write(&mut self, key: &[u8], value: &[u8], expires_at_ms: Option<u64>) -> io::Result<()> {
        let mut head = Vec::with_capacity(HEAD);
        head.push(RECORD);
        head.extend(expires_at_ms.unwrap_or(0).to_le_bytes());
        for part in [key, value] {
            let len = u32::try_from(part.len()).map_err(io::Error::other)?;
            head.extend(len.to_le_bytes());
        }
        self.records += 1;
        self.write_checked(&[&head, key, value])
    }

    fn finish(&mut self) -> io::Result<()> {
        let records = self.records.to_le_bytes();
        self.write_checked(&[&[END], &records])?;
        self.out.flush()
    }
}

/// Reads records.
pub struct BinaryReader<R> {
    from: R,
    offset: u64,
    records: u64,
    is_at_end: bool,
}

impl<R: Read> BinaryReader<R> {
    /// Reads the name.
    pub fn new(from: R) -> Result<BinaryReader<R>, Bad> {
        let mut reader = BinaryReader { from, offset: 0, records: 0, is_at_end: false };
        let name = reader.take::<8>(0)?;
        if name[..7] != NAME[..7] {
            return Err(wrong(0, "this is no file that kv export has written as binary"));
        }
        if name != *NAME {
            return Err(wrong(7, "a newer kv has written this file"));
        }
        Ok(reader)
    }

    /// Reads into `buffer` all of it; `at` is where what it belongs to begins.
    fn fill(&mut self, buffer: &mut [u8], at: u64) -> Result<(), Bad> {
        match self.from.read_exact(buffer) {
            Ok(()) => {
                self.offset += buffer.len() as u64;
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err(wrong(at, "the file ends in the middle of it"))
            }
            Err(error) => Err(error.into()),
        }
    }

    fn take<const N: usize>(&mut self, at: u64) -> Result<[u8; N], Bad> {
        let mut bytes = [0; N];
        self.fill(&mut bytes, at)?;
        Ok(bytes)
    }

    /// Reads `len` bytes, with no more memory than there are bytes.
    fn take_long(&mut self, len: usize, at: u64) -> Result<Vec<u8>, Bad> {
        let mut bytes = Vec::with_capacity(len.min(1 << 20));
        let read = (&mut self.from).take(len as u64).read_to_end(&mut bytes)?;
        self.offset += read as u64;
        if read < len {
            return Err(wrong(at, "the file ends in the middle of it"));
        }
        Ok(bytes)
    }

    fn check(&mut self, hasher: Hasher, at: u64) -> Result<(), Bad> {
        let read = u32::from_le_bytes(self.take(at)?);
        if read != hasher.finalize() {
            return Err(wrong(at, "its checksum does not match"));
        }
        Ok(())
    }

    fn end(&mut self, at: u64) -> Result<(), Bad> {
        let records = self.take::<8>(at)?;
        let mut hasher = Hasher::new();
        hasher.update(&[END]);
        hasher.update(&records);
        self.check(hasher, at)?;
        let records = u64::from_le_bytes(records);
        if records != self.records {
            let what = format!("the file has {} records, and says {records}", self.records);
            return Err(wrong(at, what));
        }
        if self.from.read(&mut [0])? > 0 {
            return Err(wrong(self.offset, "the file goes on behind its end"));
        }
        self.is_at_end = true;
        Ok(())
    }

    fn record(&mut self, at: u64) -> Result<Record, Bad> {
        let (expiry, lengths) = (self.take::<8>(at)?, self.take::<8>(at)?);
        let [key_len, value_len] = [[0, 1, 2, 3], [4, 5, 6, 7]]
            .map(|places| u32::from_le_bytes(places.map(|place: usize| lengths[place])) as usize);
        if key_len > MAX_KEY_LEN {
            return Err(wrong(at, "its key is too long"));
        }
        let key = self.take_long(key_len, at)?;
        let value = self.take_long(value_len, at)?;
        let mut hasher = Hasher::new();
        for part in [&[RECORD][..], &expiry, &lengths, &key, &value] {
            hasher.update(part);
        }
        self.check(hasher, at)?;
        self.records += 1;
        let expiry = match u64::from_le_bytes(expiry) {
            0 => Expiry::Never,
            at => Expiry::At(at),
        };
        Ok(Record { key, value, expiry })
    }
}

impl<R: Read> Reader for BinaryReader<R> {
    fn next(&mut self) -> Result<Option<(Place, Record)>, Bad> {
        if self.is_at_end {
            return Ok(None);
        }
        let at = self.offset;
        match self.take::<1>(at)? {
            [END] => self.end(at).map(|()| None),
            [RECORD] => Ok(Some((Place::Byte(at), self.record(at)?))),
            _ => Err(wrong(at, "here is neither a record nor the end")),
        }
    }
}

/// Behind what is wrong nothing can be found.
fn wrong(at: u64, what: impl Into<String>) -> Bad {
    Bad::Record { place: Place::Byte(at), what: what.into(), goes_on: false }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use super::*;

    fn sample() -> Vec<u8> {
        let mut file = Vec::new();
        let mut writer = BinaryWriter::new(&mut file).unwrap();
        writer.write(b"key", b"value", Some(7)).unwrap();
        writer.write(b"k", b"", None).unwrap();
        writer.finish().unwrap();
        file
    }

    fn read(file: &[u8]) -> Result<usize, Bad> {
        let mut reader = BinaryReader::new(file)?;
        let mut records = 0;
        while reader.next()?.is_some() {
            records += 1;
        }
        Ok(records)
    }

    #[test]
    fn a_cut_a_flipped_bit_and_what_is_added_are_noticed() {
        let file = sample();
        assert_eq!(read(&file).unwrap(), 2);
        for len in 0..file.len() {
            assert!(read(&file[..len]).is_err(), "cut at {len}");
        }
        for bit in 0..file.len() * 8 {
            let mut flipped = file.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(read(&flipped).is_err(), "bit {bit}");
        }
        assert!(read(&[&file[..], &[0]].concat()).is_err());
    }

    #[test]
    fn the_bytes_are_as_the_documents_say() {
        let file = sample();
        assert_eq!(&file[..8], b"kvexprt\x01");
        assert_eq!(&file[8..25], [1, 7, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 5, 0, 0, 0]);
        assert_eq!(&file[25..33], b"keyvalue");
        assert_eq!(file.len(), 8 + (17 + 8 + 4) + (17 + 1 + 4) + 13);
    }
}
