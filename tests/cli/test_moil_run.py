"""`moil run`: a script without a __main__ block is as good as one with it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.cli.conftest import Said, python

pytestmark = pytest.mark.slow

SCRIPT = '''
import sys
import moil
from pathlib import Path
from beside import twice

class Point:
    def __init__(self, x: int) -> None:
        self.x = x

    def __repr__(self) -> str:
        return f"{type(self) is Point} {self.x}"

@moil.job
def double(point: Point) -> Point:
    return Point(twice(point.x))

@moil.job
def main(x: int, seen: bool = False) -> list[object]:
    """Double a number."""
    if seen:
        return [sys.argv, sys.path[0], __name__]
    return [double(Point(x)), Point(x)]

@moil.job
def length(of: Path) -> int:
    return len(of.read_text())

@moil.service
def server():
    yield 1

def plain(x: int = 3) -> int:
    return x + 1

number = 4

if __name__ == "__main__":
    raise AssertionError("the guarded block has run")
'''


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A script, a module beside it, and a package."""
    (tmp_path / "code").mkdir()
    (tmp_path / "code/beside.py").write_text("def twice(x):\n    return 2 * x\n")
    (tmp_path / "code/test.py").write_text(SCRIPT)
    (tmp_path / "one.py").write_text("import moil\n@moil.job\ndef only(x: int) -> int:\n    return x\n")
    (tmp_path / "two.py").write_text("import moil\n@moil.job\ndef one() -> int: ...\n@moil.job\ndef two() -> int: ...\n")
    (tmp_path / "none.py").write_text("from one import only\n")
    (tmp_path / "broken.py").write_text("def f():\n    return nothing\nf()\n")
    (tmp_path / "unguarded.py").write_text("import moil\n@moil.job\ndef main() -> int: ...\nmoil.main(main)\n")
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "__main__.py").write_text("from .sums import main\n")
    (package / "sums.py").write_text(
        "import sys\nimport moil\nfrom . import __name__ as package\n"
        "@moil.job\ndef add(a: int, b: int) -> int:\n    return a + b\n"
        "@moil.job\ndef main(a: int) -> list[object]:\n    return [add(a, 1), sys.argv, sys.path[0], package]\n"
    )
    return tmp_path


def run(*words: str, cwd: Path) -> Said:
    return python("-m", "moil", "run", *words, "--no-progress", cwd=cwd)


def test_it_runs_main_and_types_travel_as_themselves(folder: Path) -> None:
    said = run("code/test.py", "21", cwd=folder)
    assert (said.status, said.out) == (0, "[True 42, True 21]\n")
    assert said.err.startswith("moil: run main is kept in ")


def test_the_script_sees_what_it_would_see_under_python(folder: Path) -> None:
    argv, path, name = json.loads(run("code/test.py", "1", "--seen", cwd=folder).out)
    assert argv == ["code/test.py", "1", "--seen", "--no-progress"]
    assert (path, name) == (str(folder / "code"), "__moil_main__")


def test_another_function_can_be_named_or_be_the_only_job(folder: Path) -> None:
    assert run("code/test.py:plain", "--x", "5", cwd=folder).out == "6\n"
    assert run("one.py", "7", cwd=folder).out == "7\n"


def test_a_module_and_a_package_run_as_after_python_m(folder: Path) -> None:
    assert run("-m", "package.sums:add", "1", "2", cwd=folder).out == "3\n"
    value, argv, path, package = json.loads(run("-m", "package", "1", cwd=folder).out)
    assert (value, path, package) == (2, str(folder), "package")
    assert argv == [str(folder / "package/__main__.py"), "1", "--no-progress"]


def test_help_is_that_of_the_function(folder: Path) -> None:
    said = run("code/test.py", "--help", cwd=folder)
    assert (said.status, said.err) == (0, "")
    usage = " ".join(said.out.split())
    assert "-m moil run code/test.py [-h] [--seen | --no-seen] x [engine options] Double a number." in usage


def test_the_command_that_resumes_can_be_typed(folder: Path) -> None:
    failed = run("code/test.py:length", "text", "--retries", "0", cwd=folder)
    assert failed.status == 1
    (folder / "text").write_text("four")
    resume = next(line for line in failed.err.splitlines() if line.startswith("Resume with: "))
    again = subprocess.run(resume.removeprefix("Resume with: "), shell=True, cwd=folder, capture_output=True, timeout=60)
    assert (again.returncode, again.stdout) == (0, b"4\n")


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["two.py"], "two.py has no 'main', so say what to run: moil run two.py:FUNCTION; its jobs are one, two"),
        (["two.py:onee"], "two.py has no 'onee'; did you mean 'one'?; its jobs are one, two"),
        (["none.py"], "so say what to run: moil run none.py:FUNCTION; it has no job: put @moil.job above a function"),
        (["code/test.py:number"], "number of code/test.py is of type int, so it cannot be run"),
        (["code/test.py:server"], "server of code/test.py is a service, so it cannot be run; its jobs are double, main"),
        (["code/test.py:Point"], "Point of code/test.py is a class, so it cannot be run"),
        (["nowhere.py:main"], "nowhere.py: no such file; give the path of a Python script, or use -m for a module"),
        (["code"], "code is a directory; name a script in it, or use -m for a package"),
        (["-m", "nowhere.at.all"], "nowhere.at.all cannot be loaded: ModuleNotFoundError: No module named 'nowhere'"),
        (["-m", "nowhere"], "there is no module nowhere; it is looked for in "),
        (["broken.py"], "broken.py cannot be loaded: NameError: name 'nothing' is not defined"),
        (["--retries", "3", "one.py"], "--retries stands before the script; options of the job and of the engine follow it"),
        ([], "--no-progress stands before the script"),
    ],
)
def test_what_cannot_be_run_is_said_in_one_line(folder: Path, words: list[str], complaint: str) -> None:
    said = run(*words, cwd=folder)
    assert (said.status, said.out) == (2, "")
    assert said.err.splitlines()[-1].startswith("moil: ")
    assert complaint in said.err.splitlines()[-1]


def test_a_script_that_cannot_be_loaded_shows_the_users_frames_only(folder: Path) -> None:
    trace = run("broken.py", cwd=folder).err.splitlines()
    assert trace[0] == "Traceback (most recent call last):"
    assert [line for line in trace if line.startswith("  File ")] == [
        f'  File "{folder}/broken.py", line 3, in <module>',
        f'  File "{folder}/broken.py", line 2, in f',
    ]


def test_a_script_that_starts_a_run_unguarded_is_told_so(folder: Path) -> None:
    said = run("unguarded.py", cwd=folder)
    assert said.status == 1
    assert 'if __name__ == "__main__":' in said.err
    assert "Traceback" not in said.err
