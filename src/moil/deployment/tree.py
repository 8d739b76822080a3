"""The disk as discovery sees it: each directory is read once, and no file is asked for twice.

What a directory holds is known by kind without asking for each file, so a directory of a hundred thousand files costs
one reading. Links are seen as links; `real` says where they lead.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from importlib.machinery import EXTENSION_SUFFIXES

from moil.record import record

FILE, DIRECTORY, LINK, OTHER = "f", "d", "l", "o"

SUFFIXES = (*EXTENSION_SUFFIXES, ".py", ".pyc")
"""What a module's file may end in, in the order in which Python looks."""
_INITS = frozenset("__init__" + suffix for suffix in SUFFIXES)


@record(kw_only=False)
class Entry:
    """One name in a directory."""

    name: str
    path: str
    kind: str
    _scanned: os.DirEntry[str]

    def status(self) -> os.stat_result | None:
        """Of the file itself, behind a link; asked for once. None if it cannot be had."""
        try:
            return self._scanned.stat()
        except OSError:
            return None


class Tree:
    """What has been read."""

    def __init__(self) -> None:
        self._listings: dict[str, dict[str, Entry]] = {}
        self._real: dict[str, str] = {}
        self.unreadable: list[str] = []

    def listing(self, directory: str) -> dict[str, Entry]:
        """What is in it, by name, in order; empty if there is no such directory, or it cannot be read."""
        found = self._listings.get(directory)
        if found is None:
            found = self._listings[directory] = self._read(directory)
        return found

    def _read(self, directory: str) -> dict[str, Entry]:
        try:
            with os.scandir(directory) as entries:
                found = [Entry(one.name, one.path, _kind(one), one) for one in entries]
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except OSError:
            self.unreadable.append(directory)
            return {}
        return {one.name: one for one in sorted(found, key=lambda one: one.name)}

    def real(self, path: str) -> str:
        """Where a path leads, through all links."""
        found = self._real.get(path)
        if found is None:
            found = self._real[path] = os.path.realpath(path)
        return found

    def is_file(self, directory: str, name: str) -> bool:
        """Whether a directory has a regular file of this name, itself or behind a link."""
        one = self.listing(directory).get(name)
        return one is not None and (one.kind == FILE or (one.kind == LINK and os.path.isfile(one.path)))

    def is_directory(self, directory: str, name: str) -> bool:
        """Whether a directory has a directory of this name, itself or behind a link."""
        one = self.listing(directory).get(name)
        return one is not None and (one.kind == DIRECTORY or (one.kind == LINK and os.path.isdir(one.path)))

    def is_package(self, directory: str) -> bool:
        """Whether it is a regular package."""
        return not _INITS.isdisjoint(self.listing(directory))

    def module(self, directory: str, name: str) -> str:
        """The file name of a module in a directory; "" if there is none."""
        listing = self.listing(directory)
        return next((name + end for end in SUFFIXES if name + end in listing and self.is_file(directory, name + end)), "")


def _kind(entry: os.DirEntry[str]) -> str:
    try:
        if entry.is_symlink():
            return LINK
        if entry.is_dir(follow_symlinks=False):
            return DIRECTORY
        return FILE if entry.is_file(follow_symlinks=False) else OTHER
    except OSError:
        return OTHER


def is_code(name: str) -> bool:
    """Whether a file is shipped as code, whatever the ignore rules say: sources, extension modules, shared libraries."""
    return name.endswith((".py", ".pyw", ".so")) or ".so." in name


def sort_of(path: str) -> str:
    """What a thing is that is neither file, directory nor link, in words."""
    try:
        mode = os.lstat(path).st_mode
    except OSError:
        return "cannot be read"
    sorts = ((stat.S_ISSOCK, "a socket"), (stat.S_ISFIFO, "a pipe"), (stat.S_ISBLK, "a device"), (stat.S_ISCHR, "a device"))
    return next((f"is {words}" for test, words in sorts if test(mode)), "is no regular file")


def ancestors(path: str) -> Iterator[str]:
    """A path, and all directories above it, the nearest first."""
    yield path
    while (above := os.path.dirname(path)) != path:
        yield above
        path = above


def is_below(path: str, directory: str) -> bool:
    """Whether a path is a directory or lies in it, by whole components."""
    return path == directory or path.startswith(directory if directory.endswith("/") else directory + "/")


def inside(directory: str, path: str) -> str:
    """A path relative to a directory that it lies in."""
    return path[len(directory) :].lstrip("/")


def joined(*parts: str) -> str:
    """A path in a unit of those parts that are not empty."""
    return "/".join(part for part in parts if part)
