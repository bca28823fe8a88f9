//! LMDB: a B+ tree in a mapped file, one writer at a time.

use std::ffi::{c_char, c_int, c_uint, c_void};
use std::ptr::{null, null_mut};

use crate::data::Key;
use crate::engine::{Engine, Session, Setup};
use crate::library::{bytes, c_string, library, text};

type Pointer = *mut c_void;

const NO_SYNC: c_uint = 0x1_0000;
const WRITE_MAP: c_uint = 0x8_0000;
const READ_ONLY: c_uint = 0x2_0000;
const NO_TLS: c_uint = 0x20_0000;
const NOT_FOUND: c_int = -30798;
const NEXT: c_uint = 8;

#[repr(C)]
struct Val {
    len: usize,
    data: *const c_void,
}

const NO_VAL: Val = Val { len: 0, data: null() };

fn val(bytes: &[u8]) -> Val {
    Val { len: bytes.len(), data: bytes.as_ptr().cast() }
}

library!(Api {
    fn mdb_version(*mut c_int, *mut c_int, *mut c_int) -> *const c_char;
    fn mdb_strerror(c_int) -> *const c_char;
    fn mdb_env_create(*mut Pointer) -> c_int;
    fn mdb_env_set_mapsize(Pointer, usize) -> c_int;
    fn mdb_env_open(Pointer, *const c_char, c_uint, c_uint) -> c_int;
    fn mdb_env_close(Pointer);
    fn mdb_txn_begin(Pointer, Pointer, c_uint, *mut Pointer) -> c_int;
    fn mdb_txn_commit(Pointer) -> c_int;
    fn mdb_txn_abort(Pointer);
    fn mdb_txn_reset(Pointer);
    fn mdb_txn_renew(Pointer) -> c_int;
    fn mdb_dbi_open(Pointer, *const c_char, c_uint, *mut c_uint) -> c_int;
    fn mdb_get(Pointer, c_uint, *const Val, *mut Val) -> c_int;
    fn mdb_put(Pointer, c_uint, *const Val, *const Val, c_uint) -> c_int;
    fn mdb_del(Pointer, c_uint, *const Val, *const Val) -> c_int;
    fn mdb_cursor_open(Pointer, c_uint, *mut Pointer) -> c_int;
    fn mdb_cursor_get(Pointer, *mut Val, *mut Val, c_uint) -> c_int;
    fn mdb_cursor_close(Pointer);
});

fn load() -> Result<Api, String> {
    Ok(Api::load(&["liblmdb.so", "liblmdb.so.0"])?.0)
}

pub fn version() -> Result<String, String> {
    let (mut a, mut b, mut c) = (0, 0, 0);
    // SAFETY: the pointers are to live variables.
    unsafe { (load()?.mdb_version)(&mut a, &mut b, &mut c) };
    Ok(format!("{a}.{b}.{c}"))
}

impl Api {
    #[inline]
    fn expect(&self, result: c_int) {
        self.checked(result).unwrap_or_else(|message| panic!("LMDB: {message}"));
    }

    #[inline]
    fn checked(&self, result: c_int) -> Result<(), String> {
        match result {
            0 => Ok(()),
            // SAFETY: the function returns a static string for every number.
            _ => Err(text(unsafe { (self.mdb_strerror)(result) })),
        }
    }
}

pub struct Lmdb {
    api: Api,
    env: Pointer,
    dbi: c_uint,
}

// SAFETY: lmdb.h allows an environment to be used by any number of threads.
unsafe impl Sync for Lmdb {}

impl Engine for Lmdb {
    type Session<'a> = Reader<'a>;

    fn open(setup: &Setup) -> Result<Lmdb, String> {
        let api = load()?;
        let path = c_string(&setup.path.to_string_lossy());
        // The file is sparse: room for old versions of pages costs nothing until it is used.
        let size = (setup.bytes() * 8).max(4 << 30).next_multiple_of(4096) as usize;
        let flags = NO_TLS | WRITE_MAP | if setup.durable { 0 } else { NO_SYNC };
        let (mut env, mut txn, mut dbi) = (null_mut(), null_mut(), 0);
        // SAFETY: every pointer is to a live variable or string, as lmdb.h asks.
        unsafe {
            api.checked((api.mdb_env_create)(&mut env))?;
            api.checked((api.mdb_env_set_mapsize)(env, size))?;
            api.checked((api.mdb_env_open)(env, path.as_ptr(), flags, 0o644))?;
            api.checked((api.mdb_txn_begin)(env, null_mut(), 0, &mut txn))?;
            api.checked((api.mdb_dbi_open)(txn, null(), 0, &mut dbi))?;
            api.checked((api.mdb_txn_commit)(txn))?;
        }
        Ok(Lmdb { api, env, dbi })
    }

