//! The command line as its users meet it: every command as a process, with what goes in, what comes
//! out, and the exit code.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;
mod damage;
mod describe;
mod figures;
mod keep;
mod opening;
mod scan;
mod signals;
mod top;
mod transfer;
mod values;
