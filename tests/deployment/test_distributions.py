"""What is installed, and whose a file is: site directories laid out as the many installers of the world leave them."""

import importlib.util
import os
import py_compile
from pathlib import Path

from moil.deployment import bytecode
from moil.deployment.distributions import Installed, plan_units, wanted
from tests.deployment.installs import lay, metadata, scan, site_of, write


def paths(installed: Installed, name: str) -> list[str]:
    return [one.path for one in planned(installed, name).sources]


def planned(installed: Installed, name: str):
    return plan_units(installed, [installed.by_name(name)], {name: "because"})[0]


def test_the_first_of_a_name_is_the_only_one_and_names_are_normalised(tmp_path):
    one, two = site_of(tmp_path / "one"), site_of(tmp_path / "two")
    lay(one, "Zope.Thing_x", "2.0", {"zt.py": ""})
    lay(two, "zope_thing.x", "1.0", {"zt.py": ""})
    installed = scan(one, two, one)
    assert [(dist.name, dist.version, dist.site) for dist in installed] == [("zope-thing-x", "2.0", str(one))]
    assert installed.by_name("ZOPE-thing-X") is next(iter(installed))


def test_of_two_that_say_they_are_the_same_the_whole_one_counts(tmp_path):
    site = site_of(tmp_path)
    lay(site, "a", "1.0", record=False)
    lay(site, "a", "0.9", {"a.py": ""})
    (site / "~a-0.8.dist-info").mkdir()
    assert scan(site).by_name("a").version == "0.9"


def test_owner_is_by_record_lexically_and_really(tmp_path):
    site = site_of(tmp_path / "real")
    lay(site, "a", files={"a/__init__.py": "", "a/b.py": ""}, also=["../../../bin/tool"])
    (tmp_path / "link").symlink_to(tmp_path / "real")
    installed = scan(site_of(tmp_path / "link"))
    for prefix in ("real", "link"):
        assert installed.owner(str(site_of(tmp_path / prefix) / "a/b.py")).name == "a"
    assert installed.owner(str(tmp_path / "link/bin/tool")).name == "a"
    assert installed.owner(str(site / "ab.py")) is None
    assert installed.owner(str(tmp_path / "elsewhere.py")) is None


def test_what_lies_in_a_package_belongs_to_it_and_not_what_lies_in_a_namespace(tmp_path):
    site = site_of(tmp_path)
    lay(site, "a", files={"a/__init__.py": "", "space/mine/__init__.py": ""})
    write(site, {"a/data/generated.bin": "x", "space/other/__init__.py": "", "a/__pycache__/b.cpython-311.pyc": "x"})
    installed = scan(site)
    assert installed.owner(str(site / "a/data/generated.bin")).name == "a"
    assert installed.owner(str(site / "space/other/__init__.py")) is None
    assert "site/a/data/generated.bin" in paths(installed, "a")
    assert not any("other" in path or "pyc" in path for path in paths(installed, "a"))


def test_what_nobody_owns(tmp_path):
    site = site_of(tmp_path)
    lay(site, "a", files={"a/__init__.py": "", "one.py": ""})
    write(site, {"copied/__init__.py": "", "loose.py": "", "mine.pth": "", "__pycache__/one.cpython-311.pyc": ""})
    assert [os.path.basename(one) for one in scan(site).unowned(str(site))] == ["copied", "loose.py", "mine.pth"]


def test_import_names_lead_to_distributions(tmp_path):
    site = site_of(tmp_path)
    lay(site, "PyYAML", files={"yaml/__init__.py": "", "_yaml.cpython-311-x86_64-linux-gnu.so": "", "PyYAML.libs/x.so": ""})
    lay(site, "google-a", files={"google/a/__init__.py": ""})
    lay(site, "google-b", files={"google/b/__init__.py": ""})
    installed = scan(site)
    assert [one.name for one in installed.of_import("yaml")] == ["pyyaml"] == [one.name for one in installed.of_import("_yaml")]
    assert {one.name for one in installed.of_import("google")} == {"google-a", "google-b"}
    assert installed.of_import("PyYAML") == ()


