"""Programs that are planned, taken elsewhere and run there, with the original gone: they must say what they said at home.

Discovery sees only what a leader sees: the import path and the prefixes of the interpreter that runs the program.
"""

from __future__ import annotations

import json
import os
import subprocess
import zipapp
from pathlib import Path

import pytest

from moil.deployment import manifest, view
from moil.deployment.discover import Request, discover
from moil.deployment.plan import Plan, UnitKind
from tests.deployment.installs import Machine, Venv, clean
from tests.deployment.projects import lay

pytestmark = pytest.mark.slow

SAY = """
import importlib.resources, pathlib
def text(package, name):
    return importlib.resources.files(package).joinpath(name).read_text()
def near(file, name):
    return pathlib.Path(file).parent.joinpath(name).read_text()
"""
ASK = "import json, sys; print(json.dumps([sys.path, sys.prefix, sys.base_prefix]))"


class Leader:
    """A machine with a program, and a worker that gets what is planned of it."""

    def __init__(self, home: Path, venv: Venv) -> None:
        self.home, self.venv = home, venv
        self.worker = Machine(home.parent / "worker")

    def run(self, *words: str, cwd: Path, **env: str) -> str:
        return spoken([self.venv.python, *words], cwd=cwd, env=clean(**env))

    def plan(self, *words: str, cwd: Path, **env: str) -> Plan:
        asked = spoken([self.venv.python, "-c", ASK], cwd=cwd, env=clean(**env))
        path, prefix, base = json.loads(asked)
        is_module = words[0] == "-m"
        script = "" if is_module else os.path.join(cwd, words[0])
        path[0] = script if not script.endswith(".py") and script else os.path.dirname(os.path.realpath(script)) if script else str(cwd)
        site = (str(self.venv.site),)
        return discover(
            Request(
                module=words[1] if is_module else "",
                script=script,
                path=tuple(path),
                prefix=prefix,
                base_prefix=base,
                environment=True,
                site=site,
                home="/nowhere",
                memory=None,
            )
        )

    def ship(self, plan: Plan) -> tuple[manifest.Deployment, view.View]:
        units = [(unit, self.worker.put(unit)) for unit in plan.units]
        roots = tuple(
            manifest.Root(
                units=tuple(put for unit, put in units if unit.root == number),
                after_site=root.after_site,
                archive=root.archive,
                inner=root.inner,
            )
            for number, root in enumerate(plan.roots)
        )
        environment = [unit for unit in plan.units if unit.kind is UnitKind.distribution]
        deployment = self.worker.deployment(environment, roots, plan.entry)
        return deployment, self.worker.view(deployment)

    def everywhere(self, *words: str, cwd: Path, **env: str) -> str:
        """What the program says at home, once it is known that it says the same on the worker."""
        at_home = self.run(*words, cwd=cwd, **env)
        deployment, there = self.ship(self.plan(*words, cwd=cwd, **env))
        self.home.rename(self.home.with_name("gone"))
        try:
            entry = ["-m", deployment.entry.module] if deployment.entry.module else [view.script(deployment, there)]
            run_there = clean(PYTHONPATH=os.pathsep.join(there.path), PYTHONSAFEPATH="1", PYTHONDONTWRITEBYTECODE="1")
            assert spoken([there.python, *entry], cwd=Path("/"), env=run_there) == at_home
        finally:
            self.home.with_name("gone").rename(self.home)
        return at_home


def spoken(command: list[str], *, cwd: Path, env: dict[str, str]) -> str:
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def leader(tmp_path) -> Leader:
    home = lay(tmp_path / "home", {})
    home.mkdir()
    return Leader(home, Venv.make(home / "venv"))


def test_a_script_its_siblings_and_packages(leader):
    app = lay(leader.home / "app", {"main.py": "import say, importlib, lib\nprint(importlib.import_module('by_' + 'name').X, say.text('lib.sub', 't.txt'), say.near(__file__, 'c.toml'))"})
    lay(app, {"say.py": SAY, "by_name.py": "from lib.sub.deep import X", "lib/__init__.py": "", "lib/sub/deep.py": "X = 1", "lib/sub/t.txt": "t", "c.toml": "c"})
    assert leader.everywhere("main.py", cwd=app) == "1 t c\n"


def test_a_module_with_a_sibling_package_also_from_elsewhere(leader):
    root = lay(leader.home / "root", {"workflow/__init__.py": "", "workflow/main.py": "from utils import io\nfrom . import steps\nprint(io.X, steps.Y, __spec__.name)"})
    lay(root, {"utils/__init__.py": "", "utils/io.py": "X = 1", "workflow/steps.py": "Y = 2"})
    assert leader.everywhere("-m", "workflow.main", cwd=root) == "1 2 workflow.main\n"
    assert leader.everywhere("-m", "workflow.main", cwd=leader.home, PYTHONPATH=str(root)) == "1 2 workflow.main\n"


