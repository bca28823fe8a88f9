//! libkv: an embeddable key-value store. This file is the map of the crate and nothing else.

mod atomic;
pub mod clock;
mod cpu;
pub mod db;
pub mod engine;
pub mod epoch;
pub mod error;
pub mod ffi;
pub mod format;
pub mod histogram;
pub mod index;
pub mod manifest;
pub mod memory;
pub mod notice;
pub mod options;
pub mod segment;
pub mod storage;
#[doc(hidden)]
pub mod wrong_turn;
