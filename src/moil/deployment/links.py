"""A tree of hard links: how a unit in the cache becomes part of a view, at the cost of names alone."""

from __future__ import annotations

import errno
import os
import shutil
from contextlib import suppress
from pathlib import Path

from moil.deployment.extract import TIME

_NO_LINK = (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EACCES)


def link_tree(source: Path, target: Path) -> None:
    """Make hard links to all files below `source`; what is there already stays. Raises OSError."""
    try:
        from_fd = os.open(source, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        return
    try:
        to_fd = os.open(target, os.O_RDONLY | os.O_DIRECTORY)
        try:
            _link_entries(from_fd, to_fd)
        finally:
            os.close(to_fd)
    finally:
        os.close(from_fd)


def _link_entries(from_fd: int, to_fd: int) -> None:
    folders = []
    with os.scandir(from_fd) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.name)
            else:
                _link(entry.name, from_fd, to_fd, is_link=entry.is_symlink())
    for folder in folders:
        _link_folder(folder, from_fd, to_fd)


def _link_folder(folder: str, from_fd: int, to_fd: int) -> None:
    with suppress(FileExistsError):
        os.mkdir(folder, 0o755, dir_fd=to_fd)
    inner_from = os.open(folder, os.O_RDONLY | os.O_DIRECTORY, dir_fd=from_fd)
    try:
        inner_to = os.open(folder, os.O_RDONLY | os.O_DIRECTORY, dir_fd=to_fd)
        try:
            _link_entries(inner_from, inner_to)
        finally:
            os.close(inner_to)
    finally:
        os.close(inner_from)


def _link(file: str, from_fd: int, to_fd: int, *, is_link: bool) -> None:
    try:
        if is_link:
            os.symlink(os.readlink(file, dir_fd=from_fd), file, dir_fd=to_fd)
        else:
            os.link(file, file, src_dir_fd=from_fd, dst_dir_fd=to_fd, follow_symlinks=False)
    except FileExistsError:
        pass
    except OSError as error:
        if error.errno not in _NO_LINK or is_link:
            raise
        _copy(file, from_fd, to_fd)


def _copy(file: str, from_fd: int, to_fd: int) -> None:
    """Whole or not at all: another may do the same again after this process was killed."""
    with suppress(FileNotFoundError):
        os.stat(file, dir_fd=to_fd, follow_symlinks=False)
        return
    staged = f".moil-{os.getpid()}-{hash(file) & 0xFFFFFFFF:x}"
    try:
        _write_copy(file, from_fd, staged, to_fd)
        os.rename(staged, file, src_dir_fd=to_fd, dst_dir_fd=to_fd)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(staged, dir_fd=to_fd)
        raise


def _write_copy(file: str, from_fd: int, to: str, to_fd: int) -> None:
    descriptor = os.open(file, os.O_RDONLY, dir_fd=from_fd)
    with open(descriptor, "rb") as source:
        mode = os.fstat(descriptor).st_mode & 0o111
        new = os.open(to, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=to_fd)
        with open(new, "wb") as target:
            shutil.copyfileobj(source, target)
            os.fchmod(new, 0o444 | mode)
    os.utime(to, (TIME, TIME), dir_fd=to_fd)
