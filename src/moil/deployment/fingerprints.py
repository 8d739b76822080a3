"""Units that were read before, known again by a fingerprint of their files' names, sizes, times and inodes.

What is remembered of a unit is all that it takes to ship it again: nothing of its listing need be read.

A unit with a file that was written in the last two seconds is not remembered: another write could leave all of these as
they are (the trap that git calls a racily clean entry).
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from moil.deployment import bytecode, notes, pack
from moil.deployment.listing import EXECUTABLE, FILE, Listing
from moil.deployment.plan import SAME, Gathered, Source, newest_of, stamp_of
from moil.record import record

RACY = 2.0
_FILES = (FILE, EXECUTABLE)


@record(kw_only=False)
class Known:
    """What is to be known of a unit to ship it."""

    digest: str
    #: Bytes of all its files.
    size: int
    #: The keys of all that it consists of in a job store.
    keys: tuple[str, ...]

    @staticmethod
    def of(listing: Listing) -> Known:
        """That of a unit with this listing."""
        digest = listing.digest
        return Known(digest, listing.size, tuple(pack.keys(digest, listing)))


@record(kw_only=False)
class Fingerprint:
    """What shows whether the files of a unit have changed. Two are equal only if nothing has."""

    #: "" if none can be had, since a file is not there.
    digest: str
    #: The time of the newest change.
    newest: float

    @staticmethod
    def found(sources: Sequence[Source]) -> Fingerprint:
        """That of these files, as they were when they were found."""
        if isinstance(sources, Gathered):
            return sources.gist.fingerprint
        return _fingerprint(sources, {one.origin: one.stamp for one in sources if one.stamp})

    @staticmethod
    def of(sources: Sequence[Source]) -> Fingerprint:
        """That of these files, as they are now."""
        return _fingerprint(sources, {})


def _fingerprint(sources: Sequence[Source], stamps: Mapping[str, bytes]) -> Fingerprint:
    """What stamps there are is believed."""
    told: list[str] = []
    found: dict[str, bytes] = {}
    for one in sources:
        told.append(f"{one.path}\0{one.kind}\0{one.target}\0{one.transform}\0{one.origin}")
        if one.content is not None:
            told.append(hashlib.sha256(one.content).hexdigest())
        elif one.kind in _FILES:
            for path in (one.origin, bytecode.source_of(one.origin)) if one.transform else (one.origin,):
                if path not in found:
                    try:
                        found[path] = stamps.get(path) or stamp_of(os.stat(path))
                    except OSError:
                        return Fingerprint("", 0.0)
    digest = hashlib.sha256("\0".join(told).encode(errors="surrogateescape"))
    digest.update(b"".join([stamp[:SAME] for stamp in found.values()]))
    return Fingerprint(digest.hexdigest(), newest_of(found.values()))


class Memory:
    """Notes by fingerprint, in a directory; None: nowhere.

    STORED FORMAT, in users' caches: notes of JSON. Whoever changes it changes the directory's name.
    """

    def __init__(self, directory: Path | None) -> None:
        self._directory = directory

    def recall(self, fingerprint: Fingerprint) -> Known | None:
        """What is known of the unit, if it is and the note is not damaged."""
        if self._directory is None or not fingerprint.digest:
            return None
        data = notes.read(self._directory / fingerprint.digest)
        if data is None:
            return None
        digest, size, keys = json.loads(data)
        return Known(digest, size, tuple(keys))

    def remember(self, fingerprint: Fingerprint, known: Known) -> None:
        """For the next time."""
        if self._directory is not None and fingerprint.digest and fingerprint.newest < time.time() - RACY:
            told = [known.digest, known.size, known.keys]
            notes.write(self._directory / fingerprint.digest, json.dumps(told).encode())
