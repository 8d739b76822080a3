"""From a plan to a deployment: reads every file once, names it by its content, and puts what is missing into the store.

A unit is uploaded if the store does not have its listing. What a run before has uploaded beside this store (its *shelf*)
is taken from there, so a second run of the same code sends nothing and an edit sends one unit. Files are read twice,
once for their digest and once for the pack; one that changes in between is noticed by its digest, and its unit is begun
again, so what is frozen is a state that a unit really was in.

Digests are remembered on this machine for each unit, under a fingerprint of its files' names, sizes, times and inodes.
A unit with a file that was written in the last two seconds is not remembered: another write could leave all of these as
they are (the trap that git calls a racily clean entry).
"""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from moil.deployment import bytecode, pack
from moil.deployment.listing import DIRECTORY, EXECUTABLE, FILE, LINK, Item, Listing, decode
from moil.deployment.manifest import Deployment, Native, Root, Unit
from moil.deployment.plan import Plan, PlannedUnit, Source, UnitKind
from moil.errors import DamagedError, UsageError
from moil.ports.job_store import DurableStore, Shelf

RACY = 2.0
MOST_TRIES = 3
THREADS = 4
IN_MEMORY = 4 * 1024 * 1024
"""Packs of so many bytes are made in memory, larger ones in a file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where what is frozen goes, and what helps on the way."""

    store: DurableStore
    #: A directory for packs that are being written.
    scratch: Path
    #: Where listings are remembered on this machine; None: nowhere.
    memory: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What the deployment is for, and the engine that runs it."""

    python: str
    engine: Unit
    native: Native = Native()


@dataclass(slots=True)
class Frozen:
    """What came of it."""

    deployment: Deployment
    #: By the digest of each unit.
    listings: dict[str, Listing] = field(default_factory=dict)
    #: The units that had to be uploaded, and the bytes that this took.
    uploaded: list[str] = field(default_factory=list)
    uploaded_bytes: int = 0


class _Changed(Exception):
    """A file is not what it was a moment ago."""


class Freezer:
    """Freezes the units of one plan."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._shelf: Shelf | None = place.store.shelf
        self._present = set(place.store.keys("deploy/"))
        self._listings: dict[str, Listing] = {}
        self._uploaded: list[str] = []
        self._bytes = 0

    def freeze(self, plan: Plan, target: Target) -> Frozen:
        """Upload what is missing. Raises UsageError for a file that cannot be read, StoreError."""
        threads = min(THREADS, os.cpu_count() or 1)
        with ThreadPoolExecutor(threads, thread_name_prefix="moil-freeze") as pool:
            frozen = list(pool.map(self._unit, sorted(plan.units, key=lambda unit: unit.size, reverse=True)))
        deployment = Deployment(
            entry=plan.entry,
            python=target.python,
            native=target.native,
            engine=target.engine,
            roots=_roots(plan, frozen),
            environment=tuple(
                sorted((unit for planned, unit in frozen if planned.kind is UnitKind.distribution), key=_by_name)
            ),
        )
        key = f"deploy/deployments/{deployment.digest}"
        if key not in self._present:
            self._place.store.put(key, deployment.encode())
        return Frozen(
            deployment=deployment, listings=self._listings, uploaded=self._uploaded, uploaded_bytes=self._bytes
        )

    def _unit(self, planned: PlannedUnit) -> tuple[PlannedUnit, Unit]:
        for _ in range(MOST_TRIES):
            with suppress(_Changed):
                return planned, self._frozen(planned)
        raise UsageError(f"the files of {planned.name} change while they are read; wait until nothing writes to them")

    def _frozen(self, planned: PlannedUnit) -> Unit:
        listing = Memory(self._place.memory).listing(planned)
        digest = listing.digest
        self._listings[digest] = listing
        if pack.listing_key(digest) not in self._present:
            self._provide(planned, digest, listing)
        return Unit(name=planned.name, digest=digest, version=planned.version, size=listing.size)

    def _provide(self, planned: PlannedUnit, digest: str, listing: Listing) -> None:
        keys = pack.keys(digest, listing)
        if self._shelf is None or not self._shelf.lend(keys):
            self._upload(planned, digest, listing)
            self._uploaded.append(planned.name)
            if self._shelf is not None:
                self._shelf.keep(keys)

    def _upload(self, planned: PlannedUnit, digest: str, listing: Listing) -> None:
        sources = {one.path: one for one in planned.sources}
        store = self._place.store
        for item in listing.files():
            if item.size > pack.ALONE and pack.file_key(item.content) not in self._present:
                _check_unchanged(sources[item.path], item)
                store.upload(pack.file_key(item.content), Path(sources[item.path].origin))
                self._bytes += item.size
        if pack.pack_key(digest) in pack.keys(digest, listing):
            self._bytes += self._upload_pack(digest, listing, lambda item: _unchanged(sources[item.path], item))
        data = listing.encode()
        store.put(pack.listing_key(digest), data)
        self._bytes += len(data)

    def _upload_pack(self, digest: str, listing: Listing, read: Callable[[Item], bytes]) -> int:
        if sum(item.size for item in pack.packed(listing)) <= IN_MEMORY:
            buffer = io.BytesIO()
            pack.write(listing, read, buffer)
            self._place.store.put(pack.pack_key(digest), buffer.getvalue())
            return buffer.tell()
        try:
            with tempfile.NamedTemporaryFile(prefix="pack-", dir=self._place.scratch) as file:
                pack.write(listing, read, file)
                file.flush()
                self._place.store.upload(pack.pack_key(digest), Path(file.name))
                return file.tell()
        except OSError as error:
            raise UsageError(
                f"the code cannot be packed in {self._place.scratch}: {error.strerror}; free some space there, or choose "
                "another place with --work-dir"
            ) from error


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


