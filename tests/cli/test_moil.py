"""The `moil` command as such: help, version, what is wrong with a command line or a path."""

from __future__ import annotations

from pathlib import Path

import pytest

from moil import __version__
from moil.cli import VERBS
from moil.cli.table import columns
from tests.cli.conftest import Build, Tell, python


def test_help_names_every_verb(moil: Tell) -> None:
    for words in ([], ["--help"]):
        said = moil(*words)
        assert said.status == 0
        assert all(f"\n  {verb} " in said.out for verb in VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(moil: Tell, verb: str) -> None:
    said = moil(verb, "--help")
    assert said.status == 0
    assert said.out.startswith(f"usage: moil {verb}")


@pytest.mark.parametrize("verb", ["status", "explain", "logs", "stats", "config"])
def test_every_reading_verb_documents_its_json(moil: Tell, verb: str) -> None:
    said = moil(verb, "--help").out
    assert "\nWith --json:" in said
    assert "  --json " in said


def test_version(moil: Tell) -> None:
    assert moil("--version").out == f"moil {__version__}\n"


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["statsu"], "there is no verb 'statsu'; did you mean 'stats'?; see moil --help"),
        (["status"], "the following arguments are required: STORE; see moil status --help"),
        (["status", "x", "--jsn"], "unrecognized arguments: --jsn; see moil status --help"),
        (["--jsn"], "unrecognized arguments: --jsn; see moil --help"),
    ],
)
def test_a_wrong_command_line_is_one_line(moil: Tell, words: list[str], complaint: str) -> None:
    said = moil(*words)
    assert (said.status, said.out, said.err) == (2, "", f"moil: {complaint}\n")


@pytest.mark.parametrize("verb", ["status", "stats", "logs", "cancel", "clean"])
def test_a_store_that_is_not_there_is_named(moil: Tell, verb: str, tmp_path: Path) -> None:
    said = moil(verb, tmp_path / "nowhere")
    assert (said.status, said.out) == (2, "")
    assert said.err == (
        f"moil: job store {tmp_path}/nowhere: no such directory; give the directory that the first line of the run named\n"
    )


def test_a_file_is_no_store(moil: Tell, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "file: it is a file; give the directory" in moil("status", tmp_path / "file").err


def test_a_directory_of_stores_names_the_newest(moil: Tell, build: Build, tmp_path: Path) -> None:
    assert moil("status", tmp_path).err == f"moil: {tmp_path} is no job store; give that of a run\n"
    build()
    assert moil("status", tmp_path).err.endswith(f"it holds 1 of them, the newest is {tmp_path}/run\n")


@pytest.mark.parametrize("scheme", ["file:", "file://"])
def test_a_store_may_be_named_as_job_store_names_it(moil: Tell, build: Build, scheme: str) -> None:
    assert moil("status", f"{scheme}{build().path}").status == 0


def test_a_scheme_that_nobody_knows(moil: Tell) -> None:
    assert moil("status", "gopher://x").err.startswith("moil: there is no job store 'gopher'")


def test_ctrl_c_is_130(moil: Tell, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_words: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("moil.cli.config.main", interrupt)
    said = moil("config")
    assert (said.status, said.err) == (130, "")


@pytest.mark.slow
def test_a_character_that_the_terminal_has_not_is_no_error(build: Build, tmp_path: Path) -> None:
    run = build(state="failed", command=())
    code = f"import sys; sys.stdout.reconfigure(encoding='ascii'); from moil.cli import main; sys.exit(main(['status', {str(run.path)!r}]))"
    said = python("-c", code, cwd=tmp_path)
    assert (said.status, said.err) == (0, "")
    assert "moil.run(\\u2026, " in said.out


@pytest.mark.slow
def test_help_loads_no_verb(tmp_path: Path) -> None:
    code = (
        "import sys; from moil.cli import main; main([]); print(sorted(n for n in sys.modules if n.startswith('moil.cli.')))"
    )
    assert python("-c", code, cwd=tmp_path).out.splitlines()[-1] == "['moil.cli.parsing']"


def test_columns_stand_below_each_other() -> None:
    rows = [("job", "time", "x"), ("a", "1", ""), ("longer", "22", "y")]
    assert list(columns(rows, right=[1], indent=1)) == [" job     time  x", " a          1", " longer    22  y"]
    assert list(columns([])) == []


@pytest.mark.slow
def test_python_m_moil_is_the_command(tmp_path: Path) -> None:
    assert python("-m", "moil", "--version", cwd=tmp_path).out == f"moil {__version__}\n"
