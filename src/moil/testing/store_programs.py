"""Programs that use a job store in all its ways, for the conformance suite: one to die in, and any."""

# ruff: noqa: D102 - the names of steps and rules say what they do

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from typing import TypeAlias

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from moil.errors import KeyExists, NoSuchKey, StoreError
from moil.ports.job_store import DurableStore, Journal

KEYS = ("a", "a-b", "a.b", "a/b", "a/b/c", "a/b-c", "aa", "b/.hidden", "b/..a", "0/1/2/3/4", "Z_z")
"""Keys that a careless store confuses, or lists in the wrong order."""

PREFIXES = ("", "a", "a/", "a/b", "a/b/", "b/.", "0/1/2", "none", "none/", "a/b/c/d", "/", "..", "../", "a//", "a b/")
"""Where keys begin, and where none can."""

Reopen: TypeAlias = Callable[[], DurableStore]
"""Opens a store's data again, as another process would."""

State: TypeAlias = tuple[dict[str, bytes], list[bytes]]
"""The objects of a store and the records of its journal."""


def state_of(store: DurableStore) -> State:
    """All that the store holds."""
    return {key: store.get(key) for key in store.keys("")}, list(store.read_journal())


def raises(error: type[BaseException], action: Callable[[], object]) -> bool:
    """Whether the action raises this."""
    try:
        action()
    except error:
        return True
    return False


class Life:
    """Nine writes of all kinds; `states[n]` is what the store must hold after the n-th."""

    states: Sequence[State] = (
        ({}, []),
        ({}, [b"1"]),
        ({"a/b": b"A"}, [b"1"]),
        ({"a/b": b"A"}, [b"1", b"2", b"3"]),
        ({"a/b": b"A", "c": b"C"}, [b"1", b"2", b"3"]),
        ({"a/b": b"A", "c": b"C", "file": b"F"}, [b"1", b"2", b"3"]),
        ({"a/b": b"A", "c": b"C", "file": b"F"}, [b"1-3"]),
        ({"a/b": b"A", "c": b"C", "file": b"F"}, [b"1-3", b"4"]),
        ({"c": b"C", "file": b"F"}, [b"1-3", b"4"]),
        ({"c": b"C", "file": b"F"}, [b"1-3", b"4", b"5"]),
    )

    def __init__(self, store: DurableStore, file: Path) -> None:
        self.store = store
        self.file = file
        self.file.write_bytes(b"F")

    def live(self) -> None:
        """Do all nine."""
        journal = self.store.open_journal([b"1"])
        self.store.put("a/b", b"A")
        journal.append([b"2", b"3"])
        self.store.put("c", b"C", if_absent=True)
        self.store.upload("file", self.file)
        journal = self.store.open_journal([b"1-3"], compact=True)
        journal.append([b"4"])
        self.store.delete(["a/b"])
        self.store.open_journal([b"5"])


class AnyProgram(RuleBasedStateMachine):
    """Compares a store with a dict and a list."""

    some_key = st.sampled_from(KEYS)
    some_bytes = st.binary(max_size=30)
    some_records = st.lists(some_bytes, max_size=4)

    names = count()

    def __init__(self, store: DurableStore, reopen: Reopen, folder: Path) -> None:
        super().__init__()
        self.store, self.reopen, self.folder = store, reopen, folder
        self.objects: dict[str, bytes] = {}
        self.records: list[bytes] = []
        store.delete(list(store.keys("")))
        store.open_journal().close()
        self.journal: Journal = store.open_journal(compact=True)

    def teardown(self) -> None:
        self.journal.close()

    @rule(key=some_key, data=some_bytes)
    def put(self, key: str, data: bytes) -> None:
        self.store.put(key, data)
        self.objects[key] = data

    @rule(key=some_key, data=some_bytes)
    def put_if_absent(self, key: str, data: bytes) -> None:
        refused = raises(KeyExists, lambda: self.store.put(key, data, if_absent=True))
        assert refused == (key in self.objects)
        self.objects.setdefault(key, data)

    @rule(key=some_key, data=some_bytes)
    def upload(self, key: str, data: bytes) -> None:
        path = self.folder / str(next(self.names))
        path.write_bytes(data)
        self.store.upload(key, path)
        self.objects.setdefault(key, data)

    @rule(key=some_key)
    def read(self, key: str) -> None:
        path = self.folder / str(next(self.names))
        if key in self.objects:
            self.store.download(key, path)
            assert self.store.get(key) == path.read_bytes() == self.objects[key]
        else:
            assert raises(NoSuchKey, lambda: self.store.get(key))
            assert raises(NoSuchKey, lambda: self.store.download(key, path))

    @rule(keys=st.lists(some_key, max_size=4))
    def delete(self, keys: list[str]) -> None:
        self.store.delete(keys)
        for key in keys:
            self.objects.pop(key, None)

    @rule(prefix=st.sampled_from(PREFIXES))
    def list_keys(self, prefix: str) -> None:
        assert list(self.store.keys(prefix)) == sorted(key for key in self.objects if key.startswith(prefix))

    @rule(records=some_records)
    def append(self, records: list[bytes]) -> None:
        self.journal.append(records)
        self.records += records

    @rule(records=some_records, die=st.booleans())
    def new_leader(self, records: list[bytes], *, die: bool) -> None:
        old = self.journal
        if die:
            old.close()
        self.store = self.reopen()
        self.journal = self.store.open_journal(records)
        self.records += records
        assert raises(StoreError, lambda: old.append([b"never"]))
        old.close()

    @rule(records=some_records)
    def compact(self, records: list[bytes]) -> None:
        old = self.journal
        self.journal = self.store.open_journal(records, compact=True)
        old.close()
        self.records = list(records)

    @invariant()
    def agrees(self) -> None:
        assert list(self.store.keys("")) == sorted(self.objects)
        assert list(self.journal.replay()) == list(self.store.read_journal()) == self.records
