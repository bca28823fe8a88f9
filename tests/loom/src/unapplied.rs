//! In the place of the library's `engine`: what readers are told of batches.

#[path = "../../../src/engine/unapplied.rs"]
mod unapplied;

pub use unapplied::Batches;
