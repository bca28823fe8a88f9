//! What a database of very many segments takes of the process's files and maps.

use kv::db::Db;
use kv::options::{Options, SyncLevel};

use crate::machine;
use crate::report::{Report, Target};
use crate::settings::Settings;
use crate::workload::key;

/// Smaller than the option allows, so that there are many on a small disk.
const SEGMENT: u64 = 64 << 10;
const VALUE: usize = 40 << 10;

pub fn run(settings: &Settings, report: &mut Report) {
    let path = settings.fresh("segments");
    let wanted = settings.size("segments") as usize;
    let options = Options { segment_size: SEGMENT, sync: SyncLevel::None, ..Options::default() };
    let (files, maps) = (machine::open_files(), machine::maps());
    let db = Db::open(&path, &options).expect("a new database opens");
    let value = vec![42; VALUE];
    for i in 0..wanted as u64 {
        if let Err(error) = db.put(&key(i), &value) {
            report.note(&format!("after {i} segments: {error}"));
            break;
        }
    }
    let segments = machine::files(&path).iter().filter(|f| f.name.ends_with(".seg")).count();
    report.figure("segments", segments as f64, "", Target::AtLeast(wanted as f64));
    // Segments are sealed in the background: until then they may be open.
    db.sync().expect("sync");
    report.fact("open files more than before", (machine::open_files() - files) as f64, "");
    report.fact("maps more than before", (machine::maps() - maps) as f64, "");
    report.fact("limit of open files", machine::file_limit() as f64, "");
    report.fact("limit of maps", machine::map_limit() as f64, "");
    let reads = (0..segments as u64)
        .filter(|i| matches!(db.get(&key(*i), <[u8]>::len), Ok(Some(len)) if len == VALUE));
    report.figure(
        "records that are read",
        reads.count() as f64,
        "",
        Target::AtLeast(wanted as f64),
    );
    let after = (machine::maps() - maps) as f64;
    report.fact("maps more than before, when all were read", after, "");
    db.close().expect("close");
    let _ = std::fs::remove_dir_all(&path);
}
