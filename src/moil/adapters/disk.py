"""What adapters ask of a POSIX file system, and how they tell people that it was refused.

What is relied upon: exclusive creation, `link` and `rename` are atomic; `fsync` of a file makes its bytes durable and
`fsync` of a directory the names in it. What is not: locks, overwriting in place, and looking for a name that may not be
there yet (NFS remembers for a long time that it was not).

A file is published, that is, becomes visible under its name, only when its bytes are durable, and its name is made
durable right after. In between others can see it. Whoever writes down that it saw a file can so be ahead of the file
itself, but only where the file system does not keep its metadata in order; all that keep a log do.
"""


from __future__ import annotations

import errno
import fcntl
import os
import signal
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from moil.errors import FileError, StoreError

CHUNK = 1 << 20
_TIMES = 20
"""How often a directory is emptied that others are adding to."""
_NO_DIRECTORY_SYNC = {errno.EINVAL, errno.ENOTSUP}
_NO_LINKS = {errno.EPERM, errno.EXDEV, errno.ENOTSUP, errno.ENOSYS}
_CAUSES = {
    errno.ENOSPC: ("no space left on device", "free some space and resume with --restart"),
    errno.EDQUOT: ("disk quota exceeded", "free some space and resume with --restart"),
    errno.EROFS: ("read-only file system", "make it writable, or choose another --job-store"),
    errno.EACCES: ("permission denied", "get access to it, or choose another --job-store"),
    errno.EMLINK: ("its file system has no hard links", "choose another --job-store"),
    errno.ENOENT: ("the directory is gone", "put it back and resume with --restart, or begin a new run"),
    errno.ENOTDIR: ("not a directory", "choose another --job-store"),
    errno.EMFILE: ("too many open files", "raise the limit (ulimit -n) and resume with --restart"),
    errno.ENAMETOOLONG: ("file name too long", "choose a shorter path for --job-store"),
}


def shown(path: str) -> str:
    """A path as it may stand in a message: on one line, and printable whatever its bytes are."""
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return text if text.isprintable() else ascii(text)[1:-1]


def explain(store: str, error: OSError) -> StoreError:
    """The error that says which job store, why, and what to do about it."""
    other = ((error.strerror or str(error)).lower(), "mend that and resume with --restart")
    cause, cure = _CAUSES.get(error.errno or 0, other)
    return StoreError(f"job store {shown(store)}: {cause}; {cure}")


@contextmanager
def explained(store: str) -> Iterator[None]:
    """Turn what the operating system raises into a StoreError that names the job store, the cause and the cure."""
    try:
        yield
    except OSError as error:
        raise explain(store, error) from error


@contextmanager
def explained_file(verb: str, path: str) -> Iterator[None]:
    """Turn what the operating system raises into a FileError that names the user's file and the cause."""
    try:
        yield
    except OSError as error:
        raise file_error(verb, path, error) from error


def file_error(verb: str, path: str, error: OSError) -> FileError:
    """The error that names the user's file and the cause."""
    return FileError(f"cannot {verb} {shown(path)}: {(error.strerror or str(error)).lower()}")


def flush(fd: int) -> None:
    """Make the bytes of a file durable, and as much about it as is needed to read them."""
    if sys.platform == "darwin":
        fcntl.fcntl(fd, fcntl.F_FULLFSYNC)
    else:
        os.fdatasync(fd)


def begin_flush(fd: int) -> None:
    """Let the system begin to write a file's bytes to the disk, so that there is less left for `flush` to wait for.

    Linux does so when it is told that they will not be read soon; it also forgets those that it has written by then, so
    this is for files whose bytes were put there a moment ago.
    """
    if sys.platform == "linux":
        try:  # noqa: SIM105 - see `moil.adapters.staging`
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        except OSError:
            pass


def flush_directory(path: str) -> None:
    """Make the names in a directory durable."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno not in _NO_DIRECTORY_SYNC:
            raise
    finally:
        os.close(fd)


def write_all(fd: int, data: bytes) -> None:
    """Write all of `data` where the file stands."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest) :]


