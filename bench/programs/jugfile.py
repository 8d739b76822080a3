"""What jug runs, see on_jug.py: imported anew by each of its processes, with scenario and size in the environment."""

import os

from jug import TaskGenerator
from marks import mark

SCENARIO, N = os.environ["BENCH_SCENARIO"], int(os.environ["BENCH_SIZE"])


@TaskGenerator
def noop(i):
    return i


@TaskGenerator
def marked(i):
    return mark(i)


@TaskGenerator
def total(numbers):
    return sum(numbers)


@TaskGenerator
def increment(value):
    return value + 1


@TaskGenerator
def leaf(place):
    return 1


@TaskGenerator
def add(place, left, right):
    return 1 + left + right


@TaskGenerator
def blob(i):
    return bytes([i % 256]) * 1048576


@TaskGenerator
def lengths(blobs):
    return sum(map(len, blobs))


def chain(n):
    value = 0
    for _ in range(n):
        value = increment(value)
    return value


def node(depth, place):
    # Two calls with equal arguments are one task in jug: the place in the tree makes them differ.
    return leaf(place) if depth == 0 else add(place, node(depth - 1, 2 * place), node(depth - 1, 2 * place + 1))


if SCENARIO in "AF":
    result = total([(noop if SCENARIO == "A" else marked)(i) for i in range(N)])
elif SCENARIO == "B":
    result = chain(N)
elif SCENARIO == "C":
    result = node(N, 1)
elif SCENARIO == "D":
    result = leaf(1)
elif SCENARIO == "E":
    result = lengths([blob(i) for i in range(N)])
