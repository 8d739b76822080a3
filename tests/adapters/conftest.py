"""A job store in a directory, for those who have no other."""

from pathlib import Path

import pytest

from moil.adapters.directory import DirectoryStore


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def store(path: Path) -> DirectoryStore:
    return DirectoryStore(path, create=True)
