"""Distributions that are installed in place (``pip install -e``), in each of the ways that build systems know."""

import importlib.util
import json
import os
import sys

import pytest

from moil.deployment.distributions import plan_units, wanted
from moil.deployment.editables import finder_tables
from tests.deployment.installs import Venv, lay, metadata, scan, site_of, write

FINDER = """from __future__ import annotations
import sys
raise SystemExit("never executed")
MAPPING: dict[str, str] = {!r}
NAMESPACES: dict[str, list[str]] = {!r}
PATH_PLACEHOLDER = '__editable__.thing-1.0.finder' + ".__path_hook__"
"""


def direct_url(project, **more) -> dict[str, str]:
    return {"direct_url.json": json.dumps({"url": f"file://{project}", "dir_info": {"editable": True}, **more})}


def only(installed):
    (found,) = installed.editables()
    return found


def test_a_plain_line_names_a_root(tmp_path):
    site = site_of(tmp_path / "v")
    write(tmp_path, {"project/src/thing/__init__.py": ""})
    pth = f"# a comment\nimport sys; sys.exit(1)\n{tmp_path}/project/src\n{tmp_path}/gone\n"
    lay(site, "thing", files={"_thing.pth": pth}, info=direct_url(tmp_path / "project"))
    installed = scan(site)
    found = only(installed)
    assert (found.name, found.version, found.roots, dict(found.mapping)) == ("thing", "1.0", (f"{tmp_path}/project/src",), {})
    assert installed.of_import("thing") == (found.distribution,)
    assert installed.of_import("absent") == ()
    assert installed.pth_roots() == found.roots
    assert installed.owner(f"{tmp_path}/project/src/thing/__init__.py") is None


def test_the_metadata_is_shipped_without_hook_and_without_the_url(tmp_path):
    site = site_of(tmp_path / "v")
    write(tmp_path, {"project/thing.py": "", "v/bin/thing": "#!python\n", "v/share/thing.txt": ""})
    info = direct_url(tmp_path / "project") | {"entry_points.txt": "[console_scripts]\nthing = thing:main\n"}
    files = {"__editable__.thing-1.0.pth": "import __editable___thing_1_0_finder; x.install()", "__editable___thing_1_0_finder.py": FINDER.format({"thing": f"{tmp_path}/project/thing"}, {})}
    also = ["../../../bin/thing", "../../../share/thing.txt", "__pycache__/__editable___thing_1_0_finder.cpython-311.pyc"]
    lay(site, "thing", files=files, info=info, also=also)
    installed = scan(site)
    (unit,) = plan_units(installed, wanted(installed, ["thing"], everything=False).distributions, {})
    names = [one.path.removeprefix("site/thing-1.0.dist-info/") for one in unit.sources]
    assert names == ["data/share/thing.txt", "INSTALLER", "METADATA", "RECORD", "entry_points.txt"]


def test_a_finder_is_read_and_never_executed(tmp_path):
    site = site_of(tmp_path / "v")
    write(tmp_path, {"project/pkg/__init__.py": "", "project/mod.py": "", "project/ns/inner/__init__.py": ""})
    mapping = {"pkg": f"{tmp_path}/project/pkg", "mod": f"{tmp_path}/project/mod", "gone": f"{tmp_path}/gone"}
    finder = FINDER.format(mapping, {"ns": [f"{tmp_path}/project/ns"]})
    lay(site, "thing", files={"__editable___thing_1_0_finder.py": finder, "__editable__.thing-1.0.pth": "import __editable___thing_1_0_finder"})
    found = only(scan(site))
    assert found.mapping == {"pkg": f"{tmp_path}/project/pkg", "mod": f"{tmp_path}/project/mod.py"}
    assert found.namespaces == {"ns": [f"{tmp_path}/project/ns"]}
    assert (found.roots, found.remark, found.tops) == ((), "", {"pkg", "mod", "ns"})
    assert [one.name for one in scan(site).of_import("ns")] == ["thing"]


def test_nor_is_what_was_compiled_of_the_hook(tmp_path):
    site = site_of(tmp_path)
    cached = importlib.util.cache_from_source("__editable___thing_finder.py").removeprefix(f"{os.getcwd()}/")
    files = {"__editable__.thing-1.0.pth": "import __editable___thing_finder", "__editable___thing_finder.py": FINDER.format({}, {"a": []}), cached: ""}
    lay(site, "thing", files=files)
    installed = scan(site)
    assert all(".dist-info/" in one.path for one in plan_units(installed, list(installed), {})[0].sources)


