"""What is shipped of a distribution is remembered, and found anew when anything of it has changed."""

import os
import py_compile
import shutil

import pytest

from moil.deployment import bytecode, contents
from moil.deployment.distributions import plan_units, wanted
from moil.deployment.fingerprints import Fingerprint
from moil.deployment.on_demand import LEAST, divide
from moil.deployment.plan import Gathered
from tests.deployment.installs import lay, scan, site_of, write

FILES = {
    "a/__init__.py": "1",
    "a/b.py": "2",
    "a/inner/__init__.py": "",
    "a/inner/data.csv": "1,2",
    "a/fast.cpython-311-x86_64-linux-gnu.so": "no library",
    "single.py": "3",
}


@pytest.fixture
def site(tmp_path, monkeypatch):
    monkeypatch.setattr("moil.deployment.inventory.RACY", -3600.0)
    site = site_of(tmp_path / "venv")
    lay(site, "a", files=FILES, also=["gone.py", "../../../share/a/doc.txt"])
    lay(site, "other", files={"other.py": ""})
    write(tmp_path / "venv", {"share/a/doc.txt": "read me"})
    write(site, {"a/generated.json": "{}"})
    (site / "linked").mkdir()
    (site / "a" / "link").symlink_to("../linked")
    return site


@pytest.fixture
def looks(monkeypatch):
    """The distributions whose files were looked for."""
    found, sources = [], contents.sources

    def counted(distribution, *args, **more):
        found.append(distribution.name)
        return sources(distribution, *args, **more)

    monkeypatch.setattr(contents, "sources", counted)
    return found


def planned(site, memory, reason="because"):
    installed = scan(site)
    return plan_units(installed, list(installed), {"a": reason, "other": ""}, memory)


def told(units):
    return [
        (one.name, one.size, [(*map(source.__getattribute__, ("path", "origin", "kind", "size", "reason", "transform", "stamp")),) for source in one.sources])
        for one in units
    ]


def test_the_second_time_nothing_is_looked_for(site, tmp_path, looks):
    first = planned(site, tmp_path / "memory")
    assert looks == ["a", "other"]
    second = planned(site, tmp_path / "memory", reason="something else")
    assert looks == ["a", "other"]
    assert told(second) == told(planned(site, None, reason="something else"))
    assert [Fingerprint.found(one.sources) for one in second] == [Fingerprint.of(tuple(one.sources)) for one in first]
    assert {one.reason for one in second[0].sources} == {"something else", "lies in a, and in no RECORD"}


def test_the_gist_is_what_all_of_them_say(site, tmp_path):
    lay(site, "big", files={"big/__init__.py": "", "big/inner/x.py": "", "big/inner/x.bin": bytes(LEAST)})
    planned(site, tmp_path / "memory")
    installed = scan(site)
    found = wanted(installed, {}, everything=False)
    known, fresh = (plan_units(installed, list(installed), {}, memory) for memory in (tmp_path / "memory", None))
    assert all(isinstance(one.sources, Gathered) for one in known)
    known, fresh = (divide(units, found.needed, {}) for units in (known, fresh))
    assert [(one.name, one.kind, one.import_names) for one in known] == [(one.name, one.kind, one.import_names) for one in fresh]
    assert {one.kind for one in known} == {"on-demand", "distribution", "front"}
    assert told(known) == told(fresh)


CHANGES = {
    "other bytes": lambda site: (site / "a/b.py").write_text("22"),
    "as many other bytes, at the same time": lambda site: rewritten(site / "a/b.py", "9"),
    "another mode": lambda site: (site / "a/b.py").chmod(0o755),
    "a new file in a package": lambda site: write(site, {"a/inner/more.txt": ""}),
    "a file that is gone": lambda site: (site / "a/inner/data.csv").unlink(),
    "a file that was missing": lambda site: write(site, {"gone.py": ""}),
    "one elsewhere": lambda site: (site / "../../../share/a/doc.txt").resolve().write_text("read this"),
    "what a link leads to": lambda site: write(site, {"linked/file.txt": ""}),
    "a link that leads elsewhere": lambda site: relinked(site / "a/link", "../other-place"),
    "metadata": lambda site: write(site, {"a-1.0.dist-info/entry_points.txt": "[console_scripts]\n"}),
    "another list": lambda site: listed(site / "a-1.0.dist-info/RECORD", "a/generated.json,,\n"),
    "another owner": lambda site: listed(site / "other-1.0.dist-info/RECORD", "a/generated.json,,\n"),
    "a new distribution": lambda site: lay(site, "new", files={"a/generated.json": "{}"}),
}


