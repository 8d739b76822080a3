"""A unit out of a job store onto a disk: every byte verified, nothing written that its listing does not name."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from moil.deployment import pack
from moil.deployment.listing import DIRECTORY, EXECUTABLE, LINK, Item, Listing
from moil.errors import DamagedError
from moil.ports.job_store import JobStore

TIME = 946_684_800
"""The time of every file: 1 January 2000. A .pyc that Python writes beside a source stays valid for ever then."""


def extract(digest: str, listing: Listing, store: JobStore, into: Path) -> None:
    """Write a unit to ``into/unit``, verifying every byte. Raises DamagedError, OSError, StoreError."""
    root = into / "unit"
    root.mkdir()
    _make_directories(root, listing)
    first: dict[str, Item] = {}
    small = list(pack.packed(listing))
    if small:
        carried = into / "pack"
        store.download(pack.pack_key(digest), carried)
        with carried.open("rb") as source:
            reader = pack.Reader(source)
            for item in small:
                _write(f"{root}/{item.path}", item.kind, lambda put, item=item: reader.copy(item, put))  # type: ignore[misc]
                first[item.content] = item
        carried.unlink()
    for item in listing.files():
        if item.content not in first:
            _fetch_large(item, store, root / item.path)
            _settle(root / item.path, item.kind)
            first[item.content] = item
        elif first[item.content] is not item:
            shutil.copyfile(root / first[item.content].path, root / item.path)
            _settle(root / item.path, item.kind)
    for item in listing.items:
        if item.kind == LINK:
            (root / item.path).symlink_to(item.content)


def _make_directories(root: Path, listing: Listing) -> None:
    made = {""}
    for item in listing.items:
        folder = item.path if item.kind == DIRECTORY else item.path.rpartition("/")[0]
        if folder not in made:
            os.makedirs(root / folder, exist_ok=True)
            made.add(folder)


def _write(path: str, kind: str, fill: Callable[[Callable[[bytes | memoryview], object]], None]) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _mode(kind))
    try:
        fill(lambda part: _write_all(descriptor, part))
        os.utime(descriptor, (TIME, TIME))
    finally:
        os.close(descriptor)


def _mode(kind: str) -> int:
    return 0o555 if kind == EXECUTABLE else 0o444


def _write_all(descriptor: int, data: bytes | memoryview) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _fetch_large(item: Item, store: JobStore, place: Path) -> None:
    store.download(pack.file_key(item.content), place)
    if place.stat().st_nlink > 1:  # the store's own file: never to be touched
        linked = place.with_name(place.name + ".moil-link")
        place.rename(linked)
        with place.open("xb", buffering=0) as copy:
            found = _digest(linked, lambda part: _write_all(copy.fileno(), part))
        linked.unlink()
    else:
        found = _digest(place, lambda _part: None)
    if found != item.content:
        raise DamagedError(f"{item.path} in the job store is damaged: its bytes are not what the listing says")


def _digest(path: Path, pass_on: Callable[[memoryview], None]) -> str:
    """The digest of a file, whose bytes are passed on once they count."""
    digest, buffer = hashlib.sha256(), memoryview(bytearray(pack.PORTION))
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(buffer):
            digest.update(buffer[:count])
            pass_on(buffer[:count])
    return digest.hexdigest()


def _settle(path: Path, kind: str) -> None:
    os.chmod(path, _mode(kind))
    os.utime(path, (TIME, TIME))


def is_intact(root: Path, listing: Listing) -> bool:
    """Whether a unit on the disk is what its listing says."""
    try:
        for item in listing.items:
            path = root / item.path
            if item.kind == LINK:
                if os.readlink(path) != item.content:
                    return False
            elif item.is_file:
                with path.open("rb") as file:
                    if hashlib.file_digest(file, "sha256").hexdigest() != item.content:
                        return False
                if os.access(path, os.X_OK) is not (item.kind == EXECUTABLE):
                    return False
    except OSError:
        return False
    return True


def remove_tree(place: Path) -> None:
    """Remove a directory of ours, read-only files and all."""
    shutil.rmtree(place, ignore_errors=True)
