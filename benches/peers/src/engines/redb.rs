//! redb: a copy-on-write B+ tree, in Rust.

use std::fs::File;
use std::io;

use redb::backends::FileBackend;
use redb::{Database, Durability, ReadableDatabase, StorageBackend, TableDefinition};

use crate::data::Key;
use crate::engine::{Engine, Session, Setup};

const TABLE: TableDefinition<&[u8; 16], &[u8]> = TableDefinition::new("t");

/// Commits as `Durability::Immediate` does, in files that are never forced to the medium; or as
/// `Durability::None` does.
pub struct Redb<const IMMEDIATE: bool> {
    db: Database,
    durability: Durability,
}

/// A file that is written, and not forced to the medium.
#[derive(Debug)]
struct Unsynced(FileBackend);

impl StorageBackend for Unsynced {
    fn len(&self) -> Result<u64, io::Error> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        self.0.read(offset, out)
    }

    fn set_len(&self, len: u64) -> Result<(), io::Error> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> Result<(), io::Error> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        self.0.write(offset, data)
    }

    fn close(&self) -> Result<(), io::Error> {
        self.0.close()
    }
}

impl<const IMMEDIATE: bool> Engine for Redb<IMMEDIATE> {
    type Session<'a> = Reader<'a, IMMEDIATE>;

    fn open(setup: &Setup) -> Result<Redb<IMMEDIATE>, String> {
        let mut builder = Database::builder();
        builder.set_cache_size(setup.cache());
        let path = setup.path.join("db.redb");
        let db = if IMMEDIATE && !setup.durable {
            let mut options = File::options();
            let file = options.read(true).write(true).create(true).truncate(false).open(&path);
            let file = file.map_err(|e| e.to_string())?;
            let backend = FileBackend::new(file).map_err(|e| e.to_string())?;
            builder.create_with_backend(Unsynced(backend))
        } else {
            builder.create(&path)
        };
        let db = db.map_err(|e| e.to_string())?;
        let transaction = db.begin_write().map_err(|e| e.to_string())?;
        transaction.open_table(TABLE).map_err(|e| e.to_string())?;
        transaction.commit().map_err(|e| e.to_string())?;
        let is_immediate = IMMEDIATE || setup.durable;
        let durability = if is_immediate { Durability::Immediate } else { Durability::None };
        Ok(Redb { db, durability })
    }

    fn session(&self) -> Reader<'_, IMMEDIATE> {
        Reader { engine: self, buffer: Vec::with_capacity(64 << 10) }
    }

    fn close(self) {
        drop(self.db);
    }
}

pub struct Reader<'a, const IMMEDIATE: bool> {
    engine: &'a Redb<IMMEDIATE>,
    buffer: Vec<u8>,
}

type Writable<'t> = redb::Table<'t, &'static [u8; 16], &'static [u8]>;

impl<const IMMEDIATE: bool> Reader<'_, IMMEDIATE> {
    /// Writes in a transaction.
    fn write(&self, body: impl FnOnce(&mut Writable)) {
        let mut transaction = self.engine.db.begin_write().expect("redb begins");
        transaction.set_durability(self.engine.durability).expect("redb takes a durability");
        body(&mut transaction.open_table(TABLE).expect("redb opens its table"));
        transaction.commit().expect("redb commits");
    }

    /// Reads these keys in a transaction.
    fn read<'k>(
        &self,
        keys: impl Iterator<Item = &'k Key>,
        mut found: impl FnMut(usize, Option<&[u8]>),
    ) {
        let transaction = self.engine.db.begin_read().expect("redb begins");
        let table = transaction.open_table(TABLE).expect("redb opens its table");
        for (at, key) in keys.enumerate() {
            let guard = table.get(key).expect("redb gets");
            found(at, guard.as_ref().map(|guard| guard.value()));
        }
    }
}

impl<const IMMEDIATE: bool> Session for Reader<'_, IMMEDIATE> {
    fn put(&mut self, key: &Key, value: &[u8]) {
        self.write(|table| _ = table.insert(key, value).expect("redb inserts"));
    }

    fn delete(&mut self, key: &Key) {
        self.write(|table| _ = table.remove(key).expect("redb removes"));
    }

    fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    fn view(&mut self, key: &Key, mut found: impl FnMut(&[u8])) -> bool {
        let mut is_there = false;
        self.read(std::iter::once(key), |_, value| {
            is_there = value.is_some();
            value.into_iter().for_each(&mut found);
        });
        is_there
    }

    fn scan(&mut self, mut each: impl FnMut(&[u8], &[u8])) {
        let transaction = self.engine.db.begin_read().expect("redb begins");
        let table = transaction.open_table(TABLE).expect("redb opens its table");
        for item in table.range::<&Key>(..).expect("redb walks") {
            let (key, value) = item.expect("redb walks");
            each(key.value(), value.value());
        }
    }

    fn put_many(&mut self, records: &[(Key, &[u8])]) {
        self.write(|table| {
            for (key, value) in records {
                table.insert(key, *value).expect("redb inserts");
            }
        });
    }

    fn get_many(&mut self, keys: &[Key], mut found: impl FnMut(usize, &[u8])) {
        self.read(keys.iter(), |at, value| {
            found(at, value.expect("WRONG DATA: a key was not found"));
        });
    }
}
