//! The tests themselves are tested: the library makes one mistake after the other
//! (`src/wrong_turn.rs`), and for each a test of this suite must fail.
//!
//! Each wrong turn is taken in a process of its own, which runs the test that the table names with
//! it, no longer than it usually runs. A turn that nobody notices is a failure that names it; so is
//! a test that fails with no turn taken. `KV_WRONG_TURN` takes one only; `KV_TEST_SEED` gives other
//! histories.

#![allow(clippy::print_stdout, reason = "what was caught, where and how soon is worth knowing")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use kv::wrong_turn::{WrongTurn, VARIABLE};
use WrongTurn::*;

/// A test: its program and its name.
type Harness = (&'static str, &'static str);

const CRASH: Harness = ("crash", "what_a_crash_leaves_is_a_prefix");
const BESIDE: Harness = ("crash", "what_is_written_beside_a_checkpoint_is_not_lost");
const WINDOW: Harness = ("crash", "what_was_written_beside_a_checkpoint_may_be_compacted_away");
const FAULT: Harness = ("faults", "what_a_fault_leaves_is_a_prefix");
const BACKUP: Harness = ("backup_crash", "a_crash_in_a_backup_leaves_the_old_one_or_the_new");
const BACKUP_ELSEWHERE: Harness = ("backup", "across_file_systems_only_what_is_new_is_copied");
const RESTORE: Harness = ("restore", "damage_in_a_backup_is_named_and_leaves_nothing");
const SYNC_GROUP: Harness = ("group", "threads_share_syncs_and_are_told_the_truth");
const FAILED_GROUP: Harness = ("group", "a_sync_that_fails_is_told_to_all_who_wait");
const RECLAIM: Harness =
    ("ttl_crash", "a_power_cut_in_the_midst_of_reclaiming_brings_nothing_older_back");
const EXPIRY: Harness =
    ("ttl_crash", "any_history_of_values_that_expire_survives_compaction_and_kills");
const CLOCK: Harness = ("ttl", "keys_that_had_expired_stay_so_when_the_clock_is_set_back");
const KILLED: Harness = ("corrupt", "every_bit_and_every_length_of_a_killed_database");
const HINTS: Harness = ("corrupt", "bits_and_lengths_of_compacted_databases");
const MISPLACED: Harness = ("live_damage", "a_record_in_the_place_of_another_is_damage");
const EXCHANGED: Harness = ("corrupt", "exchanged_and_missing_files");
const FORGED_BATCH: Harness = ("corrupt_batches", "a_batch_is_what_its_mark_says_or_nothing");
const CHECKPOINT: Harness = ("corrupt_index", "bits_lengths_and_blocks_of_a_checkpoint");
const FUTURE: Harness = ("corrupt_index", "a_checkpoint_of_a_future_that_did_not_come");
const READS: Harness = ("live_damage", "damage_is_told_to_who_meets_it");

