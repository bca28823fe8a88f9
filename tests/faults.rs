//! Operations of the disk that fail, in the middle of random histories: a full disk is survived,
//! everything else that leaves the disk's state unknown makes the database read-only, reads go on,
//! and what is reopened afterwards, with or without a crash, is a prefix of the history in which
//! only what failed is in doubt (`histories/fault.rs`).
//!
//! `KV_TEST_SEED` gives another seed (a failure names the one of its history); `KV_CRASH_SECONDS`
//! sets how long to go on, instead of a fixed number of states.

mod common;
mod histories;

use common::sim_disk::fault::{Fault, Operation, ENOSPC};
use common::sim_disk::SimDisk;
use common::store::Store;
use histories::plan::Kind;
use histories::run_all;
use kv::error;
use kv::options::{Options, SyncLevel};

/// States in a usual run.
const STATES: u64 = 20_000;

#[test]
fn what_a_fault_leaves_is_a_prefix() {
    run_all(Kind::Fault, STATES);
}

#[test]
fn a_disk_that_is_full_while_the_database_closes_does_not_make_it_look_damaged() {
    let options = Options { segment_size: 128 << 10, sync: SyncLevel::None, ..Options::default() };
    // The first write that needs a block is the one that notes a full segment as sealed.
    for lasting in [false, true] {
        let disk = SimDisk::new(1);
        let store = Store::open(&disk, &options, false).expect("a new database opens");
        for number in 0..4_u8 {
            store.engine().put(&[number], &[number; 60_000]).expect("put");
        }
        let fault = Fault { of: Some(Operation::Write), after: 0, lasting, errno: ENOSPC };
        disk.set_fault(Some(fault));
        // What met the only fault may be something that can be done without.
        let closed = store.close().map_err(|error| error.kind());
        assert!(closed == Err(error::Kind::NoSpace) || closed.is_ok() && !lasting, "{closed:?}");
        disk.set_fault(None);
        let store = Store::open(&disk, &options, false).expect("it opens again");
        for number in 0..4_u8 {
            let len = store.engine().value_len(&[number]).expect("read");
            assert_eq!(len, Some(60_000), "key {number}");
        }
    }
}
