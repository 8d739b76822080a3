"""Files of an attempt, on a real directory: what is copied and what is not."""

from __future__ import annotations

import errno
import mmap
import os
from pathlib import Path

import pytest

from moil.adapters.directory import DirectoryStore
from moil.adapters.memory import MemoryStore
from moil.errors import FileError, StoreError
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


# -- given away --------------------------------------------------------------------------------------------------------


def giving(store: DirectoryStore, home: Path) -> FileAccess:
    """With a scratch directory, which holds everything here."""
    return FileAccess(store, home / "cache", home / "files", home)


def object_of(store: DirectoryStore, file) -> Path:
    return store.object_path(f"files/{file.digest}")


@pytest.mark.parametrize("size", [0, 10, WORTH_STAGING[0]])
def test_what_is_given_away_is_not_copied(store, tmp_path, size):
    source = tmp_path / "data"
    source.write_bytes(os.urandom(size))
    inode, content = source.stat().st_ino, source.read_bytes()
    file = giving(store, tmp_path).save(source, move=True)
    kept = object_of(store, file)
    assert (kept.stat().st_ino, kept.read_bytes(), kept.stat().st_mode & 0o777, kept.stat().st_nlink) == (inode, content, 0o444, 1)
    assert not source.exists() and os.listdir(store.path / "tmp") == []


def test_the_same_given_away_twice(store, tmp_path):
    for _ in range(2):
        (tmp_path / "data").write_bytes(b"the same")
        file = giving(store, tmp_path).save(tmp_path / "data", move=True)
        assert not (tmp_path / "data").exists()
    assert object_of(store, file).read_bytes() == b"the same" and os.listdir(store.path / "tmp") == []


def test_who_still_writes_to_it_does_not_change_what_was_saved(store, tmp_path):
    source = tmp_path / "data"
    with source.open("w") as writing:
        writing.write("before")
        writing.flush()
        file = giving(store, tmp_path).save(source, move=True)
        writing.write(" and after")
    assert object_of(store, file).read_text() == "before" and not source.exists()


def test_who_maps_it_does_not_change_what_was_saved(store, tmp_path):
    source = tmp_path / "data"
    source.write_bytes(b"before")
    with source.open("r+b") as file:
        mapped = mmap.mmap(file.fileno(), 6)
    saved_file = giving(store, tmp_path).save(source, move=True)
    mapped[:] = b"after!"
    mapped.close()
    assert object_of(store, saved_file).read_bytes() == b"before"


def test_what_has_another_name_keeps_that(store, tmp_path):
    source, other = tmp_path / "data", tmp_path / "other"
    source.write_text("content")
    os.link(source, other)
    file = giving(store, tmp_path).save(source, move=True)
    other.write_text("changed")
    assert object_of(store, file).read_text() == "content" and not source.exists()


def test_of_a_link_only_the_link_is_given_away(store, tmp_path):
    (tmp_path / "data").write_text("content")
    (tmp_path / "link").symlink_to("data")
    file = giving(store, tmp_path).save(tmp_path / "link", move=True)
    assert not (tmp_path / "link").is_symlink() and (tmp_path / "data").read_text() == "content"
    assert not object_of(store, file).samefile(tmp_path / "data")


def test_a_local_copy_is_not_given_away_since_others_rely_on_it(store, tmp_path):
    file = saved(store, tmp_path, b"bytes")
    working = access(store, tmp_path)
    copy = working.fetch(file)
    assert working.save(copy, move=True).digest == file.digest
    assert working.fetch(file) == copy and copy.read_bytes() == b"bytes"


def test_where_nothing_can_be_moved_it_is_copied(store, tmp_path, monkeypatch):
    monkeypatch.setattr("moil.adapters.disk.take", lambda *_: False)
    (tmp_path / "data").write_text("content")
    file = giving(store, tmp_path).save(tmp_path / "data", move=True)
    assert object_of(store, file).read_text() == "content" and not (tmp_path / "data").exists()


