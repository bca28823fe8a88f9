//! The hint of a segment, compared with its records.

use super::checkpoint::is_older;
use super::problem::{Problem, Severity, Subject};
use super::walk::Walked;
use crate::engine::recover::read_hint;
use crate::error::{Kind, Result};
use crate::format::hint::Digest;
use crate::format::manifest::SealedSegment;
use crate::format::name;
use crate::format::segment::SegmentHeader;
use crate::storage::Storage;

/// What is wrong with the hint of a sealed segment whose records are as `walked` says. Answers
/// whether there is a good one. Without the seed of the hash, hashes are not compared.
pub fn examine(
    storage: &dyn Storage,
    uuid: &[u8; 16],
    header: &SegmentHeader,
    sealed: &SealedSegment,
    walked: Option<&Walked>,
) -> Result<(bool, Option<Problem>)> {
    let file_name = name::hint(header.id);
    let file = match storage.open(&file_name, false) {
        Err(error) if error.kind() == Kind::DoesNotExist => return Ok((false, None)),
        Err(error) if error.is_of_file() => {
            let (severity, subject) = (Severity::Note, Subject::Hint);
            let problem = Problem::new(severity, subject, &file_name, (0, 0), error.to_string());
            return Ok((false, Some(problem)));
        }
        file => file?,
    };
    let len = file.len()?;
    let problem = |severity, at: u64, what: &str| {
        Ok((false, Some(Problem::new(severity, Subject::Hint, &file_name, (at, len - at), what))))
    };
    let Some(digest) = read_hint(storage, uuid, header, sealed)? else {
        let mut head = [0; 12];
        if len >= 12 && file.read_at(&mut head, 0).is_ok() && is_older(&head) {
            return Ok((false, None));
        }
        return problem(Severity::Note, 0, "the hint does not verify; the segment is read instead");
    };
    match walked.and_then(|walked| difference(&digest, &walked.digest)) {
        Some(what) => problem(Severity::Damage, 0, what),
        None => Ok((true, None)),
    }
}

/// How a hint differs from what the records say.
fn difference(hint: &Digest, records: &Digest) -> Option<&'static str> {
    let mut found = records.entries();
    for entry in hint.entries() {
        match found.next() {
            Some(record) if record == entry => {}
            _ => return Some("the hint is not that of the segment's records"),
        }
    }
    found.next().map(|_| "the hint does not have all records")
}
