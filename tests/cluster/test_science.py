"""An environment with native code, on hosts that have no pip and no network."""

from __future__ import annotations

import json
import secrets
from pathlib import Path

import pytest

from tests.cluster.docker import docker
from tests.cluster.slurm import SlurmCluster

pytestmark = pytest.mark.cluster

PROJECT = Path(__file__).parent / "projects" / "science.py"


def has_no_way_out(container: str) -> bool:
    """Whether all networks that a container is in are internal ones, out of which Docker lets nothing."""
    names = docker("inspect", "--format", "{{range $name, $_ := .NetworkSettings.Networks}}{{$name}} {{end}}", container)
    return {docker("network", "inspect", "--format", "{{.Internal}}", name) for name in names.split()} == {"true"}


def test_numpy_pandas_and_matplotlib_arrive(slurm: SlurmCluster) -> None:
    name = secrets.token_hex(4)
    python = slurm.venv(["numpy", "pandas", "matplotlib"], name=name)
    home = f"/home/moil/{name}"
    slurm.copy_in(PROJECT, f"{home}/science.py")
    options = ["--batch-system=slurm", f"--job-store=/shared/{name}", "--slurm-poll-interval=1", "--no-progress"]
    done = slurm.leader([python, "science.py", *options], cwd=home, timeout=200)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["host"] in slurm.hosts
    assert found["sum"] == sum(number**2 for number in range(10))
    assert found["bytes"] > 1000
    assert found["from"].startswith(found["prefix"])
    assert found["pip"] is None
    for host in slurm.hosts:
        assert slurm.on(host, ["python3", "-c", "import numpy"]).returncode != 0
        assert has_no_way_out(slurm.container(host))
