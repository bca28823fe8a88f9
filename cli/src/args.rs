//! What can be said on the command line. The help, the manual pages and the completions are made
//! of this.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::bytes::Encoding;
use crate::time::parse_time;

const AFTER_HELP: &str = "\
Exit codes:
  0    done
  1    the answer is no: no such key, damage was found, something is lost, no figures
  2    wrong usage
  3    there is no database there, or one is in the way
  4    the database is in use
  5    damage ended the command
  6    the system refused: no room, no permission, a failing disk
  7    what was to be imported is not as it should be
  8    a bug in libkv
  130  interrupted (Ctrl-C); 143 by SIGTERM, 141 since nobody reads the output

A database is made by put and import with --create, and by restore and salvage; by nothing else.";

/// Read, write, check, mend, copy and watch databases of libkv
#[derive(Debug, Parser)]
#[command(name = "kv", version, after_help = AFTER_HELP)]
#[command(propagate_version = true)]
pub struct Cli {
    #[command(flatten)]
    pub shared: Shared,
    #[command(subcommand)]
    pub command: Command,
}

/// What all commands take.
#[derive(Args, Debug)]
pub struct Shared {
    /// Write results and errors as JSON
    #[arg(long, global = true)]
    pub json: bool,
    /// No progress bars, no remarks; errors only
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// An option of the library, such as segment_size=16MiB (may be repeated)
    #[arg(short = 'o', long = "option", value_name = "NAME=VALUE", global = true)]
    pub options: Vec<String>,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write the value of a key to standard output
    Get(Get),
    /// Store a value under a key
    Put(Put),
    /// Delete keys
    Delete(Delete),
    /// List keys and values, in no order: the index is a hash index
    Scan(Scan),
    /// Count keys
    Count(Count),
    /// Show all figures, and a picture of the segments and their garbage
    Stats(Stats),
    /// Check every checksum and structure, and change nothing
    Verify(Verify),
    /// Make a new database of all that is whole in a damaged one
    Salvage(Salvage),
    /// Remove all replaced, deleted and expired records
    Compact(Compact),
    /// Make a backup of a database, or bring one up to date
    Backup(Backup),
    /// Make a database of a backup, all of which is verified
    Restore(Restore),
    /// Read records from a file or standard input
    Import(Import),
    /// Write all records to a file or standard output
    Export(Export),
    /// Measure this machine, in a directory that is made and removed
    Bench(Bench),
    /// Show live what another process does with a database, if that publishes figures
    Top(Top),
    /// Show from outside how the files of a database grow, while it is used
    Watch(Watch),
    /// Write completions for a shell
    Completions(Completions),
    /// Write the manual page, or all of them into a directory
    Man(Man),
}

/// How keys and values are written.
#[derive(Args, Debug)]
pub struct Encodings {
    /// How keys and values are written, in arguments, input and output
    #[arg(short, long, value_enum, value_name = "HOW")]
    pub encoding: Option<Encoding>,
    /// The same as --encoding hex
    #[arg(long, conflicts_with_all = ["encoding", "base64"])]
    pub hex: bool,
    /// The same as --encoding base64
    #[arg(long, conflicts_with = "encoding")]
    pub base64: bool,
    /// How values are written, if that is otherwise than keys
    #[arg(long, value_enum, value_name = "HOW")]
    pub value_encoding: Option<Encoding>,
}

#[derive(Args, Debug)]
pub struct Get {
    /// The directory of the database
    pub db: PathBuf,
    /// The key
    #[arg(required_unless_present = "key_file")]
    pub key: Option<OsString>,
    /// Read the key from a file, or standard input (-)
    #[arg(long, value_name = "FILE", conflicts_with = "key")]
    pub key_file: Option<PathBuf>,
    #[command(flatten)]
    pub encodings: Encodings,
}

