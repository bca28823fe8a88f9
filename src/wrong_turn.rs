//! Wrong turns: mistakes that a test can have the library make, to see that they are found out.
//!
//! Each is what somebody might get wrong in `docs/DURABILITY.md`, "The order of operations", or in
//! one of the checks that believe nothing too soon. `tests/wrong_turns.rs` takes them one after the
//! other and demands that the tests notice. Only with the feature `wrong-turns` can one be taken;
//! without it nothing of this is in the library.

#[cfg(all(feature = "wrong-turns", not(debug_assertions)))]
compile_error!("wrong turns are for tests, not for anything that is shipped");

/// Names the wrong turn that is taken, if one is.
pub const VARIABLE: &str = "KV_WRONG_TURN";

/// Defines the wrong turns, each with what it is in words.
macro_rules! wrong_turns {
    ($(#[doc = $what:literal] $name:ident,)*) => {
        /// One mistake.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum WrongTurn {
            $(#[doc = $what] $name,)*
        }

        impl WrongTurn {
            /// All of them.
            pub const ALL: &'static [WrongTurn] = &[$(WrongTurn::$name,)*];

            /// What it is, in words.
            pub fn what(self) -> &'static str {
                match self {
                    $(WrongTurn::$name => $what.trim_ascii_start(),)*
                }
            }
        }
    };
}

wrong_turns! {
    /// A write is acknowledged before the sync.
    AcknowledgedBeforeSync,
    /// The segment that is written is synced before the full ones, which are older.
    LaterSegmentSyncedFirst,
    /// The sync mark is written before the sync.
    MarkBeforeSync,
    /// A sync that failed is done again, and believed.
    SyncTriedAgain,
    /// A sync is taken to cover what was written while it was under way.
    SyncCoversLaterWrites,
    /// A failure that leaves the disk's state unknown does not close the latch.
    WritesGoOnAfterFailure,
    /// A write whose sync has failed is acknowledged.
    FailedSyncAcknowledged,
    /// Of those who wait for a sync, only the one who does it hears that it has failed.
    FailedSyncNotShared,
    /// A new segment's header is not synced.
    HeaderNotSynced,
    /// A new segment's name is not synced before the manifest has it.
    SegmentNameNotSynced,
    /// A segment is noted as sealed before it is synced.
    SealBeforeSync,
    /// A batch has no mark behind it.
    BatchWithoutMark,
    /// What is left of a batch is believed without its mark.
    HalfBatchBelieved,
    /// A batch's mark is not compared with its records.
    BatchMarkNotCompared,
    /// The torn end of a log is not cut off before the log goes on.
    TornTailNotCut,
    /// A log that ends below its sync mark is taken for a torn one.
    DamageTakenForTornTail,
    /// What is in a gap, which a reservation left, is read as records.
    GapNotSkipped,
    /// A gap gets no sequence of its own.
    GapWithoutSequence,
    /// A log goes on in the next segment though records are missing before.
    HoleInLogPassed,
    /// A record's checksum says nothing of its segment and its place.
    PlaceNotInChecksum,
    /// A record's checksum is not compared where a segment is walked through.
    RecordNotChecked,
    /// A record's checksum is not compared where it is read.
    ReadNotChecked,
    /// Of two records of a key the one that is met later counts, not the newer one.
    NewestByPlace,
    /// What a failed sync may have left in the cache alone is believed at open.
    UnsyncedLogBelieved,
    /// The same of the manifest.
    UnsyncedManifestBelieved,
    /// The manifest's name is not synced at open.
    ManifestNameBelieved,
    /// Segments behind the end of the log stay.
    DiscardedSegmentsKept,
    /// Segments behind the end of the log lose their names before the manifest knows.
    DiscardedNamesRemovedFirst,
    /// A new manifest gets its name before it is synced.
    ManifestRenamedBeforeSync,
    /// The directory is not synced when a new manifest has got its name.
    ManifestNameNotSynced,
    /// What is appended to the manifest is not synced.
    ManifestNotSynced,
    /// The checksum of a manifest's frame is not compared.
    ManifestFrameNotChecked,
    /// The manifest goes on behind a torn frame.
    ManifestGoesOnBehindTornFrame,
    /// The first write after a close does not tell the manifest.
    OpenedNotNoted,
    /// A database is noted as closed before its end is synced.
    ClosedBeforeSync,
    /// A spare segment loses its name before the manifest knows.
    SpareNameRemovedFirst,
    /// A hint's checksum is not compared.
    HintNotChecked,
    /// A hint of another segment, or of an earlier form, is believed.
    StaleHintBelieved,
    /// A checkpoint gets its name before the log is synced, and is believed beyond the log's end.
    CheckpointBeyondLog,
    /// An earlier checkpoint is believed to be of the moment of closing.
    StaleCheckpointBelieved,
    /// The checksums of a checkpoint are not compared.
    CheckpointNotChecked,
    /// A checkpoint claims to reflect what was written while it was.
    CheckpointClaimsTooMuch,
    /// A checkpoint is believed though a segment is gone that was written beside it.
    CheckpointWindowMissed,
    /// A checkpoint that must not be believed stays, for the log to catch up with.
    BadCheckpointKept,
    /// A checkpoint's entries of segments that are gone are believed.
    GoneSegmentsBelieved,
    /// Compaction drops tombstones while older records of their keys may exist.
    TombstoneDroppedEarly,
    /// A record is not counted as dead when another of its key is written.
    DeadNotCounted,
    /// Compaction drops expired values while older ones of their keys may exist.
    ExpiredDroppedEarly,
    /// Compaction drops segments unread whose records hide older ones.
    UnreadThoughNeeded,
    /// Compaction puts its output in place before that is synced.
    OutputNotSynced,
    /// Compaction puts its output in place before its name is synced.
    OutputNameNotSynced,
    /// Compaction drops records before what has overwritten them is synced.
    CommitBeforeLogSync,
    /// Compaction removes its victims before the manifest knows.
    VictimsRemovedFirst,
    /// Compaction points the index to its copy though a newer record has come meanwhile.
    CopyReplacesNewer,
    /// The manifest is not told how far the clock has been.
    TimeNotStored,
    /// What is copied into a backup is not synced.
    BackupNotSynced,
    /// A directory that is becoming a backup is not marked as such.
    BackupNotMarked,
    /// A backup that is about to be replaced is not marked as such.
    OldBackupNotMarked,
    /// The directory above is not synced when a backup has got its name.
    BackupNameNotSynced,
    /// A backup takes a segment from the older one that has changed since.
    ChangedSegmentReused,
    /// Compaction removes files that a backup still wants.
    HeldFileRemoved,
    /// A database is restored from segments that do not verify.
    RestoredUnverified,
}

