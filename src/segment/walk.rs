//! A walk through a segment for those who read it all: in place, where there is a map.
//!
//! [`super::scan`] reads files, so that compaction and recovery meet a media error as an error, and
//! copies what it reads. Here records are looked at where they lie, as when they are read singly,
//! and what comes next is fetched ahead of the walk. Without a map it is the same with a window.

use super::{Body, Hold};
use crate::error::{Error, Kind, Result};
use crate::format::record::{Header, Record, RecordKind, HEADER_LEN};
use crate::format::segment::HEADER_PAGE;

/// Bytes that are read at once, where there is no map.
const WINDOW: u64 = 1 << 20;
/// Bytes that the system is asked to fetch ahead of the walk, and in one call: it does not fetch
/// more at once than it likes to.
const AHEAD: u64 = 2 << 20;
const ASKED_AT_ONCE: u64 = 128 << 10;

/// What a step meets.
pub enum Step<'a> {
    /// A record, and where it begins.
    Record(Record<'a>, u64),
    /// There are no more.
    End,
    /// What comes next is not in the window, which may not move now.
    Outside,
    /// Something is no record, for this reason.
    Damage(&'static str),
}

/// Where the records of a walk must end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// With a seal.
    Seal,
    /// Where the walk does.
    There,
    /// There, or where zeros begin.
    Zeros,
}

/// A walk through a segment.
pub struct Walk {
    hold: Hold,
    /// Where the next record begins, and where there are none any more.
    offset: u64,
    end: u64,
    ending: Ending,
    verifies: bool,
    window: Vec<u8>,
    window_at: u64,
    /// What lies before this was asked for.
    asked_to: u64,
}

impl Walk {
    /// A walk through the first `end` bytes. `verifies` says whether checksums are looked at.
    pub fn new(hold: Hold, end: u64, ending: Ending, verifies: bool) -> Walk {
        let offset = HEADER_PAGE as u64;
        let (window, window_at) = (Vec::new(), 0);
        Walk { hold, offset, end, ending, verifies, window, window_at, asked_to: offset }
    }

    /// The segment.
    pub fn hold(&self) -> &Hold {
        &self.hold
    }

    /// Where the next step looks.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Goes no further.
    pub fn stop(&mut self) {
        (self.offset, self.ending) = (self.end, Ending::There);
    }

