"""Moil, batch system `local`, job store in a directory of the work directory."""

import os
import sys

import moil
from marks import mark
from moil import File

SMALL = {"cores": 1, "memory": "100 MiB", "disk": "1 MiB"}
MIB = 1024 * 1024


@moil.job(**SMALL)
def noop(i):
    return i


@moil.job(**SMALL)
def total(numbers):
    return sum(numbers)


@moil.job(**SMALL)
def fan(n):
    return total([noop(i) for i in range(n)])


@moil.job(**SMALL)
def marked(i):
    return mark(i)


@moil.job(**SMALL)
def marked_fan(n):
    return total([marked(i) for i in range(n)])


@moil.job(**SMALL)
def increment(value):
    return value + 1


@moil.job(**SMALL)
def chain(n):
    value = 0
    for _ in range(n):
        value = increment(value)
    return value


@moil.job(**SMALL)
def add(left, right):
    return 1 + left + right


@moil.job(**SMALL)
def node(depth):
    return 1 if depth == 0 else add(node(depth - 1), node(depth - 1))


@moil.job(**SMALL)
def hello():
    return 1


@moil.job(**{**SMALL, "disk": "2 MiB"})
def write(i):
    with open("data", "wb") as file:
        file.write(bytes([i % 256]) * MIB)
    return File.save("data", move=True)


@moil.job(**{**SMALL, "disk": "300 MiB"})
def read(files):
    return sum(len(file.path().read_bytes()) for file in files)


@moil.job(**SMALL)
def files(n):
    return read([write(i) for i in range(n)])


@moil.job(**SMALL)
def process(_before):
    return os.getpid()


@moil.job(**SMALL)
def different(processes):
    return len(set(processes))


@moil.job(**SMALL)
def processes(n):
    """In how many processes do n jobs run, one after another?"""
    found = [process(None)]
    for _ in range(n - 1):
        found.append(process(found[-1]))
    return different(found)


if __name__ == "__main__":
    scenario, n = sys.argv[1], int(sys.argv[2])
    work = {
        "A": (fan, n), "B": (chain, n), "C": (node, n), "D": (hello,), "E": (files, n), "F": (marked_fan, n),
        "processes": (processes, n),
    }[scenario]
    result = moil.run(
        *work,
        batch_system="local",
        job_store="job-store",
        isolation=os.environ["BENCH_VARIANT"],
        max_cores=float(os.environ["BENCH_WORKERS"]),
        restart="BENCH_RESUME" in os.environ,
        clean=os.environ.get("BENCH_CLEAN", "on-success"),
    )
    print("RESULT", result)
