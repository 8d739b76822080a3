"""Files as values: immutable, named by their content, a path where there is no engine.

A `File` is either at home (it has a path, and nothing has been stored) or stored (it has a `digest`, by which any
machine of the run can have a local copy). Passing one to a job, returning one, or `File.save` stores it. Two stored
files of the same name, content and execute bit are equal, wherever they were made.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import IO, Any, ClassVar

from moil.authoring import plain, urls
from moil.authoring.context import ambient
from moil.errors import FileError


class File:
    """A file or a directory, as a value. ``File(path)`` names one; nothing is read until it is needed."""

    __slots__ = ("_path", "_size", "digest", "name")

    #: Ends of `digest` that say what it is the digest of.
    DIRECTORY: ClassVar[str] = ".dir"
    EXECUTABLE: ClassVar[str] = ".x"

    name: str
    digest: str | None
    _path: str | None
    _size: int | None

    def __init__(self, path: str | os.PathLike[str]) -> None:
        where = os.path.abspath(os.fspath(path))
        self._fill(where.rpartition("/")[2], None, None, where)

    def _fill(self, name: str, digest: str | None, size: int | None, path: str | None) -> None:
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "digest", digest)
        object.__setattr__(self, "_size", size)
        object.__setattr__(self, "_path", path)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a File is immutable: {name} cannot be set")

    @classmethod
    def stored(cls, name: str, digest: str, size: int, path: Path | None = None) -> File:
        """A file that the run's job store holds; `path`, where there is a local copy already."""
        file = cls.__new__(cls)
        file._fill(name, digest, size, None if path is None else str(path))  # noqa: SLF001 - a second constructor
        return file

    @classmethod
    def save(cls, path: str | os.PathLike[str], *, name: str | None = None, move: bool = False) -> File:
        """Freeze the content of a file or directory, as it is now. Outside a run this is ``File(path)``.

        With `move` it is given away: it is gone from `path` then. If it lies in the job's scratch directory, and that on
        the job store's disk, nothing is copied. Raises FileError if it cannot be read.
        """
        if name is not None and (name in ("", ".", "..") or "/" in name):
            raise FileError(f"a file cannot be called {name!r}; give a name without a directory")
        file = cls(path)
        file.require()
        if ambient.recorder is not None:
            file = ambient.recorder.save(file.__fspath__(), move=move)
        else:
            file = cls(plain.keep(file.path(), name or file.name, move=move))
        if name is not None:
            file._fill(name, file.digest, file._size, file._path)
        return file

    @classmethod
    def from_url(cls, url: str) -> File:
        """Import what a path, a ``file:`` or an ``http(s):`` URL names. Raises FileError."""
        local = urls.local_path(url)
        if local is not None:
            return cls.save(local)
        directory = ambient.recorder.current.scratch if ambient.recorder else plain.kept_directory()
        target = Path(plain.new_directory(prefix="moil-url-", parent=directory)) / urls.base_name(url)
        urls.fetch(url, target)
        return cls.save(target, move=ambient.recorder is not None)

    def require(self) -> None:
        """Raises FileError if it is at home and is not there, or cannot be looked at."""
        if self.digest is not None:
            return
        try:
            os.stat(self.__fspath__())
        except (FileNotFoundError, NotADirectoryError, ValueError):
            raise FileError(f"{self._path}: no such file; check the path, which is relative to {os.getcwd()}") from None
        except OSError as error:
            raise FileError(f"{self._path}: {error.strerror}") from error

    @property
    def is_directory(self) -> bool:
        """Whether it is a directory."""
        return self.path().is_dir() if self.digest is None else self.digest.endswith(self.DIRECTORY)

    @property
    def size(self) -> int:
        """Bytes; for a directory, of all files in it. Raises FileError."""
        if self._size is not None:
            return self._size
        path = self.path()
        try:
            if path.is_dir():
                return sum(os.lstat(os.path.join(top, one)).st_size for top, _, files in os.walk(path) for one in files)
            return path.stat().st_size
        except OSError as error:
            raise FileError(f"{path}: {error.strerror}") from error

    def path(self) -> Path:
        """A local copy, to be read only, under the file's own name; good until the attempt ends. Raises FileError."""
        if self._path is not None:
            return Path(self._path)
        if ambient.recorder is None:
            raise FileError(f"file {self.name} lives in the job store of a run; read it in a job, or return it from the run")
        return ambient.recorder.fetch(self)

    def open(self, mode: str = "rb", *, encoding: str | None = None) -> IO[Any]:
        """Open the local copy for reading. Raises FileError, ValueError for a mode that would write."""
        if set(mode) - set("rbt"):
            raise ValueError(f"a File is immutable: open it with 'r' or 'rb', not {mode!r}")
        path = self.path()
        try:
            return path.open(mode, encoding=encoding or (None if "b" in mode else "utf-8"))
        except OSError as error:
            raise FileError(f"{path}: {error.strerror}") from error

    def export(self, to: str | os.PathLike[str]) -> None:
        """Copy it to a path or URL (``file:``; ``http(s):`` by PUT); an existing file there is replaced whole.

        Raises FileError.
        """
        source, local = self.path(), urls.local_path(os.fspath(to))
        if local is None:
            urls.send(source, os.fspath(to))
            return
        try:
            _replace(source, local)
        except OSError as error:
            raise FileError(f"cannot export {self.name} to {local}: {error.strerror}") from error

    def __fspath__(self) -> str:
        return self._path or os.fspath(self.path())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, File):
            return NotImplemented
        return self._identity() == other._identity()

    def __hash__(self) -> int:
        return hash(self._identity())

    def _identity(self) -> tuple[str, object]:
        return (self.name, self.digest or self._path)

    def __repr__(self) -> str:
        return f"File({self._path if self.digest is None else self.name!r})"

    def __reduce__(self) -> Any:
        if self.digest is None:
            return (File, (os.fspath(self.path()),))
        return (stored_file, (self.name, self.digest, self._size))


def stored_file(name: str, digest: str, size: int) -> File:
    """The stored form of a file."""
    return File.stored(name, digest, size)


def _replace(source: Path, target: Path) -> None:
    """Copy beside the target, then rename: whoever looks sees the old or the new, and never a part."""
    target.parent.mkdir(parents=True, exist_ok=True)
    staged = target.parent / f".{target.name}.{os.getpid()}.part"
    try:
        if source.is_dir():
            plain.shell().copytree(source, staged, symlinks=True)
            _make_writable(staged)
            if target.exists():
                plain.shell().rmtree(target)
        else:
            plain.shell().copyfile(source, staged)
            staged.chmod(0o666 & ~_umask() | (0o111 & ~_umask() if os.access(source, os.X_OK) else 0))
        staged.replace(target)
    finally:
        if staged.is_dir() and not staged.is_symlink():
            plain.shell().rmtree(staged, ignore_errors=True)
        else:
            staged.unlink(missing_ok=True)


def _make_writable(tree: Path) -> None:
    for top, _, files in os.walk(tree):
        for one in (top, *(os.path.join(top, name) for name in files)):
            if not os.path.islink(one):
                os.chmod(one, os.stat(one).st_mode | 0o200)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
