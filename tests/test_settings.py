"""Settings: where a value comes from, who wins, and what is said about a wrong one."""

from __future__ import annotations

import dataclasses
import itertools
import subprocess
import sys
from moil.record import record
from pathlib import Path
from typing import ClassVar, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moil.errors import UsageError
from moil.measures import UNITS
from moil.engine_settings import EngineSettings
from moil.settings import Given, Resolved, Setting, read, resolve, setting, settings_of


@record
class LocalSettings:
    """An adapter's own settings, as an adapter would write them."""

    prefix: ClassVar[str] = "local"

    scale: float = setting(1.0, help="jobs think they need so much of what they ask for", toil="--scale", minimum=0)
    slots: int | None = setting(None, help="at most so many jobs at a time")
    order: Literal["fifo", "largest-first"] = setting("fifo", help="who is next")
    start_method: str | None = setting(None, help="how processes are made")
    poll: float | str = setting("1 s", help="how often to look", unit="duration")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "home"
    (home / ".config").mkdir(parents=True)
    return home


@pytest.fixture
def project(tmp_path: Path) -> Path:
    project = tmp_path / "project"
    project.mkdir()
    return project


def write(directory: Path, text: str, name: str = "pyproject.toml") -> Path:
    path = directory / name
    path.write_text(text, encoding="utf-8")
    return path


def from_project(project: Path, text: str, *classes: type, others: tuple[str, ...] = ()) -> Resolved:
    write(project, text)
    return resolve(*(classes or (EngineSettings,)), environ={}, directory=project, units=UNITS, others=lambda: others)


def source_of(resolved: Resolved, key: str) -> str:
    return next(origin.source for origin in resolved.origins if origin.setting.key == key)


def one(cls: type, name: str) -> Setting:
    return next(one for one in settings_of(cls) if one.name == name)


# Who wins


def test_without_anything_the_defaults_hold(project: Path) -> None:
    resolved = resolve(EngineSettings, environ={}, directory=project)
    assert resolved[EngineSettings] == EngineSettings()
    assert {origin.source for origin in resolved.origins} == {"default"}


def test_each_place_beats_those_behind_it_and_is_named(project: Path, home: Path) -> None:
    user = write(home / ".config", "retries = 1\nmax-jobs = 1\nclean = 'never'\nisolation = 'worker'", "moil.toml")
    file = write(project, "[tool.moil]\nretries = 2\nmax-jobs = 2\nclean = 'always'")
    environ = {"HOME": str(home), "MOIL_RETRIES": "3", "MOIL_MAX_JOBS": "3"}
    flags = {"retries": Given("4", "flag --retries")}
    resolved = resolve(EngineSettings, given=flags, environ=environ, directory=project, units=UNITS)

    found = resolved[EngineSettings]
    assert (found.retries, found.max_jobs, found.clean, found.isolation, found.deploy) == (4, 3, "always", "worker", "auto")
    assert source_of(resolved, "retries") == "flag --retries"
    assert source_of(resolved, "max_jobs") == "variable MOIL_MAX_JOBS"
    assert source_of(resolved, "clean") == f"{file} [tool.moil]"
    assert source_of(resolved, "isolation") == str(user)
    assert source_of(resolved, "deploy") == "default"


@pytest.mark.parametrize("places", [places for count in range(5) for places in itertools.combinations(range(4), count)])
def test_the_first_place_that_knows_a_setting_wins(project: Path, places: tuple[int, ...]) -> None:
    write(project, "retries = 13" if 3 in places else "", "moil.toml")
    write(project, "[tool.moil]\nretries = 12" if 2 in places else "")
    environ = {"XDG_CONFIG_HOME": str(project)} | ({"MOIL_RETRIES": "11"} if 1 in places else {})
    flags = {"retries": Given("10", "flag --retries")} if 0 in places else {}
    found = resolve(EngineSettings, given=flags, environ=environ, directory=project)[EngineSettings]
    assert found.retries == (10 + places[0] if places else EngineSettings().retries)


def test_the_nearest_pyproject_counts_even_if_it_says_nothing_about_moil(project: Path) -> None:
    write(project, "[tool.moil]\nretries = 7")
    inner = project / "a" / "b"
    inner.mkdir(parents=True)
    assert resolve(EngineSettings, environ={}, directory=inner)[EngineSettings].retries == 7
    write(project / "a", "[project]\nname = 'other'")
    assert resolve(EngineSettings, environ={}, directory=inner)[EngineSettings].retries == 1


def test_the_users_file_lies_where_xdg_says(project: Path, home: Path, tmp_path: Path) -> None:
    write(home / ".config", "retries = 3", "moil.toml")
    write(tmp_path, "retries = 5", "moil.toml")
    for config, retries in ((str(tmp_path), 5), ("", 3), ("relative", 3)):
        environ = {"HOME": str(home), "XDG_CONFIG_HOME": config}
        assert resolve(EngineSettings, environ=environ, directory=project)[EngineSettings].retries == retries


