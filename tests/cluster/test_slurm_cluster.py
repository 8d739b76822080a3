"""The cluster is what it says it is; without that, no test that runs on it means anything."""

import pytest

from tests.cluster.patience import wait_until
from tests.cluster.slurm import CONTROLLER, SlurmCluster

pytestmark = [pytest.mark.cluster, pytest.mark.slow]

ENDED = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "OUT_OF_MEMORY", "NODE_FAIL")


def sbatch(slurm: SlurmCluster, *options: str, script: str) -> str:
    """An array's number."""
    argv = ["sbatch", "--parsable", "--chdir=/", "--output=/dev/null", "--mem=50", *options]
    done = slurm.leader(argv, input=f"#!/bin/sh\n{script}\n")
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def states(slurm: SlurmCluster, array: str) -> list[str]:
    return slurm.slurm("squeue", "--noheader", "--array", "--states=all", f"--jobs={array}", "--format=%T").split()


def until(slurm: SlurmCluster, array: str, *wanted: str) -> list[str]:
    assert wait_until(lambda: set(states(slurm, array)) <= set(wanted), bound=60), states(slurm, array)
    return states(slurm, array)


def test_an_array_runs_on_both_hosts(slurm):
    array = sbatch(slurm, "--array=0-7", script="hostname > /shared/host.$SLURM_ARRAY_TASK_ID")
    assert until(slurm, array, *ENDED) == ["COMPLETED"] * 8
    assert {path.read_text().strip() for path in slurm.shared.glob("host.*")} == set(slurm.hosts)
    assert len(list(slurm.shared.glob("host.*"))) == 8


def test_a_job_is_cancelled(slurm):
    array = sbatch(slurm, "--array=0-0", script="exec sleep 600")
    until(slurm, array, "RUNNING")
    slurm.slurm("scancel", array)
    assert until(slurm, array, *ENDED) == ["CANCELLED"]


def test_a_job_that_takes_more_memory_is_killed(slurm):
    array = sbatch(slurm, "--array=0-0", script="python3 -c 'print(len(bytearray(300 << 20)))'")
    assert until(slurm, array, *ENDED) == ["OUT_OF_MEMORY"]


def test_hosts_see_nothing_of_the_leader_s(slurm, tmp_path):
    (tmp_path / "main.py").write_text("print('hello')\n")
    slurm.copy_in(tmp_path, "/home/moil/project")
    assert slurm.leader(["python3", "main.py"], cwd="/home/moil/project").stdout == "hello\n"
    assert slurm.leader(["/opt/leader/bin/python", "-c", "import moil"]).returncode == 0
    for host in slurm.hosts:
        assert slurm.on(host, ["ls", "-A", "/home/moil/project", "/opt/leader"]).stdout == ""
        assert slurm.on(host, ["python3", "-c", "import moil"]).returncode != 0
        assert slurm.on(host, ["find", "/", "-xdev", "-name", "moil*", "-path", "*python*"]).stdout == ""


def test_an_environment_of_the_user_s(slurm, tmp_path):
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "mine"\nversion = "1.2"\ndependencies = ["iniconfig"]\n')
    (tmp_path / "mine.py").write_text("import iniconfig\n")
    python = slurm.venv(["attrs", str(tmp_path)], name="of-a-test")
    check = "import attrs, mine, moil; from importlib.metadata import version; print(version('mine'))"
    assert slurm.leader([python, "-c", check]).stdout == "1.2\n"


def test_hosts_have_no_way_out(slurm):
    for host in (CONTROLLER, *slurm.hosts):
        reach = "import socket; socket.create_connection(('1.1.1.1', 80), 1)"
        assert slurm.on(host, ["python3", "-c", reach]).returncode == 1


def test_the_controller_can_be_stopped_and_jobs_go_on(slurm):
    array = sbatch(slurm, "--array=0-0", script="until [ -e /shared/go-on ]; do sleep 0.1; done")
    until(slurm, array, "RUNNING")
    slurm.stop_controller()
    assert "Unable to contact slurm controller" in slurm.leader(["squeue"], timeout=120).stderr
    (slurm.shared / "go-on").touch()
    slurm.start_controller()
    assert until(slurm, array, *ENDED) == ["COMPLETED"]