def test_without_a_record_the_top_level_names_say_what_there_is(tmp_path):
    site = tmp_path / "python3/dist-packages"
    write(site, {"Six-1.16.egg-info/PKG-INFO": metadata("Six", "1.16"), "Six-1.16.egg-info/top_level.txt": "six\n", "six.py": "", "six/no.py": ""})
    write(site, {"perf-0.1.egg-info": metadata("perf", "0.1"), "perf.cpython-311-x86_64-linux-gnu.so": ""})
    write(site, {"bare.egg-info/PKG-INFO": metadata("bare", "7"), "bare/__init__.py": "", "bare/t/x.html": "", "bare/__pycache__/y.pyc": ""})
    installed = scan(site)
    assert [(one.name, one.version) for one in installed] == [("six", "1.16"), ("bare", "7"), ("perf", "0.1")]
    assert paths(installed, "perf") == ["site/perf-0.1.egg-info", "site/perf.cpython-311-x86_64-linux-gnu.so"]
    assert paths(installed, "bare") == ["site/bare.egg-info/PKG-INFO", "site/bare/__init__.py", "site/bare/t/x.html"]
    assert installed.owner(str(site / "bare/t/x.html")).name == "bare"
    assert installed.owner(str(site / "six.py")).name == "six"


def test_an_old_installer_notes_files_from_the_metadata(tmp_path):
    site = site_of(tmp_path)
    write(site, {"o-1.egg-info/PKG-INFO": metadata("o", "1"), "o-1.egg-info/installed-files.txt": "../o.py\nPKG-INFO\n", "o.py": ""})
    assert paths(scan(site), "o") == ["site/o-1.egg-info/PKG-INFO", "site/o-1.egg-info/installed-files.txt", "site/o.py"]


def test_an_egg_is_a_directory_of_its_own_and_joins_the_others(tmp_path):
    egg = site_of(tmp_path) / "old_one-1.2-py3.11.egg"
    write(egg, {"EGG-INFO/PKG-INFO": metadata("old-one", "1.2"), "EGG-INFO/top_level.txt": "oo\n", "oo/__init__.py": "", "oo/x.txt": ""})
    installed = scan(site_of(tmp_path), egg)
    assert [(one.name, one.version) for one in installed.of_import("oo")] == [("old-one", "1.2")]
    info = "site/old_one-1.2-py3.11.egg-info"
    assert paths(installed, "old-one") == [f"{info}/PKG-INFO", f"{info}/top_level.txt", "site/oo/__init__.py", "site/oo/x.txt"]
    assert installed.owner(str(egg / "oo/x.txt")).name == "old-one"


def test_a_target_directory_counts_and_a_source_tree_does_not(tmp_path):
    lay(tmp_path / "libs", "a", files={"a.py": ""})
    write(tmp_path / "src", {"b.egg-info/PKG-INFO": metadata("b", "1"), "b/__init__.py": ""})
    installed = scan(tmp_path / "src", tmp_path / "libs")
    assert [one.name for one in installed] == ["a"]
    assert installed.owner(str(tmp_path / "src/b/__init__.py")) is None


def test_what_is_shipped_and_where_it_goes(tmp_path):
    site = site_of(tmp_path)
    also = ["../../../bin/tool", "../../../bin/entry", "../../../share/a/x.csv", "/etc/passwd", "gone.py", "../../../lib/libz.so"]
    write(tmp_path, {"bin/tool": f"#!{tmp_path}/bin/python3\nprint(1)\n", "bin/entry": "#!x/python\n", "share/a/x.csv": "1", "lib/libz.so": ""})
    lay(site, "a", files={"a/__init__.py": "", "a.pth": "import a\n"}, also=also, info={"entry_points.txt": "[console_scripts]\nentry = a:main\n", "direct_url.json": "{}"})
    unit = planned(scan(site), "a")
    shipped = {one.path: one for one in unit.sources}
    info = [f"site/a-1.0.dist-info/{name}" for name in ("INSTALLER", "METADATA", "RECORD", "entry_points.txt")]
    assert sorted(shipped) == sorted([*info, "site/a/__init__.py", "site/a.pth", "bin/tool", "data/share/a/x.csv", "data/lib/libz.so"])
    assert shipped["bin/tool"].content == b"#!python\nprint(1)\n"
    assert (unit.version, unit.reason, shipped["site/a/__init__.py"].reason) == ("1.0", "because", "because")


def test_a_patched_file_is_shipped_as_it_is(tmp_path):
    site = site_of(tmp_path)
    info = lay(site, "a", files={"a.py": "patched = True\n"})
    (info / "RECORD").write_text('a.py,sha256=AAAA,3\n"odd, name.py",,\na-1.0.dist-info/RECORD,,\n')
    write(site, {"odd, name.py": ""})
    shipped = {one.path: one.size for one in planned(scan(site), "a").sources}
    assert shipped["site/a.py"] == 15
    assert "site/odd, name.py" in shipped


