//! How fast and how small the engine is by itself: `cargo bench --bench engine -- [keys] [value bytes]`.
use std::time::Instant;

use kv::db::Db;
use kv::options::{Options, SyncLevel};

fn key(i: u64) -> [u8; 16] {
    let mut k = [0; 16];
    let x = i.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    k[..8].copy_from_slice(&x.to_be_bytes());
    k[8..].copy_from_slice(&i.to_be_bytes());
    k
}

fn main() {
    let args: Vec<u64> = std::env::args().skip(1).filter_map(|a| a.parse().ok()).collect();
    let n = args.first().copied().unwrap_or(1_000_000);
    let len = args.get(1).copied().unwrap_or(100) as usize;
    let dir = std::env::temp_dir().join(format!("kv-bench-{}", std::process::id()));
    let options = Options { sync: SyncLevel::None, ..Options::default() };
    let value = vec![42u8; len];
    for _ in 0..3 {
        let _ = std::fs::remove_dir_all(&dir);
        let db = Db::open(&dir, &options).unwrap();
        let t = Instant::now();
        for i in 0..n {
            db.put(&key(i), &value).unwrap();
        }
        let put = t.elapsed().as_secs_f64();
        let mem = db.engine().index_memory();
        let mut out = vec![0u8; len];
        let t = Instant::now();
        for i in 0..n {
            let j = i.wrapping_mul(7919) % n;
            db.get(&key(j), |v| out.copy_from_slice(v)).unwrap().unwrap();
        }
        let get = t.elapsed().as_secs_f64();
        let t = Instant::now();
        for i in 0..n {
            assert!(db.get(&key(i + n), |v| v.len()).unwrap().is_none());
        }
        let miss = t.elapsed().as_secs_f64();
        let t = Instant::now();
        for i in 0..n {
            let j = i.wrapping_mul(7919) % n;
            db.put(&key(j), &value).unwrap();
        }
        let over = t.elapsed().as_secs_f64();
        let t = Instant::now();
        for i in 0..n {
            let j = i.wrapping_mul(7919) % n;
            assert!(db.delete(&key(j)).unwrap());
        }
        let del = t.elapsed().as_secs_f64();
        let t = Instant::now();
        db.close().unwrap();
        let close = t.elapsed().as_secs_f64();
        let t = Instant::now();
        let db = Db::open(&dir, &options).unwrap();
        let open = t.elapsed().as_secs_f64();
        drop(db);
        let r = |s: f64| n as f64 / s / 1e6;
        println!("put {:.2} get {:.2} miss {:.2} overwrite {:.2} delete {:.2} M/s; index {:.2} B/key; close {:.3} s open {:.3} s", r(put), r(get), r(miss), r(over), r(del), mem as f64 / n as f64, close, open);
    }
    let _ = std::fs::remove_dir_all(&dir);
}
