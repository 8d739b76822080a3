"""What every job store must do: subclass `JobStoreTests` and give it three fixtures.

::

    class TestMyStore(JobStoreTests):
        @pytest.fixture
        def store(self) -> Iterator[DurableStore]: ...                      # a new one, without objects and journal

        @pytest.fixture
        def reopen(self, store) -> Callable[[], DurableStore]: ...          # opens its data as another process would

        @pytest.fixture
        def raw(self, store) -> RawJournal | None: ...                      # optional: the journal's bytes

The suite is deterministic: the same examples are tried each time, and nothing waits for a clock.
"""

# ruff: noqa: D102 - the name of a test says what is promised

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from threading import Barrier, Event

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from moil.errors import FencedError, FileError, KeyExists, NoSuchKey, StoreError
from moil.ports.job_store import DurableStore, Stage
from moil.testing.faults import Fault, FaultyStore, SimulatedCrash, When
from moil.testing.store_programs import KEYS, PREFIXES, AnyProgram, Life, Reopen, raises, state_of

ODD_PARTS = ("", ".", "..", "a b", "a\n", "a\0", "ä", "a\\b", "a+", "a:b", "~")
"""What is no key, and no part of one."""

ODD_KEYS = (*ODD_PARTS, *(f"a/{part}" for part in ODD_PARTS), *(f"{part}/a" for part in ODD_PARTS))
"""What is no key."""

BIG = bytes(range(256)) * (8 * 4096)


@dataclass(frozen=True)
class RawJournal:
    """The stored bytes to which a journal appends at present."""

    read: Callable[[], bytes]
    write: Callable[[bytes], object]


class ObjectTests:
    """What is put can be got."""

    @pytest.mark.parametrize("data", [b"", b"\0", b"text\n", bytes(range(256))])
    def test_get_returns_what_put_wrote(self, store: DurableStore, data: bytes) -> None:
        store.put("some/key", data)
        assert store.get("some/key") == data

    def test_a_missing_object_is_named(self, store: DurableStore) -> None:
        store.put("a", b"")
        with pytest.raises(NoSuchKey, match="a/b"):
            store.get("a/b")
        with pytest.raises(KeyError):
            store.get("b")

    def test_put_replaces(self, store: DurableStore) -> None:
        store.put("a", b"long before")
        store.put("a", b"now")
        assert store.get("a") == b"now"

    def test_put_if_absent_keeps_what_is_there(self, store: DurableStore) -> None:
        store.put("a", b"first", if_absent=True)
        with pytest.raises(KeyExists, match="a"):
            store.put("a", b"second", if_absent=True)
        assert store.get("a") == b"first"

    def test_one_of_many_writers_wins(self, store: DurableStore, reopen: Reopen) -> None:
        writers = 8
        barrier = Barrier(writers)

        def write(writer: int) -> bool:
            mine = reopen()
            barrier.wait(timeout=30)
            return not raises(KeyExists, lambda: mine.put("new/key", b"%d" % writer, if_absent=True))

        with ThreadPoolExecutor(writers) as pool:
            won = list(pool.map(write, range(writers)))
        assert won.count(True) == 1
        assert store.get("new/key") == b"%d" % won.index(True)

    def test_objects_are_there_for_others(self, store: DurableStore, reopen: Reopen) -> None:
        _fill(store)
        other = reopen()
        assert {key: other.get(key) for key in other.keys("")} == {key: key.encode() for key in KEYS}

    def test_a_big_object(self, store: DurableStore, tmp_path: Path) -> None:
        store.put("big", BIG)
        assert store.get("big") == BIG
        store.download("big", tmp_path / "copy")
        store.upload("again", tmp_path / "copy")
        assert store.get("again") == BIG

    @pytest.mark.parametrize("key", ODD_KEYS)
    def test_odd_keys_are_refused(self, store: DurableStore, tmp_path: Path, key: str) -> None:
        local = tmp_path / "local"
        local.write_bytes(b"")
        actions: list[Callable[[], object]] = [
            lambda: store.put(key, b""),
            lambda: store.put(key, b"", if_absent=True),
            lambda: store.get(key),
            lambda: store.delete([key]),
            lambda: store.upload(key, local),
            lambda: store.download(key, tmp_path / "copy"),
        ]
        for action in actions:
            with pytest.raises(StoreError, match="no key"):
                action()
        assert list(store.keys("")) == []


