"""What travels: every unit once to each machine, nothing the second time, one unit after an edit."""

from __future__ import annotations

import re
import secrets
from pathlib import Path

import pytest

from tests.cluster.slurm import LEADER, SlurmCluster

pytestmark = pytest.mark.cluster

PROJECTS = Path(__file__).parent / "projects"
BOUND = 200.0
SUM = sum(range(50))


class Project:
    """projects/fifty.py in a place of its own, with job stores beside each other and caches of its own."""

    def __init__(self, slurm: SlurmCluster) -> None:
        self.slurm, self.name = slurm, secrets.token_hex(4)
        self.home, self.runs, self.cache = f"/home/moil/{self.name}", f"/shared/{self.name}", f"/var/tmp/{self.name}"
        slurm.copy_in(PROJECTS, self.home)
        slurm.leader(["mkdir", self.runs])
        self.started = 0

    def run(self, *more: str, answer: int = SUM) -> str:
        """What the run says about what it ships."""
        self.started += 1
        store = f"{self.runs}/{self.started}"
        options = ["--batch-system=slurm", f"--job-store={store}", f"--worker-cache={self.cache}", "--no-progress"]
        words = [f"{LEADER}/bin/python", "fifty.py", *options, "--slurm-poll-interval=1", "--default-memory=100 MiB", *more]
        done = self.slurm.leader(words, cwd=self.home, timeout=BOUND)
        assert done.returncode == 0, done.stderr
        assert f"{answer}" in done.stdout
        return done.stderr

    def fetched(self) -> dict[str, list[str]]:
        """By host, the units that were fetched, each as often as it was."""
        found = {}
        for host in self.slurm.hosts:
            done = self.slurm.on(host, ["cat", f"{self.cache}/moil-1000/fetched"])
            found[host] = [line.split()[0] for line in done.stdout.splitlines()]
        return found


def test_fifty_at_once_fetch_each_unit_once_and_later_runs_only_what_is_new(slurm: SlurmCluster) -> None:
    project = Project(slurm)
    assert re.search(r"[1-9]\d* uploaded", project.run())
    first = project.fetched()
    assert any(first.values())
    for host, units in first.items():
        assert len(units) == len(set(units)), f"{host} fetched a unit twice"

    assert "nothing to upload" in project.run()
    assert project.fetched() == first or _only_new_hosts(first, project.fetched())

    before = project.fetched()
    slurm.on("ctl", ["sed", "-i", "s/VALUE = 0/VALUE = 1/", f"{project.home}/parts/two.py"])
    said = project.run(answer=SUM + 50)
    assert "1 uploaded" in said
    for host, units in project.fetched().items():
        if before[host]:
            assert len(units) <= len(before[host]) + 1, "one unit travels to a machine"


def _only_new_hosts(before: dict[str, list[str]], after: dict[str, list[str]]) -> bool:
    return all(after[host] == units or not units for host, units in before.items())
