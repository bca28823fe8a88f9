//! Images of database directories: one that is kept, changed as the input says, with the checksums
//! put right as far as it says, so that the fuzzer gets behind them.

mod mend;
mod records;

use kv::format::name;

use super::golden::{self, Files};
use super::input::Input;
use super::model::manifest;
use super::model::{self, u32_at, u64_at, Contents, Mend, Who};
use records::{add_record, begin_segment, seal, write_hint};

/// No file becomes longer.
const MAX_LEN: usize = 256 << 10;
/// More changes show nothing new.
const MAX_CHANGES: usize = 64;

/// Keys that records get: those of the kept databases, and others.
pub const KEYS: [&[u8]; 8] =
    [b"apple", b"banana", b"cherry", b"fig", b"grape", b"\0", b"new", b"a longer key than others"];

/// Numbers at which things change.
const NUMBERS: [u64; 16] = [
    0,
    1,
    7,
    8,
    4095,
    4096,
    1 << 20,
    (1 << 31) - 8,
    (1 << 32) - 1,
    1 << 32,
    1 << 40,
    (1 << 62) - 1,
    1 << 62,
    (1 << 63) - 1,
    u64::MAX - 7,
    u64::MAX,
];

/// A number: small, one at which something changes, or any.
fn number(input: &mut Input) -> u64 {
    match input.u8() {
        how @ 0..=15 => NUMBERS[usize::from(how)],
        how @ 16..=31 => NUMBERS[usize::from(how - 16)].wrapping_sub(u64::from(input.u8())),
        how @ 32..=127 => u64::from(how - 32),
        128..=191 => u64::from(input.u16()),
        192..=223 => u64::from(input.u32()),
        _ => input.u64(),
    }
}

/// Makes an image.
pub fn build(input: &mut Input) -> Files {
    let mut files = golden::files(input.below(golden::COUNT + 1));
    let (mends, records) = (input.u8(), Mend(input.u8()));
    for _ in 0..MAX_CHANGES {
        match input.u8() {
            // The rest is for what is done with the image.
            0 => break,
            how => change(&mut files, how, input),
        }
    }
    mend::mend(&mut files, mends, records);
    files
}

/// A name that a file may have.
fn some_name(input: &mut Input) -> String {
    let id = u64::from(input.u8() % 16);
    match input.u8() % 8 {
        0 => name::MANIFEST.to_owned(),
        1 => name::INDEX.to_owned(),
        2 => name::MANIFEST_NEW.to_owned(),
        3 => name::PARTIAL.to_owned(),
        4 => format!("{id}.seg"),
        5 => name::hint(id),
        _ => name::segment(id),
    }
}

/// A file that is there.
fn some_file<'f>(files: &'f mut Files, input: &mut Input) -> Option<(&'f String, &'f mut Vec<u8>)> {
    let at = input.below(files.len());
    files.iter_mut().nth(at)
}

/// A place in bytes.
fn some_place(bytes: &[u8], input: &mut Input) -> usize {
    let at = input.u16();
    // Longer files are reached by the rest of the number's bits.
    let far = if bytes.len() > 1 << 16 { usize::from(input.u8()) << 16 } else { 0 };
    (usize::from(at) + far) % bytes.len().max(1)
}

fn change(files: &mut Files, how: u8, input: &mut Input) {
    match how % 16 {
        0 | 1 => patch(files, input),
        2 => {
            if let Some((_, bytes)) = some_file(files, input) {
                let to = some_place(bytes, input);
                bytes.truncate(to);
            }
        }
        3 => {
            if let Some((_, bytes)) = some_file(files, input) {
                let len = (bytes.len() + usize::from(input.u16() % 8192)).min(MAX_LEN);
                bytes.resize(len, input.u8());
            }
        }
        4 => {
            let gone = some_file(files, input).map(|(name, _)| name.clone());
            gone.and_then(|name| files.remove(&name));
        }
        5 => {
            let copy = some_file(files, input).map(|(_, bytes)| bytes.clone());
            let name = some_name(input);
            copy.and_then(|bytes| files.insert(name, bytes));
        }
        6 => move_bytes(files, input),
        7 => add_frame(files, input),
        8 => set_field(files, input),
        9 => set_index_field(files, input),
        10 => seal(files, input),
        11 => write_hint(files, input),
        12 => begin_segment(files, input),
        _ => add_record(files, input),
    }
}

/// Some bytes are others.
fn patch(files: &mut Files, input: &mut Input) {
    let Some((_, bytes)) = some_file(files, input) else { return };
    let at = some_place(bytes, input);
    let len = usize::from(input.u8() % 32) + 1;
    for (byte, new) in bytes[at..].iter_mut().zip(input.take(len)) {
        *byte = *new;
    }
}

/// Some bytes are those of another place.
fn move_bytes(files: &mut Files, input: &mut Input) {
    let Some((_, source)) = some_file(files, input) else { return };
    let at = some_place(source, input);
    let len = usize::from(input.u16() % 8192).min(source.len() - at);
    let moved = source[at..at + len].to_vec();
    let Some((_, target)) = some_file(files, input) else { return };
    let at = some_place(target, input);
    for (byte, new) in target[at..].iter_mut().zip(moved) {
        *byte = new;
    }
}

/// The manifest gets a frame with an edit, at its end.
fn add_frame(files: &mut Files, input: &mut Input) {
    let mut edits = Vec::new();
    for _ in 0..=input.u8() % 3 {
        let number_of_edit = input.u8() % 10;
        edits.push(number_of_edit);
        let fields = [0, 4, 4, 1, 3, 0, 1, 1, 7, 1][usize::from(number_of_edit)];
        for _ in 0..fields {
            edits.extend_from_slice(&number(input).to_le_bytes());
        }
    }
    append_frame(files, &edits);
}

