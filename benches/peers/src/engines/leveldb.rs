//! LevelDB: a log-structured merge tree with a write-ahead log.

use std::ffi::{c_char, c_int, c_void};
use std::ptr::null_mut;

use crate::data::Key;
use crate::engine::{Engine, Session, Setup};
use crate::library::{bytes, c_string, library, text};

type Pointer = *mut c_void;
type Text = *const c_char;
type Failure = *mut *mut c_char;

library!(Api {
    fn leveldb_major_version() -> c_int;
    fn leveldb_minor_version() -> c_int;
    fn leveldb_options_create() -> Pointer;
    fn leveldb_options_set_create_if_missing(Pointer, u8);
    fn leveldb_options_set_compression(Pointer, c_int);
    fn leveldb_options_set_cache(Pointer, Pointer);
    fn leveldb_options_set_filter_policy(Pointer, Pointer);
    fn leveldb_options_set_write_buffer_size(Pointer, usize);
    fn leveldb_options_set_max_open_files(Pointer, c_int);
    fn leveldb_cache_create_lru(usize) -> Pointer;
    fn leveldb_filterpolicy_create_bloom(c_int) -> Pointer;
    fn leveldb_writeoptions_create() -> Pointer;
    fn leveldb_writeoptions_set_sync(Pointer, u8);
    fn leveldb_readoptions_create() -> Pointer;
    fn leveldb_open(Pointer, Text, Failure) -> Pointer;
    fn leveldb_close(Pointer);
    fn leveldb_put(Pointer, Pointer, Text, usize, Text, usize, Failure);
    fn leveldb_get(Pointer, Pointer, Text, usize, *mut usize, Failure) -> *mut c_char;
    fn leveldb_delete(Pointer, Pointer, Text, usize, Failure);
    fn leveldb_free(*mut c_void);
    fn leveldb_writebatch_create() -> Pointer;
    fn leveldb_writebatch_put(Pointer, Text, usize, Text, usize);
    fn leveldb_writebatch_clear(Pointer);
    fn leveldb_writebatch_destroy(Pointer);
    fn leveldb_write(Pointer, Pointer, Pointer, Failure);
    fn leveldb_create_iterator(Pointer, Pointer) -> Pointer;
    fn leveldb_iter_seek_to_first(Pointer);
    fn leveldb_iter_valid(Pointer) -> u8;
    fn leveldb_iter_next(Pointer);
    fn leveldb_iter_key(Pointer, *mut usize) -> Text;
    fn leveldb_iter_value(Pointer, *mut usize) -> Text;
    fn leveldb_iter_get_error(Pointer, Failure);
    fn leveldb_iter_destroy(Pointer);
});

fn load() -> Result<Api, String> {
    Ok(Api::load(&["libleveldb.so", "libleveldb.so.1d", "libleveldb.so.1"])?.0)
}

pub fn version() -> Result<String, String> {
    let api = load()?;
    // SAFETY: the functions take nothing.
    let (major, minor) = unsafe { ((api.leveldb_major_version)(), (api.leveldb_minor_version)()) };
    Ok(format!("{major}.{minor}"))
}

#[inline]
fn expect(failure: *mut c_char) {
    assert!(failure.is_null(), "LevelDB: {}", text(failure));
}

pub struct LevelDb {
    api: Api,
    db: Pointer,
    write: Pointer,
    read: Pointer,
    /// What the database uses and does not own.
    cache: Pointer,
}

// SAFETY: leveldb/c.h allows any number of threads to use one database.
unsafe impl Sync for LevelDb {}

impl Engine for LevelDb {
    type Session<'a> = Reader<'a>;

