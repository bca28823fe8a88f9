//! The seed of the index's hash: every database has one of its own, which nobody can guess, and
//! which nothing tells but the manifest.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;

use std::collections::HashSet;
use std::path::Path;
use std::sync::{Arc, Mutex};

use common::TempDir;
use kv::db::Db;
use kv::format::manifest::decode_header;
use kv::notice::{Level, Notice};
use kv::options::Options;

fn seed_of(path: &Path) -> [u8; 16] {
    let bytes = std::fs::read(path.join("MANIFEST")).unwrap();
    decode_header(&bytes).map(|(identity, _)| identity.hash_seed).ok().unwrap()
}

#[test]
fn every_database_has_a_seed_of_its_own() {
    let directory = TempDir::in_memory("seeds");
    let mut seeds = HashSet::new();
    let mut ones = [0_u32; 128];
    for number in 0..200 {
        let path = directory.join(&number.to_string());
        Db::open(&path, &Options::default()).unwrap().close().unwrap();
        let seed = u128::from_le_bytes(seed_of(&path));
        assert!(seeds.insert(seed), "two databases have the same");
        for (bit, ones) in ones.iter_mut().enumerate() {
            *ones += (seed >> bit & 1) as u32;
        }
    }
    // Nine standard deviations: of 128 bits, none strays so far by chance.
    for (bit, &ones) in ones.iter().enumerate() {
        assert!((36..=164).contains(&ones), "bit {bit} is set in {ones} of 200 seeds");
    }
}

/// Whether the text has these bytes, in any way that people write bytes.
fn tells(text: &str, seed: &[u8; 16]) -> bool {
    let lower = text.to_lowercase().replace([' ', ',', '_', ':', '-'], "");
    let halves = [&seed[..8], &seed[8..]];
    halves.iter().any(|half| {
        let hex = |bytes: &mut dyn Iterator<Item = &u8>| -> String {
            bytes.map(|byte| format!("{byte:02x}")).collect()
        };
        let number = u64::from_le_bytes((*half).try_into().unwrap());
        let decimals: String = half.iter().map(u8::to_string).collect();
        [hex(&mut half.iter()), hex(&mut half.iter().rev()), number.to_string(), decimals]
            .iter()
            .any(|form| lower.contains(form))
    })
}

#[test]
fn nothing_but_the_manifest_tells_the_seed() {
    let seed = *b"0123456789abcdef";
    let number = u64::from_le_bytes(*b"01234567");
    assert!(tells("seed: 30 31 32 33 34 35 36 37", &seed));
    assert!(tells(&format!("{:?}", &seed[8..]), &seed) && tells(&number.to_string(), &seed));
    let directory = TempDir::in_memory("seed-told");
    let path = directory.join("db");
    let heard = Arc::new(Mutex::new(String::new()));
    let mut options = Options::default();
    let listen = Arc::clone(&heard);
    let keep = move |notice: &Notice| listen.lock().unwrap().push_str(notice.text.as_str());
    options.listeners.log = Some((Level::Debug, Arc::new(keep)));
    let db = Db::open(&path, &options).unwrap();
    for number in 0..2000_u32 {
        db.put(&number.to_le_bytes(), &[0; 100]).unwrap();
    }
    db.engine().checkpoint();
    db.compact().unwrap();
    db.backup(&directory.join("backup")).unwrap();
    let said = [
        format!("{:?}", db.stats()),
        db.metrics(),
        Db::open(&path, &options).err().unwrap().to_string(),
        db.put(b"", b"").unwrap_err().to_string(),
    ];
    db.close().unwrap();
    let mut said = said.join("\n");
    let mut manifest = std::fs::read(path.join("MANIFEST")).unwrap();
    manifest[40] ^= 1;
    std::fs::write(path.join("MANIFEST"), &manifest).unwrap();
    said.push_str(&Db::open(&path, &options).err().unwrap().to_string());
    manifest[40] ^= 1;
    std::fs::write(path.join("MANIFEST"), &manifest).unwrap();
    said.push_str(&heard.lock().unwrap());
    assert!(said.len() > 1000 && !tells(&said, &seed_of(&path)), "{said}");
}
