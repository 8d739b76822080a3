"""A batch system of another distribution, with settings of its own: they can be given wherever the engine's can."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ADAPTER = """
import sys
from typing import ClassVar

from moil.plugins import open_batch_system
from moil.record import record
from moil.settings import setting


@record
class GridSettings:
    prefix: ClassVar[str] = "grid"
    queue: str = setting("short", help="submit to this queue", group="batch system grid")


def open_grid(site):
    print(f"queue {site.others[GridSettings].queue}", file=sys.stderr)
    return open_batch_system("local", site)
"""
ENTRY_POINTS = "[moil.batch_systems]\ngrid = grid:open_grid\n[moil.settings]\ngrid = grid:GridSettings\n"
PROGRAM = """
import sys
import moil


@moil.job(memory="10 MiB", disk="1 MiB")
def main():
    return 1


if __name__ == "__main__":
    if sys.argv[1:2] == ["run"]:
        moil.run(main, batch_system="grid", grid_queue="said", progress=False)
    else:
        moil.main(main)
"""

Tell = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def tell(tmp_path: Path) -> Tell:
    site = tmp_path / "site"
    info = site / "grid-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "grid.py").write_text(ADAPTER)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: grid\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    (tmp_path / "program.py").write_text(PROGRAM)

    def tell(*words: str, status: int = 0, **variables: str) -> subprocess.CompletedProcess[str]:
        env = {**os.environ, "PYTHONPATH": str(site), "XDG_CONFIG_HOME": str(tmp_path / "config"), **variables}
        done = subprocess.run([sys.executable, *words], cwd=tmp_path, env=env, capture_output=True, text=True)
        assert done.returncode == status, done.stderr
        return done

    return tell


def queue(done: subprocess.CompletedProcess[str]) -> str:
    return next(line for line in done.stderr.splitlines() if line.startswith("queue ")).partition(" ")[2]


@pytest.mark.parametrize("words", [("--batch-system", "grid"), ("--batch-system=grid",), ("--batchSystem", "grid")])
def test_its_options_are_there_if_it_is_asked_for(tell: Tell, words: tuple[str, ...]) -> None:
    assert queue(tell("program.py", *words)) == "short"
    assert queue(tell("program.py", *words, "--grid-queue", "long")) == "long"
    assert "submit to this queue (default: short)" in tell("program.py", *words, "--help").stdout


def test_they_are_not_if_another_is(tell: Tell) -> None:
    assert queue(tell("program.py", "--batch-system", "local", "--batch-system", "grid", "--grid-queue", "long")) == "long"
    done = tell("program.py", "--batch-system", "local", "--grid-queue", "long", status=2)
    assert "unrecognized arguments: --grid-queue long" in done.stderr


def test_variables(tell: Tell) -> None:
    variables = {"MOIL_BATCH_SYSTEM": "grid", "MOIL_GRID_QUEUE": "long"}
    assert queue(tell("program.py", **variables)) == "long"
    assert queue(tell("program.py", "--grid-queue", "longer", **variables)) == "longer"


def test_files(tell: Tell, tmp_path: Path) -> None:
    file = tmp_path / "pyproject.toml"
    file.write_text('[tool.moil]\nbatch-system = "grid"\n[tool.moil.grid]\nqueue = "long"\n')
    assert queue(tell("program.py")) == "long"
    assert queue(tell("program.py", "--grid-queue", "longer")) == "longer"
    assert ["grid-queue", "long", str(file)] in [line.split()[:3] for line in tell("-m", "moil", "config").stdout.splitlines()]


def test_its_table_in_a_file_is_passed_over_if_another_is_asked_for(tell: Tell, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.moil.grid]\nqueue = "long"\n')
    assert "queue" not in tell("program.py").stderr
    (tmp_path / "pyproject.toml").write_text('[tool.moil.gird]\nqueue = "long"\n')
    assert "there is no setting 'gird'; did you mean 'grid'?" in tell("program.py", status=2).stderr


def test_a_call_of_run(tell: Tell) -> None:
    assert queue(tell("program.py", "run")) == "said"


def test_help_is_given_whatever_is_wrong_with_the_settings(tell: Tell) -> None:
    assert "--batch-system" in tell("program.py", "--help", MOIL_RETRIES="many").stdout
