//! Each kind of call that the engine makes of its storage fails, in each thing that it does, with
//! each error that the call may have, once and for good: the state that follows is the one that
//! docs/FAULTS.md says, which is compared with what is found here (`KV_UPDATE_FAULTS=1` writes it).
//!
//! And whatever failed: reads answer with what was acknowledged, or with an error while the fault
//! lasts, and never with anything else; a database that is not read-only goes on with everything
//! when the fault is over, and one that is says why; opened again it holds what it held, and no
//! file is left over. No call waits for ever, and no lock stays held: every call is made once more
//! after the fault, under a watchdog.

#![allow(clippy::print_stdout, reason = "a test says how much it has done")]

mod common;
mod faulty;
mod probes;
mod scenes;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::time::Duration;

use common::watchdog::Watchdog;
use faulty::{Act, Call, Fault};
use kv::error::Kind;
use probes::{settle_and_reopen, try_every_call};
use scenes::{Scene, World, DESTROYING, SCENES};

/// Errors that mean the same, with a title.
struct Column {
    title: &'static str,
    errnos: &'static [i32],
}

const IO: Column = Column { title: "EIO", errnos: &[5] };
const SPACE: Column = Column { title: "ENOSPC, EDQUOT, EFBIG", errnos: &[28, 122, 27] };
const DESCRIPTORS: Column = Column { title: "EMFILE, ENFILE", errnos: &[24, 23] };
const MEMORY: Column = Column { title: "ENOMEM", errnos: &[12] };
const PERMISSION: Column = Column { title: "EACCES, EPERM, EROFS", errnos: &[13, 1, 30] };
const COLUMNS: [Column; 5] = [IO, SPACE, DESCRIPTORS, MEMORY, PERMISSION];

/// Whether a call can fail so.
fn can_fail(act: Act, column: &Column) -> bool {
    let columns: &[&Column] = match act {
        Act::Create | Act::Lock => &[&IO, &SPACE, &DESCRIPTORS, &MEMORY, &PERMISSION],
        Act::Open | Act::List => &[&IO, &DESCRIPTORS, &MEMORY, &PERMISSION],
        Act::Link | Act::Rename => &[&IO, &SPACE, &MEMORY, &PERMISSION],
        Act::Remove => &[&IO, &MEMORY, &PERMISSION],
        Act::Write | Act::Allocate => &[&IO, &SPACE, &MEMORY, &PERMISSION],
        Act::Sync | Act::SyncDirectory => &[&IO, &SPACE],
        Act::Cut => &[&IO, &MEMORY, &PERMISSION],
        Act::Map | Act::MapAppend => &[&DESCRIPTORS, &MEMORY, &PERMISSION],
        Act::Length | Act::Read | Act::DropCache => &[&IO, &MEMORY],
    };
    columns.iter().any(|possible| possible.title == column.title)
}

/// What a failure has come to, in the words of C.
fn outcome_of(world: &World, result: &kv::error::Result<()>) -> String {
    let status = result.as_ref().map_err(|error| status_of(error.kind()));
    let is_latched = world.engine.as_ref().is_some_and(|e| e.latch().cause().is_some());
    match (status, is_latched) {
        (Ok(()), false) => "goes on".to_owned(),
        (Ok(()), true) => "read-only".to_owned(),
        (Err(status), false) => status.to_owned(),
        (Err(status), true) => format!("{status}, read-only"),
    }
}

fn status_of(kind: Kind) -> &'static str {
    match kind {
        Kind::Io => "`KV_IO`",
        Kind::NoSpace => "`KV_NO_SPACE`",
        Kind::OutOfMemory => "`KV_OUT_OF_MEMORY`",
        Kind::TooManyOpen => "`KV_TOO_MANY_OPEN`",
        Kind::PermissionDenied => "`KV_PERMISSION_DENIED`",
        Kind::UnknownOutcome => "`KV_UNKNOWN_OUTCOME`",
        Kind::ReadOnly => "`KV_READ_ONLY`",
        other => panic!("no fault is {other:?}"),
    }
}

/// What follows from faults, by call and by column.
type Found = BTreeMap<Call, BTreeMap<&'static str, BTreeSet<String>>>;

/// Acts the scene with a fault. Answers what came of it, if the fault struck.
fn run(scene: &Scene, fault: Fault, end_by_closing: bool) -> Option<String> {
    let mut world = World::new(scene);
    (scene.prepare)(&mut world);
    world.calls.arm(Some(fault));
    let result = (scene.act)(&mut world);
    if world.calls.struck() == 0 {
        return None;
    }
    let outcome = outcome_of(&world, &result);
    if fault.lasting {
        try_every_call(&mut world, true);
    }
    world.calls.disarm();
    try_every_call(&mut world, false);
    settle_and_reopen(&mut world, end_by_closing);
    Some(outcome)
}