def _by_name(unit: Unit) -> tuple[str, str]:
    return unit.name, unit.digest


class Memory:
    """What the digests of a unit's files were when they were last read."""

    def __init__(self, directory: Path | None) -> None:
        self._directory = directory

    def listing(self, planned: PlannedUnit) -> Listing:
        """The unit's listing, remembered or made anew. Raises UsageError for a file that cannot be read."""
        fingerprint, newest = _fingerprint(planned.sources)
        known = self._recall(fingerprint)
        if known is not None:
            return known
        listing = Listing.of(found for one in planned.sources if (found := item_of(one)) is not None)
        if fingerprint and newest < time.time() - RACY:
            self._remember(fingerprint, listing)
        return listing

    def _recall(self, fingerprint: str) -> Listing | None:
        if self._directory is None or not fingerprint:
            return None
        try:
            data = (self._directory / fingerprint).read_bytes()
            return decode(data[64:], data[:64].decode())
        except (OSError, ValueError, DamagedError):
            return None

    def _remember(self, fingerprint: str, listing: Listing) -> None:
        if self._directory is None:
            return
        with suppress(OSError):  # it is read again next time
            self._directory.mkdir(parents=True, exist_ok=True)
            staged = self._directory / f".{fingerprint}.{os.getpid()}"
            staged.write_bytes(listing.digest.encode() + listing.encode())
            staged.replace(self._directory / fingerprint)


def _fingerprint(sources: Iterable[Source]) -> tuple[str, float]:
    """A digest of all that shows whether a file has changed, and the time of the newest change; "" if none can be had."""
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
                    return "", 0.0
                told += f"{path}\0{found.st_size}\0{found.st_mtime_ns}\0{found.st_ino}\0"
                newest = max(newest, found.st_mtime, found.st_ctime)
        digest.update(told.encode(errors="surrogateescape"))
    return digest.hexdigest(), newest


def item_of(source: Source) -> Item | None:
    """The item of one file; None if there is nothing to ship after all (a .pyc that does not belong to its source)."""
    if source.kind == LINK:
        return Item(source.path, LINK, source.target)
    if source.kind == DIRECTORY:
        return Item(source.path, DIRECTORY)
    if source.content is None and not source.transform:
        digest, size = _digest(source)
        return Item(source.path, source.kind, digest, size)
    data = read(source)
    return None if data is None else Item(source.path, source.kind, hashlib.sha256(data).hexdigest(), len(data))


def read(source: Source) -> bytes | None:
    """The bytes that stand for a file. Raises UsageError."""
    if source.content is not None:
        return source.content
    try:
        return bytecode.of_file(source.origin) if source.transform else Path(source.origin).read_bytes()
    except OSError as error:
        raise _unreadable(source, error) from error


def _digest(source: Source) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    try:
        with open(source.origin, "rb", buffering=0) as file:
            while chunk := file.read(pack.CHUNK):
                digest.update(chunk)
                size += len(chunk)
    except OSError as error:
        raise _unreadable(source, error) from error
    return digest.hexdigest(), size


def _unreadable(source: Source, error: OSError) -> UsageError:
    return UsageError(
        f"{source.origin} is to be shipped ({source.reason}) and cannot be read: {error.strerror}; make it readable, or "
        f"leave it out with a line in .moilignore"
    )


def _unchanged(source: Source, item: Item) -> bytes:
    data = read(source)
    if data is None or hashlib.sha256(data).hexdigest() != item.content:
        raise _Changed
    return data


def _check_unchanged(source: Source, item: Item) -> None:
    if _digest(source) != (item.content, item.size):
        raise _Changed
