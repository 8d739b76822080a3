"""The engine's archive: the same every time, compiled where it can be remembered, and believed only whole."""

import hashlib
import io
import os
import py_compile
import subprocess
import sys
import zipfile

import pytest

from moil.adapters.directory import DirectoryStore
from moil.adapters.memory import MemoryStore
from moil.deployment import bundle, bytecode


@pytest.fixture
def memory(tmp_path):
    return tmp_path / "engines"


def names(archive):
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        return opened.namelist()


def test_it_is_the_same_every_time(memory):
    assert bundle.build(None) == bundle.build(None)
    assert bundle.build(memory) == bundle.build(memory)
    assert len(list(memory.iterdir())) == 1


def test_every_module_is_in_it_compiled(memory):
    found = names(bundle.build(memory))
    modules = [one for one in found if one.endswith(".py")]
    assert "moil/arrival.py" in modules
    assert "cloudpickle/cloudpickle.py" in modules
    assert not [one for one in found if one.startswith(("moil/cli/", "moil/testing/"))]
    assert {bytecode.compiled_of(one) for one in modules} == {one for one in found if one.endswith(".pyc")}
    assert not [one for one in names(bundle.build(None)) if one.endswith(".pyc")]


def test_no_worker_compiles_it(memory, tmp_path):
    with zipfile.ZipFile(io.BytesIO(bundle.build(memory))) as opened:
        opened.extractall(tmp_path / "engine")
    for source in (tmp_path / "engine").rglob("*.py"):
        source.write_text("raise SystemExit('read again')\n")
    code = f"import sys; sys.path.insert(0, {str(tmp_path / 'engine')!r}); import moil.arrival, moil.remote; print(moil.__file__)"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stderr, done.stdout) == ("", f"{tmp_path / 'engine' / 'moil' / '__init__.py'}\n")


def test_what_was_compiled_when_it_was_installed_is_not_compiled_again(memory, monkeypatch, tmp_path):
    module = tmp_path / "site" / "moil" / "part.py"
    module.parent.mkdir(parents=True)
    module.write_text("VALUE = 1\n")
    py_compile.compile(str(module))
    monkeypatch.setattr(bundle, "_files", lambda: iter([("moil/part.py", module)]))
    monkeypatch.setattr(bytecode, "compiled", lambda *_: pytest.fail("it was compiled"))
    assert names(bundle.build(memory)) == ["moil/part.py", bytecode.compiled_of("moil/part.py")]


@pytest.mark.parametrize(("source", "compiled"), [("a.py", "__pycache__/a."), ("p/a.py", "p/__pycache__/a."), ("/a.py", "/__pycache__/a.")])
def test_where_compiled_modules_lie(source, compiled):
    found = bytecode.compiled_of(source)
    assert found == f"{compiled}{sys.implementation.cache_tag}.pyc"
    assert bytecode.source_of(found) == source


def test_what_was_not_compiled_when_it_was_installed_is_compiled_now(memory, monkeypatch):
    def nothing(_):
        raise FileNotFoundError

    monkeypatch.setattr(bytecode, "of_file", nothing)
    found = bundle.build(memory)
    with zipfile.ZipFile(io.BytesIO(found)) as opened:
        assert opened.read(bytecode.compiled_of("moil/arrival.py"))[:4] == bytecode.MAGIC


def test_a_damaged_note_is_not_believed(memory):
    archive = bundle.build(memory)
    (note,) = memory.iterdir()
    note.write_bytes(note.read_bytes()[:-1] + b"x")
    again = bundle.build(memory)
    assert names(again) == names(archive)
    assert note.read_bytes()[64:] == again


def test_a_place_that_cannot_be_written_only_costs_time(tmp_path):
    (tmp_path / "file").touch()
    assert "moil/arrival.py" in names(bundle.build(tmp_path / "file" / "engines"))


def test_what_nobody_has_asked_for_in_a_month_goes(memory):
    memory.mkdir()
    for name, age in (("old", bundle.UNUSED + 60), ("recent", 60)):
        (memory / name).touch()
        when = (memory / name).stat().st_mtime - age
        os.utime(memory / name, (when, when))
    bundle.build(memory)
    left = {one.name for one in memory.iterdir()}
    assert "recent" in left
    assert "old" not in left


def test_the_next_run_takes_it_from_the_shelf(memory, tmp_path, monkeypatch):
    first = bundle.put(DirectoryStore(tmp_path / "one", create=True), memory)
    store = DirectoryStore(tmp_path / "two", create=True)
    monkeypatch.setattr(DirectoryStore, "put", lambda *_, **__: pytest.fail("it was written again"))
    assert bundle.put(store, memory) == first
    data = store.get(bundle.engine_key(first.digest))
    assert (hashlib.sha256(data).hexdigest(), len(data)) == (first.digest, first.size)


@pytest.mark.parametrize("note", [b"", b"x" * 80, b"ab" * 20])
def test_a_note_that_names_nothing_is_not_followed(memory, tmp_path, note):
    first = bundle.put(DirectoryStore(tmp_path / "one", create=True), memory)
    (place,) = memory.iterdir()
    place.write_bytes(note)
    assert bundle.put(DirectoryStore(tmp_path / "two", create=True), memory).digest
    assert place.stat().st_size > first.size


def test_without_a_shelf_it_is_written(memory):
    store = MemoryStore()
    unit = bundle.put(store, memory)
    assert hashlib.sha256(store.get(bundle.engine_key(unit.digest))).hexdigest() == unit.digest
    assert bundle.put(store, memory) == unit
