"""Where a cluster keeps accounts, they know what the queue has forgotten. It is a cluster of its own: most have none."""

from collections.abc import Iterator

import pytest

from moil.core.records import Outcome
from tests.cluster.conftest import cluster_or_skip
from tests.cluster.slurm import SlurmCluster
from tests.cluster.test_slurm_scheduler import bench_of

pytestmark = [pytest.mark.cluster, pytest.mark.exhaustive]


@pytest.fixture(scope="module")
def with_accounts() -> Iterator[SlurmCluster]:
    yield from cluster_or_skip(SlurmCluster(hosts=1, accounting=True))


def booked(slurm: SlurmCluster) -> list[str]:
    return slurm.slurm("sacct", "-X", "-n", "-P", "-o", "JobID,State").splitlines()


def all_are_booked(slurm: SlurmCluster, ids: set[str]) -> bool:
    """The controller tells the accounts a little later, and forgets what it has not told when it is made forgetful."""
    return ids <= {line.partition("|")[0] for line in booked(slurm) if not line.endswith(("|RUNNING", "|PENDING"))}


def test_what_the_queue_has_forgotten(with_accounts):
    bench = bench_of(with_accounts)
    ids = bench.submit("exit #", 3)
    cancelled = bench.submit("exec sleep 600")
    bench.wait(ids)
    bench.scheduler.cancel(cancelled)
    bench.wait(cancelled)
    bench.until(lambda: all_are_booked(with_accounts, {*ids, *cancelled}), lambda: f"{booked(with_accounts)}")
    with_accounts.stop_controller()
    with_accounts.start_controller(forgetful=True)
    another = bench_of(with_accounts)
    assert with_accounts.slurm("squeue", "--noheader", "--states=all") == ""
    seen = another.wait([*ids, *cancelled])
    assert [seen[one].exit_status for one in ids] == [0, 1, 2]
    assert seen[cancelled[0]].outcome is Outcome.cancelled
    assert "by user 1000" in seen[cancelled[0]].reason
