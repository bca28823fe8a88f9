//! A segment that is kept readable for longer than a pin, whatever happens to its file.

use std::sync::Arc;

use super::{Body, Segment, Source};
use crate::epoch::Guard;
use crate::error::{Error, Kind, Result};
use crate::format::record::Record;

/// A segment that stays readable.
#[derive(Clone)]
pub struct Hold {
    segment: Arc<Segment>,
    /// Nothing if it has its body itself.
    body: Option<Arc<Body>>,
}

impl Hold {
    /// The segment.
    pub fn segment(&self) -> &Segment {
        &self.segment
    }

    /// What it is read through.
    #[inline]
    pub fn body(&self) -> Result<&Body> {
        match (&self.body, &self.segment.source) {
            (Some(body), _) => Ok(body),
            (None, Source::Active(body)) => Ok(body),
            (None, Source::Sealed(_)) => {
                Err(Error::new(Kind::Internal, "a segment is not held open"))
            }
        }
    }

    /// The record at `offset`, with all its bytes but unverified.
    #[inline]
    pub fn record<'a>(&'a self, offset: u64, scratch: &'a mut Vec<u8>) -> Result<Record<'a>> {
        let record = self.body()?.record(offset, scratch)?;
        record.ok_or_else(|| self.segment.damaged(offset, "no record can be made out"))
    }
}

impl Segment {
    /// Keeps the file open, which is about to lose its name, for those who have the segment.
    pub fn keep_open(&self, guard: &Guard) -> Result<()> {
        if let Source::Sealed(file) = &self.source {
            let body = file.keep_body(guard)?;
            self.usage.kept_open.get_or_init(|| body);
        }
        Ok(())
    }

    /// Keeps the segment readable for longer than the pin, whatever happens to its file.
    pub fn hold(self: &Arc<Self>, guard: &Guard) -> Result<Hold> {
        let body = match &self.source {
            Source::Active(_) => None,
            Source::Sealed(file) => {
                let kept_open = || self.usage.kept_open.get().map(Arc::clone);
                // It may lose its name while it is being opened.
                let opened = || file.keep_body(guard).or_else(|error| kept_open().ok_or(error));
                Some(kept_open().map_or_else(opened, Ok)?)
            }
        };
        Ok(Hold { segment: Arc::clone(self), body })
    }
}
