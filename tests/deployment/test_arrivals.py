"""What is fetched on demand: interpreters of a view that import it, and all that may go wrong meanwhile."""

import errno
import json
import os
import random
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

import moil
from moil.adapters.directory import DirectoryStore
from moil.deployment import arrivals, pack, view
from moil.deployment.arrivals import Source
from moil.deployment.cache import Cache
from moil.deployment.distributions import plan_units, wanted
from moil.deployment.freeze import Freezer, Place, Target
from moil.deployment.import_hook import OnDemand
from moil.deployment.manifest import Deployment, EntryPoint, Unit
from moil.deployment.on_demand import LEAST, divide
from moil.deployment.plan import Plan
from moil.deployment.prepare import base_python
from moil.errors import DeploymentError
from moil.plugins import object_file, open_store
from tests.deployment.installs import VERSION, clean, lay, run, scan, site_of
from tests.deployment.test_hostile import small_disk  # noqa: F401 - a fixture

LARGE = "#" * LEAST
MOST = 16
ENGINE = str(Path(moil.__file__).parent.parent)
LATE = {
    "late/__init__.py": "import importlib.resources\nTEXT = importlib.resources.files(__name__).joinpath('data.txt').read_text()\n",
    "late/data.txt": "data",
    "late/tool.py": "import sys\ndef main():\n    print('tool', *sys.argv[1:])\nif __name__ == '__main__':\n    main()\n",
    "late/large.py": LARGE,
    "late/noise.txt": random.Random(1).randbytes(20_000).hex(),
}
SCRIPTS = {"entry_points.txt": "[console_scripts]\nlate-tool = late.tool:main\n"}


@dataclass
class Machine:
    """A worker's machine that a deployment has been brought to."""

    home: Path
    store: DirectoryStore
    cache: Cache
    view: view.View
    deployment: Deployment

    def python(self, code: str, *options: str, **env: str) -> str:
        return run(self.view.python, *options, "-c", code, **env)

    @property
    def site(self) -> Path:
        return view.site_packages(self.view.directory, VERSION)

    @property
    def fetched(self) -> list[str]:
        return [line.split()[1] for line in (self.cache.home / "fetched").read_text().splitlines()]

    def bring(self, name: str) -> None:
        arrivals.bring(self.view.directory, name, open_store)

    def unit(self, name: str) -> Unit:
        return next(one for one in self.deployment.distributions if one.name == name)


def frozen(site: Path, store: DirectoryStore, scratch: Path) -> Deployment:
    installed = scan(site, prefix=site.parents[2])
    found = wanted(installed, ["used"], everything=True)
    units = divide(plan_units(installed, found.distributions, found.reasons), found.needed, found.requires)
    scratch.mkdir()
    target = Target(python=VERSION, engine=Unit(name="moil", digest="0" * 64))
    return Freezer(Place(store=store, scratch=scratch)).freeze(Plan(entry=EntryPoint(), units=tuple(units)), target).deployment


def brought(site: Path, home: Path, cache_home: Path | None = None) -> Machine:
    store = DirectoryStore(home / "store", create=True)
    deployment = frozen(site, store, home / "scratch")
    cache = Cache(cache_home or home / "cache")
    for lease in cache.ensure_all(deployment.units(), store):
        lease.close()
    made = view.build(deployment, cache.directory, cache.views, python=base_python(), engine=ENGINE)
    arrivals.note(made.directory, Source(store=store.locator, engine=ENGINE))
    return Machine(home, store, cache, made, deployment)


@pytest.fixture
def site(tmp_path):
    made = site_of(tmp_path / "venv")
    lay(made, "used", files={"used.py": ""})
    lay(made, "late", files=LATE, info=SCRIPTS, requires=("base",))
    lay(made, "base", files={"base/__init__.py": "", "base/large.py": LARGE})
    lay(made, "never", files={"never/__init__.py": "", "never/large.py": LARGE})
    return made


