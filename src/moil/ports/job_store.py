"""Where a run keeps what it must not lose.

Seven methods on named objects, and a way to open the journal beside them. Keys are relative POSIX paths of
``[A-Za-z0-9._/-]`` without ``.`` or ``..`` parts. What lies below ``private/`` is for the owner alone, where the store
knows owners. An object is whole or absent: nobody ever reads a part of one.
`put` and `upload` are durable when they return. An object under a given key is written once; putting other bytes under
a key that exists is only allowed where a caller can live with readers that see either.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from os import PathLike
from pathlib import Path
from typing import Protocol, TypeAlias


class Journal(Protocol):
    """An append-only sequence of records that outlives any process (see `moil.runtime.journal` for what is in them)."""

    def append(self, records: Sequence[bytes]) -> None:
        """Write the records as one unit: all are durable when this returns. Raises FencedError, StoreError."""
        ...

    def replay(self) -> Iterator[bytes]:
        """All records that were ever acknowledged, oldest first, up to this journal's own. Raises DamagedError."""
        ...

    def close(self) -> None:
        """Let go of files and locks."""
        ...


class JobStore(Protocol):
    """Named immutable objects. Raises NoSuchKey, KeyExists, StoreError."""

    def get(self, key: str) -> bytes:
        """The object's bytes."""
        ...

    def put(self, key: str, data: bytes, *, if_absent: bool = False) -> None:
        """Write an object; with `if_absent`, exactly one of several writers succeeds and the others get KeyExists."""
        ...

    def download(self, key: str, to: Path) -> None:
        """Make a local file `to` (which must not exist) of the object; it may be a hard link, so never write to it."""
        ...

    def upload(self, key: str, path: Path) -> None:
        """Write an object from a local file, streaming; does nothing if the key is there already."""
        ...

    def keys(self, prefix: str) -> Iterator[str]:
        """The keys that start with `prefix`, in order."""
        ...

    def delete(self, keys: Iterable[str]) -> None:
        """Remove objects; absent ones are no error."""
        ...

    def close(self) -> None:
        """Let go of connections."""
        ...


class Staged(Protocol):
    """A frozen copy of a local file, which is on its way into the store and has no key yet."""

    @property
    def file(self) -> int:
        """The copy, open for reading; nobody says at which place."""
        ...

    @property
    def taken(self) -> bool:
        """Whether it is the local file itself: then that is gone from its place, once this was published."""
        ...

    def publish(self, key: str, /) -> None:
        """Make it the object under this key, durable when this returns; does nothing if the key is there already."""
        ...


class Stage(Protocol):
    """What a store that is a disk offers as `stage`."""

    def __call__(self, path: str | PathLike[str], *, move: bool = False) -> AbstractContextManager[Staged]:
        """Copy a local file in, so that what the key is made of can be found out while the bytes are being flushed.

        The copy is gone at the end of the block unless it was published. With `move` the file itself may be taken instead,
        if nobody else can change it; then it is gone from its place once it was published, and at its place again if it was
        not. So this is for files that nobody would miss if this process was killed meanwhile. Raises FileError.
        """
        ...


ObjectPath: TypeAlias = Callable[[str], Path]
"""What a store whose objects are files on this machine offers as `object_path`: the file of the object under a key."""


class Shelf(Protocol):
    """What outlives a run beside its store: objects named by their content, for the next run to take up."""

    def lend(self, keys: Sequence[str]) -> bool:
        """Have the store hold all these objects, if the shelf does; whether that is so now."""
        ...

    def keep(self, keys: Sequence[str]) -> None:
        """Put these objects of the store on the shelf too. A shelf that cannot is no error: it only saves time."""
        ...


class DurableStore(JobStore, Protocol):
    """A job store that can also hold a run's journal: what a run needs."""

    @property
    def locator(self) -> str:
        """What to pass as ``--job-store`` to find this store again."""
        ...

    @property
    def shelf(self) -> Shelf | None:
        """The shelf beside this store, if it has one."""
        ...

    @property
    def directory(self) -> Path | None:
        """A directory that goes with the store and that all machines see, for what others write; None: there is none."""
        ...

    def open_journal(self, first: Sequence[bytes] = (), *, compact: bool = False) -> Journal:
        """Begin a new incarnation of the journal, fencing out the one before.

        `first` is appended before anything else; with `compact` it replaces all that was written before, which is then
        deleted. Raises StoreError if another leader holds the run at this moment.
        """
        ...

    def read_journal(self) -> Iterator[bytes]:
        """All acknowledged records, without taking the run over; stops quietly at a torn tail."""
        ...

    def destroy(self) -> None:
        """Remove the store and all that is in it."""
        ...
