"""The engine's options beside the user's own, on one command line."""

from __future__ import annotations

import argparse
from moil.record import record
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moil.core.policy import Policy
from moil.core.requirements import Ceiling, format_size
from moil.errors import RequirementError, UsageError
from moil.measures import UNITS, to_policy
from moil.options import add_engine_options, flags_from
from moil.settings import arguments
from moil.engine_settings import EngineSettings
from moil.settings import Given, Resolved, resolve, setting


@record
class SlurmSettings:
    """An adapter's own settings."""

    prefix: ClassVar[str] = "slurm"

    partition: str | None = setting(None, help="submit to this partition", toil="--slurmPartition")
    allocate_memory: bool = setting(True, help="ask for memory", toil="--slurmAllocateMem")


def parser_with(*own: str, classes: tuple[type, ...] = (EngineSettings,)) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="main.py")
    for flag in own:
        parser.add_argument(flag, help="the user's own")
    add_engine_options(parser, *classes)
    return parser


def resolved(*argv: str) -> Resolved:
    flags = flags_from(parser_with().parse_args(argv))
    return resolve(EngineSettings, given=flags, environ={}, directory=Path("/"), units=UNITS)


def settings_from(*argv: str) -> EngineSettings:
    return resolved(*argv)[EngineSettings]


def test_only_what_was_given_is_a_flag() -> None:
    namespace = parser_with("--mine").parse_args(["--retries", "3", "--mine", "x"])
    assert flags_from(namespace) == {"retries": Given("3", "flag --retries")}


def test_a_flag_reaches_the_settings_with_its_provenance() -> None:
    found = resolved("--retries=3", "--no-progress", "--restart")
    assert found[EngineSettings] == EngineSettings(retries=3, progress=False, restart=True)
    assert {one.source for one in found.origins} == {"flag --retries", "flag --no-progress", "flag --restart", "default"}


def test_a_switch_can_be_turned_back() -> None:
    assert settings_from("--restart", "--no-restart") == EngineSettings()
    assert settings_from("--no-progress", "--progress") == EngineSettings()


def test_env_may_be_given_many_times_and_keeps_its_blanks() -> None:
    assert settings_from("--env", "A=1 2", "-e", "B", "--setEnv=C=3").env == ("A=1 2", "B", "C=3")


@pytest.mark.parametrize(
    ("toil", "ours"),
    [
        ("--batchSystem=single_machine", EngineSettings(batch_system="local")),
        ("--batchSystem=slurm", EngineSettings(batch_system="slurm")),
        ("--jobStore=file:my-store", EngineSettings(job_store="my-store")),
        ("--workDir=/scratch", EngineSettings(work_dir=Path("/scratch"))),
        ("--retryCount=2", EngineSettings(retries=2)),
        ("--retryBackoffSeconds=2", EngineSettings(retry_backoff=2.0)),
        ("--stopOnFirstFailure", EngineSettings(fail_fast=True)),
        ("--clean=onError", EngineSettings(clean="on-error")),
        ("--clean=onSuccess", EngineSettings(clean="on-success")),
        ("--defaultMemory=2Gi", EngineSettings(default_memory="2Gi")),
        ("--defaultCores=0.5", EngineSettings(default_cores="0.5")),
        ("--defaultDisk=2G", EngineSettings(default_disk="2G")),
        ("--defaultWalltime=0", EngineSettings(default_walltime=None)),
        ("--maxCores=8", EngineSettings(max_cores="8")),
        ("--maxMemory=32Gi", EngineSettings(max_memory="32Gi")),
        ("--maxDisk=1T", EngineSettings(max_disk="1T")),
        ("--maxJobs=3", EngineSettings(max_jobs=3)),
        ("--logLevel=DEBUG", EngineSettings(log_level="debug")),
        ("--logDebug", EngineSettings(log_level="debug")),
        ("--logOff", EngineSettings(log_level="off")),
        ("--logFile=out.log", EngineSettings(log_file=Path("out.log"))),
        ("--maxLogFileSize=1M", EngineSettings(max_log_size="1M")),
        ("--disableProgress", EngineSettings(progress=False)),
        ("--disableAutoDeployment", EngineSettings(deploy="off")),
        ("--restart", EngineSettings(restart=True)),
    ],
)
def test_a_command_line_of_toils_documentation_runs_as_it_stands(toil: str, ours: EngineSettings) -> None:
    assert settings_from(toil) == ours


def test_toils_spellings_are_not_shown() -> None:
    shown = parser_with().format_help()
    assert "--job-store" in shown
    assert "--jobStore" not in shown
    assert "--no-restart" not in shown


