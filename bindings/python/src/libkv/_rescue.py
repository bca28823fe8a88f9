"""What is done to databases that nobody has open."""

from __future__ import annotations

import json
import os
from typing import Any, Optional, Union

from ._call import Progress, Tell, Told, path, text
from ._errors import check
from ._ffi import ffi, lib

Path = Union[str, bytes, os.PathLike]

__all__ = ["Progress", "destroy", "restore", "salvage", "verify"]


def destroy(directory: Path) -> None:
    """Removes a database."""
    check(lib.kv_destroy(path(directory)))


def restore(backup: Path, to: Path, progress: Optional[Tell] = None) -> None:
    """Makes a database of a backup."""
    told = Told(progress)
    told.check(lib.kv_restore_with(path(backup), path(to), told.function, told.context))


def verify(directory: Path, progress: Optional[Tell] = None) -> dict[str, Any]:
    """Verifies a database, and answers what was found. Damage is no exception but in the report."""
    told, report = Told(progress), ffi.new("char **")
    status = lib.kv_verify_with(
        path(directory), lib.KV_REPORT_JSON, ffi.NULL, told.function, told.context, report
    )
    return _report(told, status, report)


def salvage(damaged: Path, to: Path, progress: Optional[Tell] = None) -> dict[str, Any]:
    """Makes a new database of all that is whole in a damaged one, and answers what is lost."""
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
    return json.loads(text(report))
