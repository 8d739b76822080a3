"""How a unit travels: one pack with the bytes of its small files, and each large file by itself.

A pack has no structure of its own. It holds the contents of the listing's files, each content once, in the order in
which the listing first names it; where one ends and the next begins, what it is called and what its digest must be is
said by the listing, which has been verified before. So nothing in a pack can be written to a place that the listing
does not name, and nothing but what was listed. The bytes are a row of zlib streams: text is compressed, and what does
not get much smaller (native code, archives) is stored, because a leader that compresses three hundred megabytes keeps
its user waiting longer than any network would. What few workers will ask for is stored, too.

STORED FORMAT: listings name units, not packs, so how hard a pack is compressed may change; the order may not.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Iterator
from typing import IO, Any, BinaryIO

from moil.deployment.listing import Item, Listing
from moil.errors import DamagedError

ALONE = 4 * 1024 * 1024
"""Files that are larger travel by themselves."""
CHUNK = 1 << 20
PORTION = 1 << 16
"""So much is handled at a time: small enough that the same memory is used for all of it, and no page of it is new."""
_LEVEL = 1
_STORED = (
    *(".so", ".pyc", ".pyd", ".a", ".o", ".gz", ".bz2", ".xz", ".zip", ".whl", ".zst", ".png", ".jpg", ".jpeg", ".gif"),
    *(".woff", ".woff2", ".pdf", ".npz", ".parquet", ".egg", ".jar", ".mp4", ".webp"),
)


def listing_key(digest: str) -> str:
    """Where a unit's listing is in a job store. It is put there last, so if it is there all of the unit is."""
    return f"deploy/listings/{digest}"


def pack_key(digest: str) -> str:
    """Where a unit's pack is."""
    return f"deploy/packs/{digest}"


def file_key(content: str) -> str:
    """Where a large file is, by the SHA-256 of its content."""
    return f"deploy/files/{content}"


def keys(digest: str, listing: Listing) -> list[str]:
    """All that a unit consists of in a job store, its listing last."""
    large = sorted({file_key(one.content) for one in listing.files() if one.size > ALONE})
    small = [pack_key(digest)] if any(True for _ in packed(listing)) else []
    return [*large, *small, listing_key(digest)]


def packed(listing: Listing) -> Iterator[Item]:
    """The items whose content is in the pack, in its order."""
    seen: set[str] = set()
    for one in listing.files():
        if one.size <= ALONE and one.content not in seen:
            seen.add(one.content)
            yield one


class Writer:
    """Writes a pack, content by content."""

    def __init__(self, to: IO[bytes], *, squeezes: bool = True) -> None:
        self._to, self._squeezes = to, squeezes
        self._squeeze: Any = None
        self._stored = False

    def add(self, path: str, data: bytes) -> None:
        """The next content; `path` tells whether it will get smaller."""
        stored = not self._squeezes or _is_dense(path)
        if self._squeeze is None or stored is not self._stored:
            self.close()
            self._squeeze, self._stored = zlib.compressobj(0 if stored else _LEVEL), stored
        for part in _portions(data):
            self._to.write(self._squeeze.compress(part))

    def close(self) -> None:
        """The end: nothing is added any more."""
        if self._squeeze is not None:
            self._to.write(self._squeeze.flush())
            self._squeeze = None


def _portions(data: bytes) -> Iterator[memoryview]:
    """So that what comes of it is not all in memory as well."""
    view = memoryview(data)
    return (view[start : start + PORTION] for start in range(0, len(data), PORTION))


def _is_dense(path: str) -> bool:
    return path.endswith(_STORED) or ".so." in path


class Reader:
    """Gives the contents of a pack one after another, each verified while it is read."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self._inflate = zlib.decompressobj()
        self._rest = b""
        self._ready = memoryview(b"")

    def copy(self, item: Item, write_to: Callable[[bytes | memoryview], object]) -> None:
        """Pass on the next content, which must be this item's. Raises DamagedError."""
        digest, missing = hashlib.sha256(), item.size
        while missing:
            part = self._take(missing)
            digest.update(part)
            write_to(part)
            missing -= len(part)
        if digest.hexdigest() != item.content:
            raise DamagedError(f"the pack that holds {item.path} is damaged: its bytes are not what the listing says")

    def _take(self, most: int) -> memoryview:
        while not self._ready:
            self._fill()
        part, self._ready = self._ready[:most], self._ready[most:]
        return part

    def _fill(self) -> None:
        if self._inflate.eof:
            self._rest, self._inflate = self._inflate.unused_data, zlib.decompressobj()
        data = self._rest or self._source.read(PORTION)
        if not data:
            raise DamagedError("a pack is cut off")
        try:
            self._ready = memoryview(self._inflate.decompress(data, PORTION))
        except zlib.error as error:
            raise DamagedError(f"a pack is damaged: {error}") from None
        self._rest = self._inflate.unconsumed_tail
