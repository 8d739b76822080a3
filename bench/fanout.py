"""A wide fan-out on Moil alone: time and memory of the leader as the number of jobs grows.

    python bench/fanout.py [--isolation job,worker] [--sizes 1000,10000,100000] [--cache DIR]

The Python that runs this must be able to import moil. The job stores are kept until they have been measured.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

import measure
from environments import program, variables
from systems import SCENARIOS, SYSTEMS
from tables import number


def main() -> None:
    options = _options()
    measure.become_subreaper()
    home = Path(options.cache).expanduser().resolve() / "work"
    home.mkdir(parents=True, exist_ok=True)
    head = ["isolation", "jobs", "wall s", "ms a job", "CPU ms a job", "of it the leader's", "leader MiB", "all MiB", "store MiB / files", "others' load"]
    print(f"| {' | '.join(head)} |\n|---|{'--:|' * (len(head) - 1)}", flush=True)
    for isolation in options.isolation.split(","):
        for size in map(int, options.sizes.split(",")):
            print(f"| {' | '.join(_row(isolation, size, options, home))} |", flush=True)


def _row(isolation: str, size: int, options: argparse.Namespace, home: Path) -> list[str]:
    cost = _run(isolation, size, options, home)
    right = f"RESULT {SCENARIOS['A'].answer(size)}" in cost.output.splitlines()
    if not right:
        return [isolation, f"{size:,}", f"failed: {cost.output[-300:]!r}"]
    print(json.dumps({"isolation": isolation, "size": size, "wall": cost.wall, "cpu": cost.cpu, "leader_mib": cost.leader_mib}), file=sys.stderr)
    return [
        isolation, f"{size:,}", number(cost.wall), number(1000 * cost.wall / size), number(1000 * cost.cpu / size),
        number(1000 * cost.leader_cpu / size), number(cost.leader_mib), number(cost.tree_mib),
        f"{number(cost.left_mib)} / {cost.left_files:,}", f"{100 * cost.foreign:.0f} %",
    ]


def _run(isolation: str, size: int, options: argparse.Namespace, home: Path) -> measure.Cost:
    system = next(one for one in SYSTEMS if one.group == "moil" and one.variant == isolation)
    work = Path(tempfile.mkdtemp(prefix="fanout-", dir=home))
    try:
        env = variables(system, Path(sys.executable), work, options.workers) | {"BENCH_CLEAN": "never"}
        argv = [sys.executable, str(program(system)), "A", str(size)]
        return measure.run(argv, env=env, work=work, timeout=options.timeout)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--isolation", default="job,worker")
    parser.add_argument("--sizes", default="1000,10000,100000")
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)), help="jobs at one time (the cores there are)")
    parser.add_argument("--timeout", type=float, default=1800, help="seconds a run may take (1800)")
    parser.add_argument("--cache", default="~/.cache/moil-bench", help="where the work directories are; a disk, not a tmpfs")
    return parser.parse_args()


if __name__ == "__main__":
    main()
