//! The arguments: what to measure, how large, where, and where figures go.

use std::path::PathBuf;
use std::time::Duration;

use crate::bench::Job;
use crate::engines::{self, ENGINES};
use crate::metrics::{means, METRICS};

pub const USAGE: &str = "\
kv-peers: libkv and other engines, side by side
    --keys N           keys (1000000)
    --value 100,1024   bytes of values; several are several runs (100)
    --sweep N,N,...    numbers of keys instead of one
    --rounds N         rounds; every engine has its turn in each (3)
    --engines A,B      some engines (all that are there)
    --workloads X,Y    some workloads, or beginnings of their names: ycsb, ycsb-a, read (all)
    --dir DIR          where databases are made (the temporary directory)
    --limit SECONDS    when a workload that does not fill is cut short (60)
    --json FILE        writes all figures
    --plots DIR        draws them
    --draw FILE,FILE   measures nothing: the tables and plots of what --json has written
    --quick            small and short: shows that the program works
    --list             names the engines with their options, and the workloads";

pub struct Settings {
    pub keys: Vec<u64>,
    pub values: Vec<usize>,
    pub rounds: usize,
    /// None: all that are there.
    pub engines: Vec<String>,
    pub workloads: Vec<String>,
    pub directory: PathBuf,
    pub limit: Duration,
    pub sync: Duration,
    pub settle: Duration,
    pub json: Option<PathBuf>,
    pub plots: Option<PathBuf>,
    /// Files of earlier runs.
    pub draw: Vec<PathBuf>,
    pub is_list: bool,
    /// What this process is, if it is a child: the flag, and the engine.
    pub child: Option<(String, String)>,
}

impl Settings {
    pub fn from_arguments(arguments: &[String]) -> Result<Settings, String> {
        let is_quick = arguments.iter().any(|argument| argument == "--quick");
        let sizes = if is_quick { (20_000, 1, 10, 100, 50) } else { (1_000_000, 3, 60, 1000, 500) };
        let (keys, rounds, limit, sync, settle) = sizes;
        let mut settings = Settings {
            keys: vec![keys],
            values: vec![100],
            rounds,
            engines: Vec::new(),
            workloads: Vec::new(),
            directory: std::env::temp_dir(),
            limit: Duration::from_secs(limit),
            sync: Duration::from_millis(sync),
            settle: Duration::from_millis(settle),
            json: None,
            plots: None,
            draw: Vec::new(),
            is_list: arguments.iter().any(|argument| argument == "--list"),
            child: None,
        };
        let mut rest = arguments.iter().filter(|name| !["--quick", "--list"].contains(&&***name));
        while let Some(name) = rest.next() {
            let value = rest.next().ok_or_else(|| format!("{name} needs a value\n{USAGE}"))?;
            settings.set(name, value)?;
        }
        settings.check()?;
        Ok(settings)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        let names = || value.split(',').map(str::to_owned).collect::<Vec<String>>();
        let millis = || Ok::<_, String>(Duration::from_millis(number(name, value)?));
        match name {
            "--keys" | "--sweep" => {
                self.keys = names().iter().map(|n| number(name, n)).collect::<Result<_, _>>()?;
            }
            "--value" => {
                let all = names().into_iter().map(|n| Ok(number(name, &n)? as usize));
                self.values = all.collect::<Result<_, String>>()?;
            }
            "--rounds" => self.rounds = number(name, value)? as usize,
            "--engines" => self.engines = names(),
            "--workloads" => self.workloads = names(),
            "--dir" => self.directory = PathBuf::from(value),
            "--limit" => self.limit = Duration::from_secs(number(name, value)?),
            "--limit-ms" => self.limit = millis()?,
            "--sync-ms" => self.sync = millis()?,
            "--settle-ms" => self.settle = millis()?,
            "--json" => self.json = Some(PathBuf::from(value)),
            "--plots" => self.plots = Some(PathBuf::from(value)),
            "--draw" => self.draw = names().into_iter().map(PathBuf::from).collect(),
            "--bench" | "--load" => self.child = Some((name.to_owned(), value.to_owned())),
            _ => return Err(format!("unknown argument {name}\n{USAGE}")),
        }
        Ok(())
    }

    fn check(&self) -> Result<(), String> {
        if let Some(name) = self.engines.iter().find(|name| engines::find(name).is_none()) {
            let names: Vec<&str> = ENGINES.iter().map(|entry| entry.name).collect();
            return Err(format!("no engine {name}; there are {}", names.join(", ")));
        }
        let is_known = |name: &String| METRICS.iter().any(|metric| means(name, metric.name));
        if let Some(name) = self.workloads.iter().find(|name| !is_known(name)) {
            return Err(format!("no workload {name}; --list names them"));
        }
        let is_wrong_key = self.keys.iter().any(|keys| !(1000..1 << 30).contains(keys));
        let is_wrong_value = self.values.iter().any(|value| !(16..60_000).contains(value));
        if is_wrong_key || is_wrong_value || self.rounds == 0 {
            return Err("keys: 1000 to 2^30; values: 16 to 60,000 bytes; rounds: at least 1".into());
        }
        Ok(())
    }

    /// What a child is to do.
    pub fn job(&self, engine: &'static str, keys: u64, value: usize, directory: PathBuf) -> Job {
        Job {
            engine,
            keys,
            value,
            directory,
            chosen: self.workloads.clone(),
            limit: self.limit,
            sync: self.sync,
            settle: self.settle,
        }
    }
}

fn number(name: &str, value: &str) -> Result<u64, String> {
    value.parse().map_err(|_| format!("{name} needs a number, not {value}"))
}

/// The arguments with which a child does this job.
pub fn child_arguments(flag: &str, job: &Job) -> Vec<String> {
    let mut arguments: Vec<String> = [
        (flag, job.engine.to_owned()),
        ("--keys", job.keys.to_string()),
        ("--value", job.value.to_string()),
        ("--dir", job.directory.to_string_lossy().into_owned()),
        ("--limit-ms", job.limit.as_millis().to_string()),
        ("--sync-ms", job.sync.as_millis().to_string()),
        ("--settle-ms", job.settle.as_millis().to_string()),
    ]
    .into_iter()
    .flat_map(|(name, value)| [name.to_owned(), value])
    .collect();
    if !job.chosen.is_empty() {
        arguments.extend(["--workloads".to_owned(), job.chosen.join(",")]);
    }
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A child understands its job as the parent meant it.
    #[test]
    fn a_child_hears_what_the_parent_says() {
        let text = "--keys 5000 --value 1024 --workloads ycsb,read --quick --engines lmdb";
        let arguments: Vec<String> = text.split(' ').map(str::to_owned).collect();
        let settings = Settings::from_arguments(&arguments).expect("the arguments are right");
        let job = settings.job("lmdb", 5000, 1024, PathBuf::from("/tmp/x"));
        let child = child_arguments("--bench", &job);
        let child = Settings::from_arguments(&child).expect("the arguments are right");
        assert_eq!(child.child, Some(("--bench".to_owned(), "lmdb".to_owned())));
        let again = child.job("lmdb", child.keys[0], child.values[0], child.directory.clone());
        assert_eq!(format!("{job:?}"), format!("{again:?}"));
    }

    /// What is not there is refused.
    #[test]
    fn mistakes_are_told() {
        for text in ["--engines nothing", "--workloads nothing", "--keys x", "--value 3", "--keys"]
        {
            let arguments: Vec<String> = text.split(' ').map(str::to_owned).collect();
            assert!(Settings::from_arguments(&arguments).is_err(), "{text}");
        }
    }
}
