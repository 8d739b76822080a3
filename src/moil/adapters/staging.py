"""A local file on its way into a store that is a directory: the file itself, or a copy of it.

Each job that saves a file is a fork, and the first to do what is done here; it pays for every page of memory that it is the
first to write to. So this is plain: no generators inside each other, and the file system is asked everything once.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable
from typing import Self, TypeAlias

from moil.adapters import disk

PublishAs: TypeAlias = Callable[[int, str, str], str]

_OLD = 3600.0
"""Seconds since it was written after which a file gets a new time, lest it be taken for one that was abandoned."""


class StagedFile:
    """A copy: see `moil.ports.job_store.Staged`. No record, whose constructor would have to be made first."""

    __slots__ = ("file", "publish")
    taken = False

    def __init__(self, file: int, publish: Callable[[str], None]) -> None:
        self.file, self.publish = file, publish


class TakenFile:
    """The file itself: see `moil.ports.job_store.Staged`. At the end of the block it is put back unless it was published.

    `publish_as` is given the descriptor, where the file lies, and the key, and says where it lies then.
    """

    __slots__ = ("_before", "_is_published", "_local", "_path", "_publish_as", "_temporary", "file")
    taken = True

    def __init__(self, file: int, before: os.stat_result, local: str, temporary: str, publish_as: PublishAs) -> None:
        self.file, self._before, self._local, self._temporary = file, before, local, temporary
        self._path, self._publish_as, self._is_published = temporary, publish_as, False

    def __enter__(self) -> Self:
        return self

    def publish(self, key: str) -> None:
        """Make it the object under this key, durable when this returns."""
        self._path = self._publish_as(self.file, self._path, key)
        self._is_published = True

    def __exit__(self, *_: object) -> None:
        try:
            if not self._is_published:
                self._put_back()
            elif self._path == self._temporary:
                os.unlink(self._path)
        except OSError as error:
            raise disk.file_error("give away", self._local, error) from error
        finally:
            os.close(self.file)

    def _put_back(self) -> None:
        """Unless it has got its name in the store: then what failed came after that, and others may rely on it."""
        if not os.path.exists(self._temporary):
            return
        os.fchmod(self.file, stat.S_IMODE(self._before.st_mode))
        os.utime(self.file, ns=(self._before.st_atime_ns, self._before.st_mtime_ns))
        os.rename(self._temporary, self._local)


def take(local: str, temporary: str, publish_as: PublishAs) -> TakenFile | None:
    """Move a file of the user's to `temporary`, on its way to the disk, if nobody else can change it. Raises FileError."""
    file, before = disk.open_user_file(local)
    try:
        if not disk.take(file, before, local, temporary):
            os.close(file)
            return None
        if time.time() - before.st_mtime > _OLD:
            os.utime(file)
    except BaseException:
        os.close(file)
        raise
    disk.begin_flush(file)
    return TakenFile(file, before, local, temporary, publish_as)
