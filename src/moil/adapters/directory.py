"""A job store in a directory, safe on a file system that many machines share.

::

    format            JSON: what this is, which version, and which directories of objects came with it
    objects/<key>+    one file for each object; nobody writes to it once it is there
    journal/          see `moil.adapters.journal_file`
    scheduler/        what a scheduler's own machinery prints; anybody's files
    tmp/              files that are being written

The ``+`` is no character of a key. So ``a`` and ``a/b`` can both be keys, and what else turns up among the objects (NFS
leaves ``.nfs…`` behind, people leave worse) is not taken for one.

An object is written under ``tmp``, flushed, given its name by `link` or `rename`, and its directory is flushed: two
flushes for each object, and one for each directory above it that this process has not used before, even if it is there:
whoever made it may not have come to flush it. Files are read-only, since a local copy may be a hard link to one. Empty
directories stay.

THE STORED FORMAT: a store outlives the program. Whoever changes the names or what they mean must raise `FORMAT` and
keep a way to read the old one.
"""


from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

from moil.adapters import disk, staging
from moil.adapters.journal_file import FileJournal, JournalDirectory
from moil.adapters.keys import check_key, is_key
from moil.adapters.shelf import DirectoryShelf
from moil.adapters.staging import StagedFile, TakenFile
from moil.errors import KeyExists, NoSuchKey, StoreError

FORMAT = 1
MARK = "+"
_NAME = "moil job store"
_PARTS = ("journal", "objects", "scheduler", "tmp")
_FOLDERS = ("files", "values")
"""Where most objects lie: made with the store, so that no process that writes its first one has to see to them."""
_PRIVATE = "private/"
_ABANDONED_AFTER = 24 * 3600.0


def exists(path: Path | str) -> bool:
    """Whether there is a job store in this directory, of whatever version."""
    return os.path.isfile(os.path.join(path, "format"))


def object_path(path: Path | str, key: str) -> Path:
    """The file that holds an object of the store in this directory."""
    return Path(path, "objects", key + MARK)


