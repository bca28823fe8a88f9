//! In the place of the library's `engine`: what is kept for snapshots.

#[path = "../../../src/engine/versions.rs"]
mod room;

pub use room::Versions;
