//! Explores the schedules of the library's rooms without locks: pins and grace periods
//! (`src/epoch/`), the pieces of the index (`src/index/piece.rs`), how readers are kept from seeing
//! half of a batch (`src/engine/unapplied.rs`), and what is kept for snapshots
//! (`src/engine/versions.rs`), which has locks, but several that are not held together.
//!
//! The library's own files are built here against loom's atomics, mutexes and threads. Loom runs
//! each model again and again, with another order of steps and other values that the language's
//! memory model allows a load to see, until there is no other within the bound on preemptions.
//! Not modelled: the kernel's membarrier, which stands for a full fence on both sides
//! (`storage::barrier`), and the destructor of a thread's last local, which the models call
//! themselves.
//!
//! `cargo run -- [NAME]`: without a name, all models. Each must end within its time.
#![allow(dead_code, unused_imports, reason = "the models use a part of the library's files")]

/// The library's files name this crate; here it is what stands in for it.
extern crate self as parking_lot;

#[macro_use]
mod local;
mod atomic;
mod explore;
mod mutex;
mod quarantine;
mod storage;

#[path = "../../../src/cpu.rs"]
mod cpu;
#[path = "../../../src/epoch/mod.rs"]
mod epoch;
#[path = "../../../src/error.rs"]
mod error;
mod index;
#[path = "../../../src/memory.rs"]
mod memory;
mod unapplied;
mod versions;

mod batch_models;
mod epoch_models;
mod index_models;
mod versions_models;

pub use mutex::{Mutex, MutexGuard};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let models = epoch_models::MODELS.iter().chain(&index_models::MODELS);
    let mut models = models.chain(&batch_models::MODELS).chain(&versions_models::MODELS);
    if let [alone, name] = &arguments[..] {
        assert_eq!(alone, explore::ALONE, "one name at most");
        return models.find(|model| model.name == name).expect("no such model").explore();
    }
    let wanted = arguments.first().map_or("", String::as_str);
    let run = models.filter(|model| model.name.contains(wanted)).map(|model| model.run()).count();
    assert!(run > 0, "no model is called {wanted}");
    println!("{run} models are as they must be");
}
