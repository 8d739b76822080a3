"""Notes in a user's cache: what was found out once, for the next run.

One that is damaged, or cannot be kept, only costs time.

STORED FORMAT: the SHA-256 of the rest in hexadecimal, and the rest. Whoever changes it changes the names of all directories
that hold notes.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from pathlib import Path

CHECK = 64
"""Bytes before the rest."""


def read(place: Path) -> bytes | None:
    """What was written there; None if nothing was, or if it is not what it was."""
    try:
        note = place.read_bytes()
    except OSError:
        return None
    check, data = note[:CHECK], note[CHECK:]
    return data if check == _check(data) else None


def write(place: Path, data: bytes, *, most: int | None = None) -> None:
    """Put it there, whole or not at all; nothing is said if that is impossible.

    `most`: so many notes may be in its directory then; the oldest go.
    """
    with suppress(OSError):
        place.parent.mkdir(parents=True, exist_ok=True)
        if most is not None:
            _forget_oldest(place.parent, most - 1)
        staged = place.with_name(f".{place.name}.{os.getpid()}")
        with staged.open("wb") as note:
            note.write(_check(data))
            note.write(data)
        staged.replace(place)


def _forget_oldest(directory: Path, most: int) -> None:
    files = list(directory.iterdir())
    if len(files) > most:
        for one in sorted(files, key=lambda one: one.stat().st_mtime)[: len(files) - most]:
            one.unlink(missing_ok=True)


def _check(data: bytes) -> bytes:
    return hashlib.sha256(data).hexdigest().encode()
