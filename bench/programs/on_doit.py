"""doit with two processes and its state in SQLite, which it writes at the end. Values pass through `getargs`.

C: the tree is laid out beforehand. E: plain files.
"""

import os
import sys

from doit.cmd_base import ModuleTaskLoader
from doit.doit_cmd import DoitMain
from doit.tools import run_once

SCENARIO, N = sys.argv[1], int(sys.argv[2])
HERE = os.getcwd()
ONCE = {"uptodate": [run_once]}


def noop(i):
    return {"value": i}


def total(numbers):
    put(sum(numbers.values()))


def increment(value=0):
    put(value + 1)
    return {"value": value + 1}


def add(left=0, right=0):
    put(1 + left + right)
    return {"value": 1 + left + right}


def write(i):
    with open(f"{HERE}/f{i}", "wb") as file:
        file.write(bytes([i % 256]) * 1048576)


def read():
    put(sum(len(open(f"{HERE}/f{i}", "rb").read()) for i in range(N)))


def put(value):
    with open(f"{HERE}/result", "w") as file:
        file.write(str(value))


def task_noop():
    for i in range(N):
        yield {"name": str(i), "actions": [(noop, [i])], **ONCE}


def task_total():
    return {"actions": [total], "getargs": {"numbers": ("noop", "value")}}


def task_chain():
    for i in range(N):
        yield {"name": str(i), "actions": [increment], **({"getargs": {"value": (f"chain:{i - 1}", "value")}} if i else {})}


def task_node():
    for depth in range(N + 1):
        for place in range(2**depth, 2 ** (depth + 1)):
            children = {"left": (f"node:{2 * place}", "value"), "right": (f"node:{2 * place + 1}", "value")}
            yield {"name": str(place), "actions": [add], **({"getargs": children} if depth < N else {})}


def task_hello():
    return {"actions": [increment]}


def task_write():
    for i in range(N):
        yield {"name": str(i), "actions": [(write, [i])], "targets": [f"{HERE}/f{i}"]}


def task_read():
    return {"actions": [read], "file_dep": [f"{HERE}/f{i}" for i in range(N)]}


if __name__ == "__main__":
    creators = {
        "A": (task_noop, task_total), "B": (task_chain,), "C": (task_node,), "D": (task_hello,), "E": (task_write, task_read),
    }[SCENARIO]
    tasks = ModuleTaskLoader({one.__name__: one for one in creators})
    workers, database, output = os.environ["BENCH_WORKERS"], f"--db-file={HERE}/doit.sqlite", f"--output-file={HERE}/output"
    DoitMain(tasks).run(["run", "-n", workers, "--verbosity=0", "--backend=sqlite3", database, output])
    with open(f"{HERE}/result") as file:
        print("RESULT", file.read(), flush=True)
