"""Between Python's values and those of C."""

from __future__ import annotations

import datetime
import os
from collections.abc import Callable
from typing import Any, Optional, Union

from ._errors import check
from ._ffi import ffi, lib

#: Bytes, and whatever shows its bytes: bytearray, memoryview, array, numpy arrays ...
BytesLike = Union[bytes, bytearray, memoryview]
#: Seconds, or a difference of times.
Duration = Union[float, datetime.timedelta]


def version() -> str:
    """The version of the library."""
    return ffi.string(lib.kv_version()).decode()


def buffer(value: Any, what: str) -> Any:
    """The bytes of `value` where they lie."""
    try:
        return ffi.from_buffer(value)
    except TypeError:
        message = f"a {what} is bytes or something like it, not {type(value).__name__}"
        raise TypeError(message) from None


def path(name: Union[str, bytes, os.PathLike]) -> bytes:
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
    choice = {None: lib.KV_WRITE_SYNC_DEFAULT, True: lib.KV_WRITE_SYNC_YES}
    return ffi.new(
        "kv_write_options_t *",
        {
            "size": ffi.sizeof("kv_write_options_t"),
            "ttl_ms": milliseconds(ttl),
            "if_version": if_version or 0,
            "sync": choice.get(sync, lib.KV_WRITE_SYNC_NO),
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


def shown(view: Any, value: Any, length: Any) -> memoryview:
    """Bytes that a kv_view shows. It is released when nothing refers to them any more."""
    held = view[0]
    first = ffi.gc(ffi.cast("char *", value[0]), lambda _: lib.kv_view_release(held))
    return memoryview(ffi.buffer(first, length[0])).toreadonly()


def text(pointer: Any) -> str:
    """A report that the library has allocated, which is freed."""
    if pointer[0] == ffi.NULL:
        return ""
    try:
        return ffi.string(ffi.cast("char *", pointer[0])).decode()
    finally:
        lib.kv_free(pointer[0])


class Progress:
    """How far a long call is."""

    __slots__ = ("total_bytes", "done_bytes", "segments_total", "segments_done")

    def __init__(self, progress: Any) -> None:
        self.total_bytes: int = progress.total_bytes
        self.done_bytes: int = progress.done_bytes
        self.segments_total: int = progress.segments_total
        self.segments_done: int = progress.segments_done

    def __repr__(self) -> str:
        return f"Progress({self.done_bytes} of {self.total_bytes} bytes)"


#: Is told how far a call is. If it answers False, or raises, the call ends.
Tell = Callable[[Progress], Optional[bool]]


class Told:
    """A function that is told of progress, for the time of one call."""

    def __init__(self, tell: Optional[Tell]) -> None:
        self.tell = tell
        self.raised: Optional[BaseException] = None
        self.function = lib.libkv_progress if tell else ffi.NULL
        self.context = ffi.new_handle(self)

    def check(self, status: int) -> None:
        """Raises what the function raised, or why the call failed."""
        if self.raised is not None:
            raise self.raised
        check(status)


@ffi.def_extern(error=1)
def libkv_progress(progress: Any, context: Any) -> int:
    told: Told = ffi.from_handle(context)
    try:
        return 1 if told.tell(Progress(progress)) is False else 0
    except BaseException as error:  # It goes on in the caller of the library.
        told.raised = error
        return 1
