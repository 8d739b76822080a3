"""Rows of measurements as Markdown tables."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from systems import SCENARIOS, SYSTEMS

BASE = "moil"
NOISE = 0.1
"""A row is marked if more than this share of the machine's CPU time went to something else."""

Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What a reader must know to make anything of the numbers."""

    versions: dict[str, str]
    commit: str
    workers: int
    directory: str


def render(rows: list[Row], facts: Facts) -> str:
    """All the tables."""
    parts = [_heading(facts), *_summary(rows)]
    for letter, size in _pieces(rows):
        parts.append(_table(letter, size, rows))
    parts += filter(None, [_resumptions(rows), _flushes(rows)])
    return "\n\n".join([*parts, _systems(rows)]) + "\n"


def _heading(facts: Facts) -> str:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1024**3
    versions = ", ".join(f"{name} {version}" for name, version in facts.versions.items())
    return (
        f"Measured {time.strftime('%Y-%m-%d')}: {_processor()}, {os.cpu_count()} cores, {memory:.0f} GiB, "
        f"{_file_system(facts.directory)}, Linux {platform.release()}, CPython {platform.python_version()}; "
        f"{facts.workers} jobs at a time; {versions}; commit {facts.commit or 'unknown'}."
    )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _file_system(directory: str) -> str:
    best = ("", "?")
    for line in Path("/proc/mounts").read_text().splitlines():
        _, mount, kind, *_ = line.split()
        if (directory + "/").startswith(mount.rstrip("/") + "/") and len(mount) > len(best[0]):
            best = (mount, kind)
    return best[1]


# -- the tables ----------------------------------------------------------------------------------------------------


def _summary(rows: list[Row]) -> Iterator[str]:
    pieces = list(_pieces(rows))
    for title, key, per_job in (("Wall seconds", "wall", False), ("CPU milliseconds a job", "cpu", True)):
        lines = [_line(["", *(f"{letter} {size:,}" for letter, size in pieces)]), _rule(len(pieces))]
        for name in _names(rows):
            cells = []
            for letter, size in pieces:
                scale = 1000 / SCENARIOS[letter].jobs(size) if per_job else 1
                cells.append(_cell(rows, name, letter, size, key, scale))
            lines.append(_line([name, *cells]))
        yield f"**{title}**, medians\n\n" + "\n".join(lines)


def _cell(rows: list[Row], name: str, letter: str, size: int, key: str, scale: float) -> str:
    mine = _right(_of(rows, name, letter, size))
    if mine:
        return number(median(one[key] for one in mine) * scale)
    return "–"


def _table(letter: str, size: int, rows: list[Row]) -> str:
    jobs = SCENARIOS[letter].jobs(size)
    head = [
        "", "runs", "wall s", "÷ moil", "ms a job, start-up off", "CPU ms a job", "÷ moil",
        "leader MiB", "all MiB", "written MiB", "left MiB / files",
    ]
    lines = [_line(head), _rule(len(head) - 1)]
    base = _right(_of(rows, BASE, letter, size))
    for name in _names(rows):
        every = _of(rows, name, letter, size)
        mine = _right(every)
        errors = [one["error"] for one in every if one.get("error")]
        if not mine:
            if errors:
                lines.append(_line([name, "0", errors[0], *[""] * (len(head) - 3)]))
            continue
        wall, cpu = median(one["wall"] for one in mine), median(one["cpu"] for one in mine)
        noisy = " ~" if median(one["foreign"] for one in mine) > NOISE else ""
        start = _right(_of(rows, name, "D", 1))
        net = number(1000 * max(0.0, wall - median(one["wall"] for one in start)) / jobs) if start and letter != "D" else ""
        walls = [one["wall"] for one in mine]
        spread = f" ({number(min(walls))}–{number(max(walls))})" if len(mine) > 1 else ""
        lines.append(
            _line(
                [
                    name, f"{len(mine)}" + (f" of {len(every)}" if errors else ""), number(wall) + spread + noisy,
                    _ratio(wall, base, "wall"), net, number(1000 * cpu / jobs), _ratio(cpu, base, "cpu"),
                    *(number(max(one[key] for one in mine)) for key in ("leader_mib", "tree_mib")),
                    number(median(one["written_mib"] for one in mine)),
                    f"{number(median(one['left_mib'] for one in mine))} / {median(one['left_files'] for one in mine):.0f}",
                ]
            )
        )
    return f"### {letter}, {size:,}: {SCENARIOS[letter].title}\n\n" + "\n".join(lines)


def _ratio(value: float, base: list[Row], key: str) -> str:
    return f"{number(value / median(one[key] for one in base))}" if base else ""


def _resumptions(rows: list[Row]) -> str:
    mine = [one for one in rows if one["scenario"] == "F"]
    if not mine:
        return ""
    head = ["", "jobs", "runs", "ran before", "ran again", "processes left", "first new job s", "resumption s"]
    lines = [_line(head), _rule(len(head) - 1)]
    for name in _names(mine):
        for size in sorted({one["size"] for one in mine if one["system"] == name}):
            every = [one for one in mine if one["system"] == name and one["size"] == size]
            right = _right(every)
            if not right:
                lines.append(_line([name, f"{size:,}", "0", every[0]["error"], "", "", "", ""]))
                continue
            counts = (", ".join(str(one[key]) for one in right) for key in ("before", "again", "alive"))
            times = (number(median(one[key] for one in right)) for key in ("first", "wall"))
            lines.append(_line([name, f"{size:,}", f"{len(right)} of {len(every)}", *counts, *times]))
    return f"### F: {SCENARIOS['F'].title}\n\n" + "\n".join(lines)


def _flushes(rows: list[Row]) -> str:
    counted = [one for one in rows if "flushes" in one]
    if not counted:
        return ""
    letters = sorted({one["scenario"] for one in counted})
    lines = [_line(["", *letters]), _rule(len(letters))]
    for name in _names(counted):
        found = {one["scenario"]: one["flushes"] for one in counted if one["system"] == name}
        lines.append(_line([name, *(f"{found[one]:.2f}" if one in found else "" for one in letters)]))
    return "**fsync and fdatasync for each further job**\n\n" + "\n".join(lines)


def _systems(rows: list[Row]) -> str:
    lines = [_line(["", "user code in", "finished jobs survive the leader", "notes"]), "|---|---|---|---|"]
    lines += [_line([one.name, one.isolation, one.durable, one.notes]) for one in SYSTEMS if one.name in _names(rows)]
    return "\n".join(lines)


# -- small things --------------------------------------------------------------------------------------------------


def _pieces(rows: list[Row]) -> Iterator[tuple[str, int]]:
    yield from sorted({(one["scenario"], one["size"]) for one in rows if "flushes" not in one and one["scenario"] != "F"})


def _names(rows: list[Row]) -> list[str]:
    there = {one["system"] for one in rows}
    return [one.name for one in SYSTEMS if one.name in there]


def _of(rows: list[Row], name: str, letter: str, size: int) -> list[Row]:
    return [
        one for one in rows
        if one["system"] == name and one["scenario"] == letter and one["size"] == size and "flushes" not in one
    ]


def _right(rows: list[Row]) -> list[Row]:
    return [one for one in rows if one.get("right")]


def number(value: float) -> str:
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}" if value >= 0.1 else f"{value:.3f}"


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _rule(numbers: int) -> str:
    return "|---|" + "--:|" * numbers