@pytest.fixture
def machine(site, tmp_path):
    return brought(site, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(
    "code",
    [
        "import late; print(late.TEXT)",
        "import late.large, late; print(late.TEXT)",
        "import importlib.util as u; assert u.find_spec('late.tool'); import late; print(late.TEXT)",
        "import importlib.resources as r; print(r.files('late').joinpath('data.txt').read_text())",
        "import subprocess, sys; print(subprocess.check_output([sys.executable, '-I', '-c', 'import late; print(late.TEXT)'], text=True, env={}))",
        "import runpy, sys; sys.argv[1:] = ['data']; runpy.run_module('late.tool', run_name='__main__')",
        "import json, os, signal; signal.signal(signal.SIGCHLD, signal.SIG_IGN); import late; print(late.TEXT)",
    ],
    ids=["import", "import of an inner module", "search", "resources", "another process", "module as program", "nobody waits for children"],
)
def test_it_comes_when_it_is_asked_for_with_what_it_requires_and_nothing_else(machine, code):
    assert not (machine.site / "late" / "large.py").exists()
    assert machine.python(code).removeprefix("tool ") == "data"
    assert (machine.site / "late" / "large.py").exists() and (machine.site / "base" / "large.py").exists()
    assert not (machine.site / "never" / "large.py").exists()
    assert sorted(machine.fetched) == sorted(["used", "metadata", "late", "base"])


@pytest.mark.slow
def test_before_that_it_can_be_looked_at(machine):
    code = """if True:
        import importlib.metadata as m, json, pkgutil
        print(json.dumps([m.version("late"), [e.name for e in m.entry_points(group="console_scripts")], sorted(
            one.name for one in pkgutil.iter_modules() if one.name in ("late", "base", "never"))]))"""
    assert json.loads(machine.python(code)) == ["1.0", ["late-tool"], ["base", "late", "never"]]
    assert sorted(machine.fetched) == ["metadata", "used"]
    assert run(str(machine.view.directory / "bin" / "late-tool"), "x") == "tool x"


@pytest.mark.slow
def test_many_at_once_fetch_it_once(machine):
    words = [machine.view.python, "-c", "import late; print(late.TEXT)"]
    running = [subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=clean(), cwd="/") for _ in range(8)]
    assert [one.communicate()[0] for one in running] == ["data\n"] * 8
    assert machine.fetched.count("late") == 1


@pytest.mark.slow
def test_when_all_has_come_interpreters_are_not_watched(machine):
    for name in ("late", "never"):
        machine.bring(name)
    told = machine.python("import sys; print(sys.meta_path)")
    assert "OnDemand" not in told and "PathFinder" in told


@pytest.mark.slow
def test_what_is_there_already_is_not_asked_for(machine):
    """A second run of the same environment on the machine, and a name that another process has had brought."""
    watching = OnDemand(str(machine.view.directory))
    machine.bring("late")
    watching.find_spec("late")
    assert watching.awaited == {"base", "never"}
    machine.bring("late")
    assert machine.fetched.count("late") == 1


@pytest.mark.slow
def test_one_that_was_left_half_way_comes_whole(machine):
    cache, unit = machine.cache, machine.unit("late")
    cache.ensure(unit, machine.store).close()
    os.link(cache.directory(unit) / "site" / "late" / "large.py", machine.site / "late" / "large.py")
    assert machine.python("import late; print(late.TEXT)") == "data"


# -- what goes wrong ---------------------------------------------------------------------------------------------------


def refused(words: Sequence[str]) -> str:
    done = subprocess.run(words, capture_output=True, text=True, env=clean(), cwd="/")
    assert done.returncode == 3, done.stderr
    return done.stdout


CAUTIOUS = """
try:
    import late
except ImportError:
    print("the program does without")
except RuntimeError as error:
    print(error)
    raise SystemExit(3)
"""


