//! fjall: a log-structured merge tree with a journal, in Rust.

use fjall::config::CompressionPolicy;
use fjall::{CompressionType, Database, Keyspace, KeyspaceCreateOptions, PersistMode};

use crate::data::Key;
use crate::engine::{Engine, Session, Setup};

pub struct Fjall {
    db: Database,
    keys: Keyspace,
    is_durable: bool,
}

impl Engine for Fjall {
    type Session<'a> = Reader<'a>;

    fn open(setup: &Setup) -> Result<Fjall, String> {
        let builder = Database::builder(setup.path.join("db"))
            .cache_size(setup.cache() as u64)
            .journal_compression(CompressionType::None);
        let db = builder.open().map_err(|e| e.to_string())?;
        let options = || {
            KeyspaceCreateOptions::default()
                .data_block_compression_policy(CompressionPolicy::disabled())
                .index_block_compression_policy(CompressionPolicy::disabled())
        };
        let keys = db.keyspace("t", options).map_err(|e| e.to_string())?;
        Ok(Fjall { db, keys, is_durable: setup.durable })
    }

    fn session(&self) -> Reader<'_> {
        Reader(self)
    }

    fn close(self) {
        drop(self.keys);
        drop(self.db);
    }
}

pub struct Reader<'a>(&'a Fjall);

impl Reader<'_> {
    fn sync(&self) {
        if self.0.is_durable {
            self.0.db.persist(PersistMode::SyncData).expect("fjall syncs");
        }
    }
}

impl Session for Reader<'_> {
    fn put(&mut self, key: &Key, value: &[u8]) {
        self.0.keys.insert(key, value).expect("fjall inserts");
        self.sync();
    }

    fn delete(&mut self, key: &Key) {
        self.0.keys.remove(key).expect("fjall removes");
        self.sync();
    }

    fn get(&mut self, key: &Key, mut found: impl FnMut(&[u8])) -> bool {
        let value = self.0.keys.get(key).expect("fjall gets");
        value.is_some_and(|value| {
            found(&value);
            true
        })
    }

    fn scan(&mut self, mut each: impl FnMut(&[u8], &[u8])) {
        for item in self.0.keys.iter() {
            let (key, value) = item.into_inner().expect("fjall iterates");
            each(&key, &value);
        }
    }

    fn put_many(&mut self, records: &[(Key, &[u8])]) {
        let mode = if self.0.is_durable { PersistMode::SyncData } else { PersistMode::Buffer };
        let mut batch = self.0.db.batch().durability(Some(mode));
        for (key, value) in records {
            batch.insert(&self.0.keys, &key[..], *value);
        }
        batch.commit().expect("fjall commits");
    }
}
