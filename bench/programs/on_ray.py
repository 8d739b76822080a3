"""Ray, local, no dashboard. E: no files; bytes pass through the shared-memory object store. C: nested tasks with `ray.get`."""

import os
import sys
import tempfile

import ray


@ray.remote
def noop(i):
    return i


@ray.remote
def total(numbers):
    return sum(ray.get(numbers))


@ray.remote
def increment(value):
    return value + 1


@ray.remote
def hello():
    return 1


@ray.remote
def node(depth):
    return 1 if depth == 0 else 1 + sum(ray.get([node.remote(depth - 1), node.remote(depth - 1)]))


@ray.remote
def blob(i):
    return bytes([i % 256]) * 1048576


@ray.remote
def lengths(blobs):
    return sum(len(ray.get(one)) for one in blobs)


def chain(n):
    value = 0
    for _ in range(n):
        value = increment.remote(value)
    return value


if __name__ == "__main__":
    scenario, n = sys.argv[1], int(sys.argv[2])
    # The names of its sockets must be short, so its directory cannot lie in the work directory.
    with tempfile.TemporaryDirectory(prefix="ray", dir="/tmp", ignore_cleanup_errors=True) as home:
        ray.init(
            num_cpus=int(os.environ["BENCH_WORKERS"]), include_dashboard=False, log_to_driver=False,
            logging_level="ERROR", object_store_memory=1 << 30, _temp_dir=home,
        )
        if scenario == "A":
            reference = total.remote([noop.remote(i) for i in range(n)])
        elif scenario == "B":
            reference = chain(n)
        elif scenario == "C":
            reference = node.remote(n)
        elif scenario == "D":
            reference = hello.remote()
        elif scenario == "E":
            reference = lengths.remote([blob.remote(i) for i in range(n)])
        print("RESULT", ray.get(reference), flush=True)
        ray.shutdown()
