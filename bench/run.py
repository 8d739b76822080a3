"""The same work on Moil and on other systems, one after another on this machine; see README.md beside this file.

    python bench/run.py --with jug,dask,floor --scenarios A,D --sizes A=100,1000 --reps 3 --out table.md
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import crash
import measure
import tables
from environments import ROOT, Environments, program, variables
from systems import GROUPS, SCENARIOS, SYSTEMS, Scenario, System


@dataclass(kw_only=True)
class Bench:
    """What is to be run, and what has been found so far."""

    environments: Environments
    work: Path
    workers: int
    timeout: float
    patience: float
    jsonl: Path | None
    rows: list[dict[str, Any]] = field(default_factory=list)

    def run(self, system: System, scenario: str, size: int, **extra: str) -> measure.Cost:
        """One run in a fresh directory."""
        work = Path(tempfile.mkdtemp(prefix=f"{system.group}-", dir=self.work))
        try:
            python = self.environments.python(system.group)
            env = {**variables(system, python, work, self.workers), **extra}
            prefix = json.loads(extra.get("BENCH_PREFIX", "[]"))
            argv = [*(one.replace("WORK", str(work)) for one in prefix), str(python), str(program(system)), scenario, str(size)]
            return measure.run(argv, env=env, work=work, timeout=self.timeout)
        finally:
            shutil.rmtree(work, ignore_errors=True)

    def add(self, system: System, scenario: Scenario, size: int, **found: Any) -> dict[str, Any]:
        """Write a row down."""
        row = {"system": system.name, "scenario": scenario.letter, "size": size, "at": round(time.time()), **found}
        self.rows.append(row)
        line = json.dumps(row)
        print(line, flush=True)
        if self.jsonl:
            with self.jsonl.open("a") as file:
                file.write(line + "\n")
        return row

    def measure(self, system: System, scenario: Scenario, size: int) -> None:
        """One row, if it can end in time."""
        if scenario.letter == "F":
            self.measure_resumption(system, scenario, size)
            return
        cost = self.run(system, scenario.letter, size)
        found = {key: round(value, 4) if isinstance(value, float) else value for key, value in asdict(cost).items()}
        output = found.pop("output")
        found["right"] = f"RESULT {scenario.answer(size)}" in output.splitlines()
        if not found["right"]:
            found["error"] = "not done in time" if cost.timed_out else _last_line(output) or f"exit status {cost.status}"
        row = self.add(system, scenario, size, **found)
        _say(f"{scenario.letter} {size:>7,} {system.name}: " + (row.get("error") or f"{cost.wall:.2f} s"))

    def measure_resumption(self, system: System, scenario: Scenario, size: int) -> None:
        """One row of scenario F."""
        work = Path(tempfile.mkdtemp(prefix=f"{system.group}-", dir=self.work))
        try:
            python = self.environments.python(system.group)
            env = variables(system, python, work, self.workers) | {"BENCH_SLEEP": str(crash.SLEEP if size <= crash.SMALL else 0)}
            argv = [str(python), str(program(system)), "F", str(size)]
            resumed = crash.run(
                argv, env=env, work=work, size=size, answer=scenario.answer(size), timeout=self.timeout,
                orphans=crash.ORPHANS if system.leader else 0,
            )
        finally:
            shutil.rmtree(work, ignore_errors=True)
        found = {key: round(value, 4) if isinstance(value, float) else value for key, value in asdict(resumed).items()}
        row = self.add(system, scenario, size, **found)
        _say(f"F {size:>7,} {system.name}: " + (row["error"] or f"{resumed.again} again, first new job after {resumed.first:.2f} s"))

    def why_not(self, system: System, scenario: Scenario, size: int) -> str:
        """Why this row should not be run, if so: what is known of smaller sizes says how long it would take."""
        if scenario.letter == "F" and not system.resumes:
            return "not run: it has nothing to resume from"
        mine = [one for one in self.rows if one["system"] == system.name and one["scenario"] == scenario.letter]
        if any(one.get("error") for one in mine if one["size"] <= size):
            return "not run: the system failed before"
        smaller = [one for one in mine if one["size"] < size and one.get("wall")]
        if smaller:
            largest = max(one["size"] for one in smaller)
            wall = min(one["wall"] for one in smaller if one["size"] == largest)
            expected = wall * scenario.jobs(size) / scenario.jobs(largest)
            if expected > self.timeout:
                return f"not run: {expected:,.0f} s expected from {largest:,}"
        return ""

    def enough(self, system: System, scenario: Scenario, size: int) -> bool:
        """Whether another repetition would take too long."""
        walls = [
            one["wall"]
            for one in self.rows
            if one["system"] == system.name and one["scenario"] == scenario.letter and one["size"] == size and "wall" in one
        ]
        return bool(walls) and sum(walls) + max(walls) > self.patience


def main() -> None:
    options = _options()
    measure.become_subreaper()
    cache = Path(options.cache).expanduser().resolve()
    work = cache / "work"
    work.mkdir(parents=True, exist_ok=True)
    jsonl = Path(options.out).with_suffix(".jsonl") if options.out else None
    bench = Bench(
        environments=Environments(cache), work=work, workers=options.workers, timeout=options.timeout,
        patience=options.row_time, jsonl=jsonl,
    )
    for path in options.read:
        bench.rows.extend(json.loads(line) for line in Path(path).read_text().splitlines())
    if jsonl:
        jsonl.write_text("".join(json.dumps(row) + "\n" for row in bench.rows))
    systems = list(_prepared(bench, _chosen(options.systems)))
    if options.flushes:
        _count_flushes(bench, systems)
    for scenario, size in _sizes(options):
        for repetition in range(options.reps):
            for system in systems:
                _one(bench, system, scenario, size, repetition)
    facts = _facts(bench, options.systems)
    text = tables.render(bench.rows, facts)
    print(text)
    if options.out:
        Path(options.out).write_text(text)


def _one(bench: Bench, system: System, scenario: Scenario, size: int, repetition: int) -> None:
    reason = bench.why_not(system, scenario, size)
    if reason and repetition == 0:
        bench.add(system, scenario, size, error=reason)
        _say(f"{scenario.letter} {size:>7,} {system.name}: {reason}")
    if not reason and not bench.enough(system, scenario, size):
        bench.measure(system, scenario, size)


def _prepared(bench: Bench, systems: list[System]) -> Iterator[System]:
    """The systems that work here: installed, and one unmeasured run to warm the machine's caches up."""
    for group in dict.fromkeys(one.group for one in systems):
        _say(f"environment for {group}")
        bench.environments.prepare(group)
    for system in systems:
        cost = bench.run(system, "D", 1)
        if "RESULT 1" not in cost.output:
            _say(f"{system.name} does not work here and is left out: {_last_line(cost.output)}")
        elif system.name == "moil, isolation worker" and not _reuses(bench, system):
            _say(f"{system.name} is left out: it does not reuse its workers")
        else:
            yield system


