"""No engine at all: what Python and the kernel take to run the same calls.

Variant `fork`: a bare `os.fork` a job, its result through a pipe. Variant `pool`: reused worker processes, a pipe each,
one job a message. No state is kept, nothing is flushed, and there are no dependencies: who calls knows the order.
"""

import multiprocessing
import os
import pickle
import select
import sys
from collections import deque
from multiprocessing.connection import wait

WORKERS = int(os.environ["BENCH_WORKERS"])


def noop(i):
    return i


def increment(value):
    return value + 1


def hello():
    return 1


def write(path, i):
    with open(path, "wb") as file:
        file.write(bytes([i % 256]) * 1048576)
    return path


def read(paths):
    return sum(len(open(path, "rb").read()) for path in paths)


def fork_each(calls):
    """The results of the calls, in order."""
    waiting, running, poll = deque(enumerate(calls)), {}, select.poll()
    results = [None] * len(waiting)
    while waiting or running:
        while waiting and len(running) < WORKERS:
            index, (function, *args) = waiting.popleft()
            source, target = os.pipe()
            pid = os.fork()
            if pid == 0:
                os.write(target, pickle.dumps(function(*args)))
                os._exit(0)
            os.close(target)
            running[source] = index, pid
            poll.register(source, select.POLLIN)
        for source, _ in poll.poll():
            index, pid = running.pop(source)
            results[index] = pickle.loads(os.read(source, 65536))
            poll.unregister(source)
            os.close(source)
            os.waitpid(pid, 0)
    return results


class Pool:
    def __init__(self):
        self._idle = []
        context = multiprocessing.get_context("fork")
        for _ in range(WORKERS):
            ours, theirs = context.Pipe()
            context.Process(target=self._work, args=(theirs,), daemon=True).start()
            theirs.close()
            self._idle.append(ours)

    @staticmethod
    def _work(channel):
        while True:
            try:
                index, (function, *args) = channel.recv()
            except EOFError:
                return
            channel.send((index, function(*args)))

    def __call__(self, calls):
        """The results of the calls, in order."""
        waiting, busy = deque(enumerate(calls)), set()
        results = [None] * len(waiting)
        while waiting or busy:
            while waiting and self._idle:
                channel = self._idle.pop()
                channel.send(waiting.popleft())
                busy.add(channel)
            for channel in wait(list(busy)):
                index, results[index] = channel.recv()
                busy.discard(channel)
                self._idle.append(channel)
        return results


if __name__ == "__main__":
    scenario, n = sys.argv[1], int(sys.argv[2])
    run = fork_each if os.environ["BENCH_VARIANT"] == "fork" else Pool()
    if scenario == "A":
        (result,) = run([(sum, run([(noop, i) for i in range(n)]))])
    elif scenario == "B":
        result = 0
        for _ in range(n):
            (result,) = run([(increment, result)])
    elif scenario == "C":
        result = sum(len(run([(noop, i) for i in range(2**level)])) for level in range(n + 1))
    elif scenario == "D":
        (result,) = run([(hello,)])
    elif scenario == "E":
        (result,) = run([(read, run([(write, f"{os.getcwd()}/{i}", i) for i in range(n)]))])
    print("RESULT", result)
