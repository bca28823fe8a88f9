//! libkv, through its C functions as a program in C calls them.

use std::ffi::{c_char, c_void};
use std::ptr::{null, null_mut};

use crate::data::Key;
use crate::engine::{Engine, Session, Setup};
use crate::library::{bytes, c_string, library, text};

type Db = *mut c_void;
type Status = i32;
const NOT_FOUND: Status = 1;

#[repr(C)]
#[derive(Clone, Copy)]
struct Slice {
    data: *const c_void,
    len: usize,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Answer {
    status: Status,
    value: *const c_void,
    value_len: usize,
}

const NO_SLICE: Slice = Slice { data: null(), len: 0 };
const NO_ANSWER: Answer = Answer { status: NOT_FOUND, value: null(), value_len: 0 };

library!(Api {
    fn kv_version() -> *const c_char;
    fn kv_error_message() -> *const c_char;
    fn kv_options_new(*mut Db) -> Status;
    fn kv_options_set(Db, *const c_char, *const c_char) -> Status;
    fn kv_options_free(Db);
    fn kv_open(*const c_char, Db, *mut Db) -> Status;
    fn kv_close(Db) -> Status;
    fn kv_put(Db, *const c_void, usize, *const c_void, usize) -> Status;
    fn kv_delete(Db, *const c_void, usize) -> Status;
    fn kv_get_into(Db, *const c_void, usize, *mut c_void, usize, *mut usize) -> Status;
    fn kv_view_get(Db, *const c_void, usize, *mut Db, *mut *const c_void, *mut usize) -> Status;
    fn kv_view_release(Db);
    fn kv_get_many(Db, usize, *const Slice, *mut Answer, *mut *mut c_void) -> Status;
    fn kv_free(*mut c_void);
    fn kv_batch_new(*mut Db) -> Status;
    fn kv_batch_put(Db, *const c_void, usize, *const c_void, usize) -> Status;
    fn kv_batch_clear(Db) -> Status;
    fn kv_batch_free(Db);
    fn kv_write(Db, Db, *const c_void) -> Status;
    fn kv_iter_new(Db, Db, *const c_void, usize, *mut Db) -> Status;
    fn kv_iter_next(Db, *mut Slice, *mut Slice) -> Status;
    fn kv_iter_free(Db);
});

fn load() -> Result<Api, String> {
    let given = std::env::var("LIBKV").ok();
    let files = [given.as_deref().unwrap_or("libkv.so"), "libkv.so.1"];
    Ok(Api::load(&files)?.0)
}

pub fn version() -> Result<String, String> {
    let api = load()?;
    // SAFETY: the function takes nothing and returns a static string.
    Ok(text(unsafe { (api.kv_version)() }))
}

pub struct LibKv {
    api: Api,
    db: Db,
}

// SAFETY: kv.h allows any number of threads to use one database.
unsafe impl Sync for LibKv {}

impl Api {
    #[inline]
    fn expect(&self, status: Status) {
        if status != 0 {
            // SAFETY: the message is a string that lives until this thread's next call.
            panic!("libkv answered {status}: {}", text(unsafe { (self.kv_error_message)() }));
        }
    }
}

impl Engine for LibKv {
    type Session<'a> = Reader<'a>;

    fn open(setup: &Setup) -> Result<LibKv, String> {
        let api = load()?;
        let path = c_string(&setup.path.join("db").to_string_lossy());
        let sync = c_string(if setup.durable { "always" } else { "none" });
        let (mut options, mut db) = (null_mut(), null_mut());
        // SAFETY: every pointer is to a live variable or string, as kv.h asks.
        unsafe {
            api.expect((api.kv_options_new)(&mut options));
            api.expect((api.kv_options_set)(options, c"sync".as_ptr(), sync.as_ptr()));
            let status = (api.kv_open)(path.as_ptr(), options, &mut db);
            (api.kv_options_free)(options);
            match status {
                0 => Ok(LibKv { api, db }),
                _ => Err(text((api.kv_error_message)())),
            }
        }
    }

    fn session(&self) -> Reader<'_> {
        let mut batch = null_mut();
        // SAFETY: the pointer is to a live variable.
        self.api.expect(unsafe { (self.api.kv_batch_new)(&mut batch) });
        Reader { engine: self, buffer: vec![0; 64 << 10], batch }
    }