/// Which test notices which wrong turn; and, of one that draws histories, the seed of one in which
/// it does: with it the test begins, so that it is soon over. 0: it begins with its own.
///
/// When histories have changed, `KV_WRONG_TURN_SEARCH=1` prints seeds to be put here, and takes its
/// time.
const TABLE: [(WrongTurn, Harness, u64); 62] = [
    (AcknowledgedBeforeSync, CRASH, 0),
    (LaterSegmentSyncedFirst, CRASH, 0),
    (MarkBeforeSync, CRASH, 0),
    (SyncTriedAgain, FAULT, 20_260_112),
    (SyncCoversLaterWrites, SYNC_GROUP, 0),
    (WritesGoOnAfterFailure, FAULT, 0),
    (FailedSyncAcknowledged, FAULT, 20_260_112),
    (FailedSyncNotShared, FAILED_GROUP, 0),
    (HeaderNotSynced, CRASH, 0),
    (SegmentNameNotSynced, CRASH, 0),
    (SealBeforeSync, CRASH, 0),
    (BatchWithoutMark, CRASH, 0),
    (HalfBatchBelieved, CRASH, 0),
    (BatchMarkNotCompared, FORGED_BATCH, 0),
    (TornTailNotCut, CRASH, 20_260_112),
    (DamageTakenForTornTail, KILLED, 0),
    (GapNotSkipped, CRASH, 20_260_104),
    (GapWithoutSequence, CRASH, 20_260_104),
    (HoleInLogPassed, CRASH, 0),
    (PlaceNotInChecksum, MISPLACED, 0),
    (RecordNotChecked, CRASH, 0),
    (ReadNotChecked, READS, 0),
    (NewestByPlace, CRASH, 20_260_102),
    (UnsyncedLogBelieved, FAULT, 20_260_112),
    (UnsyncedManifestBelieved, CRASH, 20_260_102),
    (ManifestNameBelieved, CRASH, 20_260_150),
    (DiscardedSegmentsKept, CRASH, 0),
    (DiscardedNamesRemovedFirst, CRASH, 0),
    (ManifestRenamedBeforeSync, CRASH, 20_260_102),
    (ManifestNameNotSynced, CRASH, 0),
    (ManifestNotSynced, CRASH, 0),
    (ManifestFrameNotChecked, CRASH, 0),
    (ManifestGoesOnBehindTornFrame, CRASH, 0),
    (OpenedNotNoted, CRASH, 20_260_102),
    (ClosedBeforeSync, CRASH, 20_260_102),
    (SpareNameRemovedFirst, CRASH, 20_260_102),
    (HintNotChecked, HINTS, 0),
    (StaleHintBelieved, EXCHANGED, 0),
    (CheckpointBeyondLog, CRASH, 20_260_102),
    (StaleCheckpointBelieved, CRASH, 20_260_102),
    (CheckpointNotChecked, CHECKPOINT, 0),
    (CheckpointClaimsTooMuch, BESIDE, 0),
    (CheckpointWindowMissed, WINDOW, 0),
    (BadCheckpointKept, FUTURE, 0),
    (GoneSegmentsBelieved, CRASH, 20_260_102),
    (TombstoneDroppedEarly, EXPIRY, 0),
    (DeadNotCounted, CRASH, 0),
    (ExpiredDroppedEarly, RECLAIM, 0),
    (UnreadThoughNeeded, RECLAIM, 0),
    (OutputNotSynced, CRASH, 0),
    (OutputNameNotSynced, CRASH, 0),
    (CommitBeforeLogSync, CRASH, 20_260_102),
    (VictimsRemovedFirst, CRASH, 20_260_102),
    (CopyReplacesNewer, CRASH, 20_260_104),
    (TimeNotStored, CLOCK, 0),
    (BackupNotSynced, BACKUP, 0),
    (BackupNotMarked, BACKUP, 0),
    (OldBackupNotMarked, BACKUP, 0),
    (BackupNameNotSynced, BACKUP, 0),
    (ChangedSegmentReused, BACKUP_ELSEWHERE, 0),
    (HeldFileRemoved, BACKUP, 20_260_122),
    (RestoredUnverified, RESTORE, 0),
];

/// So long a test looks for a wrong turn if it is to find out where it comes upon one.
const SEARCH_SECONDS: u64 = 600;
/// So long it does so when there is none.
const CONTROL_SECONDS: u64 = 2;
/// Whatever a test does, it ends before.
const PATIENCE: Duration = Duration::from_secs(1200);
/// So many seconds a test draws histories; if it is not set, as many as it usually does.
const SECONDS: &str = "KV_CRASH_SECONDS";
/// The seed of the first history that a test draws.
const SEED: &str = "KV_TEST_SEED";

/// How a test ended.
enum Outcome {
    Passed,
    /// With these words, in the history with this seed.
    Failed(String, Option<u64>),
    /// It did not end, or died of something else than its own verdict.
    Odd(String),
}

/// The programs of all tests in the table, built with wrong turns.
fn programs() -> &'static BTreeMap<String, PathBuf> {
    static PROGRAMS: OnceLock<BTreeMap<String, PathBuf>> = OnceLock::new();
    PROGRAMS.get_or_init(|| {
        let names: BTreeSet<&str> = TABLE.iter().map(|(_, (program, _), _)| *program).collect();
        let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
        let built = Command::new(cargo)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .args(["test", "--offline", "--features", "wrong-turns", "--no-run"])
            .arg("--message-format=json-render-diagnostics")
            .args(names.iter().flat_map(|name| ["--test", name]))
            .stderr(Stdio::inherit())
            .output()
            .expect("cargo can be started");
        assert!(built.status.success(), "the tests cannot be built");
        let text = String::from_utf8_lossy(&built.stdout);
        let key = "\"executable\":\"";
        let paths = text.lines().filter_map(|line| line.split_once(key)?.1.split('"').next());
        let named = paths.filter_map(|path| {
            let base = Path::new(path).file_name()?.to_str()?;
            Some((base.rsplit_once('-')?.0.to_owned(), PathBuf::from(path)))
        });
        named.collect()
    })
}

