"""Pilots on a real cluster: few submissions for many jobs, and nothing lost whatever happens to a pilot or the leader."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest

from tests.cluster.slurm import SlurmCluster
from tests.cluster.test_mishaps import BOUND, Run, until

pytestmark = pytest.mark.cluster

PILOTS = ("--pilots", "3")


@pytest.fixture
def run(slurm: SlurmCluster) -> Iterator[Run]:
    found = Run(slurm)
    yield found
    found.end()


def test_many_short_jobs_need_few_submissions(run: Run) -> None:
    first = int(run.slurm.slurm("sbatch", "--parsable", "--hold", "--wrap=true"))
    done = run.slurm.leader(
        run.words("--before", "200", "--during", "0", "--pilots", "2", "--log-level", "debug"), cwd=run.home, timeout=BOUND
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(sum(range(200)))
    assert not run.ran_twice("")
    last = int(run.slurm.slurm("sbatch", "--parsable", "--hold", "--wrap=true"))
    assert last - first <= 6, "an array counts once, and so does each member that Slurm has begun"
    run.slurm.slurm("scancel", first, last)
    until(lambda: not run.queue())


def test_warm_processes_take_floods(run: Run) -> None:
    done = run.slurm.leader(
        run.words("--before", "300", "--during", "0", "--pilots", "2", "--isolation", "worker"), cwd=run.home, timeout=BOUND
    )
    assert done.stdout.strip() == str(sum(range(300))), done.stderr
    assert len({(one["host"], one["pid"]) for one in run.notes()}) < 20
    assert not run.ran_twice("")


def test_a_pilot_is_cancelled_by_hand(run: Run) -> None:
    started = run.waiting(*PILOTS)
    run.slurm.slurm("scancel", next(line.split()[0] for line in run.queue() if " RUNNING " in line))
    until(lambda: run.count("waits") == 4)
    run.go()
    assert "cancelled" in run.ended(started)
    assert not run.ran_twice("quick")


@pytest.mark.parametrize("above", [pytest.param(2, id="pilot"), pytest.param(1, id="supervisor")])
def test_what_runs_the_jobs_is_killed(run: Run, above: int) -> None:
    started = run.waiting(*PILOTS)
    run.kill_above_a_waiting_job(above)
    run.go()
    run.ended(started)
    assert not run.ran_twice("quick")


def test_the_leader_is_killed_and_the_next_takes_up_queues_and_pilots(run: Run) -> None:
    started = run.waiting(*PILOTS)
    started.signal("KILL")
    started.wait()
    before = run.queue()
    assert before, "pilots go on without a leader"
    started = run.start("--restart", *PILOTS)
    run.go()
    run.ended(started)
    assert not run.ran_twice("")


def test_the_leader_is_killed_and_all_pilots_end(run: Run) -> None:
    started = run.waiting(*PILOTS)
    started.signal("KILL")
    started.wait()
    run.go()
    until(lambda: not run.queue())
    run.ended(run.start("--restart", *PILOTS))
    assert not run.ran_twice("")


def test_an_interrupted_run_leaves_no_pilots(run: Run) -> None:
    started = run.waiting(*PILOTS)
    started.signal("INT")
    status, _, err = started.wait()
    assert status == 130, err
    until(lambda: not run.queue())
    run.go()
    run.ended(run.start("--restart"))
    assert not run.ran_twice("quick")


def test_limits_are_kept_for_each_attempt(run: Run) -> None:
    run.go()
    done = run.slurm.leader(run.words("--limits", *PILOTS), cwd=run.home, timeout=BOUND)
    assert done.returncode == 0, done.stderr
    assert "out_of_memory" in done.stderr
    assert "raise memory=" in done.stderr
    assert "timed_out" in done.stderr
    assert "raise walltime=" in done.stderr
    assert run.count("hungry") == 2
    assert run.count("slow") == 2


def test_pilots_that_cannot_start_end_the_run(run: Run) -> None:
    nowhere = f"/proc/{secrets.token_hex(4)}"
    done = run.slurm.leader(run.words("--worker-cache", nowhere, "--no-clean-room", *PILOTS), cwd=run.home, timeout=BOUND)
    assert done.returncode != 0
    assert "no worker can be started" in done.stderr
    assert nowhere in done.stderr
    until(lambda: not run.queue())


