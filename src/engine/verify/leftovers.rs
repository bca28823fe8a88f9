//! Files that the manifest does not know: what a crash left, or what a damaged manifest has lost.

use std::sync::Arc;

use super::problem::{Problem, Severity, Subject};
use super::Examiner;
use crate::error::Result;
use crate::format::name;
use crate::format::segment::{SegmentHeader, SegmentKind, FOREIGN, HEADER_PAGE};
use crate::segment::scan::{Item, Scan};

impl Examiner<'_> {
    /// Looks at all files that no part of the database knows.
    pub(super) fn leftovers(&mut self, names: &[String]) -> Result<()> {
        for name in names {
            let is_live = |id: u64| self.manifest.state.segments.contains_key(&id);
            let problem = match (name::parse_segment(name), name::parse_hint(name)) {
                (Some(id), _) if !is_live(id) => self.stray_segment(name, id)?,
                (_, Some(id)) if !is_live(id) => Some(stray(name)),
                _ => {
                    let left = [name::MANIFEST_NEW, name::INDEX_NEW, name::PARTIAL];
                    left.contains(&name.as_str()).then(|| stray(name))
                }
            };
            if let Some(problem) = problem {
                self.findings.add(problem)?;
            }
        }
        Ok(())
    }

    /// A segment that the manifest does not know.
    fn stray_segment(&self, name: &str, id: u64) -> Result<Option<Problem>> {
        let Some(file) = self.file(name) else { return Ok(Some(stray(name))) };
        let len = file.len()?;
        let mut page = vec![0; HEADER_PAGE];
        if len < HEADER_PAGE as u64 || file.read_at(&mut page, 0).is_err() {
            return Ok(Some(stray(name)));
        }
        let header = match SegmentHeader::decode(&page, &self.uuid) {
            Ok(header) => header,
            Err(what @ FOREIGN) => {
                let (severity, subject) = (Severity::Damage, Subject::Stray);
                return Ok(Some(Problem::new(severity, subject, name, (0, len), what)));
            }
            // Its creation was interrupted.
            Err(_) => return Ok(Some(stray(name))),
        };
        let state = &self.manifest.state;
        // Whatever of ours is in it, as `recover/leftovers.rs` says; unless what let it go is
        // damaged.
        if id < state.next_id && self.manifest.faults.is_empty() {
            return Ok(Some(stray(name)));
        }
        if header.id != id {
            let what = format!("it is segment {} under another name", header.id);
            let (severity, subject) = (Severity::Damage, Subject::Stray);
            return Ok(Some(Problem::new(severity, subject, name, (0, len), what)));
        }
        let mut scan = Scan::new(Arc::clone(&file), header, len);
        let is_missed = match scan.next_item() {
            Ok(Item::Record(found)) => {
                let is_log = header.kind == SegmentKind::Log;
                id >= state.next_id && (is_log || found.sequence >= state.next_sequence)
            }
            _ => false,
        };
        let is_lost = !self.manifest.faults.is_empty() && !self.manifest.removed.contains(&id);
        if is_missed || is_lost {
            let what = format!("the manifest has lost {name}: it does not know it");
            let (severity, subject) = (Severity::Damage, Subject::Manifest);
            let place = (self.manifest.len, 0);
            return Ok(Some(Problem::new(severity, subject, name::MANIFEST, place, what)));
        }
        Ok(Some(stray(name)))
    }
}

fn stray(name: &str) -> Problem {
    let what = "a crash has left this file; the next open removes it";
    Problem::new(Severity::Note, Subject::Stray, name, (0, 0), what)
}