def test_files_that_are_links_are_shipped_as_what_they_lead_to(tmp_path):
    site = site_of(tmp_path)
    write(tmp_path, {"store/a.py": "x = 1\n"})
    lay(site, "a", also=["a.py", "broken.py"])
    (site / "a.py").symlink_to(tmp_path / "store/a.py")
    (site / "broken.py").symlink_to("nowhere")
    assert [(one.path, one.kind, one.size) for one in planned(scan(site), "a").sources if one.path.endswith(".py")] == [("site/a.py", "f", 6)]


def test_compiled_modules_go_with_their_source_if_an_installer_has_noted_them(tmp_path):
    site = site_of(tmp_path)
    cached = [os.path.relpath(importlib.util.cache_from_source(name)) for name in ("a.py", "gone.py")]
    lay(site, "a", files={"a.py": "x = 1\n", "b.py": ""}, also=[*cached, "__pycache__/a.cpython-299.pyc"])
    write(site, {"__pycache__/a.cpython-299.pyc": ""})
    for name in ("a.py", "b.py"):
        py_compile.compile(str(site / name))
    write(site, {cached[1]: "x"})
    found = [one for one in planned(scan(site), "a").sources if one.path.endswith(".pyc")]
    assert [(one.path, one.transform) for one in found] == [(f"site/{cached[0]}", "pyc")]


def test_a_normalised_pyc_does_not_know_the_time_and_python_believes_it(tmp_path):
    source = tmp_path / "m.py"
    source.write_text("x = 1\n")
    made = []
    for time in (1_000_000_000, 1_700_000_000):
        os.utime(source, (time, time))
        made.append(bytecode.of_file(py_compile.compile(str(source))))
    assert made[0] == made[1] != None  # noqa: E711
    cached = Path(importlib.util.cache_from_source(str(source)))
    cached.write_bytes(made[0])
    assert bytecode.of_file(str(cached)) == made[0]
    source.write_text("x = 2\n")
    assert bytecode.of_file(str(cached)) is None


def test_a_stale_pyc_is_not_shipped(tmp_path):
    source = tmp_path / "m.py"
    source.write_text("x = 1\n")
    cached = py_compile.compile(str(source))
    source.write_text("x = 2\n")
    os.utime(source, (1, 1))
    assert bytecode.of_file(cached) is None
    assert bytecode.normalised(b"", b"x") is None
    assert bytecode.source_of("/a/__pycache__/m.cpython-299.pyc") == "" == bytecode.source_of("/a/m.pyc")


def test_what_an_earlier_site_directory_hides_does_not_mix_with_what_hides_it(tmp_path):
    one, two = site_of(tmp_path / "one"), site_of(tmp_path / "two")
    lay(one, "cv", files={"cv2/__init__.py": ""})
    lay(two, "cv-headless", files={"cv2/__init__.py": "", "cv2/old.py": "", "other.py": ""})
    found = paths(scan(one, two), "cv-headless")
    assert "site/other.py" in found
    assert not any("cv2/" in path for path in found)
    assert any(path.endswith("METADATA") for path in found)


def test_requirements_are_followed_with_markers_and_extras(tmp_path):
    site = site_of(tmp_path)
    lay(site, "a", files={"a.py": ""}, requires=("b[fast]>=1", "c; python_version < '3'", "d; extra == 'x'", "moil", "absent", "@bad@"))
    lay(site, "B", requires=("e; extra == 'fast'", "f; extra == 'slow'"))
    for name in ("c", "d", "e", "f", "moil"):
        lay(site, name)
    lay(site, "e", requires=("a",))
    found = wanted(scan(site), {"a": "imported by main.py:1", "nothing": ""}, everything=False)
    assert dict(found.reasons) == {"a": "imported by main.py:1", "b": "required by a", "e": "required by b"}
    assert [one.name for one in found.distributions] == ["a", "b", "e"]


def test_an_environment_is_shipped_whole_and_of_the_system_what_is_reached(tmp_path):
    own, system = site_of(tmp_path / "venv"), site_of(tmp_path / "usr")
    lay(own, "a", requires=("s",))
    lay(own, "moil")
    for name in ("s", "t", "u"):
        lay(system, name, files={f"{name}.py": ""})
    installed = scan(own, system, prefix=tmp_path / "venv")
    assert [one.name for one in wanted(installed, ["u"], everything=True).distributions] == ["a", "s", "u"]
    assert [one.name for one in wanted(installed, ["u"], everything=False).distributions] == ["u"]
