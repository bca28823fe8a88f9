//! Values that the caller puts into the log itself, without a copy.
//!
//! A reservation is a hole at the end of the log. If nobody writes until it is committed, the
//! record is written around the value, and that is all. Whoever does write meanwhile does not wait:
//! a gap record closes the hole off, the log goes on behind it, and committing copies the value.

use std::sync::atomic::{AtomicU64, Ordering};

use super::conditional::{check_ttl, stopped, WriteOptions, Written};
use super::space::Purpose;
use super::write::{check_key, Change, Decision, Value, Writer};
use super::{Engine, OldRecord};
use crate::epoch::Guard;
use crate::error::{Error, Kind, Result};
use crate::format::encode::{Extra, Prepared};
use crate::format::record::{record_len, RecordKind};
use crate::format::MAX_VALUE_LEN;
use crate::storage::map::Hole;
use crate::wrong_turn::is_taken;

/// The most bytes of key and value together: a gap must have room for all of the record but its
/// header, and is no longer than a value. What is left are a field and zeros.
const LONGEST: usize = MAX_VALUE_LEN - 16;

/// How many there were in this process.
static RESERVATIONS: AtomicU64 = AtomicU64::new(0);

/// A value that is being put into the log. Dropped, it was never there.
pub struct Reservation {
    hole: Hole,
    key: Box<[u8]>,
    options: WriteOptions,
    /// Tells it from all other reservations, those of other databases included.
    number: u64,
}

impl Reservation {
    /// Where the value goes.
    pub fn start(&self) -> *mut u8 {
        self.hole.start()
    }

    /// Bytes of the value.
    pub fn len(&self) -> usize {
        self.hole.len()
    }

    /// What was put there. Whoever fills it must not do so meanwhile.
    pub(super) fn bytes(&self) -> &[u8] {
        self.hole.bytes()
    }

    /// Whether the value has no bytes.
    pub fn is_empty(&self) -> bool {
        self.hole.is_empty()
    }

    /// Puts `bytes` at the beginning of the value.
    ///
    /// # Panics
    /// If they are more than the value has.
    pub fn fill(&mut self, bytes: &[u8]) {
        self.hole.fill(bytes);
    }
}

/// The hole at the end of the log.
pub(super) struct Reserved {
    number: u64,
    /// Bytes before the value.
    lead: usize,
    /// What closes it off if others write first.
    gap: Prepared,
}

impl Engine {
    /// Makes room at the end of the log for a value of `key`, which the caller fills.
    pub fn reserve_value(
        &self,
        key: &[u8],
        value_len: usize,
        options: &WriteOptions,
    ) -> Result<Reservation> {
        check_key(key)?;
        check_ttl(options.ttl_ms)?;
        let limit = LONGEST - key.len();
        if value_len > limit {
            let what = format!("the value has {value_len} bytes; the limit is {limit} here");
            return Err(Error::new(Kind::ValueTooLong, what));
        }
        let extra = Extra { expiry: (options.ttl_ms > 0).then_some(0), ..Extra::default() };
        let lead = Prepared::with(RecordKind::Put, key, &[], &extra).lead_len(key.len());
        let len = record_len(key.len(), value_len, lead - key.len() - record_len(0, 0, 0));
        let mut writer = self.writer.lock();
        self.make_room(&mut writer, len, Purpose::Put)?;
        let number = RESERVATIONS.fetch_add(1, Ordering::Relaxed);
        let active = writer.end()?;
        let hole = active.open_hole(lead, value_len, len);
        writer.reserved =
            Some(Reserved { number, lead, gap: Prepared::gap(len - record_len(0, 0, 0)) });
        Ok(Reservation { hole, key: key.into(), options: *options, number })
    }

    /// Makes the value part of the database, if what its options ask for holds. The caller has
    /// filled it, and does not write to it any more.
    pub fn commit_value<'v>(&self, reservation: &'v Reservation) -> Result<Written> {
        let Reservation { key, options, .. } = reservation;
        let with = |expiry| Change::put_until(key, Value::Reserved(reservation), expiry);
        let prepare = || with(self.expiry_in(options.ttl_ms));
        let decide = |change: &mut Change<'v>, guard: &Guard, old: Option<&OldRecord>| {
            let old = self.live_for(options, guard, old)?;
            if let Some(stopped) = stopped(options, old) {
                return Ok(Decision::Leave(stopped));
            }
            match old.filter(|_| options.keep_ttl).map(|old| old.expiry) {
                Some(kept) if kept != change.expiry => *change = with(kept),
                _ => {}
            }
            Ok(Decision::Append)
        };
        let written = self.change(key, options.sync, prepare, decide);
        if !matches!(written, Ok(Written::Done(_))) {
            self.abort_value(reservation);
        }
        written
    }

    /// Gives the room of a reservation back, if nobody has written behind it.
    pub fn abort_value(&self, reservation: &Reservation) {
        let mut writer = self.writer.lock();
        if writer.is_reserved(reservation) {
            writer.reserved = None;
            if let Some(active) = &mut writer.active {
                active.close_hole();
            }
        }
    }
}

impl Writer {
    /// Whether the hole of `reservation` is at the end of the log still.
    fn is_reserved(&self, reservation: &Reservation) -> bool {
        self.reserved.as_ref().is_some_and(|reserved| reserved.number == reservation.number)
    }

    /// Whether the value of `change` is in the hole at the end of the log, and its record fits
    /// around it.
    #[inline]
    pub(super) fn has_reserved(&self, change: &Change, key: &[u8]) -> bool {
        match (&change.value, &self.reserved) {
            (Value::Reserved(reservation), Some(reserved)) => {
                let fits = reserved.lead == change.record.lead_len(key.len());
                fits && self.is_reserved(reservation)
            }
            _ => false,
        }
    }

    /// Closes the hole at the end of the log off, so that the log can go on behind it.
    pub(super) fn pass_hole(&mut self) {
        if let (Some(reserved), Some(active)) = (self.reserved.take(), &mut self.active) {
            active.pass_hole(&reserved.gap, self.next_sequence);
            if !is_taken!(GapWithoutSequence) {
                self.next_sequence += 1;
            }
        }
    }
}
