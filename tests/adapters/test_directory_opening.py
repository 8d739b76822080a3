"""The job store in a directory: made, found again, and told from what it is not."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from moil.adapters.directory import DirectoryStore, exists
from moil.errors import NoSuchKey, StoreError


class TestOpening:
    def test_create_and_open(self, path: Path) -> None:
        assert not exists(path)
        DirectoryStore(path / "deep" / "er", create=True).put("a", b"bytes")
        assert exists(path / "deep" / "er")
        assert DirectoryStore(path / "deep" / "er").get("a") == b"bytes"

    def test_the_format_file(self, store: DirectoryStore) -> None:
        content = json.loads((store.path / "format").read_text())
        assert content == {"format": "moil job store", "version": 1, "folders": ["files", "values"]}
        assert sorted(os.listdir(store.path / "objects")) == content["folders"]

    def test_a_store_that_was_made_without_directories_of_objects(self, store: DirectoryStore) -> None:
        _rewrite(store.path / "format", b'{"format": "moil job store", "version": 1}')
        for name in ("files", "values"):
            (store.path / "objects" / name).rmdir()
        DirectoryStore(store.path).put("files/a", b"bytes")
        assert store.get("files/a") == b"bytes"

    def test_the_locator_is_absolute(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(path.parent)
        store = DirectoryStore(Path("store"), create=True)
        monkeypatch.chdir("/")
        store.put("a", b"bytes")
        assert store.locator == str(path)
        assert DirectoryStore(Path(store.locator)).get("a") == b"bytes"

    def test_there_is_none(self, path: Path) -> None:
        with pytest.raises(StoreError, match=f"job store {path}: there is none; .*--restart"):
            DirectoryStore(path)

    def test_there_is_one_already(self, store: DirectoryStore) -> None:
        with pytest.raises(StoreError, match="resume that with --restart, or remove it with moil clean"):
            DirectoryStore(store.path, create=True)

    def test_a_directory_of_something_else(self, path: Path) -> None:
        path.mkdir()
        (path / "thesis.tex").touch()
        with pytest.raises(StoreError, match="there is none"):
            DirectoryStore(path)
        with pytest.raises(StoreError, match="not empty; choose a new one"):
            DirectoryStore(path, create=True)
        assert os.listdir(path) == ["thesis.tex"]

    def test_a_file(self, path: Path) -> None:
        path.touch()
        with pytest.raises(StoreError, match="there is none"):
            DirectoryStore(path)
        with pytest.raises(StoreError, match="not a directory"):
            DirectoryStore(path, create=True)

    def test_an_interrupted_creation_is_no_obstacle(self, path: Path) -> None:
        for part in ("objects/files", "tmp"):
            (path / part).mkdir(parents=True)
        (path / "tmp" / "0123").touch()
        DirectoryStore(path, create=True).put("a", b"")

    def test_the_rest_of_another_store_is_one(self, path: Path) -> None:
        for inner in ("a", "files/a"):
            (path / "objects" / inner).mkdir(parents=True)
            with pytest.raises(StoreError, match="not empty"):
                DirectoryStore(path, create=True)
            (path / "objects" / inner).rmdir()

    def test_another_version(self, store: DirectoryStore) -> None:
        _rewrite(store.path / "format", b'{"format": "moil job store", "version": 7}')
        with pytest.raises(StoreError, match="format version 7, this Moil reads version 1; use the Moil that wrote it"):
            DirectoryStore(store.path)

    @pytest.mark.parametrize("content", [b"", b"[]", b"\xff", b'{"format": "other", "version": 1}', b'{"version": 1}'])
    def test_a_format_file_that_says_nothing(self, store: DirectoryStore, content: bytes) -> None:
        _rewrite(store.path / "format", content)
        with pytest.raises(StoreError, match="damaged or another program's"):
            DirectoryStore(store.path)

    def test_one_of_many_creators_wins(self, path: Path) -> None:
        barrier = Barrier(6)

        def create(_: int) -> bool:
            barrier.wait(timeout=30)
            try:
                DirectoryStore(path, create=True)
            except StoreError:
                return False
            return True

        with ThreadPoolExecutor(6) as pool:
            assert list(pool.map(create, range(6))).count(True) == 1
        DirectoryStore(path).put("a", b"")

    @pytest.mark.parametrize("name", [b"with space", b"\xe9\xff", "ü".encode(), b"line\nbreak"])
    def test_odd_paths(self, tmp_path: Path, name: bytes) -> None:
        path = tmp_path / os.fsdecode(name)
        local = path.with_name(os.fsdecode(b"local " + name))
        local.write_bytes(b"bytes")
        store = DirectoryStore(path, create=True)
        store.upload("a/b", local)
        store.open_journal([b"record"]).close()
        again = DirectoryStore(Path(store.locator))
        again.download("a/b", tmp_path / os.fsdecode(b"copy " + name))
        assert again.get("a/b") == b"bytes"
        assert list(again.keys("")) == ["a/b"]
        assert list(again.read_journal()) == [b"record"]
        with pytest.raises(NoSuchKey) as caught:
            again.get("none")
        assert str(caught.value).isprintable()
        str(caught.value).encode()


def _rewrite(path: Path, content: bytes) -> None:
    path.chmod(0o644)
    path.write_bytes(content)
