"""A run's journal as files in a directory: one for each leader that ever led the run, none ever shared.

**Fencing.** A leader begins by creating the file after the newest, ``00000002.journal`` after ``00000001.journal``;
creation is exclusive, so one of several wins. After each append, and before acknowledging it, a leader lists the
directory: if there is a newer file, it has been replaced, and what it just wrote does not count. The lock on the file
is a courtesy that tells a second leader on the same machine to go away; nothing depends on it.

**What counts.** A leader that was replaced may have written a last frame that it never acknowledged, before or after
its successor read the file. So the successor writes down how much of each older file it goes by: its first frame, the
*opening*, holds that table (and the first records). The newest file with a whole opening says what the journal is:
the listed files up to the listed lengths, then itself. Newer files without an opening, and older ones that it does not
list, are nothing. An opening is durable before anything is acknowledged on the strength of it.

**Compaction** is an opening with an empty table, and only the leader that wrote the newest file can do it, since only
it knows all that was acknowledged: it creates the very next number, which nobody else can then have used. The older
files are deleted after the opening is durable. A crash before that leaves a file that is nothing, a crash after it
leaves older files that are nothing.

A file is a header line (JSON and its CRC-32: the format, and who leads), then frames (see `moil.adapters.frames`).

THE STORED FORMAT: header, table and names outlive the program. Whoever changes any of them, or the frames, must raise
`FORMAT` and keep a way to read the old one.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, suppress
from itertools import chain, islice
from typing import TypeAlias
from zlib import crc32

from moil.adapters import disk
from moil.adapters.frames import Frames, damaged, frame, split
from moil.errors import DamagedError, FencedError, StoreError
from moil.record import record

FORMAT = 1
_NAME = re.compile(r"(\d{8,})\.journal")
_LONGEST_HEADER = 1024
_ATTEMPTS = 20

Table: TypeAlias = list[tuple[int, int]]
"""The incarnations that an opening goes by, and how many bytes of each."""


@record(kw_only=False)
class Leader:
    """The process that wrote a file."""

    pid: int
    host: str

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"

    def still_leads(self) -> bool:
        """Whether this can be another process that is alive; one that is not may have left its lock to a child."""
        if self.host != os.uname().nodename:
            return True
        return self.pid != os.getpid() and _is_alive(self.pid)


class _Incarnation:
    """One file, open for reading: what it held when it was opened, or `size` bytes that end with a whole frame."""

    def __init__(self, number: int, path: str, size: int | None = None) -> None:
        self.number = number
        self.path = path
        self.leader: Leader | None = None
        self._listed = size is not None
        self._start = 0
        self._fd = os.open(path, os.O_RDONLY)
        self._stop = os.fstat(self._fd).st_size if size is None else size
        try:
            self._read_header()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        os.close(self._fd)

    def table(self) -> Table | None:
        """What the opening goes by; None: there is no whole opening, and so the file is nothing."""
        opening = next(self._frames().payloads(), None)
        return None if opening is None else [(number, size) for number, size in json.loads(next(split(opening)))]

    def records(self) -> Iterator[bytes]:
        """What the file adds to the journal."""
        frames = self._frames()
        payloads = frames.payloads()
        yield from islice(split(next(payloads, b"")), 1, None)
        for payload in payloads:
            yield from split(payload)
        if self._listed and frames.end != self._stop:
            raise damaged(self.path, frames.end)

    def acknowledged(self) -> int:
        """How many bytes there are up to a torn tail."""
        if self._listed:
            return self._stop
        frames = self._frames()
        for _ in frames.payloads():
            pass
        return frames.end

    def check_unlocked(self) -> None:
        """Raise BlockingIOError if another process that may be alive holds the lock."""
        try:
            fcntl.flock(self._fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            if self.leader is None or self.leader.still_leads():
                raise
        except OSError:
            pass

    def _frames(self) -> Frames:
        return Frames(self.path, self._fd, self._start, self._stop)

    def _read_header(self) -> None:
        """Without a header, whole or torn, the frames are taken to begin at the first byte, which is then damaged."""
        line, newline, _ = os.pread(self._fd, _LONGEST_HEADER, 0).partition(b"\n")
        text, _, checksum = line.rpartition(b" ")
        if newline and checksum == _checksum(text):
            header = json.loads(text)
            _check_version(self.path, header["version"])
            self.leader = Leader(header["pid"], header["host"])
            self._start = len(line) + 1


class FileJournal:
    """A `Journal`: the newest incarnation, as its leader holds it. For one thread."""

    def __init__(self, home: JournalDirectory, number: int, fd: int) -> None:
        self._home = home
        self._number = number
        self._fd = fd
        self._end = os.fstat(fd).st_size
        self._refusal: StoreError | None = None

    def append(self, records: Sequence[bytes]) -> None:
        """Write the records as one frame: one write, one fdatasync, one listing of the directory.

        Raises FencedError if another leader has taken the run over, and StoreError if the disk refuses; in the latter
        case nothing was written, and a later append can succeed.
        """
        self._check_open()
        if records:
            self._end += self._write(frame(records))

    def replay(self) -> Iterator[bytes]:
        """All records that were ever acknowledged, this journal's own among them. Raises as `append`, DamagedError."""
        self._check_open()
        self._check_fence()
        return self._home.replay(self._number, self._end)

    def close(self) -> None:
        """Let go of the file and its lock. The records stay."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
            self._refusal = self._refusal or StoreError(f"{disk.shown(self._home.path_of(self._number))} is closed")

    def _check_open(self) -> None:
        if self._refusal is not None:
            raise type(self._refusal)(*self._refusal.args)

    def _check_fence(self) -> None:
        """Raise FencedError, or StoreError if that cannot be known; either way this journal is at its end."""
        try:
            self._home.check_newest(self._number)
        except StoreError as error:
            self._refusal = error
            raise

    def _write(self, data: bytes) -> int:
        with disk.explained(self._home.store):
            try:
                os.lseek(self._fd, self._end, os.SEEK_SET)
                disk.write_all(self._fd, data)
                disk.flush(self._fd)
            except BaseException:
                self._cut_back()
                raise
        self._check_fence()
        return len(data)

    def _cut_back(self) -> None:
        """Remove what was written of a frame, unless a successor may already go by it."""
        self._check_fence()
        try:
            os.ftruncate(self._fd, self._end)
            disk.flush(self._fd)
        except OSError as error:
            self._refusal = disk.explain(self._home.store, error)


class JournalDirectory:
    """All incarnations of one run's journal, under `path`; `temporary` is a directory on the same file system.

    `store` is what messages call the job store. Any method can raise StoreError.
    """

    def __init__(self, store: str, path: str, temporary: str) -> None:
        self.store = store
        self._path = path
        self._temporary = temporary
        self._held = 0

    def open(self, first: Sequence[bytes] = (), *, compact: bool = False) -> FileJournal:
        """Begin the next incarnation with the records `first`; see `DurableStore.open_journal`.

        Raises StoreError if another process on this machine leads the run; with `compact`, FencedError if the newest
        incarnation is not the one that was opened here before; DamagedError.
        """
        with disk.explained(self.store):
            for _ in range(_ATTEMPTS):
                before = self._held if compact else self.newest()
                self._check_allowed(before, compact=compact)
                fd = self._create(before + 1)
                if fd is not None:
                    return self._begin(before + 1, fd, first, compact=compact)
        raise self._led_by(None)

    def read(self) -> Iterator[bytes]:
        """All acknowledged records up to a torn tail, without taking the run over. Raises DamagedError."""
        with disk.explained(self.store), ExitStack() as files:
            yield from _joined(self._parts(files))

    def replay(self, number: int, size: int) -> Iterator[bytes]:
        """The journal as incarnation `number` has it, up to `size` bytes of that. Raises DamagedError, FencedError."""
        with disk.explained(self.store), ExitStack() as files:
            try:
                parts = self._listed([(number, size)], files)
                parts = [*self._listed(parts[0].table() or [], files), *parts]
            except FileNotFoundError:
                self.check_newest(number)
                raise self._incomplete() from None
            yield from _joined(parts)

    def newest(self) -> int:
        """The number of the newest incarnation, 0 if there is none."""
        return max(self._numbers(), default=0)

    def path_of(self, number: int) -> str:
        """The file of an incarnation."""
        return os.path.join(self._path, f"{number:08}.journal")

    def check_newest(self, number: int) -> None:
        """Raise FencedError if there is a newer incarnation than `number`."""
        newest = self.newest()
        if newest < number:
            raise disk.explain(self.store, FileNotFoundError(errno.ENOENT, ""))
        if newest > number:
            who = self._leader_of(newest) or "another leader"
            raise FencedError(f"job store {disk.shown(self.store)}: {who} has taken this run over; this leader stops")

    def _check_allowed(self, newest: int, *, compact: bool) -> None:
        if compact and self._held:
            self.check_newest(self._held)
        elif compact and self.newest():
            raise StoreError(f"job store {disk.shown(self.store)}: open the journal before compacting it")
        elif newest != self._held:
            self._check_unled(newest)

    def _check_unled(self, newest: int) -> None:
        """Raise StoreError if another process holds the newest incarnation."""
        with suppress(FileNotFoundError), closing(self._incarnation(newest)) as file:
            try:
                file.check_unlocked()
            except BlockingIOError:
                raise self._led_by(file.leader) from None

    def _led_by(self, leader: Leader | None) -> StoreError:
        who, cure = leader or "another process", "wait for it, or stop it and resume with --restart"
        return StoreError(f"job store {disk.shown(self.store)}: {who} leads this run; {cure}")

    def _begin(self, number: int, fd: int, first: Sequence[bytes], *, compact: bool) -> FileJournal:
        journal = FileJournal(self, number, fd)
        try:
            disk.flush_directory(self._path)
            table = [] if compact else self._table()
            journal.append([json.dumps(table).encode(), *first])
        except BaseException as error:
            self._abandon(journal, number, error)
            raise
        self._held = number
        if compact:
            self._delete_before(number)
        return journal

    def _create(self, number: int) -> int | None:
        """A new file, which nobody can see without its header and its lock; None: somebody else was faster."""
        with disk.temporary_file(self._temporary, 0o666) as (fd, path):
            disk.write_all(fd, _header())
            with suppress(OSError):
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return os.dup(fd) if disk.link_new(fd, path, self.path_of(number)) else None

    def _abandon(self, journal: FileJournal, number: int, error: BaseException) -> None:
        """Let go of a file that has no opening, and take it back unless a successor may have seen one."""
        journal.close()
        if isinstance(error, (OSError, StoreError)):
            with suppress(OSError, StoreError):
                self.check_newest(number)
                os.unlink(self.path_of(number))

    def _delete_before(self, number: int) -> None:
        """Remove older files, as far as possible: they are nothing now."""
        with suppress(StoreError):
            for older in self._numbers():
                if older < number:
                    with suppress(OSError):
                        os.unlink(self.path_of(older))

    def _table(self) -> Table:
        """What is acknowledged, now that no older leader can acknowledge anything more."""
        with ExitStack() as files:
            return [(part.number, part.acknowledged()) for part in self._parts(files)]

    def _parts(self, files: ExitStack) -> list[_Incarnation]:
        """The files that make up the journal. If a compaction deletes them under our hands there is a newer one."""
        for _ in range(_ATTEMPTS):
            try:
                return self._newest_parts(files)
            except FileNotFoundError:
                files.close()
        raise self._incomplete()

    def _newest_parts(self, files: ExitStack) -> list[_Incarnation]:
        numbers = sorted(self._numbers(), reverse=True)
        for number in numbers:
            file = files.enter_context(closing(self._incarnation(number)))
            table = file.table()
            if table is not None:
                return [*self._listed(table, files), file]
        if numbers and numbers[-1] != 1:
            raise damaged(self.path_of(numbers[-1]), 0)
        return []

    def _listed(self, table: Table, files: ExitStack) -> list[_Incarnation]:
        return [files.enter_context(closing(self._incarnation(number, size))) for number, size in table]

    def _incarnation(self, number: int, size: int | None = None) -> _Incarnation:
        return _Incarnation(number, self.path_of(number), size)

    def _leader_of(self, number: int) -> Leader | None:
        with suppress(OSError, StoreError), closing(self._incarnation(number)) as file:
            return file.leader
        return None

    def _numbers(self) -> list[int]:
        with disk.explained(self.store), os.scandir(self._path) as entries:
            return [int(match[1]) for entry in entries if (match := _NAME.fullmatch(entry.name))]

    def _incomplete(self) -> DamagedError:
        return DamagedError(f"{disk.shown(self._path)} lacks a file that its newest one lists; put back a copy of it")


def _joined(parts: Sequence[_Incarnation]) -> Iterator[bytes]:
    return chain.from_iterable(part.records() for part in parts)


def _header() -> bytes:
    header = {"format": "moil journal", "version": FORMAT, "pid": os.getpid(), "host": os.uname().nodename}
    text = json.dumps(header).encode()
    return text + b" " + _checksum(text) + b"\n"


def _checksum(text: bytes) -> bytes:
    return b"%08x" % crc32(text)


def _check_version(path: str, version: object) -> None:
    if version != FORMAT:
        message = f"has format version {version}, this Moil reads version {FORMAT}; use the Moil that wrote it"
        raise StoreError(f"{disk.shown(path)} {message}")


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