/// Whether a wrong turn is taken. The environment says which one is, for the whole process.
///
/// # Panics
/// If the environment names none that there is.
#[cfg(feature = "wrong-turns")]
pub fn takes(turn: WrongTurn) -> bool {
    static TAKEN: std::sync::OnceLock<Option<WrongTurn>> = std::sync::OnceLock::new();
    let from_environment = || {
        let name = std::env::var(VARIABLE).ok().filter(|name| !name.is_empty())?;
        let named = WrongTurn::ALL.iter().copied().find(|turn| format!("{turn:?}") == name);
        assert!(named.is_some(), "{VARIABLE}={name}: there is no such wrong turn");
        named
    };
    *TAKEN.get_or_init(from_environment) == Some(turn)
}

/// Whether this wrong turn is taken.
#[cfg(feature = "wrong-turns")]
macro_rules! is_taken {
    ($turn:ident) => {
        $crate::wrong_turn::takes($crate::wrong_turn::WrongTurn::$turn)
    };
}

/// Does a step, unless this wrong turn leaves it out.
#[cfg(feature = "wrong-turns")]
macro_rules! unless {
    ($turn:ident, $step:expr) => {
        match $crate::wrong_turn::is_taken!($turn) {
            true => Ok(()),
            false => $step,
        }
    };
}

/// Does a step in the wrong place, if this wrong turn is taken.
#[cfg(feature = "wrong-turns")]
macro_rules! when {
    ($turn:ident, $step:expr) => {
        if $crate::wrong_turn::is_taken!($turn) {
            $step;
        }
    };
}

/// Does a step once more if it fails and this wrong turn is taken.
#[cfg(feature = "wrong-turns")]
macro_rules! twice {
    ($turn:ident, $step:expr) => {
        match $step {
            Err(_) if $crate::wrong_turn::is_taken!($turn) => $step,
            result => result,
        }
    };
}

// Without the feature each of them is what stands there if no turn is taken, and nothing else.
#[cfg(not(feature = "wrong-turns"))]
macro_rules! is_taken {
    ($turn:ident) => {
        false
    };
}
#[cfg(not(feature = "wrong-turns"))]
macro_rules! unless {
    ($turn:ident, $step:expr) => {
        $step
    };
}
#[cfg(not(feature = "wrong-turns"))]
macro_rules! when {
    ($turn:ident, $step:expr) => {};
}
#[cfg(not(feature = "wrong-turns"))]
macro_rules! twice {
    ($turn:ident, $step:expr) => {
        $step
    };
}

pub(crate) use {is_taken, twice, unless, when};