/// All faults of a scene.
fn explore(scene: &Scene, watchdog: &Watchdog, count: &mut u64) -> Found {
    let mut world = World::new(scene);
    (scene.prepare)(&mut world);
    world.calls.arm(None);
    (scene.act)(&mut world).expect("nothing fails");
    let seen = world.calls.seen();
    drop(world);
    let mut found = Found::new();
    for (&call, &calls) in &seen {
        for column in COLUMNS.iter().filter(|column| can_fail(call.act, column)) {
            for after in chosen(calls) {
                for lasting in [false, true] {
                    let turn = (after + u64::from(lasting)) as usize;
                    let errno = column.errnos[turn % column.errnos.len()];
                    let fault = Fault { call, after, lasting, errno };
                    watchdog.begin(&format!("{}: {fault:?}", scene.name));
                    if let Some(outcome) = run(scene, fault, turn.is_multiple_of(2)) {
                        *count += 1;
                        let cell = found.entry(call).or_default().entry(column.title).or_default();
                        cell.insert(outcome);
                    }
                }
            }
        }
    }
    found
}

/// Which of so many calls of one kind are to fail.
fn chosen(calls: u64) -> Vec<u64> {
    match calls {
        0..=8 => (0..calls).collect(),
        _ => (0..4).chain([calls / 2]).chain(calls - 3..calls).collect(),
    }
}

/// The table of docs/FAULTS.md for a scene.
fn table(scene: &Scene, watchdog: &Watchdog) -> String {
    let mut count = 0;
    let found = explore(scene, watchdog, &mut count);
    assert!(count > 0, "{}: no fault struck", scene.name);
    println!("{}: {count} faults", scene.name);
    let titles: Vec<&str> = COLUMNS.iter().map(|column| column.title).collect();
    let mut text = format!("### {}\n\n| call | {} |\n", scene.name, titles.join(" | "));
    text += "|---|---|---|---|---|---|\n";
    for (call, cells) in &found {
        let _ = write!(text, "| {} |", words(call));
        for column in &COLUMNS {
            let outcomes = cells.get(column.title).cloned().unwrap_or_default();
            let outcomes: Vec<String> = outcomes.into_iter().collect();
            let _ = write!(text, " {} |", outcomes.join("; "));
        }
        text.push('\n');
    }
    text
}

fn words(call: &Call) -> String {
    let mut text = String::new();
    for c in format!("{call:?}").chars() {
        if c.is_uppercase() && !text.is_empty() && !text.ends_with(' ') {
            text.push(' ');
        }
        text.extend(c.to_lowercase());
    }
    text
}

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/FAULTS.md");

/// Where the table of a scene is in the document.
fn place_of(document: &str, scene: &Scene) -> std::ops::Range<usize> {
    let Some(begin) = document.find(&format!("### {}\n", scene.name)) else {
        return document.len()..document.len();
    };
    let rest = &document[begin + 1..];
    begin..rest.find("\n### ").map_or(document.len(), |end| begin + 2 + end)
}

/// Compares what follows from faults in some scenes with the document, or puts it there.
fn compare(scenes: &[Scene]) {
    let watchdog = Watchdog::start(Duration::from_secs(60));
    for scene in scenes {
        let found = table(scene, &watchdog);
        let document = std::fs::read_to_string(DOCUMENT).expect("docs/FAULTS.md can be read");
        let place = place_of(&document, scene);
        if std::env::var_os("KV_UPDATE_FAULTS").is_some() {
            let end = if place.end < document.len() { "\n" } else { "" };
            let (before, after) = (&document[..place.start], &document[place.end..]);
            let gap = if before.ends_with("\n\n") { "" } else { "\n" };
            let new = format!("{before}{gap}{found}{end}{after}");
            std::fs::write(DOCUMENT, new).expect("docs/FAULTS.md can be written");
        } else {
            assert_eq!(document[place].trim(), found.trim(), "docs/FAULTS.md, and what is found");
        }
    }
}

#[test]
fn faults_while_writing() {
    compare(&SCENES[..7]);
}

#[test]
fn faults_while_writing_in_other_ways() {
    compare(&SCENES[7..12]);
}

#[test]
fn faults_in_the_background() {
    compare(&SCENES[12..18]);
}

#[test]
fn faults_of_backups() {
    compare(&SCENES[18..21]);
}

#[test]
fn faults_of_opening_and_closing() {
    compare(&SCENES[21..25]);
}

#[test]
fn faults_of_reading() {
    compare(&SCENES[25..]);
}

/// Removing fails at any of its calls: what is left is the database, or can be removed again.
#[test]
fn faults_of_removing() {
    let watchdog = Watchdog::start(Duration::from_secs(60));
    let mut world = World::new(&DESTROYING);
    (DESTROYING.prepare)(&mut world);
    world.calls.arm(None);
    (DESTROYING.act)(&mut world).expect("nothing fails");
    for (call, calls) in world.calls.seen() {
        for after in 0..calls {
            let fault = Fault { call, after, lasting: true, errno: 5 };
            watchdog.begin(&format!("{}: {fault:?}", DESTROYING.name));
            let mut world = World::new(&DESTROYING);
            (DESTROYING.prepare)(&mut world);
            world.calls.arm(Some(fault));
            let error = (DESTROYING.act)(&mut world).expect_err("it fails");
            assert_eq!(error.kind(), Kind::Io, "{fault:?}");
            world.calls.disarm();
            match (DESTROYING.act)(&mut world) {
                Ok(()) => {}
                // What is left has no name of a database any more.
                Err(error) => assert_eq!(error.kind(), Kind::NotADatabase, "{fault:?}: {error}"),
            }
            let names = scenes::names_in(&world.path("db"));
            assert!(names.iter().all(|name| name == "LOCK"), "{fault:?}: {names:?}");
        }
    }
}
