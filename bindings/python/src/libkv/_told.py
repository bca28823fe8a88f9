"""What a database tells its program: progress, messages and events."""

from __future__ import annotations

import enum
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Optional

from ._errors import check
from ._ffi import ffi, lib


class Progress(NamedTuple):
    """How far a long call is."""

    total_bytes: int
    done_bytes: int
    segments_total: int
    segments_done: int


class EventKind(enum.IntEnum):
    """What happened; kv.h says what the figures of each kind mean."""

    DROPPED = 1
    OPENED = 2
    TAIL_CUT = 3
    SEALED = 4
    COMPACTED = 5
    DAMAGED = 6
    STALLED = 7
    DISK_FULL = 8
    DISK_HAS_ROOM = 9
    READ_ONLY = 10
    CLOSED = 11


@dataclass(frozen=True)
class Event:
    """Something that happened to a database. `kind` is an EventKind, or what a later libkv has;
    `level` is as in logging."""

    kind: int
    level: int
    unix_ms: int
    segment: int
    count: int
    bytes: int
    duration_ns: int
    message: str


#: Is told how far a call is. If it answers False, or raises, the call ends.
Tell = Callable[[Progress], Optional[bool]]
#: Is told a message with a level of logging: logging.getLogger("kv").log is one.
Log = Callable[[int, str], object]
#: Is told of events.
Events = Callable[[Event], object]

#: The levels of logging for those of kv.h.
_LEVELS = {
    lib.KV_LOG_ERROR: logging.ERROR,
    lib.KV_LOG_WARN: logging.WARNING,
    lib.KV_LOG_INFO: logging.INFO,
    lib.KV_LOG_DEBUG: logging.DEBUG,
}


class Told:
    """A function that is told of progress, for the time of one call. Also without one the library
    calls, so that a signal (Ctrl-C) can end what takes long."""

    def __init__(self, tell: Optional[Tell]) -> None:
        self.tell = tell
        self.raised: Optional[BaseException] = None
        self.function = lib.libkv_progress
        self.context = ffi.new_handle(self)

    def check(self, status: int) -> None:
        """Raises what the function raised, or why the call failed."""
        if self.raised is not None:
            raise self.raised
        check(status)


class Listener:
    """The functions that are told of messages and events, as long as the database is open."""

    def __init__(self, log: Optional[Log], log_level: int, events: Optional[Events]) -> None:
        self.log = log
        self.events = events
        self.context = ffi.new_handle(self)
        told = [theirs for theirs, level in _LEVELS.items() if level >= log_level]
        self.level = max(told, default=lib.KV_LOG_ERROR)

    def listen(self, options: Any) -> None:
        """Sets the options that have the functions called."""
        if self.log is not None:
            check(lib.kv_options_set_log(options, lib.libkv_log, self.context, self.level))
        if self.events is not None:
            check(lib.kv_options_set_events(options, lib.libkv_event, self.context))


def _raised(kind: Any, error: BaseException, trace: Any) -> None:
    """What libkv_progress() raised, from its first instruction on, goes on in the caller."""
    told: Told = ffi.from_handle(trace.tb_frame.f_locals["context"])
    told.raised = error.with_traceback(trace)


@ffi.def_extern(error=1, onerror=_raised)  # type: ignore[untyped-decorator, unused-ignore]
def libkv_progress(progress: Any, context: Any) -> int:
    """Called by the library, on the thread that called it."""
    told: Told = ffi.from_handle(context)
    if told.tell is None:
        return 0
    far = Progress(*(getattr(progress, name) for name in Progress._fields))
    return 1 if told.tell(far) is False else 0


@ffi.def_extern()  # type: ignore[untyped-decorator, unused-ignore]
def libkv_log(level: int, message: Any, context: Any) -> None:
    """Called by the library, on a thread of its own."""
    listener: Listener = ffi.from_handle(context)
    assert listener.log is not None
    text = ffi.string(message).decode(errors="replace")
    listener.log(_LEVELS.get(level, logging.INFO), text)


@ffi.def_extern()  # type: ignore[untyped-decorator, unused-ignore]
def libkv_event(event: Any, context: Any) -> None:
    """Called by the library, on a thread of its own."""
    listener: Listener = ffi.from_handle(context)
    assert listener.events is not None
    listener.events(
        Event(
            kind=event.kind,
            level=_LEVELS.get(event.level, logging.INFO),
            unix_ms=event.unix_ms,
            segment=event.segment,
            count=event.count,
            bytes=event.bytes,
            duration_ns=event.duration_ns,
            message=ffi.string(event.message).decode(errors="replace"),
        )
    )
