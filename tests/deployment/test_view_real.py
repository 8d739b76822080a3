"""Environments that pip has made, rebuilt elsewhere, with the original gone: the same answers from both interpreters."""

import json
import os
import shutil
import time

import pytest

from moil.deployment import native
from moil.deployment.distributions import plan_units, wanted
from moil.deployment.plan import Plan
from tests.deployment.installs import Machine, Venv, run, wheel, write

pytestmark = pytest.mark.slow

ENTRY = {"entry_points.txt": "[console_scripts]\nalpha = alpha.cli:main\n[gui_scripts]\nalpha-gui = alpha.cli:main\n[alpha.plugins]\nbeta = beta.space:plugin\n"}
ALPHA = {
    "alpha/__init__.py": "import importlib.resources\nTEXT = importlib.resources.files(__name__).joinpath('data/x.txt').read_text()\n",
    "alpha/cli.py": "import sys\ndef main():\n    print('alpha', *sys.argv[1:])\n",
    "alpha/data/x.txt": "package data\n",
    "shared/one/__init__.py": "",
}
DATA = {
    "scripts/plain.py": "#!python\nimport alpha; print('plain', alpha.TEXT)\n",
    "scripts/plain.sh": "#!/bin/sh\necho shell\n",
    "data/share/alpha/table.csv": "1,2\n",
    "headers/alpha.h": "",
}
QUESTIONS = """
import importlib.metadata as m, json, sys, subprocess, os
import alpha, shared.one, shared.two, beta.space
print(json.dumps({
    "versions": sorted((d.metadata["Name"], d.version) for d in m.distributions() if d.metadata["Name"] != "pip"),
    "plugins": [e.load()() for e in m.entry_points(group="alpha.plugins")],
    "text": alpha.TEXT,
    "path": len([p for p in sys.path if p.endswith("site-packages")]),
    "pth": os.environ.get("BETA"),
    "table": open(os.path.join(sys.prefix, "share/alpha/table.csv")).read(),
    "scripts": [subprocess.check_output([os.path.join(sys.prefix, "bin", s), "x"], text=True) for s in ("alpha", "plain.py", "plain.sh", "alpha-gui")],
    "files": sorted(str(f) for f in m.files("beta") if f.suffix != ".pyc"),
}))
"""


@pytest.fixture(scope="module")
def wheels(tmp_path_factory):
    home = tmp_path_factory.mktemp("wheels")
    wheel(home, "alpha", "2.0", ALPHA, info=ENTRY, data=DATA, requires=("beta",))
    wheel(home, "beta", "3.1.4", {"beta/space.py": "def plugin(): return 'plugged'\n", "shared/two/__init__.py": "", "beta.pth": "import os; os.environ['BETA'] = 'hooked'\n"})
    return home


@pytest.fixture
def venv(tmp_path, wheels):
    made = Venv.make(tmp_path / "venv")
    made.pip("--no-index", "--find-links", wheels, "alpha")
    return made


def rebuilt(venv, machine, tops=(), everything=True):
    installed = venv.scan()
    found = wanted(installed, tops, everything=everything)
    return machine.view(machine.deployment(plan_units(installed, found.distributions, found.reasons)))


def test_what_pip_installed_answers_as_it_did_at_home(tmp_path, venv):
    at_home = json.loads(run(venv.python, "-c", QUESTIONS))
    made = rebuilt(venv, Machine(tmp_path / "cache"), ["alpha"], everything=False)
    shutil.rmtree(venv.home)
    assert json.loads(run(made.python, "-c", QUESTIONS)) == at_home
    assert at_home["scripts"][:2] == ["alpha x\n", "plain package data\n\n"]


def test_the_same_environment_has_the_same_digests_wherever_the_files_were_touched(tmp_path, venv):
    digests = []
    for number in range(2):
        installed = venv.scan()
        units = plan_units(installed, wanted(installed, [], everything=True).distributions, {})
        digests.append([unit.digest for unit in Machine(tmp_path / str(number)).deployment(units).environment])
        run(venv.python, "-c", "import alpha, beta.space")
    assert digests[0] == digests[1]


def test_compiled_modules_are_believed_and_not_made_again(tmp_path, venv):
    made = rebuilt(venv, Machine(tmp_path / "cache"))
    code = "import alpha.cli, os; p = alpha.cli.__cached__; print(os.stat(p).st_nlink, alpha.cli.main.__code__.co_filename == alpha.cli.__file__)"
    assert run(made.python, "-c", code) == "2 True"


def test_the_interpreter_of_an_isolated_child_sees_it_too(tmp_path, venv):
    made = rebuilt(venv, Machine(tmp_path / "cache"))
    assert run(made.python, "-I", "-c", "import sys, subprocess; print(subprocess.check_output([sys.executable, '-I', '-c', 'import alpha; print(alpha.TEXT)'], text=True))") == "package data"


def test_of_the_system_what_is_reached_comes_too(tmp_path, wheels):
    """Two environments on one path, as --system-site-packages has them: the first of a name is the only one."""
    outer, own = Venv.make(tmp_path / "outer"), Venv.make(tmp_path / "own")
    outer.pip("--no-index", "--find-links", wheels, "alpha")
    own.pip("--no-index", "--no-deps", wheel(tmp_path, "beta", "9.0", {"beta/space.py": "def plugin(): return 'mine'\n"}))
    write(own.site, {"outer.pth": f"{outer.site}\n"})
    made = rebuilt(own, Machine(tmp_path / "cache"), ["alpha"])
    code = "import importlib.metadata as m, alpha, beta.space; print(m.version('beta'), beta.space.plugin(), m.version('alpha'))"
    assert run(made.python, "-c", code) == run(own.python, "-c", code) == "9.0 mine 2.0"


@pytest.mark.exhaustive
def test_real_packages_with_native_code(tmp_path):
    """numpy, pandas and ruff from the index: native modules, their libraries, a program, many files."""
    venv = Venv.make(tmp_path / "venv")
    venv.pip("numpy", "pandas", "ruff")
    began = time.perf_counter()
    installed = venv.scan()
    assert installed.owner(str(venv.site / "numpy/__init__.py")).name == "numpy"
    found = wanted(installed, ["pandas", "ruff"], everything=True)
    units = plan_units(installed, found.distributions, found.reasons)
    print("planned in", time.perf_counter() - began)
    shipped = native.of(units)
    assert (shipped.system, shipped.machine) == (native.this_system(), native.canonical_machine(os.uname().machine))
    assert shipped.libc.startswith("2.")
    told = native.problems(Plan(entry=None, units=tuple(units)), machine="riscv64", python="3.11")
    assert [line.partition(" ")[0] for line in told] == ["numpy", "pandas", "ruff"]
    machine = Machine(tmp_path / "cache")
    deployment = machine.deployment(units)
    began = time.perf_counter()
    made = machine.view(deployment)
    print("built in", time.perf_counter() - began, sum(len(one.sources) for one in units))
    code = "import pandas, numpy; print(pandas.DataFrame({'a': numpy.arange(4)}).a.sum(), pandas.__version__, numpy.__version__)"
    at_home = run(venv.python, "-c", code)
    shutil.rmtree(venv.home)
    assert run(made.python, "-c", code) == at_home
    assert run(f"{made.bin}/ruff", "--version").startswith("ruff ")
    assert run(f"{made.bin}/f2py", "-v").startswith(at_home.split()[-1])
