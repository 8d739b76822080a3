"""The leader's log in a program that uses Moil as a library."""

import subprocess
import sys

PROGRAM = """
import pathlib
import moil

@moil.job(memory="10 MiB", disk="1 MiB", retries=1)
def at_the_second_time(mark):
    if not pathlib.Path(mark).exists():
        pathlib.Path(mark).touch()
        raise RuntimeError("not yet")
    return 1

if __name__ == "__main__":
    {set_up}
    assert moil.run(at_the_second_time, "{mark}", progress=False, retry_backoff=0.0) == 1
"""


def said(tmp_path, set_up):
    (tmp_path / "program.py").write_text(PROGRAM.format(set_up=set_up, mark=tmp_path / "mark"))
    done = subprocess.run([sys.executable, "program.py"], cwd=tmp_path, check=True, capture_output=True, text=True)
    return [line for line in done.stderr.splitlines() if "is kept in" not in line]


def test_who_has_set_up_a_log_hears_of_it(tmp_path):
    lines = said(tmp_path, "import logging; logging.basicConfig(level=logging.INFO)")
    assert lines[0] == "INFO:moil:the run starts"
    assert lines[1].startswith("WARNING:moil:") and "RuntimeError: not yet; it is tried again" in lines[1]


def test_nobody_else_is_troubled(tmp_path):
    assert said(tmp_path, "import logging") == []
