//! Many keys at once: their look-ups wait for memory together, not one after the other.
//!
//! A look-up misses the cache twice, in the index and in the log, and each miss takes as long as
//! all the rest of a read. So keys are taken in groups: the buckets of all are fetched, then the
//! records that those point to, and only then is each key looked up as ever.

use std::collections::BTreeMap;
use std::ops::Range;

use super::read::{FoundRecord, Kept};
use super::write::check_key;
use super::{copy_of, Engine};
use crate::epoch::{self, Guard};
use crate::error::{Error, Kind, Result};
use crate::memory;
use crate::storage::map::Map;

/// Keys whose misses overlap: more than a processor has under way at once.
const GROUP: usize = 32;

/// The values of many keys, readable for as long as this lives, whatever happens to the keys, their
/// segments and the database.
#[derive(Default)]
pub struct Views {
    /// The maps that values lie in, and the number of each by where it begins.
    maps: Vec<Map>,
    numbers: BTreeMap<usize, usize>,
    /// Values that lie in no map.
    copies: Vec<Vec<u8>>,
    values: Vec<Result<Option<Place>>>,
}

/// Where a value lies.
enum Place {
    Mapped { map: usize, offset: usize, len: usize },
    Copied { number: usize },
}

impl Views {
    /// How many keys were asked for.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether no key was asked for.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The value of the key at place `index` of those that were asked for, or why there is none.
    pub fn value(&self, index: usize) -> Result<Option<&[u8]>> {
        let place = match self.values.get(index) {
            Some(Ok(Some(place))) => place,
            Some(Err(error)) => return Err(error.clone()),
            _ => return Ok(None),
        };
        Ok(Some(match place {
            Place::Copied { number } => &self.copies[*number],
            Place::Mapped { map, offset, len } => {
                let map = self.maps.get(*map);
                map.and_then(|map| map.bytes(*offset, *len)).unwrap_or_default()
            }
        }))
    }

    /// Keeps a value, and the map that it lies in, if there is one.
    fn keep(&mut self, value: &[u8], map: Option<&Map>) -> Result<Place> {
        let place = map.and_then(|map| Some((map, map.offset_of(value)?)));
        let Some((map, offset)) = place else {
            memory::push(&mut self.copies, copy_of(value)?)?;
            return Ok(Place::Copied { number: self.copies.len() - 1 });
        };
        self.maps.try_reserve(1)?;
        let number = *self.numbers.entry(map.address()).or_insert_with(|| {
            self.maps.push(map.clone());
            self.maps.len() - 1
        });
        Ok(Place::Mapped { map: number, offset, len: value.len() })
    }
}

impl Engine {
    /// Hands the values of `count` keys to `take`, each with its key's place; those of long
    /// records come after the others of their group. A key that fails does so alone. `take` must
    /// not call the database.
    pub fn get_many<'k>(
        &self,
        count: usize,
        key_at: impl Fn(usize) -> Result<&'k [u8]>,
        mut take: impl FnMut(usize, Result<Option<&[u8]>>),
    ) -> Result<()> {
        for group in groups(count) {
            let mut large: Vec<(usize, Kept)> = Vec::new();
            self.find_group(&epoch::pin()?, group, &key_at, |at, found| match found {
                Ok(Some(found)) if found.is_large() => match found.keep() {
                    Ok(kept) => large.push((at, kept)),
                    Err(error) => take(at, Err(error)),
                },
                Ok(Some(found)) => take(at, found.check(self).map(|()| Some(found.value()))),
                Ok(None) => take(at, Ok(None)),
                Err(error) => take(at, Err(error)),
            });
            for (at, kept) in large {
                let mut scratch = Vec::new();
                take(at, kept.record(self, &mut scratch).map(|record| Some(record.value())));
            }
        }
        Ok(())
    }

    /// The values of `count` keys, kept readable until the views are dropped.
    pub fn view_many<'k>(
        &self,
        count: usize,
        key_at: impl Fn(usize) -> Result<&'k [u8]>,
    ) -> Result<Views> {
        let mut views = Views::default();
        views.values.try_reserve_exact(count).map_err(|_| {
            Error::new(Kind::OutOfMemory, format!("there is no memory for {count} results"))
        })?;
        for group in groups(count) {
            let mut large: Vec<(usize, Kept)> = Vec::new();
            self.find_group(&epoch::pin()?, group, &key_at, |at, found| {
                let place = found.and_then(|found| {
                    let Some(found) = found else { return Ok(None) };
                    if found.is_large() {
                        large.push((at, found.keep()?));
                        return Ok(None);
                    }
                    found.check(self)?;
                    views.keep(found.value(), found.map()?).map(Some)
                });
                views.values.push(place);
            });
            for (at, kept) in large {
                let mut scratch = Vec::new();
                let record = kept.record(self, &mut scratch);
                let place = record.and_then(|record| views.keep(record.value(), kept.map()?));
                views.values[at] = place.map(Some);
            }
        }
        Ok(views)
    }

    /// Hands the newest records of the keys of a group to `visit`, unverified, in order.
    fn find_group<'k>(
        &self,
        guard: &Guard,
        group: Range<usize>,
        key_at: &impl Fn(usize) -> Result<&'k [u8]>,
        mut visit: impl FnMut(usize, Result<Option<&FoundRecord>>),
    ) {
        let checked = |at: usize| key_at(at).and_then(|key| check_key(key).map(|()| key));
        let mut hashes = [0; GROUP];
        for (hash, at) in hashes.iter_mut().zip(group.clone()) {
            // A key that cannot be one is found so when it is looked up.
            *hash = checked(at).map_or(0, |key| self.hasher.hash(key));
            self.index.prefetch(guard, *hash);
        }
        for &hash in &hashes[..group.len()] {
            // What cannot be fetched is met when the key is looked up.
            let _ = self.fetch_record(guard, hash);
        }
        for (&hash, at) in hashes.iter().zip(group) {
            let mut was_found = false;
            let looked_up = checked(at).and_then(|key| {
                self.find_pinned(guard, hash, key, |found| {
                    was_found = true;
                    visit(at, Ok(Some(found)));
                    Ok(())
                })
            });
            if !was_found {
                visit(at, looked_up.map(|_| None));
            }
        }
    }
}

fn groups(count: usize) -> impl Iterator<Item = Range<usize>> {
    (0..count).step_by(GROUP).map(move |start| start..count.min(start.saturating_add(GROUP)))
}
