//! A database on a simulated disk, as a program has it or without its thread.

use std::sync::Arc;

use kv::db::Db;
use kv::engine::{recover, Engine};
use kv::error::Result;
use kv::options::Options;

use super::sim_disk::SimDisk;

/// A database, with its maintenance thread or without: without, a history is the same in every run.
pub enum Store {
    Alone(Arc<Engine>),
    WithThread(Db),
}

impl Store {
    /// Opens it.
    pub fn open(disk: &SimDisk, options: &Options, with_thread: bool) -> Result<Store> {
        Ok(match with_thread {
            true => Store::WithThread(Db::open_in(disk.storage(), options)?),
            false => Store::Alone(Arc::new(recover::open(disk.storage(), options.clone())?)),
        })
    }

    /// The engine.
    pub fn engine(&self) -> &Engine {
        match self {
            Store::Alone(engine) => engine,
            Store::WithThread(db) => db.engine(),
        }
    }

    /// Closes it, with a checkpoint of that very moment, which small databases do not get.
    pub fn close(self) -> Result<()> {
        self.engine().checkpoint();
        match self {
            Store::Alone(engine) => engine.shut_down(),
            Store::WithThread(db) => db.close(),
        }
    }
}