@pytest.mark.slow
def test_a_program_that_can_do_without_it_must_not(machine):
    machine.store.path.rename(machine.home / "moved")
    said = refused([machine.view.python, "-c", CAUTIOUS])
    assert f"module late could not be fetched when it was imported: job store {machine.store.path}" in said
    assert "--no-deploy-on-demand" in said and "Traceback" not in said
    (machine.home / "moved").rename(machine.store.path)
    assert machine.python("import late; print(late.TEXT)") == "data"


def test_any_run_that_has_brought_the_environment_will_do(machine, tmp_path):
    arrivals.note(machine.view.directory, Source(store=str(tmp_path / "gone"), engine=ENGINE))
    machine.bring("late")
    assert "late" in machine.fetched


def test_the_last_runs_are_remembered(machine, tmp_path, monkeypatch):
    monkeypatch.setattr(arrivals, "MOST_SOURCES", MOST)
    for number in range(40):
        arrivals.note(machine.view.directory, Source(store=str(tmp_path / f"{number} gone"), engine=ENGINE))
    arrivals.note(machine.view.directory, Source(store=machine.store.locator, engine=ENGINE))
    assert len(list((machine.view.directory / arrivals.PLACE / arrivals.SOURCES).iterdir())) <= MOST + 1
    machine.bring("late")


def test_a_changed_byte_is_refused(machine):
    stored = object_file(machine.store, pack.pack_key(machine.unit("late").digest))
    data = bytearray(stored.read_bytes())
    data[len(data) // 2] ^= 1
    stored.chmod(0o644)
    stored.write_bytes(data)
    with pytest.raises(DeploymentError, match="damaged"):
        machine.bring("late")
    assert not (machine.site / "late" / "large.py").exists()


def test_a_full_disk_is_told_with_its_cure(site, tmp_path, small_disk):  # noqa: F811
    lay(site, "late", files={**LATE, "late/larger.bin": os.urandom(3 << 20)}, info=SCRIPTS)
    machine = brought(site, tmp_path, small_disk / "cache")
    arrivals.note(machine.view.directory, Source(store=str(tmp_path / "gone"), engine=ENGINE))
    arrivals.note(machine.view.directory, Source(store=machine.store.locator, engine=ENGINE))
    with pytest.raises(DeploymentError, match="late .* cannot be written to the worker's cache .* No space left .* --worker-cache"):
        machine.bring("late")


def test_of_several_troubles_that_of_the_last_run_is_told(machine, tmp_path):
    machine.store.path.rename(machine.home / "moved")
    for name in ("older", "newer"):
        arrivals.note(machine.view.directory, Source(store=str(tmp_path / name), engine=ENGINE))
    with pytest.raises(DeploymentError, match="newer"):
        machine.bring("late")


def test_where_links_are_refused_a_copy_is_whole_or_not_there(machine, monkeypatch):
    def refused(*_, **__):
        raise OSError(errno.EMLINK, os.strerror(errno.EMLINK))

    write, told = shutil.copyfileobj, []

    def cut_off(source, target):
        if not told:
            told.append(target.write(source.read(3)))
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(source, target)

    monkeypatch.setattr(os, "link", refused)
    monkeypatch.setattr("shutil.copyfileobj", cut_off)
    with pytest.raises(DeploymentError, match="No space left"):
        machine.bring("late")
    machine.bring("late")
    assert run(machine.view.python, "-c", "import late, late.tool; print(late.TEXT)") == "data"
    assert {path.name: path.stat().st_size for path in (machine.site / "late").iterdir() if path.is_file()} == {
        name.removeprefix("late/"): len(content) for name, content in LATE.items()
    }


@pytest.mark.slow
def test_a_cache_that_was_removed(machine):
    for note in (machine.view.directory / arrivals.PLACE / arrivals.SOURCES).iterdir():
        note.write_text(f"{machine.store.locator}\0{machine.home}/no/engine")
    assert "was the cache removed?" in refused([machine.view.python, "-c", CAUTIOUS])
