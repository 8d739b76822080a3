"""What is to be shipped, and why, before a byte of it is read: what discovery finds and `moil deploy plan` prints.

A plan speaks of files at home; `moil.deployment.freeze` turns it into a deployment, which speaks of digests.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from enum import StrEnum

from moil.deployment.manifest import EntryPoint
from moil.record import field, record


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
class PlannedUnit:
    """One unit."""

    name: str
    kind: UnitKind
    #: The number of its root in `Plan.roots`; -1 for a distribution.
    root: int = -1
    version: str = ""
    reason: str = ""
    sources: tuple[Source, ...] = ()
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
        return sum(one.size for one in self.sources)


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