    fn close(self) {
        // SAFETY: the handle is open, and nobody can use it after this.
        self.api.expect(unsafe { (self.api.kv_close)(self.db) });
    }
}

pub struct Reader<'a> {
    engine: &'a LibKv,
    buffer: Vec<u8>,
    batch: Db,
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        // SAFETY: the batch is this session's own.
        unsafe { (self.engine.api.kv_batch_free)(self.batch) };
    }
}

// In all of these, keys, values and buffers are passed with their own lengths, and what the library
// returns is read before it is given back.
impl Session for Reader<'_> {
    #[inline]
    fn put(&mut self, key: &Key, value: &[u8]) {
        let (api, v) = (&self.engine.api, value.as_ptr().cast());
        // SAFETY: as above.
        let status =
            unsafe { (api.kv_put)(self.engine.db, key.as_ptr().cast(), 16, v, value.len()) };
        api.expect(status);
    }

    #[inline]
    fn delete(&mut self, key: &Key) {
        let api = &self.engine.api;
        // SAFETY: as above.
        api.expect(unsafe { (api.kv_delete)(self.engine.db, key.as_ptr().cast(), 16) });
    }

    #[inline]
    fn get(&mut self, key: &Key, mut found: impl FnMut(&[u8])) -> bool {
        let (api, mut len) = (&self.engine.api, 0);
        let (room, buffer) = (self.buffer.len(), self.buffer.as_mut_ptr().cast());
        let k = key.as_ptr().cast();
        // SAFETY: as above.
        let status = unsafe { (api.kv_get_into)(self.engine.db, k, 16, buffer, room, &mut len) };
        if status == NOT_FOUND {
            return false;
        }
        api.expect(status);
        found(&self.buffer[..len]);
        true
    }

    #[inline]
    fn view(&mut self, key: &Key, mut found: impl FnMut(&[u8])) -> bool {
        let (api, db) = (&self.engine.api, self.engine.db);
        let (mut view, mut value, mut len) = (null_mut(), null(), 0);
        // SAFETY: as above.
        unsafe {
            let k = key.as_ptr().cast();
            let status = (api.kv_view_get)(db, k, 16, &mut view, &mut value, &mut len);
            if status == NOT_FOUND {
                return false;
            }
            api.expect(status);
            found(bytes(value, len));
            (api.kv_view_release)(view);
        }
        true
    }

    fn scan(&mut self, mut each: impl FnMut(&[u8], &[u8])) {
        let (api, db) = (&self.engine.api, self.engine.db);
        let (mut iter, mut key, mut value) = (null_mut(), NO_SLICE, NO_SLICE);
        // SAFETY: as above.
        unsafe {
            api.expect((api.kv_iter_new)(db, null_mut(), null(), 0, &mut iter));
            loop {
                match (api.kv_iter_next)(iter, &mut key, &mut value) {
                    0 => each(bytes(key.data, key.len), bytes(value.data, value.len)),
                    NOT_FOUND => break,
                    status => api.expect(status),
                }
            }
            (api.kv_iter_free)(iter);
        }
    }

    fn put_many(&mut self, records: &[(Key, &[u8])]) {
        let (api, batch) = (&self.engine.api, self.batch);
        // SAFETY: as above.
        unsafe {
            for (key, value) in records {
                let (k, v) = (key.as_ptr().cast(), value.as_ptr().cast());
                api.expect((api.kv_batch_put)(batch, k, 16, v, value.len()));
            }
            api.expect((api.kv_write)(self.engine.db, batch, null()));
            api.expect((api.kv_batch_clear)(batch));
        }
    }

    fn get_many(&mut self, keys: &[Key], mut found: impl FnMut(usize, &[u8])) {
        let (api, db) = (&self.engine.api, self.engine.db);
        let slice = |key: &Key| Slice { data: key.as_ptr().cast(), len: 16 };
        let slices: Vec<Slice> = keys.iter().map(slice).collect();
        let mut answers = vec![NO_ANSWER; keys.len()];
        let (out, mut arena) = (answers.as_mut_ptr(), null_mut());
        // SAFETY: as above; there are as many answers as keys.
        unsafe {
            api.expect((api.kv_get_many)(db, keys.len(), slices.as_ptr(), out, &mut arena));
            for (at, answer) in answers.iter().enumerate() {
                api.expect(answer.status);
                found(at, bytes(answer.value, answer.value_len));
            }
            (api.kv_free)(arena);
        }
    }
}
