"""The settings of batch system ``slurm``, and what may be passed on to sbatch beside what Moil sets itself.

Moil sets the shape of a job (cores, memory, time, devices), the array, the output and the environment. An argument of
the user's that sets one of these too would either be overruled in silence or break what the engine relies on, so it is
refused before anything is submitted. sbatch takes every unambiguous beginning of a long option for the option, so those
are refused as well. ``--gres`` is the exception: what it asks for is joined to the devices that a job asks for.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import ClassVar

from moil.errors import UsageError
from moil.record import record
from moil.settings import setting

_TIME = r"(?i)(\d+|\d+:\d\d|\d+:\d\d:\d\d|\d+-\d+(:\d\d){0,2}|infinite|unlimited)"

_REQUIREMENT = "state it for the jobs:"
_OURS: Mapping[str, str] = MappingProxyType({
    "--cpus-per-task -c": f"{_REQUIREMENT} cores=",
    "--mem --mem-per-cpu --mem-per-gpu": f"{_REQUIREMENT} memory=",
    "--time -t --time-min": f"{_REQUIREMENT} walltime=; or give --slurm-time",
    "--gpus -G --gpus-per-task --gpus-per-node --gpus-per-socket --cpus-per-gpu": f"{_REQUIREMENT} accelerators=",
    "--partition -p": "give --slurm-partition",
    "--account -A": "give --slurm-account",
    "--qos -q": "give --slurm-qos",
    "--constraint -C": "give --slurm-constraint",
    "--reservation": "give --slurm-reservation",
    "--exclude -x": "give --slurm-exclude",
    "--array -a --nodes -N --ntasks -n --ntasks-per-node": "each member of Moil's arrays is one process on one machine",
    "--job-name -J --comment": "Moil finds its jobs by them",
    "--output -o --error -e --input -i --open-mode --chdir -D": "Moil keeps the logs of jobs itself",
    "--export --export-file --get-user-env": "give --env for variables",
    "--requeue --no-requeue": "Moil tries jobs again itself: --retries",
    "--wrap --parsable --wait -W --test-only --quiet -Q --help -h --usage --version -V": "Moil reads what sbatch prints",
    "--clusters -M": "a run is on one cluster; choose it by SLURM_CONF",
})  # fmt: skip
_ADVICE = {option: advice for options, advice in _OURS.items() for option in options.split()}


def _slurm_time(value: object) -> object:
    if value is not None and not (isinstance(value, str) and re.fullmatch(_TIME, value.strip())):
        raise ValueError("is not a time as Slurm writes it, such as 90 (minutes), 1:30:00 or 2-12:00:00")
    return value


def _template(value: object) -> object:
    try:
        str(value).format(kind="gpu", model="", count=1)
    except (LookupError, ValueError):
        raise ValueError("is no template such as {kind}:{model}:{count}") from None
    return value


@record
class SlurmSettings:
    """The settings of batch system ``slurm``."""

    prefix: ClassVar[str] = "slurm"

    partition: str | None = setting(
        None,
        help="submit to this partition, or to the first free one of several: a,b",
        group="batch system slurm",
        toil="--slurmPartition",
    )
    gpu_partition: str | None = setting(
        None, help="submit jobs that ask for accelerators to this one", metavar="PARTITION", toil="--slurmGPUPartition"
    )
    account: str | None = setting(None, help="charge this account")
    qos: str | None = setting(None, help="ask for this quality of service", metavar="NAME")
    time: str | None = setting(
        None,
        help="the time limit of a job that states no walltime, in Slurm's form [D-]H:MM:SS",
        toil="--slurmTime",
        translate=_slurm_time,
    )
    constraint: str | None = setting(None, help="only machines with these features", metavar="FEATURES")
    reservation: str | None = setting(None, help="in this reservation", metavar="NAME")
    exclude: str | None = setting(None, help="not on these machines", metavar="HOSTS")
    gres: str = setting(
        "{kind}:{model}:{count}", help="how Slurm is asked for accelerators", metavar="TEMPLATE", translate=_template
    )
    args: tuple[str, ...] = setting(
        (),
        help="further arguments of sbatch, such as --nice=100; may be given many times",
        metavar="ARGS",
        toil="--slurmArgs",
    )
    poll_interval: float = setting(
        5.0, help="seconds between questions to Slurm about the queue", metavar="SECONDS", minimum=0.1
    )


@record(kw_only=False)
class Extra:
    """The user's own arguments of sbatch, fit to be passed on."""

    arguments: tuple[str, ...] = ()
    #: What ``--gres`` among them asks for.
    gres: tuple[str, ...] = ()


def extra_arguments(args: Sequence[str]) -> Extra:
    """What `SlurmSettings.args` says. Raises UsageError for what Moil sets itself."""
    arguments: list[str] = []
    gres: list[str] = []
    words = iter(_words(args))
    for word in words:
        _check(word, arguments)
        if word.partition("=")[0] == "--gres":
            gres.append(word.partition("=")[2] or next(words, ""))
        else:
            arguments.append(word)
    return Extra(tuple(arguments), tuple(gres))


def _words(args: Sequence[str]) -> list[str]:
    try:
        return [word for one in args for word in shlex.split(one)]
    except ValueError as error:
        raise UsageError(f"--slurm-args {' '.join(args)!r} cannot be read: {error}") from None


def _check(word: str, before: Sequence[str]) -> None:
    if not word.startswith("-"):
        if not before or not before[-1].startswith("-") or "=" in before[-1]:
            raise UsageError(f"--slurm-args: {word!r} is no option; give options such as --nice=100 only")
        return
    advice = _advice(word)
    if advice:
        raise UsageError(f"--slurm-args: {word} would set what Moil sets itself; {advice}")


def _advice(word: str) -> str | None:
    if not word.startswith("--"):
        return _ADVICE.get(word[:2])
    name = word.partition("=")[0]
    if name == "--gres":
        return None
    return next((advice for option, advice in _ADVICE.items() if option.startswith(name) and option.startswith("--")), None)
