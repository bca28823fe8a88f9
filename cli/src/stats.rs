//! stats: every figure, and a picture of the segments.

use std::env;

use console::Term;
use kv::db::{SegmentStats, Stats};
use kv::format::name;
use serde_json::{json, Map, Value};

use crate::args::{Shared, Stats as Args};
use crate::fail::{Failure, Outcome};
use crate::open::{open, Purpose};
use crate::output::Out;
use crate::picture;

/// Columns where nobody knows how many there are.
const COLUMNS: usize = 80;

/// Shows all figures.
pub fn stats(args: &Args, shared: &Shared) -> Result<Outcome, Failure> {
    let db = open(&args.db, Purpose::Read, shared)?;
    let (stats, segments) = (db.stats(), db.segments()?);
    db.close()?;
    let mut out = Out::new();
    if shared.json {
        let mut figures = Map::new();
        for (name, figure) in figures_of(&stats) {
            figures.insert(name.to_owned(), figure);
        }
        let segments: Vec<Value> = segments.iter().map(segment_as_json).collect();
        out.json(&json!({ "stats": figures, "segments": segments }))?;
    } else {
        for (name, figure) in figures_of(&stats) {
            out.line(&format!("{:<28} {figure}", name.replace('_', " ")))?;
        }
        out.line("")?;
        for line in picture::draw(&segments, args.rows as usize, columns()) {
            out.line(&line)?;
        }
    }
    out.flush()?;
    Ok(Outcome::Done)
}

fn columns() -> usize {
    let said = env::var("COLUMNS").ok().and_then(|text| text.parse().ok());
    let seen = || Term::stdout().size_checked().map(|(_, columns)| usize::from(columns));
    said.or_else(seen).unwrap_or(COLUMNS)
}

/// Names and members of the figures. None is left out, or it does not compile.
macro_rules! figures {
    ($stats:ident; $($name:literal => $member:ident,)*) => {{
        let Stats { $($member),* } = *$stats;
        vec![$(($name, json!($member))),*]
    }};
}

/// All figures with their names. Those of what was done count from when the database was opened,
/// which is now.
fn figures_of(stats: &Stats) -> Vec<(&'static str, Value)> {
    figures! { stats;
        "keys" => keys,
        "live_bytes" => live_bytes,
        "dead_bytes" => dead_bytes,
        "expired_bytes" => expired_bytes,
        "disk_bytes" => disk_bytes,
        "segments" => segments,
        "sealed_segments" => sealed_segments,
        "index_bytes" => index_bytes,
        "open_files" => open_files,
        "read_only" => is_read_only,
        "opened_unix_ms" => opened_unix_ms,
        "writes" => writes,
        "deletes" => deletes,
        "unsynced_writes" => unsynced_writes,
        "bytes_put" => bytes_put,
        "compacting" => is_compacting,
        "compaction_paused" => is_compaction_paused,
        "compaction_total" => compaction_total,
        "compaction_done" => compaction_done,
        "compactions" => compactions,
        "compaction_failures" => compaction_failures,
        "bytes_compaction_read" => bytes_compaction_read,
        "bytes_compacted" => bytes_compacted,
        "segments_removed" => segments_removed,
        "bytes_hints_and_checkpoints" => bytes_hints_and_checkpoints,
        "pauses" => pauses,
        "paused_ns" => paused_ns,
        "waiting_segments" => waiting_segments,
        "rolls" => rolls,
        "rolls_without_spare" => rolls_without_spare,
        "syncs_led" => syncs_led,
        "syncs_followed" => syncs_followed,
        "events_dropped" => events_dropped,
        "snapshots" => snapshots,
        "snapshot_bytes" => snapshot_bytes,
    }
}

/// What is known of a segment.
pub fn segment_as_json(segment: &SegmentStats) -> Value {
    json!({
        "id": segment.id,
        "file": name::segment(segment.id),
        "disk_bytes": segment.disk_bytes,
        "live_bytes": segment.live_bytes,
        "dead_bytes": segment.dead_bytes,
        "expired_bytes": segment.expired_bytes,
        "sealed": segment.is_sealed,
        "active": segment.is_active,
    })
}
