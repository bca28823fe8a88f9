//! get, put and delete.

use std::io::{self, IsTerminal};
use std::path::Path;

use kv::db::{WriteOptions, Written};
use serde_json::json;

use crate::args::{Delete, Get, Put, Shared};
use crate::bytes::{escaped, Encoding};
use crate::fail::{Failure, Outcome};
use crate::input;
use crate::open::{open, Purpose};
use crate::output::{answer, remark, set_bytes, Out};

/// Writes the value of a key, and nothing else: raw bytes have no newline behind them, but on a
/// terminal.
pub fn get(args: &Get, shared: &Shared) -> Result<Outcome, Failure> {
    let encoding = args.encodings.of_keys(Encoding::Raw);
    let key = input::key(args.key.as_deref(), args.key_file.as_deref(), encoding)?;
    let db = open(&args.db, Purpose::Read, shared)?;
    let found = db.get(&key, <[u8]>::to_vec)?;
    let expires_at = if found.is_some() { db.expires_at(&key)?.flatten() } else { None };
    db.close()?;
    let mut out = Out::new();
    if shared.json {
        let mut object = json!({ "found": found.is_some() });
        set_bytes(&mut object, "key", &key);
        if let Some(value) = &found {
            set_bytes(&mut object, "value", value);
        }
        if let Some(expires_at) = expires_at {
            object["expires_at_ms"] = json!(expires_at);
        }
        out.json(&object)?;
    } else if let Some(value) = &found {
        let encoding = args.encodings.of_values(Encoding::Raw);
        let mut text = Vec::new();
        encoding.encode(value, &mut text);
        if encoding != Encoding::Raw || io::stdout().is_terminal() {
            text.push(b'\n');
        }
        out.write(&text)?;
    } else {
        remark(shared, &format!("there is no key \"{}\"", escaped(&key)));
    }
    out.flush()?;
    Ok(if found.is_some() { Outcome::Done } else { Outcome::No })
}

/// Stores a value; it is on the medium when this returns.
pub fn put(args: &Put, shared: &Shared) -> Result<Outcome, Failure> {
    let file = match (&args.value, &args.file) {
        (Some(value), _) if value == "-" => Some(Path::new(value)),
        (_, file) => file.as_deref(),
    };
    let key_file = args.key_file.as_deref();
    if key_file.is_some_and(input::is_dash) && file.is_some_and(input::is_dash) {
        return Err(Failure::usage("key and value cannot both come from standard input"));
    }
    let key = input::key(args.key.as_deref(), key_file, args.encodings.of_keys(Encoding::Raw))?;
    let encoding = args.encodings.of_values(Encoding::Raw);
    let value = match (file, &args.value) {
        (Some(path), _) => input::file(path, encoding, "value")?,
        (None, Some(text)) => input::argument(text, encoding, "value")?,
        (None, None) => return Err(Failure::usage("there is no value")),
    };
    let purpose = if args.create { Purpose::Create } else { Purpose::Write };
    let db = open(&args.db, purpose, shared)?;
    let options = WriteOptions {
        ttl_ms: args.ttl.map_or(0, |ttl| ttl.as_millis() as u64),
        if_absent: args.if_absent,
        ..WriteOptions::default()
    };
    let written = db.put_with(&key, &value, &options)?;
    db.close()?;
    let is_done = written != Written::Exists;
    if shared.json {
        let mut object = json!({ "stored": is_done, "value_bytes": value.len() });
        set_bytes(&mut object, "key", &key);
        answer(shared, "", &object)?;
    } else if !is_done {
        remark(shared, &format!("the key \"{}\" is there already", escaped(&key)));
    }
    Ok(if is_done { Outcome::Done } else { Outcome::No })
}

/// Deletes keys, and says which were not there.
pub fn delete(args: &Delete, shared: &Shared) -> Result<Outcome, Failure> {
    let encoding = args.encodings.of_keys(Encoding::Raw);
    let keys = match &args.key_file {
        Some(path) => vec![input::file(path, encoding, "key")?],
        None => {
            let read = args.keys.iter().map(|text| input::argument(text, encoding, "key"));
            read.collect::<Result<Vec<_>, _>>()?
        }
    };
    let db = open(&args.db, Purpose::Write, shared)?;
    let mut missing = 0_usize;
    for key in &keys {
        if !db.delete(key)? {
            missing += 1;
            if !shared.json {
                remark(shared, &format!("there is no key \"{}\"", escaped(key)));
            }
        }
    }
    db.close()?;
    if shared.json {
        answer(shared, "", &json!({ "deleted": keys.len() - missing, "missing": missing }))?;
    }
    Ok(if missing == 0 { Outcome::Done } else { Outcome::No })
}
