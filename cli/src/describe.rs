//! completions and man: what the command line says of itself, made of the same arguments.

use std::fs;

use clap::CommandFactory;
use clap_mangen::Man as Page;

use crate::args::{Cli, Completions, Man};
use crate::fail::{Failure, Outcome};
use crate::output::Out;

/// Writes completions for a shell to standard output.
pub fn completions(args: &Completions) -> Result<Outcome, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "kv", &mut script);
    write_out(&script)
}

/// Writes the page of kv to standard output, or that of each command into a directory.
pub fn man(args: &Man) -> Result<Outcome, Failure> {
    match &args.directory {
        Some(directory) => {
            let failed = |error| Failure::io(&format!("write to {}", directory.display()), &error);
            fs::create_dir_all(directory).map_err(failed)?;
            clap_mangen::generate_to(Cli::command(), directory).map_err(failed)?;
            Ok(Outcome::Done)
        }
        None => {
            let mut page = Vec::new();
            let rendered = Page::new(Cli::command()).render(&mut page);
            rendered.map_err(|error| Failure::io("write the manual page", &error))?;
            write_out(&page)
        }
    }
}

fn write_out(text: &[u8]) -> Result<Outcome, Failure> {
    let mut out = Out::new();
    out.write(text)?;
    out.flush()?;
    Ok(Outcome::Done)
}