    fn open(setup: &Setup) -> Result<LevelDb, String> {
        let (api, mut failure) = (load()?, null_mut());
        let path = c_string(&setup.path.to_string_lossy());
        // SAFETY: every object is made by the function before it; options are kept for ever.
        unsafe {
            let options = (api.leveldb_options_create)();
            let cache = (api.leveldb_cache_create_lru)(setup.cache());
            (api.leveldb_options_set_create_if_missing)(options, 1);
            (api.leveldb_options_set_compression)(options, 0);
            (api.leveldb_options_set_cache)(options, cache);
            let filter = (api.leveldb_filterpolicy_create_bloom)(10);
            (api.leveldb_options_set_filter_policy)(options, filter);
            (api.leveldb_options_set_write_buffer_size)(options, 64 << 20);
            (api.leveldb_options_set_max_open_files)(options, 10_000);
            let (read, write) =
                ((api.leveldb_readoptions_create)(), (api.leveldb_writeoptions_create)());
            (api.leveldb_writeoptions_set_sync)(write, u8::from(setup.durable));
            let db = (api.leveldb_open)(options, path.as_ptr(), &mut failure);
            if db.is_null() {
                return Err(text(failure));
            }
            Ok(LevelDb { api, db, write, read, cache })
        }
    }

    fn session(&self) -> Reader<'_> {
        // SAFETY: the function takes nothing.
        Reader { engine: self, batch: unsafe { (self.api.leveldb_writebatch_create)() } }
    }

    fn close(self) {
        assert!(!self.cache.is_null());
        // SAFETY: the database is open, and no session is left.
        unsafe { (self.api.leveldb_close)(self.db) };
    }
}

pub struct Reader<'a> {
    engine: &'a LevelDb,
    batch: Pointer,
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        // SAFETY: the batch is this session's own.
        unsafe { (self.engine.api.leveldb_writebatch_destroy)(self.batch) };
    }
}

// In all of these, keys and values are passed with their lengths, and what the library returns is
// read before it is freed.
impl Session for Reader<'_> {
    #[inline]
    fn put(&mut self, key: &Key, value: &[u8]) {
        let (e, mut failure) = (self.engine, null_mut());
        let (k, v) = (key.as_ptr().cast(), value.as_ptr().cast());
        // SAFETY: as above.
        unsafe { (e.api.leveldb_put)(e.db, e.write, k, 16, v, value.len(), &mut failure) };
        expect(failure);
    }

    #[inline]
    fn delete(&mut self, key: &Key) {
        let (e, mut failure) = (self.engine, null_mut());
        // SAFETY: as above.
        unsafe {
            (e.api.leveldb_delete)(e.db, e.write, key.as_ptr().cast(), 16, &mut failure);
        }
        expect(failure);
    }

    #[inline]
    fn get(&mut self, key: &Key, mut found: impl FnMut(&[u8])) -> bool {
        let (e, mut failure, mut len) = (self.engine, null_mut(), 0);
        let k = key.as_ptr().cast();
        // SAFETY: as above.
        unsafe {
            let value = (e.api.leveldb_get)(e.db, e.read, k, 16, &mut len, &mut failure);
            expect(failure);
            if value.is_null() {
                return false;
            }
            found(bytes(value.cast(), len));
            (e.api.leveldb_free)(value.cast());
        }
        true
    }

    fn scan(&mut self, mut each: impl FnMut(&[u8], &[u8])) {
        let (e, api) = (self.engine, &self.engine.api);
        let (mut key_len, mut value_len, mut failure) = (0, 0, null_mut());
        // SAFETY: as above.
        unsafe {
            let iter = (api.leveldb_create_iterator)(e.db, e.read);
            (api.leveldb_iter_seek_to_first)(iter);
            while (api.leveldb_iter_valid)(iter) != 0 {
                let key = (api.leveldb_iter_key)(iter, &mut key_len);
                let value = (api.leveldb_iter_value)(iter, &mut value_len);
                each(bytes(key.cast(), key_len), bytes(value.cast(), value_len));
                (api.leveldb_iter_next)(iter);
            }
            (api.leveldb_iter_get_error)(iter, &mut failure);
            expect(failure);
            (api.leveldb_iter_destroy)(iter);
        }
    }

    fn put_many(&mut self, records: &[(Key, &[u8])]) {
        let (e, batch, mut failure) = (self.engine, self.batch, null_mut());
        // SAFETY: as above.
        unsafe {
            (e.api.leveldb_writebatch_clear)(batch);
            for (key, value) in records {
                let (k, v) = (key.as_ptr().cast(), value.as_ptr().cast());
                (e.api.leveldb_writebatch_put)(batch, k, 16, v, value.len());
            }
            (e.api.leveldb_write)(e.db, e.write, batch, &mut failure);
        }
        expect(failure);
    }
}
