//! What is fuzzed: a function for each target, which takes any bytes and panics if the library does
//! what it must not. libFuzzer calls them, and so does a plain test with what it has found.
#![allow(dead_code, reason = "each program uses a part of it")]

pub mod api;
pub mod checkpoint;
pub mod directory;
mod disk;
mod examined;
mod expected;
mod golden;
pub mod hint;
mod image;
mod input;
pub mod manifest;
mod model;
pub mod record;
pub mod seeds;
pub mod segment;
