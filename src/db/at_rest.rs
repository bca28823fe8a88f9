//! What is done with a database as a whole, and not with one that is open: removing, restoring,
//! verifying, salvaging.

use std::ops::ControlFlow;
use std::path::Path;

use super::{Problem, Progress, Report};
use crate::engine::{backup, destroy, salvage, verify};
use crate::error::{Error, Kind, Result};
use crate::storage::parent::PosixParent;
use crate::storage::posix::{self, PosixStorage};

/// Removes the database in the directory `path`, and the directory if nothing else is in it.
pub fn destroy(path: &Path) -> Result<()> {
    refuse_urls(path)?;
    destroy::destroy(&PosixStorage::open(path, false)?)?;
    posix::remove_if_empty(path)
}

/// Makes the directory `to` a database that holds what the backup in `from` holds, all of which is
/// verified.
pub fn restore(from: &Path, to: &Path) -> Result<()> {
    restore_with(from, to, |_| ControlFlow::Continue(()))
}

/// The same; `tell` is told now and then how far it is, and can end it.
pub fn restore_with(
    from: &Path,
    to: &Path,
    mut tell: impl FnMut(&Progress) -> ControlFlow<()>,
) -> Result<()> {
    refuse_urls(from)?;
    refuse_urls(to)?;
    let (parent, name) = PosixParent::of(to)?;
    backup::restore::restore(&PosixStorage::open(from, false)?, &parent, &name, &mut tell)
}

/// Verifies the database in the directory `path`, and changes nothing. `tell` is told now and then
/// how far it is, `tell_problem` of each problem; either can end it. One that is open is read
/// beside its owner, as far as it is on the medium.
pub fn verify_with(
    path: &Path,
    mut tell: impl FnMut(&Progress) -> ControlFlow<()>,
    mut tell_problem: impl FnMut(&Problem) -> ControlFlow<()>,
) -> Result<Report> {
    refuse_urls(path)?;
    let storage = PosixStorage::open(path, false)?;
    verify::verify(&storage, verify::RECORDS_AT_ONCE, &mut tell, &mut tell_problem)
}

/// The same; nobody is told but who calls.
pub fn verify(path: &Path) -> Result<Report> {
    verify_with(path, |_| ControlFlow::Continue(()), |_| ControlFlow::Continue(()))
}

/// Makes the directory `to` a database of all that is whole in the one in `from`, which may be
/// damaged and stays as it is. The report lists what is lost.
pub fn salvage(from: &Path, to: &Path) -> Result<Report> {
    salvage_with(from, to, |_| ControlFlow::Continue(()), |_| ControlFlow::Continue(()))
}

/// The same; `tell` is told now and then how far it is, `tell_problem` of each loss; either can end
/// it.
pub fn salvage_with(
    from: &Path,
    to: &Path,
    mut tell: impl FnMut(&Progress) -> ControlFlow<()>,
    mut tell_problem: impl FnMut(&Problem) -> ControlFlow<()>,
) -> Result<Report> {
    refuse_urls(from)?;
    refuse_urls(to)?;
    let (parent, name) = PosixParent::of(to)?;
    let from = PosixStorage::open(from, false)?;
    let records_at_once = salvage::RECORDS_AT_ONCE;
    salvage::salvage(&from, &parent, &name, records_at_once, &mut tell, &mut tell_problem)
}

/// `scheme://…` is kept for engines behind a network.
pub(super) fn refuse_urls(path: &Path) -> Result<()> {
    let text = path.to_string_lossy();
    let is_scheme = |scheme: &str| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
    };
    match text.split_once("://") {
        Some((scheme, _)) if is_scheme(scheme) => Err(Error::new(
            Kind::Unsupported,
            format!("{text} is a URL; this libkv opens directories only"),
        )),
        _ => Ok(()),
    }
}
