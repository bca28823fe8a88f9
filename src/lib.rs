//! libkv: an embeddable key-value store. This file is the map of the crate and nothing else.

pub mod error;
pub mod format;
pub mod index;
pub mod options;
pub mod storage;
