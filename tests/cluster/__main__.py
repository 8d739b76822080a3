"""`make cluster-up` and `make cluster-down`: a cluster that stays, to look at and to run tests on."""

import sys
import time

from tests.cluster.docker import Unavailable
from tests.cluster.slurm import SlurmCluster, remove_all


def up() -> None:
    begun = time.monotonic()
    cluster = SlurmCluster(name="up", owner=None)
    cluster.down()
    try:
        cluster.up()
    except Unavailable as reason:
        sys.exit(f"no cluster: {reason}")
    print(f"up in {time.monotonic() - begun:.1f} s. Log in: docker exec -it -u moil -w /home/moil {cluster.container()} bash")
    print("Run its tests on it: MOIL_CLUSTER=up make test-cluster. Remove it: make cluster-down")


if __name__ == "__main__":
    {"up": up, "down": remove_all}[sys.argv[1]]()