#[derive(Args, Debug)]
pub struct Put {
    /// The directory of the database
    pub db: PathBuf,
    /// The key
    #[arg(required_unless_present = "key_file")]
    pub key: Option<OsString>,
    /// The value; - reads standard input
    #[arg(
        required_unless_present = "file",
        conflicts_with = "file",
        allow_negative_numbers = true
    )]
    pub value: Option<OsString>,
    /// Read the key from a file, or standard input (-)
    #[arg(long, value_name = "FILE", conflicts_with = "key", requires = "file")]
    pub key_file: Option<PathBuf>,
    /// Read the value from a file, or standard input (-)
    #[arg(short, long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Let the value expire after this time: 90s, 500ms, 10m, 2h, 7d, or seconds
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub ttl: Option<Duration>,
    /// Store it only if the key is not there
    #[arg(long)]
    pub if_absent: bool,
    /// Make the database if there is none
    #[arg(long)]
    pub create: bool,
    #[command(flatten)]
    pub encodings: Encodings,
}

#[derive(Args, Debug)]
pub struct Delete {
    /// The directory of the database
    pub db: PathBuf,
    /// The keys
    #[arg(required_unless_present = "key_file")]
    pub keys: Vec<OsString>,
    /// Read one key from a file, or standard input (-)
    #[arg(long, value_name = "FILE", conflicts_with = "keys")]
    pub key_file: Option<PathBuf>,
    #[command(flatten)]
    pub encodings: Encodings,
}

#[derive(Args, Debug)]
pub struct Scan {
    /// The directory of the database
    pub db: PathBuf,
    /// Only keys that begin with this (all keys are read nevertheless)
    #[arg(short, long, value_name = "BYTES")]
    pub prefix: Option<OsString>,
    /// At most so many
    #[arg(short = 'n', long, value_name = "N")]
    pub limit: Option<u64>,
    /// Keys alone
    #[arg(short, long, conflicts_with = "values")]
    pub keys_only: bool,
    /// Values alone
    #[arg(short, long)]
    pub values: bool,
    /// End each key and each value with a NUL byte, and write them raw unless told otherwise
    #[arg(short = '0', long = "null", conflicts_with = "json")]
    pub null: bool,
    #[command(flatten)]
    pub encodings: Encodings,
}

#[derive(Args, Debug)]
pub struct Count {
    /// The directory of the database
    pub db: PathBuf,
    /// Only keys that begin with this
    #[arg(short, long, value_name = "BYTES")]
    pub prefix: Option<OsString>,
    /// Read all records, and leave out those that have expired and are not removed yet
    #[arg(long)]
    pub exact: bool,
    #[command(flatten)]
    pub encodings: Encodings,
}

#[derive(Args, Debug)]
pub struct Stats {
    /// The directory of the database
    pub db: PathBuf,
    /// Lines of the picture: more segments than this are grouped
    #[arg(long, value_name = "N", default_value_t = 24)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    pub rows: u32,
}

#[derive(Args, Debug)]
pub struct Verify {
    /// The directory of the database, or of a backup
    pub db: PathBuf,
}

#[derive(Args, Debug)]
pub struct Salvage {
    /// The directory of the damaged database, which stays as it is
    pub from: PathBuf,
    /// The directory of the new one, which is missing or empty
    pub to: PathBuf,
}

#[derive(Args, Debug)]
pub struct Compact {
    /// The directory of the database
    pub db: PathBuf,
}

#[derive(Args, Debug)]
pub struct Backup {
    /// The directory of the database
    pub db: PathBuf,
    /// The directory of the backup: a new one, or an older backup of this database
    pub to: PathBuf,
}

#[derive(Args, Debug)]
pub struct Restore {
    /// The directory of the backup, which stays as it is
    pub backup: PathBuf,
    /// The directory of the database that is made, which is missing or empty
    pub db: PathBuf,
}

/// How records are kept in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A JSON object on each line
    Jsonl,
    /// Comma-separated values, with a header
    Csv,
    /// Lengths before bytes, and checksums
    Binary,
}

