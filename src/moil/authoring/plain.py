"""Jobs without an engine: each is its function. Gives `moil.current` and `moil.defer` their plain meaning."""

from __future__ import annotations

import atexit
import functools
import importlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from moil.core.requirements import Requirements
from moil.errors import FileError

R = TypeVar("R")


class PlainJob:
    """A job that was simply called."""

    job_id = 0
    attempt = 1

    def __init__(self, name: str) -> None:
        self.name = name
        self.requirements = Requirements()
        self.deferred: list[Callable[[], object]] = []
        self._scratch: Path | None = None

    @property
    def scratch(self) -> Path:
        """A temporary directory, made when first asked for."""
        if self._scratch is None:
            self._scratch = Path(new_directory(prefix="moil-"))
        return self._scratch

    def owns(self, path: Path) -> bool:
        """Whether the path lies in the scratch directory."""
        return self._scratch is not None and path.is_relative_to(self._scratch)

    def end(self) -> None:
        """Run what was deferred, in order, and remove the scratch directory."""
        try:
            while self.deferred:
                self.deferred.pop(0)()
        finally:
            if self._scratch is not None:
                discard(self._scratch)


def new_directory(prefix: str, parent: Path | str | None = None) -> str:
    """A temporary directory of nobody else's."""
    made: str = importlib.import_module("tempfile").mkdtemp(prefix=prefix, dir=parent)
    return made


def temporary_directory() -> Path:
    """The one that `tempfile` would find, which takes longer to import than to look at the usual place."""
    named = [os.environ[name] for name in ("TMPDIR", "TEMP", "TMP") if os.environ.get(name)]
    usual = [*named, "/tmp"][0]  # noqa: S108 - what is made there is private
    if "tempfile" not in sys.modules and os.path.isdir(usual) and os.access(usual, os.R_OK | os.W_OK | os.X_OK):
        return Path(usual)
    return Path(importlib.import_module("tempfile").gettempdir())


def shell() -> Any:
    """`shutil`, which takes longer to import than all of this, and is seldom needed."""
    return importlib.import_module("shutil")


def discard(directory: str | Path) -> None:
    """Remove a directory with all that is in it, or what of it can be removed; links are not followed."""
    if os.path.islink(directory):
        return
    try:
        _remove(os.fspath(directory))
    except (OSError, RecursionError):
        shell().rmtree(directory, ignore_errors=True)


def _remove(directory: str) -> None:
    with os.scandir(directory) as entries:
        found = [(one.path, one.is_dir(follow_symlinks=False)) for one in entries]
    for path, is_directory in found:
        if is_directory:
            _remove(path)
        else:
            os.unlink(path)
    os.rmdir(directory)


running: list[PlainJob] = []


def keep(path: Path, name: str, *, move: bool = False) -> Path:
    """Save a file from being removed with the scratch directory that it lies in; others stay where they are.

    If it is to be called `name`, it is copied in any case, and with `move` it is taken away.
    """
    move = move and not _is_kept(path)
    if name == path.name and not move and not any(job.owns(path) for job in running):
        return path
    kept = Path(new_directory(prefix="kept-", parent=kept_directory())) / name
    if move and not path.is_symlink():
        with suppress(OSError):
            os.rename(path, kept)
            return kept
    if path.is_dir():
        shell().copytree(path, kept, symlinks=True)
    else:
        shell().copy2(path, kept)
    if move:
        _give_up(path)
    return kept


def _is_kept(path: Path) -> bool:
    """Whether others may rely on it."""
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(kept_directory()))


def _give_up(path: Path) -> None:
    """Remove what has been copied: all of it, or nothing. Raises FileError."""
    try:
        if path.is_symlink() or not path.is_dir():
            path.unlink()
            return
        aside = path.with_name(f".{path.name}-{os.urandom(4).hex()}")
        path.rename(aside)
    except OSError as error:
        raise FileError(f"cannot give away {path}: {error.strerror}; save it without move=True") from error
    discard(aside)


@functools.lru_cache(maxsize=1)
def kept_directory() -> str:
    """Where files lie that must outlive the job that made them; removed when this process ends."""
    directory = new_directory(prefix="moil-files-")
    atexit.register(discard, directory)
    return directory


def run(name: str, fn: Callable[..., R], args: Sequence[Any], kwargs: Mapping[str, Any]) -> R:
    """Call the function as the job `name`."""
    job = PlainJob(name)
    try:
        with as_current(job):
            return fn(*args, **kwargs)
    finally:
        job.end()


@contextmanager
def as_current(job: PlainJob) -> Iterator[None]:
    """It is what `moil.current` gives, inside the block."""
    running.append(job)
    try:
        yield
    finally:
        running.remove(job)
