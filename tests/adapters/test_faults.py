"""Faults on demand: they happen when they are due, once, and a dead process writes nothing more."""

from __future__ import annotations

import doctest
from pathlib import Path

import pytest

from moil.adapters.directory import DirectoryStore
from moil.adapters.memory import MemoryStore
from moil.errors import StoreError
from moil.testing import faults
from moil.testing.faults import Fault, FaultyStore, SimulatedCrash


def test_the_example() -> None:
    assert doctest.testmod(faults).failed == 0


def test_every_kind_of_write_is_counted(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    store = FaultyStore(MemoryStore())
    store.put("a", b"")
    store.upload("b", tmp_path / "file")
    store.open_journal().append([b"1"])
    store.delete(["a"])
    store.get("b")
    list(store.keys(""))
    list(store.read_journal())
    store.destroy()
    assert store.writes == 6


def test_a_dead_process_writes_nothing_more() -> None:
    inner = MemoryStore()
    store = FaultyStore(inner, Fault(2, "after"))
    journal = store.open_journal([b"1"])
    with pytest.raises(SimulatedCrash, match="died after write 2"):
        journal.append([b"2"])
    for write in (lambda: journal.append([b"3"]), lambda: store.put("a", b""), store.open_journal, store.destroy):
        with pytest.raises(SimulatedCrash):
            write()
    journal.close()
    store.close()
    assert store.writes == 2
    assert list(inner.read_journal()) == [b"1", b"2"]
    assert list(inner.keys("")) == []


def test_a_full_disk_is_survived() -> None:
    store = FaultyStore(MemoryStore(), Fault(1, "full"), Fault(3, "full"))
    for key in ("a", "c"):
        with pytest.raises(StoreError, match="no space left on device"):
            store.put(key, b"")
        store.put(f"{key}{key}", b"")
    assert list(store.keys("")) == ["aa", "cc"]


def test_a_torn_append_leaves_half_a_frame(tmp_path: Path) -> None:
    inner = DirectoryStore(tmp_path / "store", create=True)
    store = FaultyStore(inner, Fault(3, "torn"))
    journal = store.open_journal([b"1"])
    journal.append([b"2"])
    size = _size(inner)
    with pytest.raises(SimulatedCrash, match="died in write 3"):
        journal.append([b"3" * 100])
    assert size + 50 < _size(inner) < size + 100
    assert list(inner.read_journal()) == [b"1", b"2"]


def test_a_torn_compaction_loses_nothing(tmp_path: Path) -> None:
    inner = DirectoryStore(tmp_path / "store", create=True)
    store = FaultyStore(inner, Fault(2, "torn"))
    store.open_journal([b"1"])
    with pytest.raises(SimulatedCrash):
        store.open_journal([b"snapshot"], compact=True)
    assert len(list((inner.path / "journal").iterdir())) == 2
    assert list(inner.read_journal()) == [b"1"]


@pytest.mark.parametrize("when", ["before", "torn"])
def test_an_object_is_never_half_there(tmp_path: Path, when: faults.When) -> None:
    inner = DirectoryStore(tmp_path / "store", create=True)
    with pytest.raises(SimulatedCrash):
        FaultyStore(inner, Fault(1, when)).put("a", b"bytes")
    assert list(inner.keys("")) == []


def _size(store: DirectoryStore) -> int:
    return sum(path.stat().st_size for path in (store.path / "journal").iterdir())