def test_several_roots_in_order_with_a_namespace_over_two_of_them(leader):
    a = lay(leader.home / "a", {"both.py": "X = 'a'", "ns/one/__init__.py": "X = 1"})
    b = lay(leader.home / "b", {"both.py": "X = 'b'", "only_b.py": "X = 'only b'", "ns/two.py": "X = 2"})
    main = lay(leader.home / "app", {"main.py": "import both, only_b, ns.one, ns.two\nprint(both.X, only_b.X, ns.one.X, ns.two.X)"})
    assert leader.everywhere("main.py", cwd=main, PYTHONPATH=f"{a}{os.pathsep}{b}") == "a only b 1 2\n"


def test_a_script_inside_a_package(leader):
    root = lay(leader.home / "root", {"pkg/__init__.py": "", "pkg/data.txt": "d", "pkg/sub/__init__.py": "", "pkg/sub/near.py": "X = __name__"})
    lay(root, {"say.py": SAY, "pkg/sub/main.py": "import near, pathlib\nprint(near.X, (pathlib.Path(__file__).parent.parent / 'data.txt').read_text(), __package__)"})
    assert leader.everywhere("pkg/sub/main.py", cwd=root) == "near d None\n"


def test_an_archive_with_a_root_beside_it(leader):
    source = lay(leader.home / "source", {"__main__.py": "import inner, outer\nprint(inner.X, outer.X)", "inner.py": "X = 'in'"})
    more = lay(leader.home / "more", {"outer.py": "X = 'out'"})
    zipapp.create_archive(source, leader.home / "app.pyz")
    assert leader.everywhere("app.pyz", cwd=leader.home, PYTHONPATH=str(more)) == "in out\n"


def test_what_was_copied_into_the_environment(leader):
    lay(leader.venv.site, {"copied/__init__.py": "from . import x", "copied/x.py": "X = 'copied'", "single.py": "X = 'single'"})
    app = lay(leader.home / "app", {"main.py": "import copied, single\nprint(copied.x.X, single.X)"})
    assert leader.everywhere("main.py", cwd=app) == "copied single\n"


def test_links_modes_and_empty_directories(leader):
    app = lay(leader.home / "app", {"main.py": "import pkg\nprint(*pkg.told())", "pkg/tool.sh": "#!/bin/sh\necho tool", "pkg/v1/x": "x", "pkg/empty/": ""})
    lay(app, {"pkg/__init__.py": "import os, subprocess\nhere = os.path.dirname(__file__)\ndef told():\n    return open(here + '/current/x').read(), os.listdir(here + '/empty'), subprocess.check_output([here + '/tool.sh'])"})
    (app / "pkg/tool.sh").chmod(0o755)
    (app / "pkg/current").symlink_to("v1")
    assert leader.everywhere("main.py", cwd=app) == "x [] b'tool\\n'\n"


SYSTEMS = {
    "setuptools-finder": ("setuptools.build_meta", "setuptools>=64", "", "[tool.setuptools]\npackages = ['thing', 'thing.sub']\n[tool.setuptools.package-data]\nthing = ['*.txt']\n"),
    "setuptools-src": ("setuptools.build_meta", "setuptools>=64", "src/", ""),
    "setuptools-renamed": ("setuptools.build_meta", "setuptools>=64", "renamed", "[tool.setuptools]\npackages = ['thing', 'thing.sub']\npackage-dir = {thing = 'lib'}\n"),
    "hatch": ("hatchling.build", "hatchling", "src/", "[tool.hatch.build.targets.wheel]\npackages = ['src/thing']\n"),
}


@pytest.mark.exhaustive
@pytest.mark.parametrize("system", SYSTEMS)
def test_an_editable_install(leader, system):
    backend, requires, source, more = SYSTEMS[system]
    project = lay(leader.home / "project", {"pyproject.toml": f"[build-system]\nrequires = ['{requires}']\nbuild-backend = '{backend}'\n[project]\nname = 'thing'\nversion = '1.2'\n{more}"})
    place = "lib" if source == "renamed" else f"{source}thing"
    lay(project, {f"{place}/__init__.py": "", f"{place}/sub/__init__.py": "X = 1", f"{place}/t.txt": "text", "unrelated/big.py": ""})
    leader.venv.pip("-e", project)
    app = lay(leader.home / "app", {"main.py": "import importlib.metadata as m, say, thing.sub\nprint(thing.sub.X, say.text('thing', 't.txt'), m.version('thing'))", "say.py": SAY})
    assert leader.everywhere("main.py", cwd=app) == "1 text 1.2\n"
