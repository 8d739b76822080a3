"""What files import, remembered on this machine from run to run.

A file is known again by its path, size, time of change and inode. One that was written in the last two seconds is not
remembered, for another write could leave all of these as they are. There is one small JSON file for each program; it is
never trusted: one that is damaged, or cannot be written, is as good as none.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from moil.deployment.imports import Import, scan

FORMAT = 1
RACY = 2.0
MOST_PROGRAMS = 200


class Scans:
    """The imports of files, for one program. `directory` None: nothing is remembered."""

    def __init__(self, directory: Path | None, program: str) -> None:
        name = hashlib.sha256(program.encode(errors="surrogateescape")).hexdigest()[:32]
        self._place = directory / "imports" / f"{name}.json" if directory and program else None
        self._known = _recalled(self._place)
        self._used: dict[str, list[Any]] = {}
        self._is_new = False

    def of(self, path: str, status: os.stat_result) -> list[Import] | None:
        """The imports of a file; None if it cannot be read, or is no text."""
        stamp = [status.st_size, status.st_mtime_ns, status.st_ino]
        row = self._known.get(path)
        if row is not None and row[:3] == stamp:
            with suppress(TypeError, ValueError):
                found = [Import(line, module, level, tuple(names)) for line, module, level, names in row[3]]
                self._used[path] = row
                return found
        try:
            found_now = scan(Path(path).read_bytes())
        except OSError:
            return None
        if found_now is not None and time.time() - max(status.st_mtime, status.st_ctime) > RACY:
            self._used[path] = [*stamp, [[one.line, one.module, one.level, one.names] for one in found_now]]
            self._is_new = True
        return found_now

    def save(self) -> None:
        """Remember, if anything was found out."""
        if self._place is None or not self._is_new:
            return
        with suppress(OSError):
            self._place.parent.mkdir(parents=True, exist_ok=True)
            _forget_oldest(self._place.parent)
            staged = self._place.with_suffix(f".{os.getpid()}")
            staged.write_text(json.dumps({"format": FORMAT, "files": self._used}, separators=(",", ":")))
            staged.replace(self._place)


def _recalled(place: Path | None) -> dict[str, list[Any]]:
    if place is None:
        return {}
    try:
        told = json.loads(place.read_bytes())
        files = told["files"] if told["format"] == FORMAT else {}
    except (OSError, ValueError, LookupError, TypeError):
        return {}
    if not isinstance(files, dict):
        return {}
    return {path: row for path, row in files.items() if isinstance(row, list) and len(row) == 4}


def _forget_oldest(directory: Path) -> None:
    files = list(directory.iterdir())
    if len(files) >= MOST_PROGRAMS:
        for one in sorted(files, key=lambda one: one.stat().st_mtime)[: len(files) - MOST_PROGRAMS + 1]:
            one.unlink(missing_ok=True)
