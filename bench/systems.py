"""The systems that are compared, and the work."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class System:
    """One row of the tables."""

    name: str
    #: Names the environment, the program, and the row's group on the command line.
    group: str
    variant: str = ""
    packages: tuple[str, ...] = ()
    #: Where the code of a job runs.
    isolation: str
    #: What is kept of a finished job when the leader is killed, or the power goes.
    durable: str = "no"
    #: It has a process without which nothing goes on.
    leader: bool = True
    notes: str = ""

    @property
    def resumes(self) -> bool:
        """Whether there is anything that a killed run could go on from."""
        return self.durable != "no"


_GROUP_COMMIT = "yes, flushed"

SYSTEMS = (
    System(
        name="moil",
        group="moil",
        variant="job",
        isolation="a process a job (fork)",
        durable=_GROUP_COMMIT,
        notes="journal: one fdatasync a batch of events, before anything that follows from them; saved files: fdatasync each",
    ),
    System(
        name="moil, isolation worker",
        group="moil",
        variant="worker",
        isolation="reused workers",
        durable=_GROUP_COMMIT,
        notes="as moil",
    ),
    System(
        name="toil",
        group="toil",
        packages=("toil==9.6.0",),
        isolation="a process a job, or a chain of them",
        durable="yes, not flushed",
        notes="a file a job in its job store; survives a killed leader, is not flushed to the disk",
    ),
    System(
        name="jug",
        group="jug",
        packages=("jug==2.7.0",),
        isolation="reused workers",
        durable="yes, flushed",
        leader=False,
        notes="no leader, so in F its workers are killed; C is laid out beforehand; a worker with nothing to do sleeps a second; E through its store, compressed",
    ),
    System(
        name="dbos",
        group="dbos",
        packages=("dbos==3.4.0",),
        isolation="the leader's own threads",
        durable="yes, flushed",
        notes="SQLite; B, E, F are steps of one workflow, one after another; E writes plain files",
    ),
    System(
        name="luigi",
        group="luigi",
        packages=("luigi==3.8.1",),
        isolation="a process a job (fork)",
        durable="yes, not flushed",
        notes="its state is the files that tasks leave",
    ),
    System(
        name="redun",
        group="redun",
        packages=("redun==0.44.1",),
        isolation="reused workers",
        durable="partly",
        notes="SQLite; writes down later than it runs, so some of what has ended runs again; E writes plain files",
    ),
    System(
        name="dask",
        group="dask",
        packages=("dask==2026.8.0", "distributed==2026.8.0"),
        isolation="reused workers",
        notes="keeps no state; E passes bytes through memory, no files",
    ),
    System(
        name="parsl",
        group="parsl",
        packages=("parsl==2026.10.26",),
        isolation="reused workers",
        notes="HighThroughputExecutor without checkpoints; C runs the recursion in the leader (join_app)",
    ),
    System(
        name="ray",
        group="ray",
        packages=("ray==2.60.0",),
        isolation="reused workers",
        notes="keeps no state; leader MiB is the driver alone, its daemons are in all MiB; E passes bytes through shared memory",
    ),
    System(
        name="executorlib, a process a call",
        group="executorlib",
        variant="call",
        packages=("executorlib==1.11.0",),
        isolation="a process a job (fresh interpreter)",
        notes="C is laid out by the leader; E writes plain files",
    ),
    System(
        name="executorlib, reused workers",
        group="executorlib",
        variant="block",
        packages=("executorlib==1.11.0",),
        isolation="reused workers",
        notes="block allocation; C is laid out by the leader; E writes plain files",
    ),
    System(
        name="doit",
        group="doit",
        packages=("doit==0.37.0",),
        isolation="reused workers",
        notes="writes its state at the end; C is laid out beforehand; E writes plain files",
    ),
    System(
        name="hyperqueue",
        group="hyperqueue",
        packages=("hyperqueue==0.27.0",),
        isolation="a process a job (fresh interpreter)",
        notes="Python API; values pass as files; C is laid out beforehand; its journal is not in the package on PyPI",
    ),
    System(
        name="floor: fork a job",
        group="floor",
        variant="fork",
        isolation="a process a job (fork)",
        notes="no engine: os.fork and a pipe",
    ),
    System(
        name="floor: reused workers",
        group="floor",
        variant="pool",
        isolation="reused workers",
        notes="no engine: processes and pipes",
    ),
)
GROUPS = tuple(dict.fromkeys(one.group for one in SYSTEMS))


@dataclass(frozen=True)
class Scenario:
    """One piece of work. `size` is N: jobs, hops, depth, files."""

    letter: str
    title: str
    sizes: tuple[int, ...]

    def jobs(self, size: int) -> int:
        """What CPU and time are divided by."""
        return {"C": 2 ** (size + 1) - 1, "D": 1}.get(self.letter, size)

    def answer(self, size: int) -> int:
        """What the program must print."""
        return {
            "A": size * (size - 1) // 2,
            "B": size,
            "C": 2 ** (size + 1) - 1,
            "D": 1,
            "E": size * 1024 * 1024,
            "F": size * (size - 1) // 2,
        }[self.letter]


SCENARIOS = {
    one.letter: one
    for one in (
        Scenario("A", "a fan-out of no-op jobs and a job that sums", (100, 1_000, 10_000, 100_000)),
        Scenario("B", "a chain: every job adds one to what the last returned", (200,)),
        Scenario("C", "a binary recursion: every job above depth 0 makes two", (9, 13)),
        Scenario("D", "hello world: one job", (1,)),
        Scenario("E", "files of 1 MiB: a job writes each, one job reads all", (200,)),
        Scenario("F", "a fan-out whose leader is killed in the middle, and its resumption", (200, 10_000)),
    )
}
