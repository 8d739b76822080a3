"""`moil status`: where a run stands, whoever looks, and without a look at what is large."""

from __future__ import annotations

import json
import os
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from moil.cli import reading
from moil.core.events import Event, RunStarted
from moil.core.policy import Policy
from moil.core.records import Usage
from tests.cli.conftest import BEGAN, HALFWAY, Build, Runs, Tell, began, call, failed, python, returned


@pytest.mark.slow
def test_a_run_that_went_well(moil: Tell, runs: Runs) -> None:
    said = moil("status", runs.good)
    assert (said.status, said.err) == (0, "")
    assert said.out.startswith(f"Run main in {runs.good} has finished.\n")
    assert "jobs    5: 5 done" in said.out
    assert said.out.splitlines()[-1] == f"remove it:  moil clean {runs.good}"


@pytest.mark.slow
def test_a_run_that_failed_says_what_where_and_what_next(moil: Tell, runs: Runs) -> None:
    said = moil("status", runs.bad)
    assert "5: 3 done, 2 failed" in said.out
    assert "number #4 after 2 attempts on " in said.out
    assert ": ValueError: 2 is too much\n" in said.out
    assert f"    at {runs.folder}/pipeline.py:8 in take\n" in said.out
    assert f"moil logs {runs.bad} 4\n" in said.out