fn append_frame(files: &mut Files, edits: &[u8]) {
    let Some(bytes) = files.get_mut(name::MANIFEST) else { return };
    let start = bytes.len().next_multiple_of(8);
    bytes.resize(start, 0);
    bytes.extend_from_slice(&(edits.len() as u64).to_le_bytes());
    bytes.extend_from_slice(edits);
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    manifest::mend_frame(bytes, start);
}

/// Where numbers are in the beginning of a file, and how long they are.
fn fields_of(name: &str) -> &'static [(usize, usize)] {
    const MANIFEST: &[(usize, usize)] = &[(8, 4), (16, 8), (32, 8), (48, 8), (64, 4), (73, 8)];
    const SEGMENT: &[(usize, usize)] = &[
        (8, 4),
        (16, 8),
        (32, 8),
        (40, 4),
        (44, 4),
        (48, 8),
        (56, 8),
        (1024, 8),
        (1536, 8),
        (2048, 8),
        (3072, 8),
        (4100, 4),
        (4104, 4),
        (4108, 2),
        (4110, 1),
        (4111, 1),
        (4112, 8),
    ];
    const HINT: &[(usize, usize)] =
        &[(8, 4), (12, 4), (32, 8), (40, 4), (48, 8), (56, 8), (64, 8), (72, 8), (80, 8), (96, 8)];
    const INDEX: &[(usize, usize)] = &[
        (8, 4),
        (32, 8),
        (40, 8),
        (48, 4),
        (52, 4),
        (64, 8),
        (72, 4),
        (76, 4),
        (80, 8),
        (88, 8),
        (96, 8),
        (104, 8),
        (112, 8),
        (120, 8),
        (136, 4),
    ];
    match name {
        name::INDEX => INDEX,
        _ if name::parse_hint(name).is_some() => HINT,
        _ if name::parse_segment(name).is_some() => SEGMENT,
        _ => MANIFEST,
    }
}

/// A field in the beginning of a file is another number.
fn set_field(files: &mut Files, input: &mut Input) {
    let Some((name, bytes)) = some_file(files, input) else { return };
    let fields = fields_of(name);
    let (at, len) = fields[input.below(fields.len())];
    set(bytes, at, len, number(input));
}

fn set(bytes: &mut [u8], at: usize, len: usize, value: u64) {
    if let Some(field) = bytes.get_mut(at..at + len) {
        field.copy_from_slice(&value.to_le_bytes()[..len]);
    }
}

/// A piece of the checkpoint, or an entry in it, says something else.
fn set_index_field(files: &mut Files, input: &mut Input) {
    let Some(bytes) = files.get_mut(name::INDEX) else { return };
    let filled: Vec<usize> =
        pieces_of(bytes).into_iter().filter(|&at| u32_at(bytes, at + 16) > 0).collect();
    let Some(&piece) = filled.get(input.below(filled.len())) else { return };
    match input.u8() % 8 {
        0 => set(bytes, piece, 8, number(input)),
        1 => set(bytes, piece + 8, 8, number(input)),
        2 => set(bytes, piece + 16, 4, number(input)),
        3 => set(bytes, piece + 20, 4, number(input)),
        4 => set(bytes, piece + 24, 4, number(input)),
        _ => {
            let at = u64_at(bytes, piece + 8).saturating_add(8 * u64::from(input.u8() % 16));
            let at = at.min(bytes.len() as u64) as usize;
            let entry = bytes.get(at..at + 8).map_or(0, |_| u64_at(bytes, at));
            let place = entry & ((1 << 40) - 1);
            let new = match input.u8() % 4 {
                0 => number(input),
                1 => entry & !((1 << 40) - 1) | number(input) & ((1 << 40) - 1),
                2 => place | number(input) << 40,
                _ => entry.wrapping_add(u64::from(input.u8())),
            };
            set(bytes, at, 8, new);
        }
    }
}

/// Where the pieces of a checkpoint stand, if there is room for them.
fn pieces_of(bytes: &[u8]) -> Vec<usize> {
    let segments = if bytes.len() < 64 { usize::MAX } else { u32_at(bytes, 48) as usize };
    let first = segments.saturating_mul(64).saturating_add(64);
    match bytes.len() >= first.saturating_add(1024 * 32 + 4) {
        true => (0..1024).map(|piece| first + 32 * piece).collect(),
        false => Vec::new(),
    }
}

/// Who the segment in a file says it is.
fn who(bytes: &[u8]) -> Option<Who> {
    (bytes.len() >= model::FIRST_RECORD).then(|| Who {
        salt: u32_at(bytes, 40),
        kind: u32_at(bytes, 44),
        base_sequence: u64_at(bytes, 48),
        first: None,
    })
}

/// A segment, its records and where they end.
fn some_segment<'f>(
    files: &'f mut Files,
    input: &mut Input,
) -> Option<(u64, &'f mut Vec<u8>, Who, Contents)> {
    let ids: Vec<u64> = files.keys().filter_map(|name| name::parse_segment(name)).collect();
    let id = *ids.get(input.below(ids.len()))?;
    let bytes = files.get_mut(&name::segment(id))?;
    let who = who(bytes)?;
    let contents = model::segment(bytes, &who);
    Some((id, bytes, who, contents))
}
