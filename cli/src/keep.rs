//! compact, backup and restore.

use std::path::Path;
use std::time::Instant;

use kv::db::{self, Db};
use kv::options::{CompactionMode, Options};
use serde_json::{json, Value};

use crate::args::{Backup, Compact, Restore, Shared};
use crate::cancel::Cancel;
use crate::fail::{Failure, Outcome};
use crate::open::{open, options_of_long, Purpose};
use crate::output::{answer, human};
use crate::progress::Bar;

/// Removes all garbage there is.
pub fn compact(args: &Compact, shared: &Shared) -> Result<Outcome, Failure> {
    let cancel = Cancel::listen()?;
    // What is asked for here is all there is: the background would be in the way.
    let compaction = CompactionMode::Manual;
    let options = Options { compaction, ..options_of_long(Purpose::Write, shared)? };
    let db = Db::open(&args.db, &options)?;
    let before = db.stats();
    let bar = Bar::of_library(shared, "compacting");
    let compacted = db.compact_with(bar.follow(&cancel));
    drop(bar);
    let after = db.stats();
    let closed = db.close();
    let dead = human(after.dead_bytes);
    let left = format!("what was compacted stays so, and {dead} of garbage are left");
    compacted.map_err(|error| cancel.explain(error, &left))?;
    closed?;
    let text = format!(
        "compacted: {} on disk, {} before; {dead} of garbage left",
        human(after.disk_bytes),
        human(before.disk_bytes),
    );
    let figures = json!({
        "disk_bytes_before": before.disk_bytes,
        "disk_bytes": after.disk_bytes,
        "dead_bytes_before": before.dead_bytes,
        "dead_bytes": after.dead_bytes,
        "bytes_read": after.bytes_compaction_read,
        "bytes_written": after.bytes_compacted,
        "segments_removed": after.segments_removed,
    });
    done(shared, &text, &figures)
}

/// Makes a backup, or brings one up to date.
pub fn backup(args: &Backup, shared: &Shared) -> Result<Outcome, Failure> {
    let cancel = Cancel::listen()?;
    let db = open(&args.db, Purpose::Read, shared)?;
    let began = Instant::now();
    let bar = Bar::of_library(shared, "backing up");
    let made = db.backup_with(&args.to, bar.follow(&cancel));
    drop(bar);
    let (keys, bytes) = (db.count(), db.stats().disk_bytes);
    let closed = db.close();
    let left = format!("{} is as it was before", args.to.display());
    made.map_err(|error| cancel.explain(error, &left))?;
    closed?;
    let text = format!(
        "backed up: {keys} keys, {} to {}, in {:.1?}",
        human(bytes),
        args.to.display(),
        began.elapsed(),
    );
    done(shared, &text, &made_of(&args.to, keys))
}

/// Makes a database of a backup.
pub fn restore(args: &Restore, shared: &Shared) -> Result<Outcome, Failure> {
    let cancel = Cancel::listen()?;
    let began = Instant::now();
    let bar = Bar::of_library(shared, "restoring");
    let made = db::restore_with(&args.backup, &args.db, bar.follow(&cancel));
    drop(bar);
    let left = format!("{} is as it was before", args.db.display());
    made.map_err(|error| cancel.explain(error, &left))?;
    let db = open(&args.db, Purpose::Read, shared)?;
    let keys = db.count();
    db.close()?;
    let text =
        format!("restored: {keys} keys to {}, in {:.1?}", args.db.display(), began.elapsed());
    done(shared, &text, &made_of(&args.db, keys))
}

fn made_of(path: &Path, keys: u64) -> Value {
    json!({ "path": path.to_string_lossy(), "keys": keys })
}

/// Says what was done, unless nobody wants to hear it.
fn done(shared: &Shared, text: &str, figures: &Value) -> Result<Outcome, Failure> {
    if shared.json || !shared.quiet {
        answer(shared, text, figures)?;
    }
    Ok(Outcome::Done)
}
