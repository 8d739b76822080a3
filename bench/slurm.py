"""The same fan-out on a real Slurm, by Moil with and without pilots and by Toil: jobs a second, and calls to the scheduler.

    python bench/slurm.py [--jobs 1000] [--toil-jobs 50] [--cluster NAME] [--systems arrays,arrays-worker,pilots,pilots-worker,members,toil]

The cluster is that of the tests (a controller and two hosts in containers on this machine, see tests/cluster); it is
brought up and taken down again, or NAME is one that is up. Toil gets what it needs, its project, its environment and its
job store on the directory that all hosts share, and fewer jobs, since it takes long. In its favour its start-up is left out:
its rate is that of the jobs by which a run of many differs from a run of few. Calls are counted by scripts of the commands' names that stand before them on the leader's PATH.
"""

from __future__ import annotations

import argparse
import secrets
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.cluster.slurm import LEADER, SlurmCluster

COMMANDS = ("sbatch", "squeue", "sacct", "scontrol", "scancel")
COUNTED, CALLS = "/home/moil/counted", "/home/moil/calls"
TOIL, OUTSIDE = "/shared/toil-venv", "../../../shared/toil-venv"
MOIL = ("--batch-system", "slurm", "--no-progress", "--default-memory", "100 MiB")
SYSTEMS = {
    "pilots": ("Moil, 2 pilots, a process a job", ("--pilots", "2")),
    "pilots-worker": ("Moil, 2 pilots, warm processes", ("--pilots", "2", "--isolation", "worker")),
    "arrays": ("Moil, arrays, a process a job", ()),
    "arrays-worker": ("Moil, arrays, warm processes", ("--isolation", "worker")),
    "members": ("Moil, arrays, a member for each job", ("--pilots", "0")),
    "toil": ("Toil 9.6.0", ()),
}


@dataclass(frozen=True, kw_only=True)
class Ran:
    """One run of one system."""

    jobs: int
    wall: float
    calls: Counter[str]
    #: Seconds that are not counted.
    start_up: float = 0.0

    @property
    def rate(self) -> float:
        """Jobs a second over all, start-up and end included."""
        return self.jobs / (self.wall - self.start_up)


def main() -> None:
    """Run them all, and print a table."""
    options = _options()
    with _cluster(options.cluster) as slurm:
        _prepare(slurm)
        found = {name: _best(slurm, name, options) for name in options.systems.split(",")}
    print("| | jobs | wall s | jobs/s | ÷ Toil's | calls of the scheduler | a job |")
    print("|---|--:|--:|--:|--:|---|--:|")
    toil = found["toil"].rate if "toil" in found else 0.0
    for name, ran in found.items():
        calls = ", ".join(f"{count} {command}" for command, count in sorted(ran.calls.items()))
        ratio = f"{ran.rate / toil:.1f}" if toil else "-"
        each = ran.calls.total() / ran.jobs
        print(f"| {SYSTEMS[name][0]} | {ran.jobs:,} | {ran.wall:.1f} | {ran.rate:.1f} | {ratio} | {calls} | {each:.3f} |")


def _best(slurm: SlurmCluster, name: str, options: argparse.Namespace) -> Ran:
    """Of several runs the quickest: what others do on this machine only makes them slower."""
    if name == "toil":
        few, many = (_run(slurm, name, jobs, options) for jobs in (1, options.toil_jobs))
        return replace(many, start_up=few.wall - (many.wall - few.wall) / (many.jobs - few.jobs))
    return min((_run(slurm, name, options.jobs, options) for _ in range(options.reps)), key=lambda ran: ran.wall)


def _run(slurm: SlurmCluster, name: str, jobs: int, options: argparse.Namespace) -> Ran:
    store = f"/shared/bench-{secrets.token_hex(4)}"
    if name == "toil":
        argv = [f"{TOIL}/bin/python", "slurm_toil.py", str(jobs), store]
    else:
        argv = [f"{LEADER}/bin/python", "slurm_moil.py", str(jobs), "--job-store", store, *MOIL, *SYSTEMS[name][1]]
    slurm.on("ctl", ["rm", "-f", CALLS])
    variables = {"PATH": f"{COUNTED}:{TOIL}/bin:/usr/local/bin:/usr/bin:/bin", "TOIL_SLURM_ARGS": "--time=10"}
    start = time.monotonic()
    done = slurm.leader(argv, cwd="/shared/bench", env=variables, timeout=options.timeout)
    wall = time.monotonic() - start
    if done.returncode or done.stdout.split()[-1:] != [str(sum(range(jobs)))]:
        raise SystemExit(f"{name}: {done.returncode} {done.stdout[-500:]} {done.stderr[-3000:]}")
    calls = Counter(slurm.read(CALLS).split())
    print(f"{name}: {jobs} jobs, {wall:.2f} s, {dict(calls)}", file=sys.stderr, flush=True)
    slurm.quiet()
    return Ran(jobs=jobs, wall=wall, calls=calls)


def _prepare(slurm: SlurmCluster) -> None:
    for name in ("slurm_moil.py", "slurm_toil.py"):
        slurm.copy_in(Path(__file__).parent / "programs" / name, f"/shared/bench/{name}")
    lines = "\n".join(
        f"printf '#!/bin/sh\\necho {name} >> {CALLS}\\nexec %s \"$@\"\\n' $(command -v {name}) > {COUNTED}/{name}"
        for name in COMMANDS
    )
    made = slurm.leader(["sh", "-c", f"mkdir -p {COUNTED} && {lines}\nchmod +x {COUNTED}/*"])
    assert made.returncode == 0, made.stderr
    if slurm.on("ctl", ["test", "-x", f"{TOIL}/bin/toil"]).returncode:
        slurm.leader(["mkdir", "-p", "/home/moil/venvs"])
        slurm.venv(["toil==9.6.0"], name=OUTSIDE)
        mend = f"grep -rlI {OUTSIDE} . | xargs -r sed -i 's|/home/moil/venvs/{OUTSIDE}|{TOIL}|g'"
        assert slurm.leader(["sh", "-c", mend], cwd=f"{TOIL}/bin").returncode == 0


@contextmanager
def _cluster(name: str) -> Iterator[SlurmCluster]:
    if name:
        yield SlurmCluster.attach(name)
        return
    with SlurmCluster() as slurm:
        yield slurm


def _options() -> argparse.Namespace:
    assert __doc__
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--toil-jobs", type=int, default=50)
    parser.add_argument("--reps", type=int, default=3)
    parser.add_argument("--cluster", default="", help="the name of a cluster that is up")
    parser.add_argument("--systems", default="arrays,arrays-worker,pilots,pilots-worker,members,toil")
    parser.add_argument("--timeout", type=float, default=1200.0)
    return parser.parse_args()


if __name__ == "__main__":
    main()
