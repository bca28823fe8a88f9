//! Kyoto Cabinet's HashDB: a hash table in a mapped file, whose number of buckets is chosen
//! beforehand.

use std::ffi::{c_char, c_void};
use std::ptr::null_mut;

use crate::data::Key;
use crate::engine::{Engine, Session, Setup};
use crate::library::{bytes, c_string, library, text};

type Pointer = *mut c_void;
type Text = *const c_char;
type Visitor = unsafe extern "C" fn(Text, usize, Text, usize, *mut usize, Pointer) -> Text;

const WRITER_CREATES: u32 = 1 << 1 | 1 << 2;
const NO_RECORD: i32 = 7;

#[repr(C)]
struct Str {
    data: Text,
    len: usize,
}

#[repr(C)]
struct Pair {
    key: Str,
    value: Str,
}

library!(Api {
    fn kcdbnew() -> Pointer;
    fn kcdbdel(Pointer);
    fn kcdbopen(Pointer, Text, u32) -> i32;
    fn kcdbclose(Pointer) -> i32;
    fn kcdbecode(Pointer) -> i32;
    fn kcdbemsg(Pointer) -> Text;
    fn kcdbset(Pointer, Text, usize, Text, usize) -> i32;
    fn kcdbremove(Pointer, Text, usize) -> i32;
    fn kcdbgetbuf(Pointer, Text, usize, *mut c_char, usize) -> i32;
    fn kcdbiterate(Pointer, Visitor, Pointer, i32) -> i32;
    fn kcdbsetbulk(Pointer, *const Pair, usize, i32) -> i64;
    fn kcdbsync(Pointer, i32, Pointer, Pointer) -> i32;
});

const FILES: [&str; 2] = ["libkyotocabinet.so", "libkyotocabinet.so.16"];

/// The functions, and the value that a visitor returns to change nothing.
fn load() -> Result<(Api, Text), String> {
    let (api, library) = Api::load(&FILES)?;
    // SAFETY: the header declares it as a constant pointer.
    let nothing = unsafe { *library.symbol("KCVISNOP")?.cast::<Text>() };
    Ok((api, nothing))
}

pub fn version() -> Result<String, String> {
    let (_, library) = Api::load(&FILES)?;
    // SAFETY: the variable is a constant pointer to a string.
    Ok(text(unsafe { *library.symbol("KCVERSION")?.cast::<Text>() }))
}

pub struct Kyoto {
    api: Api,
    nothing: Text,
    db: Pointer,
    is_durable: bool,
}

// SAFETY: a database of Kyoto Cabinet may be used by any number of threads.
unsafe impl Sync for Kyoto {}

impl Engine for Kyoto {
    type Session<'a> = Reader<'a>;

    fn open(setup: &Setup) -> Result<Kyoto, String> {
        let (api, nothing) = load()?;
        let (path, buckets) = (setup.path.join("db.kch"), setup.keys * 2);
        let map = setup.bytes() * 4 + (1 << 30);
        let path = format!("{}#bnum={buckets}#msiz={map}#opts=l", path.to_string_lossy());
        let path = c_string(&path);
        // SAFETY: the object is made before it is used, and the path is a string.
        unsafe {
            let db = (api.kcdbnew)();
            if (api.kcdbopen)(db, path.as_ptr(), WRITER_CREATES) == 0 {
                return Err(text((api.kcdbemsg)(db)));
            }
            Ok(Kyoto { api, nothing, db, is_durable: setup.durable })
        }
    }

    fn session(&self) -> Reader<'_> {
        Reader { engine: self, buffer: vec![0; 64 << 10] }
    }

    fn close(self) {
        // SAFETY: the database is open, and no session is left.
        unsafe {
            self.expect((self.api.kcdbclose)(self.db) != 0);
            (self.api.kcdbdel)(self.db);
        }
    }
}

impl Kyoto {
    #[inline]
    fn expect(&self, is_done: bool) {
        // SAFETY: the message is a string of this thread's.
        assert!(is_done, "Kyoto Cabinet: {}", text(unsafe { (self.api.kcdbemsg)(self.db) }));
    }

    fn scan<F: FnMut(&[u8], &[u8])>(&self, each: F) {
        let mut argument = Walk { nothing: self.nothing, each };
        let argument = (&raw mut argument).cast();
        // SAFETY: the argument lives until the call returns.
        let is_done = unsafe { (self.api.kcdbiterate)(self.db, walk::<F>, argument, 0) != 0 };
        self.expect(is_done);
    }
}

pub struct Reader<'a> {
    engine: &'a Kyoto,
    buffer: Vec<u8>,
}

struct Walk<F> {
    nothing: Text,
    each: F,
}

unsafe extern "C" fn walk<F: FnMut(&[u8], &[u8])>(
    key: Text,
    key_len: usize,
    value: Text,
    value_len: usize,
    _new_len: *mut usize,
    walk: Pointer,
) -> Text {
    // SAFETY: the pointer is what `scan` passed; key and value have these lengths.
    unsafe {
        let walk = &mut *walk.cast::<Walk<F>>();
        (walk.each)(bytes(key.cast(), key_len), bytes(value.cast(), value_len));
        walk.nothing
    }
}

// In all of these, keys, values and buffers are passed with their lengths.
impl Session for Reader<'_> {
    #[inline]
    fn put(&mut self, key: &Key, value: &[u8]) {
        let e = self.engine;
        let (k, v) = (key.as_ptr().cast(), value.as_ptr().cast());
        // SAFETY: as above.
        unsafe {
            e.expect((e.api.kcdbset)(e.db, k, 16, v, value.len()) != 0);
            if e.is_durable {
                e.expect((e.api.kcdbsync)(e.db, 1, null_mut(), null_mut()) != 0);
            }
        }
    }

    #[inline]
    fn delete(&mut self, key: &Key) {
        let e = self.engine;
        // SAFETY: as above.
        e.expect(unsafe { (e.api.kcdbremove)(e.db, key.as_ptr().cast(), 16) } != 0);
    }

    #[inline]
    fn get(&mut self, key: &Key, mut found: impl FnMut(&[u8])) -> bool {
        let (e, k) = (self.engine, key.as_ptr().cast());
        let (buffer, room) = (self.buffer.as_mut_ptr().cast(), self.buffer.len());
        // SAFETY: as above.
        let len = unsafe { (e.api.kcdbgetbuf)(e.db, k, 16, buffer, room) };
        if len < 0 {
            // SAFETY: the code is that of this thread's last call.
            e.expect(unsafe { (e.api.kcdbecode)(e.db) } == NO_RECORD);
            return false;
        }
        found(&self.buffer[..len as usize]);
        true
    }

    fn scan(&mut self, each: impl FnMut(&[u8], &[u8])) {
        let e = self.engine;
        e.scan(each);
    }

    fn put_many(&mut self, records: &[(Key, &[u8])]) {
        let e = self.engine;
        let str = |bytes: &[u8]| Str { data: bytes.as_ptr().cast(), len: bytes.len() };
        let pairs: Vec<Pair> =
            records.iter().map(|(key, value)| Pair { key: str(key), value: str(value) }).collect();
        // SAFETY: as above.
        let set = unsafe { (e.api.kcdbsetbulk)(e.db, pairs.as_ptr(), pairs.len(), 0) };
        e.expect(set == records.len() as i64);
    }
}
