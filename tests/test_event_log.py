"""The leader's log in a program that uses Moil as a library."""

import subprocess
import sys

import pytest

PROGRAM = """
import pathlib
import sys
import moil

@moil.job(memory="10 MiB", disk="1 MiB", retries=1)
def at_the_second_time(mark):
    if not pathlib.Path(mark).exists():
        pathlib.Path(mark).touch()
        raise RuntimeError("not yet")
    return 1

if __name__ == "__main__":
    {set_up}
    if sys.argv[1:]:
        moil.main(at_the_second_time)
    assert moil.run(at_the_second_time, "{mark}", progress=False, retry_backoff=0.0) == 1
"""


def said(tmp_path, set_up, *words):
    (tmp_path / "program.py").write_text(PROGRAM.format(set_up=set_up, mark=tmp_path / "mark"))
    done = subprocess.run([sys.executable, "program.py", *words], cwd=tmp_path, check=True, capture_output=True, text=True)
    return [line for line in done.stderr.splitlines() if "is kept in" not in line]


def test_who_has_set_up_a_log_hears_of_it(tmp_path):
    lines = said(tmp_path, "import logging; logging.basicConfig(level=logging.INFO)")
    assert lines[0] == "INFO:moil:the run starts"
    assert lines[1].startswith("WARNING:moil:") and "RuntimeError: not yet; it is tried again" in lines[1]


def test_nobody_else_is_troubled(tmp_path):
    assert said(tmp_path, "import logging") == []


RETRIED = "at_the_second_time #1 attempt 1 failed: RuntimeError: not yet; it is tried again"


@pytest.mark.parametrize(("level", "is_said"), [("info", True), ("warning", True), ("debug", True), ("error", False), ("off", False)])
def test_on_a_command_line_somebody_listens_once_there_is_something_to_hear(tmp_path, level, is_said):
    words = (str(tmp_path / "mark"), "--no-progress", "--retry-backoff", "0", "--log-level", level)
    lines = said(tmp_path, "assert 'logging' not in sys.modules", *words)
    assert (f"moil: {RETRIED}" in lines) is is_said
    assert ("moil: the run starts" in lines) is (level == "debug")
    assert is_said or lines == []


def test_a_log_file_has_it_from_the_beginning(tmp_path):
    said(tmp_path, "", str(tmp_path / "mark"), "--no-progress", "--retry-backoff", "0", "--log-file", "log")
    lines = [line.split(" ", 3)[2:] for line in (tmp_path / "log").read_text().splitlines()]
    assert lines[:2] == [["INFO", "the run starts"], ["WARNING", RETRIED]]
