"""What the cluster is made of: machines and partitions, as scontrol prints them, and the most that one job can get.

A job gets the whole of a machine at most, within the limits of its partition. Machines that are down or drained do not
count while there are others. What Moil asks for on top of a job's own memory is taken off, so that a job which asks for
all of the ceiling still fits.
"""

from __future__ import annotations

import re

from moil.adapters.slurm_submission import WORKER_MEMORY
from moil.core.requirements import MIB, Ceiling
from moil.record import record

_UNUSABLE = frozenset({"DOWN", "DRAIN", "DRAINED", "DRAINING", "FAIL", "FAILING", "FUTURE", "ERROR", "UNKNOWN"})
_DEVICES = re.compile(r"(?:^|,)gpu(?::[^,:(]+)?:(\d+)")
_CLOCK = re.compile(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?")


@record
class Machine:
    """One machine of the cluster, as ``scontrol show node`` prints it."""

    partitions: frozenset[str]
    usable: bool
    architecture: str
    cores: int
    #: In MiB.
    memory: int
    devices: int


@record
class Partition:
    """One partition, as ``scontrol show partition`` prints it; None: no limit."""

    name: str
    default: bool
    minutes: int | None
    #: The time limit of jobs that state none.
    usual: int | None
    cores: int | None
    memory: int | None


def field(line: str, name: str) -> str:
    """A value in a line of ``scontrol --oneliner``."""
    found = re.search(rf"(?:^|\s){name}=(\S*)", line)
    return found.group(1) if found else ""


def machines(text: str) -> list[Machine]:
    """All that ``scontrol show node`` tells of."""
    return [_machine(line) for line in text.splitlines() if field(line, "NodeName")]


def _machine(line: str) -> Machine:
    return Machine(
        partitions=frozenset(field(line, "Partitions").split(",")),
        usable=not _UNUSABLE & {word.rstrip("*~#!%$@^-") for word in field(line, "State").split("+")},
        architecture=field(line, "Arch"),
        cores=_number(field(line, "CPUEfctv")) or _number(field(line, "CPUTot")) - _number(field(line, "CoreSpecCount")),
        memory=_number(field(line, "RealMemory")) - _number(field(line, "MemSpecLimit")),
        devices=sum(map(int, _DEVICES.findall(field(line, "Gres")))),
    )


def partitions(text: str) -> list[Partition]:
    """All that ``scontrol show partition`` tells of."""
    return [_partition(line) for line in text.splitlines() if field(line, "PartitionName")]


def _partition(line: str) -> Partition:
    most, usual = minutes(field(line, "MaxTime")), field(line, "DefaultTime")
    return Partition(
        name=field(line, "PartitionName"),
        default=field(line, "Default") == "YES",
        minutes=most,
        usual=most if usual in ("", "NONE") else minutes(usual),
        cores=_number(field(line, "MaxCPUsPerNode")) or None,
        memory=_number(field(line, "MaxMemPerNode")) or None,
    )


def minutes(text: str) -> int | None:
    """A time limit as Slurm prints it, ``1-12:00:00``; None: no limit."""
    found = _CLOCK.fullmatch(text)
    if not found:
        return None
    days, *clock = (int(part) if part else None for part in found.groups())
    first, second, third = clock
    if days is not None or third is not None:
        return (days or 0) * 1440 + (first or 0) * 60 + (second or 0)
    return first


def ceiling(have: list[Machine], chosen: list[Partition]) -> Ceiling:
    """The most that one job can get on these machines in these partitions, the worker's own share taken off."""
    able = [(one, part) for one in have for part in chosen if part.name in one.partitions]
    if not able:
        return Ceiling()
    memory = max(_least(one.memory, part.memory) for one, part in able) * MIB - WORKER_MEMORY
    return Ceiling(
        cores=max(_least(one.cores, part.cores) for one, part in able),
        memory=max(memory, 0),
        accelerators=max(one.devices for one, _ in able),
    )


def _least(have: int, limit: int | None) -> int:
    return have if limit is None else min(have, limit)


def largest_array(text: str) -> int:
    """How many members an array may have, from ``scontrol show config``; 0: there are no arrays here."""
    most = re.search(r"^MaxArraySize\s*=\s*(\d+)", text, re.MULTILINE)
    at_once = re.search(r"\bmax_array_tasks=(\d+)", text)
    return min(int(one.group(1)) for one in (most, at_once) if one) if most else 1


def _number(text: str) -> int:
    """A whole number; 0 for what is none, such as UNLIMITED."""
    return int(text) if text.isdecimal() else 0
