//! What the designs are held against: one write(2) per record, a user-space buffer, plain memory.

use crate::record::{Record, RECORD};
use crate::tail::{Files, Syncer, Tail, SEGMENT, SEGMENT_USED};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

/// Appends to segment files with writes of at least `buffer` bytes (0: each record at once).
pub struct Written {
    files: Arc<Files>,
    file: Arc<File>,
    offset: u64,
    buffer: Vec<u8>,
    flush_at: usize,
}

impl Written {
    pub fn open(dir: &Path, buffer: usize) -> io::Result<Written> {
        let files = Files::new(dir);
        let file = files.create()?;
        let room = Vec::with_capacity(buffer + RECORD);
        Ok(Written { files, file, offset: 0, buffer: room, flush_at: buffer })
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, self.offset)?;
        self.offset += bytes.len() as u64;
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let result = self.write(&buffer);
        buffer.clear();
        self.buffer = buffer;
        result
    }
}

impl Tail for Written {
    fn append(&mut self, record: &Record) -> io::Result<()> {
        if self.offset + self.buffer.len() as u64 == SEGMENT_USED {
            self.flush()?;
            self.file = self.files.create()?;
            self.offset = 0;
        }
        if self.flush_at == 0 {
            return self.write(record);
        }
        self.buffer.extend_from_slice(record);
        if self.buffer.len() >= self.flush_at {
            self.flush()?;
        }
        Ok(())
    }

    fn syncer(&self) -> Option<Syncer> {
        Some(self.files.syncer())
    }

    fn finish(mut self: Box<Self>) -> io::Result<()> {
        self.flush()
    }
}

/// The roofline: the same bytes copied into anonymous memory that is already there.
pub struct Memory {
    bytes: Vec<u8>,
    offset: usize,
}

impl Memory {
    pub fn open() -> Memory {
        Memory { bytes: vec![1; SEGMENT], offset: 0 }
    }
}

impl Tail for Memory {
    fn append(&mut self, record: &Record) -> io::Result<()> {
        if self.offset + RECORD > SEGMENT {
            self.offset = 0;
        }
        self.bytes[self.offset..self.offset + RECORD].copy_from_slice(record);
        self.offset += RECORD;
        Ok(())
    }

    fn syncer(&self) -> Option<Syncer> {
        None
    }

    fn finish(self: Box<Self>) -> io::Result<()> {
        std::hint::black_box(&self.bytes);
        Ok(())
    }
}