class DirectoryStore:
    """A `DurableStore` in a directory. Any method can raise StoreError, which names directory, cause and cure.

    With `create` the store is made in a directory that is empty or not there yet, exactly once however many try.
    Raises StoreError if there is one already, or without `create` if there is none or one of another version.
    """

    def __init__(self, path: Path | str, *, create: bool = False) -> None:
        self._root = os.path.abspath(path)
        self._objects, self._tmp = self._in_root("objects"), self._in_root("tmp")
        self._durable = {self._objects}
        self._journals = JournalDirectory(self._root, self._in_root("journal"), self._tmp)
        self.shelf = DirectoryShelf(os.path.dirname(self._root), self._target, self._make_durable)
        with disk.explained(self._root):
            if create:
                self._create()
            else:
                self._check_format()

    @property
    def path(self) -> Path:
        """The directory."""
        return Path(self._root)

    @property
    def locator(self) -> str:
        """The directory's absolute path."""
        return self._root

    @property
    def directory(self) -> Path:
        """For files of others, which go with the store."""
        folder = Path(self._in_root("scheduler"))
        with disk.explained(self._root):
            folder.mkdir(exist_ok=True)
        return folder

    def object_path(self, key: str) -> Path:
        """The file that holds an object."""
        return Path(self._target(key))

    def get(self, key: str) -> bytes:
        """The object's bytes. Raises NoSuchKey."""
        with disk.explained(self._root), open(self._open(key), "rb", buffering=0) as file:
            return file.read()

    def put(self, key: str, data: bytes, *, if_absent: bool = False) -> None:
        """Write an object; it survives a power loss from then on. Raises KeyExists."""
        target = self._target(key)
        with disk.explained(self._root):
            if if_absent and self._is_there(target):
                raise _key_exists(key)
            with disk.temporary_file(self._tmp, _mode(key)) as (fd, temporary):
                disk.write_all(fd, data)
                disk.flush(fd)
                if not self._publish(fd, temporary, target, replace=not if_absent):
                    raise _key_exists(key)

    def download(self, key: str, to: Path) -> None:
        """Make `to` a hard link to the object, or a read-only copy where that is not possible.

        Raises NoSuchKey, and FileError if `to` exists or cannot be written.
        """
        source = self._open(key)
        try:
            os.link(self._target(key), to)
        except OSError:
            self._copy_out(source, os.fspath(to))
        finally:
            os.close(source)

    def upload(self, key: str, path: Path) -> None:
        """Write an object from a local file, keeping its execute bit. Raises FileError if that cannot be read."""
        with disk.explained(self._root):
            if self._is_there(self._target(key)):
                return
        with self._copied(os.fspath(path)) as staged:
            staged.publish(key)

    def stage(self, path: str | os.PathLike[str], *, move: bool = False) -> AbstractContextManager[StagedFile | TakenFile]:
        """A frozen copy of a local file, on its way to the disk. Raises FileError if that cannot be read.

        With `move` it is the file itself, if that lies on the store's own file system and nobody else can change it. A
        process that is killed meanwhile leaves it nowhere.
        """
        local = os.fspath(path)
        if move:
            try:
                taken = staging.take(local, f"{self._tmp}/{os.urandom(8).hex()}", self._publish_taken)
            except OSError as error:
                raise disk.explain(self._root, error) from error
            if taken is not None:
                return taken
        return self._staged_copy(local)

    @contextmanager
    def _staged_copy(self, local: str) -> Iterator[StagedFile]:
        with self._copied(local) as staged:
            disk.begin_flush(staged.file)
            yield staged

    @contextmanager
    def _copied(self, local: str) -> Iterator[StagedFile]:
        with (
            disk.explained(self._root),
            disk.user_file(local) as (source, mode),
            disk.temporary_file(self._tmp, mode) as (fd, temporary),
        ):
            disk.copy_in_kernel(source, fd)
            while chunk := disk.read_user_file(source, local):
                disk.write_all(fd, chunk)
            yield StagedFile(fd, lambda key: self._publish_copy(fd, temporary, key))

    def keys(self, prefix: str) -> Iterator[str]:
        """The keys that start with `prefix`, in order; each directory is listed when its turn comes."""
        folder, slash, start = prefix.rpartition("/")
        if not slash or is_key(folder):
            with disk.explained(self._root):
                self._check_there()
                yield from self._walk(folder + slash, start)

    def delete(self, keys: Iterable[str]) -> None:
        """Remove objects; absent ones are no error."""
        for key in keys:
            with disk.explained(self._root), suppress(FileNotFoundError):
                os.unlink(self._target(key))

    def open_journal(self, first: Sequence[bytes] = (), *, compact: bool = False) -> FileJournal:
        """Begin a new incarnation of the journal; see `JournalDirectory.open`."""
        if not compact:
            with disk.explained(self._root):
                self._sweep()
        return self._journals.open(first, compact=compact)

    def read_journal(self) -> Iterator[bytes]:
        """All acknowledged records, without taking the run over. Raises DamagedError."""
        return self._journals.read()

    def close(self) -> None:
        """Nothing is held open."""

    def destroy(self) -> None:
        """Remove what the store wrote, and the directory itself unless something else is in it."""
        with disk.explained(self._root):
            for part in _PARTS:
                disk.remove_tree(self._in_root(part))
            with suppress(FileNotFoundError):
                os.unlink(self._in_root("format"))
        with suppress(OSError):
            os.rmdir(self._root)

    def _in_root(self, name: str) -> str:
        return os.path.join(self._root, name)

    def _target(self, key: str) -> str:
        check_key(key)
        return f"{self._objects}/{key}{MARK}"

    def _create(self) -> None:
        disk.make_directory(self._root)
        if exists(self.path):
            raise self._exists_already()
        self._check_vacant()
        for part in _PARTS:
            with suppress(FileExistsError):
                os.mkdir(self._in_root(part))
        self._make_folders()
        with disk.temporary_file(self._tmp, 0o444) as (fd, temporary):
            content = {"format": _NAME, "version": FORMAT, "folders": _FOLDERS}
            disk.write_all(fd, json.dumps(content).encode() + b"\n")
            disk.flush(fd)
            if not self._publish(fd, temporary, self._in_root("format")):
                raise self._exists_already()

    def _make_folders(self) -> None:
        """`format`, which is published after this, tells others that they need not see to these."""
        folders = [os.path.join(self._objects, name) for name in _FOLDERS]
        for folder in folders:
            with suppress(FileExistsError):
                os.mkdir(folder)
        disk.flush_directory(self._objects)
        self._durable.update(folders)

    def _exists_already(self) -> StoreError:
        return self._error("it holds a run already; resume that with --restart, or remove it with moil clean")

    def _check_vacant(self) -> None:
        """What a creation that was interrupted leaves is no obstacle; anybody else's files are."""
        names = set(os.listdir(self._root))
        inner = ("journal", *(f"objects/{name}" for name in _FOLDERS))
        full = any(os.listdir(part) for part in map(self._in_root, inner) if os.path.isdir(part))
        others = set(os.listdir(self._objects)).difference(_FOLDERS) if "objects" in names else ()
        if names.difference(_PARTS) or full or others:
            raise self._error("the directory is not empty; choose a new one for --job-store")

    def _check_format(self) -> None:
        try:
            content = json.loads(Path(self._root, "format").read_bytes())
            name, version = content["format"], content["version"]
            self._durable.update(os.path.join(self._objects, one) for one in content.get("folders", ()))
        except (FileNotFoundError, NotADirectoryError):
            raise self._error("there is none; check --job-store, or leave out --restart to begin a new run") from None
        except (ValueError, LookupError, TypeError):
            name, version = "", 0
        if name != _NAME:
            raise self._error("its file `format` is damaged or another program's; check --job-store")
        if version != FORMAT:
            cause = f"it has format version {version}, this Moil reads version {FORMAT}"
            raise self._error(f"{cause}; use the Moil that wrote it")

    def _error(self, message: str) -> StoreError:
        return StoreError(f"job store {disk.shown(self._root)}: {message}")

    def _check_there(self) -> None:
        """Raise FileNotFoundError if the whole store is gone."""
        os.stat(self._in_root("format"))

    def _open(self, key: str) -> int:
        target = self._target(key)
        with disk.explained(self._root):
            try:
                return os.open(target, os.O_RDONLY)
            except FileNotFoundError:
                self._look_again(key)
            try:
                return os.open(target, os.O_RDONLY)
            except FileNotFoundError:
                raise NoSuchKey(f"job store {disk.shown(self._root)} holds no object {key}") from None

    def _look_again(self, key: str) -> None:
        """Make NFS ask its server: it forgets that a name was not there when the directory above is opened."""
        self._check_there()
        folder = self._objects
        with suppress(FileNotFoundError):
            for part in key.split("/"):
                os.close(os.open(folder, os.O_RDONLY))
                folder = os.path.join(folder, part)

    def _copy_out(self, source: int, to: str) -> None:
        with disk.new_user_file(to, os.fstat(source).st_mode & 0o555) as target:
            disk.copy_in_kernel(source, target)
            while chunk := self._read(source):
                with disk.explained_file("write", to):
                    disk.write_all(target, chunk)

    def _read(self, source: int) -> bytes:
        with disk.explained(self._root):
            return os.read(source, disk.CHUNK)

    def _walk(self, top: str, start: str = "") -> Iterator[str]:
        for name in _names(os.path.join(self._objects, top)):
            if name.startswith(start):
                yield from self._walk(top + name) if name.endswith("/") else (top + name,)

    def _is_there(self, target: str) -> bool:
        """Whether the object exists; if so it survives a power loss, even if its writer has not come to that yet."""
        if not os.path.exists(target):
            return False
        disk.flush_directory(os.path.dirname(target))
        return True

    def _publish(self, fd: int, temporary: str, target: str, *, replace: bool = False) -> bool:
        """Give a flushed file its name; False: it was taken."""
        folder = target.rpartition("/")[0]
        if folder not in self._durable:
            self._make_durable(folder)
        published = True
        if replace:
            os.rename(temporary, target)
        else:
            published = disk.link_new(fd, temporary, target)
        disk.flush_directory(folder)
        return published

    def _publish_copy(self, fd: int, temporary: str, key: str) -> None:
        target = self._target(key)
        if not self._is_there(target):
            disk.flush(fd)
            self._publish(fd, temporary, target)

    def _publish_taken(self, fd: int, path: str, key: str) -> str:
        """Which name it has then: that of the object, instead of a temporary one, or the one that it had."""
        target = self._target(key)
        is_temporary = path.startswith(f"{self._tmp}/")
        try:
            if self._is_there(target):
                return path
            if is_temporary:
                os.fchmod(fd, disk.frozen_mode(os.fstat(fd)))
            disk.flush(fd)
            self._publish(fd, path, target, replace=is_temporary)
        except OSError as error:
            raise disk.explain(self._root, error) from error
        return target if is_temporary else path

    def _make_durable(self, folder: str) -> None:
        if folder not in self._durable and folder != self._root:
            parent = os.path.dirname(folder)
            self._make_durable(parent)
            with suppress(FileExistsError):
                os.mkdir(folder)
            disk.flush_directory(parent)
            self._durable.add(folder)

    def _sweep(self) -> None:
        """Remove what writers that were killed left behind; the times are the file server's, the present included."""
        with disk.temporary_file(self._tmp, 0o600) as (fd, _), os.scandir(self._tmp) as entries:
            now = os.fstat(fd).st_mtime
            for entry in entries:
                with suppress(FileNotFoundError):
                    if now - entry.stat(follow_symlinks=False).st_mtime > _ABANDONED_AFTER:
                        os.unlink(entry.path)


def _names(folder: str) -> list[str]:
    """What a directory holds, sorted as their keys are: directories with a slash, objects without their mark."""
    try:
        with os.scandir(folder) as entries:
            names = [f"{entry.name}/" if entry.is_dir(follow_symlinks=False) else entry.name for entry in entries]
    except FileNotFoundError:
        return []
    return sorted(name.removesuffix(MARK) for name in names if name.endswith((MARK, "/")))


def _mode(key: str) -> int:
    return 0o400 if key.startswith(_PRIVATE) else 0o444


def _key_exists(key: str) -> KeyExists:
    return KeyExists(f"the job store holds an object {key} already")


def open_directory(locator: str, *, create: bool = False) -> DirectoryStore:
    """The store that a locator (a path, or a ``file://`` URL) names."""
    return DirectoryStore(Path(locator.removeprefix("file://")), create=create)
