//! The digest of a segment, made by walking through its records.

use super::scan::{Item, Scan};
use crate::error::Result;
use crate::format::hint::Digest;
use crate::format::record::{Class, Seal};
use crate::format::segment::SegmentKind;
use crate::format::Expiring;

/// How a walk ended.
pub enum End {
    /// With the seal: the segment is whole.
    Seal(Seal),
    /// The bytes end, or zeros begin.
    End,
    /// Something begins there that is no record, for this reason.
    Damage(&'static str),
}

/// What a walk found out.
pub struct Walked {
    /// All whole records, each of which verifies.
    pub digest: Digest,
    /// Those of them that expire.
    pub expiring: Expiring,
    /// How it ended.
    pub end: End,
}

/// Walks `scan` to its end. A batch without its own end is left out. `hash` is the hash of keys.
pub fn of_scan(scan: &mut Scan, kind: SegmentKind, hash: impl Fn(&[u8]) -> u64) -> Result<Walked> {
    let mut digest = Digest::new(kind);
    let mut expiring = Expiring::default();
    let mut before_batch = (digest.mark(), expiring);
    let end = loop {
        if !scan.is_in_batch() {
            before_batch = (digest.mark(), expiring);
        }
        match scan.next_item()? {
            Item::Record(found) => {
                let (record, header) = (&found.record, &found.record.header);
                let (len, class) = (header.record_len(), header.class());
                let hash = if class == Class::Gap { 0 } else { hash(record.key()) };
                digest.push(hash, len, found.sequence, class)?;
                if let Some(expiry) = record.expiry() {
                    expiring.add(len, expiry);
                }
            }
            Item::Seal(seal) => break End::Seal(seal),
            Item::End => break End::End,
            Item::Damage(what) => break End::Damage(what),
        }
    };
    if scan.is_in_batch() {
        digest.return_to(&before_batch.0);
        expiring = before_batch.1;
    }
    Ok(Walked { digest, expiring, end })
}
