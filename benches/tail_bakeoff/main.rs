//! The bake-off between two designs of the log's tail: a mapped segment and a tail ring.
//!
//!     cargo bench --bench tail_bakeoff -- --records 2000000 --rounds 5
//!
//! Every contestant appends the same checksummed records to 64-MiB segments. Rounds are
//! interleaved (each round runs every contestant once, starting with another one), so that what
//! else the machine does falls on all alike; the tables show medians over the rounds.
//! Data goes to a fresh directory under $TMPDIR, or target/tmp: use a real disk.

#![allow(clippy::print_stdout, reason = "a benchmark reports on standard output")]

mod bad_disk;
mod baselines;
mod mapped;
mod measure;
mod record;
mod ring;
mod steps;
mod sys;
mod tail;

use baselines::{Memory, Written};
use mapped::{Mapped, Populate};
use measure::{median, Figures};
use record::Source;
use ring::Ring;
use std::fs::{create_dir_all, remove_dir_all, remove_file, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use tail::Tail;

const SYNC_PUTS: u64 = 500;

#[derive(Clone, Copy, PartialEq)]
enum Design {
    Memory,
    WritePerRecord,
    UserBuffer,
    Mapped,
    MappedInline,
    MappedAhead,
    MappedNear,
    MappedZeroed,
    MappedSparse,
    Ring,
    RingAllocated,
}

impl Design {
    const ALL: [Design; 11] = [
        Design::Memory,
        Design::WritePerRecord,
        Design::UserBuffer,
        Design::Mapped,
        Design::MappedInline,
        Design::MappedAhead,
        Design::MappedNear,
        Design::MappedZeroed,
        Design::MappedSparse,
        Design::Ring,
        Design::RingAllocated,
    ];

    fn name(self) -> &'static str {
        match self {
            Design::Memory => "memory copy (roofline)",
            Design::WritePerRecord => "write(2) per record",
            Design::UserBuffer => "256-KiB user buffer (*)",
            Design::Mapped => "(a) mapped, not populated",
            Design::MappedInline => "(a) mapped, populated inline",
            Design::MappedAhead => "(a) mapped, thread 8 MiB ahead",
            Design::MappedNear => "(a) mapped, thread 1 MiB ahead",
            Design::MappedZeroed => "(a) mapped, thread zeroes 8 MiB",
            Design::MappedSparse => "mapped, sparse: no fallocate (**)",
            Design::Ring => "(b) ring of 4 MiB",
            Design::RingAllocated => "(b) ring, segments allocated ahead",
        }
    }

    fn open(self, dir: &Path) -> io::Result<Box<dyn Tail>> {
        Ok(match self {
            Design::Memory => Box::new(Memory::open()),
            Design::WritePerRecord => Box::new(Written::open(dir, 0)?),
            Design::UserBuffer => Box::new(Written::open(dir, 256 << 10)?),
            Design::Mapped => Box::new(Mapped::open(dir, Populate::Never)?),
            Design::MappedInline => Box::new(Mapped::open(dir, Populate::Inline)?),
            Design::MappedAhead => Box::new(Mapped::open(dir, Populate::Ahead(8 << 20))?),
            Design::MappedNear => Box::new(Mapped::open(dir, Populate::Ahead(1 << 20))?),
            Design::MappedZeroed => Box::new(Mapped::open(dir, Populate::ZeroedAhead(8 << 20))?),
            Design::MappedSparse => Box::new(Mapped::open(dir, Populate::Sparse)?),
            Design::Ring => Box::new(Ring::open(dir, false)?),
            Design::RingAllocated => Box::new(Ring::open(dir, true)?),
        })
    }
}

struct Options {
    records: u64,
    rounds: usize,
}

fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, "--fill", name, at] = &arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        let design = Design::ALL.into_iter().find(|design| design.name() == *name);
        return design.map_or(Ok(()), |design| bad_disk::fill(design, Path::new(at)));
    }
    let options = Options {
        records: number(&arguments, "--records", 2_000_000),
        rounds: number(&arguments, "--rounds", 5) as usize,
    };
    let dir = fresh_dir()?;
    let result = bake_off(&dir, &options);
    remove_dir_all(&dir)?;
    result
}

