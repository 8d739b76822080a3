"""mypy and pyright accept the good calls, and refuse the bad ones, line by line."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
pytestmark = pytest.mark.slow


def marked(path: Path) -> set[int]:
    return {number for number, line in enumerate(path.read_text().splitlines(), 1) if line.endswith("# E")}


def mypy(path: Path) -> set[int]:
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=HERE)
    return {int(line) for line in re.findall(rf"{path.name}:(\d+): error", done.stdout)}


def pyright(path: Path) -> set[int]:
    command = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=HERE)
    found = json.loads(done.stdout)["generalDiagnostics"]
    return {one["range"]["start"]["line"] + 1 for one in found if one["severity"] == "error"}


@pytest.mark.parametrize("checker", [mypy, pyright])
def test_good_calls_are_accepted(checker):
    assert checker(HERE / "good_calls.py") == set()


@pytest.mark.parametrize("checker", [mypy, pyright])
def test_bad_calls_are_refused(checker):
    bad = HERE / "bad_calls.py"
    assert checker(bad) == marked(bad)