#[derive(Args, Debug)]
pub struct Import {
    /// The directory of the database
    pub db: PathBuf,
    /// The file; - is standard input
    #[arg(default_value = "-")]
    pub file: PathBuf,
    /// How the file is written; by default as the end of its name says, else jsonl
    #[arg(short, long, value_enum)]
    pub format: Option<Format>,
    /// Make the database if there is none
    #[arg(long)]
    pub create: bool,
    /// Leave out what is wrong and count it, instead of stopping
    #[arg(long)]
    pub skip_errors: bool,
    /// Records that are written at once, all or none
    #[arg(long, value_name = "N", default_value_t = 1000)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub batch: u32,
}

#[derive(Args, Debug)]
pub struct Export {
    /// The directory of the database
    pub db: PathBuf,
    /// The file; - is standard output
    #[arg(default_value = "-")]
    pub file: PathBuf,
    /// How the file is written; by default as the end of its name says, else jsonl
    #[arg(short, long, value_enum)]
    pub format: Option<Format>,
    /// Only keys that begin with this
    #[arg(short, long, value_name = "BYTES")]
    pub prefix: Option<OsString>,
    #[command(flatten)]
    pub encodings: Encodings,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Workload {
    /// New keys, each once
    Fill,
    /// Keys drawn at random are put again
    Overwrite,
    /// Keys drawn at random are read
    Read,
    /// Some are read, the others put again
    Mixed,
}

#[derive(Args, Debug)]
pub struct Bench {
    /// What to measure, in this order; fill is always done first
    #[arg(long, value_enum, value_delimiter = ',',
        default_values_t = [Workload::Fill, Workload::Overwrite, Workload::Read, Workload::Mixed])]
    pub workloads: Vec<Workload>,
    /// Keys
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=1 << 40))]
    pub keys: u64,
    /// Bytes of a key
    #[arg(long, value_name = "BYTES", default_value_t = 16)]
    #[arg(value_parser = clap::value_parser!(u32).range(8..=65_535))]
    pub key_size: u32,
    /// Bytes of a value
    #[arg(long, value_name = "BYTES", default_value_t = 100)]
    #[arg(value_parser = clap::value_parser!(u32).range(..=1 << 30))]
    pub value_size: u32,
    /// Threads
    #[arg(short, long, value_name = "N", default_value_t = 1)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub threads: u32,
    /// Operations of each workload but fill; by default as many as there are keys
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(..=1 << 40))]
    pub operations: Option<u64>,
    /// How many of a hundred operations of mixed read
    #[arg(long, value_name = "PERCENT", default_value_t = 50)]
    #[arg(value_parser = clap::value_parser!(u32).range(..=100))]
    pub reads: u32,
    /// The directory in which one is made for the database, and removed
    #[arg(long, value_name = "DIRECTORY", default_value = ".")]
    pub dir: PathBuf,
    /// Where the random numbers begin
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
}

#[derive(Args, Debug)]
pub struct Top {
    /// The directory of the database
    pub db: PathBuf,
    /// How long to wait before looking again
    #[arg(short, long, value_name = "TIME", default_value = "1s", value_parser = parse_time)]
    pub interval: Duration,
    /// Print what has happened since the database was opened, and end
    #[arg(long)]
    pub once: bool,
    /// No colours (as with the variable NO_COLOR)
    #[arg(long)]
    pub no_color: bool,
}

#[derive(Args, Debug)]
pub struct Watch {
    /// The directory of the database
    pub db: PathBuf,
    /// How long to wait between two lines
    #[arg(short, long, value_name = "TIME", default_value = "1s", value_parser = parse_time)]
    pub interval: Duration,
    /// End after so many lines
    #[arg(short = 'n', long, value_name = "N")]
    pub count: Option<u64>,
}

#[derive(Args, Debug)]
pub struct Completions {
    /// The shell
    pub shell: clap_complete::Shell,
}

#[derive(Args, Debug)]
pub struct Man {
    /// Write a page for each command into this directory
    pub directory: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }
}
