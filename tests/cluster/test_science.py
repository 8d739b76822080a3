"""An environment with native code, on hosts that have no pip and no network."""

from __future__ import annotations

import json
import secrets
from pathlib import Path

import pytest

from tests.cluster.docker import docker
from tests.cluster.slurm import SlurmCluster

pytestmark = pytest.mark.cluster

PROJECTS = Path(__file__).parent / "projects"


def has_no_way_out(container: str) -> bool:
    """Whether all networks that a container is in are internal ones, out of which Docker lets nothing."""
    names = docker("inspect", "--format", "{{range $name, $_ := .NetworkSettings.Networks}}{{$name}} {{end}}", container)
    return {docker("network", "inspect", "--format", "{{.Internal}}", name) for name in names.split()} == {"true"}


@pytest.fixture(scope="module")
def python(slurm_session: SlurmCluster) -> str:
    return slurm_session.venv(["numpy", "pandas", "matplotlib"], name=secrets.token_hex(4))


def answer(slurm: SlurmCluster, python: str, program: str, *more: str) -> dict:
    name = secrets.token_hex(4)
    home = f"/home/moil/{name}"
    slurm.copy_in(PROJECTS / program, f"{home}/{program}")
    options = ["--batch-system=slurm", f"--job-store=/shared/{name}", "--slurm-poll-interval=1", "--no-progress", *more]
    done = slurm.leader([python, program, *options], cwd=home, timeout=200)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_what_nothing_is_known_to_import_comes_where_it_is_imported(slurm: SlurmCluster, python: str) -> None:
    cache = f"/var/tmp/{secrets.token_hex(4)}"
    found = answer(slurm, python, "late.py", f"--worker-cache={cache}")
    assert (found["numpy"], found["pandas"]) == (10, 10) and found["matplotlib"]
    for host in slurm.hosts:
        told = slurm.on(host, ["cat", f"{cache}/moil-1000/fetched"]).stdout
        fetched = {line.split()[1] for line in told.splitlines()}
        if host == found["host"]:
            assert {"numpy", "pandas"} <= fetched and "matplotlib" not in fetched
        else:
            assert not {"numpy", "pandas", "matplotlib"} & fetched


def test_numpy_pandas_and_matplotlib_arrive(slurm: SlurmCluster, python: str) -> None:
    found = answer(slurm, python, "science.py")
    assert found["host"] in slurm.hosts
    assert found["sum"] == sum(number**2 for number in range(10))
    assert found["bytes"] > 1000
    assert found["from"].startswith(found["prefix"])
    assert found["pip"] is None
    for host in slurm.hosts:
        assert slurm.on(host, ["python3", "-c", "import numpy"]).returncode != 0
        assert has_no_way_out(slurm.container(host))
