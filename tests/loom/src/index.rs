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
