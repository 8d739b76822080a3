"""A job store that fails when it is told to.

The store counts its writes: each `put`, `upload`, `delete`, `destroy` and `open_journal`, and each `append` to a
journal. A run that dies at write 1, 2, 3 … and is resumed each time has died everywhere it matters.

>>> from moil.adapters.memory import MemoryStore
>>> store = FaultyStore(MemoryStore(), Fault(2, "before"))
>>> store.put("a", b"written")
>>> store.put("b", b"lost")
Traceback (most recent call last):
    ...
moil.testing.faults.SimulatedCrash: the process died before write 2
>>> store.writes, list(store.keys(""))
(2, ['a'])
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Literal, TypeAlias, TypeVar

from moil.adapters.directory import DirectoryStore
from moil.errors import StoreError
from moil.ports.job_store import DurableStore, Journal, Shelf

T = TypeVar("T")

When: TypeAlias = Literal["before", "after", "torn", "full"]
"""`before`, `after`: the process dies, the write has not happened, or has. `torn`: it dies in the middle of a write to
the journal, half of which is there (where the store is no `DirectoryStore`, and for objects: nothing is). `full`: the
disk is full; nothing is written, StoreError is raised, and the process lives on."""


class SimulatedCrash(BaseException):
    """The process has died: no code that is written for errors can have run."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens at the `write`-th write, counted from 1."""

    write: int
    when: When


class FaultyStore:
    """A `DurableStore` that hands everything to `store` until a fault is due.

    Raises SimulatedCrash at the fault and at every later write, through this store or a journal that it opened.
    """

    def __init__(self, store: DurableStore, *faults: Fault) -> None:
        self._store = store
        self._faults = {fault.write: fault.when for fault in faults}
        self._crash: SimulatedCrash | None = None
        self._lock = Lock()
        #: How many writes were begun.
        self.writes = 0

    @property
    def locator(self) -> str:
        """The inner store's."""
        return self._store.locator

    @property
    def shelf(self) -> Shelf | None:
        """The inner store's."""
        return self._store.shelf

    @property
    def directory(self) -> Path | None:
        """The inner store's."""
        return self._store.directory

    def get(self, key: str) -> bytes:
        """As the inner store."""
        return self._store.get(key)

    def put(self, key: str, data: bytes, *, if_absent: bool = False) -> None:
        """A write."""
        self.write(lambda: self._store.put(key, data, if_absent=if_absent))

    def download(self, key: str, to: Path) -> None:
        """As the inner store."""
        self._store.download(key, to)

    def upload(self, key: str, path: Path) -> None:
        """A write, even if the object is there already."""
        self.write(lambda: self._store.upload(key, path))

    def keys(self, prefix: str) -> Iterator[str]:
        """As the inner store."""
        return self._store.keys(prefix)

    def delete(self, keys: Iterable[str]) -> None:
        """One write, however many keys there are."""
        self.write(lambda: self._store.delete(keys))

    def close(self) -> None:
        """As the inner store; a dead process's files are closed as well."""
        self._store.close()

    def open_journal(self, first: Sequence[bytes] = (), *, compact: bool = False) -> Journal:
        """A write."""
        return FaultyJournal(self, self.write_journal(lambda: self._store.open_journal(first, compact=compact)))

    def read_journal(self) -> Iterator[bytes]:
        """As the inner store."""
        return self._store.read_journal()

    def destroy(self) -> None:
        """A write."""
        self.write(self._store.destroy)

    def write(self, action: Callable[[], T], torn: Callable[[], object] = lambda: None) -> T:
        """Count a write and do it, unless a fault is due; `torn` is what is done instead of half of it."""
        if self._crash is not None:
            raise SimulatedCrash(*self._crash.args)
        with self._lock:
            self.writes += 1
            number = self.writes
        when = self._faults.get(number)
        if when is None:
            return action()
        if when == "full":
            raise StoreError(f"job store {self.locator}: no space left on device (simulated); free some space")
        if when != "before":
            (torn if when == "torn" else action)()
        self._crash = SimulatedCrash(f"the process died {'in' if when == 'torn' else when} write {number}")
        raise self._crash

    def write_journal(self, action: Callable[[], T]) -> T:
        """As `write`, for what can be torn."""
        return self.write(action, lambda: self._tear(action))

    def _tear(self, action: Callable[[], object]) -> None:
        if isinstance(self._store, DirectoryStore):
            folder = self._store.path / "journal"
            before = {path: path.read_bytes() for path in folder.iterdir()}
            action()
            _halve_last_write(folder, before)


class FaultyJournal:
    """A `Journal` whose appends are writes of a `FaultyStore`."""

    def __init__(self, store: FaultyStore, journal: Journal) -> None:
        self._store = store
        self._journal = journal

    def append(self, records: Sequence[bytes]) -> None:
        """A write."""
        self._store.write_journal(lambda: self._journal.append(records))

    def replay(self) -> Iterator[bytes]:
        """As the inner journal."""
        return self._journal.replay()

    def close(self) -> None:
        """As the inner journal; a dead process's files are closed as well."""
        self._journal.close()


def _halve_last_write(folder: Path, before: dict[Path, bytes]) -> None:
    """Cut the newest file in the middle of what was added to it, and bring back what was deleted afterwards."""
    newest = max(folder.iterdir())
    whole = newest.read_bytes()
    start = len(before[newest]) if newest in before else whole.index(b"\n") + 1
    os.truncate(newest, (start + len(whole)) // 2)
    for path, content in before.items():
        if not path.exists():
            path.write_bytes(content)
