"""What a unit consists of: a canonical listing of paths, kinds and content digests, whose own digest is the unit's name.

STORED FORMAT: listings are objects of job stores and lie in the caches of many machines. A listing that any version of
Moil writes is read by all later ones; a change of what stands here needs a new `FORMAT`, and changes every digest.

A listing says everything about a unit but the bytes, so whoever has verified it (its digest is its name) knows each
path that may be written and each byte that may be in it. That is why paths are checked here, once for all, and why what
travels beside it (`moil.deployment.pack`) needs no structure of its own. Times are not part of it: a file that is
touched is the same file. Names that are not UTF-8 are kept by way of surrogate escapes.
"""

from __future__ import annotations

import hashlib
import json
import posixpath
from collections.abc import Iterable, Iterator
from operator import attrgetter
from typing import Any

from moil.errors import DamagedError
from moil.record import record

FORMAT = 1

FILE, EXECUTABLE, LINK, DIRECTORY = "f", "x", "l", "d"
"""Kinds of items: files without and with the execute bit, symbolic links, directories (listed only where empty)."""


@record(kw_only=False)
class Item:
    """One entry of a unit. `content` is the SHA-256 of a file, the target of a link, and "" for a directory."""

    path: str
    kind: str
    content: str = ""
    size: int = 0

    @property
    def is_file(self) -> bool:
        """Whether it has bytes."""
        return self.kind in (FILE, EXECUTABLE)


@record(kw_only=False)
class Listing:
    """A unit's items, in the order of their paths."""

    items: tuple[Item, ...]

    @staticmethod
    def of(items: Iterable[Item]) -> Listing:
        """The listing of these items. Raises DamagedError for a path that leads out of the unit, or is there twice."""
        listing = Listing(tuple(sorted(items, key=attrgetter("path", "kind", "content", "size"))))
        listing.check()
        return listing

    def encode(self) -> bytes:
        """The canonical bytes."""
        rows = [[one.path, one.kind, one.content, one.size] for one in self.items]
        return json.dumps({"format": FORMAT, "items": rows}, separators=(",", ":")).encode()

    @property
    def digest(self) -> str:
        """The unit's name."""
        return hashlib.sha256(self.encode()).hexdigest()

    @property
    def size(self) -> int:
        """Bytes of all its files."""
        return sum(one.size for one in self.items)

    def files(self) -> Iterator[Item]:
        """The items that have bytes."""
        return (one for one in self.items if one.is_file)

    def check(self) -> None:
        """Raise DamagedError unless every path, followed through every link, stays inside the unit."""
        seen: set[str] = set()
        links = {one.path for one in self.items if one.kind == LINK}
        for one in self.items:
            if not _is_inside(one.path) or one.kind not in (FILE, EXECUTABLE, LINK, DIRECTORY):
                raise DamagedError(f"a listing names {one.path!r}, which does not lie in its unit")
            if one.path in seen or any(above in links for above in _above(one.path)):
                raise DamagedError(f"a listing names {one.path!r} twice, or below a link")
            if one.kind == LINK and not leads_inside(one.path, one.content):
                raise DamagedError(f"a listing has a link {one.path!r} to {one.content!r}, out of its unit")
            seen.add(one.path)


def decode(data: bytes, digest: str) -> Listing:
    """The listing behind a digest. Raises DamagedError if the bytes are not what the digest says, or not well-formed."""
    if hashlib.sha256(data).hexdigest() != digest:
        raise DamagedError(f"listing {digest} is damaged: its content does not match its name")
    try:
        parsed: dict[str, Any] = json.loads(data)
        if parsed["format"] != FORMAT:
            raise DamagedError(f"listing {digest} has format {parsed['format']}; this version of Moil reads {FORMAT}")
        listing = Listing(tuple(Item(path, kind, content, size) for path, kind, content, size in parsed["items"]))
    except (ValueError, LookupError, TypeError) as error:
        raise DamagedError(f"listing {digest} is damaged: {error}") from error
    listing.check()
    return listing


def leads_inside(path: str, target: str) -> bool:
    """Whether a symbolic link at `path` to `target` stays inside the unit."""
    if not target or target.startswith("/") or "\0" in target:
        return False
    return not posixpath.normpath(posixpath.join(posixpath.dirname(path), target)).startswith("..")


def _is_inside(path: str) -> bool:
    parts = path.split("/")
    return bool(path) and "\0" not in path and not any(part in ("", ".", "..") for part in parts)


def _above(path: str) -> Iterator[str]:
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path
