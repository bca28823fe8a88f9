//! Figures that earlier runs have written: a long measurement can be made in parts.

use std::path::PathBuf;

use serde_json::Value;

use crate::engines;
use crate::metrics;
use crate::rounds::{Measured, Run};

/// The runs in these files. Where two files have the same figure, that of the first counts.
pub fn read(files: &[PathBuf]) -> Result<Vec<Run>, String> {
    let mut runs: Vec<Run> = Vec::new();
    for file in files {
        let about = |what: &str| format!("{}: {what}", file.display());
        let text = std::fs::read_to_string(file).map_err(|e| about(&e.to_string()))?;
        let document: Value = serde_json::from_str(&text).map_err(|e| about(&e.to_string()))?;
        add(&mut runs, &document).ok_or_else(|| about("it is not what --json writes"))?;
    }
    runs.sort_by_key(|run| (run.value, run.keys));
    Ok(runs)
}

fn add(runs: &mut Vec<Run>, document: &Value) -> Option<()> {
    for read in document["runs"].as_array()? {
        let (keys, value) = (read["keys"].as_u64()?, read["value_bytes"].as_u64()? as usize);
        let at = runs.iter().position(|run| (run.keys, run.value) == (keys, value));
        let at = at.unwrap_or_else(|| {
            runs.push(Run { keys, value, measured: Vec::new() });
            runs.len() - 1
        });
        for result in read["results"].as_array()? {
            let engine = engines::find(result["engine"].as_str()?)?;
            let metric = metrics::find(result["workload"].as_str()?)?;
            let rounds = result["rounds"].as_array()?;
            let values = rounds.iter().map(Value::as_f64).collect::<Option<Vec<f64>>>()?;
            if runs[at].of(engine.name, metric.name).is_none() {
                runs[at].measured.push(Measured { engine, metric, values });
            }
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json;

    /// What was written is read again, and a second file adds what the first has not.
    #[test]
    fn what_was_written_is_read() {
        let measured = |engine: &str, metric: &str, values: &[f64]| Measured {
            engine: engines::find(engine).expect("an engine"),
            metric: metrics::find(metric).expect("a metric"),
            values: values.to_vec(),
        };
        let written = [
            vec![measured("libkv", "scan", &[1.5, 2.0])],
            vec![measured("libkv", "scan", &[9.0]), measured("lmdb", "scan", &[3.0])],
        ];
        let mut runs = Vec::new();
        for measured in written {
            let run = Run { keys: 1000, value: 100, measured };
            let text = json::document(&[], &[run], &[]);
            add(&mut runs, &serde_json::from_str(&text).expect("JSON")).expect("a document");
        }
        assert_eq!(runs.len(), 1);
        assert_eq!(runs[0].of("libkv", "scan").expect("it is there").values, [1.5, 2.0]);
        assert_eq!(runs[0].of("lmdb", "scan").expect("it is there").values, [3.0]);
        assert!(add(&mut runs, &serde_json::json!({"runs": [{}]})).is_none());
    }
}
