"""A deployment: everything a worker needs to know of the program, as one small canonical JSON whose digest names it.

No path of the leader's machine and nothing that changes from run to run is in it, so two runs of the same code in the
same environment have the same deployment. STORED FORMAT: see `FORMAT`. Format 1 had nothing that is fetched on demand; it is
still read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from operator import attrgetter
from typing import Any

from moil.errors import DamagedError
from moil.record import as_dict, record

FORMAT = 2
_READ = (1, 2)


@record
class EntryPoint:
    """The main module: a dotted name (``-m``), or a script in a root; neither where there is no file."""

    module: str = ""
    #: Relative to its root; of an archive or a directory that is run as such, "".
    script: str = ""
    root: int = -1


@record
class Unit:
    """A unit that is shipped: `digest` is that of its listing."""

    name: str
    digest: str
    version: str = ""
    #: Bytes of its files.
    size: int = 0


@record
class OnDemand:
    """A distribution that a worker fetches when something imports it."""

    unit: Unit
    #: The names at the top of the import system that ask for it.
    import_names: tuple[str, ...]
    #: Names of those of this kind that it requires, directly or not.
    requires: tuple[str, ...] = ()


@record
class Root:
    """One entry of the import path, made of its units."""

    units: tuple[Unit, ...] = ()
    after_site: bool = False
    #: The name of the zip file that is on the path itself.
    archive: str = ""
    #: The directory in it that is on the path itself.
    inner: str = ""


@record
class Native:
    """What the shipped native code was built for; all empty if there is none. `package` is an example of it."""

    machine: str = ""
    system: str = ""
    #: The least glibc (``2.17``), or ``musl``.
    libc: str = ""
    package: str = ""


@record
class Deployment:
    """The program and all that it needs, by digest."""

    entry: EntryPoint
    #: ``3.11``
    python: str
    implementation: str = "cpython"
    native: Native = Native()
    roots: tuple[Root, ...] = ()
    #: The distributions that a worker has before the program starts.
    environment: tuple[Unit, ...] = ()
    #: Those that it fetches later, and what of them it has from the beginning.
    on_demand: tuple[OnDemand, ...] = ()
    front: tuple[Unit, ...] = ()
    engine: Unit

    def encode(self) -> bytes:
        """The canonical bytes."""
        return json.dumps({"format": FORMAT, **as_dict(self)}, sort_keys=True, separators=(",", ":")).encode()

    @property
    def digest(self) -> str:
        """Its name."""
        return hashlib.sha256(self.encode()).hexdigest()

    def units(self) -> Iterator[Unit]:
        """What a worker needs before the program starts, but for the engine."""
        for root in self.roots:
            yield from root.units
        yield from self.environment
        yield from self.front

    @property
    def distributions(self) -> tuple[Unit, ...]:
        """All that is installed, by name."""
        return tuple(sorted((*self.environment, *(one.unit for one in self.on_demand)), key=attrgetter("name")))


def decode(data: bytes, digest: str) -> Deployment:
    """The deployment behind a digest. Raises DamagedError."""
    if hashlib.sha256(data).hexdigest() != digest:
        raise DamagedError(f"deployment {digest} is damaged: its content does not match its name")
    try:
        parsed: dict[str, Any] = json.loads(data)
        found = parsed.pop("format")
        if found not in _READ:
            raise DamagedError(f"deployment {digest} has format {found}; this version of Moil reads up to {FORMAT}")
        return Deployment(
            entry=EntryPoint(**parsed["entry"]),
            python=parsed["python"],
            implementation=parsed["implementation"],
            native=Native(**parsed["native"]),
            roots=tuple(Root(**{**root, "units": _units(root["units"])}) for root in parsed["roots"]),
            environment=_units(parsed["environment"]),
            on_demand=tuple(map(_on_demand, parsed.get("on_demand", ()))),
            front=_units(parsed.get("front", [])),
            engine=Unit(**parsed["engine"]),
        )
    except (ValueError, LookupError, TypeError) as error:
        raise DamagedError(f"deployment {digest} is damaged: {error}") from error


def _on_demand(row: dict[str, Any]) -> OnDemand:
    return OnDemand(
        unit=Unit(**row["unit"]), import_names=tuple(row["import_names"]), requires=tuple(row["requires"])
    )


def _units(rows: list[dict[str, Any]]) -> tuple[Unit, ...]:
    return tuple(Unit(**row) for row in rows)
