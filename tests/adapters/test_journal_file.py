"""The journal on disk: every way in which its bytes can be less, or other, than what was written."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import textwrap
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path
from threading import Timer
from zlib import crc32

import pytest

from moil.adapters import disk
from moil.adapters.frames import frame
from moil.adapters.journal_file import JournalDirectory
from moil.errors import DamagedError, FencedError, StoreError

BATCHES = ([b"one"], [b"two", b"", b"2"], [b"three"])
RECORDS = [record for batch in BATCHES for record in batch]


class Home:
    """A journal's directory, and a way to be another process."""

    def __init__(self, path: Path) -> None:
        self.path = path
        for name in ("journal", "tmp"):
            (path / name).mkdir(parents=True)
        self.journals = self.reopen()

    def reopen(self) -> JournalDirectory:
        return JournalDirectory(str(self.path), str(self.path / "journal"), str(self.path / "tmp"))

    def file(self, number: int = 1) -> Path:
        return self.path / "journal" / f"{number:08}.journal"

    def names(self) -> list[str]:
        return sorted(os.listdir(self.path / "journal"))

    def read(self) -> list[bytes]:
        return list(self.reopen().read())

    def write_batches(self, number: int = 1) -> list[int]:
        """Open, append, close; where each frame ends."""
        journal, ends = self.reopen().open(), [self.file(number).stat().st_size]
        for batch in BATCHES:
            journal.append(batch)
            ends.append(self.file(number).stat().st_size)
        journal.close()
        return ends


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


class TestDamage:
    @pytest.mark.parametrize("change", [0x01, 0x80, 0xFF])
    def test_a_flipped_bit_anywhere(self, home: Home, change: int) -> None:
        """It is named, or it is in the last frame, which is then torn, or it changes nothing."""
        ends = home.write_batches()
        whole = home.file().read_bytes()
        for offset in range(len(whole)):
            damaged = bytearray(whole)
            damaged[offset] ^= change
            home.file().write_bytes(damaged)
            read = _read(home)
            if offset >= ends[-2]:
                assert read in (RECORDS, RECORDS[:-1])
            elif read is None:
                assert _damage(home).startswith(f"{home.file()} is damaged at byte ")
            else:
                assert read == RECORDS

    def test_the_byte_is_named(self, home: Home) -> None:
        ends = home.write_batches()
        whole = home.file().read_bytes()
        for start, end in pairwise(ends[:-1]):
            home.file().write_bytes(whole[: end - 1] + b"!" + whole[end:])
            assert f"at byte {start};" in _damage(home)

    def test_any_length(self, home: Home) -> None:
        ends = home.write_batches()
        whole = home.file().read_bytes()
        for size in range(len(whole)):
            home.file().write_bytes(whole[:size])
            frames_left = sum(end <= size for end in ends[1:])
            assert home.read() == [record for batch in BATCHES[:frames_left] for record in batch]

    @pytest.mark.parametrize("tail", [bytes(1), bytes(19), bytes(5000), b"\xa6MJ", frame([b"x" * 99])[:-1]])
    def test_a_tail_is_cut_off_and_the_next_leader_goes_on(self, home: Home, tail: bytes) -> None:
        home.write_batches()
        with home.file().open("ab") as file:
            file.write(tail)
        assert home.read() == RECORDS
        journal = home.reopen().open([b"more"])
        assert list(journal.replay()) == home.read() == [*RECORDS, b"more"]

    def test_zeros_in_the_middle_are_damage(self, home: Home) -> None:
        ends = home.write_batches()
        whole = bytearray(home.file().read_bytes())
        whole[ends[1] : ends[2]] = bytes(ends[2] - ends[1])
        home.file().write_bytes(whole)
        assert f"at byte {ends[1]};" in _damage(home)

    @pytest.mark.slow
    def test_an_older_file_must_be_whole(self, home: Home) -> None:
        home.write_batches()
        home.write_batches(2)
        whole = home.file().read_bytes()
        for size in range(len(whole)):
            home.file().write_bytes(whole[:size])
            assert f"{home.file()} is damaged" in _damage(home)
        for offset in range(len(whole)):
            home.file().write_bytes(whole[:offset] + bytes([whole[offset] ^ 1]) + whole[offset + 1 :])
            assert _read(home) in (None, RECORDS * 2)

    def test_what_a_fenced_leader_left_in_an_older_file_is_nothing(self, home: Home) -> None:
        home.write_batches()
        home.write_batches(2)
        for tail in (frame([b"never"]), b"garbage", frame([b"never"]) + b"garbage" + frame([b"never"])):
            with home.file().open("ab") as file:
                file.write(tail)
            assert home.read() == RECORDS * 2

    def test_a_missing_file(self, home: Home) -> None:
        home.write_batches()
        journal = home.reopen().open()
        home.file().unlink()
        for read in (home.read, lambda: list(journal.replay())):
            with pytest.raises(DamagedError, match="lacks a file"):
                read()

    def test_a_snapshot_that_is_gone(self, home: Home) -> None:
        home.journals.open().close()
        home.journals.open([b"snapshot"], compact=True).close()
        os.truncate(home.file(2), 100)
        assert f"{home.file(2)} is damaged" in _damage(home)

    def test_damage_stops_a_new_leader_and_leaves_nothing_behind(self, home: Home) -> None:
        ends = home.write_batches()
        whole = home.file().read_bytes()
        home.file().write_bytes(whole[: ends[0]] + b"!" + whole[ends[0] + 1 :])
        with pytest.raises(DamagedError):
            home.journals.open()
        assert home.names() == [home.file().name]

    def test_another_version(self, home: Home) -> None:
        home.write_batches()
        header = home.file().read_bytes().partition(b"\n")[0].rpartition(b" ")[0]
        header = header.replace(b'"version": 1', b'"version": 7')
        home.file().write_bytes(header + b" %08x\n" % crc32(header) + b"who knows")
        for action in (home.read, home.journals.open):
            with pytest.raises(StoreError, match="format version 7, this Moil reads version 1"):
                action()


