"""HyperQueue through its Python API, server and worker in this process. A fresh interpreter a task; results pass as files.

C: the tree is laid out beforehand, since a task cannot submit others here.
"""

import os
import sys
import time


def noop(i, path):
    with open(path, "w") as file:
        file.write(str(i))


def total(paths, path):
    result = sum(int(open(one).read()) for one in paths)
    with open(path, "w") as file:
        file.write(str(result))


def increment(before, path):
    value = int(open(before).read()) if before else 0
    with open(path, "w") as file:
        file.write(str(value + 1))


def node(paths, path):
    value = 1 + sum(int(open(one).read()) for one in paths)
    with open(path, "w") as file:
        file.write(str(value))


def write(path, i):
    with open(path, "wb") as file:
        file.write(bytes([i % 256]) * 1048576)


def read(paths, path):
    size = sum(len(open(one, "rb").read()) for one in paths)
    with open(path, "w") as file:
        file.write(str(size))


def lay_out(add, depth, path):
    paths = [path + "l", path + "r"] if depth else []
    return add(node, (paths, path), [lay_out(add, depth - 1, one) for one in paths])


if __name__ == "__main__":
    from hyperqueue import Job, LocalCluster
    from hyperqueue.cluster import WorkerConfig

    scenario, n, here = sys.argv[1], int(sys.argv[2]), os.getcwd()
    os.mkdir("out")
    paths = [f"{here}/out/{i}" for i in range(n)]
    end = paths[-1] if scenario in "B" else f"{here}/out/end"
    with LocalCluster(f"{here}/server", WorkerConfig(cores=int(os.environ["BENCH_WORKERS"]))) as cluster:
        job = Job(default_workdir=here)

        def add(function, args, deps=()):
            return job.function(function, args=args, deps=deps, stdout=None, stderr=None)

        if scenario == "A":
            add(total, (paths, end), [add(noop, (i, path)) for i, path in enumerate(paths)])
        elif scenario == "B":
            before, last = None, []
            for path in paths:
                last, before = [add(increment, (before, path), last)], path
        elif scenario == "C":
            lay_out(add, n, end)
        elif scenario == "D":
            add(increment, (None, end))
        elif scenario == "E":
            add(read, (paths, end), [add(write, (path, i)) for i, path in enumerate(paths)])
        cluster.client().submit(job)
        # Its own wait_for_jobs looks once a second.
        while not (os.path.exists(end) and os.path.getsize(end)):
            time.sleep(0.005)
        with open(end) as file:
            print("RESULT", file.read(), flush=True)
