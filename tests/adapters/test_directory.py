"""The job store in a directory: the suite, then what only a file system can do to it (`test_directory_opening` too)."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Timer

import pytest

from moil.adapters import disk
from moil.adapters.directory import DirectoryStore, exists, object_path
from moil.errors import FileError, KeyExists, MoilError, NoSuchKey, StoreError
from moil.ports.job_store import DurableStore
from moil.testing.job_store import BIG, JobStoreTests, RawJournal


class TestDirectoryStore(JobStoreTests):
    @pytest.fixture
    def store(self, tmp_path: Path) -> DurableStore:
        return DirectoryStore(tmp_path / "store", create=True)

    @pytest.fixture
    def reopen(self, tmp_path: Path) -> Callable[[], DurableStore]:
        return lambda: DirectoryStore(tmp_path / "store")

    @pytest.fixture
    def raw(self, tmp_path: Path) -> RawJournal:
        folder = tmp_path / "store" / "journal"
        return RawJournal(
            read=lambda: max(folder.iterdir()).read_bytes(),
            write=lambda data: max(folder.iterdir()).write_bytes(data),
        )


class TestFiles:
    def test_an_object_is_read_only_and_alone(self, store: DirectoryStore) -> None:
        store.put("a/b", b"bytes")
        status = object_path(store.path, "a/b").stat()
        assert status.st_mode & 0o777 == 0o444 & ~_umask()
        assert status.st_nlink == 1
        assert os.listdir(store.path / "tmp") == []

    def test_a_download_is_a_link_and_an_upload_is_not(self, store: DirectoryStore, tmp_path: Path) -> None:
        source, copy = tmp_path / "source", tmp_path / "copy"
        source.write_bytes(b"bytes")
        store.upload("a", source)
        store.download("a", copy)
        assert copy.samefile(object_path(store.path, "a"))
        assert not copy.samefile(source)

    @pytest.mark.parametrize("error", [errno.EXDEV, errno.EPERM, errno.EMLINK])
    @pytest.mark.parametrize("in_kernel", [True, False])
    def test_a_download_where_links_are_refused(
        self, store: DirectoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: int, in_kernel: bool
    ) -> None:
        source, copy = tmp_path / "source", tmp_path / "copy"
        source.write_bytes(BIG)
        source.chmod(0o700)
        store.upload("a", source)
        monkeypatch.setattr(os, "link", _refuse(error))
        if not in_kernel:
            monkeypatch.setattr(os, "copy_file_range", _refuse(errno.ENOSYS), raising=False)
        store.download("a", copy)
        assert copy.read_bytes() == BIG
        assert copy.stat().st_mode & 0o777 == 0o555 & ~_umask()
        assert not copy.samefile(object_path(store.path, "a"))

    def test_a_copy_that_fails_is_removed(
        self, store: DirectoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store.put("a", b"bytes")
        monkeypatch.setattr(os, "link", _refuse(errno.EXDEV))
        monkeypatch.setattr(os, "copy_file_range", _refuse(errno.ENOSYS), raising=False)
        monkeypatch.setattr(os, "write", _refuse(errno.ENOSPC))
        with pytest.raises(FileError, match=r"cannot write .*copy: no space left on device"):
            store.download("a", tmp_path / "copy")
        assert not (tmp_path / "copy").exists()

    def test_a_file_system_without_hard_links(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(os, "link", _refuse(errno.EPERM))
        with pytest.raises(StoreError, match="no hard links; choose another --job-store"):
            DirectoryStore(path, create=True)

    def test_a_link_whose_answer_was_lost(self, store: DirectoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
        link = os.link

        def twice(source: str, target: str) -> None:
            link(source, target)
            link(source, target)

        monkeypatch.setattr(os, "link", twice)
        store.put("a", b"mine", if_absent=True)
        with pytest.raises(KeyExists):
            store.put("a", b"other", if_absent=True)
        assert store.get("a") == b"mine"

    def test_upload_follows_links_and_refuses_pipes(self, store: DirectoryStore, tmp_path: Path) -> None:
        (tmp_path / "file").write_bytes(b"bytes")
        (tmp_path / "link").symlink_to("file")
        store.upload("a", tmp_path / "link")
        assert store.get("a") == b"bytes"
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(FileError, match="pipe: not a regular file"):
            store.upload("b", tmp_path / "pipe")

    def test_what_others_leave_among_the_objects(self, store: DirectoryStore) -> None:
        store.put("a/b", b"")
        for name in (".nfs0000", "core", ".DS_Store"):
            (store.path / "objects" / "a" / name).touch()
        assert list(store.keys("")) == ["a/b"]

    def test_abandoned_files_are_swept(self, store: DirectoryStore) -> None:
        old, new = store.path / "tmp" / "old", store.path / "tmp" / "new"
        for path in (old, new):
            path.touch()
        os.utime(old, (0, 0))
        store.open_journal().close()
        assert os.listdir(store.path / "tmp") == ["new"]

    def test_destroy_spares_the_files_of_others(self, store: DirectoryStore) -> None:
        store.put("a/b", b"")
        (store.path / "objects" / "link").symlink_to("/")
        (store.path / "notes").touch()
        store.destroy()
        store.destroy()
        assert os.listdir(store.path) == ["notes"]
        assert not exists(store.path)

    def test_destroy_removes_the_directory(self, store: DirectoryStore) -> None:
        store.put("a/b", b"")
        store.destroy()
        assert not store.path.exists()


class TestFlushing:
    """What is acknowledged must survive a power loss, and a flush is what each write costs."""

    @pytest.fixture
    def flushed(self, store: DirectoryStore, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        done: list[str] = []
        flush, flush_directory = disk.flush, disk.flush_directory

        def file(fd: int) -> None:
            done.append("file")
            flush(fd)

        def directory(path: str) -> None:
            done.append(os.path.relpath(path, store.path))
            flush_directory(path)

        monkeypatch.setattr(disk, "flush", file)
        monkeypatch.setattr(disk, "flush_directory", directory)
        return done

    def test_put(self, store: DirectoryStore, flushed: list[str]) -> None:
        store.put("a", b"")
        assert flushed == ["file", "objects"]

    def test_put_in_new_directories(self, store: DirectoryStore, flushed: list[str]) -> None:
        store.put("a/b/c", b"")
        assert flushed == ["file", "objects", "objects/a", "objects/a/b"]
        flushed.clear()
        store.put("a/b/d", b"", if_absent=True)
        assert flushed == ["file", "objects/a/b"]

    def test_another_process_does_not_rely_on_the_first(self, store: DirectoryStore, flushed: list[str]) -> None:
        store.put("a/b", b"")
        flushed.clear()
        DirectoryStore(store.path).put("a/c", b"")
        assert flushed == ["file", "objects", "objects/a"]

    def test_upload(self, store: DirectoryStore, flushed: list[str], tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        store.upload("a", tmp_path / "file")
        assert flushed == ["file", "objects"]
        store.upload("a", tmp_path / "file")
        assert flushed == ["file", "objects", "objects"]

    def test_journal(self, store: DirectoryStore, flushed: list[str]) -> None:
        journal = store.open_journal([b"1"])
        assert flushed == ["journal", "file"]
        journal.append([b"2", b"3"])
        assert flushed == ["journal", "file", "file"]


class TestRefusals:
    def test_a_full_disk(self, small: Path, tmp_path: Path) -> None:
        store = DirectoryStore(small / "store", create=True)
        journal = store.open_journal([b"first"])
        source = tmp_path / "source"
        source.write_bytes(BIG)
        writes: list[Callable[[], object]] = [
            lambda: store.put("a", BIG),
            lambda: store.put("b", BIG, if_absent=True),
            lambda: store.upload("c", source),
            lambda: journal.append([BIG]),
            lambda: store.open_journal([BIG], compact=True),
        ]
        for write in writes:
            message = f"^job store {store.path}: no space left on device; free some space and resume with --restart$"
            with pytest.raises(StoreError, match=message):
                write()
        assert list(store.keys("")) == os.listdir(store.path / "tmp") == []
        journal.append([b"later"])
        store.put("d", b"small")
        again = DirectoryStore(store.path)
        assert again.get("d") == b"small"
        assert list(again.read_journal()) == [b"first", b"later"]

    def test_a_read_only_directory(self, public: Path) -> None:
        store = DirectoryStore(public / "store", create=True)
        store.put("a", b"bytes")
        store.open_journal([b"record"]).close()
        message = f"^job store {store.path}: permission denied; get access to it, or choose another --job-store$"
        with _without_permission(store.path):
            for action in _writes(store):
                with pytest.raises(StoreError, match=message):
                    action()
            with pytest.raises(StoreError, match="permission denied"):
                DirectoryStore(store.path / "new", create=True)
            again = DirectoryStore(store.path)
            assert again.get("a") == b"bytes"
            assert list(again.keys("")) == ["a"]
            assert list(again.read_journal()) == [b"record"]

    def test_a_read_only_file_system(self, small: Path) -> None:
        store = DirectoryStore(small / "store", create=True)
        store.put("a", b"bytes")
        subprocess.run(["mount", "-o", "remount,ro", small], check=True)
        for action in _writes(store):
            with pytest.raises(StoreError, match=f"^job store {store.path}: read-only file system; make it writable"):
                action()
        assert DirectoryStore(store.path).get("a") == b"bytes"

    @pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.EDQUOT, errno.EMFILE])
    def test_other_refusals_are_one_line(self, store: DirectoryStore, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
        store.put("a", b"")
        monkeypatch.setattr(os, "open", _refuse(number))
        for action in (lambda: store.put("b", b""), lambda: store.get("a"), store.open_journal):
            with pytest.raises(StoreError) as caught:
                action()
            _check_message(caught.value)
            assert str(store.path) in str(caught.value)

    def test_a_store_that_is_gone(self, store: DirectoryStore, tmp_path: Path) -> None:
        store.put("a/b", b"")
        journal = store.open_journal()
        store.path.rename(tmp_path / "elsewhere")
        source = tmp_path / "source"
        source.touch()
        actions: list[Callable[[], object]] = [
            lambda: store.get("a/b"),
            lambda: store.put("a/c", b""),
            lambda: store.upload("c", source),
            lambda: store.download("a/b", tmp_path / "copy"),
            lambda: list(store.keys("")),
            lambda: journal.append([b""]),
            lambda: list(store.read_journal()),
            store.open_journal,
        ]
        message = f"^job store {store.path}: the directory is gone; put it back and resume with --restart"
        for action in actions:
            with pytest.raises(StoreError, match=message) as caught:
                action()
            assert not isinstance(caught.value, NoSuchKey)

    @pytest.mark.slow
    def test_two_processes_race_for_an_object(self, store: DirectoryStore) -> None:
        code = """
            import sys
            from moil.errors import KeyExists
            print("ready", flush=True)
            sys.stdin.readline()
            for number in range(50):
                try:
                    store.put(f"a/{number}", sys.argv[2].encode(), if_absent=True)
                except KeyExists:
                    continue
                print(number)
            """
        with _started(store.path, code, "one") as one, _started(store.path, code, "two") as two:
            for racer in (one, two):
                assert racer.stdout and racer.stdout.readline() == "ready\n"
            for racer in (one, two):
                print(file=racer.stdin, flush=True)
            won = [set(map(int, racer.communicate()[0].split())) for racer in (one, two)]
        assert won[0] | won[1] == set(range(50))
        assert not won[0] & won[1]
        for name, numbers in zip((b"one", b"two"), won, strict=True):
            assert {store.get(f"a/{number}") for number in numbers} <= {name}


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 64 KiB."""
    path = tmp_path / "small"
    path.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(path)]
    if os.geteuid() != 0 or subprocess.run(command, check=False, capture_output=True).returncode:
        _cannot("mounting a file system takes a privileged user")
    yield path
    subprocess.run(["umount", "-l", path], check=True)


