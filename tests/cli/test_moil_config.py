"""`moil config`: each setting, its value, and where that came from."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Tell


@pytest.fixture(autouse=True)
def _no_settings(environment: None) -> None:
    """Of the machine that the tests run on."""


def lines(out: str) -> dict[str, list[str]]:
    return {line.split()[0]: line.split(maxsplit=2)[1:] for line in out.splitlines()}


def test_what_nobody_has_set_is_a_default(moil: Tell) -> None:
    shown = lines(moil("config").out)
    assert shown["retries"] == ["1", "default"]
    assert shown["job-store"] == ["-", "default"]
    assert shown["progress"] == ["yes", "default"]


def test_variables_and_files_are_named(moil: Tell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.moil]\nretries = 5\nwork-dir = "/var/tmp"\n')
    monkeypatch.setenv("MOIL_CLEAN", "never")
    shown = lines(moil("config").out)
    assert shown["retries"] == ["5", f"{tmp_path}/pyproject.toml [tool.moil]"]
    assert shown["work-dir"] == ["/var/tmp", f"{tmp_path}/pyproject.toml [tool.moil]"]
    assert shown["clean"] == ["never", "variable MOIL_CLEAN"]


def test_json_keeps_the_types(moil: Tell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOIL_ENV", "A=1 B")
    monkeypatch.setenv("MOIL_WORK_DIR", "/var/tmp")
    found = {one["name"]: one for one in moil("config", "--json").json["settings"]}
    assert found["retries"] == {"name": "retries", "value": 1, "source": "default", "help": found["retries"]["help"]}
    assert found["env"]["value"] == ["A=1", "B"]
    assert found["work-dir"]["value"] == "/var/tmp"
    assert found["job-store"]["value"] is None
    assert found["fail-fast"]["value"] is False


def test_a_wrong_setting_is_named_with_its_place(moil: Tell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOIL_RETRIES", "many")
    said = moil("config")
    assert (said.status, said.out) == (2, "")
    assert said.err == "moil: variable MOIL_RETRIES: retries='many' is not a whole number\n"
