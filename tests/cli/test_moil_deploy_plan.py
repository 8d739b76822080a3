"""`moil deploy plan`: what would be shipped, and why, without running anything."""

from __future__ import annotations

import importlib
import sysconfig
from pathlib import Path

import pytest

from tests.cli.conftest import Tell
from tests.deployment.projects import lay


@pytest.fixture(autouse=True)
def project(tmp_path: Path, environment: None, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    sysconfig.get_config_vars()  # what this imports is not to be found in what follows,
    importlib.import_module("moil.deployment.patterns")  # nor what this does
    monkeypatch.setattr("sys.path", ["/nowhere"])
    app = lay(tmp_path / "app", {"main.py": "import pkg\nraise SystemExit('it was run')", "pkg/__init__.py": "", "pkg/x.txt": "four", ".env": ""})
    lay(app, "unused/__init__.py")
    monkeypatch.chdir(app)
    return app


def test_what_would_be_shipped_is_shown_with_reasons(moil: Tell, project: Path) -> None:
    said = moil("deploy", "plan", "main.py")
    assert said.status == 0, said.err
    assert f"{project} (holds main.py)" in said.out
    assert "  pkg, 4 B" in said.out
    assert "imported by main.py:1" in said.out
    assert f"{project}/.env" in said.out.partition("Left out")[2]


def test_json_has_every_file(moil: Tell, project: Path) -> None:
    told = moil("deploy", "plan", "main.py", "--json").json
    files = {one["path"]: one["reason"] for unit in told["units"] if unit["kind"] == "code" for one in unit["files"]}
    assert files == {"main.py": "the script itself", "pkg/__init__.py": "imported by main.py:1", "pkg/x.txt": "package data of pkg"}
    assert told["entry"] == {"module": "", "script": "main.py", "root": 0}
    assert {one["path"] for one in told["left_out"]} == {f"{project}/.env", f"{project}/unused/"}


def test_why_answers_for_one_path(moil: Tell) -> None:
    assert moil("deploy", "plan", "main.py", "--why", "pkg/x.txt").out == "pkg/x.txt is shipped in 'pkg': package data of pkg\n"
    assert "no import reaches this package" in moil("deploy", "plan", "main.py", "--why", "unused/__init__.py").out


def test_settings_of_the_project_count(moil: Tell, project: Path) -> None:
    lay(project, {"pyproject.toml": "[tool.moil]\ndeploy-exclude = ['*.txt']\ndeploy-include = ['.env']"})
    assert "include: .env" in moil("deploy", "plan", "main.py", "--why", ".env").out
    assert "deploy-exclude says '*.txt'" in moil("deploy", "plan", "main.py", "--why", "pkg/x.txt").out


def test_a_module_is_named_as_python_names_it(moil: Tell, project: Path) -> None:
    lay(project, "pkg/__main__.py")
    assert moil("deploy", "plan", "-m", "pkg", "--json").json["entry"] == {"module": "pkg.__main__", "script": "", "root": 0}


def test_what_is_not_there_is_an_error(moil: Tell) -> None:
    assert moil("deploy", "plan", "absent.py").status == 2
    assert "there is no moil deploy plam; did you mean 'plan'?" in moil("deploy", "plam").err