def test_an_empty_variable_is_as_good_as_none(project: Path) -> None:
    assert resolve(EngineSettings, environ={"MOIL_RETRIES": ""}, directory=project)[EngineSettings].retries == 1


# An adapter's settings


def test_an_adapter_gets_flag_variable_and_table_of_its_name() -> None:
    method = one(LocalSettings, "start_method")
    assert (method.flag, method.variable) == ("--local-start-method", "MOIL_LOCAL_START_METHOD")
    assert (method.key, method.group) == ("local_start_method", "local options")


def test_an_adapters_settings_come_from_its_own_table(project: Path) -> None:
    text = "[tool.moil]\nretries = 2\n[tool.moil.local]\nslots = 4\nstart-method = 'spawn'"
    resolved = from_project(project, text, EngineSettings, LocalSettings)
    assert resolved[LocalSettings] == LocalSettings(slots=4, start_method="spawn")
    assert source_of(resolved, "local_slots") == f"{project / 'pyproject.toml'} [tool.moil.local]"


def test_an_adapters_settings_come_from_its_own_variables(project: Path) -> None:
    environ = {"MOIL_LOCAL_ORDER": "largest-first", "MOIL_LOCAL_SCALE": "0.5", "MOIL_LOCAL_SLOTS": "none"}
    found = resolve(EngineSettings, LocalSettings, environ=environ, directory=project)[LocalSettings]
    assert found == LocalSettings(order="largest-first", scale=0.5)


def test_the_table_of_an_adapter_that_is_not_loaded_may_stand_there(project: Path) -> None:
    text = "[tool.moil.grid_engine]\nqueue = 'long'"
    assert from_project(project, text, others=("grid-engine", "slurm"))[EngineSettings] == EngineSettings()
    with pytest.raises(UsageError, match="there is no setting 'grid_engine'"):
        from_project(project, text)


def test_a_field_that_no_word_can_stand_for_is_the_authors_mistake() -> None:
    @record
    class Bad:
        thing: complex = setting(0j, help="?")

    with pytest.raises(TypeError, match=r"Bad\.thing"):
        list(settings_of(Bad))


# Wrong keys


@pytest.mark.parametrize("spelling", ["job-store", "job_store"])
def test_both_spellings_of_a_key_are_one(project: Path, spelling: str) -> None:
    assert from_project(project, f"[tool.moil]\n{spelling} = 'here'")[EngineSettings].job_store == "here"


def test_a_key_in_both_spellings_is_an_error(project: Path) -> None:
    with pytest.raises(UsageError, match="'job_store' is there twice"):
        from_project(project, "[tool.moil]\njob-store = 'a'\njob_store = 'b'")


def test_an_unknown_key_names_file_key_and_the_nearest_name(project: Path) -> None:
    with pytest.raises(UsageError) as caught:
        from_project(project, "[tool.moil]\nretrys = 2")
    file = project / "pyproject.toml"
    assert str(caught.value) == f"{file} [tool.moil]: there is no setting 'retrys'; did you mean 'retries'?"


def test_an_unknown_key_of_an_adapter_names_its_table(project: Path) -> None:
    with pytest.raises(UsageError, match=r"\[tool.moil.local\]: there is no setting 'slot'; did you mean 'slots'\?"):
        from_project(project, "[tool.moil.local]\nslot = 2", EngineSettings, LocalSettings)


def test_a_misspelt_table_is_found_too(project: Path) -> None:
    with pytest.raises(UsageError, match="'locale'; did you mean 'local'"):
        from_project(project, "[tool.moil.locale]\nslots = 2", EngineSettings, LocalSettings)


# Wrong values


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("retries = 'many'", "retries='many' is not a whole number"),
        ("retries = true", "retries=True is not a whole number"),
        ("retries = -1", "retries=-1 is less than 0"),
        ("retry-backoff = 'inf'", "retry-backoff='inf' is not a number"),
        ("fail-fast = 'perhaps'", "fail-fast='perhaps' is neither true nor false"),
        (
            "clean = 'on_succes'",
            "clean='on_succes' is none of on-success, always, never, on-error; did you mean 'on-success'?",
        ),
        ("job-store = 3", "job-store=3 is not text"),
        ("work-dir = 3", "work-dir=3 is not a path"),
        ("env = 3", "env=3 is not a list"),
        ("env = ['=1']", "env=['=1'] does not begin with the name of a variable"),
        ("default-memory = '4 Q'", "default-memory='4 Q' is not a size: give bytes, or text such as '4 GiB'"),
        ("max-cores = 0", "max-cores=0 is not a number of cores: give a positive number such as 2 or 0.5"),
    ],
)
def test_a_wrong_value_names_its_place(project: Path, text: str, complaint: str) -> None:
    with pytest.raises(UsageError) as caught:
        from_project(project, f"[tool.moil]\n{text}")
    assert str(caught.value) == f"{project / 'pyproject.toml'} [tool.moil]: {complaint}"


