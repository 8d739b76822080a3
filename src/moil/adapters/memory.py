"""A job store in memory: for simulations and tests, and for runs that need not outlive their process.

What a process cannot lose by dying stands in a `MemoryDisk`. A second `MemoryStore` on the same one sees all that was
written through the first, as another process would; its leader fences out the first one's.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from threading import RLock

from moil.adapters import disk
from moil.adapters.keys import check_key
from moil.errors import FencedError, KeyExists, NoSuchKey, StoreError
from moil.ports.job_store import Shelf
from moil.record import field, record


@record(kw_only=False, frozen=False)
class MemoryDisk:
    """What outlives a `MemoryStore`: for each key its bytes and the mode of a copy, and the journal."""

    objects: dict[str, tuple[bytes, int]] = field(default_factory=dict[str, tuple[bytes, int]])
    records: list[bytes] = field(default_factory=list[bytes])
    #: How many leaders have opened the journal.
    incarnation: int = 0
    lock: RLock = field(default_factory=RLock)


class MemoryJournal:
    """A `Journal` in memory. Safe for threads."""

    def __init__(self, shared: MemoryDisk, number: int) -> None:
        self._disk = shared
        self._number = number
        self._closed = False

    def append(self, records: Sequence[bytes]) -> None:
        """Add the records, or none of them. Raises FencedError, and StoreError once it is closed."""
        with self._disk.lock:
            self._check_open()
            self._disk.records += records

    def replay(self) -> Iterator[bytes]:
        """All records as of now. Raises as `append`."""
        with self._disk.lock:
            self._check_open()
            return iter(self._disk.records.copy())

    def close(self) -> None:
        """The records stay."""
        self._closed = True

    def _check_open(self) -> None:
        if self._number != self._disk.incarnation:
            raise _fenced()
        if self._closed:
            raise StoreError("job store memory: the journal is closed")


class MemoryStore:
    """A `DurableStore` on a `MemoryDisk`, a new one unless `shared` is given. Safe for threads."""

    locator = "memory:"
    shelf: Shelf | None = None
    directory: Path | None = None

    def __init__(self, shared: MemoryDisk | None = None) -> None:
        self.disk = MemoryDisk() if shared is None else shared
        self._held = 0

    def get(self, key: str) -> bytes:
        """The object's bytes. Raises NoSuchKey."""
        return self._object(key)[0]

    def put(self, key: str, data: bytes, *, if_absent: bool = False) -> None:
        """Write an object. Raises KeyExists."""
        check_key(key)
        with self.disk.lock:
            if if_absent and key in self.disk.objects:
                raise KeyExists(f"the job store holds an object {key} already")
            self.disk.objects[key] = (data, 0o444)

    def download(self, key: str, to: Path) -> None:
        """Write the object to `to`, read-only. Raises NoSuchKey, and FileError if `to` exists or cannot be written."""
        data, mode = self._object(key)
        path = os.fspath(to)
        with disk.new_user_file(path, mode) as fd, disk.explained_file("write", path):
            disk.write_all(fd, data)

    def upload(self, key: str, path: Path) -> None:
        """Write an object from a local file, keeping its execute bit. Raises FileError if that cannot be read."""
        check_key(key)
        with self.disk.lock:
            if key in self.disk.objects:
                return
        with disk.user_file(os.fspath(path)) as (fd, mode):
            data = b"".join(iter(lambda: disk.read_user_file(fd, os.fspath(path)), b""))
        with self.disk.lock:
            self.disk.objects.setdefault(key, (data, mode))

    def keys(self, prefix: str) -> Iterator[str]:
        """The keys of this moment that start with `prefix`, in order."""
        with self.disk.lock:
            return iter(sorted(key for key in self.disk.objects if key.startswith(prefix)))

    def delete(self, keys: Iterable[str]) -> None:
        """Remove objects; absent ones are no error."""
        for key in keys:
            check_key(key)
            with self.disk.lock:
                self.disk.objects.pop(key, None)

    def close(self) -> None:
        """Nothing is held open."""

    def open_journal(self, first: Sequence[bytes] = (), *, compact: bool = False) -> MemoryJournal:
        """Begin a new incarnation of the journal with the records `first`, with `compact` instead of all others.

        Raises FencedError if with `compact` the newest incarnation is not the one that was opened here before.
        """
        with self.disk.lock:
            if compact:
                self._check_held()
                self.disk.records.clear()
            self.disk.incarnation += 1
            self._held = self.disk.incarnation
            journal = MemoryJournal(self.disk, self._held)
            journal.append(first)
        return journal

    def read_journal(self) -> Iterator[bytes]:
        """All records as of now, without taking the run over."""
        with self.disk.lock:
            return iter(self.disk.records.copy())

    def destroy(self) -> None:
        """Forget everything."""
        with self.disk.lock:
            self.disk.objects.clear()
            self.disk.records.clear()
            self.disk.incarnation += 1

    def _object(self, key: str) -> tuple[bytes, int]:
        check_key(key)
        with self.disk.lock:
            try:
                return self.disk.objects[key]
            except KeyError:
                raise NoSuchKey(f"job store memory: holds no object {key}") from None

    def _check_held(self) -> None:
        if self._held not in {0, self.disk.incarnation}:
            raise _fenced()
        if self._held != self.disk.incarnation:
            raise StoreError("job store memory: open the journal before compacting it")


def _fenced() -> FencedError:
    return FencedError("job store memory: another leader has taken this run over; this leader stops")
