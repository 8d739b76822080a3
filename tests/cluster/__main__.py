"""`make cluster-up` and `make cluster-down`: a cluster that stays, to look at and to run tests on.

``python -m tests.cluster up NAME`` makes another beside it, ``python -m tests.cluster down NAME`` removes that one only.
"""

import sys
import time

from tests.cluster.docker import Unavailable
from tests.cluster.slurm import SlurmCluster, remove_all


def up(name: str = "up") -> None:
    begun = time.monotonic()
    cluster = SlurmCluster(name=name, owner=None)
    cluster.down()
    try:
        cluster.up()
    except Unavailable as reason:
        sys.exit(f"no cluster: {reason}")
    print(f"up in {time.monotonic() - begun:.1f} s. Log in: docker exec -it -u moil -w /home/moil {cluster.container()} bash")
    print(f"Run tests on it: MOIL_CLUSTER={name} make test-cluster. Remove it: {sys.executable} -m tests.cluster down {name}")


def down(name: str = "") -> None:
    SlurmCluster(name=name).down() if name else remove_all()


if __name__ == "__main__":
    {"up": up, "down": down}[sys.argv[1]](*sys.argv[2:])
