"""Writes that are done together or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Optional

from ._call import BytesLike, Duration, buffer, milliseconds, write_options
from ._errors import check
from ._ffi import ffi, lib

if TYPE_CHECKING:
    from ._database import Database


class Batch:
    """Writes that Database.write() does together; as a context manager, at its end.

    It belongs to one thread at a time.
    """

    def __init__(self, database: Optional[Database] = None, sync: Optional[bool] = None) -> None:
        made = ffi.new("kv_batch **")
        check(lib.kv_batch_new(made))
        self._handle = ffi.gc(made[0], lib.kv_batch_free)
        self._database = database
        self._sync = sync

    def put(self, key: BytesLike, value: BytesLike, ttl: Optional[Duration] = None) -> None:
        """Adds that a value is stored; it expires `ttl` after it was written."""
        held, stored, milli = buffer(key, "key"), buffer(value, "value"), milliseconds(ttl)
        check(lib.kv_batch_put_ttl(self._handle, held, len(held), stored, len(stored), milli))

    def delete(self, key: BytesLike) -> None:
        """Adds that a key is deleted. If it is not there, that is no failure."""
        held = buffer(key, "key")
        check(lib.kv_batch_delete(self._handle, held, len(held)))

    def __setitem__(self, key: BytesLike, value: BytesLike) -> None:
        self.put(key, value)

    def __delitem__(self, key: BytesLike) -> None:
        self.delete(key)

    def clear(self) -> None:
        """Takes all writes out."""
        check(lib.kv_batch_clear(self._handle))

    def __len__(self) -> int:
        count = ffi.new("size_t *")
        check(lib.kv_batch_count(self._handle, count))
        return int(count[0])

    def close(self) -> None:
        """Frees it. Otherwise that is done when nothing refers to it any more."""
        ffi.release(self._handle)

    def __enter__(self) -> Batch:
        return self

    def __exit__(self, kind: Any, *_: Any) -> None:
        if kind is None and self._database is not None:
            self._database.write(self, sync=self._sync)

    def _options(self, sync: Optional[bool]) -> Any:
        return ffi.NULL if sync is None else write_options(sync=sync)
