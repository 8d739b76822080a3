"""An environment rebuilt on a worker, asked by its own interpreter what it is."""

import json
import os
import shutil
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from moil.deployment import view
from moil.deployment.extract import TIME
from moil.deployment.distributions import plan_units
from moil.deployment.listing import EXECUTABLE, FILE
from moil.deployment.manifest import EntryPoint, Root
from moil.deployment.plan import PlannedUnit, Source, UnitKind
from moil.errors import DeploymentError
from tests.deployment.installs import Machine, lay, run, scan, site_of, write

TOOL = {"tool/__init__.py": "", "tool/__main__.py": "import sys; print(sys.prefix)\n", "tool/data/x.txt": "found\n", "tool/cli.py": "class Main:\n    @staticmethod\n    def run():\n        print('tool runs')\n"}
INFO = {"entry_points.txt": "[console_scripts]\ntool = tool.cli:Main.run\n\n[tool.plugins]\none = tool.cli:Main\n"}


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path / "cache")


@pytest.fixture
def site(tmp_path):
    return site_of(tmp_path / "leader")


def everything(installed):
    return plan_units(installed, list(installed), {})


def code(name, files, executable=()):
    sources = tuple(Source(path=path, origin="", kind=EXECUTABLE if path in executable else FILE, content=text.encode()) for path, text in files.items())
    return PlannedUnit(name=name, kind=UnitKind.code, root=0, sources=sources)


def ask(made, expression, **env):
    program = f"import sys, os, json; print(json.dumps({expression}))"
    return json.loads(run(made.python, "-c", program, PYTHONPATH=os.pathsep.join(made.path), **env))


def test_the_interpreter_finds_what_was_installed(machine, site, tmp_path):
    lay(site, "tool", "2.5", TOOL, info=INFO)
    made = machine.view(machine.deployment(everything(scan(site))))
    shutil.rmtree(tmp_path / "leader")
    found = ask(made, "[__import__('importlib.metadata').metadata.version('tool'), sys.prefix, sys.executable, __import__('tool').__file__]")
    home = str(made.directory)
    assert found == ["2.5", home, made.python, str(view.site_packages(made.directory, machine.deployment([]).python) / "tool/__init__.py")]
    names = "[one.load().__name__ for one in __import__('importlib.metadata').metadata.entry_points(group='tool.plugins')]"
    assert ask(made, names) == ["Main"]
    assert ask(made, "__import__('importlib.resources').resources.files('tool').joinpath('data/x.txt').read_text()") == "found\n"


def test_a_console_script_and_a_child_process_are_in_the_same_environment(machine, site):
    lay(site, "tool", files=TOOL, info=INFO)
    made = machine.view(machine.deployment(everything(scan(site))))
    assert run(f"{made.bin}/tool") == "tool runs"
    assert ask(made, "__import__('subprocess').check_output(['tool'], text=True)", PATH=made.bin) == "tool runs\n"
    child = "__import__('subprocess').check_output([sys.executable, '-m', 'tool'], text=True).strip()"
    assert ask(made, child) == str(made.directory)


def test_it_works_where_the_path_is_long_and_has_spaces(tmp_path, site):
    machine = Machine(tmp_path / ("it's a long way " * 6))
    write(site.parents[2], {"bin/old": "#!/gone/bin/python3.11\nimport tool; print('old runs')\n"})
    lay(site, "tool", files=TOOL, info=INFO, also=["../../../bin/old"])
    made = machine.view(machine.deployment(everything(scan(site))))
    assert run(f"{made.bin}/tool") == "tool runs"
    assert run(f"{made.bin}/old") == "old runs"


def test_pth_files_work_as_at_home(machine, site):
    lay(site, "a", files={"a.pth": "import os; os.environ['SEEN'] = 'yes'\nsub\n", "sub/deep.py": ""})
    made = machine.view(machine.deployment(everything(scan(site))))
    assert ask(made, "[os.environ['SEEN'], __import__('deep').__name__]") == ["yes", "deep"]


def test_other_programs_and_data_are_below_the_prefix(machine, site):
    write(site.parents[2], {"bin/sh-tool": "#!/bin/sh\necho sh\n", "share/a/x": "1"})
    (site.parents[2] / "bin/sh-tool").chmod(0o755)
    lay(site, "a", also=["../../../bin/sh-tool", "../../../share/a/x"])
    made = machine.view(machine.deployment(everything(scan(site))))
    assert run(f"{made.bin}/sh-tool") == "sh"
    assert (made.directory / "share/a/x").read_text() == "1"


def test_roots_are_in_the_leaders_order_around_the_site_directory(machine, site):
    lay(site, "a", files={"who.py": "x = 'site'\n"})
    front = Root(units=(machine.put(code("f", {"f.py": "", "both.py": "x = 'front'\n"})), machine.put(code("g", {"g/__init__.py": ""}))))
    second = Root(units=(machine.put(code("h", {"both.py": "x = 'second'\n", "h.py": ""})),))
    behind = Root(units=(machine.put(code("b", {"who.py": "x = 'behind'\n", "last.py": ""})),), after_site=True)
    deployment = machine.deployment(everything(scan(site)), (front, behind, second))
    made = machine.view(deployment)
    roots = [str(made.directory / "roots" / str(number)) for number in (0, 2)]
    assert made.path == (*roots, str(machine.engine))
    assert ask(made, "[__import__('both').x, __import__('who').x, bool(__import__('last')), bool(__import__('g'))]") == ["front", "site", True, True]
    assert ask(made, "sys.path[-1]") == str(made.directory / "roots" / "1")