def test_a_wrong_variable_is_named(project: Path) -> None:
    with pytest.raises(UsageError, match="variable MOIL_MAX_JOBS: max-jobs='0' is less than 1"):
        resolve(EngineSettings, environ={"MOIL_MAX_JOBS": "0"}, directory=project)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[tool.moil", "is not valid TOML"),
        ("tool = 3", "'tool' is not a table"),
        ("[tool]\nmoil = 3", "[tool]: 'moil' is not a table"),
        ("[tool.moil]\nlocal = 3", "[tool.moil]: 'local' is not a table"),
    ],
)
def test_a_broken_file_is_named(project: Path, text: str, complaint: str) -> None:
    with pytest.raises(UsageError) as caught:
        from_project(project, text, EngineSettings, LocalSettings)
    assert str(project / "pyproject.toml") in str(caught.value)
    assert complaint in str(caught.value)


# Values


def test_what_has_a_unit_stays_in_the_users_words(project: Path) -> None:
    found = from_project(project, "[tool.moil]\ndefault-memory = '1.5 GiB'\nmax-memory = 1000\nmax-cores = 'none'")
    assert found[EngineSettings] == EngineSettings(default_memory="1.5 GiB", max_memory=1000)


def test_a_walltime_of_nought_is_none_as_in_toil(project: Path) -> None:
    for text in ("0", "'0'", "'none'"):
        assert from_project(project, f"[tool.moil]\ndefault-walltime = {text}")[EngineSettings].default_walltime is None


def test_toils_words_are_understood() -> None:
    assert read(one(EngineSettings, "clean"), "onSuccess") == "on-success"
    assert read(one(EngineSettings, "batch_system"), "single_machine") == "local"
    assert read(one(EngineSettings, "log_level"), "DEBUG") == "debug"
    assert read(one(EngineSettings, "job_store"), "file:my-store") == "my-store"


def test_a_list_is_a_list_a_table_or_words_of_a_shell(project: Path) -> None:
    expected = ("OMP_NUM_THREADS=4", "NOTE=two words")
    in_toml = ("env = ['OMP_NUM_THREADS=4', 'NOTE=two words']", "env = {OMP_NUM_THREADS = 4, NOTE = 'two words'}")
    for text in in_toml:
        assert from_project(project, f"[tool.moil]\n{text}")[EngineSettings].env == expected
    environ = {"MOIL_ENV": "OMP_NUM_THREADS=4 'NOTE=two words'"}
    assert resolve(EngineSettings, environ=environ, directory=project.parent)[EngineSettings].env == expected


def test_a_path_may_begin_at_home(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/somewhere")
    assert from_project(project, "[tool.moil]\nwork-dir = '~/w'")[EngineSettings].work_dir == Path("/somewhere/w")


@settings(max_examples=40)
@given(st.integers(0), st.floats(0, 1e9), st.booleans(), st.text(min_size=1))
def test_every_kind_of_value_survives_a_variable(retries: int, backoff: float, restart: bool, output: str) -> None:
    expected = EngineSettings(retries=retries, retry_backoff=backoff, restart=restart, output=output)
    environ = {
        f"MOIL_{name.upper()}": str(getattr(expected, name)) for name in ("retries", "retry_backoff", "restart", "output")
    }
    assert resolve(EngineSettings, environ=environ, directory=Path("/"))[EngineSettings] == expected


@pytest.mark.parametrize("written", ["clean onError", "env A=1", "work_dir ~/x", "default_walltime 0", "max_jobs 3"])
def test_reading_what_was_read_changes_nothing(written: str) -> None:
    name, text = written.split()
    once = read(one(EngineSettings, name), text, UNITS)
    assert read(one(EngineSettings, name), once, UNITS) == once


def test_every_engine_setting_has_help_and_a_home_in_a_group() -> None:
    for setting_ in settings_of(EngineSettings):
        assert setting_.details.get("help")
        assert setting_.group != "engine options"


def test_a_settings_class_that_is_none_is_the_authors_mistake() -> None:
    @dataclasses.dataclass
    class Plain:
        order: str = setting("fifo", help="who is next")

    with pytest.raises(TypeError, match="Plain: a settings class is a @record"):
        list(settings_of(Plain))


def test_importing_settings_brings_in_no_argument_parser() -> None:
    program = (
        "import sys, types\n"
        "from pathlib import Path\n"
        "package = types.ModuleType('moil'); package.__path__ = [str(Path(sys.argv[1]))]; sys.modules['moil'] = package\n"
        "import moil.settings\n"
        "assert not {'argparse', 'dataclasses', 'inspect'} & {*sys.modules}, sorted(sys.modules)\n"
    )
    source = Path(sys.modules[EngineSettings.__module__].__file__ or "").parent
    subprocess.run([sys.executable, "-I", "-S", "-c", program, str(source)], check=True)
