//! RocksDB: a log-structured merge tree with a write-ahead log, and many options.

use std::ffi::{c_char, c_int, c_void};
use std::ptr::null_mut;

use crate::data::Key;
use crate::engine::{Engine, Session, Setup};
use crate::library::{bytes, c_string, library, text};

type Pointer = *mut c_void;
type Text = *const c_char;
type Failure = *mut *mut c_char;
type Keys = *const Text;
type Lens = *const usize;

library!(Api {
    fn rocksdb_options_create() -> Pointer;
    fn rocksdb_options_set_create_if_missing(Pointer, u8);
    fn rocksdb_options_set_compression(Pointer, c_int);
    fn rocksdb_options_set_block_based_table_factory(Pointer, Pointer);
    fn rocksdb_block_based_options_create() -> Pointer;
    fn rocksdb_block_based_options_set_filter_policy(Pointer, Pointer);
    fn rocksdb_block_based_options_set_block_cache(Pointer, Pointer);
    fn rocksdb_cache_create_lru(usize) -> Pointer;
    fn rocksdb_filterpolicy_create_bloom_full(f64) -> Pointer;
    fn rocksdb_writeoptions_create() -> Pointer;
    fn rocksdb_writeoptions_set_sync(Pointer, u8);
    fn rocksdb_readoptions_create() -> Pointer;
    fn rocksdb_open(Pointer, Text, Failure) -> Pointer;
    fn rocksdb_close(Pointer);
    fn rocksdb_put(Pointer, Pointer, Text, usize, Text, usize, Failure);
    fn rocksdb_get_pinned(Pointer, Pointer, Text, usize, Failure) -> Pointer;
    fn rocksdb_pinnableslice_value(Pointer, *mut usize) -> Text;
    fn rocksdb_pinnableslice_destroy(Pointer);
    fn rocksdb_delete(Pointer, Pointer, Text, usize, Failure);
    fn rocksdb_multi_get(Pointer, Pointer, usize, Keys, Lens, Failure, *mut usize, Failure);
    fn rocksdb_free(*mut c_void);
    fn rocksdb_writebatch_create() -> Pointer;
    fn rocksdb_writebatch_put(Pointer, Text, usize, Text, usize);
    fn rocksdb_writebatch_clear(Pointer);
    fn rocksdb_writebatch_destroy(Pointer);
    fn rocksdb_write(Pointer, Pointer, Pointer, Failure);
    fn rocksdb_create_iterator(Pointer, Pointer) -> Pointer;
    fn rocksdb_iter_seek_to_first(Pointer);
    fn rocksdb_iter_valid(Pointer) -> u8;
    fn rocksdb_iter_next(Pointer);
    fn rocksdb_iter_key(Pointer, *mut usize) -> Text;
    fn rocksdb_iter_value(Pointer, *mut usize) -> Text;
    fn rocksdb_iter_get_error(Pointer, Failure);
    fn rocksdb_iter_destroy(Pointer);
});

/// The library's C functions do not tell its version; its file name does.
const FILE: &str = "librocksdb.so";

fn load() -> Result<Api, String> {
    Ok(Api::load(&[FILE])?.0)
}

pub fn version() -> Result<String, String> {
    let api = load()?;
    let file = super::file_of(api.rocksdb_open as *const c_void);
    let version = file.rsplit(".so.").next().unwrap_or_default();
    Ok(if version.contains('/') { "unknown".to_owned() } else { version.to_owned() })
}

#[inline]
fn expect(failure: *mut c_char) {
    assert!(failure.is_null(), "RocksDB: {}", text(failure));
}

pub struct RocksDb {
    api: Api,
    db: Pointer,
    write: Pointer,
    read: Pointer,
}

// SAFETY: rocksdb/c.h allows any number of threads to use one database.
unsafe impl Sync for RocksDb {}

impl Engine for RocksDb {
    type Session<'a> = Reader<'a>;

    fn open(setup: &Setup) -> Result<RocksDb, String> {
        let (api, mut failure) = (load()?, null_mut());
        let path = c_string(&setup.path.to_string_lossy());
        // SAFETY: every object is made by the function before it; options are kept for ever.
        unsafe {
            let options = (api.rocksdb_options_create)();
            (api.rocksdb_options_set_create_if_missing)(options, 1);
            (api.rocksdb_options_set_compression)(options, 0);
            let table = (api.rocksdb_block_based_options_create)();
            let filter = (api.rocksdb_filterpolicy_create_bloom_full)(10.0);
            (api.rocksdb_block_based_options_set_filter_policy)(table, filter);
            let cache = (api.rocksdb_cache_create_lru)(setup.cache());
            (api.rocksdb_block_based_options_set_block_cache)(table, cache);
            (api.rocksdb_options_set_block_based_table_factory)(options, table);
            let (read, write) =
                ((api.rocksdb_readoptions_create)(), (api.rocksdb_writeoptions_create)());
            (api.rocksdb_writeoptions_set_sync)(write, u8::from(setup.durable));
            let db = (api.rocksdb_open)(options, path.as_ptr(), &mut failure);
            if db.is_null() {
                return Err(text(failure));
            }
            Ok(RocksDb { api, db, write, read })
        }
    }

