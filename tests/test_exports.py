"""The public names: as listed, as they are at run time, and as a type checker sees them."""

import subprocess
import sys
from pathlib import Path

import pytest

import moil

NAMES = ["File", "MoilError", "add_options", "current", "defer", "job", "main", "run", "service"]


def test_the_list_is_the_list():
    assert sorted(one for one in moil.__all__ if one != "__version__") == NAMES
    assert sorted(dir(moil)) == sorted(moil.__all__)


def test_all_of_them_are_there_and_documented():
    for name in NAMES:
        assert getattr(moil, name).__doc__


def test_nothing_else_is_offered():
    with pytest.raises(AttributeError, match="no attribute 'task'"):
        moil.task  # noqa: B018


def test_the_front_door_is_small():
    assert len(Path(moil.__file__).read_text().splitlines()) <= 60


@pytest.mark.slow
def test_a_type_checker_sees_them(tmp_path):
    program = tmp_path / "names.py"
    program.write_text("import moil\n" + "".join(f"reveal_type(moil.{name})\n" for name in NAMES))
    done = subprocess.run([sys.executable, "-m", "mypy", "--strict", str(program)], capture_output=True, text=True, cwd=tmp_path)
    assert done.stdout.count("Revealed type") == len(NAMES), done.stdout
    assert "Any\"" not in done.stdout
