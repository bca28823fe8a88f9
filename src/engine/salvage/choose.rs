//! Of each key its newest record: chosen, and brought to the new database.

use super::losses::Lost;
use super::output::Output;
use super::{must_have_room, Salvage};
use crate::engine::verify::problem::{Problem, Severity, Subject};
use crate::engine::verify::walk::{ClassNumber, Version};
use crate::error::{Error, Kind, Result};
use crate::format::record::Record;
use crate::memory;
use crate::storage::read_part;

/// A record takes up to so many bytes more in the new database.
const MORE: u64 = 8;

/// A record that is to be brought.
struct Chosen {
    version: Version,
    /// Whether a newer value of its key is lost.
    is_older: bool,
}

impl Salvage<'_> {
    /// Brings the newest record of each key of the share.
    pub(super) fn bring(&mut self, output: &mut Output) -> Result<()> {
        let chosen = self.choose()?;
        let bytes = chosen.iter().map(|chosen| chosen.version.len + MORE).sum();
        must_have_room(output.target, bytes)?;
        for Chosen { version, is_older } in chosen {
            let source = &self.sources[version.segment as usize].file;
            let bytes = read_part(&*source.file, version.offset, version.len as usize, "a record")?;
            let salt = source.header.salt;
            let record = Record::decode(&bytes).filter(|r| r.verifies(salt, version.offset));
            let Some(record) = record else {
                // It verified a moment ago.
                let path = format!("{}/{}", self.from.path(), source.name);
                let what = format!("{path} changes while it is read, at byte {}", version.offset);
                return Err(Error::new(Kind::Io, what));
            };
            output.append(&record, version.sequence)?;
            if is_older {
                let what = "this value was brought, but it is an older one: a newer one is lost";
                let place = (version.offset, version.len);
                let (severity, subject) = (Severity::Damage, Subject::Older);
                let problem = Problem::new(severity, subject, &source.name, place, what);
                self.findings.add(problem.with_key(Some(memory::copy(record.key())?)))?;
            }
            self.course.advance(version.len)?;
        }
        Ok(())
    }

    /// The records that are to be brought, in the order of their places.
    fn choose(&mut self) -> Result<Vec<Chosen>> {
        let Salvage { versions, lost, .. } = self;
        lost.sort_unstable();
        versions.sort_unstable_by(|a, b| {
            let by_key = (a.hash, a.other).cmp(&(b.hash, b.other));
            by_key.then_with(|| b.sequence.cmp(&a.sequence))
        });
        let keys = versions.chunk_by(|a, b| (a.hash, a.other) == (b.hash, b.other));
        let mut chosen = memory::collect(keys.filter_map(|key| choose_of(&key[0], lost)))?;
        chosen.sort_unstable_by_key(|chosen| (chosen.version.segment, chosen.version.offset));
        Ok(chosen)
    }
}

/// Whether a key's newest record, of those that are whole, is to be brought.
fn choose_of(newest: &Version, lost: &[Lost]) -> Option<Chosen> {
    let behind = lost.partition_point(|lost| lost.hash <= newest.hash);
    let last_lost = behind.checked_sub(1).map(|at| &lost[at]);
    let newer = last_lost.filter(|l| l.hash == newest.hash && l.sequence > newest.sequence);
    let is_put = matches!(newest.class, ClassNumber::Put | ClassNumber::ExpiringPut);
    // It was deleted, as a hint knows.
    let is_deleted = newer.is_some_and(|newer| !newer.is_put);
    (is_put && !is_deleted).then_some(Chosen { version: *newest, is_older: newer.is_some() })
}
