"""Files of an attempt, on a real directory: what is copied and what is not."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from moil.adapters.directory import DirectoryStore
from moil.runtime.files import WORTH_STAGING, FileAccess


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    return DirectoryStore(tmp_path / "store", create=True)


def access(store: DirectoryStore, home: Path) -> FileAccess:
    return FileAccess(store, home / "cache", home / "files")


def saved(store: DirectoryStore, home: Path, content: bytes, mode: int = 0o644):
    source = home / "data"
    source.write_bytes(content)
    source.chmod(mode)
    return access(store, home).save(source)


@pytest.mark.parametrize("size", [10, WORTH_STAGING[0], WORTH_STAGING[0] + 1])
@pytest.mark.parametrize("mode", [0o644, 0o755])
def test_a_file_of_any_size_is_what_it_was(store, tmp_path, size, mode):
    file = saved(store, tmp_path, os.urandom(size), mode)
    copy = access(store, tmp_path).fetch(file)
    assert copy.read_bytes() == (tmp_path / "data").read_bytes()
    assert copy.stat().st_mode & 0o777 == mode & 0o555
    assert saved(store, tmp_path, copy.read_bytes(), mode).digest == file.digest
    assert os.listdir(store.path / "tmp") == []


def test_a_local_copy_is_the_stores_own_file_where_it_can_be(store, tmp_path):
    file = saved(store, tmp_path, b"bytes")
    copy = access(store, tmp_path).fetch(file)
    assert copy.samefile(store.object_path(f"files/{file.digest}"))
    assert not (tmp_path / "cache").exists()


def test_on_another_disk_there_is_one_copy_for_the_whole_machine(store, tmp_path, monkeypatch):
    file = saved(store, tmp_path, b"bytes")
    link = os.link

    def refused(source, target, **how):
        if str(source).startswith(str(store.path / "objects")):
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        link(source, target, **how)

    monkeypatch.setattr(os, "link", refused)
    first, second = (FileAccess(store, tmp_path / "cache", tmp_path / name).fetch(file) for name in ("1", "2"))
    assert first.read_bytes() == b"bytes"
    assert first.samefile(second)
    assert not first.samefile(store.object_path(f"files/{file.digest}"))
