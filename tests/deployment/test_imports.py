"""The scan of import statements, against Python's own parser; and what is remembered of it."""

from __future__ import annotations

import ast
import json
import os
import sysconfig
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moil.deployment import notes
from moil.deployment.imports import Import, scan
from moil.deployment.scans import Scans


def parsed(source: str | bytes) -> set[tuple[str, int, str]]:
    found = set()
    for one in ast.walk(ast.parse(source.encode() if isinstance(source, str) else source)):
        if isinstance(one, ast.Import):
            found |= {(alias.name, 0, "") for alias in one.names}
        elif isinstance(one, ast.ImportFrom):
            found |= {(one.module or "", one.level, alias.name) for alias in one.names}
    return found


def scanned(source: str | bytes) -> set[tuple[str, int, str]]:
    found = scan(source if isinstance(source, bytes) else source.encode())
    assert found is not None
    return {(one.module, one.level, name) for one in found for name in (one.names or ("",))}


@pytest.mark.parametrize(
    "source",
    [
        "import a, b.c as d; import e",
        "from a import (b,  # why\n    c as d,\n)\n",
        "from a.b import c, \\\n    d\n",
        "from \\\n  a import b",
        "from.x import y\nfrom . import z\nfrom .. import(w)\nfrom ...a.b import *",
        "if x: import y\nelse: from z import w\n",
        "try: import fast\nexcept ImportError: import slow as fast",
        "def f():\n\timport a\n\treturn a\nclass B:\n    from c import d\n",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from a import B\n",
        "x = 1; from a import b; y = 2",
        "import a\r\nimport b\r\nfrom c import (d,\r\n  e)\r\n",
        "import a . b . c",
        "\x0cimport a",
        "import été\nfrom ﬁle import x",
        "\ufeffimport a",
        "async def f():\n    async with x: import b\n",
    ],
)
def test_it_finds_what_the_parser_finds(source):
    assert parsed(source) <= scanned(source)


def test_in_the_standard_library_nothing_is_missed():
    files = sorted(Path(sysconfig.get_path("stdlib"), "email").glob("*.py")) + sorted(Path(sysconfig.get_path("stdlib"), "asyncio").glob("*.py"))
    for file in files:
        assert parsed(file.read_bytes()) <= scanned(file.read_bytes()), file


names = st.sampled_from(["a", "b_c", "ü", "_x1"])
dotted = st.lists(names, min_size=1, max_size=3).map(".".join)
aliases = st.one_of(dotted, st.tuples(dotted, names).map(" as ".join))
taken = st.one_of(names, st.tuples(names, names).map(" as ".join))
plain = st.lists(aliases, min_size=1, max_size=3).map(lambda some: "import " + ", ".join(some))
gap = st.sampled_from([" ", "  ", "\t", " \\\n "])


@st.composite
def taking(draw):
    base = "." * draw(st.integers(0, 2)) + draw(dotted)
    some = draw(st.lists(taken, min_size=1, max_size=3))
    joined = draw(st.sampled_from([", ", ",\n  ", ",  # x, y\n  "])).join(some)
    ending = f"({joined}\n)" if "\n" in joined or draw(st.booleans()) else joined
    return f"from{draw(gap)}{base}{draw(gap)}import{draw(gap)}{ending}"


statements = st.one_of(plain, taking(), st.sampled_from(["x = 1", "s = 'import q'", '"""\nfrom here on\n"""', "# import c"]))


@given(st.lists(statements, min_size=1, max_size=5), st.sampled_from(["", "if x:\n    ", "def f():\n\t"]))
def test_whatever_is_imported_is_found(lines, above):
    source = "\n".join(above + line.replace("\n", "\n        ") if above else line for line in lines)
    try:
        wanted = parsed(source)
    except SyntaxError:
        return
    assert wanted <= scanned(source)


@given(st.binary(max_size=200))
def test_whatever_is_in_a_file_it_is_no_error(source):
    scan(source)


def test_lines_are_those_of_the_file():
    assert scan(b"\n\nimport a\n'''\n\n'''\n  from b import (c,\n d)\nimport e\n") == [Import(3, "a"), Import(7, "b", 0, ("c", "d")), Import(9, "e")]


def test_calls_with_a_literal_name_count():
    assert scan(b"x = importlib.import_module('a.b')\n__import__(\"c\")\nimport_module('.d', 'e')\nimport_module(name)") == [Import(1, "a.b"), Import(2, "c"), Import(3, "d", 1)]


def test_a_file_that_is_no_python_has_imports_all_the_same():
    assert scan(b"print 'x'\nimport a\n") == [Import(2, "a")]


@pytest.mark.parametrize(("source", "found"), [("# -*- coding: latin-1 -*-\nimport \xe9t\xe9".encode("latin-1"), "été"), ("#!x\n# vim: set fileencoding=shift_jis :\n# \u8868\nimport a".encode("shift_jis"), "a")])
def test_encodings_are_what_a_file_says(source, found):
    assert scan(source)[-1].module == found


@pytest.mark.parametrize("source", [b"import a\0", b"# \xff\nimport a", b"# coding: nonsense\nimport a"])
def test_what_is_no_text_is_told(source):
    assert scan(source) is None


def old(path: Path, text: str) -> Path:
    path.write_text(text)
    os.utime(path, (1_000_000_000, 1_000_000_000))
    return path


def test_scans_are_remembered_until_the_file_changes(tmp_path, monkeypatch):
    file = old(tmp_path / "a.py", "import a")
    monkeypatch.setattr("moil.deployment.scans.RACY", -1e9)
    first = Scans(tmp_path / "memory", "program")
    first.of(str(file), file.stat())
    first.save()
    read = []
    monkeypatch.setattr("moil.deployment.scans.scan", lambda data: read.append(data) or scan(data))
    again = Scans(tmp_path / "memory", "program")
    assert again.of(str(file), file.stat()) == [Import(1, "a")]
    assert not read
    file.write_text("import bb")
    assert again.of(str(file), file.stat()) == [Import(1, "bb")]
    assert Scans(tmp_path / "memory", "another").of(str(file), file.stat()) == [Import(1, "bb")]


def test_a_file_that_was_just_written_is_not_remembered(tmp_path):
    file = tmp_path / "a.py"
    file.write_text("import a")
    scans = Scans(tmp_path / "memory", "program")
    scans.of(str(file), file.stat())
    scans.save()
    assert not (tmp_path / "memory").exists()


@pytest.mark.parametrize("damage", [b"", b"{", b"{}" * 99])
def test_a_damaged_memory_is_as_good_as_none(tmp_path, damage, monkeypatch):
    monkeypatch.setattr("moil.deployment.scans.RACY", -1e9)
    file = old(tmp_path / "a.py", "import a")
    scans = Scans(tmp_path, "program")
    scans.of(str(file), file.stat())
    scans.save()
    memory = next((tmp_path / "imports").iterdir())
    assert str(file) in json.loads(notes.read(memory))
    memory.write_bytes(damage)
    assert Scans(tmp_path, "program").of(str(file), file.stat()) == [Import(1, "a")]


def test_a_memory_that_cannot_be_written_is_no_error(tmp_path, monkeypatch):
    monkeypatch.setattr("moil.deployment.scans.RACY", -1e9)
    (tmp_path / "memory").write_text("a file")
    file = old(tmp_path / "a.py", "import a")
    scans = Scans(tmp_path / "memory", "program")
    scans.of(str(file), file.stat())
    scans.save()
