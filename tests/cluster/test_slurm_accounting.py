"""Where a cluster keeps accounts, they know what the queue has forgotten. It is a cluster of its own: most have none."""

from collections.abc import Iterator

import pytest

from moil.core.records import Outcome
from moil.ports.scheduler import Standing
from tests.cluster.conftest import cluster_or_skip
from tests.cluster.slurm import SlurmCluster
from tests.cluster.test_slurm_scheduler import bench_of

pytestmark = [pytest.mark.cluster, pytest.mark.exhaustive]


@pytest.fixture(scope="module")
def with_accounts() -> Iterator[SlurmCluster]:
    yield from cluster_or_skip(SlurmCluster(hosts=1, accounting=True))


def ended(slurm: SlurmCluster) -> list[str]:
    """The members that the accounts say are over: those of an array that never could start are one line, and left out
    unless asked for by its number. For the first seconds an array may be a number, and no array."""
    asked = ",".join(map(str, range(1, 40)))
    lines = slurm.slurm("sacct", "-X", "-n", "-P", "-o", "JobID,State", "--jobs", asked).splitlines()
    return [line.partition("|")[0] for line in lines if "_" in line and not line.endswith(("|RUNNING", "|PENDING"))]


def test_what_the_queue_has_forgotten(with_accounts):
    bench = bench_of(with_accounts)
    ids = bench.submit("exit #", 3)
    bench.wait(ids)
    started = bench.submit("exec sleep 600")
    bench.wait(started, Standing.running)
    bench.scheduler.cancel(started)
    bench.wait(started)
    holding = bench_of(with_accounts, args=("--hold",))
    never_started = holding.submit("true", 2)
    holding.scheduler.cancel(never_started)
    holding.wait(never_started)
    cancelled = [*started, *never_started]
    # The controller tells the accounts a little later, and forgets what it has not told when it is made forgetful.
    bench.until(lambda: len(ended(with_accounts)) == 5, lambda: f"{ended(with_accounts)}")
    with_accounts.stop_controller()
    with_accounts.start_controller(forgetful=True)
    another = bench_of(with_accounts)
    assert with_accounts.slurm("squeue", "--noheader", "--states=all") == ""
    seen = another.wait([*ids, *cancelled])
    assert [seen[one].exit_status for one in ids] == [0, 1, 2]
    assert {seen[one].outcome for one in cancelled} == {Outcome.cancelled}
    assert {seen[one].reason for one in cancelled} == {"cancelled in Slurm by user 1000"}
