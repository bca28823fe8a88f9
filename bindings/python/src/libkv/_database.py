"""The database: a mapping from bytes to bytes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, MutableMapping, Sequence
from typing import Any, NamedTuple, Optional, Union

from ._batch import Batch
from ._call import (
    BytesLike,
    Duration,
    Tell,
    Told,
    buffer,
    milliseconds,
    path,
    shown,
    take,
    text,
    write_options,
)
from ._errors import check, error
from ._ffi import ffi, lib
from ._rescue import Path
from ._snapshot import Readable, Snapshot, records

_MISSING: Any = object()


class Stats(NamedTuple):
    """Figures of an open database; kv_stats_t in kv.h says what each one is."""

    keys: int
    live_bytes: int
    dead_bytes: int
    disk_bytes: int
    segments: int
    index_bytes: int
    bytes_put: int
    bytes_compacted: int
    compactions: int


def open(directory: Path, **options: Union[str, int, bool]) -> Database:
    """Opens the database in a directory, or makes one there.

    Options are those of kv_options_set() in kv.h: `sync="always"`, `create_if_missing=False`,
    `segment_size="16MiB"`, `read_mode="pread"`, and so on.
    """
    return Database(directory, **options)


class Database(Readable, MutableMapping):
    """A key-value store in a directory. Any number of threads may use it at once; calls let other
    threads of Python run. Values and keys are bytes, and whatever shows its bytes when written.

    A write survives the death of the process; a power cut, as the option `sync` says ("interval":
    all but the last second). At the end of its `with`, by close(), or when nothing refers to it any
    more, it is closed.
    """

    def __init__(self, directory: Path, **options: Union[str, int, bool]) -> None:
        made = ffi.new("kv_options **")
        check(lib.kv_options_new(made))
        try:
            for name, value in options.items():
                word = str(value).lower() if isinstance(value, bool) else str(value)
                check(lib.kv_options_set(made[0], name.encode(), word.encode()))
            db = ffi.new("kv_db **")
            check(lib.kv_open(path(directory), made[0], db))
        finally:
            lib.kv_options_free(made[0])
        self._db = ffi.gc(db[0], lib.kv_close)
        self.directory = directory

    def close(self) -> None:
        """Puts everything on the medium and closes it. Closing it again does nothing."""
        ffi.gc(self._db, None)
        status = lib.kv_close(self._db)
        if status != lib.KV_CLOSED:
            check(status)

    def __enter__(self) -> Database:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<libkv.Database {self.directory!r}>"

    # Reading.

    def get(self, key: BytesLike, default: Any = None) -> Any:
        """The value of a key, or `default`."""
        found = buffer(key, "key")
        value, length = ffi.new("void **"), ffi.new("size_t *")
        status = lib.kv_get(self._db, found, len(found), value, length)
        if status:
            if status == lib.KV_NOT_FOUND:
                return default
            raise error(status)
        return take(value, length)

    def __getitem__(self, key: BytesLike) -> bytes:
        value = self.get(key, _MISSING)
        if value is _MISSING:
            raise KeyError(bytes(key))
        return value

    def view(self, key: BytesLike) -> Optional[memoryview]:
        """The value where it lies in the files, not copied; or None. It does not change, whatever
        is written, and can be read as long as something refers to it, also after close()."""
        key = buffer(key, "key")
        view, value = ffi.new("kv_view **"), ffi.new("const void **")
        length = ffi.new("size_t *")
        status = lib.kv_view_get(self._db, key, len(key), view, value, length)
        if status == lib.KV_NOT_FOUND:
            return None
        check(status)
        return shown(view, value, length)

    def get_many(self, keys: Sequence[BytesLike]) -> list[Optional[bytes]]:
        """The values of many keys, None for those that are not there: faster than one by one."""
        held = [buffer(key, "key") for key in keys]
        slices = ffi.new("kv_slice_t[]", len(held))
        for slot, key in zip(slices, held):
            slot.data, slot.len = key, len(key)
        results, arena = ffi.new("kv_result_t[]", len(held)), ffi.new("void **")
        check(lib.kv_get_many(self._db, len(held), slices, results, arena))
        try:
            return [self._result(result) for result in results]
        finally:
            lib.kv_free(arena[0])

    @staticmethod
    def _result(result: Any) -> Optional[bytes]:
        if result.status == lib.KV_NOT_FOUND:
            return None
        check(result.status)
        return bytes(ffi.buffer(result.value, result.value_len))

    def __contains__(self, key: object) -> bool:
        key = buffer(key, "key")
        status = lib.kv_exists(self._db, key, len(key), ffi.NULL)
        if status == lib.KV_NOT_FOUND:
            return False
        check(status)
        return True

    def __len__(self) -> int:
        """How many keys there are; known at once."""
        count = ffi.new("uint64_t *")
        check(lib.kv_count(self._db, count))
        return count[0]

    def _records(self, prefix: BytesLike = b"") -> Iterator[tuple[Any, Any]]:
        return records(self._db, ffi.NULL, prefix)

    def snapshot(self) -> Snapshot:
        """The database as it is now, to be read while it changes."""
        return Snapshot(self._db)

    # Writing.

    def __setitem__(self, key: BytesLike, value: BytesLike) -> None:
        key, value = buffer(key, "key"), buffer(value, "value")
        status = lib.kv_put(self._db, key, len(key), value, len(value))
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
        key, value, version = buffer(key, "key"), buffer(value, "value"), ffi.new("uint64_t *")
        check(lib.kv_put_with(self._db, key, len(key), value, len(value), options, version))
        return version[0]

    def setdefault(self, key: BytesLike, default: BytesLike = b"") -> bytes:
        """The value of a key; if there is none, `default`, which is stored, in one step."""
        while True:
            value = self.get(key)
            if value is not None:
                return value
            held, stored = buffer(key, "key"), buffer(default, "value")
            options = write_options(if_absent=True)
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
        key, result = buffer(key, "key"), ffi.new("int64_t *")
        check(lib.kv_add(self._db, key, len(key), delta, result))
        return result[0]

    def version(self, key: BytesLike) -> Optional[int]:
        """The version of a key: another number after each write to it; None without the key."""
        key, version = buffer(key, "key"), ffi.new("uint64_t *")
        status = lib.kv_get_version(self._db, key, len(key), version)
        if status == lib.KV_NOT_FOUND:
            return None
        check(status)
        return version[0]

    def touch(self, key: BytesLike, ttl: Optional[Duration] = None) -> bool:
        """Sets anew when a key expires; None: never. Answers whether it is there."""
        key = buffer(key, "key")
        status = lib.kv_touch(self._db, key, len(key), milliseconds(ttl))
        if status == lib.KV_NOT_FOUND:
            return False
        check(status)
        return True

    def ttl(self, key: BytesLike) -> Optional[float]:
        """In how many seconds a key expires; infinity: never; None without the key."""
        key, left = buffer(key, "key"), ffi.new("uint64_t *")
        status = lib.kv_ttl(self._db, key, len(key), left)
        if status == lib.KV_NOT_FOUND:
            return None
        check(status)
        return float("inf") if left[0] == lib.KV_NO_TTL else left[0] / 1000

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

    def stats(self) -> Stats:
        """Figures of the database."""
        stats = ffi.new("kv_stats_t *", {"size": ffi.sizeof("kv_stats_t")})
        check(lib.kv_stats(self._db, stats))
        return Stats(*(getattr(stats, name) for name in Stats._fields))

    def metrics(self) -> str:
        """All figures in the text format of OpenMetrics."""
        found = ffi.new("char **")
        check(lib.kv_metrics(self._db, found))
        return text(found)

    def update_many(self, pairs: Iterable[tuple[BytesLike, BytesLike]]) -> None:
        """Stores many values, a hundred and more in one write: faster than one by one."""
        batch = Batch()
        for key, value in pairs:
            batch.put(key, value)
            if len(batch) >= 128:
                self.write(batch)
                batch.clear()
        self.write(batch)
