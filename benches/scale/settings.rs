//! The arguments: which sections, how large, where.

use std::path::PathBuf;

/// Sizes that can be set: name, the full size, and that of `--quick`.
const SIZES: [(&str, u64, u64); 12] = [
    ("rounds", 5, 3),
    ("value", 100, 100),
    ("small-keys", 1_000_000, 50_000),
    ("large-keys", 10_000_000, 200_000),
    ("commit-ms", 3_000, 300),
    ("load-keys", 20_000_000, 500_000),
    ("open-keys", 10_000_000, 200_000),
    ("space-keys", 2_000_000, 200_000),
    ("space-times", 5, 5),
    ("one-key-times", 50_000_000, 2_000_000),
    ("memory-keys", 50_000_000, 1_000_000),
    ("segments", 10_000, 300),
];

pub struct Settings {
    only: Vec<String>,
    sizes: Vec<(&'static str, u64)>,
    pub directory: PathBuf,
    /// Options of every database, over those that a section sets.
    pub options: Vec<(String, String)>,
}

impl Settings {
    pub fn from_arguments(sections: &[&str]) -> Settings {
        let all: Vec<String> = std::env::args().skip(1).filter(|name| name != "--bench").collect();
        let is_quick = all.iter().any(|name| name == "--quick");
        let size = |&(name, full, quick): &(&'static str, u64, u64)| {
            (name, if is_quick { quick } else { full })
        };
        let mut settings = Settings {
            only: Vec::new(),
            sizes: SIZES.iter().map(size).collect(),
            directory: std::env::temp_dir(),
            options: Vec::new(),
        };
        let mut arguments = all.into_iter().filter(|name| name != "--quick");
        while let Some(name) = arguments.next() {
            let value = arguments.next().unwrap_or_else(|| panic!("{name} needs a value"));
            settings.set(&name, &value, sections);
        }
        settings
    }

    fn set(&mut self, name: &str, value: &str, sections: &[&str]) {
        match name {
            "--only" => {
                self.only = value.split(',').map(str::to_owned).collect();
                let unknown = self.only.iter().find(|name| !sections.contains(&name.as_str()));
                assert!(unknown.is_none(), "no section {unknown:?}; there are {sections:?}");
            }
            "--dir" => self.directory = PathBuf::from(value),
            "--set" => {
                let pair = value.split_once('=').unwrap_or_else(|| panic!("{value} lacks a ="));
                self.options.push((pair.0.to_owned(), pair.1.to_owned()));
            }
            _ => {
                let size = self.sizes.iter_mut().find(|(size, _)| name == format!("--{size}"));
                let (_, size) = size.unwrap_or_else(|| {
                    let names = SIZES.map(|(name, ..)| name);
                    panic!("unknown {name}; there are --only --quick --dir --set and {names:?}")
                });
                *size = value.parse().unwrap_or_else(|_| panic!("{name} needs a number"));
            }
        }
    }

    pub fn wants(&self, section: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|name| name == section)
    }

    pub fn size(&self, name: &str) -> u64 {
        let size = self.sizes.iter().find(|(size, _)| *size == name);
        size.unwrap_or_else(|| panic!("no size is called {name}")).1
    }

    pub fn rounds(&self) -> usize {
        self.size("rounds") as usize
    }

    /// A path for a database; what was there is removed.
    pub fn fresh(&self, name: &str) -> PathBuf {
        let path = self.directory.join(format!("kv-scale-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        path
    }

    pub fn describe(&self) {
        let sizes: Vec<String> = self.sizes.iter().map(|(n, size)| format!("{n} {size}")).collect();
        println!("sizes: {}", sizes.join(", "));
        for (name, value) in &self.options {
            println!("option: {name} = {value}");
        }
    }
}
