//! Writes that depend on what is there: conditions, counters, times to live.

use std::borrow::Cow;

use super::write::{check_value, Change, Decision, Value};
use super::{copy_of, Engine, OldRecord};
use crate::epoch::Guard;
use crate::error::{Error, Kind, Result};

/// The longest time to live: some 30,000 years.
pub const MAX_TTL_MS: u64 = 1_000_000_000_000_000;

pub(super) fn check_ttl(ttl_ms: u64) -> Result<()> {
    if ttl_ms <= MAX_TTL_MS {
        return Ok(());
    }
    let message = format!("a time to live of {ttl_ms} ms is too long; the limit is {MAX_TTL_MS}");
    Err(Error::new(Kind::InvalidArgument, message))
}

/// How long the value of a put is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lifetime {
    Forever,
    /// So many milliseconds from when it is written.
    For(u64),
    /// Until so many milliseconds since 1970.
    Until(u64),
}

impl Lifetime {
    /// That of a time to live; 0 is for ever.
    pub fn of_ttl(ttl_ms: u64) -> Result<Lifetime> {
        check_ttl(ttl_ms)?;
        Ok(if ttl_ms > 0 { Lifetime::For(ttl_ms) } else { Lifetime::Forever })
    }

    /// One that ends then: at a time that a time to live could have led to.
    pub fn until(unix_ms: u64) -> Result<Lifetime> {
        if (1..=2 * MAX_TTL_MS).contains(&unix_ms) {
            return Ok(Lifetime::Until(unix_ms));
        }
        let message = format!("{unix_ms} is no time in milliseconds since 1970 to expire at");
        Err(Error::new(Kind::InvalidArgument, message))
    }

    /// When it ends, if it does and the value is written now.
    pub fn end(self, now_ms: u64) -> Option<u64> {
        match self {
            Lifetime::Forever => None,
            Lifetime::For(ttl_ms) => Some(now_ms.saturating_add(ttl_ms)),
            Lifetime::Until(unix_ms) => Some(unix_ms),
        }
    }
}

/// When a write is on the medium.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WriteSync {
    /// As the database was opened.
    #[default]
    AsOpened,
    /// Before it is acknowledged.
    Yes,
    /// Later.
    No,
}

/// What a write depends on, and what comes with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WriteOptions {
    /// The value expires after so many milliseconds; 0: never.
    pub ttl_ms: u64,
    /// The value expires when the one before it would have.
    pub keep_ttl: bool,
    /// Write only if the key is not there.
    pub if_absent: bool,
    /// Write only if this is the key's version; 0: whatever it is.
    pub if_version: u64,
    /// Write nothing if the key has this very value.
    pub skip_if_equal: bool,
    /// When it is on the medium.
    pub sync: WriteSync,
}

/// What became of a conditional write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// It was done; the key has this version now.
    Done(u64),
    /// Nothing had to be written; the key has this version still.
    Unchanged(u64),
    /// The key is there, against `if_absent`.
    Exists,
    /// The key has not the version of `if_version`, or is not there.
    OtherVersion,
    /// There is no such key to change.
    NotFound,
}