class KeyTests:
    """Listing and deleting."""

    def test_keys_of_an_empty_store(self, store: DurableStore) -> None:
        assert list(store.keys("")) == []

    @pytest.mark.parametrize("prefix", PREFIXES)
    def test_keys_are_sorted_and_begin_with_the_prefix(self, store: DurableStore, prefix: str) -> None:
        _fill(store)
        assert list(store.keys(prefix)) == sorted(key for key in KEYS if key.startswith(prefix))

    def test_delete(self, store: DurableStore) -> None:
        _fill(store)
        store.delete(["a/b", "none", "none/such", "Z_z"])
        assert list(store.keys("")) == sorted(set(KEYS) - {"a/b", "Z_z"})
        with pytest.raises(NoSuchKey):
            store.get("a/b")

    def test_delete_while_listing(self, store: DurableStore) -> None:
        _fill(store)
        store.delete(store.keys("a/"))
        assert list(store.keys("")) == sorted(key for key in KEYS if not key.startswith("a/"))

    def test_a_deleted_object_can_be_written_again(self, store: DurableStore) -> None:
        store.put("a/b", b"old")
        store.delete(["a/b"])
        store.put("a/b", b"new", if_absent=True)
        assert store.get("a/b") == b"new"


class FileTests:
    """Uploads, and local copies."""

    @pytest.mark.parametrize("mode", [0o644, 0o600, 0o755, 0o700])
    def test_a_file_and_its_execute_bit(self, store: DurableStore, tmp_path: Path, mode: int) -> None:
        source, copy = tmp_path / "source", tmp_path / "copy"
        source.write_bytes(b"#!/bin/sh\n")
        source.chmod(mode)
        store.upload("file", source)
        store.download("file", copy)
        assert copy.read_bytes() == store.get("file") == b"#!/bin/sh\n"
        assert bool(copy.stat().st_mode & stat.S_IXUSR) == bool(mode & stat.S_IXUSR)
        assert not copy.stat().st_mode & 0o222

    def test_a_stored_object_can_be_downloaded(self, store: DurableStore, tmp_path: Path) -> None:
        store.put("a", b"bytes")
        store.download("a", tmp_path / "copy")
        assert (tmp_path / "copy").read_bytes() == b"bytes"
        assert not (tmp_path / "copy").stat().st_mode & 0o333

    def test_an_uploaded_object_is_frozen(self, store: DurableStore, tmp_path: Path) -> None:
        source = tmp_path / "source"
        source.write_bytes(b"then")
        store.upload("file", source)
        with source.open("r+b") as file:
            file.write(b"now!")
        assert store.get("file") == b"then"
        source.unlink()
        assert store.get("file") == b"then"

    def test_upload_leaves_what_is_there(self, store: DurableStore, tmp_path: Path) -> None:
        source = tmp_path / "source"
        source.write_bytes(b"second")
        store.put("file", b"first")
        store.upload("file", source)
        assert store.get("file") == b"first"

    def test_a_local_copy_outlives_the_object(self, store: DurableStore, tmp_path: Path) -> None:
        store.put("a", b"bytes")
        store.download("a", tmp_path / "copy")
        store.delete(["a"])
        assert (tmp_path / "copy").read_bytes() == b"bytes"

    def test_upload_of_what_is_no_file(self, store: DurableStore, tmp_path: Path) -> None:
        for path in (tmp_path / "none", tmp_path):
            with pytest.raises(FileError, match=path.name):
                store.upload("file", path)
        assert list(store.keys("")) == []

    def test_a_staged_file_is_frozen_and_gone_unless_published(self, store: DurableStore, tmp_path: Path) -> None:
        stage: Stage | None = getattr(store, "stage", None)
        if stage is None:
            pytest.skip("this store is no disk: it does not stage files")
        source = tmp_path / "source"
        source.write_bytes(b"then")
        for keys in ((), ("file",), ("file", "again")):
            with stage(source) as staged:
                source.write_bytes(b"now!")
                assert os.pread(staged.file, 9, 0) == b"then"
                for key in keys:
                    staged.publish(key)
            assert list(store.keys("")) == sorted(keys)
            assert all(store.get(key) == b"then" for key in keys)
            source.write_bytes(b"then")
        with stage(source) as staged, pytest.raises(FileError, match="none"), stage(tmp_path / "none"):
            staged.publish("file")

    def test_download_overwrites_nothing(self, store: DurableStore, tmp_path: Path) -> None:
        there = tmp_path / "there"
        there.write_bytes(b"precious")
        store.put("a", b"bytes")
        for path in (there, tmp_path / "none" / "copy"):
            with pytest.raises(FileError, match=path.name):
                store.download("a", path)
        assert there.read_bytes() == b"precious"

    def test_download_of_a_missing_object_makes_no_file(self, store: DurableStore, tmp_path: Path) -> None:
        with pytest.raises(NoSuchKey, match="none"):
            store.download("none", tmp_path / "copy")
        assert not (tmp_path / "copy").exists()


