"""From a plan to a deployment: names each unit by its content, and puts what is missing into the store.

A unit is uploaded if the store does not have its listing. What a run before has uploaded beside this store (its *shelf*)
is taken from there, so a second run of the same code sends nothing and an edit sends one unit. A unit whose files change
while they are read is begun again, so what is frozen is a state that it really was in.
"""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from moil.deployment import pack
from moil.deployment.fingerprints import Fingerprint, Known, Memory
from moil.deployment.manifest import Deployment, Native, OnDemand, Root, Unit
from moil.deployment.plan import Plan, PlannedUnit, UnitKind
from moil.deployment.press import Large, Pressed, press
from moil.errors import UsageError
from moil.ports.job_store import DurableStore, Shelf
from moil.record import field, record

MOST_TRIES = 3
THREADS = 4
IN_MEMORY = 1024 * 1024
"""Packs of units of so many bytes are made in memory, larger ones in a file."""


@record
class Place:
    """Where what is frozen goes, and what helps on the way."""

    store: DurableStore
    #: A directory for packs that are being written.
    scratch: Path
    #: Where listings are remembered on this machine; None: nowhere.
    memory: Path | None = None


@record
class Target:
    """What the deployment is for, and the engine that runs it."""

    python: str
    engine: Unit
    native: Native = Native()


@record(kw_only=False, frozen=False)
class Frozen:
    """What came of it."""

    deployment: Deployment
    #: The units that had to be uploaded, and the bytes that this took.
    uploaded: list[str] = field(default_factory=list)
    uploaded_bytes: int = 0


class _Changed(Exception):
    """A file is not what it was a moment ago."""


