"""The database: a mapping from bytes to bytes."""

from __future__ import annotations

import atexit
import logging
import threading
import weakref
from collections.abc import Iterable, MutableMapping
from typing import Any, Optional, Union, overload

from . import _figures
from ._batch import Batch
from ._call import BytesLike, Duration, Path, buffer, milliseconds, path, text, write_options
from ._errors import ForkedError, VersionMismatchError, check, error
from ._ffi import ffi, lib
from ._reading import MISSING, Default, Reading
from ._snapshot import Snapshot
from ._told import Events, Listener, Log, Tell, Told

#: Those that are open. Databases cannot be hashed.
_open: weakref.WeakValueDictionary[int, Database] = weakref.WeakValueDictionary()


@atexit.register
def _close_all() -> None:
    """Before Python ends: a thread of the library's may not call into what is gone."""
    for database in list(_open.values()):
        try:
            database.close()
        except ForkedError:
            pass


def _close_later(handle: Any, _listener: Listener) -> None:
    """Waits until everything was told, for which the listener must be there."""
    lib.kv_close(handle)


def open(
    directory: Path,
    *,
    log: Optional[Log] = None,
    log_level: int = logging.INFO,
    events: Optional[Events] = None,
    **options: Union[str, int, bool],
) -> Database:
    """Opens the database in a directory, or makes one there.

    Options are those that options() lists: `sync="always"`, `create_if_missing=False`,
    `segment_size="16MiB"`, `read_mode="pread"`, and so on.

    log: is told, in words, what the database does: logging.getLogger("kv").log fits. log_level:
    what matters less is not told. events: is told of events with figures, as an Event. Both are
    called on a thread of the library's; close() waits until they have been told everything.
    """
    return Database(directory, log=log, log_level=log_level, events=events, **options)