    fn session(&self) -> Reader<'_> {
        let mut txn = null_mut();
        // SAFETY: the environment is open; the transaction is reset until it is used.
        unsafe {
            self.api.expect((self.api.mdb_txn_begin)(self.env, null_mut(), READ_ONLY, &mut txn));
            (self.api.mdb_txn_reset)(txn);
        }
        Reader { engine: self, txn, buffer: Vec::with_capacity(64 << 10) }
    }

    fn close(self) {
        // SAFETY: no transaction is open any more.
        unsafe { (self.api.mdb_env_close)(self.env) };
    }
}

pub struct Reader<'a> {
    engine: &'a Lmdb,
    /// A transaction for reading, renewed for each read and reset after it.
    txn: Pointer,
    buffer: Vec<u8>,
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        // SAFETY: the transaction is this session's own.
        unsafe { (self.engine.api.mdb_txn_abort)(self.txn) };
    }
}

impl Reader<'_> {
    /// Writes in a transaction.
    #[inline]
    fn write(&self, body: impl FnOnce(&Api, Pointer)) {
        let (api, mut txn) = (&self.engine.api, null_mut());
        // SAFETY: the environment is open.
        api.expect(unsafe { (api.mdb_txn_begin)(self.engine.env, null_mut(), 0, &mut txn) });
        body(api, txn);
        // SAFETY: the transaction is the one that was begun.
        api.expect(unsafe { (api.mdb_txn_commit)(txn) });
    }

    /// Reads in a transaction.
    #[inline]
    fn read<R>(&self, body: impl FnOnce(&Api, Pointer) -> R) -> R {
        let api = &self.engine.api;
        // SAFETY: the transaction was reset.
        api.expect(unsafe { (api.mdb_txn_renew)(self.txn) });
        let result = body(api, self.txn);
        // SAFETY: the transaction was renewed.
        unsafe { (api.mdb_txn_reset)(self.txn) };
        result
    }
}

// In all of these, what LMDB returns is read before its transaction ends.
impl Session for Reader<'_> {
    #[inline]
    fn put(&mut self, key: &Key, value: &[u8]) {
        let dbi = self.engine.dbi;
        // SAFETY: key and value are given with their lengths.
        self.write(|api, txn| {
            api.expect(unsafe { (api.mdb_put)(txn, dbi, &val(key), &val(value), 0) });
        });
    }

    #[inline]
    fn delete(&mut self, key: &Key) {
        let dbi = self.engine.dbi;
        // SAFETY: the key is given with its length.
        self.write(|api, txn| {
            api.expect(unsafe { (api.mdb_del)(txn, dbi, &val(key), null()) });
        });
    }

    #[inline]
    fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    #[inline]
    fn view(&mut self, key: &Key, mut found: impl FnMut(&[u8])) -> bool {
        let (dbi, mut value) = (self.engine.dbi, NO_VAL);
        self.read(|api, txn| {
            // SAFETY: the key is given with its length.
            let result = unsafe { (api.mdb_get)(txn, dbi, &val(key), &mut value) };
            if result == NOT_FOUND {
                return false;
            }
            api.expect(result);
            // SAFETY: as above.
            found(unsafe { bytes(value.data, value.len) });
            true
        })
    }

    fn scan(&mut self, mut each: impl FnMut(&[u8], &[u8])) {
        let (dbi, mut key, mut value) = (self.engine.dbi, NO_VAL, NO_VAL);
        // SAFETY: as above; the cursor is closed before its transaction ends.
        self.read(|api, txn| unsafe {
            let mut cursor = null_mut();
            api.expect((api.mdb_cursor_open)(txn, dbi, &mut cursor));
            loop {
                match (api.mdb_cursor_get)(cursor, &mut key, &mut value, NEXT) {
                    NOT_FOUND => break,
                    result => api.expect(result),
                }
                each(bytes(key.data, key.len), bytes(value.data, value.len));
            }
            (api.mdb_cursor_close)(cursor);
        });
    }

    fn put_many(&mut self, records: &[(Key, &[u8])]) {
        let dbi = self.engine.dbi;
        self.write(|api, txn| {
            for (key, value) in records {
                // SAFETY: key and value are given with their lengths.
                api.expect(unsafe { (api.mdb_put)(txn, dbi, &val(key), &val(value), 0) });
            }
        });
    }

    fn get_many(&mut self, keys: &[Key], mut found: impl FnMut(usize, &[u8])) {
        let (dbi, mut value) = (self.engine.dbi, NO_VAL);
        self.read(|api, txn| {
            for (at, key) in keys.iter().enumerate() {
                // SAFETY: the key is given with its length; as above.
                unsafe {
                    api.expect((api.mdb_get)(txn, dbi, &val(key), &mut value));
                    found(at, bytes(value.data, value.len));
                }
            }
        });
    }
}
