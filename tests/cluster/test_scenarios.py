"""The projects of examples/deploy on a real Slurm: the leader's container holds them, and no other host can see them.

The hosts have a Python and nothing else; all they share with the leader is the directory of the job store.
"""

import json
import zipapp

import pytest

from tests.cluster.patience import wait_until
from tests.cluster.slurm import HOME, SlurmCluster
from tests.deployment.scenarios import PROJECTS, SCRIPTS, copied, plainly, without_place

pytestmark = [pytest.mark.cluster, pytest.mark.slow]

LEADER = "/opt/leader/bin/python"
OPTIONS = ("--batch-system", "slurm", "--default-memory", "128 MiB", "--slurm-poll-interval", "1", "--no-progress")


@pytest.fixture
def store(request, slurm):
    return f"/shared/{request.node.name.replace('[', '-').rstrip(']')} store"


def command(store: str, *words: str, python: str = LEADER) -> list[str]:
    return [python, *words, *OPTIONS, "--job-store", store]


def answer(done) -> dict:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def is_shipped(slurm: SlurmCluster, files: list[str]) -> bool:
    """Whether workers ran what lies in a cache of theirs, and could not have seen what lies at home."""
    return bool(files) and not any(one.startswith((HOME, "/opt", "/shared")) for one in files)


@pytest.mark.parametrize("scenario", SCRIPTS, ids=lambda one: one.name)
def test_a_project_says_on_the_cluster_what_it_says_at_home(scenario, slurm, store, tmp_path):
    home = f"{HOME}/scenarios/{scenario.folder}"
    slurm.copy_in(PROJECTS / scenario.folder, home)
    words = command(store, *scenario.placed(home))
    done = slurm.leader(words, cwd=f"{home}/{scenario.cwd}", env=scenario.variables(home))
    said, files = without_place(answer(done))
    expected, _ = without_place(plainly(scenario, copied(scenario.folder, tmp_path)))
    assert said == expected
    assert is_shipped(slurm, files)


def test_it_ran_on_other_hosts_in_toil_s_spelling(slurm, store):
    slurm.copy_in(PROJECTS / "01-siblings", f"{HOME}/siblings")
    words = [LEADER, "main.py", "--batchSystem=slurm", f"--jobStore=file:{store}", "--defaultMemory=128Mi", "--no-progress"]
    said = answer(slurm.leader(words, cwd=f"{HOME}/siblings"))
    assert said["greeting"] == "Good morning, Ada."
    assert said["where"]["host"] in slurm.hosts


def test_an_archive(slurm, store, tmp_path):
    zipapp.create_archive(PROJECTS / "09-archive" / "app", tmp_path / "app.pyz")
    slurm.copy_in(tmp_path / "app.pyz", f"{HOME}/app.pyz")
    said, files = without_place(answer(slurm.leader(command(store, "app.pyz"), cwd=HOME)))
    assert said == {"baked": "a loaf", "flour": "rye"}
    assert is_shipped(slurm, files)


def test_a_program_from_standard_input(slurm, store):
    program = (PROJECTS / "09-by-value" / "program.py").read_text()
    env = {"MOIL_BATCH_SYSTEM": "slurm", "MOIL_JOB_STORE": store, "MOIL_DEFAULT_MEMORY": "128 MiB", "MOIL_PROGRESS": "no"}
    said = answer(slurm.leader([LEADER, "-"], input=program, env=env))
    assert said == {"moved": [5, 6], "is_ours": True, "module": "__main__"}


def test_live_needs_nothing_but_a_shared_directory(slurm, store):
    """Not the project, nor the environment, nor the engine is installed on any host."""
    venv = "/shared/live/venv"
    install = ["pip", "--quiet", "--no-cache-dir", "install", "--no-index", "--find-links", "/opt/wheels", "moil"]
    for argv in (["mkdir", "-p", "/shared/live"], ["python3", "-m", "venv", venv], [f"{venv}/bin/{install[0]}", *install[1:]]):
        done = slurm.leader(argv, timeout=300)
        assert done.returncode == 0, done.stderr
    slurm.copy_in(PROJECTS / "10-live", "/shared/live/project")
    words = command(store, "main.py", "--deploy", "live", python=f"{venv}/bin/python")
    done = slurm.leader(words, cwd="/shared/live/project")
    said = answer(done)
    assert said["decision"] == "odd" and said["where"]["host"] in slurm.hosts
    assert said["where"]["files"] == ["/shared/live/project/main.py", "/shared/live/project/rules.py"]
    assert "the run is not frozen" in done.stderr


