"""What can be read of an open database."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Optional, TypeVar, Union, overload

from ._call import BytesLike, buffer, shown
from ._errors import check, error
from ._ffi import ffi, lib
from ._snapshot import Readable, records

MISSING: Any = object()
Default = TypeVar("Default")


class Reading(Readable):
    """The part of Database that reads."""

    _db: Any

    @overload
    def get(self, key: BytesLike) -> Optional[bytes]: ...

    @overload
    def get(self, key: BytesLike, default: Default) -> Union[bytes, Default]: ...

    def get(self, key: BytesLike, default: Any = None) -> Any:
        """The value of a key, or `default`."""
        held = buffer(key, "key")
        got = lib.libkv_get(self._db, held, len(held))
        status = got.status
        if status:
            if status == lib.KV_NOT_FOUND:
                return default
            raise error(status)
        value = got.value
        try:
            return ffi.unpack(value, got.len)
        finally:
            lib.kv_free(value)

    def __getitem__(self, key: BytesLike) -> bytes:
        value: bytes = self.get(key, MISSING)
        if value is MISSING:
            raise KeyError(bytes(key))
        return value

    def get_into(self, key: BytesLike, into: Union[bytearray, memoryview]) -> Optional[int]:
        """Copies the value of a key to the front of `into`, and answers how long it is; None
        without the key. If that is more than `into` has room for, nothing was copied."""
        held, length = buffer(key, "key"), ffi.new("size_t *")
        room = ffi.from_buffer(into, require_writable=True)
        status = lib.kv_get_into(self._db, held, len(held), room, len(room), length)
        if status == lib.KV_NOT_FOUND:
            return None
        if status != lib.KV_BUFFER_TOO_SMALL:
            check(status)
        return int(length[0])

    def view(self, key: BytesLike) -> Optional[memoryview]:
        """The value where it lies in the files, not copied; or None. It does not change, whatever
        is written, and can be read as long as something refers to it, also after close()."""
        held = buffer(key, "key")
        view, value = ffi.new("kv_view **"), ffi.new("const void **")
        length = ffi.new("size_t *")
        status = lib.kv_view_get(self._db, held, len(held), view, value, length)
        if status == lib.KV_NOT_FOUND:
            return None
        check(status)
        return shown(ffi.gc(view[0], lib.kv_view_release), value[0], length[0])

    def get_many(self, keys: Sequence[BytesLike]) -> list[Optional[bytes]]:
        """The values of many keys, None for those that are not there: faster than one by one."""
        slices, results, _held = _many(keys)
        arena = ffi.new("void **")
        check(lib.kv_get_many(self._db, len(slices), slices, results, arena))
        try:
            return [
                bytes(ffi.buffer(result.value, result.value_len)) if _there(result) else None
                for result in results
            ]
        finally:
            lib.kv_free(arena[0])

    def view_many(self, keys: Sequence[BytesLike]) -> list[Optional[memoryview]]:
        """The values of many keys where they lie, as view() shows one. As long as something refers
        to one of them, all are kept."""
        slices, results, _held = _many(keys)
        view = ffi.new("kv_view **")
        check(lib.kv_view_get_many(self._db, len(slices), slices, results, view))
        keeper = ffi.gc(view[0], lib.kv_view_release)
        return [
            shown(keeper, result.value, result.value_len) if _there(result) else None
            for result in results
        ]

    def size(self, key: BytesLike) -> Optional[int]:
        """How many bytes the value of a key has; None without the key."""
        held, length = buffer(key, "key"), ffi.new("size_t *")
        status = lib.kv_exists(self._db, held, len(held), length)
        if status == lib.KV_NOT_FOUND:
            return None
        check(status)
        return int(length[0])

    def __contains__(self, key: object) -> bool:
        held = buffer(key, "key")
        status = lib.kv_exists(self._db, held, len(held), ffi.NULL)
        if status == lib.KV_NOT_FOUND:
            return False
        check(status)
        return True

    def __len__(self) -> int:
        """How many keys there are; known at once."""
        count = ffi.new("uint64_t *")
        check(lib.kv_count(self._db, count))
        return int(count[0])

    def approximate_bytes(self) -> int:
        """About how many bytes keys and values take."""
        count = ffi.new("uint64_t *")
        check(lib.kv_approximate_bytes(self._db, count))
        return int(count[0])

    def _records(self, prefix: BytesLike = b"") -> Iterator[tuple[Any, Any]]:
        return records(self._db, ffi.NULL, prefix)


def _many(keys: Sequence[BytesLike]) -> tuple[Any, Any, list[Any]]:
    """Slices of many keys, room for as many results, and what must be kept for so long."""
    held = [ffi.from_buffer(buffer(key, "key")) for key in keys]
    slices = ffi.new("kv_slice_t[]", len(held))
    for slot, key in zip(slices, held):
        slot.data, slot.len = key, len(key)
    return slices, ffi.new("kv_result_t[]", len(held)), held


def _there(result: Any) -> bool:
    """Whether a key of many was found; what could not be read raises."""
    if result.status == lib.KV_NOT_FOUND:
        return False
    check(result.status)
    return True
