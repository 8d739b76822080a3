"""Pilots on this machine, by the batch system that treats it as a cluster: whole programs, end to end."""

import json

import pytest

pytestmark = pytest.mark.slow

PLACE = ("--batch-system", "processes", "--pilots", "2", "--deploy", "live", "--no-progress", "--default-memory", "200 MiB")


@pytest.mark.parametrize("isolation", ["job", "worker"])
def test_a_fan_out(runner, isolation):
    done = runner.run("fan", "--width", 60, *PLACE, "--isolation", isolation)
    assert done.stdout == "3540\n"


def test_jobs_have_processes_of_their_own_and_pilots_do_many(runner):
    found = json.loads(runner.run("pids", 30, *PLACE).stdout)
    assert len(set(found)) == 30
    assert not list((runner.directory / "tmp").rglob("*pilot*"))


def test_toils_habit_of_prefixes_is_understood(runner):
    place = ["--slurm-pilots" if word == "--pilots" else word for word in PLACE]
    assert runner.run("fan", *place).stdout == "20\n"
