"""What is to be shipped, and why, before a byte of it is read: what discovery finds and `moil deploy plan` prints.

A plan speaks of files at home; `moil.deployment.freeze` turns it into a deployment, which speaks of digests.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, overload

from moil.deployment.manifest import EntryPoint
from moil.record import field, record

if TYPE_CHECKING:
    from moil.deployment.fingerprints import Fingerprint


class UnitKind(StrEnum):
    """Where a unit goes."""

    #: One top-level thing of a root of the import path, or the loose files beside them.
    code = "code"
    #: One installed distribution: its paths begin with ``site/``, ``bin/`` or ``data/`` (below the prefix).
    distribution = "distribution"
    #: The same, fetched by a worker when one of its import names is asked for (see `moil.deployment.on_demand`).
    on_demand = "on-demand"
    #: What of those is always there.
    front = "front"


STAMP = struct.Struct(">QqQq")
"""What shows whether a file has changed: its size, the time of its content in nanoseconds, its inode, and the time of its
newest change. An environment has ten thousand files and more, so each takes as little memory as it can, and is never taken
apart: of two, the one whose end is larger has changed later."""
SAME = STAMP.size - 8
"""Bytes of a stamp that say what a file is; the others say when that began."""


def stamp_of(found: os.stat_result) -> bytes:
    """The stamp of a file."""
    newest = max(found.st_mtime_ns, found.st_ctime_ns)
    return STAMP.pack(found.st_size, found.st_mtime_ns, found.st_ino, newest)


def size_of(stamp: bytes) -> int:
    """The size of the file with this stamp."""
    size: int = STAMP.unpack(stamp)[0]
    return size


def newest_of(stamps: Iterable[bytes]) -> float:
    """The time of the newest change of any of these files."""
    newest = max([stamp[SAME:] for stamp in stamps], default=bytes(8))
    return int.from_bytes(newest, "big", signed=True) / 1e9


@record
class Source:
    """One entry of a unit, and where it is at home."""

    #: In the unit: relative, POSIX.
    path: str
    #: At home: absolute. "" if `content` has the bytes.
    origin: str
    #: A kind of `moil.deployment.listing`.
    kind: str
    size: int = 0
    #: Why it is shipped: "imported by main.py:3", "package data of utils", "beside main.py", "include: data/*.csv".
    reason: str = ""
    #: The target of a link.
    target: str = ""
    #: Bytes that stand for the file's own (a normalised .pyc, a file out of an archive).
    content: bytes | None = None
    #: "pyc": the bytes are those of `origin`, made independent of times (see `moil.deployment.bytecode`).
    transform: str = ""
    #: As the file was when it was found, if that is known.
    stamp: bytes = field(default=b"", compare=False, repr=False)


@record
class Gist:
    """What is asked of the sources of a distribution before any of them is read."""

    #: Bytes of all.
    size: int
    #: What lies at the top of ``site/``, directories with a slash; "" if something lies elsewhere.
    tops: frozenset[str]
    #: See `PlannedUnit.notable`.
    notable: tuple[Source, ...]
    fingerprint: Fingerprint


class Gathered(Sequence[Source]):
    """Sources of which the gist is known; they are made when somebody wants to see each."""

    __slots__ = ("_all", "_make", "gist")

    def __init__(self, gist: Gist, make: Callable[[], tuple[Source, ...]]) -> None:
        self.gist, self._make = gist, make
        self._all: tuple[Source, ...] | None = None

    def __len__(self) -> int:
        return len(self[:])

    @overload
    def __getitem__(self, index: int) -> Source: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Source, ...]: ...
    def __getitem__(self, index: int | slice) -> Source | tuple[Source, ...]:
        if self._all is None:
            self._all = self._make()
        return self._all[index]

    def __iter__(self) -> Iterator[Source]:
        return iter(self[:])


@record
class PlannedUnit:
    """One unit."""

    name: str
    kind: UnitKind
    #: The number of its root in `Plan.roots`; -1 for a distribution.
    root: int = -1
    version: str = ""
    reason: str = ""
    sources: Sequence[Source] = ()
    #: Of what is fetched on demand: the import names that ask for it, and all of its kind that it requires.
    import_names: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()

    @property
    def is_installed(self) -> bool:
        """Whether it is an installed distribution."""
        return self.kind in (UnitKind.distribution, UnitKind.on_demand)

    @property
    def size(self) -> int:
        """Bytes of all its files."""
        return self.sources.gist.size if isinstance(self.sources, Gathered) else sum(one.size for one in self.sources)

    @property
    def notable(self) -> Sequence[Source]:
        """Those that may be metadata, the beginning of a package, or native code: a plan is not made without them."""
        return self.sources.gist.notable if isinstance(self.sources, Gathered) else self.sources


@record
class PlannedRoot:
    """One entry of the import path that holds code of the user's."""

    #: The directory (or archive) at home.
    origin: str
    #: The directory in it that stands on the path, where that is not the origin itself: a script inside a package.
    inner: str = ""
    #: It stands behind the site directories on the path, as editable installs do.
    after_site: bool = False
    #: It is a zip file, and is on the path itself.
    archive: str = ""
    reason: str = ""


@record
class LeftOut:
    """What lies where shipped files lie, and is not shipped."""

    #: At home, absolute; a directory that was left out whole ends in "/".
    path: str
    #: The rule, in words that name the line which would change it.
    rule: str
    size: int = 0
    #: It may be missed, so it is remarked on: a broken link, a file that is too large, a secret inside a package.
    is_unforeseen: bool = False


@record
class Plan:
    """All that is to be shipped."""

    entry: EntryPoint
    roots: tuple[PlannedRoot, ...] = ()
    units: tuple[PlannedUnit, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    #: What the user should know and need not act upon.
    remarks: tuple[str, ...] = ()
    #: First-party names that imports ask for and no root holds: "name" → who imports it. For diagnosis only.
    unresolved: dict[str, str] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Bytes of everything."""
        return sum(one.size for one in self.units)

    def sources(self) -> Iterator[tuple[PlannedUnit, Source]]:
        """Every file, with its unit."""
        for unit in self.units:
            for source in unit.sources:
                yield unit, source
