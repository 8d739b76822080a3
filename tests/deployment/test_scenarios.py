"""Each project of examples/deploy, and some more, on workers that are given nothing but a job store.

The batch system ``processes`` starts them with a bare environment in ``/``; all they have they have fetched. What a
program prints is compared with what its plain call returns, and it says itself which files it ran from.
"""

import json
import os
import shutil
import struct
import subprocess
import zipapp
from pathlib import Path

import pytest

from tests.cluster.patience import wait_until
from tests.deployment.installs import Venv, wheel
from tests.deployment.projects import lay
from tests.deployment.scenarios import PROJECTS, ROOT, SCRIPTS, Leader, copied, lean_venv, plainly, without_place

pytestmark = pytest.mark.slow

HEAD = "import json, os, sys\nimport moil\n"
TAIL = "if __name__ == '__main__':\n    moil.main(main)\n"


@pytest.fixture(scope="session")
def leader(tmp_path_factory) -> Leader:
    home = tmp_path_factory.mktemp("leader")
    return Leader(python=lean_venv(home / "venv").python, cache=home / "worker cache", home=home)


def all_shipped(files: list[str], leader: Leader, project: Path) -> bool:
    return bool(files) and all(one.startswith(f"{leader.cache}/") and str(project) not in one for one in files)


@pytest.mark.parametrize("scenario", SCRIPTS, ids=lambda one: one.name)
def test_a_project_says_on_workers_what_it_says_at_home(scenario, leader, tmp_path):
    project = copied(scenario.folder, tmp_path / "a project")
    told = leader.said(scenario.placed(project), tmp_path / "a store", project / scenario.cwd, scenario.variables(project))
    said, files = without_place(told)
    expected, _ = without_place(plainly(scenario, project, leader.python))
    assert said == expected
    assert all_shipped(files, leader, project)


@pytest.mark.exhaustive
def test_a_script_that_is_its_own_command(leader, tmp_path):
    project = copied("01-siblings", tmp_path)
    path = f"{Path(leader.python).parent}:{os.environ['PATH']}"
    own = ["./main.py", "--name", "Grace", *leader.command([], tmp_path / "store")[1:]]
    done = subprocess.run(own, cwd=project, env=leader.environment(PATH=path), capture_output=True, text=True)
    assert json.loads(done.stdout)["signature"] == "-- GRACE", done.stderr


def test_pilots(leader, tmp_path):
    """Workers that take job after job have all of it, too."""
    project = copied("02-module", tmp_path)
    said, files = without_place(leader.said(["-m", "workflow.main", "--pilots", "1"], tmp_path / "store", project))
    expected, _ = without_place(plainly(SCRIPTS[1], project, leader.python))
    assert said == expected
    assert all_shipped(files, leader, project)


@pytest.mark.exhaustive
def test_toil_s_spelling(leader, tmp_path):
    project = copied("01-siblings", tmp_path)
    words = ["main.py", "--batchSystem=processes", f"--jobStore=file:{tmp_path}/store", f"--worker-cache={leader.cache}", "--no-progress"]
    done = subprocess.run([leader.python, *words], cwd=project, env=leader.environment(), capture_output=True, text=True)
    assert json.loads(done.stdout)["greeting"] == "Good morning, Ada.", done.stderr


def test_an_archive(leader, tmp_path):
    zipapp.create_archive(PROJECTS / "09-archive" / "app", tmp_path / "app.pyz")
    said, files = without_place(leader.said(["app.pyz", "--name", "bread"], tmp_path / "store", tmp_path))
    assert said == {"baked": "a loaf", "flour": "rye"}
    assert all_shipped(files, leader, tmp_path / "app.pyz")


def test_a_program_from_standard_input(leader, tmp_path):
    """By `moil.run`, which takes its settings from variables."""
    program = (PROJECTS / "09-by-value" / "program.py").read_text()
    env = leader.environment(MOIL_BATCH_SYSTEM="processes", MOIL_WORKER_CACHE=str(leader.cache), MOIL_PROGRESS="no")
    done = subprocess.run([leader.python, "-"], input=program, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"moved": [5, 6], "is_ours": True, "module": "__main__"}