def test_a_finder_that_is_no_python_holds_nothing():
    assert finder_tables("MAPPING = {") == ({}, {})
    assert finder_tables("MAPPING = f()\nNAMESPACES = 3\n") == ({}, {})


def test_an_egg_link_names_a_root(tmp_path):
    site = site_of(tmp_path / "v")
    write(site, {"old-thing.egg-link": f"{tmp_path}/project\n."})
    write(tmp_path, {"project/old_thing.egg-info/PKG-INFO": metadata("old-thing", "3"), "project/thing.py": ""})
    installed = scan(site)
    found = only(installed)
    assert (found.name, found.version, found.roots) == ("old-thing", "3", (f"{tmp_path}/project",))
    assert [one.path for one in plan_units(installed, [found.distribution], {})[0].sources] == ["site/old_thing.egg-info/PKG-INFO"]


def test_a_hook_that_cannot_be_read_is_told(tmp_path):
    site = site_of(tmp_path / "v")
    write(tmp_path, {"project/src/thing.py": ""})
    lay(site, "thing", files={"_thing_editable.pth": "import _thing_editable", "_thing_editable.py": "raise SystemExit"}, info=direct_url(tmp_path / "project"))
    found = only(scan(site))
    assert found.roots == (f"{tmp_path}/project/src",)
    assert "thing is installed in place by a hook" in found.remark
    assert found.hooks == {"_thing_editable.pth", "_thing_editable.py"}


def test_not_every_pth_makes_an_editable(tmp_path):
    site = site_of(tmp_path)
    lay(site, "a", files={"a.pth": "import a\nsub\n", "a.py": "", "sub/b.py": ""})
    lay(site, "b", info={"direct_url.json": "not json"})
    lay(site, "c", info={"direct_url.json": '{"url": "https://u:secret@example.org/c.zip", "archive_info": {}}'})
    assert scan(site).editables() == ()


PROJECT = {
    "pyproject.toml": """[build-system]
requires = [{requires}]
build-backend = "{backend}"
[project]
name = "thing-{key}"
version = "1.5"
[project.scripts]
thing-{key} = "thing_{key}.cli:main"
[tool.uv.build-backend]
module-name = "thing_{key}"
{more}""",
    "{src}thing_{key}/__init__.py": "",
    "{src}thing_{key}/cli.py": "def main(): print('{key} runs')\n",
}
BACKENDS = {
    "hatch": ("hatchling", "hatchling.build", "src/", "[tool.hatch.build.targets.wheel]\npackages = ['src/thing_hatch']"),
    "src": ("setuptools>=64", "setuptools.build_meta", "src/", ""),
    "finder": ("setuptools>=64", "setuptools.build_meta", "", "[tool.setuptools]\npackages = ['thing_finder']\n"),
    "flit": ("flit_core>=3.4", "flit_core.buildapi", "", ""),
    "poetry": ("poetry-core>=2", "poetry.core.masonry.api", "src/", "[tool.poetry]\npackages = [{{include='thing_poetry', from='src'}}]"),
    "uv": ("uv_build", "uv_build", "src/", ""),
}


def project(home, key):
    requires, backend, src, more = BACKENDS[key]
    if key == "flit":
        more += "[tool.flit.module]\nname = 'thing_flit'\n"
    fields = {"requires": repr(requires), "backend": backend, "src": src, "more": more.replace("{{", "{").replace("}}", "}"), "key": key}
    text = {name.format(**fields): content.format(**fields) for name, content in PROJECT.items()}
    if key == "flit":
        text["pyproject.toml"] = text["pyproject.toml"].replace('version = "1.5"', 'version = "1.5"\ndescription = "x"')
    write(home, text)


@pytest.mark.exhaustive
@pytest.mark.parametrize("key", BACKENDS)
def test_with_the_real_build_systems(tmp_path, key):
    """The interpreter is the oracle: the code is where it finds it."""
    venv = Venv.make(tmp_path / "v")
    project(tmp_path / "project", key)
    venv.pip("-e", tmp_path / "project")
    installed = venv.scan()
    found = only(installed)
    places = [os.path.join(root, f"thing_{key}") for root in found.roots] + list(found.mapping.values())
    assert places == [str(tmp_path / "project" / BACKENDS[key][2] / f"thing_{key}")]
    assert (found.name, found.version, found.remark) == (f"thing-{key}", "1.5", "")
    (unit,) = plan_units(installed, wanted(installed, [f"thing_{key}"], everything=False).distributions, {})
    assert all(".dist-info/" in one.path and "direct_url" not in one.path for one in unit.sources)
    assert sys.prefix not in str(unit)
