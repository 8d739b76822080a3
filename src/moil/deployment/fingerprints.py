"""Listings of units that were read before, found again by a fingerprint of their files' names, sizes, times and inodes.

A unit with a file that was written in the last two seconds is not remembered: another write could leave all of these as
they are (the trap that git calls a racily clean entry).
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from moil.deployment import bytecode
from moil.deployment.listing import EXECUTABLE, FILE, Listing, decode
from moil.deployment.plan import Source
from moil.errors import DamagedError

RACY = 2.0


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What shows whether the files of a unit have changed. Two are equal only if nothing has."""

    #: "" if none can be had, since a file is not there.
    digest: str
    #: The time of the newest change.
    newest: float

    @staticmethod
    def of(sources: Iterable[Source]) -> Fingerprint:
        """That of these files, as they are now."""
        digest, newest = hashlib.sha256(), 0.0
        for one in sources:
            told = f"{one.path}\0{one.kind}\0{one.target}\0{one.transform}\0"
            if one.content is not None:
                told += hashlib.sha256(one.content).hexdigest()
            elif one.kind in (FILE, EXECUTABLE):
                for path in (one.origin, bytecode.source_of(one.origin)) if one.transform else (one.origin,):
                    try:
                        found = os.stat(path)
                    except OSError:
                        return Fingerprint("", 0.0)
                    told += f"{path}\0{found.st_size}\0{found.st_mtime_ns}\0{found.st_ino}\0"
                    newest = max(newest, found.st_mtime, found.st_ctime)
            digest.update(told.encode(errors="surrogateescape"))
        return Fingerprint(digest.hexdigest(), newest)


class Memory:
    """Listings by fingerprint, in a directory; None: nowhere. One that cannot be kept only costs time."""

    def __init__(self, directory: Path | None) -> None:
        self._directory = directory

    def recall(self, fingerprint: Fingerprint) -> Listing | None:
        """The listing, if it is known and not damaged."""
        if self._directory is None or not fingerprint.digest:
            return None
        try:
            data = (self._directory / fingerprint.digest).read_bytes()
            return decode(data[64:], data[:64].decode())
        except (OSError, ValueError, DamagedError):
            return None

    def remember(self, fingerprint: Fingerprint, listing: Listing) -> None:
        """For the next time."""
        if self._directory is None or not fingerprint.digest or fingerprint.newest >= time.time() - RACY:
            return
        with suppress(OSError):
            self._directory.mkdir(parents=True, exist_ok=True)
            staged = self._directory / f".{fingerprint.digest}.{os.getpid()}"
            staged.write_bytes(listing.digest.encode() + listing.encode())
            staged.replace(self._directory / fingerprint.digest)
