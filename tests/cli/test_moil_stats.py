"""`moil stats`: what jobs used, what they asked for, and what they had better ask for."""

from __future__ import annotations

import pytest

from moil.cli.stats import suggested_cores, suggested_memory
from moil.core.events import Event, RunStarted
from moil.core.policy import Policy
from moil.core.records import Usage
from moil.core.requirements import GIB, MIB
from moil.core.summary import NameStats
from tests.cli.conftest import BEGAN, Build, Runs, Tell, began, call, failed, returned


def measured(wall: float, cpu: float, memory: int) -> Usage:
    return Usage(wall=wall, cpu=cpu, memory=memory)


ALIGNED: list[Event] = [
    RunStarted(at=BEGAN, policy=Policy(retries=0), root=call("main")),
    *began(1),
    *returned(1, [call("align"), call("align"), call("sort")], usage=measured(0.5, 0.5, 20 * MIB)),
    *began(2, cores=4.0, memory=8 * GIB),
    *returned(2, usage=measured(100.0, 200.0, 3 * GIB)),
    *began(3, cores=4.0, memory=8 * GIB),
    *failed(3, "ValueError: no"),
    *began(4, cores=0.5),
    *returned(4, usage=measured(20.0, 4.0, 90 * MIB)),
]


def test_the_dearest_comes_first(moil: Tell, build: Build) -> None:
    assert [one["name"] for one in moil("stats", build(ALIGNED).path, "--json").json["names"]] == ["align", "sort", "main"]


def test_use_stands_beside_what_was_asked_for(moil: Tell, build: Build) -> None:
    found = moil("stats", build(ALIGNED).path, "--json").json
    assert list(found) == ["store", "state", "caveat", "names"]
    assert found["names"][0] == {
        "name": "align", "jobs": 1, "attempts": 2, "ended": {"failed": 1},
        "total": 100.0, "mean": 50.0, "longest": 100.0, "cpu": 200.0,
        "cores_used": 2.0, "cores_asked": 4.0, "efficiency": 0.5,
        "peak_memory": 3 * GIB, "memory_asked": 8 * GIB,
        "suggested_cores": 2.0, "suggested_memory": 3840 * MIB,
    }  # fmt: skip


def test_the_table_is_for_people(moil: Tell, build: Build) -> None:
    said = moil("stats", build(ALIGNED).path).out.splitlines()
    assert said[0].split() == "job jobs attempts total mean longest cores used memory ask for".split()
    assert said[1].split("  ")[0] == "align"
    assert "2.0 of 4" in said[1]
    assert "3 GiB of 8 GiB" in said[1]
    assert said[1].endswith('  cores=2, memory="3.8 GiB"')
    assert said[2].endswith('  cores=0.25, memory="128 MiB"')
    assert said[3].endswith('  memory="64 MiB"')


def test_before_the_first_attempt_has_ended_there_is_nothing(moil: Tell, build: Build) -> None:
    assert moil("stats", build(ALIGNED[:2]).path).out == "No attempt of run main has ended yet.\n"


@pytest.mark.slow
def test_a_real_run(moil: Tell, runs: Runs) -> None:
    names = {one["name"]: one for one in moil("stats", runs.bad, "--json").json["names"]}
    assert names["number"]["attempts"] == 4
    assert names["number"]["ended"] == {"failed": 2}
    assert names["number"]["memory_asked"] == 256 * MIB
    assert names["number"]["peak_memory"] > MIB


@pytest.mark.parametrize(
    ("peak", "suggested"),
    [(0, None), (1, 64 * MIB), (53 * MIB, 64 * MIB), (54 * MIB, 128 * MIB), (GIB, 1280 * MIB), (50 * GIB, 60 * GIB)],
)
def test_memory_is_the_peak_and_a_fifth_rounded_up(peak: int, suggested: int | None) -> None:
    assert suggested_memory(peak) == suggested


@pytest.mark.parametrize(
    ("cpu", "asked", "suggested"),
    [(0.0, 1.0, 1.0), (11.0, 1.0, 1.0), (11.1, 1.0, 2.0), (38.0, 8.0, 4.0), (1.0, 0.5, 0.25), (5.0, 0.5, 0.5)],
)
def test_cores_are_whole_unless_less_than_one_was_asked_for(cpu: float, asked: float, suggested: float) -> None:
    assert suggested_cores(NameStats(wall=10.0, cpu=cpu, cores_asked=asked)) == suggested


def test_of_jobs_that_hardly_ran_nothing_is_concluded_for_cores() -> None:
    assert suggested_cores(NameStats(wall=0.9, cpu=3.0, cores_asked=1.0)) is None
