//! Tkrzw's HashDBM: a hash table in a mapped file, whose number of buckets is chosen beforehand.

use std::ffi::{c_char, c_void};
use std::ptr::null_mut;

use crate::data::Key;
use crate::engine::{Engine, Session, Setup};
use crate::library::{bytes, c_string, library, text};

type Pointer = *mut c_void;
type Text = *const c_char;
type Processor = unsafe extern "C" fn(Pointer, Text, i32, Text, i32, *mut i32) -> Text;
const SUCCESS: i32 = 0;
const NOT_FOUND: i32 = 7;

#[repr(C)]
struct Pair {
    key: Text,
    key_len: i32,
    value: Text,
    value_len: i32,
}

library!(Api {
    fn tkrzw_get_last_status_code() -> i32;
    fn tkrzw_get_last_status_message() -> Text;
    fn tkrzw_dbm_open(Text, bool, Text) -> Pointer;
    fn tkrzw_dbm_close(Pointer) -> bool;
    fn tkrzw_dbm_set(Pointer, Text, i32, Text, i32, bool) -> bool;
    fn tkrzw_dbm_remove(Pointer, Text, i32) -> bool;
    fn tkrzw_dbm_process(Pointer, Text, i32, Processor, Pointer, bool) -> bool;
    fn tkrzw_dbm_process_each(Pointer, Processor, Pointer, bool) -> bool;
    fn tkrzw_dbm_set_multi(Pointer, *const Pair, i32, bool) -> bool;
    fn tkrzw_dbm_synchronize(Pointer, bool, Pointer, Pointer, Text) -> bool;
});

/// The functions, and the value that a processor returns to change nothing.
fn load() -> Result<(Api, Text), String> {
    let (api, library) = Api::load(&["libtkrzw.so", "libtkrzw.so.1"])?;
    // SAFETY: the header declares it as a constant pointer.
    let nothing = unsafe { *library.symbol("TKRZW_REC_PROC_NOOP")?.cast::<Text>() };
    Ok((api, nothing))
}

pub fn version() -> Result<String, String> {
    let (_, library) = Api::load(&["libtkrzw.so", "libtkrzw.so.1"])?;
    // SAFETY: the variable is a constant pointer to a string.
    Ok(text(unsafe { *library.symbol("TKRZW_PACKAGE_VERSION")?.cast::<Text>() }))
}

/// In place, or appending.
pub struct Tkrzw<const APPENDING: bool> {
    api: Api,
    nothing: Text,
    db: Pointer,
    is_durable: bool,
}

// SAFETY: tkrzw_langc.h allows any number of threads to use one database.
unsafe impl<const APPENDING: bool> Sync for Tkrzw<APPENDING> {}

impl Api {
    #[inline]
    fn expect(&self, is_done: bool) {
        assert!(is_done, "Tkrzw: {}", self.message());
    }

    fn message(&self) -> String {
        // SAFETY: the message is a string of this thread's.
        text(unsafe { (self.tkrzw_get_last_status_message)() })
    }
}

impl<const APPENDING: bool> Engine for Tkrzw<APPENDING> {
    type Session<'a> = Reader<'a, APPENDING>;

    fn open(setup: &Setup) -> Result<Tkrzw<APPENDING>, String> {
        let (api, nothing) = load()?;
        let path = c_string(&setup.path.join("db.tkh").to_string_lossy());
        let mode = if APPENDING { "UPDATE_APPENDING" } else { "UPDATE_IN_PLACE" };
        let buckets = setup.keys * 2;
        let options = c_string(&format!(
            "dbm=HashDBM,file=MemoryMapParallelFile,update_mode={mode},num_buckets={buckets}"
        ));
        // SAFETY: the pointers are to strings.
        let db = unsafe { (api.tkrzw_dbm_open)(path.as_ptr(), true, options.as_ptr()) };
        if db.is_null() {
            return Err(api.message());
        }
        Ok(Tkrzw { api, nothing, db, is_durable: setup.durable })
    }

    fn session(&self) -> Reader<'_, APPENDING> {
        Reader { engine: self, buffer: Vec::with_capacity(64 << 10) }
    }

    fn close(self) {
        // SAFETY: the database is open, and no session is left.
        self.api.expect(unsafe { (self.api.tkrzw_dbm_close)(self.db) });
    }
}

pub struct Reader<'a, const APPENDING: bool> {
    engine: &'a Tkrzw<APPENDING>,
    buffer: Vec<u8>,
}

