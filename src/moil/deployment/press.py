"""One reading of a unit's files: what their digests are, and the pack that carries the small ones.

Reading, hashing and packing a large environment is what a user waits for when it is first shipped, so no file is read
twice: its bytes go into the pack as soon as their digest says that they are not in it yet. Whether the store needs the
pack is known only when the listing is whole; mostly it does, since listings of what has been shipped before are
remembered (`moil.deployment.fingerprints`) and their files are not read at all.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterable
from typing import IO

from moil.deployment import bytecode, pack
from moil.deployment.listing import DIRECTORY, LINK, Item, Listing
from moil.deployment.plan import Source
from moil.errors import UsageError
from moil.record import record


@record(kw_only=False)
class Large:
    """A file that travels by itself."""

    item: Item
    source: Source
    #: Its bytes, where they are not those of the file at home.
    data: bytes | None = None


@record(kw_only=False)
class Pressed:
    """What came of it."""

    listing: Listing
    #: One for each content.
    large: tuple[Large, ...]


def press(sources: Iterable[Source], to: IO[bytes], *, squeezes: bool = True) -> Pressed:
    """Read the files, and write the pack of the small ones, which gets smaller if it `squeezes`.

    Raises UsageError for one that cannot be read, OSError if the pack cannot be written.
    """
    items: list[Item] = []
    large: dict[str, Large] = {}
    packed: set[str] = set()
    writer = pack.Writer(to, squeezes=squeezes)
    for one in sorted(sources, key=lambda source: source.path):
        item, data = _read(one)
        if item is None:
            continue
        items.append(item)
        if item.size > pack.ALONE:
            large.setdefault(item.content, Large(item, one, data))
        elif data is not None and item.content not in packed:
            packed.add(item.content)
            writer.add(item.path, data)
    writer.close()
    return Pressed(Listing.of(items), tuple(large.values()))


def item_of(source: Source) -> Item | None:
    """The item of one file; None if there is nothing to ship after all (a .pyc that does not belong to its source)."""
    return _read(source)[0]


def _read(source: Source) -> tuple[Item | None, bytes | None]:
    """The item, and its bytes unless it has none or is a large file at home."""
    if source.kind == LINK:
        return Item(source.path, LINK, source.target), None
    if source.kind == DIRECTORY:
        return Item(source.path, DIRECTORY), None
    try:
        if source.content is not None:
            data: bytes | None = source.content
        elif source.transform:
            data = bytecode.of_file(source.origin)
        else:
            with io.FileIO(source.origin) as file:
                if os.fstat(file.fileno()).st_size > pack.ALONE:
                    return _large(source, file), None
                data = file.readall()
    except OSError as error:
        raise UsageError(
            f"{source.origin} is to be shipped ({source.reason}) and cannot be read: {error.strerror}; make it readable, "
            f"or leave it out with a line in .moilignore"
        ) from error
    if data is None:
        return None, None
    return Item(source.path, source.kind, hashlib.sha256(data).hexdigest(), len(data)), data


def _large(source: Source, file: io.FileIO) -> Item:
    digest, size, chunk = hashlib.sha256(), 0, memoryview(bytearray(pack.CHUNK))
    while count := file.readinto(chunk):
        digest.update(chunk[:count])
        size += count
    return Item(source.path, source.kind, digest.hexdigest(), size)