def rewritten(path, text):
    before = path.stat()
    path.write_text(text)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def relinked(path, target):
    write(path.parent / target, {"x.txt": ""})
    path.unlink()
    path.symlink_to(target)


def listed(record, line):
    record.write_text(record.read_text() + line)


@pytest.mark.parametrize("change", CHANGES)
def test_whatever_has_changed_is_found(site, tmp_path, looks, change):
    planned(site, tmp_path / "memory")
    looks.clear()
    CHANGES[change](site)
    after = planned(site, tmp_path / "memory")
    assert "a" in looks
    assert told(after) == told(planned(site, None))


def compiled(site):
    path = site / bytecode.compiled_of("a/b.py")
    py_compile.compile(str(site / "a/b.py"), str(path), doraise=True)
    return path


@pytest.mark.parametrize("change", ["made anew", "lost"])
def test_a_compiled_module_is_what_its_source_says(site, tmp_path, looks, change):
    pyc = compiled(site)
    listed(site / "a-1.0.dist-info/RECORD", f"{pyc.relative_to(site)},,\n")
    assert "pyc" in {one.transform for one in planned(site, tmp_path / "memory")[0].sources}
    looks.clear()
    pyc.unlink()
    if change == "made anew":
        compiled(site)
    (again, _) = planned(site, tmp_path / "memory")
    assert looks == []
    assert [one.path for one in again.sources] == [one.path for one in planned(site, None)[0].sources]
    assert len(again.sources) == len(list(again.sources))
    (site / "a/b.py").write_text("22")
    looks.clear()
    planned(site, tmp_path / "memory")
    assert looks == ["a"]


def test_what_was_written_a_moment_ago_is_not_remembered(site, tmp_path, looks, monkeypatch):
    monkeypatch.setattr("moil.deployment.inventory.RACY", 2.0)
    for _ in range(2):
        planned(site, tmp_path / "memory")
    assert looks == ["a", "other"] * 2


def test_what_has_no_list_or_was_made_here_is_not_remembered(site, tmp_path, looks):
    shutil.rmtree(site / "other-1.0.dist-info")
    lay(site, "other", record=False)
    write(site.parent.parent.parent, {"bin/tool": f"#!{tmp_path}/bin/python3\nprint(1)\n"})
    listed(site / "a-1.0.dist-info/RECORD", "../../../bin/tool,,\n")
    for _ in range(2):
        planned(site, tmp_path / "memory")
    assert looks == ["a", "other"] * 2


def test_a_note_that_is_damaged_is_as_good_as_none(site, tmp_path, looks):
    planned(site, tmp_path / "memory")
    for note in (tmp_path / "memory" / "inventories").iterdir():
        note.write_bytes(note.read_bytes()[:-9])
    assert told(planned(site, tmp_path / "memory")) == told(planned(site, None))
    assert looks == ["a", "other"] * 3


def test_where_nothing_can_be_written_nothing_is_lost(site, tmp_path):
    (tmp_path / "memory").write_text("a file")
    assert told(planned(site, tmp_path / "memory")) == told(planned(site, None))


def test_the_oldest_notes_are_forgotten(site, tmp_path, monkeypatch):
    monkeypatch.setattr("moil.deployment.inventory.MOST", 3)
    notes = tmp_path / "memory" / "inventories"
    notes.mkdir(parents=True)
    for age, name in enumerate(("new", "old", "older")):
        (notes / name).touch()
        os.utime(notes / name, (10.0 - age, 10.0 - age))
    planned(site, tmp_path / "memory")
    names = {one.name for one in notes.iterdir()}
    assert len(names) == 3 and "new" in names
