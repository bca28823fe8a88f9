"""What is done to databases that nobody has open."""

from __future__ import annotations

import json
from typing import Any, Optional, cast

from ._call import Path, path, text
from ._errors import check
from ._ffi import ffi, lib
from ._told import Tell, Told


def destroy(directory: Path) -> None:
    """Removes a database that nobody has open."""
    check(lib.kv_destroy(path(directory)))


def restore(backup: Path, to: Path, progress: Optional[Tell] = None) -> None:
    """Verifies a backup, and makes a database of it in another directory."""
    told = Told(progress)
    told.check(lib.kv_restore_with(path(backup), path(to), told.function, told.context))


def verify(directory: Path, progress: Optional[Tell] = None) -> dict[str, Any]:
    """Verifies a database, open or not, and answers what was found: the report that
    docs/RECOVERY.md describes. Damage is no exception."""
    told, report = Told(progress), ffi.new("char **")
    status = lib.kv_verify_with(
        path(directory), lib.KV_REPORT_JSON, ffi.NULL, told.function, told.context, report
    )
    return _report(told, status, report)


def salvage(damaged: Path, to: Path, progress: Optional[Tell] = None) -> dict[str, Any]:
    """Makes a new database of all that is whole in a damaged one, and answers what is lost: the
    report that docs/RECOVERY.md describes."""
    told, report = Told(progress), ffi.new("char **")
    status = lib.kv_salvage_with(
        path(damaged),
        path(to),
        lib.KV_REPORT_JSON,
        ffi.NULL,
        told.function,
        told.context,
        report,
    )
    return _report(told, status, report)


def _report(told: Told, status: int, report: Any) -> dict[str, Any]:
    if status != lib.KV_DAMAGED:
        told.check(status)
    return cast("dict[str, Any]", json.loads(text(report)))