class JournalTests:
    """Appending, reading back, fencing."""

    def test_an_empty_journal(self, store: DurableStore) -> None:
        assert list(store.read_journal()) == []
        assert list(store.open_journal().replay()) == []
        assert list(store.read_journal()) == []

    def test_records_come_back_in_order(self, store: DurableStore, reopen: Reopen) -> None:
        journal = store.open_journal()
        journal.append([b"one", b"", bytes(range(256))])
        journal.append([])
        journal.append([b"two"])
        expected = [b"one", b"", bytes(range(256)), b"two"]
        assert list(journal.replay()) == list(store.read_journal()) == list(reopen().read_journal()) == expected

    def test_each_leader_adds_to_the_last_ones(self, store: DurableStore, reopen: Reopen) -> None:
        for number in range(4):
            journal = reopen().open_journal([b"begin %d" % number])
            journal.append([b"more %d" % number])
            journal.close()
        expected = [word % number for number in range(4) for word in (b"begin %d", b"more %d")]
        assert list(store.read_journal()) == list(store.open_journal().replay()) == expected

    def test_a_large_record_and_many_small_ones(self, store: DurableStore) -> None:
        journal = store.open_journal()
        journal.append([BIG])
        small = [b"%d" % number for number in range(5000)]
        journal.append(small)
        assert list(journal.replay()) == list(store.read_journal()) == [BIG, *small]

    def test_a_new_leader_fences_the_old_one_out(self, store: DurableStore, reopen: Reopen) -> None:
        old = store.open_journal([b"old"])
        new = reopen().open_journal([b"new"])
        with pytest.raises(FencedError, match="taken"):
            old.replay()
        for _ in range(2):
            with pytest.raises(FencedError, match="taken"):
                old.append([b"never"])
        new.append([b"newer"])
        assert list(new.replay()) == list(reopen().read_journal()) == [b"old", b"new", b"newer"]

    def test_what_a_fenced_leader_wrote_never_counts(self, store: DurableStore, reopen: Reopen) -> None:
        old = store.open_journal([b"old"])
        new = reopen().open_journal()
        seen = list(new.replay())
        with pytest.raises(FencedError):
            old.append([b"never"])
        new.append([b"new"])
        reopen().open_journal([b"third"])
        assert list(reopen().read_journal()) == [*seen, b"new", b"third"]

    def test_a_closed_journal_takes_nothing(self, store: DurableStore) -> None:
        journal = store.open_journal([b"one"])
        journal.close()
        journal.close()
        with pytest.raises(StoreError, match="closed"):
            journal.append([b"two"])
        assert list(store.read_journal()) == [b"one"]


