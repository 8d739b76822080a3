"""`moil cancel` and `moil clean`: the end of a run, and of all that is left of it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from moil.adapters.directory import exists
from moil.cli import cancel
from moil.runtime.leader import CANCEL_REQUEST
from tests.cli.conftest import Build, Synthetic, Tell, begin, until

WAITING = """
import os, time
import moil

@moil.job
def main(sign: str) -> str:
    print("begun", flush=True)
    for _ in range(3000):
        if os.path.exists(sign):
            return "seen"
        time.sleep(0.02)
    raise TimeoutError
"""

LEADER = """
import sys
from moil.adapters.directory import DirectoryStore

journal = DirectoryStore(sys.argv[1]).open_journal()
print("leading", flush=True)
input()
"""


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """What happens while `moil cancel` waits."""

    def happen(*things: Callable[[], object]) -> None:
        left = iter(things)
        monkeypatch.setattr(cancel.time, "sleep", lambda _seconds: next(left)())

    return happen


def requests(run: Synthetic) -> list[str]:
    return list(run.store.keys("requests/"))


def test_the_leader_finds_a_request_in_the_store(moil: Tell, build: Build, meanwhile: Any) -> None:
    run = build()
    seen: list[str] = []
    meanwhile(lambda: seen.extend(requests(run)), lambda: run.ended("cancelled"))
    said = moil("cancel", run.path)
    assert seen == [CANCEL_REQUEST]
    assert (said.status, said.err) == (0, "")
    assert said.out == f"Run main was cancelled. Resume it with: python main.py --restart --job-store {run.path}\n"


def test_a_request_that_came_too_late_does_not_end_the_next_run(moil: Tell, build: Build, meanwhile: Any) -> None:
    run = build()
    meanwhile(lambda: run.ended("finished"))
    assert moil("cancel", run.path).out == "Run main has finished.\n"
    assert requests(run) == []


def test_nobody_need_wait(moil: Tell, build: Build) -> None:
    run = build()
    said = moil("cancel", run.path, "--no-wait")
    assert said.out.startswith("Asked process ")
    assert requests(run) == [CANCEL_REQUEST]


def test_a_leader_that_does_not_answer_is_not_waited_for_for_ever(
    moil: Tell, build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = build()
    monkeypatch.setattr(cancel, "PATIENCE", 0.0)
    said = moil("cancel", run.path)
    assert said.status == 1
    assert "has not answered within 0 s; the request stands" in said.err
    assert requests(run) == [CANCEL_REQUEST]


def test_a_store_that_goes_with_its_run_is_no_error(moil: Tell, build: Build, meanwhile: Any) -> None:
    run = build()
    meanwhile(run.store.destroy)
    said = moil("cancel", run.path)
    assert (said.status, said.out, said.err) == (0, "Run main has ended, and its job store was removed.\n", "")


@pytest.mark.parametrize("state", ["finished", "failed", "interrupted"])
def test_a_run_that_nobody_leads_cannot_be_cancelled(moil: Tell, build: Build, state: str) -> None:
    run = build(state=state)
    said = moil("cancel", run.path)
    assert (said.status, said.out) == (2, "")
    assert "there is nothing to cancel" in said.err
    assert requests(run) == []


# -- cleaning ------------------------------------------------------------------------------------------------------


def test_a_run_that_is_led_is_not_removed_unless_one_insists(moil: Tell, build: Build) -> None:
    run = build()
    said = moil("clean", run.path)
    assert (said.status, said.out) == (2, "")
    assert f"end it with: moil cancel {run.path}; or remove it all the same: moil clean --force {run.path}" in said.err
    assert exists(run.path)
    assert moil("clean", "--force", run.path).out == f"Removed {run.path}.\n"
    assert not run.path.exists()


@pytest.mark.slow
def test_a_leader_that_has_not_said_a_word_yet_is_one(moil: Tell, build: Build) -> None:
    run = build(state="failed")
    with begin(str(run.path), code=LEADER, cwd=run.path.parent) as leader:
        assert leader.stdout
        leader.stdout.readline()
        said = moil("clean", run.path)
        leader.communicate("\n", timeout=60)
    assert said.status == 2
    assert f"process {leader.pid} on " in said.err
    assert "leads this run" in said.err
    assert exists(run.path)


@pytest.mark.parametrize("harm", ["nothing", "damage_journal", "forget_record"])
def test_what_nobody_leads_can_be_removed_in_whatever_state_it_is(
    moil: Tell, build: Build, ended_pid: int, harm: str
) -> None:
    run = build(pid=ended_pid)
    getattr(run, harm)()
    assert moil("clean", run.path).out == f"Removed {run.path}.\n"
    assert not run.path.exists()


def test_the_directory_of_runs_goes_with_the_last_of_them(moil: Tell, build: Build, tmp_path: Path) -> None:
    home = tmp_path / "moil-runs"
    home.mkdir()
    build(state="failed").path.rename(home / "main-1")
    (home / "main-2").mkdir()
    assert moil("clean", home / "main-1").status == 0
    assert home.exists()
    build(state="failed").path.rename(home / "main-1")
    (home / "main-2").rmdir()
    assert moil("clean", home / "main-1").status == 0
    assert not home.exists()


# -- in earnest ----------------------------------------------------------------------------------------------------


@pytest.fixture
def waiting(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A run whose only job waits for the file `sign`."""
    (tmp_path / "waiting.py").write_text(WAITING)
    words = ["run", "waiting.py", str(tmp_path / "sign"), "--job-store", "run", "--clean", "never"]
    with begin(*words, cwd=tmp_path) as process:
        try:
            until(lambda: any((tmp_path / "run/objects/logs").glob("1.1/*")), "the job's first words")
            yield process
        finally:
            process.kill()


@pytest.mark.slow
def test_a_real_run_is_looked_at_followed_and_cancelled(moil: Tell, waiting: subprocess.Popen[str], tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert moil("explain", run, "main").out.startswith("main #1 has been running on ")
    assert moil("logs", run, "1").out == "begun\n"
    with begin("logs", run, "1", "--follow", cwd=tmp_path) as follower:
        assert follower.stdout
        assert follower.stdout.readline() == "begun\n"
        assert moil("cancel", run).out.startswith("Run main was cancelled. Resume it with: ")
        assert follower.wait(60) == 0
    assert waiting.wait(60) == 1
    assert moil("status", run, "--json").json["state"] == "cancelled"


@pytest.mark.slow
def test_a_real_run_is_followed_to_its_end(waiting: subprocess.Popen[str], tmp_path: Path) -> None:
    with begin("logs", tmp_path / "run", "main", "-f", cwd=tmp_path) as follower:
        assert follower.stdout
        assert follower.stdout.readline() == "begun\n"
        (tmp_path / "sign").touch()
        assert follower.wait(60) == 0
    assert waiting.communicate(timeout=60)[0] == "seen\n"
