"""executorlib on one machine. Variant `call`: a fresh interpreter a call. Variant `block`: reused workers.

C: the tree is laid out by the leader, since a call cannot submit others here. E: plain files.
"""

import os
import sys


def noop(i):
    return i


def total(numbers):
    return sum(numbers)


def increment(value):
    return value + 1


def hello():
    return 1


def add(left, right):
    return 1 + left + right


def write(path, i):
    with open(path, "wb") as file:
        file.write(bytes([i % 256]) * 1048576)
    return path


def read(paths):
    return sum(len(open(path, "rb").read()) for path in paths)


def gathered(executor, function, calls):
    futures = [executor.submit(*call) for call in calls]
    return executor.submit(function, [one.result() for one in futures])


def chain(executor, n):
    value = 0
    for _ in range(n):
        value = executor.submit(increment, value)
    return value


def node(executor, depth):
    if depth == 0:
        return executor.submit(hello)
    return executor.submit(add, node(executor, depth - 1), node(executor, depth - 1))


if __name__ == "__main__":
    from executorlib import SingleNodeExecutor

    scenario, n, workers = sys.argv[1], int(sys.argv[2]), int(os.environ["BENCH_WORKERS"])
    block = os.environ["BENCH_VARIANT"] == "block"
    how = {"block_allocation": True, "max_workers": workers} if block else {"max_cores": workers}
    with SingleNodeExecutor(**how) as executor:
        if scenario == "A":
            future = gathered(executor, total, [(noop, i) for i in range(n)])
        elif scenario == "B":
            future = chain(executor, n)
        elif scenario == "C":
            future = node(executor, n)
        elif scenario == "D":
            future = executor.submit(hello)
        elif scenario == "E":
            future = gathered(executor, read, [(write, f"{os.getcwd()}/f{i}", i) for i in range(n)])
        print("RESULT", future.result(), flush=True)
