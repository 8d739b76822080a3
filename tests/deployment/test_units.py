"""A unit, from files at home to a store, to a machine's cache: all bytes verified, each fetched once."""

import hashlib
import json
import multiprocessing
import os
from dataclasses import replace
from pathlib import Path

import pytest

from moil.adapters.directory import DirectoryStore, object_path
from moil.deployment import cache as caches
from moil.deployment import extract as extraction
from moil.deployment import pack, signing
from moil.deployment.cache import Cache
from moil.deployment.fingerprints import Fingerprint, Known, Memory
from moil.deployment.freeze import Freezer, Place, Target
from moil.deployment.listing import DIRECTORY, EXECUTABLE, FILE, LINK, Item, Listing, decode
from moil.deployment.manifest import EntryPoint, Unit
from moil.deployment.plan import Plan, PlannedRoot, PlannedUnit, Source, UnitKind
from moil.deployment.press import press
from moil.errors import DamagedError, DeploymentError, UsageError

ENGINE = Unit(name="moil", digest="0" * 64)


@pytest.fixture
def home(tmp_path):
    """A project with everything that a unit may hold."""
    root = tmp_path / "home"
    (root / "pkg" / "empty").mkdir(parents=True)
    (root / "pkg" / "__init__.py").write_text("")
    (root / "pkg" / "core.py").write_text("VALUE = 1\n" * 100)
    (root / "pkg" / "same.py").write_text("VALUE = 1\n" * 100)
    (root / "pkg" / "tool").write_text("#!/bin/sh\n")
    (root / "pkg" / "tool").chmod(0o755)
    (root / "pkg" / "large.bin").write_bytes(os.urandom(pack.ALONE + 1))
    (root / "pkg" / "native.so").write_bytes(os.urandom(10_000))
    (root / "pkg" / "link").symlink_to("core.py")
    return root


def source(home, path):
    inner = path.relative_to(home).as_posix()
    if path.is_symlink():
        return Source(path=inner, origin=str(path), kind=LINK, target=os.readlink(path))
    if path.is_dir():
        return None if any(path.iterdir()) else Source(path=inner, origin=str(path), kind=DIRECTORY)
    kind = EXECUTABLE if path.stat().st_mode & 0o100 else FILE
    return Source(path=inner, origin=str(path), kind=kind, size=path.stat().st_size)


def planned(home):
    sources = tuple(one for path in sorted((home / "pkg").rglob("*")) if (one := source(home, path)))
    return PlannedUnit(name="pkg", kind=UnitKind.code, root=0, sources=sources)


def plan(home):
    return Plan(entry=EntryPoint(), roots=(PlannedRoot(origin=str(home)),), units=(planned(home),))


def freeze(home, store, tmp_path, memory=None):
    scratch = tmp_path / "scratch"
    scratch.mkdir(exist_ok=True)
    return Freezer(Place(store=store, scratch=scratch, memory=memory)).freeze(plan(home), Target(python="3.11", engine=ENGINE))


def unit_of(frozen):
    return frozen.deployment.roots[0].units[0]


def listing_of(unit, store):
    return decode(store.get(pack.listing_key(unit.digest)), unit.digest)


@pytest.fixture
def store(tmp_path):
    return DirectoryStore(tmp_path / "runs" / "one", create=True)


@pytest.fixture
def frozen(home, store, tmp_path):
    return freeze(home, store, tmp_path)


@pytest.fixture
def unit(frozen):
    return unit_of(frozen)


def tree(root):
    def told(path):
        if path.is_symlink():
            return os.readlink(path)
        return "directory" if path.is_dir() else (path.read_bytes(), path.stat().st_mode & 0o100)

    return {path.relative_to(root).as_posix(): told(path) for path in Path(root).rglob("*")}


def fetched(tmp_path):
    return (tmp_path / "cache" / "fetched").read_text().splitlines()


def test_a_unit_arrives_as_it_was(home, store, unit, tmp_path):
    cache = Cache(tmp_path / "cache")
    cache.ensure(unit, store)
    assert tree(cache.directory(unit)) == tree(home)
    found = (cache.directory(unit) / "pkg/core.py").stat()
    assert (found.st_mtime, found.st_mode & 0o777) == (extraction.TIME, 0o444)


def test_it_is_fetched_once(store, unit, tmp_path):
    for _ in range(3):
        Cache(tmp_path / "cache").ensure(unit, store).close()
    assert len(fetched(tmp_path)) == 1


