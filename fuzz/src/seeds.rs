//! What fuzzing begins with: inputs made of the databases that tests/golden keeps.

use kv::format::name;

use super::golden::{self, Files};
use super::model::manifest::{self, Manifest};
use super::model::{self, u32_at, u64_at, Who};

/// An input: of which target, a name, and its bytes.
pub type Seed = (&'static str, String, Vec<u8>);

/// All that there are.
pub fn all() -> Vec<Seed> {
    let mut seeds = Vec::new();
    for number in 0..golden::COUNT {
        let files = golden::files(number);
        let manifest = &files[name::MANIFEST];
        seeds.push(("manifest", format!("golden-{number}"), [&[3], manifest.as_slice()].concat()));
        of_directory(number, &files, &mut seeds);
        let Ok(manifest) = manifest::read(manifest) else { continue };
        for (name, bytes) in &files {
            let name = format!("golden-{number}-{}", name.replace('.', "-").to_lowercase());
            of_file(&name, bytes, &manifest, &mut seeds);
        }
    }
    seeds
}

fn of_file(name: &str, bytes: &[u8], manifest: &Manifest, seeds: &mut Vec<Seed>) {
    if name.ends_with("-seg") {
        of_segment(name, bytes, seeds);
    } else if name.ends_with("-index") {
        of_checkpoint(name, bytes, seeds);
    } else if name.ends_with("-hint") && bytes.len() > 96 {
        let base_sequence =
            manifest.segments.get(&u64_at(bytes, 32)).map_or(0, |s| s.base_sequence);
        let kind = u32_at(bytes, 12);
        let mut seed = vec![u8::from(kind == model::COMPACTED) | 2 | 8];
        seed.extend_from_slice(&bytes[40..44]);
        seed.extend_from_slice(&(base_sequence << 2).to_le_bytes());
        seed.extend_from_slice(&bytes[72..80]);
        seed.extend_from_slice(&bytes[48..72]);
        seed.extend_from_slice(&bytes[..96]);
        seed.extend_from_slice(&bytes[96..]);
        seeds.push(("hint", name.to_owned(), seed));
    }
}

fn of_segment(name: &str, bytes: &[u8], seeds: &mut Vec<Seed>) {
    let who = Who {
        salt: u32_at(bytes, 40),
        kind: u32_at(bytes, 44),
        base_sequence: u64_at(bytes, 48),
        first: None,
    };
    let contents = model::segment(bytes, &who);
    for (at, (record, _)) in contents.met.iter().enumerate() {
        let from = record.offset as usize;
        let mut seed = vec![1];
        seed.extend_from_slice(&who.salt.to_le_bytes());
        seed.extend_from_slice(&((from / 8) as u32).to_le_bytes());
        seed.extend_from_slice(&bytes[from..(from + record.head.len).min(bytes.len())]);
        seeds.push(("record", format!("{name}-{at}"), seed));
    }
    let mut seed = vec![u8::from(who.kind == model::COMPACTED) | 4, 15];
    seed.extend_from_slice(&who.salt.to_le_bytes());
    seed.extend_from_slice(&(who.base_sequence << 2).to_le_bytes());
    seed.extend_from_slice(&[0; 2]);
    seed.extend_from_slice(&bytes[model::FIRST_RECORD..contents.end_at]);
    seeds.push(("segment", name.to_owned(), seed));
}

fn of_checkpoint(name: &str, bytes: &[u8], seeds: &mut Vec<Seed>) {
    let segments = u32_at(bytes, 48) as usize;
    let first_piece = 64 + 64 * segments;
    let mut seed = vec![1, 0, 4];
    seed.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    seed.extend_from_slice(&bytes[..first_piece + 4 * 32 + 4]);
    seeds.push(("checkpoint", format!("{name}-header"), seed));
    for piece in 0..1024_usize {
        let at = first_piece + 32 * piece;
        let (from, buckets) = (u64_at(bytes, at + 8) as usize, u32_at(bytes, at + 16) as usize);
        if buckets == 0 || piece % 64 > 8 {
            continue;
        }
        let mut seed = vec![0, 1];
        seed.extend_from_slice(&(piece as u16).to_le_bytes());
        seed.extend_from_slice(&[buckets as u8 - 1, bytes[at + 24]]);
        seed.extend_from_slice(&bytes[from..from + 64 * buckets]);
        // Drop none; put some in, look for them, take some out.
        seed.push(0);
        for step in 0..12_u8 {
            seed.extend_from_slice(&[step % 4, step / 4, 0, 0, 0]);
        }
        seeds.push(("checkpoint", format!("{name}-piece-{piece}"), seed));
    }
}

/// A kept database as it is, and with each kind of change.
fn of_directory(number: usize, files: &Files, seeds: &mut Vec<Seed>) {
    let base = [number as u8, 0xff, 0xff];
    for how in 0..8 {
        let mut seed = vec![how];
        seed.extend_from_slice(&base);
        // No changes, then some writes.
        seed.extend_from_slice(&[0, 8]);
        seed.extend((0..40).map(|at: u8| at.wrapping_mul(37)));
        seeds.push(("directory", format!("golden-{number}-{how}"), seed));
    }
    for change in 1..16_u8 {
        for file in 0..files.len() as u8 {
            let mut seed = vec![4];
            seed.extend_from_slice(&base);
            for _ in 0..3 {
                seed.push(change);
                seed.push(file);
                seed.extend((0..6).map(|at: u8| at.wrapping_mul(53).wrapping_add(file)));
            }
            seeds.push(("directory", format!("golden-{number}-change-{change}-{file}"), seed));
        }
    }
}