class TestIncarnations:
    def test_a_file_for_each_leader(self, home: Home) -> None:
        home.write_batches()
        home.write_batches(2)
        (home.path / "journal" / "notes.txt").touch()
        assert home.names() == ["00000001.journal", "00000002.journal", "notes.txt"]
        assert home.read() == RECORDS * 2

    def test_compaction_deletes_older_files(self, home: Home) -> None:
        home.write_batches()
        journal = home.journals.open()
        newer = home.journals.open([b"snapshot"], compact=True)
        journal.close()
        assert home.names() == ["00000003.journal"]
        assert list(newer.replay()) == [b"snapshot"]

    def test_older_files_that_could_not_be_deleted_are_nothing(self, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
        home.write_batches()
        home.journals.open()
        with monkeypatch.context() as patch:
            patch.setattr(os, "unlink", _refuse(errno.EIO, only=".journal"))
            home.journals.open([b"snapshot"], compact=True)
        assert len(home.names()) == 3
        assert home.read() == [b"snapshot"]
        home.journals.open([b"again"], compact=True)
        assert home.names() == ["00000004.journal"]

    @pytest.mark.parametrize("compact", [True, False])
    def test_a_new_file_without_a_whole_opening_is_nothing(self, home: Home, compact: bool) -> None:
        home.write_batches()
        leader = home.reopen()
        leader.open().close()
        older = {path: path.read_bytes() for path in (home.file(1), home.file(2))}
        leader.open([b"new"], compact=compact).close()
        whole = home.file(3).read_bytes()
        for path, content in older.items():
            path.write_bytes(content)
        for size in range(len(whole)):
            home.file(3).write_bytes(whole[:size])
            assert home.read() == RECORDS
        journal = home.reopen().open([b"newest"])
        assert list(journal.replay()) == home.read() == [*RECORDS, b"newest"]
        home.file(3).unlink()
        assert home.read() == [*RECORDS, b"newest"]

    def test_death_before_the_opening(self, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
        home.write_batches()
        with monkeypatch.context() as patch, suppress(_Death):
            patch.setattr(JournalDirectory, "_table", _die)
            home.reopen().open([b"never"])
        assert home.names() == ["00000001.journal", "00000002.journal"]
        assert home.read() == RECORDS
        assert list(home.reopen().open([b"more"]).replay()) == [*RECORDS, b"more"]

    def test_the_fence_names_who(self, home: Home) -> None:
        old = home.journals.open()
        home.reopen().open()
        who = f"process {os.getpid()} on {os.uname().nodename}"
        message = f"^job store {home.path}: {who} has taken this run over; this leader stops$"
        with pytest.raises(FencedError, match=message):
            old.append([b"never"])

    def test_memory_is_bounded(self, home: Home) -> None:
        journal = home.journals.open()
        for _ in range(64):
            journal.append([b"x" * 1000] * 250)
        tracemalloc.start()
        assert sum(1 for _ in journal.replay()) == 64 * 250
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert home.file().stat().st_size > 15_000_000
        assert peak < 5_000_000

    def test_append_does_one_flush_and_one_listing(self, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
        journal, calls = home.journals.open(), list[str]()
        for module, name in ((disk, "flush"), (disk, "flush_directory"), (os, "write"), (os, "scandir"), (os, "stat")):
            monkeypatch.setattr(module, name, _noted(calls, name, getattr(module, name)))
        journal.append([b"1", b"2"])
        assert calls == ["write", "flush", "scandir"]


class TestRefusals:
    @pytest.mark.parametrize("written", [0, 1, 25])
    def test_a_full_disk(self, home: Home, monkeypatch: pytest.MonkeyPatch, written: int) -> None:
        journal = home.journals.open([b"first"])
        size = home.file().stat().st_size
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", _write_only(written))
            with pytest.raises(StoreError, match=f"^job store {home.path}: no space left on device; free some space"):
                journal.append([b"lost"])
        assert home.file().stat().st_size == size
        journal.append([b"second"])
        assert list(journal.replay()) == home.read() == [b"first", b"second"]

    def test_a_flush_that_fails(self, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
        journal = home.journals.open([b"first"])
        monkeypatch.setattr(disk, "flush", _failing_once(OSError(errno.EIO, "Input/output error"), disk.flush))
        with pytest.raises(StoreError, match="input/output error"):
            journal.append([b"lost"])
        journal.append([b"second"])
        assert home.read() == [b"first", b"second"]

    def test_a_disk_that_never_comes_back(self, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
        journal = home.journals.open([b"first"])
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", _write_only(3))
            patch.setattr(os, "ftruncate", _refuse(errno.EIO))
            with pytest.raises(StoreError, match="no space"):
                journal.append([b"lost"])
        with pytest.raises(StoreError, match="input/output error"):
            journal.append([b"lost"])
        assert home.read() == [b"first"]

    def test_an_append_that_is_interrupted(self, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
        journal = home.journals.open([b"first"])
        monkeypatch.setattr(disk, "flush", _failing_once(KeyboardInterrupt(), disk.flush))
        with pytest.raises(KeyboardInterrupt):
            journal.append([b"lost"])
        journal.append([b"second"])
        assert home.read() == [b"first", b"second"]

    def test_a_leader_that_cannot_see_its_successors_stops(self, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
        journal = home.journals.open([b"first"])
        with monkeypatch.context() as patch:
            patch.setattr(os, "scandir", _refuse(errno.EIO))
            with pytest.raises(StoreError, match="input/output error"):
                journal.append([b"perhaps"])
        with pytest.raises(StoreError, match="input/output error"):
            journal.append([b"never"])
        assert home.read() in ([b"first"], [b"first", b"perhaps"])

    def test_a_full_disk_when_a_leader_begins(self, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
        home.write_batches()
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", _write_only(100))
            with pytest.raises(StoreError, match="no space"):
                home.journals.open([b"never"])
        assert home.names() == ["00000001.journal"]
        assert home.read() == RECORDS


class TestProcesses:
    def test_a_live_leader_is_named(self, home: Home) -> None:
        code = """
            journal = journals.open([b'1'])
            print('ready', flush=True)
            sys.stdin.readline()
            """
        with _leader(home, code) as process:
            who = f"process {process.pid} on {os.uname().nodename}"
            cure = "wait for it, or stop it and resume with --restart"
            with pytest.raises(StoreError, match=f"^job store {home.path}: {who} leads this run; {cure}$"):
                home.journals.open()
            assert home.read() == [b"1"]
            process.kill()
            process.wait(timeout=30)
            assert list(home.journals.open().replay()) == [b"1"]

    def test_a_child_of_a_dead_leader_is_no_leader(self, home: Home) -> None:
        code = """
            import os
            journal = journals.open([b'1'])
            if os.fork():
                os._exit(0)
            print('ready', flush=True)
            sys.stdin.readline()
            """
        with _leader(home, code) as process:
            process.wait(timeout=30)
            assert list(home.journals.open([b"2"]).replay()) == [b"1", b"2"]

    @pytest.mark.parametrize("locks", [True, False])
    def test_file_systems_without_locks(self, home: Home, monkeypatch: pytest.MonkeyPatch, locks: bool) -> None:
        if not locks:
            monkeypatch.setattr("fcntl.flock", _refuse(errno.ENOSYS))
        old = home.journals.open()
        home.reopen().open()
        with pytest.raises(FencedError):
            old.append([b"never"])

    @pytest.mark.slow
    def test_two_processes_race_to_lead(self, home: Home) -> None:
        code = """
            print('ready', flush=True)
            sys.stdin.readline()
            try:
                journal = journals.open([b'mine'])
                print('leads', flush=True)
            except Exception as error:
                print(error, flush=True)
            sys.stdin.readline()
            """
        with _leader(home, code) as one, _leader(home, code) as two:
            for process in (one, two):
                _say(process)
            said = sorted(_hear(process) for process in (one, two))
            assert [line.endswith("leads") for line in said] == [False, True]
            assert "leads this run; wait for it" in said[0]
        assert home.read() == [b"mine"]

    @pytest.mark.slow
    def test_kill_in_the_middle_of_an_append(self, home: Home) -> None:
        code = """
            journal = journals.open()
            print('ready', flush=True)
            for number in range(names['first'], 1_000_000):
                journal.append([b'%d' % number] * 3000)
                print(number, flush=True)
            """
        acknowledged, read = -1, list[bytes]()
        for _ in range(3):
            with _leader(home, code, first=len(read) // 3000) as process:
                for _ in range(4):
                    acknowledged = int(_hear(process))
                process.send_signal(signal.SIGKILL)
                process.wait(timeout=30)
                assert process.stdout is not None
                acknowledged = max([acknowledged, *map(int, process.stdout.read().split("\n")[:-1])])
            read = home.read()
            batches = len(read) // 3000
            assert batches > acknowledged
            assert read == [b"%d" % number for number in range(batches) for _ in range(3000)]


class _Death(BaseException):
    pass


def _die(*_: object) -> None:
    raise _Death


def _failing_once(error: BaseException, function: Callable[[int], None]) -> Callable[[int], None]:
    errors = [error]

    def failing_once(fd: int) -> None:
        if errors:
            raise errors.pop()
        function(fd)

    return failing_once


def _read(home: Home) -> list[bytes] | None:
    try:
        return home.read()
    except DamagedError:
        return None


def _damage(home: Home) -> str:
    with pytest.raises(DamagedError) as caught:
        home.read()
    return str(caught.value)


def _refuse(number: int, only: str = "") -> Callable[..., None]:
    def refuse(*arguments: object, **_: object) -> None:
        if only in str(arguments):
            raise OSError(number, os.strerror(number).lower())

    return refuse


def _write_only(room: int) -> Callable[[int, bytes], int]:
    """A disk with room for so many bytes, now and ever after."""
    write, left = os.write, [room]

    def write_only(fd: int, data: bytes) -> int:
        if not left[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = write(fd, bytes(data)[: left[0]])
        left[0] -= written
        return written

    return write_only


def _noted(calls: list[str], name: str, function: Callable[..., object]) -> Callable[..., object]:
    def noted(*arguments: object, **named: object) -> object:
        calls.append(name)
        return function(*arguments, **named)

    return noted


@contextmanager
def _leader(home: Home, code: str, **names: int) -> Iterator[subprocess.Popen[str]]:
    """A process that has come to print `ready`; it is gone afterwards, and in a minute whatever happens."""
    opening = f"import sys; from moil.adapters.journal_file import JournalDirectory\nnames = {names}"
    places = ", ".join(repr(str(home.path / name)) for name in ("", "journal", "tmp"))
    program = f"{opening}\njournals = JournalDirectory({places})\n{textwrap.dedent(code)}"
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        watch = Timer(60, process.kill)
        watch.start()
        try:
            assert _hear(process) == "ready"
            yield process
        finally:
            watch.cancel()
            process.kill()


def _say(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def _hear(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().rstrip("\n")