@pytest.mark.parametrize(
    ("root", "entry", "expected"),
    [
        (Root(), EntryPoint(script="pkg/main.py", root=0), "roots/0/pkg/main.py"),
        (Root(inner="pkg"), EntryPoint(script="pkg/main.py", root=0), "roots/0/pkg/main.py"),
        (Root(archive="app.pyz"), EntryPoint(root=0), "roots/0/app.pyz"),
        (Root(), EntryPoint(root=0), "roots/0"),
        (Root(), EntryPoint(module="pkg.main", root=0), None),
        (Root(), EntryPoint(), None),
    ],
)
def test_where_the_script_is(machine, root, entry, expected):
    deployment = machine.deployment([], (root,), entry)
    made = machine.view(deployment)
    assert view.script(deployment, made) == (str(made.directory / expected) if expected else "")


def test_a_root_may_be_on_the_path_by_a_directory_inside_it(machine):
    root = Root(units=(machine.put(code("pkg", {"pkg/__init__.py": "", "pkg/main.py": "", "pkg/beside.py": "x = 1\n"})),), inner="pkg")
    made = machine.view(machine.deployment([], (root,)))
    assert made.path[0] == str(made.directory / "roots/0/pkg")
    assert ask(made, "__import__('beside').x") == 1


def test_a_view_is_made_once_and_found_again(machine, site):
    lay(site, "a", files={"a.py": ""})
    deployment = machine.deployment(everything(scan(site)))
    assert view.existing(deployment, machine.views, python=machine.python, engine="/e") is None
    made = machine.view(deployment)
    shutil.rmtree(machine.units)
    assert machine.view(deployment) == made
    assert view.existing(deployment, machine.views, python=machine.python, engine=str(machine.engine)) == made
    assert made.directory.name == view.name(deployment, python=machine.python)
    assert os.listdir(machine.views) == [made.directory.name]
    assert os.listdir(machine.views.parent / "tmp") == []


def test_several_at_once_make_one(machine, site):
    lay(site, "a", files={f"a/m{number}.py": "" for number in range(50)})
    deployment = machine.deployment(everything(scan(site)))
    made = []
    threads = [threading.Thread(target=lambda: made.append(machine.view(deployment))) for _ in range(5)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(set(made)) == 1 and len(made) == 5
    assert os.listdir(machine.views.parent / "tmp") == []


def test_files_are_those_of_the_cache_and_python_keeps_what_it_compiles(machine, site):
    lay(site, "a", files={"a.py": "x = 1\n"})
    made = machine.view(machine.deployment(everything(scan(site))))
    file = next(made.directory.glob("lib/*/site-packages/a.py"))
    assert (file.stat().st_nlink, file.stat().st_mtime, stat.S_IMODE(file.stat().st_mode)) == (2, TIME, 0o444)
    assert ask(made, "__import__('a').x") == 1
    (compiled,) = (file.parent / "__pycache__").iterdir()
    assert compiled.stat().st_mtime > TIME


def test_where_links_are_impossible_files_are_copied(machine, site, monkeypatch):
    lay(site, "a", files={"a.py": "x = 1\n"})

    def refuse(*args, **options):
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    made = machine.view(machine.deployment(everything(scan(site))))
    file = next(made.directory.glob("lib/*/site-packages/a.py"))
    assert (file.read_text(), file.stat().st_mtime, stat.S_IMODE(file.stat().st_mode)) == ("x = 1\n", TIME, 0o444)


def test_units_that_share_a_path_do_not_quarrel_and_links_stay_links(machine):
    one, two = code("one", {"t/__init__.py": "1", "t/x.py": ""}), code("two", {"t/__init__.py": "1", "t/y.py": ""})
    linked = PlannedUnit(name="three", kind=UnitKind.code, sources=(Source(path="t/z.py", origin="", kind="l", target="x.py"), Source(path="empty", origin="", kind="d")))
    made = machine.view(machine.deployment([], (Root(units=tuple(map(machine.put, (one, two, linked)))),)))
    root = Path(made.path[0])
    assert sorted(os.listdir(root / "t")) == ["__init__.py", "x.py", "y.py", "z.py"]
    assert os.readlink(root / "t/z.py") == "x.py"
    assert (root / "empty").is_dir()


def test_an_environment_in_an_environment_leads_to_the_real_interpreter(tmp_path):
    real = os.path.realpath(sys.executable)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", "--copies", str(tmp_path / "v")], check=True)
    assert view.real_python(str(tmp_path / "v/bin/python")) == view.real_python(sys.executable) == view.real_python(real)


def test_a_place_that_no_import_path_can_hold_is_refused(tmp_path):
    machine = Machine(tmp_path / "a:b")
    with pytest.raises(DeploymentError, match="has a ':' or a line break in its path"):
        machine.view(machine.deployment([]))


def test_a_place_that_cannot_be_written_is_told(machine, monkeypatch):
    def refuse(*args, **options):
        raise OSError(28, "No space left on device", "x")

    monkeypatch.setattr(os, "symlink", refuse)
    with pytest.raises(DeploymentError, match="the environment cannot be built in .*No space left.*--worker-cache"):
        machine.view(machine.deployment([]))
    assert os.listdir(machine.views.parent / "tmp") == []
