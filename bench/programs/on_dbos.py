"""DBOS Transact, its state in SQLite. User code runs in threads of the one process there is.

A and C: a workflow for each job, through a queue in A. B, E and F: steps of one workflow, one after another.
"""

import os
import sys

from dbos import DBOS, SetWorkflowID
from marks import mark

HERE = os.getcwd()
DBOS(
    config={
        "name": "bench", "system_database_url": f"sqlite:///{HERE}/dbos.sqlite", "log_level": "ERROR",
        "run_admin_server": False, "application_version": "1", "executor_id": "local",
    }
)


@DBOS.step()
def noop(i):
    return i


@DBOS.step()
def marked(i):
    return mark(i)


@DBOS.workflow()
def one_noop(i):
    return noop(i)


@DBOS.step()
def total(numbers):
    return sum(numbers)


@DBOS.workflow()
def fan(n):
    return total([handle.get_result() for handle in [queue.enqueue(one_noop, i) for i in range(n)]])


@DBOS.workflow()
def fan_of_steps(n):
    return total([marked(i) for i in range(n)])


@DBOS.step()
def increment(value):
    return value + 1


@DBOS.workflow()
def chain(n):
    value = 0
    for _ in range(n):
        value = increment(value)
    return value


@DBOS.workflow()
def node(depth):
    return 1 if depth == 0 else 1 + node(depth - 1) + node(depth - 1)


@DBOS.workflow()
def hello(n):
    return increment(0)


@DBOS.step()
def write(i):
    path = f"{HERE}/f{i}"
    with open(path, "wb") as file:
        file.write(bytes([i % 256]) * 1048576)
    return path


@DBOS.step()
def read(paths):
    return sum(len(open(path, "rb").read()) for path in paths)


@DBOS.workflow()
def files(n):
    return read([write(i) for i in range(n)])


if __name__ == "__main__":
    scenario, n = sys.argv[1], int(sys.argv[2])
    DBOS.launch()
    queue = DBOS.register_queue("queue", polling_interval_sec=0.05)
    workflow = {"A": fan, "B": chain, "C": node, "D": hello, "E": files, "F": fan_of_steps}[scenario]
    with SetWorkflowID("root"):
        result = DBOS.start_workflow(workflow, n).get_result()
    print("RESULT", result, flush=True)
    # What is left are threads that sleep: a user would have to wait for them only here.
    os._exit(0)
