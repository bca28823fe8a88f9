//! scan and count: walks over all records, or those with a prefix.

use std::ffi::OsStr;

use kv::db::{Db, Iter};
use serde_json::json;

use crate::args::{Count, Scan, Shared};
use crate::bytes::Encoding;
use crate::fail::{Failure, Outcome};
use crate::input;
use crate::open::{open, Purpose};
use crate::output::{answer, set_bytes, Out};

/// The bytes of a prefix; none is that of all keys.
pub fn prefix(text: Option<&OsStr>, encoding: Encoding) -> Result<Vec<u8>, Failure> {
    text.map_or(Ok(Vec::new()), |text| input::argument(text, encoding, "prefix"))
}

/// Shows all records whose keys begin with `prefix`, as of one moment, until `see` says that it is
/// enough.
pub fn walk(
    db: &Db,
    prefix: &[u8],
    mut see: impl FnMut(&[u8], &[u8]) -> Result<bool, Failure>,
) -> Result<(), Failure> {
    let mut iter = db.open_iter(None, prefix)?;
    let walked = walk_on(db, &mut iter, &mut see);
    db.close_iter(iter);
    walked
}

fn walk_on(
    db: &Db,
    iter: &mut Iter,
    see: &mut impl FnMut(&[u8], &[u8]) -> Result<bool, Failure>,
) -> Result<(), Failure> {
    while db.advance(iter)? {
        let Some((key, value)) = iter.current() else { break };
        if !see(key, value)? {
            break;
        }
    }
    Ok(())
}

/// Lists keys and values.
pub fn scan(args: &Scan, shared: &Shared) -> Result<Outcome, Failure> {
    let prefix = prefix(args.prefix.as_deref(), args.encodings.of_keys(Encoding::Raw))?;
    let unless_said = if args.null { Encoding::Raw } else { Encoding::Escaped };
    let of_keys = args.encodings.of_keys(unless_said);
    let of_values = args.encodings.of_values(unless_said);
    let limit = args.limit.unwrap_or(u64::MAX);
    let db = open(&args.db, Purpose::Read, shared)?;
    let mut out = Out::new();
    let mut left = limit;
    let mut line = Vec::new();
    let mut show = |key: &[u8], value: &[u8]| -> Result<bool, Failure> {
        let Some(after) = left.checked_sub(1) else { return Ok(false) };
        left = after;
        if shared.json {
            let mut object = json!({});
            if !args.values {
                set_bytes(&mut object, "key", key);
            }
            if !args.keys_only {
                set_bytes(&mut object, "value", value);
            }
            if let Some(expires_at) = db.expires_at(key)?.flatten() {
                object["expires_at_ms"] = json!(expires_at);
            }
            out.json(&object)?;
            return Ok(left > 0);
        }
        line.clear();
        if !args.values {
            of_keys.encode(key, &mut line);
        }
        if !args.values && !args.keys_only {
            line.push(if args.null { 0 } else { b'\t' });
        }
        if !args.keys_only {
            of_values.encode(value, &mut line);
        }
        line.push(if args.null { 0 } else { b'\n' });
        out.write(&line)?;
        Ok(left > 0)
    };
    walk(&db, &prefix, &mut show)?;
    out.flush()?;
    db.close()?;
    Ok(Outcome::Done)
}

/// Counts keys: from the index if all are meant, else by reading them.
pub fn count(args: &Count, shared: &Shared) -> Result<Outcome, Failure> {
    let prefix = prefix(args.prefix.as_deref(), args.encodings.of_keys(Encoding::Raw))?;
    let db = open(&args.db, Purpose::Read, shared)?;
    let is_exact = args.exact || !prefix.is_empty();
    let mut keys = 0;
    if is_exact {
        walk(&db, &prefix, |_, _| {
            keys += 1;
            Ok(true)
        })?;
    } else {
        keys = db.count();
    }
    db.close()?;
    answer(shared, &keys.to_string(), &json!({ "count": keys, "exact": is_exact }))?;
    Ok(Outcome::Done)
}
