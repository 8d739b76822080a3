"""The job store in memory, and the store that fails on demand around it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from moil.adapters.memory import MemoryDisk, MemoryStore
from moil.ports.job_store import DurableStore
from moil.testing.faults import FaultyStore
from moil.testing.job_store import JobStoreTests


class TestMemoryStore(JobStoreTests):
    @pytest.fixture
    def disk(self) -> MemoryDisk:
        return MemoryDisk()

    @pytest.fixture
    def store(self, disk: MemoryDisk) -> DurableStore:
        return MemoryStore(disk)

    @pytest.fixture
    def reopen(self, disk: MemoryDisk) -> Callable[[], DurableStore]:
        return lambda: MemoryStore(disk)


class TestFaultyStoreWithoutFaults(TestMemoryStore):
    @pytest.fixture
    def store(self, disk: MemoryDisk) -> DurableStore:
        return FaultyStore(MemoryStore(disk))


def test_locator() -> None:
    assert MemoryStore().locator == "memory:"


def test_stores_are_separate_unless_they_share_a_disk() -> None:
    first, second = MemoryStore(), MemoryStore()
    first.put("a", b"")
    assert list(second.keys("")) == []
    assert list(MemoryStore(first.disk).keys("")) == ["a"]
