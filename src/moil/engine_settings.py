"""The settings of the engine itself: their names, defaults and help, and Toil's spellings of them.

`moil.settings` says what a setting is and where its value comes from; an adapter's settings are a class beside the adapter.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypeAlias, get_args

from moil.record import record
from moil.settings import setting

Level: TypeAlias = Literal["debug", "info", "warning", "error", "critical", "off"]

_TOIL_WORDS = {"single_machine": "local", "singlemachine": "local", "trace": "debug"}


def _toil_word(value: object) -> object:
    return _TOIL_WORDS.get(value.lower(), value) if isinstance(value, str) else value


def _locator(value: object) -> object:
    return value.removeprefix("file:") if isinstance(value, str) and not value.startswith("file://") else value


def _walltime(value: object) -> object:
    return None if value in (0, "0") and not isinstance(value, bool) else value


def _assignment(value: object) -> object:
    if isinstance(value, str) and not value.partition("=")[0].strip():
        raise ValueError("does not begin with the name of a variable")
    return value


@record
class EngineSettings:
    """The settings of the engine itself; sizes and times are as the user wrote them."""

    batch_system: str = setting(
        "local", help="where jobs run", group="the run", metavar="NAME", toil="--batchSystem", translate=_toil_word
    )
    job_store: str | None = setting(
        None,
        help="where the run is kept: a directory; without it, one under ./moil-runs/",
        metavar="LOCATOR",
        toil="--jobStore",
        translate=_locator,
    )
    restart: bool = setting(False, help="resume the run that is in the job store")
    clean: Literal["on-success", "always", "never", "on-error"] = setting(
        "on-success", help="when to remove the job store at the end"
    )
    work_dir: Path | None = setting(
        None,
        help="a directory for temporary files, on every machine; never on a network, unless forced",
        metavar="DIR",
        toil="--workDir",
    )
    force_work_dir: bool = setting(False, help="use it even on a network file system")

    default_cores: float | str = setting(
        1.0,
        help="cores of a job",
        group="requirements of a job that states none, and the most for any job",
        toil="--defaultCores",
        unit="cores",
    )
    default_memory: int | str = setting("2 GiB", help="memory", toil="--defaultMemory", unit="size")
    default_disk: int | str = setting("1 GiB", help="scratch space", toil="--defaultDisk", unit="size")
    default_walltime: float | str | None = setting(
        None,
        help="how long an attempt may run, such as 90m; 0: for ever",
        toil="--defaultWalltime",
        unit="duration",
        translate=_walltime,
    )
    max_cores: float | str | None = setting(None, help="the most cores", toil="--maxCores", unit="cores")
    max_memory: int | str | None = setting(None, help="the most memory", toil="--maxMemory", unit="size")
    max_disk: int | str | None = setting(None, help="the most scratch space", toil="--maxDisk", unit="size")
    max_accelerators: int | None = setting(None, help="the most accelerators", minimum=0)
    max_jobs: int | None = setting(None, help="the most jobs at a time", toil="--maxJobs", minimum=1)
    pilots: int | None = setting(
        None,
        help="so many workers for each shape of jobs, and no more, or 0: a worker for each job; else as many as are of use",
        toil="--slurm-pilots",
        minimum=0,
    )

    retries: int = setting(1, help="how often to try a failed job again", group="failure", toil="--retryCount", minimum=0)
    retry_backoff: float = setting(
        1.0, help="seconds before the first new try", metavar="SECONDS", toil="--retryBackoffSeconds", minimum=0
    )
    fail_fast: bool = setting(False, help="stop at the first job that fails for good", toil="--stopOnFirstFailure=true")

    log_level: Level = setting(
        "info",
        help="how much to say on standard error",
        group="logs and results",
        toil="--logLevel --logTrace=debug " + " ".join(f"--log{level.capitalize()}={level}" for level in get_args(Level)),
        translate=_toil_word,
    )
    log_file: Path | None = setting(None, help="write the log here too", metavar="FILE", toil="--logFile")
    max_log_size: int | str = setting(
        "10 MiB", help="keep so much of what an attempt prints", toil="--maxLogFileSize", unit="size"
    )
    progress: bool = setting(True, help="show how far the run is", toil="--disableProgress=false")
    output: str | None = setting(None, help="put the result here if it is a file", metavar="PATH")

    env: tuple[str, ...] = setting(
        (),
        help="set a variable for every job, or pass on the one that is set here; may be given many times",
        group="code and workers",
        metavar="NAME[=VALUE]",
        toil="--setEnv -e",
        translate=_assignment,
    )
    isolation: Literal["job", "worker"] = setting("job", help="clean process each, or warm process for many")
    deploy: Literal["auto", "live", "off"] = setting(
        "auto",
        help="send the workflow's code to the workers, let them read it where it lies, or trust that they have it",
        toil="--disableAutoDeployment=off",
    )
    deploy_include: tuple[str, ...] = setting(
        (), help="ship what matches this too, a pattern as in .gitignore; may be given many times", metavar="PATTERN"
    )
    deploy_exclude: tuple[str, ...] = setting(
        (), help="do not ship what matches this; may be given many times", metavar="PATTERN"
    )
    deploy_on_demand: bool = setting(
        True, help="leave large distributions that nothing is known to need in the job store until a worker imports them"
    )
    worker_python: str | None = setting(None, help="the Python of the workers", metavar="PYTHON")
    worker_cache: Path | None = setting(
        None, help="where workers keep what they have fetched; on a disk of theirs, never on a network", metavar="DIR"
    )
    force_worker_cache: bool = setting(False, help="use it even on a network file system")
    frozen: bool = setting(False, help="with --restart: keep the code that the run was started with")
    clean_room: bool = setting(True, help="check the code in a clean room before anything is queued")
