"""`moil logs`: what jobs have printed."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from moil.cli import logs, main
from moil.core.events import RunStarted
from moil.core.policy import Policy
from tests.cli.conftest import BEGAN, Build, Runs, Synthetic, Tell, began, begin, call, failed, returned


@pytest.mark.slow
def test_of_a_run_that_failed_it_prints_what_the_failed_jobs_printed(moil: Tell, runs: Runs) -> None:
    said = moil("logs", runs.bad)
    assert (said.status, said.err) == (0, "")
    assert said.out.startswith("==> number #4, attempt 2 <==\ntaking 2\nTraceback (most recent call last):\n")
    assert said.out.endswith("ValueError: 2 is too much\n\n")
    assert said.out.count("==>") == 1


@pytest.mark.slow
def test_of_a_run_that_went_well_it_prints_everything(moil: Tell, runs: Runs) -> None:
    heads = ["==> number #2, attempt 1 <==", "==> number #3, attempt 1 <==", "==> number #4, attempt 1 <=="]
    printed = [f"{head}\ntaking {number}\n" for number, head in enumerate(heads)]
    assert moil("logs", runs.good).out == "\n".join(printed) + "\n"


@pytest.mark.slow
def test_everything_can_be_asked_for(moil: Tell, runs: Runs) -> None:
    found = moil("logs", runs.bad, "--all", "--json").json
    assert list(found) == ["store", "logs"]
    assert [(one["id"], one["name"], one["attempt"]) for one in found["logs"]] == [
        (2, "number", 1), (3, "number", 1), (4, "number", 1), (4, "number", 2),
    ]  # fmt: skip
    assert found["logs"][0]["text"] == "taking 0\n"


@pytest.mark.slow
def test_of_one_job_it_prints_the_last_attempt_and_nothing_else(moil: Tell, runs: Runs) -> None:
    said = moil("logs", runs.bad, "#4")
    assert said.out.startswith("taking 2\nTraceback")
    assert said.err == "moil: this was attempt 2; --attempt 1 or --all shows what was printed before\n"
    assert moil("logs", runs.bad, "4", "--attempt", "1").out == said.out
    assert moil("logs", runs.bad, "4", "--all").out.count("==> number #4, attempt ") == 2


@pytest.fixture
def run(build: Build) -> Synthetic:
    """A run in which two jobs have printed something."""
    made = build()
    made.print_log("2.1", b"one\n", b"two")
    made.print_log("3.1", b"three\n")
    return made


def test_logs_that_end_in_the_middle_of_a_line_stay_apart(moil: Tell, run: Synthetic) -> None:
    said = moil("logs", run.path, "--all").out
    assert said.startswith("==> align #2, attempt 1 <==\none\ntwo\n\n==> align #3, attempt 1 <==\n")


def test_bytes_that_are_no_text_are_passed_on(run: Synthetic, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    run.print_log("4.1", b"\xff\xfe\n")
    assert main(["logs", str(run.path), "4"]) == 0
    assert capfdbinary.readouterr().out == b"\xff\xfe\n"


def test_bytes_that_are_no_text_are_marked_in_json(moil: Tell, run: Synthetic) -> None:
    run.print_log("4.1", b"\xff!")
    assert moil("logs", run.path, "4", "--json").json["logs"] == [
        {"id": 4, "name": "merge", "attempt": 1, "text": "\N{REPLACEMENT CHARACTER}!"},
    ]  # fmt: skip


def test_pieces_that_were_dropped_are_mentioned(moil: Tell, run: Synthetic) -> None:
    run.print_log("2.1", b"nine\n", begin_with=9)
    assert moil("logs", run.path, "2").out.splitlines()[-2:] == [
        "[... dropped: the log grew beyond --max-log-size ...]", "nine",
    ]  # fmt: skip


def test_of_a_job_that_is_named(moil: Tell, run: Synthetic) -> None:
    run.print_log("4.1", b"merged\n")
    assert moil("logs", run.path, "merge").out == "merged\n"


def test_a_job_that_printed_nothing_is_no_error(moil: Tell, run: Synthetic) -> None:
    said = moil("logs", run.path, "1")
    assert (said.status, said.out, said.err) == (0, "", "moil: main #1, attempt 1 printed nothing\n")


def test_a_run_in_which_nobody_printed_anything(moil: Tell, build: Build) -> None:
    assert moil("logs", build().path).err == "moil: no job has printed anything\n"


def test_a_log_is_found_without_the_journal(moil: Tell, run: Synthetic) -> None:
    run.hide_journal()
    assert moil("logs", run.path, "2").out == "one\ntwo"


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["9"], "the run has no job #9"),
        (["2", "--attempt", "5"], "align #2 has no attempt 5; its last one is 1"),
        (["4", "--attempt", "1"], "merge #4 was not tried yet"),
        (["--follow"], "--attempt and --follow are about one job: name it"),
        (["2", "--follow", "--json"], "leave out --json and --all"),
        (["2", "--attempt", "1", "--all"], "contradict each other"),
        (["2", "--attempt", "x"], "invalid int value: 'x'"),
    ],
)
def test_what_cannot_be_printed(moil: Tell, run: Synthetic, words: list[str], complaint: str) -> None:
    said = moil("logs", run.path, *words)
    assert (said.status, said.out) == (2, "")
    assert complaint in said.err
    assert said.err.count("\n") == 1


# -- following -----------------------------------------------------------------------------------------------------


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Whenever `--follow` would sleep, the next of these things happens instead; then nothing, three times."""

    def happen(*things: Callable[[], object]) -> None:
        left = iter([*things, int, int, int])
        monkeypatch.setattr(logs.time, "sleep", lambda _seconds: next(left)())
        monkeypatch.setattr(logs, "PATIENCE", 0)

    return happen


