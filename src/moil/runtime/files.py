"""Files of an attempt: into the job store by content, out of it as read-only local copies.

An object ``files/<sha256>`` is the content of a file (``.x`` if it may be executed: a hard link cannot change that),
``files/<sha256>.dir`` a listing of a directory, whose files are objects of their own. A local copy is a hard link to the
store's own file where that lies on the same disk; else it comes to the machine's cache once and from there into each
attempt's directory.

STORED FORMAT: the keys, and the listing ({"v": 1, "entries": [[path, kind, target]]}).
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from moil.authoring import plain
from moil.authoring.file import File
from moil.errors import DamagedError, FileError, MoilError
from moil.ports.job_store import JobStore, ObjectPath, Stage
from moil.runtime.codec import content_digest

if TYPE_CHECKING:
    import hashlib

LISTING = 1
_CHUNK = 1 << 16
WORTH_STAGING = 1 << 18, 1 << 26
"""Bytes of files that are hashed while their copy is being flushed, from and to: smaller ones have little to wait for,
and a larger one may be there already, which would be found out too late."""
MOST_EVICTIONS = 3
"""How often a copy is fetched again that others have evicted before it was linked."""


class FileAccess:
    """Saves and fetches the files of one attempt. `cache` is shared by the attempts on this machine, `local` is not.

    What lies in `scratch` goes with the attempt, so what is given away there may be moved into the store. No part of either
    path is a link.
    """

    def __init__(self, store: JobStore, cache: Path, local: Path, scratch: Path | None = None) -> None:
        self._store, self._cache, self._local = store, cache, local
        self._scratch, self._home = scratch, str(scratch)
        self._stage: Stage | None = getattr(store, "stage", None)
        self._object_path: ObjectPath | None = getattr(store, "object_path", None)
        self._fetched: dict[tuple[str, str], Path] = {}
        #: Digests of all that was saved, listings and their parts.
        self.saved: set[str] = set()

    def save(self, path: str | os.PathLike[str], *, move: bool = False) -> File:
        """Store the content as it is now; with `move` it is gone from its place then. Raises FileError, StoreError.

        A local copy that was fetched stays in any case: who has it relies on it.
        """
        where = os.fspath(path)
        folder, _, name = where.rpartition("/")
        try:
            found = os.stat(where)
            #: As most is; there are no links on the way there.
            is_in_reach = folder == self._home and name != ".." and not stat.S_ISLNK(os.lstat(where).st_mode)
            real = where if is_in_reach or not move else os.path.realpath(where)
            move = move and (is_in_reach or not _lies_in(real, self._local))
            if stat.S_ISDIR(found.st_mode):
                return self._move_tree(Path(where), real) if move else self._save_tree(Path(where))
            may_be_taken = move and (is_in_reach or self._is_in_scratch(real))
            digest, size, taken = self._save_file(where, found, move=may_be_taken)
            if move and not taken:
                Path(where).unlink(missing_ok=True)
        except OSError as error:
            raise FileError(f"cannot save {where}: {error.strerror or error}") from error
        return File.stored(name, digest, size)

    def _save_file(self, path: str, found: os.stat_result, *, move: bool) -> tuple[str, int, bool]:
        """Its digest and size, and whether it was taken from its place."""
        if not stat.S_ISREG(found.st_mode):
            raise FileError(f"cannot save {path}: it is neither a file nor a directory")
        kind = File.EXECUTABLE if found.st_mode & 0o100 else ""
        if self._stage and (move or WORTH_STAGING[0] <= found.st_size <= WORTH_STAGING[1]):
            with self._stage(path, move=move) as staged:
                content, size = digest_of(staged.file)
                staged.publish(f"files/{content}{kind}")
            taken = staged.taken
        else:
            content, size = file_digest(path)
            self._store.upload(f"files/{content}{kind}", Path(path))
            taken = False
        digest = content + kind
        self.saved.add(digest)
        return digest, size, taken

    def _is_in_scratch(self, real: str) -> bool:
        return self._scratch is not None and _lies_in(real, self._scratch)

    def _move_tree(self, root: Path, real: str) -> File:
        """All of it, or nothing: what was taken of a directory that cannot be saved whole is put back."""
        if root.is_symlink():
            saved = self._save_tree(root)
            root.unlink()
            return saved
        if self._scratch is not None and _lies_in(str(self._scratch), real):
            raise FileError(f"cannot give away {root}: it is where the job works; give away a directory in it")
        taken: dict[Path, tuple[str, int]] = {}
        try:
            saved = self._save_tree(root, taken if self._is_in_scratch(real) else None)
            aside = root.with_name(f".{root.name}-{os.urandom(4).hex()}")
            root.rename(aside)
        except BaseException:
            for path, (digest, mode) in taken.items():
                if not path.exists():
                    self._put_back(digest, path, mode)
            raise
        plain.discard(aside)
        return saved

    def _put_back(self, digest: str, path: Path, mode: int) -> None:
        """As a file of its own, which may be changed; where there is no room for that as the store's, to be read only."""
        link = path.with_name(f".{digest}")
        with contextlib.suppress(OSError, MoilError):
            self._place(digest, link)
            copy = link.with_suffix(".copy")
            try:
                plain.shell().copyfile(link, copy)
                copy.chmod(mode)
                copy.replace(path)
                link.unlink()
            except OSError:
                copy.unlink(missing_ok=True)
                link.replace(path)

    def _save_tree(self, root: Path, taken: dict[Path, tuple[str, int]] | None = None) -> File:
        """With `taken` the files may be moved, and are noted there with their modes."""
        entries, total = [], 0
        for path in _walk(root):
            name = path.relative_to(root).as_posix()
            if path.is_symlink():
                entries.append((name, "link", _inner_link(root, path)))
            elif path.is_dir():
                entries.append((name, "dir", ""))
            else:
                found = path.stat()
                digest, size, _ = self._save_file(str(path), found, move=taken is not None)
                if taken is not None:
                    taken[path] = digest, stat.S_IMODE(found.st_mode)
                entries.append((name, "file", digest))
                total += size
        listing = json.dumps({"v": LISTING, "entries": entries}).encode()
        digest = content_digest(listing) + File.DIRECTORY
        self._store.put(f"files/{digest}", listing)
        self.saved.add(digest)
        return File.stored(root.name, digest, total)

    def fetch(self, file: File) -> Path:
        """A local copy under the file's own name. Raises FileError, StoreError, DamagedError."""
        assert file.digest is not None
        known = self._fetched.get((file.digest, file.name))
        if known is not None:
            return known
        target = self._local / file.digest[:16] / file.name
        try:
            _make_directory(target.parent)
            if not target.exists():
                self._place(file.digest, target)
        except OSError as error:
            raise FileError(f"cannot make a local copy of {file.name} at {target}: {error.strerror or error}") from error
        self._fetched[file.digest, file.name] = target
        return target

    def _place(self, digest: str, target: Path) -> None:
        if digest.endswith(File.DIRECTORY):
            self._place_tree(digest, target)
            return
        if self._linked(digest, target):
            return
        for _ in range(MOST_EVICTIONS):
            with contextlib.suppress(FileNotFoundError):  # it was evicted a moment ago
                _copy(self._cached(digest), target)
                return
        _copy(self._cached(digest), target)

    def _linked(self, digest: str, target: Path) -> bool:
        """Make it a second name of the store's own file, where that lies on the same disk: there is nothing to copy."""
        if self._object_path is None:
            return False
        try:
            os.link(self._object_path(f"files/{digest}"), target)
        except OSError:
            return False
        return True

    def _place_tree(self, digest: str, target: Path) -> None:
        data = self._store.get(f"files/{digest}")
        if content_digest(data) != digest.removesuffix(File.DIRECTORY):
            raise DamagedError(f"object files/{digest} of the job store is damaged: its content does not match its name")
        target.mkdir()
        for name, kind, what in json.loads(data)["entries"]:
            place = target / name
            if kind == "dir":
                place.mkdir(parents=True, exist_ok=True)
            elif kind == "link":
                place.symlink_to(what)
            else:
                place.parent.mkdir(parents=True, exist_ok=True)
                self._place(what, place)

    def _cached(self, digest: str) -> Path:
        """The machine's copy; several attempts may fetch it at once, and the last one's rename changes nothing."""
        cached = self._cache / digest
        if not cached.exists():
            self._cache.mkdir(parents=True, exist_ok=True)
            staged = self._cache / f".{digest}.{os.getpid()}"
            staged.unlink(missing_ok=True)
            self._store.download(f"files/{digest}", staged)
            with contextlib.suppress(FileNotFoundError):
                staged.replace(cached)
        return cached


