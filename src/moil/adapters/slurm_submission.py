"""What Slurm's commands are told: the arguments of sbatch for an array, and the shortest way to name members.

Everything is an argument vector; no shell reads any of it. What the engine itself needs on a machine comes on top of
what the job asked for: `WORKER_MEMORY` for the worker process beside the job's, `START_ALLOWANCE` for bringing the program
to the machine before the job's own time begins. The worker keeps the job's limits, Slurm those of the whole, so a job that
takes too much is normally told so by the worker, with its log; Slurm is there for what the worker cannot see.

The comment of an array is its label, then ``#`` and its size: so the members of an array are known even when Slurm has
forgotten some of them. Nothing is ever requeued by Slurm; the engine tries again itself, and counts.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence

from moil.adapters.slurm_settings import Extra, SlurmSettings
from moil.core.requirements import MIB, Accelerator, Requirements
from moil.ports.scheduler import Array, SchedulerId

WORKER_MEMORY = 64 * MIB
"""Bytes for the worker itself, asked for on top of a job's memory."""
START_ALLOWANCE = 300.0
"""Seconds for starting a worker, asked for on top of a job's walltime."""

LONGEST_NAME = 64
_MOST_SPECS = 200
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._:@+=-]+")


def job_name(text: str) -> str:
    """A name that every version of Slurm takes and prints as it is."""
    return _NOT_IN_NAMES.sub("_", text).strip("_")[:LONGEST_NAME] or "moil"


def comment(array: Array) -> str:
    """What Slurm is made to remember of an array."""
    return f"{array.label}#{array.size}"


def read_comment(text: str) -> tuple[str, int] | None:
    """The label and the size in a comment; None if it is nobody's array of ours."""
    label, mark, size = text.rpartition("#")
    return (label, int(size)) if mark and size.isdecimal() else None


def sbatch_arguments(array: Array, settings: SlurmSettings, extra: Extra, longest: int | None = None) -> list[str]:
    """The arguments of sbatch; the script goes to its standard input. `longest`: minutes that the partition allows."""
    needs = array.requirements
    log = f"{array.logs.replace('%', '%%')}/%A_%a.log" if array.logs and "\\" not in array.logs else "/dev/null"
    return [
        "--parsable",
        *extra.arguments,
        f"--array=0-{array.size - 1}",
        f"--job-name={job_name(array.name)}",
        f"--comment={comment(array)}",
        "--nodes=1",
        "--ntasks=1",
        f"--cpus-per-task={math.ceil(needs.cores)}",
        f"--mem={mebibytes(needs.memory)}M",
        *_time(needs, array.roomy, settings, longest),
        *_gres(needs.accelerators, settings.gres, extra.gres),
        *_place(settings, with_devices=bool(needs.accelerators)),
        "--no-requeue",
        "--export=NONE",
        "--chdir=/",
        f"--output={log}",
        f"--error={log}",
    ]


def mebibytes(memory: int) -> int:
    """What Slurm is asked for when a job asks for so many bytes."""
    return math.ceil((memory + WORKER_MEMORY) / MIB)


def minutes_for(needs: Requirements, roomy: float, longest: int | None) -> int | None:
    """The time limit of a member; None if it states none. `longest`: minutes that the partition allows.

    A walltime that the partition just allows is not made too long by what comes on top.
    """
    if needs.walltime is None:
        return None
    minutes = math.ceil((max(needs.walltime, roomy) + START_ALLOWANCE) / 60)
    return min(minutes, longest) if longest is not None and needs.walltime <= longest * 60 else minutes


def _time(needs: Requirements, roomy: float, settings: SlurmSettings, longest: int | None) -> Iterator[str]:
    minutes = minutes_for(needs, roomy, longest)
    if minutes is not None:
        yield f"--time={minutes}"
    elif settings.time:
        yield f"--time={settings.time.strip()}"


def _gres(devices: Sequence[Accelerator], template: str, more: Sequence[str]) -> Iterator[str]:
    words = [template.format(kind=one.kind, model=one.model or "", count=one.count) for one in devices]
    if words or more:
        yield f"--gres={','.join([*more, *(word.replace('::', ':').strip(':') for word in words)])}"


def partition_of(settings: SlurmSettings, *, with_devices: bool) -> str | None:
    """Where jobs go that ask for devices, or for none; None: Slurm's default."""
    return (settings.gpu_partition if with_devices else None) or settings.partition


def _place(settings: SlurmSettings, *, with_devices: bool) -> Iterator[str]:
    wanted = {
        "partition": partition_of(settings, with_devices=with_devices),
        "account": settings.account,
        "qos": settings.qos,
        "constraint": settings.constraint,
        "reservation": settings.reservation,
        "exclude": settings.exclude,
    }
    return (f"--{name}={value}" for name, value in wanted.items() if value)


def member(array: str, number: int) -> SchedulerId:
    """What Slurm calls a member."""
    return f"{array}_{number}"


def members(array: str, size: int) -> list[SchedulerId]:
    """All of an array's."""
    return [member(array, number) for number in range(size)]


def array_of(one: str) -> str:
    """The array of a member, or of several."""
    return one.partition("_")[0]


def by_array(ids: Collection[SchedulerId]) -> dict[str, set[int]]:
    """The numbers of the members, by array."""
    found: dict[str, set[int]] = defaultdict(set)
    for one in ids:
        array, _, number = one.partition("_")
        found[array].add(int(number))
    return found


def cancel_arguments(ids: Collection[SchedulerId], sizes: Mapping[str, int]) -> Iterator[list[str]]:
    """Arguments of scancel that name these members, a bounded number at a time; arrays that are whole by one word."""
    words: list[str] = []
    for array, numbers in by_array(ids).items():
        whole = len(numbers) == sizes.get(array)
        words.extend([array] if whole else (f"{array}_[{one}]" for one in _chunks(_spans(sorted(numbers)))))
    return (words[start : start + _MOST_SPECS] for start in range(0, len(words), _MOST_SPECS))


def _chunks(spans: Sequence[str]) -> Iterator[str]:
    return (",".join(spans[start : start + _MOST_SPECS]) for start in range(0, len(spans), _MOST_SPECS))


def _spans(numbers: Sequence[int]) -> list[str]:
    """Ascending numbers as Slurm writes them: ``0-3``, ``7``."""
    spans: list[tuple[int, int]] = []
    for number in numbers:
        if spans and spans[-1][1] == number - 1:
            spans[-1] = (spans[-1][0], number)
        else:
            spans.append((number, number))
    return [str(first) if first == last else f"{first}-{last}" for first, last in spans]
