//! Writes of several kinds to a database that may be damaged, and what must be there then.

use kv::db::{WriteBatch, WriteOptions, WriteSync, Written};
use kv::engine::Engine;
use kv::error::Error;

use super::Model;

/// Writes over a part of the keys in several ways; answers what is there then.
pub fn write_over(
    engine: &Engine,
    keys: &[Vec<u8>],
    state: &Model,
    hear: &dyn Fn(&Error),
) -> Model {
    let mut now = state.clone();
    for (number, key) in keys.iter().enumerate() {
        let value = vec![number as u8; 3 * number];
        let is_there = state.contains_key(key);
        let absent = WriteOptions { if_absent: true, ..WriteOptions::default() };
        let written = match number % 5 {
            0 => engine.put(key, &value).map(|()| true),
            1 => engine.delete(key).map(|was_there| {
                assert_eq!(was_there, is_there, "{} was there", key.escape_ascii());
                now.remove(key);
                false
            }),
            2 => engine.put_with(key, &value, &absent).map(|written| {
                let is_done = matches!(written, Written::Done(_));
                assert_eq!(is_done, !is_there, "{} is not absent", key.escape_ascii());
                is_done
            }),
            3 => {
                let mut batch = WriteBatch::new();
                batch.put(key, &value, 0).expect("put");
                batch.put(b"beside it", &value, 0).expect("put");
                engine.write(&batch, WriteSync::AsOpened).map(|()| {
                    now.insert(b"beside it".to_vec(), value.as_slice().into());
                    true
                })
            }
            _ => Ok(false),
        };
        match written {
            Ok(true) => _ = now.insert(key.clone(), value.into()),
            Ok(false) => {}
            Err(error) => hear(&error),
        }
    }
    now
}