def test_help_says_what_each_option_does_and_its_default() -> None:
    shown = " ".join(parser_with().format_help().split())
    assert "--default-memory SIZE memory (default: 2 GiB)" in shown
    assert "--no-progress do not show how far the run is" in shown
    assert "--clean {on-success,always,never,on-error}" in shown


def test_the_users_option_wins_and_the_engines_says_where_it_went() -> None:
    parser = parser_with("--retries", "--no-progress")
    namespace = parser.parse_args(["--retries", "mine", "--moil-retries", "3", "--moil-no-progress", "--no-progress", "x"])
    assert (namespace.retries, namespace.no_progress) == ("mine", "x")
    assert {key: given.value for key, given in flags_from(namespace).items()} == {"retries": "3", "progress": False}
    assert "(--retries is an option of the program)" in " ".join(parser.format_help().split())


def test_the_user_wins_though_the_parser_would_let_the_last_one_win() -> None:
    parser = argparse.ArgumentParser(conflict_handler="resolve", argument_default=argparse.SUPPRESS)
    parser.add_argument("--clean", "-e", action="store_true")
    add_engine_options(parser, EngineSettings)
    assert vars(parser.parse_args(["-e"])) == {"clean": True}


def test_an_adapters_options_bear_its_name() -> None:
    parser = parser_with(classes=(EngineSettings, SlurmSettings))
    flags = flags_from(parser.parse_args(["--slurmPartition=long", "--no-slurm-allocate-memory"]))
    found = resolve(EngineSettings, SlurmSettings, given=flags, environ={}, directory=Path("/"))
    assert found[SlurmSettings] == SlurmSettings(partition="long", allocate_memory=False)
    assert "slurm options:" in parser.format_help()


@pytest.mark.parametrize(
    ("argv", "complaint"),
    [
        (["--default-memory", "4Q"], "argument --default-memory: default-memory='4Q' is not a size"),
        (["--maxCores=0"], "argument --maxCores: max-cores='0'"),
        (["--retries", "-1"], "argument --retries: retries='-1' is less than 0"),
        (["--clean", "often"], "argument --clean: clean='often' is none of"),
        (["--env", "=1"], "argument --env: env=('=1',) does not begin with the name of a variable"),
    ],
)
def test_a_wrong_value_names_the_option(argv: list[str], complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parser_with().parse_args(argv)
    assert caught.value.code == 2
    assert f"main.py: error: {complaint}" in capsys.readouterr().err


def test_settings_may_be_arguments_of_a_call() -> None:
    found = resolve(
        EngineSettings, given=arguments({"retries": 3, "env": {"A": "1"}}, EngineSettings), environ={}, directory=Path("/")
    )
    assert found[EngineSettings] == EngineSettings(retries=3, env=("A=1",))
    assert found.origins[0].source == "default"
    assert "argument retries of moil.run()" in {origin.source for origin in found.origins}


def test_an_unknown_argument_of_a_call_is_an_error() -> None:
    with pytest.raises(UsageError, match=r"moil.run\(\) has no setting 'retry'; did you mean 'retries'"):
        arguments({"retry": 3}, EngineSettings)


def test_the_default_settings_are_the_default_policy() -> None:
    assert to_policy(EngineSettings(), Ceiling()) == Policy()


def test_a_policy_is_made_of_numbers() -> None:
    chosen = EngineSettings(retries=3, fail_fast=True, default_memory="1 GiB", default_walltime="90 min", retry_backoff=0.5)
    policy = to_policy(chosen, Ceiling())
    assert (policy.retries, policy.fail_fast, policy.backoff) == (3, True, 0.5)
    assert (policy.defaults.memory, policy.defaults.walltime) == (1024**3, 5400.0)


def test_a_policy_of_nonsense_names_the_setting() -> None:
    with pytest.raises(RequirementError, match="max-memory='lots'"):
        to_policy(EngineSettings(max_memory="lots"), Ceiling())


bounds = st.none() | st.integers(1, 2**40)


@settings(max_examples=40)
@given(bounds, bounds)
def test_the_ceiling_is_the_lower_of_the_users_and_the_batch_systems(ours: int | None, theirs: int | None) -> None:
    policy = to_policy(EngineSettings(max_memory=ours, max_accelerators=ours), Ceiling(memory=theirs, accelerators=theirs))
    lower = min((bound for bound in (ours, theirs) if bound is not None), default=None)
    assert (policy.ceiling.memory, policy.ceiling.accelerators) == (lower, lower)


@settings(max_examples=40)
@given(st.integers(0, 1024).map(lambda count: count * 1024**2))
def test_a_size_survives_the_command_line(size: int) -> None:
    assert to_policy(settings_from(f"--default-disk={format_size(size)}"), Ceiling()).defaults.disk == pytest.approx(
        size, rel=0.05
    )