def _ensure(path, home, unit):
    Cache(home).ensure(unit, DirectoryStore(path))


@pytest.mark.slow
def test_many_at_once_fetch_it_once(store, unit, tmp_path):
    process = multiprocessing.get_context("spawn").Process
    ours = [process(target=_ensure, args=(store.path, tmp_path / "cache", unit)) for _ in range(8)]
    for one in ours:
        one.start()
    for one in ours:
        one.join()
    assert [one.exitcode for one in ours] == [0] * len(ours)
    assert len(fetched(tmp_path)) == 1


def test_the_same_files_are_the_same_unit_whatever_their_times(home, store, unit, tmp_path):
    os.utime(home / "pkg/core.py", (0, 0))
    again = freeze(home, store, tmp_path)
    assert (unit_of(again), again.uploaded) == (unit, [])


def test_a_second_run_takes_everything_from_the_shelf(home, frozen, tmp_path):
    second = DirectoryStore(tmp_path / "runs" / "two", create=True)
    again = freeze(home, second, tmp_path)
    assert (again.uploaded, again.uploaded_bytes, again.deployment) == ([], 0, frozen.deployment)
    Cache(tmp_path / "cache").ensure(unit_of(again), second)


def test_the_shelf_outlives_the_store_and_the_store_the_shelf(home, store, unit, tmp_path):
    second = DirectoryStore(tmp_path / "runs" / "two", create=True)
    freeze(home, second, tmp_path)
    store.destroy()
    for one in (tmp_path / "runs").glob(".moil-shelf-*/*"):
        one.unlink()
    Cache(tmp_path / "cache").ensure(unit, second)


def test_an_edit_sends_one_unit(home, store, unit, tmp_path):
    (home / "pkg/core.py").write_text("VALUE = 2\n")
    again = freeze(home, store, tmp_path)
    assert again.uploaded == ["pkg"]
    assert again.uploaded_bytes < 100_000, "the large file is there already"


@pytest.mark.parametrize("key", [pack.pack_key, pack.listing_key, None], ids=["pack", "listing", "large file"])
def test_a_changed_byte_is_refused(store, unit, tmp_path, key):
    large = next(one for one in listing_of(unit, store).files() if one.size > pack.ALONE)
    file = object_path(store.path, pack.file_key(large.content) if key is None else key(unit.digest))
    file.chmod(0o644)
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    with pytest.raises(DamagedError, match="damaged"):
        Cache(tmp_path / "cache").ensure(unit, store)
    assert not (tmp_path / "cache" / "units" / unit.digest).exists()