    fn session(&self) -> Reader<'_> {
        // SAFETY: the function takes nothing.
        let batch = unsafe { (self.api.rocksdb_writebatch_create)() };
        Reader { engine: self, batch, buffer: Vec::with_capacity(64 << 10) }
    }

    fn close(self) {
        // SAFETY: the database is open, and no session is left.
        unsafe { (self.api.rocksdb_close)(self.db) };
    }
}

pub struct Reader<'a> {
    engine: &'a RocksDb,
    batch: Pointer,
    buffer: Vec<u8>,
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        // SAFETY: the batch is this session's own.
        unsafe { (self.engine.api.rocksdb_writebatch_destroy)(self.batch) };
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
        unsafe { (e.api.rocksdb_put)(e.db, e.write, k, 16, v, value.len(), &mut failure) };
        expect(failure);
    }

    #[inline]
    fn delete(&mut self, key: &Key) {
        let (e, mut failure) = (self.engine, null_mut());
        // SAFETY: as above.
        unsafe {
            (e.api.rocksdb_delete)(e.db, e.write, key.as_ptr().cast(), 16, &mut failure);
        }
        expect(failure);
    }

    #[inline]
    fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    #[inline]
    fn view(&mut self, key: &Key, mut found: impl FnMut(&[u8])) -> bool {
        let (e, mut failure, mut len) = (self.engine, null_mut(), 0);
        let k = key.as_ptr().cast();
        // SAFETY: as above.
        unsafe {
            let pin = (e.api.rocksdb_get_pinned)(e.db, e.read, k, 16, &mut failure);
            expect(failure);
            if pin.is_null() {
                return false;
            }
            let value = (e.api.rocksdb_pinnableslice_value)(pin, &mut len);
            found(bytes(value.cast(), len));
            (e.api.rocksdb_pinnableslice_destroy)(pin);
        }
        true
    }

    fn scan(&mut self, mut each: impl FnMut(&[u8], &[u8])) {
        let (e, api) = (self.engine, &self.engine.api);
        let (mut key_len, mut value_len, mut failure) = (0, 0, null_mut());
        // SAFETY: as above.
        unsafe {
            let iter = (api.rocksdb_create_iterator)(e.db, e.read);
            (api.rocksdb_iter_seek_to_first)(iter);
            while (api.rocksdb_iter_valid)(iter) != 0 {
                let key = (api.rocksdb_iter_key)(iter, &mut key_len);
                let value = (api.rocksdb_iter_value)(iter, &mut value_len);
                each(bytes(key.cast(), key_len), bytes(value.cast(), value_len));
                (api.rocksdb_iter_next)(iter);
            }
            (api.rocksdb_iter_get_error)(iter, &mut failure);
            expect(failure);
            (api.rocksdb_iter_destroy)(iter);
        }
    }

    fn put_many(&mut self, records: &[(Key, &[u8])]) {
        let (e, batch, mut failure) = (self.engine, self.batch, null_mut());
        // SAFETY: as above.
        unsafe {
            (e.api.rocksdb_writebatch_clear)(batch);
            for (key, value) in records {
                let (k, v) = (key.as_ptr().cast(), value.as_ptr().cast());
                (e.api.rocksdb_writebatch_put)(batch, k, 16, v, value.len());
            }
            (e.api.rocksdb_write)(e.db, e.write, batch, &mut failure);
        }
        expect(failure);
    }

    fn get_many(&mut self, keys: &[Key], mut found: impl FnMut(usize, &[u8])) {
        let (e, n) = (self.engine, keys.len());
        let pointers: Vec<Text> = keys.iter().map(|key| key.as_ptr().cast()).collect();
        let (lens, mut value_lens) = (vec![16; n], vec![0; n]);
        let (mut values, mut failures) = (vec![null_mut(); n], vec![null_mut(); n]);
        let (k, v) = (pointers.as_ptr(), values.as_mut_ptr());
        // SAFETY: as above; all lists are as long as that of the keys.
        unsafe {
            let (out, failed) = (value_lens.as_mut_ptr(), failures.as_mut_ptr());
            (e.api.rocksdb_multi_get)(e.db, e.read, n, k, lens.as_ptr(), v, out, failed);
            for at in 0..n {
                expect(failures[at]);
                assert!(!values[at].is_null(), "WRONG DATA: a key was not found");
                found(at, bytes(values[at].cast(), value_lens[at]));
                (e.api.rocksdb_free)(values[at].cast());
            }
        }
    }
}
