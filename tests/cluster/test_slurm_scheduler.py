"""The adapter of Slurm on a real one: the suite of schedulers, and what only a real cluster can show."""

import os

import pytest

from moil.adapters.slurm import SlurmScheduler
from moil.adapters.slurm_settings import SlurmSettings
from moil.core.records import Outcome
from moil.core.requirements import MIB, Accelerator, Requirements
from moil.ports.scheduler import Refused, SchedulerDown, Standing
from moil.testing.scheduler import FOREVER, SchedulerBench, SchedulerTests
from tests.cluster.slurm import SlurmCluster

pytestmark = [pytest.mark.cluster, pytest.mark.slow]


def bench_of(slurm: SlurmCluster, **settings: object) -> SchedulerBench:
    """The commands run in the leader's container, as `moil`; the adapter runs here, and is told that user."""
    folder = slurm.shared / os.urandom(4).hex()
    folder.mkdir()
    folder.chmod(0o1777)
    environ = {**os.environ, "PATH": f"{slurm.commands}{os.pathsep}{os.environ['PATH']}"}
    scheduler = SlurmScheduler(SlurmSettings(**settings), environ=environ, user=1000)
    return SchedulerBench(scheduler, shared=folder, inside=f"/shared/{folder.name}", number="$SLURM_ARRAY_TASK_ID")


class TestRealSlurm(SchedulerTests):
    @pytest.fixture
    def bench(self, slurm):
        return bench_of(slurm)


class TestOnlyARealOne:
    @pytest.mark.parametrize(
        ("settings", "words"),
        [
            ({"partition": "nonsense"}, "no partition 'nonsense'; it has closed, main, short"),
            ({"partition": "closed"}, "not permitted to use this partition"),
            ({"constraint": "nonsense"}, "Invalid feature specification"),
            ({"reservation": "nonsense"}, "reservation"),
            ({"args": ("--nonsense",)}, "unrecognized option"),
            ({"exclude": "nonsense"}, "node name"),
        ],
    )
    def test_what_will_never_work_ends_the_run(self, slurm, settings, words):
        with pytest.raises(Refused, match=words) as refused:
            bench_of(slurm, **settings).submit("true")
        assert refused.value.whole_run

    def test_a_partition_s_time_limit(self, slurm):
        bench = bench_of(slurm, partition="short")
        assert bench.end("true", needs=Requirements(memory=MIB, walltime=300)).outcome is Outcome.completed
        ids = bench.submit("true", needs=Requirements(memory=MIB, walltime=301))
        bench.until(lambda: "walltime=" in bench.scheduler.query(ids)[ids[0]].reason, lambda: f"{bench.scheduler.query(ids)}")

    def test_a_job_that_is_held_says_so(self, slurm):
        bench = bench_of(slurm, args=("--hold",))
        ids = bench.submit("true")
        assert "scontrol release" in bench.wait(ids, Standing.queued)[ids[0]].reason

    def test_the_machines_are_told(self, slurm):
        bench = bench_of(slurm)
        assert bench.scheduler.machines() == {os.uname().machine}
        assert (bench.scheduler.ceiling.cores, bench.scheduler.largest_array) == (4, 1001)
        ids = bench.submit(FOREVER)
        assert bench.wait(ids, Standing.running)[ids[0]].host in slurm.hosts

    def test_devices(self, slurm):
        bench = bench_of(slurm, gpu_partition="short")
        assert bench.scheduler.ceiling.accelerators == 2
        for wanted in (Accelerator(count=1), Accelerator(model="a100", count=2)):
            needs = Requirements(memory=MIB, accelerators=(wanted,))
            assert bench.end('[ "$SLURM_JOB_PARTITION" = short ]', needs=needs).outcome is Outcome.completed

    def test_a_controller_that_is_away_comes_back(self, slurm):
        bench = bench_of(slurm)
        ids = bench.submit("until [ -e @/go-on ]; do sleep 0.1; done")
        bench.wait(ids, Standing.running)
        slurm.stop_controller()
        try:
            for question in (lambda: bench.scheduler.query(ids), lambda: bench.submit("true")):
                with pytest.raises(SchedulerDown):
                    question()
        finally:
            slurm.start_controller()
        (bench.shared / "go-on").touch()
        assert bench.wait(ids)[ids[0]].outcome is Outcome.completed

    def test_a_thousand_members(self, slurm):
        bench = bench_of(slurm)
        array = bench.array(FOREVER, 1000)
        ids = bench.scheduler.submit(array)
        assert len(bench.scheduler.query(ids)) == 1000
        assert list(bench.scheduler.find(array.label)[array.label]) == list(ids)
        bench.scheduler.cancel(ids[10:])
        bench.wait(ids[10:])
        bench.scheduler.cancel(ids)
        assert {one.outcome for one in bench.wait(ids).values()} == {Outcome.cancelled}

    @pytest.mark.exhaustive
    def test_a_machine_that_is_lost(self, slurm):
        bench = bench_of(slurm, exclude=slurm.hosts[0])
        ids = bench.submit(FOREVER)
        bench.wait(ids, Standing.running)
        slurm.lose(slurm.hosts[1])
        try:
            assert bench.wait(ids)[ids[0]].outcome is Outcome.node_failed
        finally:
            slurm.start_worker(slurm.hosts[1])