class Database(Reading, MutableMapping[bytes, bytes]):
    """A key-value store in a directory. Any number of threads may use it at once; calls let other
    threads of Python run. Values and keys are bytes, and whatever shows its bytes when written.

    A write survives the death of the process; a power cut, as the option `sync` says ("interval":
    all but the last second). At the end of its `with`, by close(), at the end of Python, or when
    nothing refers to it any more, it is closed.
    """

    def __init__(
        self,
        directory: Path,
        *,
        log: Optional[Log] = None,
        log_level: int = logging.INFO,
        events: Optional[Events] = None,
        **options: Union[str, int, bool],
    ) -> None:
        listener = Listener(log, log_level, events)
        made = ffi.new("kv_options **")
        check(lib.kv_options_new(made))
        try:
            for name, value in options.items():
                word = str(value).lower() if isinstance(value, bool) else str(value)
                check(lib.kv_options_set(made[0], name.encode(), word.encode()))
            listener.listen(made[0])
            db = ffi.new("kv_db **")
            check(lib.kv_open(path(directory), made[0], db))
        finally:
            lib.kv_options_free(made[0])
        self.directory = directory
        self._listener = listener
        self._handle = db[0]
        self._keep()

    def _keep(self) -> None:
        """Has it closed when nothing refers to it. The listener must live until it is closed."""
        listener = self._listener

        def close(handle: Any) -> None:
            if lib.kv_close(handle) == lib.KV_BUSY:
                # The garbage collector came by in a function that this database tells.
                threading.Thread(target=_close_later, args=(handle, listener)).start()

        self._db = ffi.gc(self._handle, close)
        _open[id(self)] = self

    def close(self) -> None:
        """Puts everything on the medium and closes it. Closing it again does nothing. A function
        that is told of progress, messages or events cannot close it (BusyError)."""
        ffi.gc(self._db, None)
        status = lib.kv_close(self._db)
        if status == lib.KV_BUSY:
            failure = error(status)
            self._keep()
            raise failure
        _open.pop(id(self), None)
        if status != lib.KV_CLOSED:
            check(status)

    def __enter__(self) -> Database:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<libkv.Database {self.directory!r}>"

    def snapshot(self) -> Snapshot:
        """The database as it is now, to be read while it changes."""
        return Snapshot(self._db)

    # Writing.

    def __setitem__(self, key: BytesLike, value: BytesLike) -> None:
        held, stored = buffer(key, "key"), buffer(value, "value")
        status = lib.kv_put(self._db, held, len(held), stored, len(stored))
        if status:
            raise error(status)

    def put(
        self,
        key: BytesLike,
        value: BytesLike,
        ttl: Optional[Duration] = None,
        *,
        if_version: Optional[int] = None,
        if_absent: bool = False,
        skip_if_equal: bool = False,
        keep_ttl: bool = False,
        sync: Optional[bool] = None,
    ) -> int:
        """Stores a value, if the key is as the arguments say, and answers the key's version.

        ttl: it expires after so many seconds. if_version: only if the key has this version, as
        version() tells it. if_absent: only if it is not there. skip_if_equal: writes nothing if
        it has this very value. keep_ttl: it expires when the one before it would have. sync: wait
        until it is on the medium, or do not, whatever the option of the database is.
        """
        options = write_options(
            ttl,
            if_version=if_version,
            if_absent=if_absent,
            skip_if_equal=skip_if_equal,
            keep_ttl=keep_ttl,
            sync=sync,
        )
        held, stored, version = buffer(key, "key"), buffer(value, "value"), ffi.new("uint64_t *")
        check(lib.kv_put_with(self._db, held, len(held), stored, len(stored), options, version))
        return int(version[0])

    def setdefault(self, key: BytesLike, default: BytesLike = b"") -> bytes:
        """The value of a key; if there is none, `default`, which is stored, in one step."""
        held, stored, options = (
            buffer(key, "key"), buffer(default, "value"), write_options(if_absent=True)
        )
        while True:
            value = self.get(key)
            if value is not None:
                return value
            status = lib.kv_put_with(
                self._db, held, len(held), stored, len(stored), options, ffi.NULL
            )
            if status == lib.KV_OK:
                return bytes(default)
            if status != lib.KV_EXISTS:
                raise error(status)

    def __delitem__(self, key: BytesLike) -> None:
        if not self.delete(key):
            raise KeyError(bytes(key))

    def delete(
        self,
        key: BytesLike,
        *,
        if_version: Optional[int] = None,
        sync: Optional[bool] = None,
    ) -> bool:
        """Deletes a key, if it has the version. Answers whether it was there."""
        held = buffer(key, "key")
        options = write_options(if_version=if_version, sync=sync)
        status = lib.kv_delete_with(self._db, held, len(held), options)
        if status == lib.KV_NOT_FOUND:
            return False
        check(status)
        return True

    @overload
    def pop(self, key: BytesLike) -> bytes: ...

    @overload
    def pop(self, key: BytesLike, default: Default) -> Union[bytes, Default]: ...

    def pop(self, key: BytesLike, default: Any = MISSING) -> Any:
        """Deletes a key and answers its value, in one step; without the key, `default`."""
        while True:
            version, value = self.version(key), self.get(key)
            if version is None or value is None:
                if default is MISSING:
                    raise KeyError(bytes(key))
                return default
            try:
                if self.delete(key, if_version=version):
                    return value
            except VersionMismatchError:
                continue

    def clear(self) -> None:
        """Deletes every key that is there now, one after the other."""
        for key in self:
            self.delete(key)

    def batch(self, sync: Optional[bool] = None) -> Batch:
        """Writes that are done together, or not at all, at the end of a `with`."""
        return Batch(self, sync)

    def write(self, batch: Batch, sync: Optional[bool] = None) -> None:
        """Does all writes of a batch, or none of them: also after a crash."""
        check(lib.kv_write(self._db, batch._handle, batch._options(sync)))

    def add(self, key: BytesLike, delta: int = 1) -> int:
        """Adds to a counter of eight bytes in one step; answers what it is now."""
        held, result = buffer(key, "key"), ffi.new("int64_t *")
        check(lib.kv_add(self._db, held, len(held), delta, result))
        return int(result[0])

    def version(self, key: BytesLike) -> Optional[int]:
        """The version of a key: another number after each write to it; None without the key."""
        held, version = buffer(key, "key"), ffi.new("uint64_t *")
        status = lib.kv_get_version(self._db, held, len(held), version)
        if status == lib.KV_NOT_FOUND:
            return None
        check(status)
        return int(version[0])

    def touch(self, key: BytesLike, ttl: Optional[Duration] = None) -> bool:
        """Sets anew when a key expires; None: never. Answers whether it is there."""
        held = buffer(key, "key")
        status = lib.kv_touch(self._db, held, len(held), milliseconds(ttl))
        if status == lib.KV_NOT_FOUND:
            return False
        check(status)
        return True

    def ttl(self, key: BytesLike) -> Optional[float]:
        """In how many seconds a key expires; infinity: never; None without the key."""
        held, left = buffer(key, "key"), ffi.new("uint64_t *")
        status = lib.kv_ttl(self._db, held, len(held), left)
        if status == lib.KV_NOT_FOUND:
            return None
        check(status)
        return float("inf") if left[0] == lib.KV_NO_TTL else int(left[0]) / 1000

    # Looking after it.

    def sync(self) -> None:
        """Returns when all that was written is on the medium."""
        check(lib.kv_sync(self._db))

    def compact(self, progress: Optional[Tell] = None) -> None:
        """Removes all that was replaced, deleted or has expired."""
        told = Told(progress)
        told.check(lib.kv_compact_with(self._db, told.function, told.context))

    def backup(self, directory: Path, progress: Optional[Tell] = None) -> None:
        """Makes a backup, or brings one up to date, while the database is used."""
        told = Told(progress)
        told.check(lib.kv_backup_with(self._db, path(directory), told.function, told.context))

    def cancel_compact(self) -> None:
        """Ends every compact() that is under way: they raise CancelledError soon."""
        check(lib.kv_compact_cancel(self._db))

    def pause_compaction(self) -> None:
        """Keeps the database from compacting by itself until resume_compaction()."""
        check(lib.kv_compaction_pause(self._db))

    def resume_compaction(self) -> None:
        """Lets the database compact by itself again."""
        check(lib.kv_compaction_resume(self._db))

    def stats(self) -> _figures.Stats:
        """Figures of the database."""
        return _figures.stats(self._db)

    def latencies(self) -> dict[str, _figures.Latency]:
        """How long each operation takes. With the option `latency_histograms=True`, otherwise
        nothing is timed."""
        return _figures.latencies(self._db)

    def metrics(self) -> str:
        """All figures in the text format of OpenMetrics."""
        found = ffi.new("char **")
        check(lib.kv_metrics(self._db, found))
        return text(found)

    def update_many(self, pairs: Iterable[tuple[BytesLike, BytesLike]]) -> None:
        """Stores many values, a hundred and more in one write: faster than one by one."""
        batch, count = Batch(), 0
        for key, value in pairs:
            batch.put(key, value)
            count += 1
            if count % 128 == 0:
                self.write(batch)
                batch.clear()
        self.write(batch)
