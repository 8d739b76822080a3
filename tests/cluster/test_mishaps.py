"""What may happen to a run on a cluster: whatever it is, the run ends right, and nothing is left in the queue."""

from __future__ import annotations

import json
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cluster.slurm import CONTROLLER, LEADER, SlurmCluster, Started

pytestmark = pytest.mark.cluster

PYTHON = f"{LEADER}/bin/python"
BOUND = 120.0
SMALL = ("--default-memory", "200 MiB")
ANSWER = 0 + 1 + 2 + 3 + 0 + 1 + 2
MODES = pytest.mark.parametrize("mode", [pytest.param((), id="shared"), pytest.param(("--pilots", "0"), id="members")])
"""Members of arrays that go on with what there is, and those that each do what they were submitted for."""


class Run:
    """A run of projects/mishaps.py, with a board on which its jobs say that they run."""

    def __init__(self, slurm: SlurmCluster) -> None:
        self.slurm, name = slurm, secrets.token_hex(4)
        self.home, self.board, self.store = f"/home/moil/{name}", f"/shared/board-{name}", f"/shared/run-{name}"
        slurm.copy_in(Path(__file__).parent / "projects" / "mishaps.py", f"{self.home}/mishaps.py")
        slurm.leader(["mkdir", self.board])
        self.started: list[Started] = []

    def words(self, *more: str) -> list[str]:
        options = ["--batch-system", "slurm", "--job-store", self.store, "--slurm-poll-interval", "1"]
        return [PYTHON, "mishaps.py", self.board, *options, "--no-progress", "--retry-backoff", "0.1", *SMALL, *more]

    def start(self, *more: str) -> Started:
        self.started.append(self.slurm.popen(self.words(*more), cwd=self.home))
        return self.started[-1]

    def waiting(self, *more: str) -> Started:
        """A run whose three jobs wait to be told to go on."""
        started = self.start(*more)
        until(lambda: self.count("waits") == 3)
        return started

    def kill_above_a_waiting_job(self, generations: int) -> None:
        """SIGKILL to its supervisor (1), or to the worker above that (2); the job is begun again."""
        one = next(one for one in self.notes() if str(one["job"]).startswith("waits"))
        above = str(one["pid"])
        for _ in range(generations):
            above = f"$(ps -o ppid= -p {above})"
        self.slurm.on(str(one["host"]), ["sh", "-c", f"kill -9 {above}"])
        until(lambda: self.count("waits") == 4)

    def end(self) -> None:
        """No leader outlives its test; what it said and left is shown if the test has failed."""
        for one in self.started:
            if one.process.poll() is None:
                print("left behind:", self.queue(), self.slurm.on("ctl", ["find", self.store, "-type", "f"]).stdout)
                one.signal("KILL")
                print("said:", *one.wait()[1:])

    def tell(self, *words: str) -> str:
        """What a command of ``moil`` prints of the run."""
        return self.slurm.leader([PYTHON, "-m", "moil", words[0], self.store, *words[1:]]).stdout

    def notes(self) -> list[dict[str, object]]:
        path = self.slurm.shared / Path(self.board).name / "runs"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def count(self, kind: str) -> int:
        return len([one for one in self.notes() if str(one["job"]).startswith(kind)])

    def go(self) -> None:
        (self.slurm.shared / Path(self.board).name / "go").touch()

    def queue(self) -> list[str]:
        return self.slurm.slurm("squeue", "--noheader", "--array", "--format=%i %j %T %N").splitlines()

    def ended(self, started: Started) -> str:
        status, out, err = started.wait(BOUND)
        assert status == 0, err
        assert out.strip() == str(ANSWER), err
        until(lambda: not self.queue())
        return err

    def ran_twice(self, kind: str) -> list[object]:
        counted = Counter(str(one["job"]) for one in self.notes() if str(one["job"]).startswith(kind))
        return [name for name, times in counted.items() if times > 1]


def until(found: Callable[[], object], bound: float = BOUND) -> None:
    patience = time.monotonic() + bound
    while not found():
        assert time.monotonic() < patience, "it did not come to that"
        time.sleep(0.1)


@pytest.fixture
def run(slurm: SlurmCluster) -> Iterator[Run]:
    found = Run(slurm)
    yield found
    found.end()


