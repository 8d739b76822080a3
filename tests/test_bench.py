"""The bench's programs run: what they say is looked at by people, but a change must not leave them behind."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parent.parent / "bench"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["profile", "--jobs", "20"], "page faults of the supervisor"),
        (["scale.py", "--sizes", "300"], "| 302 |"),
        (["kept.py", "--files", "4", "--reps", "1"], "4 files of 1 MiB kept"),
        (["fanout.py", "--sizes", "20"], "| 20 |"),
        (["run", "--help"], "--with"),
        (["deployment.py", "--help"], "--with"),
        (["slurm.py", "--help"], "--systems"),
    ],
    ids=lambda words: words[0] if isinstance(words, list) else "",
)
def test_it_runs(tmp_path: Path, words: list[str], said: str) -> None:
    first = str(BENCH / words[0])
    command = [sys.executable, first] if first.endswith(".py") else [first]
    cache = ["--cache", str(tmp_path / "cache")] if words[0] == "fanout.py" else []
    env = {**os.environ, "PYTHON": sys.executable, "TMPDIR": str(tmp_path)}
    done = subprocess.run([*command, *words[1:], *cache], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert said in done.stdout, done.stdout
