//! All the damage that is tried on a sample, in a list that takes little room: it is made when its
//! turn comes.

use kv::format::name;

use super::kinds::{append, cut, flip, put, replace};
use super::{Damage, Files, Sample};
use crate::common::{seed, Random};

/// Sizes of what disks and caches read and write at once.
const BLOCKS: [usize; 3] = [64, 512, 4096];
/// Lengths of garbage behind the end of a file.
const GARBAGE: [usize; 8] = [1, 7, 8, 16, 32, 100, 4096, 70_000];
/// Runs of random bytes in each file, for each of its bytes.
const BURSTS: usize = 2;

/// One damage. Files and sources are numbers in [`Cases`].
#[derive(Clone, Copy, Debug)]
pub enum Case {
    Flip {
        file: usize,
        bit: usize,
    },
    Cut {
        file: usize,
        len: usize,
    },
    /// A byte gets this value.
    Byte {
        file: usize,
        at: usize,
        value: u8,
    },
    /// A block is filled with a byte.
    Fill {
        file: usize,
        size: usize,
        block: usize,
        value: u8,
    },
    /// Random bytes, from a random place on.
    Burst {
        file: usize,
        seed: u64,
    },
    /// A block is overwritten with another one of the file.
    Duplicate {
        file: usize,
        size: usize,
        to: usize,
        from: usize,
    },
    Swap {
        file: usize,
        size: usize,
        one: usize,
        other: usize,
    },
    /// A block is overwritten with one of another file.
    Import {
        file: usize,
        size: usize,
        to: usize,
        source: usize,
        from: usize,
    },
    /// Zeros, random bytes, or the end of the file once more.
    Append {
        file: usize,
        len: usize,
        kind: u8,
    },
    /// Another file's bytes.
    Replace {
        file: usize,
        source: usize,
    },
    Exchange {
        one: usize,
        other: usize,
    },
    Missing {
        one: usize,
        other: usize,
    },
    /// A file under a name that is not its own, beside it.
    Stray {
        file: usize,
        name: usize,
    },
    Empty {
        file: usize,
    },
}

/// Names that no file of a sample has.
const STRAYS: [&str; 7] = [
    "00000000.seg",
    "00000001.seg",
    "00000777.seg",
    "00000777.hint",
    "MANIFEST.new",
    "INDEX.new",
    "PARTIAL",
];

/// So many of the cases, in no order.
pub fn drawn(mut list: Vec<Case>, count: usize) -> Vec<Case> {
    let mut random = Random(seed());
    for at in 0..list.len().min(count) {
        let other = at + random.below((list.len() - at) as u64) as usize;
        list.swap(at, other);
    }
    list.truncate(count);
    list
}

/// A file that is not where it belongs.
struct Source<'a> {
    what: String,
    bytes: &'a [u8],
    /// If it is one of the sample's at an earlier moment: its name, and the writes until then.
    stage: Option<(&'a str, usize)>,
}

/// What can be done to a sample.
pub struct Cases<'a> {
    sample: &'a Sample,
    /// Of the checkpoint, every such bit, byte and length is damaged.
    stride: usize,
    files: Vec<(&'a str, &'a [u8])>,
    sources: Vec<Source<'a>>,
}

