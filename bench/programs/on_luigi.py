"""luigi, local scheduler, a forked process a task. Its state is the files that the tasks leave."""

import os
import sys

import luigi
from marks import mark

HERE = os.getcwd()


class Task(luigi.Task):
    def key(self):
        return "-".join([type(self).__name__, *map(str, self.param_args)])

    def output(self):
        return luigi.LocalTarget(f"{HERE}/out/{self.key()}")

    def put(self, value):
        with self.output().open("w") as file:
            file.write(str(value))


def value(target):
    with target.open() as file:
        return int(file.read())


class Noop(Task):
    i = luigi.IntParameter()

    def run(self):
        self.put(self.i)


class Marked(Noop):
    def run(self):
        self.put(mark(self.i))


class Fan(Task):
    n = luigi.IntParameter()
    kind = Noop

    def requires(self):
        return [self.kind(i=i) for i in range(self.n)]

    def run(self):
        self.put(sum(map(value, self.input())))


class MarkedFan(Fan):
    kind = Marked


class Increment(Task):
    i = luigi.IntParameter()

    def requires(self):
        return [Increment(i=self.i - 1)] if self.i > 1 else []

    def run(self):
        self.put(1 + sum(map(value, self.input())))


class Node(Task):
    depth = luigi.IntParameter()
    place = luigi.IntParameter(default=1)

    def run(self):
        if self.depth == 0:
            self.put(1)
            return
        children = yield [Node(depth=self.depth - 1, place=2 * self.place + side) for side in range(2)]
        self.put(1 + sum(map(value, children)))


class Hello(Task):
    n = luigi.IntParameter()

    def run(self):
        self.put(1)


class Write(Task):
    i = luigi.IntParameter()

    def output(self):
        return luigi.LocalTarget(f"{HERE}/out/{self.key()}", format=luigi.format.Nop)

    def run(self):
        self.put_bytes(bytes([self.i % 256]) * 1048576)

    def put_bytes(self, data):
        with self.output().open("w") as file:
            file.write(data)


class Read(Task):
    n = luigi.IntParameter()

    def requires(self):
        return [Write(i=i) for i in range(self.n)]

    def run(self):
        size = 0
        for one in self.input():
            with one.open() as file:
                size += len(file.read())
        self.put(size)


if __name__ == "__main__":
    scenario, n = sys.argv[1], int(sys.argv[2])
    root = {"A": Fan, "B": Increment, "C": Node, "D": Hello, "E": Read, "F": MarkedFan}[scenario](n)
    sys.setrecursionlimit(20_000)
    luigi.build([root], local_scheduler=True, workers=int(os.environ["BENCH_WORKERS"]), log_level="ERROR")
    print("RESULT", value(root.output()), flush=True)