/// Runs a test with this wrong turn, or none. If it draws histories, it begins with this seed, or
/// with its own if that is 0.
fn run(
    turn: Option<WrongTurn>,
    (program, test): Harness,
    seed: u64,
    limit: Option<u64>,
) -> Outcome {
    let path = programs().get(program).unwrap_or_else(|| panic!("there is no test {program}"));
    let mut command = Command::new(path);
    if seed > 0 {
        command.env(SEED, seed.to_string());
    }
    match limit {
        Some(seconds) => command.env(SECONDS, seconds.to_string()),
        None => command.env_remove(SECONDS),
    };
    let mut child = command
        .args(["--exact", test, "--test-threads=1"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env(VARIABLE, turn.map_or_else(String::new, |turn| format!("{turn:?}")))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("a test can be started");
    let stdout = child.stdout.take().expect("its output is piped");
    let reader = std::thread::spawn(move || std::io::read_to_string(stdout).unwrap_or_default());
    let ended = wait(&mut child);
    let output = reader.join().expect("the reader ends");
    let ran_one = output.contains("running 1 test");
    match ended.and_then(|status| status.code()) {
        Some(0) if ran_one => Outcome::Passed,
        Some(101) if ran_one => Outcome::Failed(words_of(&output), seed_in(&output)),
        _ => Outcome::Odd(format!("{program}: {test}: {ended:?}: {output}")),
    }
}

/// How it ended; nothing if it did not, and was killed.
fn wait(child: &mut Child) -> Option<std::process::ExitStatus> {
    let started = Instant::now();
    while started.elapsed() < PATIENCE {
        if let Some(status) = child.try_wait().expect("a child can be waited for") {
            return Some(status);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let _ = child.kill();
    let _ = child.wait();
    None
}

/// The seed of the history that a test names.
fn seed_in(output: &str) -> Option<u64> {
    let (_, after) = output.split_once(SEED)?;
    let digits = after.trim_start_matches('=').split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

/// What a test says is wrong, in one line.
fn words_of(output: &str) -> String {
    let after = output.split("panicked at ").nth(1).unwrap_or_default();
    let message = after.lines().skip(1).take(3).collect::<Vec<_>>().join(" ");
    // Without the shape of the history.
    let message = message.split("}: ").last().unwrap_or_default();
    message.chars().take(150).collect()
}

/// Does all jobs, a few at a time. Answers what went wrong.
fn in_parallel<J: Sync>(jobs: &[J], work: impl Fn(&J) -> Option<String> + Sync) -> Vec<String> {
    let (next, wrong) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    wrong.lock().expect("no panic").extend(work(job));
                }
            });
        }
    });
    wrong.into_inner().expect("no panic")
}

#[test]
fn every_wrong_turn_is_noticed() {
    let only = std::env::var(VARIABLE).ok().filter(|name| !name.is_empty());
    let is_meant = |turn: &WrongTurn| only.as_ref().is_none_or(|name| *name == format!("{turn:?}"));
    let jobs: Vec<_> = TABLE.iter().filter(|(turn, ..)| is_meant(turn)).collect();
    assert!(!jobs.is_empty(), "there is no such wrong turn: {only:?}");
    programs();
    let searches = std::env::var_os("KV_WRONG_TURN_SEARCH").is_some();
    let has_seed = std::env::var_os(SEED).is_some();
    let began = Instant::now();
    let wrong = in_parallel(&jobs, |&&(turn, harness, seed)| {
        let seed = if searches || has_seed { 0 } else { seed };
        let limit = searches.then_some(SEARCH_SECONDS);
        let began = Instant::now();
        let outcome = run(Some(turn), harness, seed, limit);
        let took = began.elapsed().as_secs_f32();
        match outcome {
            Outcome::Failed(words, seed) => {
                let seed = seed.map_or(String::new(), |seed| format!(", seed {seed}"));
                println!("{turn:?}: {took:.1} s, {}{seed}: {words}", harness.1);
                None
            }
            Outcome::Passed => {
                Some(format!("{turn:?}: nobody notices in {took:.1} s that {}", turn.what()))
            }
            Outcome::Odd(how) => Some(format!("{turn:?}: {how}")),
        }
    });
    println!("{} wrong turns in {:.1} s", jobs.len(), began.elapsed().as_secs_f32());
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), jobs.len(), wrong.join("\n"));
}

#[test]
fn without_a_wrong_turn_nothing_is_found() {
    let harnesses: BTreeSet<Harness> = TABLE.iter().map(|(_, harness, _)| *harness).collect();
    let harnesses: Vec<Harness> = harnesses.into_iter().collect();
    let control = Some(CONTROL_SECONDS);
    let wrong = in_parallel(&harnesses, |harness| match run(None, *harness, 0, control) {
        Outcome::Passed => None,
        Outcome::Failed(how, _) | Outcome::Odd(how) => Some(format!("{harness:?}: {how}")),
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Each is tried, and a reader finds it where the promises are.
#[test]
fn the_table_has_every_wrong_turn() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/DURABILITY.md");
    let document = std::fs::read_to_string(path).expect("the document can be read");
    for turn in WrongTurn::ALL {
        let listed: Vec<_> = TABLE.iter().filter(|(listed, ..)| listed == turn).collect();
        assert_eq!(listed.len(), 1, "{turn:?} is in the table as often");
        let (_, (program, _), _) = *listed[0];
        let what = turn.what().trim_end_matches('.');
        let row = format!("| `{turn:?}` | {what} | `{program}.rs` |");
        assert!(document.contains(&row), "DURABILITY.md has no row\n{row}");
    }
}
