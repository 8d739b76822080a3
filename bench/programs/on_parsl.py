"""Parsl, HighThroughputExecutor with reused worker processes, logging off, no checkpoints."""

import os
import sys

import parsl
from parsl import File, join_app, python_app
from parsl.config import Config
from parsl.executors import HighThroughputExecutor
from parsl.providers import LocalProvider


@python_app
def noop(i):
    return i


@python_app
def total(inputs=()):
    return sum(inputs)


@python_app
def increment(value):
    return value + 1


@python_app
def add(left, right):
    return 1 + left + right


@python_app
def leaf():
    return 1


@join_app
def node(depth):
    return leaf() if depth == 0 else add(node(depth - 1), node(depth - 1))


@python_app
def write(i, outputs=()):
    with open(outputs[0].filepath, "wb") as file:
        file.write(bytes([i % 256]) * 1048576)


@python_app
def read(inputs=()):
    return sum(len(open(one.filepath, "rb").read()) for one in inputs)


def chain(n):
    value = 0
    for _ in range(n):
        value = increment(value)
    return value


def files(n):
    here = os.getcwd()
    return read(inputs=[write(i, outputs=[File(f"{here}/f{i}")]).outputs[0] for i in range(n)])


if __name__ == "__main__":
    scenario, n = sys.argv[1], int(sys.argv[2])
    executor = HighThroughputExecutor(
        label="htex", max_workers_per_node=int(os.environ["BENCH_WORKERS"]), cores_per_worker=1, address="127.0.0.1",
        encrypted=False, provider=LocalProvider(init_blocks=1, max_blocks=1),
    )
    config = Config(
        executors=[executor], run_dir=os.path.abspath("runinfo"), initialize_logging=False, usage_tracking=0, strategy="none"
    )
    with parsl.load(config):
        if scenario == "A":
            future = total(inputs=[noop(i) for i in range(n)])
        elif scenario == "B":
            future = chain(n)
        elif scenario == "C":
            future = node(n)
        elif scenario == "D":
            future = leaf()
        elif scenario == "E":
            future = files(n)
        print("RESULT", future.result(), flush=True)
