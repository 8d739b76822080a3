"""The same for Toil. Its single_machine deploys nothing, so a batch system that does is registered: single_machine, with the
user script brought once to the machine, as Toil's Mesos executor does. Arguments: MARKS MODULES STORE DEPLOY."""

import importlib
import os
import sys
import time
from pathlib import Path

PACKAGE = f"{__package__}." if __package__ else ""
SIBLINGS = [importlib.import_module(PACKAGE + path.stem) for path in sorted(Path(__file__).parent.glob("helper*.py"))]

from toil.common import Toil  # noqa: E402
from toil.job import Job  # noqa: E402

SMALL = {"cores": 1, "memory": "100M", "disk": "1M"}


def mark(marks):
    with open(marks, "a") as file:
        file.write(f"{time.time()} {__file__} {sum(one.VALUE for one in SIBLINGS)}\n")


def child(job, marks, modules, number):
    mark(marks)
    for name in modules.split(",") if modules else ():
        importlib.import_module(name)
    return number


def total(job, numbers):
    return sum(numbers)


def root(job, marks, modules):
    mark(marks)
    children = [job.addChildJobFn(child, marks, modules, number, cores=1, memory="400M", disk="1M") for number in range(10)]
    return job.addFollowOnJobFn(total, [one.rv() for one in children], **SMALL).rv()


def register():
    from toil.batchSystems.registry import add_batch_system_factory
    from toil.batchSystems.singleMachine import SingleMachineBatchSystem
    from toil.resource import Resource

    class Deploying(SingleMachineBatchSystem):
        @classmethod
        def supportsAutoDeployment(cls):
            return True

        @classmethod
        def add_options(cls, parser):
            """The parent has added them."""

        def setUserScript(self, script):
            Resource.prepareSystem()
            script.register()

    add_batch_system_factory("deploying", lambda: Deploying)


def main():
    marks, modules, store, deploy = sys.argv[1:]
    options = Job.Runner.getDefaultOptions(f"file:{store}")
    options.logLevel, options.clean, options.workDir = "ERROR", "never", os.environ["TMPDIR"]
    if deploy == "yes":
        register()
        options.batchSystem = "deploying"
    with Toil(options) as toil:
        print("RESULT", toil.start(Job.wrapJobFn(root, marks, modules, **SMALL)))


if __name__ == "__main__":
    main()