impl<'a> Cases<'a> {
    /// `others` are files of other databases.
    pub fn new(sample: &'a Sample, others: &'a [Files]) -> Cases<'a> {
        let named = |files: &'a Files| {
            files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect::<Vec<_>>()
        };
        let files = named(&sample.files);
        let mut sources = Vec::new();
        for &(name, bytes) in &files {
            sources.push(Source { what: name.into(), bytes, stage: None });
        }
        for (number, stage) in sample.stages.iter().enumerate() {
            for (name, bytes) in named(&stage.files) {
                let what = format!("{name} of the earlier moment {number}");
                sources.push(Source { what, bytes, stage: Some((name, stage.writes)) });
            }
        }
        for (number, other) in others.iter().enumerate() {
            for (name, bytes) in named(other) {
                let what = format!("{name} of another database, {number}");
                sources.push(Source { what, bytes, stage: None });
            }
        }
        Cases { sample, stride: 1, files, sources }
    }

    /// The same, but of the checkpoint, which is the longest file, every `stride`-th bit.
    pub fn with_stride(self, stride: usize) -> Cases<'a> {
        Cases { stride, ..self }
    }

    /// All cases, those of each kind in a list of their own.
    pub fn all(&self) -> Vec<(&'static str, Vec<Case>)> {
        let every = |cases: fn(&Cases<'a>, usize) -> Vec<Case>| {
            (0..self.files.len()).flat_map(|file| cases(self, file)).collect()
        };
        vec![
            ("flipped bits", every(Cases::flips)),
            ("lengths", every(Cases::cuts)),
            ("bytes", every(Cases::bytes)),
            ("bursts", every(Cases::bursts)),
            ("filled blocks", every(Cases::fills)),
            ("duplicated blocks", every(Cases::duplicates)),
            ("swapped blocks", every(Cases::swaps)),
            ("blocks of other files", every(Cases::imports)),
            ("appended bytes", every(Cases::appends)),
            ("whole files", every(Cases::whole_files)),
        ]
    }

    fn len(&self, file: usize) -> usize {
        self.files[file].1.len()
    }

    fn stride(&self, file: usize) -> usize {
        if self.files[file].0 == name::INDEX {
            self.stride
        } else {
            1
        }
    }

    fn flips(&self, file: usize) -> Vec<Case> {
        let bits = (0..self.len(file) * 8).step_by(self.stride(file));
        bits.map(|bit| Case::Flip { file, bit }).collect()
    }

    fn cuts(&self, file: usize) -> Vec<Case> {
        let lens = (0..self.len(file)).step_by(self.stride(file));
        lens.map(|len| Case::Cut { file, len }).collect()
    }

    fn bytes(&self, file: usize) -> Vec<Case> {
        let byte = |at| [0, 0xff, 0x7f].map(|value| Case::Byte { file, at, value });
        (0..self.len(file)).step_by(self.stride(file)).flat_map(byte).collect()
    }

    fn bursts(&self, file: usize) -> Vec<Case> {
        let seeds = (0..self.len(file) * BURSTS).step_by(self.stride(file));
        seeds.map(|seed| Case::Burst { file, seed: seed as u64 }).collect()
    }

    fn fills(&self, file: usize) -> Vec<Case> {
        let mut cases = Vec::new();
        for size in BLOCKS {
            for block in 0..self.len(file).div_ceil(size) {
                cases.extend([0, 0xff].map(|value| Case::Fill { file, size, block, value }));
            }
        }
        cases
    }

    fn duplicates(&self, file: usize) -> Vec<Case> {
        let mut cases = Vec::new();
        for size in BLOCKS {
            let blocks = self.len(file).div_ceil(size);
            // Of the smallest ones, only those near by: there are too many pairs.
            let near = if size == BLOCKS[0] { 12 } else { usize::MAX };
            for to in 0..blocks {
                let from = (0..blocks).filter(|from| from.abs_diff(to) < near && *from != to);
                cases.extend(from.map(|from| Case::Duplicate { file, size, to, from }));
            }
        }
        cases
    }

    fn swaps(&self, file: usize) -> Vec<Case> {
        let cases = self.duplicates(file).into_iter();
        cases
            .filter_map(|case| match case {
                Case::Duplicate { file, size, to, from } if from < to => {
                    Some(Case::Swap { file, size, one: from, other: to })
                }
                _ => None,
            })
            .collect()
    }

    fn imports(&self, file: usize) -> Vec<Case> {
        let mut cases = Vec::new();
        for size in BLOCKS {
            for to in 0..self.len(file).div_ceil(size) {
                for (source, from) in self.sources.iter().enumerate() {
                    let blocks = from.bytes.len().div_ceil(size);
                    // The one at the same place, and one at another.
                    let other = (to * 7 + source * 3) % blocks.max(1);
                    let from = [to, other].into_iter().filter(|&from| from < blocks);
                    cases.extend(from.map(|from| Case::Import { file, size, to, source, from }));
                }
            }
        }
        cases
    }

    fn appends(&self, file: usize) -> Vec<Case> {
        let kinds = |len| [0, 1, 2].map(|kind| Case::Append { file, len, kind });
        GARBAGE.into_iter().flat_map(kinds).collect()
    }

    fn whole_files(&self, file: usize) -> Vec<Case> {
        let sources = 0..self.sources.len();
        let mut cases: Vec<Case> = sources.map(|source| Case::Replace { file, source }).collect();
        cases.push(Case::Empty { file });
        for other in 0..self.files.len() {
            cases.push(Case::Missing { one: file, other });
            cases.extend((file < other).then_some(Case::Exchange { one: file, other }));
        }
        cases.extend((0..STRAYS.len()).map(|name| Case::Stray { file, name }));
        cases
    }

    /// The damage of a case; none if nothing is different.
    pub fn damage(&self, case: Case) -> Option<Vec<Damage>> {
        let sample = self.sample;
        let file_of = |number: usize| self.files[number];
        let damage = match case {
            Case::Flip { file, bit } => flip(sample, file_of(file).0, bit),
            Case::Cut { file, len } => cut(sample, file_of(file).0, len),
            Case::Byte { file, at, value } => {
                put(sample, file_of(file).0, at, &[value], &value.to_string())
            }
            Case::Fill { file, size, block, value } => {
                put(sample, file_of(file).0, block * size, &vec![value; size], &value.to_string())
            }
            Case::Burst { file, seed } => {
                let (name, bytes) = file_of(file);
                let mut random = Random(seed ^ (file as u64) << 32);
                let from = random.below(bytes.len().max(1) as u64) as usize;
                let len = 1 + random.below(64) as usize;
                put(sample, name, from, &random.bytes(len), &format!("the burst {seed}"))
            }
            Case::Duplicate { file, size, to, from } => {
                let (name, bytes) = file_of(file);
                put(sample, name, to * size, block(bytes, size, from), &format!("block {from}"))
            }
            Case::Swap { file, size, one, other } => self.swap(file, size, one, other),
            Case::Import { file, size, to, source, from } => {
                let (name, source) = (file_of(file).0, &self.sources[source]);
                let what = format!("block {from} of {}", source.what);
                put(sample, name, to * size, block(source.bytes, size, from), &what)
            }
            Case::Append { file, len, kind } => {
                let (name, bytes) = file_of(file);
                let more = match kind {
                    0 => vec![0; len],
                    1 => Random(len as u64).bytes(len),
                    _ => bytes[bytes.len().saturating_sub(len)..].to_vec(),
                };
                append(sample, name, &more)
            }
            Case::Replace { file, source } => self.replace(file, source),
            Case::Empty { file } => replace(sample, file_of(file).0, Some(&[]), "nothing"),
            Case::Exchange { one, other } => {
                let both = [self.replace(one, other), self.replace(other, one)];
                return Some(both.into());
            }
            Case::Missing { one, other } => {
                let gone = |file| replace(sample, file_of(file).0, None, "no file");
                return Some(if one == other {
                    vec![gone(one)]
                } else {
                    vec![gone(one), gone(other)]
                });
            }
            Case::Stray { file, name } => {
                let (name, (from, bytes)) = (STRAYS[name], file_of(file));
                let is_there = sample.files.contains_key(name);
                return (!is_there).then(|| {
                    let what = format!("{name} is a copy of {from}");
                    vec![Damage::new(sample, name, Some(bytes.to_vec()), what)]
                });
            }
        };
        (!damage.is_none(sample)).then(|| vec![damage])
    }

    fn swap(&self, file: usize, size: usize, one: usize, other: usize) -> Damage {
        let (name, bytes) = self.files[file];
        let mut new = bytes.to_vec();
        let len = block(bytes, size, one).len().min(block(bytes, size, other).len());
        new[one * size..][..len].copy_from_slice(&bytes[other * size..][..len]);
        new[other * size..][..len].copy_from_slice(&bytes[one * size..][..len]);
        let what = format!("blocks {one} and {other} of {size} of {name} swapped");
        Damage::new(self.sample, name, Some(new), what)
    }

    fn replace(&self, file: usize, source: usize) -> Damage {
        let (name, source) = (self.files[file].0, &self.sources[source]);
        let stage = source.stage.filter(|(of, _)| *of == name).map(|(_, writes)| writes);
        Damage { stage, ..replace(self.sample, name, Some(source.bytes), &source.what) }
    }
}

fn block(bytes: &[u8], size: usize, number: usize) -> &[u8] {
    &bytes[number * size..(number * size + size).min(bytes.len())]
}
