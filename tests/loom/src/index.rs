//! In the place of the library's `index`: one piece of it.

#[path = "../../../src/index/buckets.rs"]
mod buckets;
#[path = "../../../src/index/piece.rs"]
mod piece;

pub use piece::Piece;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Location(pub u64);

pub const LOCATION_BITS: u32 = 40;
const PIECE_BITS: u32 = 10;

/// What checkpoints keep of a piece: no model makes or takes one.
mod image {
    pub struct Image {
        pub entries: Vec<u64>,
        pub used: usize,
        pub precision: u32,
    }
}

/// Where the buckets come from.
mod arena {
    use crate::error::Result;
    use crate::storage::anonymous::{Line, Run};

    #[derive(Default)]
    pub struct Arena;

    impl Arena {
        pub fn take(&self, lines: usize) -> Result<Run> {
            Ok(Run((0..lines).map(|_| Line::default()).collect()))
        }
    }
}
