"""Toil on Slurm: N jobs that return their argument, and one that sums. Project, environment and job store are shared."""

import sys

from toil.common import Toil
from toil.job import Job

SMALL = {"cores": 1, "memory": "100M", "disk": "1M"}


def noop(job, i):
    return i


def total(job, numbers):
    return sum(numbers)


def fan(job, n):
    numbers = [job.addChildJobFn(noop, i, **SMALL).rv() for i in range(n)]
    return job.addFollowOnJobFn(total, numbers, **SMALL).rv()


if __name__ == "__main__":
    n, store = int(sys.argv[1]), sys.argv[2]
    options = Job.Runner.getDefaultOptions(f"file:{store}")
    options.batchSystem = "slurm"
    options.logLevel = "ERROR"
    options.disableProgress = True
    options.statePollingWait = 1
    with Toil(options) as toil:
        print(toil.start(Job.wrapJobFn(fan, n, **SMALL)))