@pytest.fixture
def public() -> Iterator[Path]:
    """A directory that other users can reach."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@contextmanager
def _without_permission(path: Path) -> Iterator[None]:
    """Directories are read-only; root, for whom that means nothing, becomes somebody else for a while."""
    folders = [Path(folder) for folder, _, _ in os.walk(path)]
    user = os.geteuid()
    for folder in folders:
        folder.chmod(0o555)
    try:
        if user == 0:
            os.seteuid(65534)
        yield
    finally:
        os.seteuid(user)
        for folder in folders:
            folder.chmod(0o755)


def _cannot(reason: str) -> None:
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def _writes(store: DirectoryStore) -> list[Callable[[], object]]:
    return [
        lambda: store.put("b", b""),
        lambda: store.put("a", b""),
        lambda: store.put("a/b", b"", if_absent=True),
        lambda: store.delete(["a"]),
        store.open_journal,
        store.destroy,
    ]


def _refuse(number: int) -> Callable[..., int]:
    def refuse(*_: object, **__: object) -> int:
        raise OSError(number, os.strerror(number))

    return refuse


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _check_message(error: MoilError) -> None:
    assert str(error).isprintable()
    str(error).encode()


@contextmanager
def _started(path: Path, code: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A Python process with `store` open; it is gone in a minute whatever happens."""
    opening = "import sys; from moil.adapters.directory import DirectoryStore; store = DirectoryStore(sys.argv[1])"
    program = f"{opening}\n{textwrap.dedent(code)}"
    command = [sys.executable, "-c", program, str(path), *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        watch = Timer(60, process.kill)
        watch.start()
        try:
            yield process
        finally:
            watch.cancel()
            process.kill()
