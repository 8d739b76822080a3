"""What a program's own project says counts wherever the program is started from."""

import pytest

from moil.deployment.project import patterns
from moil.errors import UsageError
from tests.deployment.projects import lay, plan_of, shipped

SAYS = "[tool.moil]\ndeploy-include = ['big.bin']\ndeploy_exclude = ['notes.txt']\nretries = 3\n[tool.moil.slurm]\nx = 1\n"
FILES = {"pyproject.toml": SAYS, "src/main.py": "", "src/notes.txt": "", "src/big.bin": bytes(2 << 20)}


def test_a_plan_follows_the_project(tmp_path):
    plan = plan_of(script=lay(tmp_path, FILES) / "src" / "main.py")
    assert shipped(plan) == {"main.py", "big.bin"}


def test_settings_win(tmp_path):
    plan = plan_of(script=lay(tmp_path, FILES) / "src" / "main.py", exclude=("nothing",))
    assert shipped(plan) == {"main.py", "notes.txt"}


@pytest.mark.parametrize("text", ["", "[project]\nname = 'x'\n", "[tool.other]\n"])
def test_a_project_that_says_nothing(tmp_path, text):
    lay(tmp_path, {"pyproject.toml": text})
    assert patterns(str(tmp_path)) == ((), ()) == patterns(str(tmp_path / "absent"))


@pytest.mark.parametrize("text", ["[tool.moil]\ndeploy-include = 3\n", "[tool.moil]\ndeploy-include = [3]\n", "x =\n", "tool = 3\n"])
def test_what_is_wrong_is_named(tmp_path, text):
    lay(tmp_path, {"pyproject.toml": text})
    with pytest.raises(UsageError, match="pyproject.toml cannot be read: .*; correct its"):
        patterns(str(tmp_path))
