"""Scenario F: the leader is killed in the middle of a fan-out, and the run is resumed as its system says.

Every job leaves a mark when its code has run. A job that had left its mark before the resumption and leaves another one
after it ran again: what its system knew of it was lost, or was not yet known. A job that was running when its process was
killed may leave its mark and not be known: up to one for each worker is nobody's fault.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import measure

SMALL = 200
SLEEP = 0.02
"""Seconds that each job takes where there are no more than SMALL: so that slow systems are caught in the middle too."""
ORPHANS = 3.0
"""Seconds after the leader's death in which what it started may end by itself."""


@dataclass(frozen=True, kw_only=True)
class Resumed:
    """What was seen."""

    right: bool
    error: str
    before: int  #: jobs whose code had run before the resumption
    again: int  #: of those, how many ran once more
    alive: int  #: processes that outlived the leader by ORPHANS
    first: float  #: seconds from the resumption's start to the end of its first job
    wall: float  #: seconds of the resumption


def run(
    argv: Sequence[str], *, env: Mapping[str, str], work: Path, size: int, answer: int, orphans: float, timeout: float
) -> Resumed:
    """Start the program, kill its leader when half the jobs are done, and start it again.

    `orphans`: seconds that what the leader has started may live on, before it is killed as well.
    """
    marks = work / "marks"
    env = {**env, "BENCH_MARKS": str(marks)}
    _run_half(argv, env, work, marks, size // 2, timeout)
    alive = measure.end_descendants(orphans)
    before = _read(marks)
    started = time.time()
    cost = measure.run(argv, env={**env, "BENCH_RESUME": "1"}, work=work, timeout=timeout)
    after = _read(marks)[len(before) :]
    right = f"RESULT {answer}" in cost.output.splitlines()
    return Resumed(
        right=right,
        error="" if right else "not done in time" if cost.timed_out else (cost.output.strip().splitlines() or [f"exit status {cost.status}"])[-1][:200],
        before=len(before),
        again=len({one for one, _ in before} & {one for one, _ in after}),
        alive=alive,
        first=min((when for _, when in after), default=started) - started,
        wall=cost.wall,
    )


def _run_half(argv: Sequence[str], env: Mapping[str, str], work: Path, marks: Path, half: int, timeout: float) -> None:
    with open(os.devnull, "r+b") as nothing:
        leader = subprocess.Popen(
            argv, env=dict(env), cwd=work, stdin=nothing, stdout=nothing, stderr=nothing, start_new_session=True
        )
    patience = time.monotonic() + timeout
    while len(_read(marks)) < half and leader.poll() is None and time.monotonic() < patience:
        time.sleep(0.005)
    leader.send_signal(signal.SIGKILL)
    leader.wait()


def _read(marks: Path) -> list[tuple[int, float]]:
    if not marks.exists():
        return []
    return [(int(one), float(when)) for one, when in map(str.split, marks.read_text().splitlines())]