def new_file(path: str, mode: int) -> int:
    """Create a file that must not exist, and open it for reading and writing whatever its mode is."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, mode)


def make_directory(path: str) -> None:
    """Create a directory and those above it, and make the new names durable."""
    if not os.path.isdir(path):
        parent = os.path.dirname(path)
        make_directory(parent)
        with suppress(FileExistsError):
            os.mkdir(path)
        flush_directory(parent)


def remove_tree(path: str) -> None:
    """Delete a directory and all that is in it; if there is none, that is no error. Others may still be adding to it."""
    for time in reversed(range(_TIMES)):
        try:
            _remove_what_is_there(path)
            return
        except OSError as error:
            if error.errno != errno.ENOTEMPTY or not time:
                raise


def _remove_what_is_there(path: str) -> None:
    for folder, directories, files in os.walk(path, topdown=False):
        for name in files:
            with suppress(FileNotFoundError):
                os.unlink(os.path.join(folder, name))
        for name in directories:
            _remove_directory(os.path.join(folder, name))
    with suppress(FileNotFoundError):
        os.rmdir(path)


def _remove_directory(path: str) -> None:
    if os.path.islink(path):
        os.unlink(path)
    else:
        os.rmdir(path)


@contextmanager
def temporary_file(directory: str, mode: int) -> Iterator[tuple[int, str]]:
    """A new file under a name that nobody else uses; name and file are gone afterwards unless it was renamed."""
    path = os.path.join(directory, os.urandom(8).hex())
    fd = new_file(path, mode)
    try:
        yield fd, path
    finally:
        os.close(fd)
        with suppress(FileNotFoundError):
            os.unlink(path)


def link_new(fd: int, path: str, target: str) -> bool:
    """Give the open file at `path` a second name; False: another file has it.

    A network file system may repeat a request whose answer was lost, and then report that the name exists: it may be
    this very file's.
    """
    try:
        os.link(path, target)
    except FileExistsError:
        with suppress(FileNotFoundError):
            return os.path.samestat(os.fstat(fd), os.stat(target))
        return False
    except OSError as error:
        raise (OSError(errno.EMLINK, os.strerror(errno.EMLINK)) if error.errno in _NO_LINKS else error) from None
    return True


def open_user_file(path: str) -> tuple[int, os.stat_result]:
    """A user's file, open for reading, and what is known of it. Raises FileError."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError as error:
        raise file_error("read", path, error) from error
    found = os.fstat(fd)
    if not stat.S_ISREG(found.st_mode):
        os.close(fd)
        raise FileError(f"cannot read {shown(path)}: not a regular file")
    return fd, found


def frozen_mode(found: os.stat_result) -> int:
    """The mode that a frozen copy of a file has."""
    return 0o555 if found.st_mode & 0o111 else 0o444


@contextmanager
def user_file(path: str) -> Iterator[tuple[int, int]]:
    """A user's file, open for reading, and the mode that a frozen copy of it has. Raises FileError."""
    fd, found = open_user_file(path)
    try:
        yield fd, frozen_mode(found)
    finally:
        os.close(fd)


def take(fd: int, found: os.stat_result, path: str, to: str) -> bool:
    """Move a user's file, open for reading, to where nobody else knows of it; False: it is where it was.

    It is taken only if it is on the same file system and nobody else can change it: it has no other name, and is open for
    writing nowhere. Linux says so, as a lease for reading is granted only then (fcntl(2)); elsewhere, and on file systems
    without leases, nothing is taken.
    """
    if found.st_nlink != 1 or found.st_uid != os.geteuid():
        return False
    try:
        os.rename(path, to)
    except OSError:
        return False
    moved = os.lstat(to)
    if (moved.st_ino, moved.st_dev) == (found.st_ino, found.st_dev) and _is_written_by_nobody(fd):
        return True
    os.rename(to, path)
    return False


def _is_written_by_nobody(fd: int) -> bool:
    if sys.platform != "linux":
        return False
    try:
        fcntl.fcntl(fd, fcntl.F_SETSIG, signal.SIGURG)  # a signal that does nothing, should the lease be broken
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError:
        return False
    return True


def read_user_file(fd: int, path: str) -> bytes:
    """The next bytes, none at the end. Raises FileError."""
    with explained_file("read", path):
        return os.read(fd, CHUNK)


@contextmanager
def new_user_file(path: str, mode: int) -> Iterator[int]:
    """A file that does not exist yet, open for writing; it is removed again if writing fails. Raises FileError."""
    with explained_file("write", path):
        fd = new_file(path, mode)
    try:
        yield fd
    except BaseException:
        os.unlink(path)
        raise
    finally:
        os.close(fd)


def copy_in_kernel(source: int, target: int) -> None:
    """Copy as much as the system copies by itself: none, part or all. What is left is for `os.read` to say."""
    if sys.platform == "linux":
        with suppress(OSError):
            while os.copy_file_range(source, target, 64 * CHUNK):
                pass
