//! What is asked of every engine, and what an engine is told when it is opened.

use std::path::Path;

use crate::data::Key;

/// What an engine is told when it is opened.
pub struct Setup<'a> {
    /// A directory of its own, which is there.
    pub path: &'a Path,
    /// About how many keys there will be, for those that size their tables once.
    pub keys: u64,
    /// Bytes of each value.
    pub value: usize,
    /// Whether a put is on the medium when it returns.
    pub durable: bool,
}

impl Setup<'_> {
    /// Bytes of all keys and values.
    pub fn bytes(&self) -> u64 {
        self.keys * (16 + self.value as u64)
    }

    /// A cache that holds everything, with what pages and blocks add to it.
    pub fn cache(&self) -> usize {
        (self.bytes() * 2).max(1 << 30) as usize
    }
}

/// What not every engine can do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Can {
    /// Put and delete.
    Write,
    /// Get, of what was put.
    Read,
    /// Walk over everything, and what needs that to be checked: reads mixed with writes.
    Scan,
    /// Read a value where it lies.
    View,
    /// Many puts in one call or transaction.
    Batch,
    /// Many gets in one call or transaction.
    GetMany,
    /// Put on the medium.
    Sync,
    /// Be opened again.
    Open,
}

/// All that an ordinary engine can do.
pub const EVERYTHING: &[Can] =
    &[Can::Write, Can::Read, Can::Scan, Can::View, Can::Batch, Can::GetMany, Can::Sync, Can::Open];

/// An open database, for any number of threads. What fails panics: it is the end of the child.
pub trait Engine: Sync + Sized + 'static {
    /// What one thread keeps at hand: buffers, a transaction that is used again.
    type Session<'a>: Session
    where
        Self: 'a;

    fn open(setup: &Setup) -> Result<Self, String>;
    fn session(&self) -> Self::Session<'_>;
    fn close(self);
}

/// One thread's way to a database.
pub trait Session {
    fn put(&mut self, key: &Key, value: &[u8]);
    fn delete(&mut self, key: &Key);

    /// Brings the value into memory of the caller's; says whether there is one. An engine without a
    /// call for that has what it shows copied.
    #[inline]
    fn get(&mut self, key: &Key, mut found: impl FnMut(&[u8])) -> bool {
        let mut buffer = std::mem::take(self.buffer());
        let is_there = self.view(key, |value| {
            buffer.clear();
            buffer.extend_from_slice(value);
        });
        if is_there {
            found(&buffer);
        }
        *self.buffer() = buffer;
        is_there
    }

    /// Where [`Session::get`] copies what [`Session::view`] shows.
    fn buffer(&mut self) -> &mut Vec<u8> {
        unreachable!("the engine brings values itself")
    }

    /// Looks at the value where it lies.
    fn view(&mut self, _key: &Key, _found: impl FnMut(&[u8])) -> bool {
        unreachable!("the engine has no views")
    }

    fn scan(&mut self, _each: impl FnMut(&[u8], &[u8])) {
        unreachable!("the engine cannot be walked over")
    }

    fn put_many(&mut self, _records: &[(Key, &[u8])]) {
        unreachable!("the engine has no batches")
    }

    /// Finds all of these keys.
    fn get_many(&mut self, _keys: &[Key], _found: impl FnMut(usize, &[u8])) {
        unreachable!("the engine reads one by one")
    }
}

/// Who is compared with whom.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Class {
    /// What the machine allows.
    Roofline,
    /// Writes survive kill -9 and may be lost in a power cut.
    KeepsAtKill,
    /// Writes are lost at kill -9, as the engine itself says.
    LosesAtKill,
}
