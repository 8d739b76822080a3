"""The directory for temporary files is found without `tempfile`, and is the one that `tempfile` would find."""

from __future__ import annotations

import importlib
import sys

import pytest

from moil.authoring import plain


@pytest.mark.parametrize(
    "named",
    [{}, {"TMPDIR": "one"}, {"TEMP": "one"}, {"TMP": "two", "TEMP": "one"}, {"TMPDIR": "none", "TMP": "two"}, {"TMPDIR": ""}],
    ids=str,
)
def test_it_is_that_of_tempfile(named, tmp_path, monkeypatch):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    for name in ("TMPDIR", "TEMP", "TMP"):
        monkeypatch.delenv(name, raising=False)
    for name, where in named.items():
        monkeypatch.setenv(name, where and str(tmp_path / where))
    monkeypatch.delitem(sys.modules, "tempfile", raising=False)
    found = plain.temporary_directory()
    assert str(found) == importlib.import_module("tempfile").gettempdir()


def test_what_the_program_has_told_tempfile_holds(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.import_module("tempfile"), "tempdir", str(tmp_path))
    assert plain.temporary_directory() == tmp_path
