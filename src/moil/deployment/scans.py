"""What files import, remembered on this machine from run to run.

A file is known again by its path, size, time of change and inode. One that was written in the last two seconds is not
remembered, for another write could leave all of these as they are. There is one note for each program.

STORED FORMAT, in users' caches: a note (`moil.deployment.notes`) in JSON: the path of each file, and what it is known again
by and imports. Whoever changes it changes the name of the directory.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from pathlib import Path
from typing import Any

from moil.deployment import notes
from moil.deployment.imports import Import, scan

RACY = 2.0
MOST_PROGRAMS = 200


class Scans:
    """The imports of files, for one program. `directory` None: nothing is remembered."""

    def __init__(self, directory: Path | None, program: str) -> None:
        name = hashlib.sha256(program.encode(errors="surrogateescape")).hexdigest()[:32]
        self._place = directory / "imports" / f"{name}" if directory and program else None
        self._known = _recalled(self._place)
        self._used: dict[str, list[Any]] = {}
        self._is_new = False

    def of(self, path: str, status: os.stat_result) -> list[Import] | None:
        """The imports of a file; None if it cannot be read, or is no text."""
        stamp = [status.st_size, status.st_mtime_ns, status.st_ino]
        row = self._known.get(path)
        if row is not None and row[:3] == stamp:
            self._used[path] = row
            return [Import(line, module, level, tuple(names)) for line, module, level, names in row[3]]
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
        if self._place is not None and self._is_new:
            notes.write(self._place, json.dumps(self._used, separators=(",", ":")).encode(), most=MOST_PROGRAMS)


def _recalled(place: Path | None) -> dict[str, list[Any]]:
    note = notes.read(place) if place else None
    known: dict[str, list[Any]] = json.loads(note) if note else {}
    return known