def test_what_could_not_be_saved_is_where_it_was(store, tmp_path, monkeypatch):
    (tmp_path / "data").write_text("content")
    (tmp_path / "data").chmod(0o640)
    with monkeypatch.context() as patched:
        patched.setattr("moil.adapters.disk.flush", lambda _: (_ for _ in ()).throw(OSError(errno.EIO, os.strerror(errno.EIO))))
        with pytest.raises(StoreError, match="input/output error"):
            giving(store, tmp_path).save(tmp_path / "data", move=True)
    assert (tmp_path / "data").read_text() == "content" and os.listdir(store.path / "tmp") == []
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o640


def test_what_has_its_name_in_the_store_stays_there(store, tmp_path, monkeypatch):
    """Its name could not be flushed, and that is what is told."""
    (tmp_path / "data").write_text("content")

    def fail(path):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patched:
        patched.setattr("moil.adapters.disk.flush_directory", fail)
        with pytest.raises(StoreError, match="input/output error"):
            giving(store, tmp_path).save(tmp_path / "data", move=True)
    (kept,) = store.keys("files/")
    assert store.get(kept) == b"content" and os.listdir(store.path / "tmp") == []
    assert (store.path / "objects" / f"{kept}+").stat().st_mode & 0o777 == 0o444


def tree(root: Path) -> dict[str, str]:
    return {path.relative_to(root).as_posix(): path.read_text() for path in root.rglob("*") if path.is_file()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a", "b/c", "b/d"):
        (tmp_path / "folder" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "folder" / name).write_text(name)
    return tmp_path / "folder"


def test_a_directory_is_given_away_whole(store, tmp_path, folder):
    before = tree(folder)
    file = giving(store, tmp_path).save(folder, move=True)
    assert not folder.exists() and tree(access(store, tmp_path).fetch(file)) == before


def test_a_directory_that_cannot_be_saved_whole_stays_whole(store, tmp_path, folder):
    before = tree(folder)
    os.mkfifo(folder / "z")
    with pytest.raises(FileError, match="neither a file nor a directory"):
        giving(store, tmp_path).save(folder, move=True)
    (folder / "z").unlink()
    assert tree(folder) == before
    (folder / "a").write_text("it may be changed")
    assert access(store, tmp_path).fetch(giving(store, tmp_path).save(folder)).joinpath("a").read_text() == "it may be changed"


def test_stores_that_are_no_disks_take_it_too(tmp_path):
    (tmp_path / "data").write_text("content")
    store = MemoryStore()
    file = giving(store, tmp_path).save(tmp_path / "data", move=True)
    assert store.get(f"files/{file.digest}") == b"content" and not (tmp_path / "data").exists()


@pytest.mark.parametrize("kind", ["file", "directory"])
def test_what_would_be_missed_is_gone_only_when_its_copy_is_safe(store, tmp_path, folder, kind):
    """It lies elsewhere, and whoever is killed while it is being saved must find it there."""
    source = folder if kind == "directory" else folder / "a"
    inode = (folder / "a").stat().st_ino
    file = FileAccess(store, tmp_path / "cache", tmp_path / "files", tmp_path / "scratch").save(source, move=True)
    assert not source.exists()
    copy = access(store, tmp_path).fetch(file)
    assert (copy / "a" if kind == "directory" else copy).read_text() == "a"
    assert all(path.stat().st_ino != inode for path in (store.path / "objects" / "files").iterdir())


def test_what_is_published_under_two_keys(store, tmp_path):
    (tmp_path / "data").write_text("content")
    with store.stage(tmp_path / "data", move=True) as staged:
        staged.publish("one")
        staged.publish("two")
    assert store.get("one") == store.get("two") == b"content"
    assert not (tmp_path / "data").exists() and os.listdir(store.path / "tmp") == []


@pytest.mark.parametrize("inner", [".", "scratch"])
def test_a_job_cannot_give_away_where_it_works(store, tmp_path, inner):
    (tmp_path / "scratch").mkdir()
    working = FileAccess(store, tmp_path / "cache", tmp_path / "files", tmp_path / "scratch")
    with pytest.raises(FileError, match="cannot give away .* where the job works"):
        working.save(tmp_path / inner, move=True)
    assert (tmp_path / "scratch").is_dir()


def refuse_to_rename(monkeypatch, root: Path) -> None:
    rename = Path.rename

    def renamed(self, target):
        if self == root:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", renamed)


@pytest.mark.parametrize("where", ["scratch", "elsewhere"])
def test_a_directory_that_cannot_be_taken_from_its_place_keeps_all_it_holds(store, tmp_path, folder, monkeypatch, where):
    before = tree(folder)
    (folder / "a").chmod(0o600)
    refuse_to_rename(monkeypatch, folder)
    scratch = tmp_path if where == "scratch" else tmp_path / "scratch"
    with pytest.raises(FileError, match="cannot save .*folder: Permission denied"):
        FileAccess(store, tmp_path / "cache", tmp_path / "files", scratch).save(folder, move=True)
    assert tree(folder) == before and (folder / "a").stat().st_mode & 0o777 == 0o600


def test_what_is_put_back_where_there_is_no_room_for_it(store, tmp_path, folder, monkeypatch):
    before = tree(folder)

    def full(source, target):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("shutil.copyfile", full)
    refuse_to_rename(monkeypatch, folder)
    with pytest.raises(FileError, match="Permission denied"):
        giving(store, tmp_path).save(folder, move=True)
    assert tree(folder) == before


def test_of_a_link_to_a_directory_only_the_link_is_given_away(store, tmp_path, folder):
    before = tree(folder)
    (tmp_path / "link").symlink_to("folder")
    file = giving(store, tmp_path).save(tmp_path / "link", move=True)
    assert tree(folder) == before and not (tmp_path / "link").is_symlink()
    assert tree(access(store, tmp_path).fetch(file)) == before


def test_links_to_directories_in_a_directory(store, tmp_path, folder):
    (folder / "link").symlink_to("b")
    copy = access(store, tmp_path).fetch(giving(store, tmp_path).save(folder, move=True))
    assert os.readlink(copy / "link") == "b" and (copy / "link" / "c").read_text() == "b/c"


def test_what_was_taken_says_so_and_a_copy_does_not(store, tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).write_text(name)
    (tmp_path / "link").symlink_to("two")
    for path, taken in ((tmp_path / "one", True), (tmp_path / "link", False)):
        with store.stage(path, move=True) as staged:
            assert staged.taken is taken and os.pread(staged.file, 9, 0) == path.name.replace("link", "two").encode()
            staged.publish(path.name)
        assert path.exists() is not taken
    assert os.listdir(store.path / "tmp") == [] and (tmp_path / "two").read_text() == "two"


def test_what_is_given_away_twice_is_there_once(store, tmp_path):
    """The second time the object is there, and the file is removed instead of being renamed."""
    for name in ("one", "two"):
        (tmp_path / name).write_text("content")
        giving(store, tmp_path).save(tmp_path / name, move=True)
        assert not (tmp_path / name).exists()
    assert len(os.listdir(store.path / "objects" / "files")) == 1 and os.listdir(store.path / "tmp") == []


def test_a_name_that_leads_out_of_the_scratch_directory(store, tmp_path):
    (tmp_path / "scratch").mkdir()
    working = FileAccess(store, tmp_path / "cache", tmp_path / "files", tmp_path / "scratch")
    with pytest.raises(FileError, match="cannot give away .* where the job works"):
        working.save(f"{tmp_path}/scratch/..", move=True)


def test_an_old_file_is_not_swept_while_it_is_given_away(store, tmp_path):
    (tmp_path / "data").write_text("content")
    os.utime(tmp_path / "data", (1, 1))
    with store.stage(tmp_path / "data", move=True) as staged:
        DirectoryStore(store.path).open_journal().close()
        staged.publish("key")
    assert store.get("key") == b"content"
