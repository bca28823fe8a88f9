"""What a status of the library becomes: an exception, with the message that goes with it."""

from __future__ import annotations

from ._ffi import ffi, lib


class KvError(Exception):
    """Why a call failed. `status` is the number of kv.h, and `name` what that means in general."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status
        self.name: str = ffi.string(lib.kv_strerror(status)).decode()


class UsageError(KvError, ValueError):
    """The call must be mended: an argument is none, too long, or not what it should be."""


class NotFoundError(KvError, KeyError):
    """The key is not there."""

    __str__ = Exception.__str__


class KeyExistsError(KvError):
    """The key is there, against `if_absent`."""


class VersionMismatchError(KvError):
    """The key has been written since the version that the write depends on."""


class BusyError(KvError):
    """Another thread is using the handle, or a function that was called back may not do this."""


class CancelledError(KvError):
    """What was under way was ended before its time."""


class ClosedError(UsageError):
    """The database, snapshot or batch was closed before."""


class ForkedError(UsageError):
    """The database is that of the parent of this process."""


class AlreadyOpenError(UsageError):
    """This process has the database open already."""


class ReadOnlyError(KvError):
    """The database refuses writes; the message says since when."""


class EnvironmentFault(KvError, OSError):
    """The system refused; mend what the message names and try again."""

    __str__ = Exception.__str__


class LockedError(EnvironmentFault):
    """Another process has the database open."""


class NotADatabaseError(EnvironmentFault):
    """There is no database, or something else."""


class NoSpaceError(EnvironmentFault):
    """There is no room; nothing was written."""


class IndexFullError(EnvironmentFault):
    """The key is new, and the index may not grow."""


class OutOfMemoryError(EnvironmentFault, MemoryError):
    """There is no memory for it."""


class MediumError(EnvironmentFault):
    """Reading or writing the medium failed."""


class UnknownOutcomeError(EnvironmentFault):
    """The write may be there or not; open the database again and read."""


class CorruptError(KvError):
    """What is on disk is damaged; the message says where."""


class InternalError(KvError):
    """A bug in libkv; report the message."""


_BY_STATUS: dict[int, type[KvError]] = {
    lib.KV_NOT_FOUND: NotFoundError,
    lib.KV_EXISTS: KeyExistsError,
    lib.KV_VERSION_MISMATCH: VersionMismatchError,
    lib.KV_DAMAGED: CorruptError,
    lib.KV_ALREADY_OPEN: AlreadyOpenError,
    lib.KV_CLOSED: ClosedError,
    lib.KV_FORKED: ForkedError,
    lib.KV_READ_ONLY: ReadOnlyError,
    lib.KV_DOES_NOT_EXIST: NotADatabaseError,
    lib.KV_NOT_A_DIRECTORY: NotADatabaseError,
    lib.KV_NOT_A_DATABASE: NotADatabaseError,
    lib.KV_LOCKED: LockedError,
    lib.KV_CANCELLED: CancelledError,
    lib.KV_BUSY: BusyError,
    lib.KV_NO_SPACE: NoSpaceError,
    lib.KV_INDEX_FULL: IndexFullError,
    lib.KV_OUT_OF_MEMORY: OutOfMemoryError,
    lib.KV_IO: MediumError,
    lib.KV_UNKNOWN_OUTCOME: UnknownOutcomeError,
}
#: Those that are not named above, also of a later library, by what can be done about them.
_BY_CLASS: dict[int, type[KvError]] = {
    lib.KV_CLASS_RETRY: BusyError,
    lib.KV_CLASS_CALLER: UsageError,
    lib.KV_CLASS_ENVIRONMENT: EnvironmentFault,
    lib.KV_CLASS_CORRUPT: CorruptError,
    lib.KV_CLASS_INTERNAL: InternalError,
}


def error(status: int) -> KvError:
    """The exception for a call that has just returned `status` on this thread."""
    message = ffi.string(lib.kv_error_message()).decode(errors="replace")
    kind = _BY_STATUS.get(status) or _BY_CLASS.get(lib.kv_status_class(status), KvError)
    return kind(message or ffi.string(lib.kv_strerror(status)).decode(), status)


def check(status: int) -> None:
    """Raises unless `status` is KV_OK."""
    if status:
        raise error(status)
