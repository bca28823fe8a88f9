"""Between Python's values and those of C."""

from __future__ import annotations

import datetime
import os
from typing import Any, Optional, Union

from ._ffi import ffi, lib

#: Bytes, and whatever shows its bytes: bytearray, memoryview, array, numpy arrays ...
BytesLike = Union[bytes, bytearray, memoryview]
#: A directory.
Path = Union[str, bytes, "os.PathLike[Any]"]
#: Seconds, or a difference of times.
Duration = Union[float, datetime.timedelta]


def version() -> str:
    """The version of the library."""
    return str(ffi.string(lib.kv_version()).decode())


def buffer(value: Any, what: str) -> Any:
    """The bytes of `value` where they lie, as an argument for C."""
    if type(value) is bytes:
        return value
    try:
        return ffi.from_buffer(value)
    except TypeError:
        message = f"a {what} is bytes or something like it, not {type(value).__name__}"
        raise TypeError(message) from None


def path(name: Path) -> bytes:
    """A path in the bytes of the file system."""
    encoded = os.fsencode(name)
    if b"\0" in encoded:
        raise ValueError("a path has no byte 0")
    return encoded


def milliseconds(duration: Optional[Duration]) -> int:
    """A time to live in milliseconds; 0, for ever, is None."""
    if duration is None:
        return 0
    seconds = (
        duration.total_seconds() if isinstance(duration, datetime.timedelta) else float(duration)
    )
    if not 0 < seconds <= lib.KV_MAX_TTL_MS / 1000:
        raise ValueError(f"a time to live is more than 0 seconds, not {duration}")
    return max(1, round(seconds * 1000))


def write_options(
    ttl: Optional[Duration] = None,
    *,
    if_version: Optional[int] = None,
    if_absent: bool = False,
    skip_if_equal: bool = False,
    keep_ttl: bool = False,
    sync: Optional[bool] = None,
) -> Any:
    """A kv_write_options_t."""
    if sync is None:
        choice = lib.KV_WRITE_SYNC_DEFAULT
    else:
        choice = lib.KV_WRITE_SYNC_YES if sync else lib.KV_WRITE_SYNC_NO
    return ffi.new(
        "kv_write_options_t *",
        {
            "size": ffi.sizeof("kv_write_options_t"),
            "ttl_ms": milliseconds(ttl),
            "if_version": if_version or 0,
            "sync": choice,
            "if_absent": if_absent,
            "skip_if_equal": skip_if_equal,
            "keep_ttl": keep_ttl,
        },
    )


def take(value: Any, length: Any) -> bytes:
    """A copy of bytes that the library has allocated, which are freed."""
    try:
        return bytes(ffi.buffer(value[0], length[0]))
    finally:
        lib.kv_free(value[0])


def shown(view: Any, value: Any, length: int) -> memoryview:
    """Bytes that a kv_view shows. It is kept as long as something refers to them."""
    first = ffi.gc(ffi.cast("char *", value), lambda _: view)
    return memoryview(ffi.buffer(first, length)).toreadonly()


def text(pointer: Any) -> str:
    """A report that the library has allocated, which is freed."""
    if pointer[0] == ffi.NULL:
        return ""
    try:
        return str(ffi.string(ffi.cast("char *", pointer[0])).decode())
    finally:
        lib.kv_free(pointer[0])