impl Engine {
    /// Sets the value of `key`, if what `options` ask for holds.
    pub fn put_with<'v>(
        &self,
        key: &[u8],
        value: &'v [u8],
        options: &WriteOptions,
    ) -> Result<Written> {
        check_value(value)?;
        check_ttl(options.ttl_ms)?;
        let bytes = || Value::Bytes(Cow::Borrowed(value));
        let prepare = || Change::put_until(key, bytes(), self.expiry_in(options.ttl_ms));
        let decide = |change: &mut Change<'v>, guard: &Guard, old: Option<&OldRecord>| {
            let old = self.live_for(options, guard, old)?;
            if let Some(stopped) = stopped(options, old) {
                return Ok(Decision::Leave(stopped));
            }
            let Some(old) = old else { return Ok(Decision::Append) };
            let expiry = if options.keep_ttl { old.expiry } else { change.expiry };
            let may_be_equal = options.skip_if_equal && old.expiry == expiry;
            if may_be_equal && old.record(guard, &mut Vec::new())?.value() == value {
                return Ok(Decision::Leave(Written::Unchanged(old.sequence)));
            }
            if expiry != change.expiry {
                *change = Change::put_until(key, bytes(), expiry);
            }
            Ok(Decision::Append)
        };
        self.change(key, options.sync, prepare, decide)
    }

    /// Removes `key`, if it has the version that `options` ask for.
    pub fn delete_with(&self, key: &[u8], options: &WriteOptions) -> Result<Written> {
        let decide = |_: &mut Change, guard: &Guard, old: Option<&OldRecord>| {
            let old = self.live_for(options, guard, old)?;
            Ok(match (stopped(options, old), old) {
                (_, None) => Decision::Leave(Written::NotFound),
                (Some(stopped), _) => Decision::Leave(stopped),
                (None, Some(_)) => Decision::Remove,
            })
        };
        self.change(key, options.sync, || Change::tombstone(key), decide)
    }

    /// Adds `delta` to the counter `key`, which begins at 0; answers what it is now.
    pub fn add(&self, key: &[u8], delta: i64) -> Result<i64> {
        let mut sum = 0;
        let decide = |change: &mut Change<'_>, guard: &Guard, old: Option<&OldRecord>| {
            let old = self.live(guard, old)?;
            let (before, expiry) = match old {
                Some(old) => (counter(old.record(guard, &mut Vec::new())?.value())?, old.expiry),
                None => (0, None),
            };
            sum = before.checked_add(delta).ok_or_else(|| overflow(before, delta))?;
            let value = Value::Bytes(Cow::Owned(sum.to_le_bytes().to_vec()));
            *change = Change::put_until(key, value, expiry);
            Ok(Decision::Append)
        };
        self.change(key, WriteSync::AsOpened, || Change::put(key, &[]), decide)?;
        Ok(sum)
    }

    /// Lets the value of `key` expire after `ttl_ms` milliseconds from now, or never if that is 0.
    pub fn touch(&self, key: &[u8], ttl_ms: u64) -> Result<Written> {
        check_ttl(ttl_ms)?;
        let decide = |change: &mut Change<'_>, guard: &Guard, old: Option<&OldRecord>| {
            let Some(old) = self.live(guard, old)? else {
                return Ok(Decision::Leave(Written::NotFound));
            };
            let expiry = self.expiry_in(ttl_ms);
            if old.expiry == expiry {
                return Ok(Decision::Leave(Written::Unchanged(old.sequence)));
            }
            let value = copy_of(old.record(guard, &mut Vec::new())?.value())?;
            *change = Change::put_until(key, Value::Bytes(Cow::Owned(value)), expiry);
            Ok(Decision::Append)
        };
        self.change(key, WriteSync::AsOpened, || Change::put(key, &[]), decide)
    }

    /// The old record of a key, if its value is there still, for a write with these options. What
    /// the write depends on, or keeps, is believed of no damaged record.
    #[inline]
    pub(super) fn live_for<'o, 'a>(
        &self,
        options: &WriteOptions,
        guard: &Guard,
        old: Option<&'o OldRecord<'a>>,
    ) -> Result<Option<&'o OldRecord<'a>>> {
        let old = self.live(guard, old)?;
        if let Some(old) = old.filter(|_| options.keep_ttl || options.if_version != 0) {
            old.record(guard, &mut Vec::new())?;
        }
        Ok(old)
    }

    /// When a value expires that is to live so long; 0: never.
    pub(super) fn expiry_in(&self, ttl_ms: u64) -> Option<u64> {
        (ttl_ms > 0).then(|| self.clock.now_ms().saturating_add(ttl_ms))
    }
}

/// Why a write must not be done, if `old` is the key's live record.
pub(super) fn stopped(options: &WriteOptions, old: Option<&OldRecord>) -> Option<Written> {
    if options.if_absent && old.is_some() {
        return Some(Written::Exists);
    }
    let wanted = options.if_version;
    let is_other = wanted != 0 && old.is_none_or(|old| old.sequence != wanted);
    is_other.then_some(Written::OtherVersion)
}

fn counter(value: &[u8]) -> Result<i64> {
    let bytes = value.try_into().map_err(|_| {
        let what = format!("the value has {} bytes; a counter has 8", value.len());
        Error::new(Kind::NotACounter, what)
    })?;
    Ok(i64::from_le_bytes(bytes))
}

#[cold]
fn overflow(before: i64, delta: i64) -> Error {
    Error::new(Kind::Overflow, format!("{before} plus {delta} is no 64-bit number"))
}
