//! Where the writes of a log end, read from intact files as docs/FORMAT.md has it: another reader
//! than the library's own, so that the two cannot be wrong together.

use std::ops::Range;

use kv::format::segment::HEADER_PAGE;

const HEADER: usize = 16;
const IN_BATCH: u8 = 4;
const WITH_FIELD: [u8; 3] = [1, 2, 8];
const MARK: u8 = 8;
const GAP: u8 = 3;
const SEAL: u8 = 127;

/// What a segment holds.
pub struct Log {
    /// Where each write ends: a record, or a batch. A gap belongs to the write behind it.
    pub ends: Vec<usize>,
    /// Where the records end: the seal included.
    pub end: usize,
    pub is_sealed: bool,
    /// Bytes that each of the sync marks says are on the medium.
    pub marks: [usize; 2],
}

/// Where the sync marks are.
pub const MARKS: [Range<usize>; 2] = [2048..2064, 3072..3088];

/// Reads a segment.
pub fn read(bytes: &[u8]) -> Log {
    let marks = MARKS.map(|place| number(&bytes[place][..8]).max(HEADER_PAGE));
    let mut log = Log { ends: Vec::new(), end: HEADER_PAGE, is_sealed: false, marks };
    while let Some(header) = bytes.get(log.end..log.end + HEADER) {
        let (kind, flags) = (header[14], header[15]);
        if kind == 0 || log.is_sealed {
            break;
        }
        let fields = WITH_FIELD.iter().filter(|&&flag| flags & flag != 0).count();
        let len = HEADER + 8 * fields + number(&header[8..12]) + number(&header[12..14]);
        log.end += len.next_multiple_of(8);
        log.is_sealed = kind == SEAL;
        let is_within = kind == GAP || flags & IN_BATCH != 0 && flags & MARK == 0;
        if !is_within && !log.is_sealed {
            log.ends.push(log.end);
        }
    }
    log
}

fn number(bytes: &[u8]) -> usize {
    bytes.iter().rev().fold(0, |number, &byte| number << 8 | usize::from(byte))
}
