//! The names of the files in a database directory: made and parsed here, nowhere else.

/// Held locked while the database is open.
pub const LOCK: &str = "LOCK";
/// Identity and live segments.
pub const MANIFEST: &str = "MANIFEST";
/// The next manifest while it is being written.
pub const MANIFEST_NEW: &str = "MANIFEST.new";
/// The last checkpoint of the index.
pub const INDEX: &str = "INDEX";
/// The next checkpoint while it is being written.
pub const INDEX_NEW: &str = "INDEX.new";
/// Figures of the open database, for those outside.
pub const STATS: &str = "STATS";
/// The next figures while they are being written.
pub const STATS_NEW: &str = "STATS.new";
/// Says that the directory is one that was being made, or was about to be replaced.
pub const PARTIAL: &str = "PARTIAL";
/// How the name of a segment ends.
const SEGMENT_SUFFIX: &str = ".seg";
/// How the name of a segment's hint ends.
const HINT_SUFFIX: &str = ".hint";
/// Fewer digits are filled up with zeros, so that directory listings sort.
const SEGMENT_DIGITS: usize = 8;

/// The name of segment `id`.
pub fn segment(id: u64) -> String {
    numbered(id, SEGMENT_SUFFIX)
}

/// The name of the hint of segment `id`.
pub fn hint(id: u64) -> String {
    numbered(id, HINT_SUFFIX)
}

fn numbered(id: u64, suffix: &str) -> String {
    format!("{id:0SEGMENT_DIGITS$}{suffix}")
}

/// The id in the name of a segment, or `None` if it is no such name.
pub fn parse_segment(name: &str) -> Option<u64> {
    parse(name, SEGMENT_SUFFIX)
}

/// The id of the segment that a hint is of, or `None` if it is no such name.
pub fn parse_hint(name: &str) -> Option<u64> {
    parse(name, HINT_SUFFIX)
}

fn parse(name: &str, suffix: &str) -> Option<u64> {
    let id = name.strip_suffix(suffix)?.parse().ok()?;
    (numbered(id, suffix) == name).then_some(id)
}

/// Whether a file of this name holds figures. They are no data, and nobody depends on them.
pub fn is_stats(name: &str) -> bool {
    matches!(name, STATS | STATS_NEW)
}

/// Whether a file of this name belongs to a database.
pub fn is_ours(name: &str) -> bool {
    matches!(name, LOCK | MANIFEST | MANIFEST_NEW | INDEX | INDEX_NEW | PARTIAL)
        || is_stats(name)
        || parse_segment(name).is_some()
        || parse_hint(name).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn making_and_parsing_are_inverse() {
        for id in [1, 42, 99_999_999, 100_000_000, u64::MAX] {
            assert_eq!(parse_segment(&segment(id)), Some(id));
            assert_eq!(parse_hint(&hint(id)), Some(id));
            assert_eq!((parse_hint(&segment(id)), parse_segment(&hint(id))), (None, None));
        }
        assert_eq!(segment(1), "00000001.seg");
        // A manifest knows segments by their ids alone, and no id leads out of a directory.
        let is_plain = |name: &str| name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.');
        for id in (0..64).map(|bit| 1 << bit).chain([0, u64::MAX]) {
            assert!(is_plain(&segment(id)) && is_plain(&hint(id)), "{}", segment(id));
        }
        let fixed = [LOCK, MANIFEST, MANIFEST_NEW, INDEX, INDEX_NEW, STATS, STATS_NEW, PARTIAL];
        for name in fixed.into_iter().chain([&*segment(7), &hint(7)]) {
            assert!(is_ours(name), "{name}");
        }
        for name in [
            "notes",
            "LOCK2",
            "STATS2",
            "lock",
            "MANIFEST.old",
            "1.seg",
            "00000001.seg.new",
            "",
            ".",
        ] {
            assert!(!is_ours(name), "{name}");
        }
        for name in ["1.seg", "00000001.sega", "+0000001.seg", "-0000001.seg", ".seg", "a.seg", ""]
        {
            assert_eq!(parse_segment(name), None, "{name}");
        }
    }
}
