"""The systems that are compared, an environment for each, and what is the same for all of them."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROGRAMS = Path(__file__).resolve().parent / "programs"


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
    notes: str = ""


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
        }[self.letter]


SCENARIOS = {
    one.letter: one
    for one in (
        Scenario("A", "a fan-out of no-op jobs and a job that sums", (100, 1_000, 10_000, 100_000)),
        Scenario("B", "a chain: every job adds one to what the last returned", (200,)),
        Scenario("C", "a binary recursion: every job above depth 0 makes two", (9,)),
        Scenario("D", "hello world: one job", (1,)),
        Scenario("E", "files of 1 MiB: a job writes each, one job reads all", (200,)),
    )
}


class Environments:
    """A virtual environment a group, made once and kept under `cache`."""

    def __init__(self, cache: Path) -> None:
        self._home = cache / "environments"

    def python(self, group: str) -> Path:
        """Its interpreter."""
        return self._home / group / "bin" / "python"

    def prepare(self, group: str) -> None:
        """Make it, or bring it up to date. Raises CalledProcessError."""
        wanted = self._wanted(group)
        mark = self._home / group / "installed.json"
        if mark.exists() and json.loads(mark.read_text()) == wanted:
            return
        if not self.python(group).exists():
            _call(sys.executable, "-m", "venv", self._home / group)
        if wanted["packages"]:
            pip = (self.python(group), "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
            _call(*pip, *wanted["packages"])
            if group == "moil":
                # Same version, other code: pip would leave the old one where it is.
                _call(*pip, "--force-reinstall", "--no-deps", *wanted["packages"])
        mark.write_text(json.dumps(wanted))

    def versions(self, group: str) -> dict[str, str]:
        """Of the packages that were asked for."""
        names = ["moil"] if group == "moil" else [one.partition("==")[0] for one in self._wanted(group)["packages"]]
        code = "import sys, importlib.metadata as m, json; print(json.dumps({n: m.version(n) for n in sys.argv[1:]}))"
        found: dict[str, str] = json.loads(subprocess.check_output([self.python(group), "-c", code, *names], text=True))
        return found

    def _wanted(self, group: str) -> dict[str, object]:
        packages = next(one.packages for one in SYSTEMS if one.group == group)
        wanted: dict[str, object] = {"python": sys.version, "packages": list(packages)}
        if group == "moil":
            wanted |= {"packages": [str(ROOT)], "source": _digest_of_source()}
        return wanted


def _digest_of_source() -> str:
    digest = hashlib.sha256()
    for path in sorted([ROOT / "pyproject.toml", *(ROOT / "src").rglob("*.py")]):
        digest.update(f"{path}\0".encode() + path.read_bytes())
    return digest.hexdigest()


def _call(*command: str | Path) -> None:
    subprocess.run(command, check=True, stdout=sys.stderr, timeout=1800)


def variables(system: System, python: Path, work: Path, workers: int) -> dict[str, str]:
    """The environment of a run: its own home and temporary directory, and no settings of whoever measures."""
    dropped = ("MOIL_", "TOIL_", "DASK_", "PARSL_", "RAY_", "PYTHON", "VIRTUAL_ENV")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    for name in ("home", "tmp"):
        (work / name).mkdir()
    return {
        **kept,
        "PATH": f"{python.parent}:{os.defpath}",
        "VIRTUAL_ENV": str(python.parent.parent),
        "HOME": str(work / "home"),
        "TMPDIR": str(work / "tmp"),
        "RAY_USAGE_STATS_ENABLED": "0",
        "BENCH_VARIANT": system.variant,
        "BENCH_WORKERS": str(workers),
    }


def program(system: System) -> Path:
    """What the system runs."""
    return PROGRAMS / f"on_{system.group}.py"
