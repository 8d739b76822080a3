"""The shelf of directory stores: hard links to what runs before have uploaded, beside the runs' directories.

    <parent of the stores>/.moil-shelf-<uid>/<key, with + for />

A job store is removed with its run, and its code with it; but the next run mostly has the same code. A hard link costs
nothing, and either side can be removed without the other. Nothing here is believed: what a shelf lends is verified by
whoever reads it, since its name is its digest. Where links are impossible there is no shelf. What nobody has asked for
in a month is taken down, and so are the oldest when there is more than `MOST` bytes.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import groupby

from moil.adapters import disk

MOST = 20 * 1000**3
UNUSED = 30 * 86400.0


class DirectoryShelf:
    """A `Shelf` of one user, for all job stores of one directory."""

    def __init__(self, home: str, path_of: Callable[[str], str], prepare: Callable[[str], None]) -> None:
        """`path_of` gives the file of a key in the store; `prepare` makes the directory that it is in."""
        self._home = os.path.join(home, f".moil-shelf-{os.getuid()}")
        self._path_of, self._prepare = path_of, prepare

    def lend(self, keys: Sequence[str]) -> bool:
        """Link all of these into the store, or none."""
        if not self._is_ours() or not all(os.path.exists(self._shelved(key)) for key in keys):
            return False
        try:
            # Their order is kept: what is named last says that the others are there.
            for folder, some in groupby(keys, key=lambda key: os.path.dirname(self._path_of(key))):
                self._prepare(folder)
                for key in some:
                    with suppress(FileExistsError):
                        os.link(self._shelved(key), self._path_of(key))
                    with suppress(PermissionError):
                        os.utime(self._shelved(key))
                disk.flush_directory(folder)
        except OSError:
            return False
        return True

    def keep(self, keys: Sequence[str]) -> None:
        """Link these out of the store."""
        with suppress(OSError):
            os.makedirs(self._home, mode=0o700, exist_ok=True)
            for key in keys if self._is_ours() else ():
                with suppress(FileExistsError):
                    os.link(self._path_of(key), self._shelved(key))
        self.tidy()

    def tidy(self) -> None:
        """Take down what is old, or too much."""
        with suppress(OSError):
            kept, now = 0, time.time()
            for used, size, path in sorted(self._entries(), reverse=True):
                kept += size
                if kept > MOST or now - used > UNUSED:
                    os.unlink(path)

    def _entries(self) -> Iterator[tuple[float, int, str]]:
        with os.scandir(self._home) as entries:
            for entry in entries:
                found = entry.stat(follow_symlinks=False)
                yield found.st_mtime, found.st_size, entry.path

    def _shelved(self, key: str) -> str:
        return os.path.join(self._home, key.replace("/", "+"))

    def _is_ours(self) -> bool:
        try:
            found = os.lstat(self._home)
        except OSError:
            return False
        return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()
