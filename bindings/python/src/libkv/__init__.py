"""An embeddable key-value store: a mapping from bytes to bytes that survives crashes.

    import libkv

    with libkv.open("sessions") as db:
        db[b"alice"] = b"logged in"
        print(db[b"alice"])
"""

from ._batch import Batch
from ._call import version
from ._database import Database, open
from ._errors import (
    AlreadyOpenError,
    BusyError,
    CancelledError,
    ClosedError,
    CorruptError,
    EnvironmentFault,
    ForkedError,
    IndexFullError,
    InternalError,
    KeyExistsError,
    KvError,
    LockedError,
    MediumError,
    NoSpaceError,
    NotADatabaseError,
    NotFoundError,
    OutOfMemoryError,
    ReadOnlyError,
    UnknownOutcomeError,
    UsageError,
    VersionMismatchError,
)
from ._figures import Latency, OptionInfo, Stats, options
from ._rescue import destroy, restore, salvage, verify
from ._snapshot import Snapshot
from ._told import Event, EventKind, Progress

__all__ = [
    "AlreadyOpenError",
    "Batch",
    "BusyError",
    "CancelledError",
    "ClosedError",
    "CorruptError",
    "Database",
    "EnvironmentFault",
    "Event",
    "EventKind",
    "ForkedError",
    "IndexFullError",
    "InternalError",
    "KeyExistsError",
    "KvError",
    "Latency",
    "LockedError",
    "MediumError",
    "NoSpaceError",
    "NotADatabaseError",
    "NotFoundError",
    "OptionInfo",
    "OutOfMemoryError",
    "Progress",
    "ReadOnlyError",
    "Snapshot",
    "Stats",
    "UnknownOutcomeError",
    "UsageError",
    "VersionMismatchError",
    "destroy",
    "open",
    "options",
    "restore",
    "salvage",
    "verify",
    "version",
]
__version__ = version()