def test_a_pack_that_is_cut_off_is_refused(store, unit, tmp_path):
    file = object_path(store.path, pack.pack_key(unit.digest))
    file.chmod(0o644)
    os.truncate(file, file.stat().st_size // 2)
    with pytest.raises(DamagedError, match="cut off|damaged"):
        Cache(tmp_path / "cache").ensure(unit, store)


def test_after_another_boot_damage_is_found_and_mended(store, unit, tmp_path, monkeypatch):
    cache = Cache(tmp_path / "cache")
    cache.ensure(unit, store).close()
    file = cache.directory(unit) / "pkg/core.py"
    file.chmod(0o644)
    file.write_bytes(b"\0" * file.stat().st_size)
    monkeypatch.setattr(caches, "boot_id", lambda: "another boot")
    Cache(tmp_path / "cache").ensure(unit, store)
    assert file.read_text().startswith("VALUE")


def test_after_another_boot_a_whole_unit_is_not_fetched_again(store, unit, tmp_path, monkeypatch):
    Cache(tmp_path / "cache").ensure(unit, store).close()
    monkeypatch.setattr(caches, "boot_id", lambda: "another boot")
    Cache(tmp_path / "cache").ensure(unit, store).close()
    assert len(fetched(tmp_path)) == 1


def test_what_nobody_uses_is_evicted_and_what_is_in_use_is_not(home, store, unit, tmp_path):
    small = Cache(tmp_path / "cache", limit=unit.size + 1)
    lease = small.ensure(unit, store)
    (home / "pkg/core.py").write_text("other\n")
    small.ensure(unit_of(freeze(home, store, tmp_path)), store).close()
    assert small.directory(unit).is_dir(), "it is in use"
    lease.close()
    (home / "pkg/core.py").write_text("third\n")
    small.ensure(unit_of(freeze(home, store, tmp_path)), store)
    assert not small.directory(unit).exists()


def test_a_full_disk_is_told_with_its_cure(store, unit, tmp_path, monkeypatch):
    cache = Cache(tmp_path / "cache")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(caches, "extract", full)
    with pytest.raises(DeploymentError, match="No space left on device; free some space there, or .*--worker-cache"):
        cache.ensure(unit, store)


def test_a_cache_of_somebody_elses_is_refused(tmp_path, monkeypatch):
    (tmp_path / "cache").mkdir()
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    with pytest.raises(DeploymentError, match="belongs to somebody else"):
        Cache(tmp_path / "cache")


def test_a_failure_is_not_tried_again_at_once(tmp_path):
    tries = []
    for _ in range(3):
        with pytest.raises(DeploymentError, match="no luck"), Cache(tmp_path / "cache").remembering("what"):
            tries.append(1)
            raise DeploymentError("no luck")
    assert len(tries) == 1


def changing(change):
    """Press, and when all has been read for the first time, change it."""
    changed = []

    def pressing(sources, to, *, squeezes):
        pressed = press(sources, to, squeezes=squeezes)
        if not changed:
            changed.append(change())
        return pressed

    return pressing


def test_a_file_that_changes_while_it_is_frozen_is_read_again(home, store, tmp_path, monkeypatch):
    monkeypatch.setattr("moil.deployment.freeze.press", changing(lambda: (home / "pkg/core.py").write_text("NEW = 3\n")))
    unit = unit_of(freeze(home, store, tmp_path))
    cache = Cache(tmp_path / "cache")
    cache.ensure(unit, store)
    assert (cache.directory(unit) / "pkg/core.py").read_text() == "NEW = 3\n"


def test_a_large_file_that_changes_before_it_is_uploaded_is_read_again(home, store, tmp_path, monkeypatch):
    large = home / "pkg/large.bin"
    before, after = large.read_bytes(), os.urandom(pack.ALONE + 2)
    monkeypatch.setattr("moil.deployment.freeze.press", changing(lambda: large.write_bytes(after)))
    unit = unit_of(freeze(home, store, tmp_path))
    cache = Cache(tmp_path / "cache")
    cache.ensure(unit, store)
    assert (cache.directory(unit) / "pkg/large.bin").read_bytes() == after
    assert list(store.keys("deploy/files/")) == [pack.file_key(hashlib.sha256(after).hexdigest())]
    large.write_bytes(before)
    assert unit_of(freeze(home, store, tmp_path)) != unit


def test_a_unit_that_never_stops_changing_is_refused(home, store, tmp_path, monkeypatch):
    def restless(sources, to, *, squeezes):
        (home / "pkg/core.py").write_text(f"{os.urandom(8)!r}\n")
        return press(sources, to, squeezes=squeezes)

    monkeypatch.setattr("moil.deployment.freeze.press", restless)
    with pytest.raises(UsageError, match="the files of pkg change while they are read; wait until nothing writes"):
        freeze(home, store, tmp_path)
    assert not list(store.keys("deploy/listings/"))


def test_a_large_compiled_module_travels_in_the_form_that_is_shipped(home, store, tmp_path):
    data = b"compiled" * pack.ALONE
    whole = PlannedUnit(name="big", kind=UnitKind.code, root=0, sources=(Source(path="big.pyc", origin="", kind=FILE, content=data),))
    frozen = Freezer(Place(store=store, scratch=tmp_path)).freeze(replace(plan(home), units=(whole,)), Target(python="3.11", engine=ENGINE))
    cache = Cache(tmp_path / "cache")
    cache.ensure(unit_of(frozen), store)
    assert (cache.directory(unit_of(frozen)) / "big.pyc").read_bytes() == data


def test_a_file_that_cannot_be_read_is_named(home, store, tmp_path):
    whole = plan(home)
    (home / "pkg/core.py").unlink()
    with pytest.raises(UsageError, match=r"core.py is to be shipped .* and cannot be read: No such file"):
        Freezer(Place(store=store, scratch=tmp_path)).freeze(whole, Target(python="3.11", engine=ENGINE))


def test_digests_are_remembered_until_a_file_changes(home, store, tmp_path, monkeypatch):
    monkeypatch.setattr("moil.deployment.fingerprints.RACY", -1000.0)
    memory = tmp_path / "memory"

    def recalled():
        return Memory(memory).recall(Fingerprint.of(planned(home).sources))

    frozen = freeze(home, store, tmp_path, memory)
    (note,) = memory.iterdir()
    assert recalled() == Known.of(listing_of(unit_of(frozen), store))
    with monkeypatch.context() as unreadable:
        unreadable.setattr("moil.deployment.freeze.press", None)
        assert unit_of(freeze(home, store, tmp_path, memory)) == unit_of(frozen), "nothing is read"
    note.write_bytes(b"damaged")
    assert recalled() is None, "a damaged note is not believed"
    assert unit_of(freeze(home, store, tmp_path, memory)) == unit_of(frozen)
    (home / "pkg/core.py").write_text("VALUE = 9\n" * 100)
    assert recalled() is None


def test_what_was_just_written_is_not_remembered(home, store, tmp_path):
    freeze(home, store, tmp_path, tmp_path / "memory")
    assert not (tmp_path / "memory").exists()


def test_a_listing_that_leads_out_is_refused_by_a_worker(store, tmp_path):
    data = json.dumps({"format": 1, "items": [["../evil", "f", "0" * 64, 1]]}).encode()
    digest = hashlib.sha256(data).hexdigest()
    store.put(pack.listing_key(digest), data)
    with pytest.raises(DamagedError, match="does not lie in its unit"):
        Cache(tmp_path / "cache").ensure(Unit(name="evil", digest=digest), store)


def test_an_empty_unit_is_fine(store, tmp_path):
    listing = Listing.of([Item("empty", DIRECTORY)])
    store.put(pack.listing_key(listing.digest), listing.encode())
    cache = Cache(tmp_path / "cache")
    cache.ensure(Unit(name="empty", digest=listing.digest), store)
    assert (cache.home / "units" / listing.digest / "empty").is_dir()


def test_nothing_is_believed_without_the_key(store):
    key = signing.make_key(store)
    assert signing.make_key(store) == key
    record = signing.sign(key, "task 1.1", b"data")
    assert signing.verify(key, "task 1.1", record) == b"data"
    for what, forged in (("task 1.1", record[:-1] + b"x"), ("task 1.1", b"\0" * 32 + b"data"), ("task 1.1", b""), ("task 2.1", record)):
        with pytest.raises(DamagedError, match="damaged or forged"):
            signing.verify(key, what, forged)
    assert object_path(store.path, signing.KEY).stat().st_mode & 0o077 == 0


def test_what_nobody_asks_for_is_taken_off_the_shelf(home, store, tmp_path, monkeypatch):
    freeze(home, store, tmp_path)
    (shelf,) = (tmp_path / "runs").glob(".moil-shelf-*")
    assert list(shelf.iterdir())
    for one in shelf.iterdir():
        os.utime(one, (0, 0))
    (home / "pkg/core.py").write_text("new\n")
    new = {path.name for path in shelf.iterdir()}
    freeze(home, store, tmp_path)
    assert not new & {path.name for path in shelf.iterdir()}


def test_copies_of_files_are_evicted_the_oldest_first(tmp_path):
    for name in ("first", "second", "third"):
        (tmp_path / name).write_bytes(b"x" * 100)
    os.link(tmp_path / "first", tmp_path.parent / f"{tmp_path.name}-in-use")
    caches.evict_copies(tmp_path, limit=250)
    assert {path.name for path in tmp_path.iterdir()} == {"first", "third"}
    assert (tmp_path.parent / f"{tmp_path.name}-in-use").exists()


def test_a_cache_on_a_network_is_refused_unless_forced(tmp_path, monkeypatch):
    monkeypatch.setattr(caches, "file_system", lambda _: "nfs4")
    with pytest.raises(DeploymentError, match=r"network file system \(nfs4\).*--worker-cache, or use --force-worker-cache"):
        Cache(tmp_path / "cache")
    Cache(tmp_path / "cache", force=True)


def test_who_waits_for_a_unit_does_not_wait_for_those_that_use_it(store, unit, tmp_path):
    """Two begin together; the first one's job takes for ever."""
    cache = Cache(tmp_path / "cache")
    second = cache.keep(unit.digest)  # it has seen that the unit is not there
    cache.ensure(unit, store)  # the first: fetches it, and keeps it
    free = cache.lock(f"{unit.digest}.making", wait=False)
    assert free is not None, "while it is used, nobody who comes to make it has to wait"
    free.close()
    second.close()


def test_a_full_disk_of_the_leaders_is_told_with_its_cure(home, store, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("moil.deployment.freeze.IN_MEMORY", 0)
    monkeypatch.setattr(pack.Writer, "add", full)
    with pytest.raises(UsageError, match="the code cannot be packed in .*: No space left on device; free some space there"):
        freeze(home, store, tmp_path)
