"""What the jobs of each name used, beside what they asked for, and what they had better ask for; the dearest first.

  jobs, attempts        jobs done; attempts that have ended, those without a result among them
  total, mean, longest  wall clock time of these attempts
  cores                 how many were busy in the mean, and how many were asked for
  used                  the share of the time on the cores asked for in which they were busy
  memory                the most that any attempt used, and the most that was asked for
  ask for               cores, and memory: the peak and a fifth, rounded up; "-" where too little is known

With --json: store, state (of the run), caveat, and names: a list of objects with name, jobs, attempts, ended (how many
attempts without a result by outcome, such as failed or out_of_memory), total, mean, longest, cpu (seconds),
cores_used, cores_asked, efficiency, peak_memory, memory_asked (bytes), suggested_cores, suggested_memory (or null).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from moil.cli.parsing import print_json, reading_parser
from moil.cli.reading import Run, opened_run
from moil.cli.table import columns
from moil.core.requirements import GIB, MIB, format_duration, format_size
from moil.core.summary import NameStats
from moil.runtime.status import stats_of

HEADER = ("job", "jobs", "attempts", "total", "mean", "longest", "cores", "used", "memory", "ask for")
ROOM = 1.2
"""How much more memory than was ever used is asked for."""
ENOUGH = 1.0
"""Seconds that jobs must have run in all before their CPU time tells anything."""
SLACK = 0.1
"""So much of a further core is not worth asking for."""
_STEPS = ((GIB, 64 * MIB), (16 * GIB, 256 * MIB), (math.inf, GIB))


def main(words: Sequence[str]) -> int:
    """``moil stats STORE``."""
    given = reading_parser(__name__, __doc__).parse_args(words)
    with opened_run(given.store) as run:
        names = [_fields(name, stats) for name, stats in stats_of(run.status).items()]
        names.sort(key=lambda one: (-one["total"], one["name"]))
        if given.json:
            print_json({"store": run.store.locator, "state": run.status.state, "caveat": run.caveat, "names": names})
        else:
            _print(run, names)
    return 0


def _print(run: Run, names: Sequence[dict[str, Any]]) -> None:
    if run.caveat:
        print(f"Note that {run.caveat}.\n")
    if not names:
        print(f"No attempt of run {run.name} has ended yet.")
        return
    print("\n".join(columns([HEADER, *map(_row, names)], right=range(1, len(HEADER) - 1))))


def _fields(name: str, stats: NameStats) -> dict[str, Any]:
    attempts = stats.done + sum(stats.ended.values())
    return {
        "name": name,
        "jobs": stats.done,
        "attempts": attempts,
        "ended": stats.ended,
        "total": stats.wall,
        "mean": _ratio(stats.wall, attempts),
        "longest": stats.longest,
        "cpu": stats.cpu,
        "cores_used": _ratio(stats.cpu, stats.wall),
        "cores_asked": stats.cores_asked,
        "efficiency": _ratio(stats.cpu, stats.core_seconds),
        "peak_memory": stats.peak_memory,
        "memory_asked": stats.memory_asked,
        "suggested_cores": suggested_cores(stats),
        "suggested_memory": suggested_memory(stats.peak_memory),
    }


def _ratio(one: float, other: float) -> float:
    return one / other if other else 0.0


def suggested_memory(peak: int) -> int | None:
    """The peak and a fifth, rounded up to a step that grows with it; None if the peak is not known."""
    wanted = peak * ROOM
    step = next(step for below, step in _STEPS if wanted <= below)
    return math.ceil(wanted / step) * step or None


def suggested_cores(stats: NameStats) -> float | None:
    """Whole cores (quarters for a job that asked for less than one); None if the jobs were too short to tell."""
    if stats.wall < ENOUGH:
        return None
    step = 0.25 if 0 < stats.cores_asked < 1 else 1.0
    return step * max(1, math.ceil((stats.cpu / stats.wall - SLACK) / step))


def _row(one: dict[str, Any]) -> tuple[str, ...]:
    return (
        one["name"],
        str(one["jobs"]),
        str(one["attempts"]),
        format_duration(one["total"]),
        format_duration(one["mean"]),
        format_duration(one["longest"]),
        f"{one['cores_used']:.1f} of {one['cores_asked']:g}",
        f"{one['efficiency']:.0%}",
        f"{format_size(one['peak_memory'])} of {format_size(one['memory_asked'])}",
        _advice(one["suggested_cores"], one["suggested_memory"]),
    )


def _advice(cores: float | None, memory: int | None) -> str:
    parts = [f"cores={cores:g}"] if cores is not None else []
    parts += [f'memory="{format_size(memory)}"'] if memory is not None else []
    return ", ".join(parts) or "-"
