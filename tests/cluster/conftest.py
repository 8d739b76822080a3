"""One cluster for the whole session. ``MOIL_CLUSTER=NAME`` takes one that `make cluster-up` has left up."""

import os
from collections.abc import Iterator

import pytest

from tests.cluster.docker import Unavailable
from tests.cluster.slurm import SlurmCluster


def cluster_or_skip(cluster: SlurmCluster) -> Iterator[SlurmCluster]:
    """Up and down again. Where no cluster is possible the tests are skipped, loudly, and fail in CI."""
    try:
        cluster.up()
    except Unavailable as reason:
        if os.environ.get("CI") == "true":
            pytest.fail(f"no cluster: {reason}")
        pytest.skip(f"NOT TESTED ON A CLUSTER: {reason}")
    try:
        yield cluster
    finally:
        cluster.down()


@pytest.fixture(scope="session")
def slurm_session() -> Iterator[SlurmCluster]:
    if name := os.environ.get("MOIL_CLUSTER"):
        yield SlurmCluster.attach(name)
    else:
        yield from cluster_or_skip(SlurmCluster())


@pytest.fixture
def slurm(slurm_session: SlurmCluster) -> Iterator[SlurmCluster]:
    """The cluster; what a test leaves in the queue is cancelled."""
    yield slurm_session
    slurm_session.quiet()