@MODES
def test_nothing_happens(run: Run, mode: tuple[str, ...]) -> None:
    started = run.waiting(*mode)
    until(lambda: [line.split()[1:3] for line in run.queue()] == [["waits" if mode else "mishaps", "RUNNING"]] * 3)
    run.go()
    run.ended(started)
    assert not run.ran_twice("")
    assert {one["host"] for one in run.notes()} <= set(run.slurm.hosts)


def test_what_slurm_does_not_start_is_told_and_why(run: Run) -> None:
    hosts = f"nodename={','.join(run.slurm.hosts)}"
    run.slurm.on(CONTROLLER, ["scontrol", "update", hosts, "state=drain", "reason=test"])
    try:
        started = run.start()
        until(lambda: "1 wait: Nodes required for job are DOWN, DRAINED" in run.tell("status"))
        assert run.tell("explain", "1").splitlines()[1].startswith("Of what is in the queue 1 wait: Nodes required for job")
        number = run.queue()[0].split()[0]
        run.slurm.slurm("scontrol", "hold", number)
        until(lambda: "1 wait: JobHeldUser" in run.tell("status"))
        run.slurm.slurm("scontrol", "release", number)
    finally:
        run.slurm.on(CONTROLLER, ["scontrol", "update", hosts, "state=resume"])
    run.go()
    err = run.ended(started)
    assert err.count("in the queue wait in vain") == err.count("1 in the queue wait in vain: JobHeldUser") == 1
    assert "scontrol release" in err


@MODES
def test_a_job_is_cancelled_by_hand(run: Run, mode: tuple[str, ...]) -> None:
    started = run.waiting(*mode)
    until(lambda: len(run.queue()) == 3)
    run.slurm.slurm("scancel", run.queue()[0].split()[0])
    until(lambda: run.count("waits") == 4)
    run.go()
    err = run.ended(started)
    assert "cancelled" in err
    assert not run.ran_twice("quick")


@MODES
def test_a_worker_is_killed(run: Run, mode: tuple[str, ...]) -> None:
    started = run.waiting(*mode)
    run.kill_above_a_waiting_job(2)
    run.go()
    run.ended(started)
    assert not run.ran_twice("quick")


def test_slurmd_is_killed_and_comes_back(run: Run) -> None:
    started = run.waiting()
    host = str(run.notes()[-1]["host"])
    run.slurm.stop_worker(host)
    run.go()
    run.slurm.start_worker(host)
    run.ended(started)
    assert not run.ran_twice("quick")


@MODES
def test_the_leader_is_killed_and_the_next_adopts_what_runs(run: Run, mode: tuple[str, ...]) -> None:
    started = run.waiting(*mode)
    started.signal("KILL")
    started.wait()
    until(lambda: len(run.queue()) == 3)  # they go on without it
    started = run.start("--restart", *mode)
    run.go()
    run.ended(started)
    assert not run.ran_twice(""), "nothing was started again"


def test_what_ended_while_there_was_no_leader_is_heard_of(run: Run) -> None:
    started = run.waiting()
    started.signal("KILL")
    started.wait()
    run.go()
    until(lambda: not run.queue())
    run.ended(run.start("--restart"))
    assert not run.ran_twice("")


@pytest.mark.exhaustive
def test_the_controller_is_away_for_a_minute(run: Run) -> None:
    started = run.waiting()
    run.slurm.stop_controller()
    run.go()
    gone = time.monotonic()
    until(lambda: time.monotonic() > gone + 60.0)
    run.slurm.start_controller()
    err = run.ended(started)
    assert "it is tried again until it answers" in err
    assert not run.ran_twice("")


def test_an_interrupted_run_leaves_nothing_in_the_queue(run: Run) -> None:
    started = run.waiting()
    started.signal("INT")
    status, _, err = started.wait()
    assert status == 130
    assert "resume with" in err
    until(lambda: not run.queue())
    run.go()
    run.ended(run.start("--restart"))
    assert not run.ran_twice("quick")


def test_limits_are_raised_and_said(run: Run) -> None:
    run.go()
    done = run.slurm.leader(run.words("--limits"), cwd=run.home, timeout=BOUND)
    assert done.returncode == 0, done.stderr
    assert "hungry #" in done.stderr
    assert "out_of_memory" in done.stderr
    assert "raise memory=" in done.stderr
    assert "slow #" in done.stderr
    assert "timed_out" in done.stderr
    assert "raise walltime=" in done.stderr
    assert run.count("hungry") == 2
    assert run.count("slow") == 2
