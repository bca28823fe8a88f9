//! One open file of a storage whose calls fail when they are told to.

use std::sync::Arc;

use kv::error::Result;
use kv::storage::map::{AppendMap, Map};
use kv::storage::File;

use super::{Act, Calls, Of};

pub struct FaultyFile {
    pub inner: Arc<dyn File>,
    pub of: Of,
    pub name: String,
    pub calls: Calls,
}

impl FaultyFile {
    fn pass(&self, act: Act) -> Result<()> {
        self.calls.pass(act, self.of, &self.name)
    }
}

impl File for FaultyFile {
    fn len(&self) -> Result<u64> {
        self.pass(Act::Length)?;
        self.inner.len()
    }

    fn read_at(&self, out: &mut [u8], offset: u64) -> Result<()> {
        self.pass(Act::Read)?;
        self.inner.read_at(out, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        // A part of it may have been written before it failed.
        self.pass(Act::Write).inspect_err(|_| {
            let _ = self.inner.write_at(&bytes[..bytes.len() / 2], offset);
        })?;
        self.inner.write_at(bytes, offset)
    }

    fn allocate(&self, len: u64) -> Result<()> {
        self.pass(Act::Allocate)?;
        self.inner.allocate(len)
    }

    fn truncate(&self, len: u64) -> Result<()> {
        self.pass(Act::Cut)?;
        self.inner.truncate(len)
    }

    fn sync(&self) -> Result<()> {
        self.pass(Act::Sync)?;
        self.inner.sync()
    }

    fn drop_cache(&self) -> Result<()> {
        self.pass(Act::DropCache)?;
        self.inner.drop_cache()
    }

    fn map(&self, len: u64) -> Result<Map> {
        self.pass(Act::Map)?;
        self.inner.map(len)
    }

    fn map_append(&self, start: u64, capacity: u64) -> Result<AppendMap> {
        self.pass(Act::MapAppend)?;
        self.inner.map_append(start, capacity)
    }
}
