"""dask.distributed, LocalCluster, one thread a worker process, no dashboard. E: no files; bytes pass through workers' memory."""

import os
import sys

MIB = 1024 * 1024


def noop(i):
    return i


def increment(value):
    return value + 1


def hello():
    return 1


def node(depth):
    if depth == 0:
        return 1
    from distributed import worker_client

    with worker_client() as client:
        return 1 + sum(client.gather([client.submit(node, depth - 1, pure=False) for _ in range(2)]))


def blob(i):
    return bytes([i % 256]) * MIB


def lengths(blobs):
    return sum(map(len, blobs))


def chain(client, n):
    value = 0
    for _ in range(n):
        value = client.submit(increment, value)
    return value


if __name__ == "__main__":
    from distributed import Client, LocalCluster

    scenario, n = sys.argv[1], int(sys.argv[2])
    cluster = LocalCluster(
        n_workers=int(os.environ["BENCH_WORKERS"]), threads_per_worker=1, processes=True,
        dashboard_address=None, local_directory=os.getcwd(),
    )
    with cluster, Client(cluster) as client:
        if scenario == "A":
            future = client.submit(sum, client.map(noop, range(n)))
        elif scenario == "B":
            future = chain(client, n)
        elif scenario == "C":
            future = client.submit(node, n)
        elif scenario == "D":
            future = client.submit(hello)
        elif scenario == "E":
            future = client.submit(lengths, client.map(blob, range(n)))
        print("RESULT", future.result(), flush=True)
