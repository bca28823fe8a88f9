//! candystore: a log with a mapped hash index, in Rust.

use candystore::{CandyStore, Config};

use crate::data::Key;
use crate::engine::{Engine, Session, Setup};

/// With its default checkpoints, each of which puts everything on the medium, or without any.
pub struct Candy<const CHECKPOINTS: bool> {
    store: CandyStore,
    is_durable: bool,
}

impl<const CHECKPOINTS: bool> Engine for Candy<CHECKPOINTS> {
    type Session<'a> = Reader<'a, CHECKPOINTS>;

    fn open(setup: &Setup) -> Result<Candy<CHECKPOINTS>, String> {
        let mut config = Config { initial_capacity: setup.keys as usize, ..Config::default() };
        if !CHECKPOINTS {
            (config.checkpoint_interval, config.checkpoint_delta_bytes) = (None, None);
        }
        let store = CandyStore::open(setup.path, config).map_err(|e| e.to_string())?;
        Ok(Candy { store, is_durable: setup.durable })
    }

    fn session(&self) -> Reader<'_, CHECKPOINTS> {
        Reader(self)
    }

    fn close(self) {
        drop(self.store);
    }
}

pub struct Reader<'a, const CHECKPOINTS: bool>(&'a Candy<CHECKPOINTS>);

impl<const CHECKPOINTS: bool> Session for Reader<'_, CHECKPOINTS> {
    #[inline]
    fn put(&mut self, key: &Key, value: &[u8]) {
        self.0.store.set(key, value).expect("candystore sets");
        if self.0.is_durable {
            self.0.store.flush().expect("candystore flushes");
        }
    }

    #[inline]
    fn delete(&mut self, key: &Key) {
        self.0.store.remove(key).expect("candystore removes");
    }

    #[inline]
    fn get(&mut self, key: &Key, mut found: impl FnMut(&[u8])) -> bool {
        let value = self.0.store.get(key).expect("candystore gets");
        value.is_some_and(|value| {
            found(&value);
            true
        })
    }

    fn scan(&mut self, mut each: impl FnMut(&[u8], &[u8])) {
        for item in self.0.store.iter_items() {
            let (key, value) = item.expect("candystore iterates");
            each(&key, &value);
        }
    }
}
