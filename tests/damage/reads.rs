//! Every kind of read, judged: each answer is the one that is known to be right, or an error that
//! the caller finds clear.

use kv::db::Snapshot;
use kv::engine::Engine;
use kv::error::{Error, Result};

use super::Model;

/// A prefix of some of the keys.
const PREFIX: &[u8] = b"k";
/// An iterator that goes on for longer than this goes on for ever.
const MOST_STEPS: usize = 100_000;

/// Reads a database that may be damaged. Its functions panic at a wrong answer.
pub struct Reader<'a> {
    pub engine: &'a Engine,
    /// Every key that was ever written.
    pub keys: &'a [Vec<u8>],
    /// Panics if an error is not clear.
    pub hear: &'a dyn Fn(&Error),
}

impl Reader<'_> {
    /// Reads all of `state` in every way; answers how many keys are said to be damaged.
    pub fn read_all(&self, state: &Model) -> usize {
        let damaged = self.read_singly(state);
        assert_eq!(self.read_many(state), damaged, "damaged keys, many at once");
        let snapshot = self.engine.open_snapshot().expect("a snapshot");
        assert_eq!(self.read_at(&snapshot, state), damaged, "damaged keys, at a snapshot");
        let met = self.iterate(Some(&snapshot), b"", state);
        assert!(met > 0 || damaged == 0, "an iterator did not meet the damage");
        self.engine.close_snapshot(snapshot);
        self.iterate(None, PREFIX, state);
        if damaged == 0 {
            assert_eq!(self.engine.len(), state.len(), "there are keys that nobody wrote");
        }
        damaged
    }

    /// Whether an answer is the right one, and not an error. `is_right` judges what was found.
    fn judge<T>(
        &self,
        (how, key): (&str, &[u8]),
        found: Result<Option<T>>,
        is_there: bool,
        is_right: impl FnOnce(&T) -> bool,
    ) -> bool {
        match found {
            Ok(None) => assert!(!is_there, "{how}: {} is missing", key.escape_ascii()),
            Ok(Some(found)) => {
                assert!(is_there, "{how}: {} is there", key.escape_ascii());
                assert!(is_right(&found), "{how}: {} has another value", key.escape_ascii());
            }
            Err(error) => {
                (self.hear)(&error);
                return false;
            }
        }
        true
    }

    fn read_singly(&self, state: &Model) -> usize {
        let engine = self.engine;
        let is_damaged = |key: &Vec<u8>| {
            let value = state.get(key).map(|value| &**value);
            let (is_there, right) = (value.is_some(), value.unwrap_or_default());
            let got = engine.get(key, |found| found == right);
            let whole = [
                self.judge(("get", key), got, is_there, |is_right| *is_right),
                self.judge(("view", key), engine.view(key), is_there, |v| v.bytes() == right),
                self.judge(("len", key), engine.value_len(key), is_there, |&l| l == right.len()),
                self.judge(("version", key), engine.version(key), is_there, |&v| v > 0),
                self.judge(("ttl", key), engine.ttl(key), is_there, |_| true),
            ];
            assert!(whole.iter().all(|w| *w == whole[0]), "{}: {whole:?}", key.escape_ascii());
            !whole[0]
        };
        self.keys.iter().filter(|key| is_damaged(key)).count()
    }

    fn read_many(&self, state: &Model) -> usize {
        let (count, key_at) = (self.keys.len(), |at: usize| Ok(self.keys[at].as_slice()));
        let (mut damaged, mut seen) = (0, 0);
        let take = |at: usize, found: Result<Option<&[u8]>>| {
            let (key, value) = (&self.keys[at], state.get(&self.keys[at]));
            let is_right = |found: &&[u8]| value.is_some_and(|value| **value == **found);
            damaged += usize::from(!self.judge(("many", key), found, value.is_some(), is_right));
            seen += 1;
        };
        self.engine.get_many(count, key_at, take).expect("many are read");
        assert_eq!(seen, count, "each key is answered once");
        let views = self.engine.view_many(count, key_at).expect("many are viewed");
        for (at, key) in self.keys.iter().enumerate() {
            let value = state.get(key);
            let is_right = |found: &&[u8]| value.is_some_and(|value| **value == **found);
            self.judge(("views", key), views.value(at), value.is_some(), is_right);
        }
        damaged
    }

    /// Reads all of `state` at a snapshot; answers how many keys are said to be damaged.
    pub fn read_at(&self, snapshot: &Snapshot, state: &Model) -> usize {
        let engine = self.engine;
        let is_damaged = |key: &Vec<u8>| {
            let value = state.get(key).map(|value| &**value);
            let (is_there, right) = (value.is_some(), value.unwrap_or_default());
            let got = engine.get_at(snapshot, key, |found| found == right);
            let view = engine.view_at(snapshot, key);
            let len = engine.value_len_at(snapshot, key);
            let whole = [
                self.judge(("get_at", key), got, is_there, |is_right| *is_right),
                self.judge(("view_at", key), view, is_there, |v| v.bytes() == right),
                self.judge(("len_at", key), len, is_there, |&len| len == right.len()),
            ];
            assert!(whole.iter().all(|w| *w == whole[0]), "{}: {whole:?}", key.escape_ascii());
            !whole[0]
        };
        self.keys.iter().filter(|key| is_damaged(key)).count()
    }

    /// Walks over what a snapshot sees, or what is there now: all of `state` that begins with
    /// `prefix`, each once, and what is left out only where an error was told. Answers how many
    /// were.
    pub fn iterate(&self, snapshot: Option<&Snapshot>, prefix: &[u8], state: &Model) -> usize {
        let mut iter = self.engine.open_iter(snapshot, prefix).expect("an iterator");
        let told = self.walk(&mut iter, prefix, state);
        self.engine.close_iter(iter);
        told
    }

    /// The same with an iterator that was opened before.
    pub fn walk(&self, iter: &mut kv::db::Iter, prefix: &[u8], state: &Model) -> usize {
        let (mut seen, mut told) = (Vec::new(), 0);
        for step in 0.. {
            assert!(step < MOST_STEPS, "an iterator does not end");
            match self.engine.advance(iter) {
                Ok(false) => break,
                Ok(true) => {
                    let (key, value) = iter.current().expect("it is at a record");
                    let right = state.get(key).is_some_and(|right| **right == *value);
                    let is_wanted = right && key.starts_with(prefix);
                    assert!(is_wanted, "an iterator shows {}", key.escape_ascii());
                    seen.push(key.to_vec());
                }
                Err(error) => {
                    (self.hear)(&error);
                    told += 1;
                }
            }
        }
        let count = seen.len();
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), count, "an iterator shows a key twice");
        if told == 0 {
            let wanted = state.keys().filter(|key| key.starts_with(prefix)).count();
            assert_eq!(count, wanted, "an iterator shows not all, without a word");
        }
        told
    }
}