def _reuses(bench: Bench, system: System) -> bool:
    """Whether jobs that run one after another share a process, as this row says they do."""
    found = [line.split()[1] for line in bench.run(system, "processes", 8).output.splitlines() if line.startswith("RESULT")]
    return bool(found) and int(found[0]) <= bench.workers


def _count_flushes(bench: Bench, systems: list[System]) -> None:
    """Calls of fsync and fdatasync for each further job: the slope between two sizes, under strace, not timed."""
    if shutil.which("strace") is None:
        _say("flushes are not counted: there is no strace here")
        return
    for letter, sizes in (("A", (100, 300)), ("B", (50, 150)), ("E", (20, 60))):
        for system in systems:
            counts = [_flushes(bench, system, letter, size) for size in sizes]
            slope = (counts[1] - counts[0]) / (sizes[1] - sizes[0])
            bench.add(system, SCENARIOS[letter], sizes[1], flushes=round(slope, 3))
            _say(f"{letter} {system.name}: {slope:.3f} flushes a job")


def _flushes(bench: Bench, system: System, letter: str, size: int) -> int:
    with tempfile.NamedTemporaryFile("r", dir=bench.work) as trace:
        prefix = ["strace", "-f", "-qq", "--seccomp-bpf", "-e", "trace=fsync,fdatasync", "-o", trace.name]
        bench.run(system, letter, size, BENCH_PREFIX=json.dumps(prefix))
        return sum("sync(" in line for line in trace)


def _sizes(options: argparse.Namespace) -> Iterator[tuple[Scenario, int]]:
    """D first: the other tables take the start-up time from it."""
    given: dict[str, list[int]] = {}
    letter = "A"
    for word in options.sizes.split(",") if options.sizes else ():
        before, equals, number = word.rpartition("=")
        letter = before.upper() if equals else letter
        given.setdefault(letter, []).append(int(number))
    chosen = [one.upper() for one in options.scenarios.split(",")]
    for one in sorted(chosen, key="DBECFA".index):
        for size in given.get(one, SCENARIOS[one].sizes):
            yield SCENARIOS[one], size


def _chosen(words: str) -> list[System]:
    chosen = []
    for word in words.split(","):
        found = [one for one in SYSTEMS if word in (one.group, one.name, f"{one.group}-{one.variant}")]
        if not found:
            raise SystemExit(f"no system {word}: choose from {', '.join(GROUPS)}")
        chosen += [one for one in found if one not in chosen]
    return chosen


def _facts(bench: Bench, words: str) -> tables.Facts:
    versions: dict[str, str] = {}
    for group in dict.fromkeys(one.group for one in _chosen(words)):
        versions |= bench.environments.versions(group)
    git = ("git", "-C", str(ROOT), "describe", "--always", "--dirty")
    commit = subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip()
    return tables.Facts(versions=versions, commit=commit, workers=bench.workers, directory=str(bench.work))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--systems", default=",".join(GROUPS), help=f"of {', '.join(GROUPS)}; or one row: moil-worker, floor-fork")
    parser.add_argument("--with", dest="others", metavar="SYSTEMS", help="the same, and Moil is always among them")
    parser.add_argument("--scenarios", default="A,B,C,D,E,F")
    parser.add_argument("--sizes", default="", help="numbers for A, or A=100,1000,B=50; default: A=100,1000,10000,100000,B=200,C=9,C=13,E=200,F=200,F=10000")
    parser.add_argument("--reps", type=int, default=3, help="repetitions of each row (3); the systems take turns")
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)), help="jobs at one time (the cores there are)")
    parser.add_argument("--timeout", type=float, default=600, help="seconds a run may take (600); rows that would take longer are left out")
    parser.add_argument("--row-time", type=float, default=240, help="seconds after which a row is not repeated any more (240)")
    parser.add_argument("--flushes", action="store_true", help="count fsync and fdatasync in runs of their own, with strace")
    parser.add_argument("--read", action="append", default=[], metavar="FILE", help="take in the JSON lines of an earlier run too")
    parser.add_argument("--cache", default="~/.cache/moil-bench", help="where environments and work directories are; a disk, not a tmpfs")
    parser.add_argument("--out", help="the table goes to this file too, and JSON lines to the same name with .jsonl")
    options = parser.parse_args()
    if options.others:
        options.systems = f"moil,{options.others}"
    return options


def _last_line(output: str) -> str:
    lines = [line for line in output.splitlines() if line.strip()]
    return lines[-1][:200] if lines else ""


def _say(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
