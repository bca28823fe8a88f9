//! The manifest: any bytes are read as the format says, and what was read is kept by all that is
//! written after it.

use std::collections::BTreeMap;

use kv::error::{Error, Kind};
use kv::format::manifest::Edit;
use kv::format::{name, MAX_NUMBER};
use kv::manifest::{self, Manifest, State};
use kv::storage::Storage;

use super::disk::Disk;
use super::input::Input;
use super::model::manifest::{mend, read, Wrong};

/// Bits of the first byte.
const MENDS: u8 = 1;
const WRITES: u8 = 2;
/// Longer ones show nothing new, and take long.
const MAX_LEN: usize = 16 << 10;

/// Reads a manifest.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let how = input.u8();
    let mut bytes = input.take(MAX_LEN).to_vec();
    if how & MENDS != 0 {
        mend(&mut bytes);
    }
    let disk = Disk::new(&BTreeMap::from([(name::MANIFEST.to_owned(), bytes.clone())]), 0);
    let expected = read(&bytes);
    let found = manifest::read(&disk);
    let (expected, found) = match (expected, found) {
        (Ok(expected), Ok(found)) => (expected, found),
        (Err(wrong), Err(error)) => return is_refused(wrong, &error),
        (Ok(_), Err(error)) => panic!("a good manifest is refused: {error}"),
        (Err(wrong), Ok(_)) => panic!("a bad manifest is read: {wrong:?}"),
    };
    assert_eq!(
        (found.identity.uuid, found.identity.hash_seed),
        (expected.uuid, expected.hash_seed)
    );
    assert_eq!(found.state, as_state(&expected));
    let opened = Manifest::open(&disk).expect("what can be read can be opened");
    assert_eq!(*opened.state(), found.state);
    if how & WRITES != 0 {
        is_written(&disk, opened);
    }
}

fn is_refused(wrong: Wrong, error: &Error) {
    let kind = match wrong {
        Wrong::NotOurs => Kind::NotADatabase,
        Wrong::Newer => Kind::NewerFormat,
        Wrong::Damage => Kind::Corrupt,
    };
    assert_eq!(error.kind(), kind, "{error}");
    let text = error.to_string();
    assert!(text.contains(name::MANIFEST), "{text}");
    assert!(kind != Kind::Corrupt || text.contains("at byte "), "{text}");
}

fn as_state(expected: &super::model::manifest::Manifest) -> State {
    use kv::format::manifest::{SealedSegment, Tail};
    use kv::format::segment::{SegmentHeader, SegmentKind};
    use kv::format::Expiring;
    let mut state = State {
        next_id: expected.next_id,
        next_sequence: expected.next_sequence,
        time_ms: expected.time_ms,
        ..State::default()
    };
    state.closed = expected.closed.map(|[id, len, next_sequence]| Tail { id, len, next_sequence });
    for (&id, live) in &expected.segments {
        let header = SegmentHeader {
            id,
            salt: live.salt,
            kind: SegmentKind::from_number(live.kind).expect("a kind that there is"),
            base_sequence: live.base_sequence,
            horizon: live.horizon,
        };
        let sealed = live.sealed.map(|[len, records, next_sequence, bytes, first, last]| {
            let expiring = Expiring { bytes, first, last };
            SealedSegment { id, len, records, next_sequence, expiring }
        });
        state.segments.insert(id, manifest::LiveSegment { header, sealed });
    }
    state
}

/// Tidied, added to and written anew, it says the same when it is read again.
fn is_written(disk: &Disk, mut manifest: Manifest) {
    manifest.tidy(disk).expect("memory can be written");
    let again = manifest::read(disk).expect("a tidy manifest can be read");
    assert_eq!(again.state, *manifest.state());
    let next_id = manifest.state().next_id;
    if next_id + 1 < MAX_NUMBER {
        manifest.append(&[Edit::NextId { id: next_id + 1 }]).expect("an edit can be added");
    }
    let again = manifest::read(disk).expect("a longer manifest can be read");
    assert_eq!(again.state, *manifest.state());
    assert_eq!(disk.open(name::MANIFEST, false).and_then(|file| file.len()).ok(), {
        Some(manifest.file_len())
    });
    let state = manifest.state().clone();
    let anew = Manifest::write_anew(disk, *manifest.identity(), state.clone());
    anew.expect("memory can be written");
    assert_eq!(manifest::read(disk).expect("a new manifest can be read").state, state);
}