class Freezer:
    """Freezes the units of one plan."""

    def __init__(self, place: Place) -> None:
        self._place, self._memory = place, Memory(place.memory)
        self._shelf: Shelf | None = place.store.shelf
        self._present = set(place.store.keys("deploy/"))
        #: Units that were uploaded, and bytes.
        self._sent: list[tuple[str, int]] = []

    def freeze(self, plan: Plan, target: Target) -> Frozen:
        """Upload what is missing. Raises UsageError for a file that cannot be read, StoreError."""
        frozen = self._units(plan.units)
        deployment = Deployment(
            entry=plan.entry,
            python=target.python,
            native=target.native,
            engine=target.engine,
            roots=_roots(plan, frozen),
            environment=_of_kind(frozen, UnitKind.distribution),
            on_demand=tuple(
                OnDemand(unit=unit, import_names=planned.import_names, requires=planned.requires)
                for planned, unit in sorted(frozen, key=lambda pair: pair[1].name)
                if planned.kind is UnitKind.on_demand
            ),
            front=_of_kind(frozen, UnitKind.front),
        )
        key = f"deploy/deployments/{deployment.digest}"
        if key not in self._present:
            self._place.store.put(key, deployment.encode())
        return Frozen(
            deployment=deployment,
            uploaded=[name for name, _ in self._sent],
            uploaded_bytes=sum(size for _, size in self._sent),
        )

    def _units(self, units: Sequence[PlannedUnit]) -> list[tuple[PlannedUnit, Unit]]:
        """Most of the time all is known, and then no thread is begun."""
        recalled = [(planned, self._memory.recall(Fingerprint.found(planned.sources))) for planned in units]
        self._take_up([known for _, known in recalled if known is not None])
        frozen = [(planned, _unit(planned, known)) for planned, known in recalled if known is not None and self._has(known)]
        done = {id(planned) for planned, _ in frozen}
        rest = sorted((one for one in units if id(one) not in done), key=lambda unit: unit.size, reverse=True)
        if rest:
            threads = min(THREADS, os.cpu_count() or 1)
            with ThreadPoolExecutor(threads, thread_name_prefix="moil-freeze") as pool:
                frozen += pool.map(self._unit, rest)
        return frozen

    def _take_up(self, units: Sequence[Known]) -> None:
        """Have what is known from the shelf, all at once: each time costs a flush of every directory that is written to."""
        missing = [one.keys for one in units if pack.listing_key(one.digest) not in self._present]
        keys = [*(key for some in missing for key in some[:-1]), *(some[-1] for some in missing)]
        if keys and self._shelf is not None and self._shelf.lend(keys):
            self._present.update(keys)

    def _unit(self, planned: PlannedUnit) -> tuple[PlannedUnit, Unit]:
        for _ in range(MOST_TRIES):
            with suppress(_Changed):
                return planned, self._frozen(planned)
        raise UsageError(f"the files of {planned.name} change while they are read; wait until nothing writes to them")

    def _frozen(self, planned: PlannedUnit) -> Unit:
        fingerprint = Fingerprint.of(planned.sources)
        known = self._memory.recall(fingerprint)
        if known is None or not self._has(known):
            known = self._read(planned, fingerprint)
            self._memory.remember(fingerprint, known)
        return _unit(planned, known)

    def _has(self, unit: Known) -> bool:
        """Whether the store has the unit, now that the shelf has been asked."""
        if pack.listing_key(unit.digest) in self._present:
            return True
        return self._shelf is not None and self._shelf.lend(unit.keys)

    def _read(self, planned: PlannedUnit, fingerprint: Fingerprint) -> Known:
        with self._scratch(planned) as file:
            pressed = press(planned.sources, file, squeezes=planned.kind is not UnitKind.on_demand)
            known = Known.of(pressed.listing)
            if not self._has(known):
                self._upload(planned, fingerprint, known, pressed, file)
            elif Fingerprint.of(planned.sources) != fingerprint:
                raise _Changed
        return known

    def _upload(
        self, planned: PlannedUnit, fingerprint: Fingerprint, known: Known, pressed: Pressed, packed: IO[bytes]
    ) -> None:
        store, digest = self._place.store, known.digest
        sent = self._upload_large(pressed.large)
        if Fingerprint.of(planned.sources) != fingerprint:
            # The bytes behind the digest of a large file may be others.
            store.delete(key for key, _ in sent)
            raise _Changed
        size = sum(size for _, size in sent)
        if pack.pack_key(digest) in known.keys:
            packed.flush()
            size += packed.tell()
            if isinstance(packed, io.BytesIO):
                store.put(pack.pack_key(digest), packed.getvalue())
            else:
                store.upload(pack.pack_key(digest), Path(packed.name))
        data = pressed.listing.encode()
        store.put(pack.listing_key(digest), data)
        self._sent.append((planned.name, size + len(data)))
        if self._shelf is not None:
            self._shelf.keep(known.keys)

    def _upload_large(self, large: Sequence[Large]) -> list[tuple[str, int]]:
        """Those that are not there; their keys and sizes."""
        sent = []
        for one in large:
            key = pack.file_key(one.item.content)
            if key not in self._present:
                if one.data is None:
                    self._place.store.upload(key, Path(one.source.origin))
                else:
                    self._place.store.put(key, one.data)
                sent.append((key, one.item.size))
        return sent

    @contextmanager
    def _scratch(self, planned: PlannedUnit) -> Iterator[IO[bytes]]:
        """Where a unit's pack is written. Raises UsageError if that is impossible."""
        if planned.size <= IN_MEMORY:
            yield io.BytesIO()
            return
        try:
            with tempfile.NamedTemporaryFile(prefix="pack-", dir=self._place.scratch) as file:
                yield file
        except OSError as error:
            raise UsageError(
                f"the code cannot be packed in {self._place.scratch}: {error.strerror}; free some space there, or choose "
                "another place with --work-dir"
            ) from error


def _unit(planned: PlannedUnit, known: Known) -> Unit:
    return Unit(name=planned.name, digest=known.digest, version=planned.version, size=known.size)


def _roots(plan: Plan, frozen: Sequence[tuple[PlannedUnit, Unit]]) -> tuple[Root, ...]:
    return tuple(
        Root(
            units=tuple(sorted((unit for planned, unit in frozen if planned.root == number), key=_by_name)),
            after_site=root.after_site,
            archive=root.archive,
            inner=root.inner,
        )
        for number, root in enumerate(plan.roots)
    )


def _of_kind(frozen: Sequence[tuple[PlannedUnit, Unit]], kind: UnitKind) -> tuple[Unit, ...]:
    return tuple(sorted((unit for planned, unit in frozen if planned.kind is kind), key=_by_name))


def _by_name(unit: Unit) -> tuple[str, str]:
    return unit.name, unit.digest