fn number(arguments: &[String], name: &str, default: u64) -> u64 {
    let mut after = arguments.iter().skip_while(|argument| *argument != name).skip(1);
    after.next().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn fresh_dir() -> io::Result<PathBuf> {
    let parent =
        std::env::var_os("TMPDIR").map_or(env!("CARGO_TARGET_TMPDIR").into(), PathBuf::from);
    let dir = parent.join(format!("tail-bakeoff-{}", std::process::id()));
    create_dir_all(&dir)?;
    Ok(dir)
}

fn bake_off(dir: &Path, options: &Options) -> io::Result<()> {
    let Options { records, rounds } = *options;
    println!(
        "{records} records of {} bytes a run, {rounds} interleaved rounds, {} cores, data on {}",
        record::RECORD,
        std::thread::available_parallelism().map_or(0, usize::from),
        sys::file_system(dir)?,
    );
    let source = Source::new();
    let mut quiet: Vec<Vec<Figures>> = vec![Vec::new(); Design::ALL.len()];
    let mut synced = quiet.clone();
    let mut sync_puts = vec![Vec::new(); Design::ALL.len()];
    // Round 0 warms up and checks that every record arrives; it is not counted.
    for round in 0..=rounds {
        for turn in 0..Design::ALL.len() {
            let n = (turn + round) % Design::ALL.len();
            let alone = run_once(dir, Design::ALL[n], &source, records, false, round == 0)?;
            let beside = run_once(dir, Design::ALL[n], &source, records, true, round == 0)?;
            let each = sync_each(dir, Design::ALL[n], &source)?;
            if round > 0 {
                sync_puts[n].push(each);
                quiet[n].push(alone);
                synced[n].push(beside);
            }
        }
    }
    println!("\nAlone; medians of {rounds} rounds");
    print_table(&quiet);
    println!("\nWhile a second thread runs fdatasync without pause (after draining, for (b))");
    print_table(&synced);
    print_notes();
    println!("\nEach put followed by its own fdatasync ({SYNC_PUTS} puts): median µs");
    for (design, times) in Design::ALL.iter().zip(sync_puts).skip(1) {
        println!("{:<34} {:>7.0}", design.name(), median(times) / 1e3);
    }
    warm_memory(dir, records)?;
    steps::report(dir)?;
    bad_disk::report(dir)
}

fn run_once(
    dir: &Path,
    design: Design,
    source: &Source,
    records: u64,
    sync: bool,
    check: bool,
) -> io::Result<Figures> {
    let here = dir.join("run");
    create_dir_all(&here)?;
    warm_memory(dir, records)?;
    let figures = measure::run(design.open(&here)?, source, records, sync)?;
    if check && design != Design::Memory {
        let stored = tail::count_stored(&here)?;
        assert_eq!(stored, records, "{}: records are missing", design.name());
    }
    remove_dir_all(&here)?;
    // Commits the removal, so that the next contestant does not pay for it.
    File::open(dir)?.sync_all()?;
    Ok(figures)
}

/// Fills as much page cache as a run will and frees it. A virtual machine may have handed free
/// memory back to its host, and whoever takes it next waits several microseconds a page for it.
fn warm_memory(dir: &Path, records: u64) -> io::Result<()> {
    let path = dir.join("warm");
    let mut file = File::create(&path)?;
    io::copy(&mut io::repeat(0).take(records * record::RECORD as u64 * 5 / 4), &mut file)?;
    drop(file);
    remove_file(path)
}

/// The median time of a put that is made durable by the thread that puts.
fn sync_each(dir: &Path, design: Design, source: &Source) -> io::Result<f64> {
    let here = dir.join("run");
    create_dir_all(&here)?;
    let mut times = measure::sync_puts(design.open(&here)?, source, SYNC_PUTS)?;
    remove_dir_all(&here)?;
    File::open(dir)?.sync_all()?;
    Ok(measure::quantile(&mut times, 0.5))
}

fn print_table(results: &[Vec<Figures>]) {
    println!(
        "{:<34} {:>7} {:>6} {:>6} {:>7} {:>7} | {:>6} {:>6} {:>7} {:>8} {:>8} | {:>6} {:>8}",
        "",
        "M put/s",
        "min",
        "ratio",
        "CPU ns",
        "flt/1k",
        "p50",
        "p99",
        "p99.9",
        "max µs",
        "worst µs",
        "syncs",
        "sync µs"
    );
    let middle =
        |runs: &[Figures], pick: fn(&Figures) -> f64| median(runs.iter().map(pick).collect());
    let base = middle(&results[1], |run| run.puts_per_s);
    for (design, runs) in Design::ALL.iter().zip(results) {
        let rate = middle(runs, |run| run.puts_per_s);
        println!(
            "{:<34} {:>7.2} {:>6.2} {:>6.2} {:>7.0} {:>7.1} | {:>6.0} {:>6.0} {:>7.0} \
             {:>8.0} {:>8.0} | {:>6.0} {:>8.0}",
            design.name(),
            rate / 1e6,
            runs.iter().map(|run| run.puts_per_s).fold(f64::INFINITY, f64::min) / 1e6,
            rate / base,
            middle(runs, |run| run.cpu_ns_per_put),
            middle(runs, |run| run.faults_per_1000),
            middle(runs, |run| run.p50),
            middle(runs, |run| run.p99),
            middle(runs, |run| run.p999),
            middle(runs, |run| run.max) / 1e3,
            runs.iter().map(|run| run.max).fold(0.0, f64::max) / 1e3,
            middle(runs, |run| run.syncs),
            middle(runs, |run| run.sync_p50) / 1e3,
        );
    }
}

fn print_notes() {
    println!(
        "\
ratio: to write(2) per record, its table's own. CPU ns: per put, of all threads, making the record
  and its checksum included. flt/1k: page faults per 1000 puts. p50, p99, p99.9: nanoseconds in
  append alone; one put in 13 is timed, the clock's own cost is left in (see the roofline's p50).
  max: the longest timed put or run of 12 untimed ones, median of the rounds; worst: of all rounds.
  syncs, sync µs: how many a run saw, and their median time.
(*) loses the buffer on kill -9, and its fdatasync does not reach what is in the buffer.
(**) for comparison only: dies of SIGBUS on a full disk."
    );
}
