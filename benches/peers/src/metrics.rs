//! What is measured: names, units, and which engines can be asked.

use crate::engine::Can;

/// Whether more is better.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Better {
    More,
    Less,
}

pub struct Metric {
    pub name: &'static str,
    pub unit: &'static str,
    pub better: Better,
    /// What an engine must be able to do.
    pub needs: &'static [Can],
    /// The engine that is its roofline, and what that engine's figure is called.
    pub roofline: Option<(&'static str, &'static str)>,
}

const APPEND: &str = "roof-append";
const TABLE: &str = "roof-table";
const MIXED: &[Can] = &[Can::Write, Can::Read, Can::Scan];
const CLOSED: &[Can] = &[Can::Write, Can::Read, Can::Scan, Can::Open];

const fn rate(name: &'static str, needs: &'static [Can], roof: Option<&'static str>) -> Metric {
    let roofline = match roof {
        Some(engine) => Some((engine, name)),
        None => None,
    };
    Metric { name, unit: "operations/s", better: Better::More, needs, roofline }
}

const fn cost(name: &'static str, unit: &'static str, needs: &'static [Can]) -> Metric {
    Metric { name, unit, better: Better::Less, needs, roofline: None }
}

const fn same_as(name: &'static str, needs: &'static [Can], roof: &'static str) -> Metric {
    Metric { roofline: Some((TABLE, roof)), ..rate(name, needs, None) }
}

/// In the order in which they are measured.
pub const METRICS: &[Metric] = &[
    rate("fill-sequential", &[Can::Write], Some(APPEND)),
    rate("fill-random", &[Can::Write], Some(APPEND)),
    cost("memory", "bytes of own memory per key", CLOSED),
    cost("written-filling", "bytes written per byte put", CLOSED),
    cost("disk-filled", "bytes on disk per live byte", CLOSED),
    rate("read-random", &[Can::Read], Some(TABLE)),
    rate("read-zipf", &[Can::Read], Some(TABLE)),
    rate("read-missing", &[Can::Read], Some(TABLE)),
    same_as("view-random", &[Can::Read, Can::View], "read-random"),
    same_as("get-many", &[Can::Read, Can::GetMany], "read-random"),
    rate("scan", &[Can::Scan], None),
    rate("overwrite", &[Can::Write], Some(APPEND)),
    cost("written-overwriting", "bytes written per byte put", CLOSED),
    cost("disk-overwritten", "bytes on disk per live byte", CLOSED),
    rate("scan-overwritten", &[Can::Scan], None),
    rate("ycsb-a-1", MIXED, None),
    rate("ycsb-a-2", MIXED, None),
    rate("ycsb-b-1", MIXED, None),
    rate("ycsb-b-2", MIXED, None),
    same_as("ycsb-c-1", MIXED, "read-zipf"),
    rate("ycsb-c-2", MIXED, None),
    rate("ycsb-f-1", MIXED, None),
    rate("ycsb-f-2", MIXED, None),
    rate("ycsb-d-1", MIXED, None),
    rate("ycsb-d-2", MIXED, None),
    cost("put-p50", "us", MIXED),
    cost("put-p99", "us", MIXED),
    cost("put-p99.9", "us", MIXED),
    cost("put-max", "us", MIXED),
    cost("get-p50", "us", MIXED),
    cost("get-p99", "us", MIXED),
    cost("get-p99.9", "us", MIXED),
    cost("get-max", "us", MIXED),
    cost("close", "ms", CLOSED),
    cost("open-clean", "ms", CLOSED),
    rate("delete", &[Can::Write], Some(APPEND)),
    rate("batch", &[Can::Write, Can::Batch], Some(APPEND)),
    rate("sync-1", &[Can::Write, Can::Sync], Some(APPEND)),
    rate("sync-2", &[Can::Write, Can::Sync], None),
    rate("sync-4", &[Can::Write, Can::Sync], None),
    rate("sync-8", &[Can::Write, Can::Sync], None),
    rate("sync-16", &[Can::Write, Can::Sync], None),
    cost("open-killed", "ms", CLOSED),
    Metric {
        name: KEPT,
        unit: "% of acknowledged puts that kill -9 left",
        better: Better::More,
        needs: CLOSED,
        roofline: None,
    },
];

/// Tells whether writes survive kill -9: measured, not believed.
pub const KEPT: &str = "kept-killed";

pub fn find(name: &str) -> Option<&'static Metric> {
    METRICS.iter().find(|metric| metric.name == name)
}

/// Whether `chosen`, which is a metric's name or the beginning of some, means this one.
pub fn means(chosen: &str, name: &str) -> bool {
    name.strip_prefix(chosen).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A name means itself and those that go on after a dash; every name is there once.
    #[test]
    fn names_are_chosen_by_their_beginnings() {
        let chosen = |name: &str| METRICS.iter().filter(|m| means(name, m.name)).count();
        assert_eq!((chosen("ycsb"), chosen("ycsb-a"), chosen("ycsb-a-1")), (10, 2, 1));
        assert_eq!((chosen("sync"), chosen("sync-1"), chosen("scan")), (5, 1, 2));
        assert_eq!((chosen("fil"), chosen("")), (0, 0));
        for metric in METRICS {
            let same = METRICS.iter().filter(|other| other.name == metric.name);
            assert_eq!(same.count(), 1, "{}", metric.name);
        }
    }
}
