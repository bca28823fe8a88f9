//! verify and salvage: reports, and what damage does to the exit code.

use kv::db::{self, Form, Problem, Report};

use crate::args::{Salvage, Shared, Verify};
use crate::cancel::Cancel;
use crate::fail::{Failure, Outcome};
use crate::output::Out;
use crate::progress::Bar;

/// Checks a database; one that is in use too, as far as it is on the medium.
pub fn verify(args: &Verify, shared: &Shared) -> Result<Outcome, Failure> {
    let cancel = Cancel::listen()?;
    let bar = Bar::of_library(shared, "verifying");
    let report = db::verify_with(&args.db, bar.follow(&cancel), |_| cancel.flow());
    drop(bar);
    let left = "nothing was changed, and nothing is said of the rest";
    tell(&report.map_err(|error| cancel.explain(error, left))?, shared)
}

/// Brings what is whole into a new database.
pub fn salvage(args: &Salvage, shared: &Shared) -> Result<Outcome, Failure> {
    let cancel = Cancel::listen()?;
    let bar = Bar::of_library(shared, "salvaging");
    let tell_problem = |_: &Problem| cancel.flow();
    let report = db::salvage_with(&args.from, &args.to, bar.follow(&cancel), tell_problem);
    drop(bar);
    let left = format!("no database was made, and {} is as it was", args.from.display());
    tell(&report.map_err(|error| cancel.explain(error, &left))?, shared)
}

fn tell(report: &Report, shared: &Shared) -> Result<Outcome, Failure> {
    let form = if shared.json { Form::Json } else { Form::Text };
    let mut out = Out::new();
    if shared.json || !shared.quiet || report.has_damage() {
        out.write(report.render(form).as_bytes())?;
    }
    out.flush()?;
    Ok(if report.has_damage() { Outcome::No } else { Outcome::Done })
}
