"""Toil, batch system single_machine, file job store, logging turned down. It chains successors in one worker where it can."""

import os
import sys

from marks import mark
from toil.common import Toil
from toil.job import Job

SMALL = {"cores": 1, "memory": "100M", "disk": "1M"}
MIB = 1024 * 1024


def noop(job, i):
    return i


def total(job, numbers):
    return sum(numbers)


def fan(job, n):
    numbers = [job.addChildJobFn(noop, i, **SMALL).rv() for i in range(n)]
    return job.addFollowOnJobFn(total, numbers, **SMALL).rv()


def marked(job, i):
    return mark(i)


def marked_fan(job, n):
    numbers = [job.addChildJobFn(marked, i, **SMALL).rv() for i in range(n)]
    return job.addFollowOnJobFn(total, numbers, **SMALL).rv()


def increment(job, value):
    return value + 1


def chain(job, n):
    last, value = job, 0
    for _ in range(n):
        hop = Job.wrapJobFn(increment, value, **SMALL)
        if last is job:
            job.addFollowOn(hop)
        else:
            last.addChild(hop)
        last, value = hop, hop.rv()
    return value


def add(job, left, right):
    return 1 + left + right


def node(job, depth):
    if depth == 0:
        return 1
    left, right = (job.addChildJobFn(node, depth - 1, **SMALL).rv() for _ in range(2))
    return job.addFollowOnJobFn(add, left, right, **SMALL).rv()


def hello(job):
    return 1


def write(job, i):
    with job.fileStore.writeGlobalFileStream() as (file, file_id):
        file.write(bytes([i % 256]) * MIB)
    return file_id


def read(job, ids):
    size = 0
    for one in ids:
        with open(job.fileStore.readGlobalFile(one), "rb") as file:
            size += len(file.read())
    return size


def files(job, n):
    ids = [job.addChildJobFn(write, i, **{**SMALL, "disk": "2M"}).rv() for i in range(n)]
    return job.addFollowOnJobFn(read, ids, **{**SMALL, "disk": "300M"}).rv()


if __name__ == "__main__":
    scenario, n = sys.argv[1], int(sys.argv[2])
    work = {"A": (fan, n), "B": (chain, n), "C": (node, n), "D": (hello,), "E": (files, n), "F": (marked_fan, n)}[scenario]
    options = Job.Runner.getDefaultOptions("file:" + os.path.abspath("job-store"))
    options.logLevel = "ERROR"
    options.workDir = os.environ["TMPDIR"]
    options.maxCores = int(os.environ["BENCH_WORKERS"])
    options.restart = "BENCH_RESUME" in os.environ
    with Toil(options) as toil:
        result = toil.restart() if options.restart else toil.start(Job.wrapJobFn(*work, **SMALL))
    print("RESULT", result)
