//! Databases to begin with: those that tests/golden keeps.

use std::collections::BTreeMap;

/// Files by name.
pub type Files = BTreeMap<String, Vec<u8>>;

/// The files of one of the kept databases, which are part of the program.
macro_rules! kept {
    ($directory:literal: $($name:literal)*) => {
        &[$((
            $name,
            include_bytes!(concat!("../../tests/golden/", $directory, "/", $name)),
        )),*]
    };
}

/// A file's name and bytes.
type Kept = (&'static str, &'static [u8]);

const KEPT: [&[Kept]; 8] = [
    kept!("v1/closed": "MANIFEST" "00000002.seg" "00000003.seg"),
    kept!("v1/killed": "MANIFEST" "00000001.seg"),
    kept!("v1/checkpointed": "MANIFEST" "00000002.seg" "00000003.seg" "00000003.hint" "INDEX"),
    kept!("v2/closed": "MANIFEST" "00000002.seg" "00000003.seg" "00000003.hint"),
    kept!("v2/killed": "MANIFEST" "00000001.seg"),
    kept!("v2/checkpointed": "MANIFEST" "00000002.seg" "00000003.seg" "00000003.hint" "INDEX"),
    kept!("v2/everything":
        "MANIFEST" "00000005.seg" "00000005.hint" "00000006.seg" "00000006.hint" "00000007.seg"
        "INDEX"),
    kept!("v2/timed": "MANIFEST" "00000001.seg"),
];

/// How many there are.
pub const COUNT: usize = KEPT.len();

/// One of them; none at all past the last.
pub fn files(number: usize) -> Files {
    let kept = KEPT.get(number).copied().unwrap_or_default();
    kept.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.to_vec())).collect()
}
