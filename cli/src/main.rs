//! kv, the command line of libkv. This file parses, calls a command, and says how it ended.

mod args;
mod bench;
mod bytes;
mod cancel;
mod check;
mod describe;
mod fail;
mod input;
mod keep;
mod open;
mod output;
mod picture;
mod progress;
mod scan;
mod stats;
mod time;
mod top;
mod transfer;
mod value;
mod watch;

use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::Parser;

use args::{Cli, Command};
use fail::{Failure, Outcome};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refuse(&error),
    };
    let ended = run(&cli);
    match ended {
        Ok(outcome) => ExitCode::from(outcome as u8),
        Err(failure) => {
            failure.tell(cli.shared.json);
            ExitCode::from(failure.code())
        }
    }
}

fn run(cli: &Cli) -> Result<Outcome, Failure> {
    let shared = &cli.shared;
    match &cli.command {
        Command::Get(args) => value::get(args, shared),
        Command::Put(args) => value::put(args, shared),
        Command::Delete(args) => value::delete(args, shared),
        Command::Scan(args) => scan::scan(args, shared),
        Command::Count(args) => scan::count(args, shared),
        Command::Stats(args) => stats::stats(args, shared),
        Command::Verify(args) => check::verify(args, shared),
        Command::Salvage(args) => check::salvage(args, shared),
        Command::Compact(args) => keep::compact(args, shared),
        Command::Backup(args) => keep::backup(args, shared),
        Command::Restore(args) => keep::restore(args, shared),
        Command::Import(args) => transfer::import::import(args, shared),
        Command::Export(args) => transfer::export::export(args, shared),
        Command::Bench(args) => bench::bench(args, shared),
        Command::Top(args) => top::top(args, shared),
        Command::Watch(args) => watch::watch(args, shared),
        Command::Completions(args) => describe::completions(args),
        Command::Man(args) => describe::man(args),
    }
}

/// What clap has to say: help and version are no failures, wrong usage is.
fn refuse(error: &clap::Error) -> ExitCode {
    let is_answer = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    let wants_json = std::env::args_os().any(|argument| argument == "--json");
    if wants_json && !is_answer {
        let text = error.to_string();
        let lines = text.lines().map(str::trim).take_while(|line| !line.starts_with("Usage:"));
        let said = lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ");
        let message = said.strip_prefix("error: ").unwrap_or(&said).to_owned();
        let failure = Failure::usage(message);
        failure.tell(true);
        return ExitCode::from(failure.code());
    }
    // That it cannot be said is not known to anybody.
    let _ = error.print();
    ExitCode::from(error.exit_code() as u8)
}