def test_what_is_added_is_printed_until_the_job_is_over(moil: Tell, run: Synthetic, meanwhile: Any) -> None:
    run.print_log("4.1", b"first\n")
    meanwhile(
        lambda: run.append(*returned(3), *began(4)),
        lambda: run.print_log("4.1", b"second\n", begin_with=1),
        lambda: run.append(*returned(4)),
        lambda: run.print_log("4.1", b"after the commit\n", begin_with=2),
    )
    said = moil("logs", run.path, "merge", "--follow")
    assert (said.status, said.out) == (0, "first\nsecond\nafter the commit\n")


def test_a_new_attempt_is_followed_too(moil: Tell, build: Build, meanwhile: Any) -> None:
    run = build([RunStarted(at=BEGAN, policy=Policy(retries=1, backoff=0.0), root=call("main")), *began(1)])
    run.print_log("1.1", b"alas\n")
    meanwhile(
        lambda: run.append(*failed(1, "ValueError: no"), *began(1, attempt=2)),
        lambda: run.print_log("1.2", b"better\n"),
        lambda: run.append(*failed(1, "ValueError: no", attempt=2)),
    )
    said = moil("logs", run.path, "1", "-f")
    assert (said.out, said.err) == ("alas\nbetter\n", "moil: main #1, attempt 2\n")


def test_one_attempt_is_followed_to_its_end_only(moil: Tell, build: Build, meanwhile: Any) -> None:
    run = build([RunStarted(at=BEGAN, policy=Policy(retries=1, backoff=0.0), root=call("main")), *began(1)])
    run.print_log("1.1", b"alas\n")
    meanwhile(
        lambda: run.append(*failed(1, "ValueError: no"), *began(1, attempt=2)),
        lambda: run.print_log("1.2", b"better\n"),
    )
    assert moil("logs", run.path, "1", "-f", "--attempt", "1").out == "alas\n"


def test_it_ends_with_the_run(moil: Tell, run: Synthetic, meanwhile: Any, ended_pid: int) -> None:
    meanwhile(lambda: run.led_by(ended_pid))
    assert moil("logs", run.path, "2", "-f").out == "one\ntwo"


def test_it_ends_with_the_store(moil: Tell, run: Synthetic, meanwhile: Any) -> None:
    meanwhile(lambda: run.print_log("3.1", b"more\n", begin_with=1), run.store.destroy)
    said = moil("logs", run.path, "3", "-f")
    assert (said.status, said.out[-5:]) == (0, "more\n")
    assert said.err == "moil: the run has ended, and its job store was removed\n"


@pytest.mark.slow
def test_a_reader_that_has_enough_is_no_error(run: Synthetic, tmp_path: Path) -> None:
    run.print_log("4.1", *[b"a line of sixty-four bytes, so that no pipe can hold all of them..\n" * 4000] * 4)
    with begin("logs", run.path, "merge", cwd=tmp_path) as process:
        assert process.stdout
        assert process.stderr
        assert process.stdout.readline().startswith("a line")
        process.stdout.close()
        assert (process.wait(60), process.stderr.read()) == (141, "")


@pytest.mark.slow
def test_whoever_follows_may_stop(run: Synthetic, tmp_path: Path) -> None:
    with begin("logs", run.path, "3", "--follow", cwd=tmp_path) as process:
        assert process.stdout
        assert process.stderr
        assert process.stdout.readline() == "three\n"
        process.send_signal(signal.SIGINT)
        assert (process.wait(60), process.stderr.read()) == (130, "")
