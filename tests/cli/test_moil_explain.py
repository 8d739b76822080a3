"""`moil explain`: why a job is not running."""

from __future__ import annotations

import pytest

from moil.core.events import AttemptStarted
from tests.cli.conftest import HALFWAY, Build, Runs, Tell


@pytest.mark.parametrize("wanted", ["4", "#4", "merge #4", "merge"])
def test_a_job_that_waits_names_what_it_waits_for(moil: Tell, build: Build, wanted: str) -> None:
    said = moil("explain", build().path, wanted)
    assert (said.status, said.err) == (0, "")
    assert said.out.startswith("merge #4 waits for the value of align #3.\nalign #3 has been running on node7 for ")


def test_the_fields_of_json(moil: Tell, build: Build) -> None:
    run = build()
    found = moil("explain", run.path, "3", "--json").json
    assert list(found) == ["store", "run_state", "id", "name", "state", "attempt", "host", "because"]
    assert found["store"] == str(run.path)
    assert (found["name"], found["state"], found["attempt"], found["host"]) == ("align", "running", 1, "node7")
    assert found["because"][0].startswith("align #3 has been running")


@pytest.mark.parametrize("wanted", ["3", "merge"])
def test_what_is_in_the_queue_says_why_it_waits_there(moil: Tell, build: Build, wanted: str) -> None:
    events = [event for event in HALFWAY if not (isinstance(event, AttemptStarted) and event.job == 3)]
    run = build(events, queue={"Priority": 40})
    because = moil("explain", run.path, wanted).out.splitlines()
    assert because[-2].startswith("align #3 is in the queue of the batch system as ")
    assert because[-1] == "Of what is in the queue 40 wait: Priority."
    assert "Priority" not in moil("explain", run.path, "2").out


def test_in_a_run_that_nobody_leads_everything_waits_for_a_leader(moil: Tell, build: Build, ended_pid: int) -> None:
    run = build(pid=ended_pid)
    said = moil("explain", run.path, "merge").out.splitlines()
    assert said[1] == "align #3 has been running on node7 for 50.0 s (attempt 1)."
    assert said[2].startswith("But the run has crashed")
    assert said[2].endswith(f"until it is resumed: python main.py --restart --job-store {run.path}")
    assert "But" not in moil("explain", run.path, "2").out


@pytest.mark.parametrize(
    ("wanted", "complaint"),
    [
        ("9", "the run has no job #9; it has 4, up to #4"),
        ("nobody", "the run has no job called 'nobody'; it has 4, up to #4"),
        ("align", "2 jobs are called 'align'; give the number of one: #2, #3"),
    ],
)
def test_a_job_that_is_not_there_or_not_the_only_one(moil: Tell, build: Build, wanted: str, complaint: str) -> None:
    said = moil("explain", build().path, wanted)
    assert (said.status, said.out, said.err) == (2, "", f"moil: {complaint}\n")


def test_before_there_are_jobs(moil: Tell, build: Build) -> None:
    assert "it has none yet" in moil("explain", build(HALFWAY[:0], known=0).path, "1").err


@pytest.mark.slow
def test_a_job_that_could_not_run(moil: Tell, runs: Runs) -> None:
    because = moil("explain", runs.bad, "add").out.splitlines()
    assert because == ["add #5 was not run, because job #4 failed.", "number #4 failed: ValueError: 2 is too much."]
