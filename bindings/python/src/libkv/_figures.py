"""Figures: what a database has done, how long it takes, and what options there are."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, NamedTuple

from ._errors import check
from ._ffi import ffi, lib


class Stats(NamedTuple):
    """Figures of an open database; kv_stats_t in kv.h says what each one is."""

    keys: int
    live_bytes: int
    dead_bytes: int
    disk_bytes: int
    segments: int
    index_bytes: int
    bytes_put: int
    bytes_compaction_read: int
    bytes_compacted: int
    compactions: int
    compaction_failures: int
    segments_removed: int
    compaction_running: int
    compaction_paused: int
    compaction_total_bytes: int
    compaction_done_bytes: int
    bytes_hints_and_checkpoints: int
    writer_pauses: int
    writer_paused_ns: int
    waiting_segments: int
    rolls: int
    rolls_unprepared: int
    syncs_led: int
    syncs_shared: int
    events_dropped: int
    writes: int
    deletes: int
    unsynced_writes: int
    sealed_segments: int
    open_files: int
    snapshots: int
    snapshot_bytes: int
    opened_unix_ms: int
    read_only: int
    expired_bytes: int


@dataclass(frozen=True)
class Latency:
    """How long an operation took, in nanoseconds, of those that were timed."""

    count: int
    one_in: int
    sum_ns: int
    min_ns: int
    p50_ns: int
    p90_ns: int
    p99_ns: int
    p999_ns: int
    max_ns: int


class OptionInfo(NamedTuple):
    """What there is to know of an option of open()."""

    name: str
    type_name: str
    unit: str
    default_value: str
    range: str
    description: str


def options() -> list[OptionInfo]:
    """The options that open() takes."""
    info = ffi.new("kv_option_info_t *", {"size": ffi.sizeof("kv_option_info_t")})
    found: list[OptionInfo] = []
    while True:
        status = lib.kv_option_describe(len(found), info)
        if status == lib.KV_NOT_FOUND:
            return found
        check(status)
        texts = (ffi.string(getattr(info, name)).decode() for name in OptionInfo._fields)
        found.append(OptionInfo(*texts))


def stats(db: Any) -> Stats:
    """A kv_stats_t."""
    raw = ffi.new("kv_stats_t *", {"size": ffi.sizeof("kv_stats_t")})
    check(lib.kv_stats(db, raw))
    return Stats(*(getattr(raw, name) for name in Stats._fields))


def latencies(db: Any) -> dict[str, Latency]:
    """Every kv_latency_t, by its name."""
    raw = ffi.new("kv_latency_t *", {"size": ffi.sizeof("kv_latency_t")})
    found: dict[str, Latency] = {}
    while True:
        status = lib.kv_latency(db, len(found), raw)
        if status == lib.KV_NOT_FOUND:
            return found
        check(status)
        name = ffi.string(raw.name).decode()
        found[name] = Latency(*(getattr(raw, field.name) for field in fields(Latency)))