/// What a processor is given: where the value goes to, or who looks at records.
struct Copy<'a> {
    nothing: Text,
    buffer: &'a mut Vec<u8>,
    is_there: bool,
}

unsafe extern "C" fn copy(
    copy: Pointer,
    _key: Text,
    _key_len: i32,
    value: Text,
    value_len: i32,
    _new_len: *mut i32,
) -> Text {
    // SAFETY: the pointer is what `get` passed, and the value has this length; no value is NULL.
    let copy = unsafe { &mut *copy.cast::<Copy>() };
    if !value.is_null() {
        copy.is_there = true;
        copy.buffer.clear();
        // SAFETY: as above.
        copy.buffer.extend_from_slice(unsafe { bytes(value.cast(), value_len as usize) });
    }
    copy.nothing
}

struct Walk<F> {
    nothing: Text,
    each: F,
}

unsafe extern "C" fn walk<F: FnMut(&[u8], &[u8])>(
    walk: Pointer,
    key: Text,
    key_len: i32,
    value: Text,
    value_len: i32,
    _new_len: *mut i32,
) -> Text {
    // SAFETY: the pointer is what `scan` passed. Before and after all records, the
    // value is NULL.
    unsafe {
        let walk = &mut *walk.cast::<Walk<F>>();
        if !value.is_null() {
            let key = bytes(key.cast(), key_len as usize);
            (walk.each)(key, bytes(value.cast(), value_len as usize));
        }
        walk.nothing
    }
}

// In all of these, keys and values are passed with their lengths.
impl<const APPENDING: bool> Session for Reader<'_, APPENDING> {
    #[inline]
    fn put(&mut self, key: &Key, value: &[u8]) {
        let (e, len) = (self.engine, value.len() as i32);
        let (k, v) = (key.as_ptr().cast(), value.as_ptr().cast());
        // SAFETY: as above.
        unsafe {
            e.api.expect((e.api.tkrzw_dbm_set)(e.db, k, 16, v, len, true));
            if e.is_durable {
                let (none, no) = (null_mut(), null_mut());
                let options = c"".as_ptr();
                e.api.expect((e.api.tkrzw_dbm_synchronize)(e.db, true, none, no, options));
            }
        }
    }

    #[inline]
    fn delete(&mut self, key: &Key) {
        let e = self.engine;
        // SAFETY: as above.
        e.api.expect(unsafe { (e.api.tkrzw_dbm_remove)(e.db, key.as_ptr().cast(), 16) });
    }

    #[inline]
    fn get(&mut self, key: &Key, mut found: impl FnMut(&[u8])) -> bool {
        let e = self.engine;
        let mut to = Copy { nothing: e.nothing, buffer: &mut self.buffer, is_there: false };
        let (k, argument) = (key.as_ptr().cast(), (&raw mut to).cast());
        // SAFETY: as above; the argument lives until the call returns.
        unsafe {
            if !(e.api.tkrzw_dbm_process)(e.db, k, 16, copy, argument, false) {
                let code = (e.api.tkrzw_get_last_status_code)();
                e.api.expect(code == NOT_FOUND || code == SUCCESS);
            }
        }
        let is_there = to.is_there;
        if is_there {
            found(&self.buffer);
        }
        is_there
    }

    fn scan(&mut self, each: impl FnMut(&[u8], &[u8])) {
        let e = self.engine;
        e.scan(each);
    }

    fn put_many(&mut self, records: &[(Key, &[u8])]) {
        let e = self.engine;
        let pair = |(key, value): &(Key, &[u8])| Pair {
            key: key.as_ptr().cast(),
            key_len: 16,
            value: value.as_ptr().cast(),
            value_len: value.len() as i32,
        };
        let pairs: Vec<Pair> = records.iter().map(pair).collect();
        let (n, first) = (pairs.len() as i32, pairs.as_ptr());
        // SAFETY: as above.
        e.api.expect(unsafe { (e.api.tkrzw_dbm_set_multi)(e.db, first, n, true) });
    }
}

impl<const APPENDING: bool> Tkrzw<APPENDING> {
    fn scan<F: FnMut(&[u8], &[u8])>(&self, each: F) {
        let mut argument = Walk { nothing: self.nothing, each };
        let argument = (&raw mut argument).cast();
        // SAFETY: the argument lives until the call returns.
        self.api.expect(unsafe {
            (self.api.tkrzw_dbm_process_each)(self.db, walk::<F>, argument, false)
        });
    }
}
