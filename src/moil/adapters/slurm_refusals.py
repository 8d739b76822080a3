"""What Slurm means when a command fails: that it may work later, or that it never will, and what would help.

Slurm's commands tell the kind of an error by its text only. The texts are those of versions 20 to 24; a text that is in
no table is taken for a refusal, because waiting for ever hides a message and a refusal shows it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from moil.ports.scheduler import Refused, SchedulerDown

_PASSES = (
    "unable to contact slurm controller",
    "socket timed out",
    "connection refused",
    "connection timed out",
    "connection reset",
    "no route to host",
    "communication connection failure",
    "communication shutdown failure",
    "unexpected missing socket error",
    "zero bytes were transmitted",
    "transport endpoint",
    "received zero length message",
    "temporarily un",
    "try again",
    "standby mode",
    "not available now",
    "not usable now",
    "inactive or drain",
    "down, drained or reserved",
    "presently disabled",
    "failed to connect to authentication agent",
    "munge",
    "authentication credential",
    "authentication error",
    "no space left",
    "could not establish a configuration source",
    "i/o error writing script",
    "cannot allocate memory",
    "job submit limit",
)
_AMBIGUOUS = ("socket timed out", "receive failure", "zero bytes were transmitted", "shutdown failure", "connection reset")
"""Slurm may have done what it was told before the connection broke."""

_WHOLE_RUN: Mapping[str, str] = MappingProxyType({
    "account": "choose another with --slurm-account; sacctmgr show associations user=$USER lists yours",
    "partition": "choose another with --slurm-partition; sinfo lists them",
    "qos": "choose another with --slurm-qos",
    "reservation": "choose another with --slurm-reservation; scontrol show reservation lists them",
    "feature": "choose others with --slurm-constraint; sinfo -o %f lists them",
    "node name": "correct --slurm-exclude; sinfo -N lists the machines",
    "unrecognized option": "correct --slurm-args",
    "option requires an argument": "correct --slurm-args",
    "unrecognized argument": "correct --slurm-args",
    "access/permission denied": "ask the cluster's administrators who may submit jobs",
    "invalid user id": "ask the cluster's administrators who may submit jobs",
    "invalid uid": "ask the cluster's administrators who may submit jobs",
    "incompatible versions": "use the commands that belong to this cluster's Slurm",
})  # fmt: skip
_ONE_JOB: Mapping[str, str] = MappingProxyType({
    "node configuration": "no machine is so large: ask for less cores=, memory= or accelerators=",
    "memory": "ask for less memory=",
    "cpu count": "ask for fewer cores=",
    "more processors": "ask for fewer cores=",
    "time limit": "state a walltime= that the partition allows, or give --slurm-time; sinfo -o '%P %l' shows the limits",
    "time specification": "state a walltime= that the partition allows, or correct --slurm-time",
    "gres": "ask for other accelerators=, or correct --slurm-gres; sinfo -o '%N %G' shows what there is",
    "array specification": "Slurm's MaxArraySize is smaller than this array; ask the cluster's administrators",
})  # fmt: skip
_LIMIT = re.compile(r"\b(?:QOS|Assoc)[A-Z]\w+")
_PASSING_LIMIT = re.compile(r"Submit|MaxJobs|GrpJobs")
_PREFIX = re.compile(r"^(?:s[a-z]+: )?(?:error: |fatal: )?(?:Batch job submission failed: )?")


def one_line(text: str) -> str:
    """Without Slurm's names before each line, all on one, and nothing twice."""
    lines = (" ".join(_PREFIX.sub("", line.strip()).split()) for line in text.splitlines())
    return "; ".join(dict.fromkeys(line for line in lines if line))


def is_ambiguous(text: str) -> bool:
    """Whether Slurm may have done what it was told although it says this."""
    return any(phrase in text.lower() for phrase in _AMBIGUOUS)


def is_unknown_id(text: str) -> bool:
    """Whether Slurm only says that it has forgotten the job."""
    return "invalid job id" in text.lower()


def is_over_already(line: str) -> bool:
    """Whether a line of scancel's says that the job has ended before."""
    return is_unknown_id(line) or "already complet" in line.lower() or "not pending nor running" in line.lower()


def accounting_is_off(text: str) -> bool:
    """Whether this cluster keeps no accounts, now and later."""
    return "storage is disabled" in text.lower()


def refusal(what: str, text: str) -> SchedulerDown | Refused:
    """The error to raise when Slurm answered `what` with this text."""
    said, low = one_line(text) or "nothing", text.lower()
    limit = _LIMIT.search(text)
    if limit and not _PASSING_LIMIT.search(limit.group()):
        return Refused(f"Slurm refuses {what}: {said}; ask for less, or choose another --slurm-qos or --slurm-account")
    if limit or any(phrase in low for phrase in _PASSES):
        return SchedulerDown(f"Slurm cannot take {what} now: {said}")
    for phrase, cure in _ONE_JOB.items():
        if phrase in low:
            return Refused(f"Slurm refuses {what}: {said}; {cure}")
    for phrase, cure in _WHOLE_RUN.items():
        if phrase in low:
            return Refused(f"Slurm refuses {what}: {said}; {cure}", whole_run=True)
    return Refused(f"Slurm refuses {what}: {said}")
