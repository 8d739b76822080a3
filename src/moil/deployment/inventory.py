"""What is shipped of installed distributions, remembered on this machine for as long as nothing of it has changed.

An environment has ten thousand files and more, and is the same for months, while its program is started again and again.
So what was found of a distribution is noted: all that was looked at (its files, files of its RECORD that are not there,
the directories that were listed), one digest of what these were, and the gist. Next time everything is looked at again,
since people do patch what is installed; but if the digest is the same, so is the rest, and no RECORD is taken apart, no
directory is listed, and nothing is made for each file until somebody wants to see each.

Compiled modules are the exception: what is shipped of one is what its source says, so it is enough to look at that. One
that is made anew from the same source, or lost, changes nothing that a program could see.

What other distributions there are counts too, since their RECORDs say what is theirs, and so does the code that finds
all this out. Nothing is remembered of a distribution that is installed in place, or has no RECORD, or holds bytes that
were made here; nor of one in which something was written in the last two seconds, for another write could leave all of
this as it is.

STORED FORMAT, in users' caches: notes (`moil.deployment.notes`) of two lines of JSON. Whoever changes it raises `FORMAT`.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from moil.deployment import bytecode, contents, metadata, native, notes, on_demand, scripts
from moil.deployment.contents import LookedAt
from moil.deployment.fingerprints import RACY, Fingerprint
from moil.deployment.metadata import Distribution
from moil.deployment.plan import STAMP, Gathered, Gist, PlannedUnit, Source, UnitKind, newest_of, size_of, stamp_of
from moil.version import __version__

FORMAT = 1
MOST = 1000
"""Notes that are kept."""
_ABSENT = bytes(STAMP.size)
_MADE_BY = (bytecode, contents, metadata, native, on_demand, scripts)


class Inventories:
    """The notes in a directory of the user's, on some of these distributions."""

    def __init__(self, memory: Path, distributions: Iterable[Distribution]) -> None:
        self._directory = memory / "inventories"
        self._surroundings = _surroundings(distributions)

    def recall(self, distribution: Distribution, reason: str) -> Gathered | None:
        """What was found the last time, if all is as it was then."""
        told = self._read(distribution)
        if told is None:
            return None
        head, rows = told
        site = distribution.site + os.sep
        watched = [path if path.startswith("/") else site + path for path in head["watched"]]
        stamps = [_stamp(path) for path in watched]
        if self._digest(stamps) != head["digest"]:
            return None
        known = dict(zip(watched, stamps, strict=True))

        def made(rows: Iterable[Sequence[str]]) -> tuple[Source, ...]:
            return tuple(one for row in rows if (one := _source(row, site, reason, known)) is not None)

        gist = Gist(
            size=head["size"],
            tops=frozenset(head["tops"]),
            notable=made(head["notable"]),
            fingerprint=Fingerprint(*head["fingerprint"]),
        )
        return Gathered(gist, lambda: made(json.loads(rows)))

    def noted(
        self, distribution: Distribution, reason: str, find: Callable[[LookedAt], Sequence[Source]]
    ) -> Sequence[Source]:
        """What is found now, noted for the next time."""
        looked_at = LookedAt()
        found = tuple(find(looked_at))
        gist = _gist(found)
        if distribution.record is not None and all(one.stamp and one.content is None for one in found):
            self._note(distribution, reason, (found, gist), [*looked_at.absent, *looked_at.folders])
        return Gathered(gist, lambda: found)

    def _note(
        self, distribution: Distribution, reason: str, what: tuple[tuple[Source, ...], Gist], more: Sequence[str]
    ) -> None:
        found, gist = what
        site = distribution.site + os.sep
        watched = {one.origin: one.stamp for one in found if not one.transform}
        watched |= {path: _stamp(path) for path in more if not bytecode.source_of(path)}
        if max(newest_of(watched.values()), gist.fingerprint.newest) >= time.time() - RACY:
            return

        def row(one: Source) -> Sequence[str]:
            why = "" if one.reason == reason else one.reason
            return one.path, one.origin.removeprefix(site), one.kind, one.transform, why

        head = {
            "watched": [path.removeprefix(site) for path in watched],
            "digest": self._digest(watched.values()),
            "size": gist.size,
            "tops": sorted(gist.tops),
            "notable": [row(one) for one in gist.notable],
            "fingerprint": (gist.fingerprint.digest, gist.fingerprint.newest),
        }
        data = json.dumps(head).encode() + b"\n" + json.dumps([row(one) for one in found]).encode()
        notes.write(self._place(distribution), data, most=MOST)

    def _read(self, distribution: Distribution) -> tuple[dict[str, Any], bytes] | None:
        data = notes.read(self._place(distribution))
        if data is None:
            return None
        head, _, rows = data.partition(b"\n")
        return json.loads(head), rows

    def _place(self, distribution: Distribution) -> Path:
        return self._directory / hashlib.sha256(os.fsencode(distribution.metadata)).hexdigest()

    def _digest(self, stamps: Iterable[bytes]) -> str:
        return hashlib.sha256(self._surroundings + b"".join(stamps)).hexdigest()


def _source(row: Sequence[str], site: str, reason: str, known: Mapping[str, bytes]) -> Source | None:
    """A source of a note; None for a compiled module that is not there any more."""
    path, place, kind, transform, why = row
    origin = place if place.startswith("/") else site + place
    stamp = known.get(origin) or _stamp(origin)
    if stamp == _ABSENT:
        return None
    return Source(
        path=path,
        origin=origin,
        kind=kind,
        size=size_of(stamp),
        reason=why or reason,
        transform=transform,
        stamp=stamp,
    )


def _gist(found: tuple[Source, ...]) -> Gist:
    unit = PlannedUnit(name="", kind=UnitKind.distribution, sources=found)
    return Gist(
        size=unit.size,
        tops=frozenset(on_demand.tops_of(unit)),
        notable=tuple(one for one in found if on_demand.is_of_front(one) or native.is_candidate(one)),
        fingerprint=Fingerprint.found(found),
    )


def _surroundings(distributions: Iterable[Distribution]) -> bytes:
    """What has a part in what is found of any of them."""
    told = [f"{FORMAT} {__version__} {sys.implementation.cache_tag}".encode()]
    told += [_stamp(str(module.__file__)) for module in _MADE_BY]
    for one in distributions:
        told.append(os.fsencode(one.metadata))
        told += [_stamp(os.path.join(one.metadata, name)) for name in ("RECORD", "installed-files.txt")]
    return hashlib.sha256(b"\0".join(told)).digest()


def _stamp(path: str) -> bytes:
    try:
        return stamp_of(os.stat(path))
    except OSError:
        return _ABSENT