@pytest.mark.slow
def test_it_resumes_with_the_command_that_the_run_itself_named(
    moil: Tell, runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(runs.folder)
    named = next(line for line in runs.bad_said.splitlines() if line.startswith("Resume with: "))
    resume = next(step for step in moil("status", "bad", "--json").json["next"] if step["what"] == "resume it")
    assert resume["command"] == named.removeprefix("Resume with: ")
    words = shlex.split(resume["command"])
    copy = shutil.copytree(runs.folder, tmp_path / "copy")
    again = python(*words[1:], cwd=copy)
    assert (again.status, again.err.splitlines()[-1]) == (1, "moil: job number #4 failed: ValueError: 2 is too much")


@pytest.mark.slow
def test_the_fields_of_json_are_those_documented(moil: Tell, runs: Runs) -> None:
    found = moil("status", runs.bad, "--json").json
    documented = "store id name moil state leader started_at seen_at elapsed caveat jobs jobs_per_second queue"
    assert list(found) == [*documented.split(), "unsuccessful_attempts", "running", "failures", "next"]
    assert found["store"] == str(runs.bad)
    assert found["state"] == "failed"
    assert found["jobs"] == {
        "total": 5, "waiting": 0, "ready": 0, "submitted": 0, "running": 0, "done": 3, "failed": 2,
    }  # fmt: skip
    assert set(found["failures"][0]) == {"id", "name", "attempt", "error", "where", "traceback", "host"}


def test_a_run_under_way(moil: Tell, build: Build) -> None:
    run = build()
    said = moil("status", run.path)
    assert said.out.startswith(f"Run main in {run.path} is running.\n")
    assert "4: 2 done, 1 running, 1 waiting" in said.out
    assert f"leader  process {os.getpid()} on " in said.out
    assert "Running longest:\n  #3  align  " in said.out
    assert said.out.splitlines()[-1] == f"cancel it:  moil cancel {run.path}"


def test_why_what_is_in_the_queue_waits(moil: Tell, build: Build) -> None:
    run = build(queue={"Resources": 2, "Priority": 40})
    assert "  in the queue  40 wait: Priority; 2 wait: Resources\n" in moil("status", run.path).out
    queue = moil("status", run.path, "--json").json["queue"]
    assert queue == [{"reason": "Priority", "count": 40}, {"reason": "Resources", "count": 2}]


def test_of_a_run_that_nobody_leads_nobody_knows_why_it_waits(moil: Tell, build: Build, ended_pid: int) -> None:
    assert moil("status", build(queue={"Priority": 40}, pid=ended_pid).path, "--json").json["queue"] == []


def test_what_the_leader_could_not_write_any_more_is_in_the_journal(moil: Tell, build: Build, ended_pid: int) -> None:
    run = build(known=4, pid=ended_pid)
    found = moil("status", run.path, "--json").json
    assert found["state"] == "crashed"
    assert found["leader"]["pid"] == ended_pid
    assert found["jobs"]["done"] == 2
    assert found["seen_at"] == BEGAN + 60
    assert found["elapsed"] == 60
    assert found["caveat"] == ""


@pytest.mark.parametrize("harm", ["damage_journal", "hide_journal"])
def test_a_crashed_run_whose_journal_is_damaged_shows_what_was_last_known(
    moil: Tell, build: Build, ended_pid: int, harm: str
) -> None:
    run = build(known=4, pid=ended_pid)
    getattr(run, harm)()
    said = moil("status", run.path)
    assert said.status == 0
    assert "has crashed" in said.out
    assert "Note that these are the last figures that its leader has written, and its journal cannot be read" in said.out


def test_a_large_journal_is_not_replayed_even_then(
    moil: Tell, build: Build, ended_pid: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "SMALL", 100)
    found = moil("status", build(known=4, pid=ended_pid).path, "--json").json
    assert found["jobs"]["done"] == 1
    assert found["caveat"].startswith("these are the last figures that its leader has written;")


def test_a_run_that_has_not_come_to_its_first_job(moil: Tell, build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    run = build([], known=0)
    assert moil("status", run.path, "--json").json["state"] == "crashed"
    monkeypatch.setattr(reading.time, "time", lambda: BEGAN + 1)
    assert moil("status", run.path, "--json").json["state"] == "starting"


def huge() -> list[Event]:
    """A hundred thousand jobs, of which the first two thousand are done."""
    leaves = [call("leaf")] * 99_999
    events: list[Event] = [RunStarted(at=BEGAN, policy=Policy(retries=0), root=call("main")), *began(1)]
    events += returned(1, leaves)
    for job in range(2, 2_002):
        events += [*began(job), *returned(job, usage=Usage(wall=2.0, cpu=1.0, memory=100 * 2**20))]
    return [*events, *began(2_002), *failed(2_002, "ValueError: no"), *began(2_003)]


@pytest.mark.slow
def test_neither_status_nor_stats_reads_the_journal_of_a_hundred_thousand_jobs(moil: Tell, build: Build) -> None:
    run = build(huge())
    run.hide_journal()
    found = moil("status", run.path, "--json").json
    assert found["jobs"] == {
        "total": 100_000, "waiting": 0, "ready": 97_997, "submitted": 0, "running": 1, "done": 2_001, "failed": 1,
    }  # fmt: skip
    assert [one["id"] for one in found["failures"]] == [2_002]
    assert moil("stats", run.path).out.splitlines()[1].split()[:3] == ["leaf", "2000", "2001"]
    refused = moil("explain", run.path, "5")
    assert (refused.status, refused.out) == (2, "")
    assert refused.err.startswith("moil: job store ")


# -- resuming ------------------------------------------------------------------------------------------------------


def resume(moil: Tell, build: Build, *command: str, **record: Any) -> str:
    found = moil("status", build(state="failed", command=command, **record).path, "--json").json
    return next(step["command"] for step in found["next"] if step["what"] == "resume it")


def test_a_resume_names_the_store_where_it_is_now(moil: Tell, build: Build, tmp_path: Path) -> None:
    command = resume(moil, build, "python", "main.py", "--job-store=elsewhere", "x y")
    assert command == f"python main.py --job-store=elsewhere 'x y' --restart --job-store {tmp_path}/run"


def test_behind_two_dashes_nothing_is_an_option(moil: Tell, build: Build, tmp_path: Path) -> None:
    command = resume(moil, build, "python", "main.py", "--", "--job-store", "x")
    assert command == f"python main.py --restart --job-store {tmp_path}/run -- --job-store x"


def test_a_resume_leads_to_where_the_run_was_started(moil: Tell, build: Build, tmp_path: Path) -> None:
    command = resume(moil, build, "python", "main.py", "--job-store", "run", directory=str(tmp_path))
    assert command == f"cd {tmp_path} && python main.py --job-store run --restart"


def test_a_run_that_a_program_started_is_resumed_by_it(moil: Tell, build: Build, tmp_path: Path) -> None:
    assert resume(moil, build) == f"moil.run(…, job_store='{tmp_path}/run', restart=True)"


# -- what cannot be read -------------------------------------------------------------------------------------------


def change_record(path: Path) -> None:
    record = path / "objects/run.json+"
    record.unlink()
    record.write_text(json.dumps({"format": 99, "moil": "9.9"}))


def remove_record(path: Path) -> None:
    (path / "objects/run.json+").unlink()


def damage_record(path: Path) -> None:
    (path / "objects/run.json+").chmod(0o600)
    (path / "objects/run.json+").write_text("{")


def damage_status(path: Path) -> None:
    (path / "objects/status/00000001+").chmod(0o600)
    (path / "objects/status/00000001+").write_text('{"format": 1, "nonsense": 2}')


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (change_record, "was started by Moil 9.9; look at it with that version"),
        (remove_record, "holds no run; remove it with: moil clean "),
        (damage_record, "its run.json is damaged"),
        (damage_status, "the run's status cannot be read"),
    ],
)
def test_a_store_that_tells_nothing_is_an_error_in_one_line(
    moil: Tell, build: Build, harm: Callable[[Path], None], words: str
) -> None:
    run = build(HALFWAY)
    harm(run.path)
    said = moil("status", run.path)
    assert (said.status, said.out) == (2, "")
    assert said.err.startswith("moil: ")
    assert said.err.count("\n") == 1
    assert words in said.err
