"""redun, its state in SQLite, local executor with a pool of reused processes."""

import logging
import os
import sys

from marks import mark
from redun import File, Scheduler, task
from redun.config import Config

redun_namespace = "bench"
HERE = os.getcwd()
sys.setrecursionlimit(20_000)


@task()
def noop(i: int) -> int:
    return i


@task()
def marked(i: int) -> int:
    return mark(i)


@task()
def total(numbers: list) -> int:
    return sum(numbers)


@task()
def fan(n: int) -> int:
    return total([noop(i) for i in range(n)])


@task()
def marked_fan(n: int) -> int:
    return total([marked(i) for i in range(n)])


@task()
def increment(value: int) -> int:
    return value + 1


@task()
def chain(n: int) -> int:
    value = 0
    for _ in range(n):
        value = increment(value)
    return value


@task()
def add(place: int, left: int, right: int) -> int:
    return 1 + left + right


@task()
def node(depth: int, place: int = 1) -> int:
    # Two calls with equal arguments are one job in redun: the place in the tree makes them differ.
    return 1 if depth == 0 else add(place, node(depth - 1, 2 * place), node(depth - 1, 2 * place + 1))


@task()
def hello(n: int) -> int:
    return 1


@task()
def write(i: int) -> File:
    file = File(f"{HERE}/f{i}")
    file.write(bytes([i % 256]) * 1048576, mode="wb")
    return file


@task()
def read(files: list) -> int:
    return sum(len(file.read(mode="rb")) for file in files)


@task()
def files(n: int) -> int:
    return read([write(i) for i in range(n)])


if __name__ == "__main__":
    scenario, n = sys.argv[1], int(sys.argv[2])
    logging.getLogger("redun").setLevel(logging.ERROR)
    local = {"type": "local", "max_workers": os.environ["BENCH_WORKERS"], "mode": "process"}
    scheduler = Scheduler(config=Config({"backend": {"db_uri": f"sqlite:///{HERE}/redun.sqlite"}, "executors.default": local}))
    scheduler.load()
    main = {"A": fan, "B": chain, "C": node, "D": hello, "E": files, "F": marked_fan}[scenario]
    print("RESULT", scheduler.run(main(n)), flush=True)