    /// The next record. What was met before stays where it is unless `moves`. After damage the walk
    /// is where it was.
    #[inline]
    pub fn step(&mut self, moves: bool) -> Result<Step<'_>> {
        if self.offset + AHEAD > self.asked_to {
            self.ask_ahead();
        }
        let offset = self.offset;
        let met = self.look(moves);
        let header = match met.map_err(|error| self.give_up(error))? {
            Met::Record(header) => header,
            Met::End if self.ending == Ending::Seal => {
                return Ok(Step::Damage("the records end before the seal"));
            }
            Met::End if self.ending == Ending::There && offset < self.end => {
                return Ok(Step::Damage(NO_RECORD));
            }
            Met::End | Met::Seal => return Ok(Step::End),
            Met::Outside => return Ok(Step::Outside),
            Met::Damage(what) => return Ok(Step::Damage(what)),
        };
        self.offset += header.record_len() as u64;
        let bytes = self.bytes(offset, header.checked_len());
        let record = bytes.and_then(|bytes| Record::of(header, bytes));
        Ok(record.map_or(UNKNOWN, |record| Step::Record(record, offset)))
    }

    #[inline]
    fn look(&mut self, moves: bool) -> Result<Met> {
        let (offset, rest) = (self.offset, self.end.saturating_sub(self.offset));
        if rest < HEADER_LEN as u64 {
            return Ok(Met::End);
        }
        if !self.reach(HEADER_LEN, moves)? {
            return Ok(Met::Outside);
        }
        let head = self.bytes(offset, HEADER_LEN).unwrap_or_default();
        let Some(header) = Header::decode(head) else {
            let is_blank = head.iter().all(|&byte| byte == 0);
            return Ok(if is_blank { Met::End } else { Met::Damage(NO_RECORD) });
        };
        if header.record_len() as u64 > rest {
            return Ok(Met::Damage("the record reaches past the end of the segment"));
        }
        if !self.reach(header.checked_len(), moves)? {
            return Ok(Met::Outside);
        }
        let bytes = self.bytes(offset, header.checked_len());
        let Some(record) = bytes.and_then(|bytes| Record::of(header, bytes)) else {
            return Ok(Met::Damage(NO_RECORD));
        };
        if self.verifies && !record.verifies(self.hold.segment().header.salt, offset) {
            return Ok(Met::Damage("the checksum of the record does not match"));
        }
        Ok(if header.kind == RecordKind::Seal { Met::Seal } else { Met::Record(header) })
    }

    /// Goes on behind the damage that the last step met, if a whole record begins there; else it
    /// goes no further. Answers whether it goes on.
    pub fn pass_damage(&mut self) -> Result<bool> {
        match self.behind_damage() {
            Ok(Some(next)) => self.offset = next,
            Ok(None) => self.stop(),
            Err(error) => return Err(self.give_up(error)),
        }
        Ok(self.offset < self.end)
    }

    /// Where a whole record begins behind the damaged one, if that can be told.
    fn behind_damage(&self) -> Result<Option<u64>> {
        let (mut scratch, salt) = (Vec::new(), self.hold.segment().header.salt);
        let body = self.hold.body()?;
        let damaged = body.record(self.offset, &mut scratch)?;
        let next = damaged.map(|it| self.offset.saturating_add(it.header.record_len() as u64));
        let Some(next) = next.filter(|&next| next < self.end) else { return Ok(None) };
        let record = body.record(next, &mut scratch)?;
        Ok(record.filter(|record| record.verifies(salt, next)).map(|_| next))
    }

    /// A file that was cut stays so: to try again would not end.
    #[cold]
    fn give_up(&mut self, error: Error) -> Error {
        if error.kind() == Kind::Corrupt {
            self.stop();
        }
        error
    }

    /// Makes sure that the next `len` bytes, which the segment has, are in the window. Answers
    /// `false` if it would have to move for that and must not.
    #[inline]
    fn reach(&mut self, len: usize, moves: bool) -> Result<bool> {
        let Ok(Body::File(file, _)) = self.hold.body() else { return Ok(true) };
        let window_end = self.window_at + self.window.len() as u64;
        if self.window_at <= self.offset && self.offset + len as u64 <= window_end {
            return Ok(true);
        }
        if !moves {
            return Ok(false);
        }
        let wanted = (self.end - self.offset).min(WINDOW.max(len as u64)) as usize;
        self.window.clear();
        self.window.try_reserve_exact(wanted).map_err(|_| {
            Error::new(Kind::OutOfMemory, "there is no memory for reading a segment")
        })?;
        self.window.resize(wanted, 0);
        let read = file.read_at(&mut self.window, self.offset);
        self.window_at = self.offset;
        if read.is_err() {
            self.window.clear();
        }
        read.map(|()| true)
    }

    /// Asks the system to fetch what comes next, where it would not do so by itself.
    #[cold]
    fn ask_ahead(&mut self) {
        let to = (self.offset + 2 * AHEAD).min(self.end);
        if let Ok(Body::Mapped(map)) = self.hold.body() {
            while self.asked_to < to {
                let len = ASKED_AT_ONCE.min(to - self.asked_to);
                map.will_need(self.asked_to as usize, len as usize);
                self.asked_to += len;
            }
        }
        if to == self.end {
            self.asked_to = u64::MAX;
        }
    }

    /// The bytes of a record that was met, as long as the window has not moved since.
    #[inline]
    pub fn bytes(&self, offset: u64, len: usize) -> Option<&[u8]> {
        match self.hold.body() {
            Ok(Body::Mapped(map)) => map.bytes(offset as usize, len),
            _ => {
                let at = offset.checked_sub(self.window_at)? as usize;
                self.window.get(at..at.checked_add(len)?)
            }
        }
    }
}

/// What comes next.
enum Met {
    Record(Header),
    Seal,
    End,
    Outside,
    Damage(&'static str),
}

const NO_RECORD: &str = "no record can be made out";
const UNKNOWN: Step<'static> = Step::Damage(NO_RECORD);