@pytest.mark.exhaustive
def test_cells_of_a_notebook(leader, tmp_path):
    """Whatever is typed in is its own file of lines, and there is no main module that could be imported."""
    cells = (ROOT / "docs" / "examples" / "notebook.py").read_text()
    env = leader.environment(MOIL_BATCH_SYSTEM="processes", MOIL_WORKER_CACHE=str(leader.cache))
    done = subprocess.run([leader.python, "-i", "-q"], input=cells, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.stdout.strip().endswith("30"), done.stderr


@pytest.mark.exhaustive
def test_a_class_of_the_script_travels_both_ways(leader, tmp_path):
    program = (PROJECTS / "09-by-value" / "program.py").read_text()
    lay(tmp_path, {"program.py": program})
    env = leader.environment(MOIL_BATCH_SYSTEM="processes", MOIL_WORKER_CACHE=str(leader.cache), MOIL_PROGRESS="no")
    done = subprocess.run([leader.python, "program.py"], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["moved"] == [5, 6] and said["is_ours"]


def test_a_script_called_test(leader, tmp_path):
    """Which hides a package of the standard library's name."""
    lay(tmp_path, {"test.py": f"{HEAD}import test_more\n@moil.job\ndef main() -> str:\n    return json.dumps(test_more.X)\n{TAIL}", "test_more.py": "X = 5\n"})
    assert leader.said(["test.py"], tmp_path / "store", tmp_path) == 5


# -- in place ----------------------------------------------------------------------------------------------------------


def test_live_reads_the_code_where_it_lies(leader, tmp_path):
    project = copied("10-live", tmp_path)
    done = leader.run(["main.py", "--number", "8", "--deploy", "live"], tmp_path / "store", project)
    assert done.returncode == 0, done.stderr
    said, files = without_place(json.loads(done.stdout))
    assert said == {"decision": "even"}
    assert files == [f"{project}/main.py", f"{project}/rules.py"]
    assert "the run is not frozen" in done.stderr


# -- edits -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def edited(leader, tmp_path):
    """A project that was edited while its run went on, and the job store of that run, which failed at its end."""
    project = copied("11-edits", tmp_path)
    go, ledger, store = tmp_path / "go.now", tmp_path / "ledger", tmp_path / "store"
    words = leader.command(["main.py", str(go), str(ledger)], store)
    with subprocess.Popen(words, cwd=project, env=leader.environment(), stderr=subprocess.PIPE, text=True) as running:
        assert wait_until(lambda: go.with_suffix(".waiting").exists() or running.poll() is not None, bound=60)
        rates = project / "rates.py"
        rates.write_text(rates.read_text().replace("2.0", "3.0"))
        go.touch()
        _, said = running.communicate(timeout=60)
    assert running.returncode == 1, said
    ledger.write_text("book 7\n")
    return project, store, [str(go), str(ledger)]


def test_a_run_keeps_the_code_that_it_began_with(leader, edited, tmp_path):
    project, store, arguments = edited
    shutil.copytree(store, tmp_path / "second")
    frozen = leader.run(["main.py", *arguments, "--restart", "--frozen"], store, project)
    assert json.loads(frozen.stdout) == {"waited": "at 2.0", "converted": 200.0, "audited": "book 7: 200 at 2.0"}, frozen.stderr
    new = leader.run(["main.py", *arguments, "--restart"], tmp_path / "second", project)
    assert json.loads(new.stdout) == {"waited": "at 2.0", "converted": 200.0, "audited": "book 7: 200 at 3.0"}, new.stderr
    assert "the code has changed since the run was last started: rates.py" in new.stderr


# -- what is shipped ---------------------------------------------------------------------------------------------------

BESIDE = f"""{HEAD}
@moil.job
def main() -> list[str]:
    return sorted(os.listdir(os.path.dirname(__file__)))
{TAIL}"""


@pytest.fixture
def cluttered(tmp_path):
    project = lay(tmp_path / "project", {"main.py": BESIDE, ".env": "PASSWORD=1", "id_rsa": "-", "small.csv": "1", "notes.txt": "-"})
    with (project / "reads.fq").open("wb") as file:
        file.truncate(200 << 20)
    return project


def test_secrets_and_large_data_stay_at_home(leader, cluttered, tmp_path):
    done = leader.run(["main.py"], tmp_path / "store", cluttered)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == ["main.py", "notes.txt", "small.csv"]
    assert "reads.fq" in done.stderr and "200 MiB" in done.stderr and "deploy-include" in done.stderr


@pytest.mark.exhaustive
def test_what_the_user_says_about_files_holds(leader, cluttered, tmp_path):
    lay(cluttered, {"pyproject.toml": "[tool.moil]\ndeploy-include = ['reads.fq', '.env']\n", ".moilignore": "notes.txt\n"})
    os.truncate(cluttered / "reads.fq", 2 << 20)
    said = leader.said(["main.py"], tmp_path / "store", cluttered)
    assert {"reads.fq", ".env"} <= set(said) and not {"id_rsa", "notes.txt"} & set(said)


# -- the clean room ----------------------------------------------------------------------------------------------------


def refused(leader: Leader, tmp_path: Path, files: dict) -> str:
    """What is said of a program of which nothing was queued."""
    lay(tmp_path / "project", files)
    done = leader.run(["main.py"], tmp_path / "store", tmp_path / "project")
    assert done.returncode == 2 and not list((tmp_path / "store").rglob("orders/*")), done.stderr
    return done.stderr


PLAIN = f"@moil.job\ndef main() -> int:\n    return 1\n{TAIL}"


def test_a_module_that_is_made_only_at_home(leader, tmp_path):
    made = "import types\nif __name__ == '__main__':\n    sys.modules['generated'] = types.ModuleType('generated')\nimport generated\n"
    said = refused(leader, tmp_path, {"main.py": f"{HEAD}{made}{PLAIN}"})
    assert "module generated" in said and "main.py:6 imports" in said and "import it inside the job" in said


def test_a_module_that_is_excluded(leader, tmp_path):
    files = {"main.py": f"{HEAD}import tools\n{PLAIN}", "tools.py": "", ".moilignore": "tools.py\n"}
    said = refused(leader, tmp_path, files)
    assert "module tools" in said and ".moilignore says 'tools.py'" in said


def test_what_a_program_does_when_it_is_imported(leader, tmp_path):
    """It is shown in the file that the user knows."""
    files = {"main.py": f"{HEAD}if os.path.exists('here'):\n    pass\nimport part\n{PLAIN}", "part.py": "TEXT = open('here').read()\n", "here": ""}
    said = refused(leader, tmp_path, files)
    assert "cannot be started on a worker: FileNotFoundError" in said and "move this into a job" in said
    assert f'File "{tmp_path}/project/part.py", line 1' in said and "rehearsal.py" not in said


@pytest.mark.exhaustive
def test_a_name_that_a_module_does_not_have_is_no_missing_module(leader, tmp_path):
    part = "import os\nif os.path.exists('here'):\n    X = 1\n"
    said = refused(leader, tmp_path, {"main.py": f"{HEAD}from part import X\n{PLAIN}", "part.py": part, "here": ""})
    assert "cannot be started on a worker: ImportError: cannot import name 'X' from 'part'" in said


def test_directories_that_a_program_puts_on_the_path_itself(leader, tmp_path):
    """Such a place is not there on a worker, but its copy is; so the clean room looks past it."""
    start = f"{HEAD}sys.path.insert(0, {str(tmp_path / 'elsewhere')!r})\nimport tools\n"
    job = f"@moil.job\ndef main() -> dict:\n    return {{'x': tools.X, 'where': {{'files': [__file__]}}}}\n{TAIL}"
    lay(tmp_path, {"project/main.py": f"{start}{job}", "elsewhere/tools.py": "X = 1\n"})
    said, files = without_place(leader.said(["main.py"], tmp_path / "store", tmp_path / "project"))
    assert said == {"x": 1} and all_shipped(files, leader, tmp_path / "project")


def test_native_code_for_another_machine(leader, tmp_path):
    elf = b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HHI", 3, 183, 1) + bytes(40)
    files = {"main.py": f"{HEAD}import fast\n{PLAIN}", "fast/__init__.py": "", "fast/_speed.abi3.so": elf}
    said = refused(leader, tmp_path, files)
    assert "fast" in said and "aarch64" in said


# -- environments ------------------------------------------------------------------------------------------------------


def from_index(venv: Venv, package: str) -> None:
    """Where no index answers the tests are skipped, loudly, and fail in CI."""
    try:
        venv.pip(package)
    except subprocess.CalledProcessError:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"NOT TESTED: {package} is to be had from no package index")


@pytest.fixture(scope="session")
def environment(leader, tmp_path_factory):
    """One environment for all: a project that is installed, a workspace that is installed in place, a wheel."""
    home = tmp_path_factory.mktemp("environment")
    venv = lean_venv(home / "venv")
    projects = {name: copied(name, home) for name in ("05-environment", "06-editable")}
    from_index(venv, "setuptools>=70.1")
    local = ("--no-index", "--no-build-isolation", "--no-deps")
    venv.pip(*local, projects["05-environment"])
    venv.pip(*local, "-e", projects["06-editable"] / "packages" / "core", "-e", projects["06-editable"])
    return venv, projects, Leader(python=venv.python, cache=leader.cache, home=home)


@pytest.mark.exhaustive
def test_an_installed_project(environment, tmp_path):
    venv, projects, leader = environment
    command = [str(venv.home / "bin" / "harvest"), *leader.command([], tmp_path / "store")[1:]]
    shutil.rmtree(projects["05-environment"])
    done = subprocess.run(command, cwd=tmp_path, env=leader.environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    said, files = without_place(json.loads(done.stdout))
    assert said == {"worth": {"rye": 51, "oats": 14}, "version": "2.5", "packed": "92a3727965a46f617473"}
    assert all_shipped(files, leader, venv.home)


LATE = f"""{HEAD}
import importlib

@moil.job
def main() -> dict:
    before = os.path.exists(os.path.join(sys.prefix, "on-demand", "late"))
    return {{"before": before, "text": importlib.import_module("%s.inner" % "late").TEXT, "where": {{"files": [__file__]}}}}
{TAIL}"""


def test_a_distribution_that_nothing_is_known_to_import(leader, tmp_path):
    """It comes when a job imports it after all, or at once if the user says so."""
    venv = lean_venv(tmp_path / "venv")
    venv.pip("--no-index", wheel(tmp_path, "late", "1", {"late/__init__.py": "", "late/inner.py": "TEXT = 'late'\n" + "#" * 1_000_000}))
    lay(tmp_path / "project", {"main.py": LATE})
    leader = Leader(python=venv.python, cache=tmp_path / "cache", home=tmp_path)
    for number, options in enumerate([(), ("--no-deploy-on-demand",)]):
        said, files = without_place(leader.said(["main.py", *options], tmp_path / f"store{number}", tmp_path / "project"))
        assert said == {"before": not options, "text": "late"}
        assert all_shipped(files, leader, tmp_path / "project")
    fetched = (leader.cache / f"moil-{os.getuid()}" / "fetched").read_text().split("\n")
    assert [line.split()[1] for line in fetched if "late" in line] == ["late"]


@pytest.mark.exhaustive
def test_projects_that_are_installed_in_place(environment, tmp_path):
    _, projects, leader = environment
    said, files = without_place(leader.said(["-m", "orchard.main", "--kind", "pear"], tmp_path / "store", tmp_path))
    assert said == {"tree": "Pyrus communis", "versions": {"orchard": "0.3", "orchard-core": "0.7"}}
    assert all_shipped(files, leader, projects["06-editable"])


@pytest.fixture(scope="session")
def uv(tmp_path_factory) -> str:
    """The directory of uv, in an environment of its own."""
    venv = Venv.make(tmp_path_factory.mktemp("uv") / "venv")
    from_index(venv, "uv")
    return str(venv.home / "bin")


SAYS = """\
# /// script
# dependencies = ["alpha==2"]
# ///
import importlib.metadata, sys
import alpha, moil

@moil.job
def main() -> dict:
    return {"alpha": alpha.X, "version": importlib.metadata.version("alpha"), "where": {"files": [__file__, alpha.__file__]}}
"""


@pytest.mark.exhaustive
def test_a_script_that_names_its_dependencies(leader, uv, tmp_path):
    """The second time the environment is there, and no index is asked."""
    project, wheels = lay(tmp_path / "project", {"script.py": SAYS}), lay(tmp_path / "wheels", "x/")
    wheel(wheels, "alpha", "2", {"alpha/__init__.py": "X = 'two'\n"})
    env = {"PATH": f"{uv}:{os.environ['PATH']}", "UV_FIND_LINKS": str(wheels)}
    first = leader.run(["-m", "moil", "run", "script.py"], tmp_path / "one", project, env)
    assert first.returncode == 0 and "making an environment with alpha==2" in first.stderr, first.stderr
    said, files = without_place(json.loads(first.stdout))
    assert said == {"alpha": "two", "version": "2"}
    assert all_shipped(files, leader, project)
    second = leader.run(["-m", "moil", "run", "script.py:main"], tmp_path / "two", project, env | {"UV_OFFLINE": "1"})
    assert json.loads(second.stdout)["alpha"] == "two" and "making" not in second.stderr


@pytest.mark.exhaustive
def test_what_was_copied_into_an_environment(environment, tmp_path):
    """No installer knows of it, and nothing says whose it is."""
    venv, _, leader = environment
    (venv.site / "copied.py").write_text("X = 'copied'\n")
    main = f"{HEAD}import copied\n@moil.job\ndef main() -> dict:\n    return {{'x': copied.X, 'where': {{'files': [copied.__file__]}}}}\n{TAIL}"
    lay(tmp_path / "project", {"main.py": main})
    said, files = without_place(leader.said(["main.py"], tmp_path / "store", tmp_path / "project"))
    assert said == {"x": "copied"}
    assert all_shipped(files, leader, venv.home)
