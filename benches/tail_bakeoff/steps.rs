//! What allocating and populating a mapped segment costs, step size by step size.

use crate::measure::median;
use crate::record::RECORD;
use crate::sys::{allocate, copy_in_allocated, WriteMap};
use crate::tail::SEGMENT;
use std::fs::{remove_file, OpenOptions};
use std::io;
use std::path::Path;
use std::time::Instant;

const PAGE: usize = 4096;
const SIZES: [usize; 6] = [64 << 10, 256 << 10, 1 << 20, 4 << 20, 8 << 20, 64 << 20];
/// Counted passes, each over a new file of each size.
const FILES: usize = 3;

/// Nanoseconds; one entry per step.
#[derive(Default)]
struct Costs {
    allocate: Vec<f64>,
    populate: Vec<f64>,
    touch_populated: Vec<f64>,
    touch_fresh: Vec<f64>,
    touch_synced: Vec<f64>,
}

pub fn report(dir: &Path) -> io::Result<()> {
    println!("\nAllocating and populating a mapped 64-MiB segment, by step; medians");
    println!("(ns/page: of 4 KiB, {:.1} records each)", PAGE as f64 / RECORD as f64);
    println!(
        "{:>10} {:>13} {:>9} {:>13} {:>9} | first write to a page, ns/page: {:>9} {:>9} {:>9}",
        "step KiB",
        "fallocate µs",
        "max µs",
        "populate µs",
        "ns/page",
        "populated",
        "fresh",
        "synced"
    );
    let mut all = SIZES.map(|_| Costs::default());
    // Sizes are interleaved, and the first pass only warms up.
    for pass in 0..=FILES {
        for (size, costs) in SIZES.iter().zip(&mut all) {
            let mut ignored = Costs::default();
            let costs = if pass == 0 { &mut ignored } else { costs };
            measure(&dir.join("steps"), *size, costs)?;
        }
    }
    SIZES.into_iter().zip(all).for_each(|(size, costs)| print_line(size, costs));
    Ok(())
}

fn print_line(size: usize, costs: Costs) {
    let longest = costs.allocate.iter().copied().fold(0.0, f64::max);
    let pages = (size / PAGE) as f64;
    let populate = median(costs.populate);
    println!(
        "{:>10} {:>13.1} {:>9.1} {:>13.1} {:>9.0} | {:>32} {:>9.0} {:>9.0} {:>9.0}",
        size >> 10,
        median(costs.allocate) / 1e3,
        longest / 1e3,
        populate / 1e3,
        populate / pages,
        "",
        median(costs.touch_populated) / pages,
        median(costs.touch_fresh) / pages,
        median(costs.touch_synced) / pages,
    );
}

/// Grows a file in steps; every second one is populated before it is touched.
fn measure(path: &Path, step: usize, costs: &mut Costs) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let file = options.read(true).write(true).create_new(true).open(path)?;
    let len = SEGMENT.max(2 * step);
    let map = WriteMap::new(&file, len)?;
    for (n, offset) in (0..len).step_by(step).enumerate().take(64) {
        costs.allocate.push(timed(|| allocate(&file, offset, step))?);
        if n % 2 == 0 {
            costs.populate.push(timed(|| map.populate(offset, step))?);
            costs.touch_populated.push(timed(|| touch(&map, offset, step))?);
        } else {
            costs.touch_fresh.push(timed(|| touch(&map, offset, step))?);
        }
        if n % 8 == 0 {
            file.sync_data()?;
            costs.touch_synced.push(timed(|| touch(&map, offset, step))?);
        }
    }
    drop(map);
    remove_file(path)
}

fn touch(map: &WriteMap, offset: usize, len: usize) -> io::Result<()> {
    (offset..offset + len).step_by(PAGE).for_each(|at| copy_in_allocated(map, at, &[1; 8]));
    Ok(())
}

fn timed(work: impl FnOnce() -> io::Result<()>) -> io::Result<f64> {
    let start = Instant::now();
    work()?;
    Ok(start.elapsed().as_nanos() as f64)
}
