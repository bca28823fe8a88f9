"""What can be read, of a database and of one moment of it."""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, Mapping, ValuesView
from typing import Any, Optional

from ._call import BytesLike, buffer, shown, take
from ._errors import check, error
from ._ffi import ffi, lib


def records(db: Any, snapshot: Any, prefix: BytesLike = b"") -> Iterator[tuple[Any, Any]]:
    """Keys and values where they lie: until the next one is asked for."""
    made, start = ffi.new("kv_iter **"), buffer(prefix, "prefix")
    check(lib.kv_iter_new(db, snapshot, start, len(start), made))
    return _walk(ffi.gc(made[0], lib.kv_iter_free))


def _walk(iterator: Any) -> Iterator[tuple[Any, Any]]:
    key, value = ffi.new("kv_slice_t *"), ffi.new("kv_slice_t *")
    while True:
        status = lib.kv_iter_next(iterator, key, value)
        if status == lib.KV_NOT_FOUND:
            ffi.release(iterator)
            return
        check(status)
        yield ffi.buffer(key.data, key.len), ffi.buffer(value.data, value.len)


class _Items(ItemsView[bytes, bytes]):
    """Keys with their values, of one walk."""

    _mapping: Readable

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        return self._mapping.scan()


class _Values(ValuesView[bytes]):
    """Values, of one walk."""

    _mapping: Readable

    def __iter__(self) -> Iterator[bytes]:
        return (bytes(value) for _, value in self._mapping._records())


class Readable(Mapping[bytes, bytes]):
    """What a database and a snapshot of it have in common."""

    def _records(self, prefix: BytesLike = b"") -> Iterator[tuple[Any, Any]]:
        raise NotImplementedError

    def scan(self, prefix: BytesLike = b"") -> Iterator[tuple[bytes, bytes]]:
        """All keys that begin with `prefix`, with their values, as they are now, in no order. All
        keys are looked at, whatever the prefix."""
        return ((bytes(key), bytes(value)) for key, value in self._records(prefix))

    def __iter__(self) -> Iterator[bytes]:
        return (bytes(key) for key, _ in self._records())

    def items(self) -> ItemsView[bytes, bytes]:
        """Keys with their values, as of one moment."""
        return _Items(self)

    def values(self) -> ValuesView[bytes]:
        """Values, as of one moment."""
        return _Values(self)


class Snapshot(Readable):
    """The database as it was when this was made. It is closed at the end of its `with`, or when
    nothing refers to it any more. Any number of threads may read from it."""

    def __init__(self, db: Any) -> None:
        made = ffi.new("kv_snapshot **")
        check(lib.kv_snapshot_new(db, made))
        self._db = db
        self._handle = ffi.gc(made[0], lib.kv_snapshot_free)

    def __getitem__(self, key: BytesLike) -> bytes:
        held = buffer(key, "key")
        value, length = ffi.new("void **"), ffi.new("size_t *")
        status = lib.kv_snapshot_get(self._handle, held, len(held), value, length)
        if status:
            raise KeyError(bytes(key)) if status == lib.KV_NOT_FOUND else error(status)
        return take(value, length)

    def view(self, key: BytesLike) -> Optional[memoryview]:
        """The value where it lies, as Database.view() shows it; or None."""
        held = buffer(key, "key")
        view, value = ffi.new("kv_view **"), ffi.new("const void **")
        length = ffi.new("size_t *")
        status = lib.kv_snapshot_view_get(self._handle, held, len(held), view, value, length)
        if status == lib.KV_NOT_FOUND:
            return None
        check(status)
        return shown(ffi.gc(view[0], lib.kv_view_release), value[0], length[0])

    def size(self, key: BytesLike) -> Optional[int]:
        """How many bytes the value has; None without the key."""
        held, length = buffer(key, "key"), ffi.new("size_t *")
        status = lib.kv_snapshot_exists(self._handle, held, len(held), length)
        if status == lib.KV_NOT_FOUND:
            return None
        check(status)
        return int(length[0])

    def __contains__(self, key: object) -> bool:
        return self.size(key) is not None  # type: ignore[arg-type]

    def __len__(self) -> int:
        """How many keys there are; they are counted."""
        return sum(1 for _ in self._records())

    def _records(self, prefix: BytesLike = b"") -> Iterator[tuple[Any, Any]]:
        return records(self._db, self._handle, prefix)

    def close(self) -> None:
        """Lets it go, when no other thread reads from it: what only it sees can be removed."""
        ffi.release(self._handle)

    def __enter__(self) -> Snapshot:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()
