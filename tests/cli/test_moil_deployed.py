"""`moil deploy show`, `diff` and `export`: the code that ran, out of the run's store; and `moil doctor`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from moil.cli import main

SCRIPT = """
import moil
from helper import VALUE

@moil.job(memory="64 MiB")
def main() -> int:
    return VALUE

if __name__ == "__main__":
    moil.main(main)
"""


def run(folder: Path, store: str, *more: str) -> None:
    words = [sys.executable, "main.py", "--batch-system", "processes", "--job-store", store, "--clean", "never", "--no-progress", *more]
    environ = {**os.environ, "XDG_CACHE_HOME": str(folder.parent / "cache")}
    options = ["--worker-cache", str(folder.parent / "worker-cache"), "--no-clean-room"]
    subprocess.run([*words, *options], cwd=folder, env=environ, capture_output=True, check=True, timeout=120)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that has run as `one`, was edited, and has run again as `two`; `one` was restarted with the new code."""
    folder = tmp_path_factory.mktemp("deployed") / "project"
    folder.mkdir()
    (folder / "main.py").write_text(SCRIPT)
    (folder / "helper.py").write_text("VALUE = 1\n")
    run(folder, "../runs/one")
    (folder / "helper.py").write_text("VALUE = 2\n")
    run(folder, "../runs/two")
    run(folder, "../runs/one", "--restart")
    return folder


def store(project: Path, name: str) -> str:
    return str(project.parent / "runs" / name)


def test_show_tells_what_the_workers_run(project, capsys):
    assert main(["deploy", "show", store(project, "two"), "--files"]) == 0
    said = capsys.readouterr().out
    assert "runs main.py under Python" in said
    assert "files beside main.py" in said
    assert "helper.py" in said


def test_show_as_json(project, capsys):
    assert main(["deploy", "show", store(project, "two"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["entry"] == "main.py"
    assert set(found["files"]) == {"main.py", "helper.py"}
    assert {one["name"] for one in found["environment"]} >= {"cloudpickle"}


def test_diff_of_the_last_restart(project, capsys):
    assert main(["deploy", "diff", store(project, "one")]) == 1
    said = capsys.readouterr().out
    assert "-VALUE = 1\n+VALUE = 2" in said
    assert "main.py" not in said


def test_diff_of_two_runs_and_of_a_directory(project, capsys, tmp_path):
    assert main(["deploy", "diff", store(project, "one"), store(project, "two")]) == 0
    assert "no differences" in capsys.readouterr().out
    (tmp_path / "main.py").write_text(SCRIPT)
    (tmp_path / "helper.py").write_bytes(b"\xff\xfe")
    assert main(["deploy", "diff", store(project, "two"), str(tmp_path)]) == 1
    assert "differs: helper.py" in capsys.readouterr().out
    (tmp_path / "helper.py").unlink()
    assert main(["deploy", "diff", store(project, "two"), str(tmp_path)]) == 1
    assert "only in the first: helper.py" in capsys.readouterr().out


@pytest.mark.parametrize(("words", "why"), [(["two"], "not restarted with other code"), (["two", "nowhere"], "neither a job store nor a directory")])
def test_diff_of_nothing_is_told(project, capsys, words, why):
    assert main(["deploy", "diff", store(project, words[0]), *words[1:]]) == 2
    assert why in capsys.readouterr().err


def test_export_writes_the_files(project, capsys, tmp_path):
    target = tmp_path / "code"
    assert main(["deploy", "export", store(project, "two"), str(target), "--environment"]) == 0
    assert (target / "0" / "helper.py").read_text() == "VALUE = 2\n"
    assert (target / "environment" / "site" / "cloudpickle" / "__init__.py").exists()
    assert os.access(target / "0" / "helper.py", os.W_OK)
    capsys.readouterr()
    assert main(["deploy", "export", store(project, "two"), str(target)]) == 2
    assert "is not empty" in capsys.readouterr().err


def test_a_run_that_shipped_nothing_says_so(project, capsys):
    words = [sys.executable, "main.py", "--job-store", "../runs/local", "--clean", "never", "--no-progress"]
    subprocess.run(words, cwd=project, capture_output=True, check=True, timeout=60)
    assert main(["deploy", "show", store(project, "local")]) == 2
    assert "has shipped no code" in capsys.readouterr().err


def test_doctor_at_home(capsys):
    assert main(["doctor"]) == 0
    assert "ok     Python here" in capsys.readouterr().out


def test_doctor_of_a_cluster(capsys, tmp_path):
    assert main(["doctor", "--batch-system", "processes", "--job-store", str(tmp_path / "runs"), "--json"]) == 0
    found = {one["name"]: one for one in json.loads(capsys.readouterr().out)["checks"]}
    assert all(one["ok"] for one in found.values())
    assert "the job store is seen from a worker" in found
    assert "Python on a worker" in found


def test_doctor_names_what_is_wrong_and_the_cure(capsys, tmp_path):
    words = ["doctor", "--batch-system", "processes", "--worker-python", "/no/such/python", "--job-store", str(tmp_path)]
    assert main(words) == 1
    said = capsys.readouterr().out
    assert "wrong  the job store is seen from a worker" in said
    assert "there is no Python (/no/such/python)" in said
    assert main(["doctor", "--batch-system", "processes"]) == 1
    assert "name the directory for your runs" in capsys.readouterr().out


def test_export_to_where_nothing_can_be_written_is_told(project, capsys, tmp_path):
    (tmp_path / "file").write_text("")
    assert main(["deploy", "export", store(project, "two"), str(tmp_path / "file" / "below")]) == 2
    assert "cannot be written: Not a directory; name another directory" in capsys.readouterr().err


def test_doctor_of_a_store_that_is_no_directory(capsys):
    assert main(["doctor", "--batch-system", "processes", "--job-store", "s3://bucket/run"]) == 1
    assert "s3://bucket/run is no directory" in capsys.readouterr().out
