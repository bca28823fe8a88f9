//! The names of the files in a database directory: made and parsed here, nowhere else.

/// Held locked while the database is open.
pub const LOCK: &str = "LOCK";
/// Identity and live segments.
pub const MANIFEST: &str = "MANIFEST";
/// The next manifest while it is being written.
pub const MANIFEST_NEW: &str = "MANIFEST.new";
/// How the name of a segment ends.
const SEGMENT_SUFFIX: &str = ".seg";
/// Fewer digits are filled up with zeros, so that directory listings sort.
const SEGMENT_DIGITS: usize = 8;

/// The name of segment `id`.
pub fn segment(id: u64) -> String {
    format!("{id:0SEGMENT_DIGITS$}{SEGMENT_SUFFIX}")
}

/// The id in the name of a segment, or `None` if it is no such name.
pub fn parse_segment(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(SEGMENT_SUFFIX)?;
    let id = digits.parse().ok()?;
    (segment(id) == name).then_some(id)
}

/// Whether a file of this name belongs to a database.
pub fn is_ours(name: &str) -> bool {
    matches!(name, LOCK | MANIFEST | MANIFEST_NEW) || parse_segment(name).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn making_and_parsing_are_inverse() {
        for id in [1, 42, 99_999_999, 100_000_000, u64::MAX] {
            assert_eq!(parse_segment(&segment(id)), Some(id));
        }
        assert_eq!(segment(1), "00000001.seg");
        for name in ["1.seg", "00000001.sega", "+0000001.seg", "-0000001.seg", ".seg", "a.seg", ""]
        {
            assert_eq!(parse_segment(name), None, "{name}");
        }
    }
}