def _lies_in(real: str, folder: str | Path) -> bool:
    """Of paths without links."""
    return f"{real}/".startswith(f"{folder}/")


def _make_directory(path: Path) -> None:
    try:
        os.mkdir(path)
    except OSError:
        path.mkdir(parents=True, exist_ok=True)


def _copy(cached: Path, target: Path) -> None:
    """A hard link where that is possible; making one also says that the cached file was used."""
    try:
        os.link(cached, target)
    except FileNotFoundError:
        raise
    except OSError:
        plain.shell().copyfile(cached, target)
        plain.shell().copymode(cached, target)


@functools.cache
def sha256() -> hashlib._Hash:
    """That of nothing: who forks asks for it before, as OpenSSL has to be loaded and to find the algorithm."""
    import hashlib

    return hashlib.sha256()


def file_digest(path: Path | str) -> tuple[str, int]:
    """SHA-256 and size of a file's content."""
    with open(path, "rb", buffering=0) as source:
        return digest_of(source.fileno())


def digest_of(file: int) -> tuple[str, int]:
    """The same of an open file, all of it, wherever it stands."""
    digest, size, chunk = sha256().copy(), 0, bytearray(_CHUNK)
    view, chunks = memoryview(chunk), (chunk,)
    os.lseek(file, 0, os.SEEK_SET)
    while count := os.readv(file, chunks):
        digest.update(view[:count])
        size += count
    return digest.hexdigest(), size


def _walk(root: Path) -> Iterator[Path]:
    """All below a directory, in an order that does not depend on the file system; links are not followed."""
    for name in sorted(os.listdir(root)):
        path = root / name
        yield path
        if path.is_dir() and not path.is_symlink():
            yield from _walk(path)


def _inner_link(root: Path, path: Path) -> str:
    target = os.readlink(path)
    inside = os.path.normpath(os.path.join(os.path.dirname(path.relative_to(root)), target))
    if os.path.isabs(target) or inside.startswith(".."):
        raise FileError(f"cannot save {root}: its link {path.relative_to(root)} leads out of it, to {target}")
    return target


def referenced(store: JobStore, digests: set[str]) -> set[str]:
    """The digests and, for directories, those of all the files in them."""
    found = set(digests)
    for digest in digests:
        if digest.endswith(File.DIRECTORY):
            entries = json.loads(store.get(f"files/{digest}"))["entries"]
            found.update(what for _, kind, what in entries if kind == "file")
    return found