class CompactionTests:
    """Snapshots replace records; only the leader makes them."""

    def test_compaction_replaces_all_records(self, store: DurableStore, reopen: Reopen) -> None:
        old = store.open_journal([b"1", b"2"])
        old.append([b"3"])
        new = store.open_journal([b"1-3"], compact=True)
        with pytest.raises(FencedError):
            old.append([b"never"])
        old.close()
        new.append([b"4"])
        assert list(new.replay()) == list(reopen().read_journal()) == [b"1-3", b"4"]

    def test_compaction_again_and_again(self, store: DurableStore, reopen: Reopen) -> None:
        journal = store.open_journal()
        for number in range(5):
            journal.append([b"more"])
            older, journal = journal, store.open_journal([b"%d" % number], compact=True)
            older.close()
        assert list(reopen().open_journal([b"last"]).replay()) == [b"4", b"last"]

    def test_a_journal_may_begin_compacted(self, store: DurableStore) -> None:
        assert list(store.open_journal([b"1"], compact=True).replay()) == [b"1"]

    def test_only_the_leader_compacts(self, store: DurableStore, reopen: Reopen) -> None:
        store.open_journal([b"1"])
        reopen().open_journal([b"2"])
        with pytest.raises(FencedError):
            store.open_journal([b"lost"], compact=True)
        with pytest.raises(StoreError, match="open the journal before"):
            reopen().open_journal([b"lost"], compact=True)
        assert list(reopen().read_journal()) == [b"1", b"2"]

    def test_reading_while_the_leader_compacts(self, store: DurableStore, reopen: Reopen) -> None:
        """A snapshot ``n`` stands for the records 0 … n - 1, so whatever is read must count on from its first."""
        done, reader = Event(), reopen()

        def read() -> int:
            for times in count():
                records = [int(record) for record in reader.read_journal()]
                assert records == list(range(records[0], records[0] + len(records)))
                if done.is_set():
                    return times
            raise AssertionError

        journal = store.open_journal([b"0"])
        with ThreadPoolExecutor(1) as pool:
            reading = pool.submit(read)
            for number in range(1, 60, 3):
                journal.append([b"%d" % number, b"%d" % (number + 1)])
                older, journal = journal, store.open_journal([b"%d" % (number + 2)], compact=True)
                older.close()
            done.set()
            assert reading.result(timeout=60) >= 0


class LifeTests:
    """Everything together, and death at any moment."""

    examples = 30

    @pytest.fixture
    def raw(self) -> RawJournal | None:
        """Access to the journal's bytes, where the store can give it."""
        return None

    def test_a_torn_tail_is_cut_off(self, store: DurableStore, reopen: Reopen, raw: RawJournal | None) -> None:
        if raw is None:
            pytest.skip("this store gives no access to the journal's bytes")
        journal = store.open_journal([b"first"])
        journal.append([b"acknowledged"])
        whole = raw.read()
        journal.append([b"torn"] * 3)
        torn = raw.read()
        journal.close()
        for size in range(len(whole), len(torn)):
            raw.write(torn[:size])
            assert list(reopen().read_journal()) == [b"first", b"acknowledged"]
        later = reopen().open_journal([b"later"])
        assert list(later.replay()) == list(reopen().read_journal()) == [b"first", b"acknowledged", b"later"]

    @pytest.mark.parametrize("when", ["before", "after", "torn"])
    @pytest.mark.parametrize("write", range(1, 10))
    def test_death_at_any_write(self, store: DurableStore, reopen: Reopen, tmp_path: Path, write: int, when: When) -> None:
        life = Life(FaultyStore(store, Fault(write, when)), tmp_path / "file")
        assert raises(SimulatedCrash, life.live)
        expected = life.states[write if when == "after" else write - 1]
        after = reopen()
        assert state_of(after) == expected
        journal = after.open_journal([b"resumed"])
        assert list(journal.replay()) == list(after.read_journal()) == [*expected[1], b"resumed"]

    def test_a_life_without_death(self, store: DurableStore, reopen: Reopen, tmp_path: Path) -> None:
        life = Life(FaultyStore(store), tmp_path / "file")
        life.live()
        assert state_of(reopen()) == life.states[-1]

    def test_destroy_leaves_nothing(self, store: DurableStore) -> None:
        _fill(store)
        store.open_journal([b"1"]).close()
        store.destroy()
        with pytest.raises(StoreError):
            store.get("a")

    @pytest.mark.slow
    def test_any_program(self, store: DurableStore, reopen: Reopen, tmp_path: Path) -> None:
        class Program(AnyProgram):
            def __init__(self) -> None:
                super().__init__(store, reopen, tmp_path)

        how = settings(max_examples=self.examples, stateful_step_count=30, deadline=None)
        run_state_machine_as_test(Program, settings=settings(how, derandomize=True, database=None))


class JobStoreTests(ObjectTests, KeyTests, FileTests, JournalTests, CompactionTests, LifeTests):
    """The conformance suite. `examples` says how many random programs are tried."""


def _fill(store: DurableStore, keys: Iterable[str] = KEYS) -> None:
    for key in keys:
        store.put(key, key.encode())
