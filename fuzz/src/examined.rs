//! What verifying and salvaging say of an image: they change nothing, and what is salvaged is a
//! database.

use std::ffi::OsStr;
use std::ops::ControlFlow;
use std::sync::Arc;

use kv::engine::verify::problem::{Problem, Severity, Subject};
use kv::engine::verify::report::{Form, Report};
use kv::engine::{salvage, verify};
use kv::error::{Kind, Result};
use kv::storage::{Parent, Storage};

use super::disk::{Disk, DiskParent};
use super::golden::Files;

/// Few, so that what is compared does not fit at once.
const RECORDS_AT_ONCE: u64 = 16;

/// Verifies an image. Answers what there is to say, if it is one.
pub fn verify(disk: &Disk, files: &Files) -> Option<Report> {
    let mut told = 0_u64;
    let report =
        verify::verify(disk, RECORDS_AT_ONCE, &mut |_| ControlFlow::Continue(()), &mut |problem| {
            assert!(!problem.what.is_empty());
            told += 1;
            ControlFlow::Continue(())
        });
    assert!(disk.files() == *files, "verifying has changed something");
    let report = told_of(report)?;
    assert_eq!(told, report.counts.iter().sum());
    Some(report)
}

/// What was closed has no damage, and what was written beside the log is right.
pub fn is_closed(disk: &Disk) {
    let report = verify(disk, &disk.files()).expect("there is a database");
    let beside = [Subject::Hint, Subject::Checkpoint, Subject::Garbage];
    let is_new = |problem: &&Problem| {
        problem.severity == Severity::Damage || beside.contains(&problem.subject)
    };
    let wrong = report.problems.iter().find(is_new);
    assert!(wrong.is_none(), "what was closed is not sound: {}", report.render(Form::Text));
}

/// Salvages an image. Answers what came of it, if anything did.
pub fn salvage(disk: &Disk, files: &Files) -> Option<Arc<dyn Storage>> {
    let (parent, name) = (DiskParent::default(), OsStr::new("saved"));
    let report = salvage::salvage(
        disk,
        &parent,
        name,
        RECORDS_AT_ONCE,
        &mut |_| ControlFlow::Continue(()),
        &mut |_| ControlFlow::Continue(()),
    );
    assert!(disk.files() == *files, "salvaging has changed something");
    let made = parent.open(name).expect("memory can be read");
    assert_eq!(report.is_ok(), made.is_some());
    told_of(report);
    made
}

/// A report that can be written down, unless there is no database.
fn told_of(report: Result<Report>) -> Option<Report> {
    match report {
        Ok(report) => {
            assert!(!report.render(Form::Text).is_empty());
            assert!(report.render(Form::Json).starts_with('{'));
            Some(report)
        }
        Err(error) => {
            let kinds = [Kind::NotADatabase, Kind::NewerFormat, Kind::DoesNotExist, Kind::Corrupt];
            assert!(kinds.contains(&error.kind()), "{error}");
            None
        }
    }
}