def test_a_run_keeps_the_code_that_it_began_with(slurm, store):
    home, go, ledger = f"{HOME}/edits", "/shared/go.now", "/shared/ledger"
    slurm.copy_in(PROJECTS / "11-edits", home)
    words = command(store, "main.py", go, ledger)
    running = slurm.popen(words, cwd=home)
    assert wait_until(lambda: (slurm.shared / "go.waiting").exists() or running.process.poll() is not None, bound=60)
    assert slurm.leader(["sed", "-i", "s/2.0/3.0/", f"{home}/rates.py"]).returncode == 0
    (slurm.shared / "go.now").touch()
    status, _, said = running.wait()
    assert status == 1, said
    (slurm.shared / "ledger").write_text("book 7\n")
    assert slurm.leader(["cp", "-r", store, f"{store} 2"]).returncode == 0
    frozen = answer(slurm.leader([*words, "--restart", "--frozen"], cwd=home))
    assert frozen == {"waited": "at 2.0", "converted": 200.0, "audited": "book 7: 200 at 2.0"}
    new = slurm.leader([*command(f"{store} 2", "main.py", go, ledger), "--restart"], cwd=home)
    assert answer(new)["audited"] == "book 7: 200 at 3.0"
    assert "the code has changed since the run was last started: rates.py" in new.stderr


# -- environments ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [(), ("--system-site-packages",)], ids=["venv", "with-the-system-s"])
def test_an_installed_project(slurm, store, options):
    """Versions, native code, data files, console scripts and entry points; the project is not where it was built."""
    python = slurm.venv([str(PROJECTS / "05-environment"), "msgspec>=0.19"], name=f"harvest{len(options)}", options=options)
    started = [python.replace("/python", "/harvest"), *command(store)[1:]]
    said, files = without_place(answer(slurm.leader(started, timeout=120)))
    assert said == {"worth": {"rye": 51, "oats": 14}, "version": "2.5", "packed": "92a3727965a46f617473"}
    assert is_shipped(slurm, files)


def test_projects_that_are_installed_in_place(slurm, store):
    home = f"{HOME}/orchard"
    slurm.copy_in(PROJECTS / "06-editable", home)
    python = slurm.venv(["setuptools>=70.1"], name="orchard")
    pip = [python, "-m", "pip", "--quiet", "install", "--no-index", "--no-build-isolation", "--no-deps"]
    done = slurm.leader([*pip, "-e", f"{home}/packages/core", "-e", home], timeout=120)
    assert done.returncode == 0, done.stderr
    said, files = without_place(answer(slurm.leader(command(store, "-m", "orchard.main", python=python), timeout=120)))
    assert said == {"tree": "Malus domestica", "versions": {"orchard": "0.3", "orchard-core": "0.7"}}
    assert is_shipped(slurm, files)


def test_a_script_that_names_its_dependencies(slurm, store):
    """uv makes the environment where the leader runs, out of wheels, since nobody here has an index."""
    slurm.copy_in(PROJECTS / "09-pep723", f"{HOME}/pep723")
    python = slurm.venv(["uv", "tabulate>=0.9"], name="uv")
    wheels = slurm.leader(["sh", "-c", "ls -d /opt/wheels*"]).stdout.split()
    words = command(store, "-m", "moil", "run", "script.py", python=python)
    done = slurm.leader(words, cwd=f"{HOME}/pep723", env={"UV_OFFLINE": "1", "UV_FIND_LINKS": ",".join(wheels)}, timeout=120)
    said, files = without_place(answer(done))
    assert said["table"][2].split() == ["oak", "300"]
    assert is_shipped(slurm, files) and "making an environment with tabulate>=0.9" in done.stderr


# -- the clean room ----------------------------------------------------------------------------------------------------


def test_what_would_fail_on_a_worker_fails_before_anything_is_queued(slurm, store):
    home = f"{HOME}/excluded"
    slurm.copy_in(PROJECTS / "01-siblings", home)
    assert slurm.leader(["sh", "-c", f"echo utilities.py > {home}/.moilignore"]).returncode == 0
    queue = ("squeue", "--noheader", "--states=all", "--user=moil", "--format=%i")
    before = slurm.slurm(*queue)
    done = slurm.leader(command(store, "main.py"), cwd=home)
    assert done.returncode == 2
    assert "module utilities" in done.stderr and ".moilignore says 'utilities.py'" in done.stderr
    assert set(slurm.slurm(*queue).split()) <= set(before.split())
