"""Batch system ``slurm``: Slurm's own commands, as the user would type them on a machine where jobs are submitted.

    submit  sbatch --parsable --array=0-N …   the script on standard input
    query   squeue, and sacct for what squeue has forgotten, where the cluster keeps accounts
    find    squeue, by the comment that every array carries
    cancel  scancel
    the cluster itself                        scontrol show node, partition, config

The commands run with a time-out, in the C locale, and without those ``SLURM_…`` and ``SBATCH_…`` variables that would
change what they mean; so a leader may itself be a job of Slurm's. What they say about a failure is in
`moil.adapters.slurm_refusals`, what they print in `moil.adapters.slurm_answers` and `moil.adapters.slurm_machines`.

Members that are cancelled in the queue, while others of their array are not, are gone from squeue at once, and so is every
trace of them where there are no accounts. So the adapter remembers what it has cancelled itself.

An sbatch that does not come back may have submitted. Then Slurm is asked for the label, and only if it does not know it
(or does not answer) `SchedulerDown` is raised; whoever submits again should ask `find` before.
"""

from __future__ import annotations

import math
import os
import shutil
import subprocess
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from moil.adapters import slurm_answers as answers
from moil.adapters import slurm_refusals as refusals
from moil.adapters.slurm_machines import Partition, ceiling, largest_array, machines, minutes, partitions
from moil.adapters.slurm_settings import SlurmSettings, extra_arguments
from moil.adapters.slurm_submission import (
    by_array,
    cancel_arguments,
    members,
    minutes_for,
    partition_of,
    sbatch_arguments,
)
from moil.core.requirements import Ceiling, Requirements
from moil.ports.scheduler import Array, Refused, SchedulerDown, SchedulerId, Seen, Standing
from moil.record import record

PATIENCE = 60.0
"""Seconds for a question."""
SUBMIT_PATIENCE = 180.0
"""Seconds for sbatch, which tries again by itself while the controller is busy."""

COMMANDS = ("sbatch", "squeue", "scancel", "scontrol")
_KEPT = frozenset({"SLURM_CONF", "SLURM_JWT"})
_OTHERS = ("SLURM_", "SBATCH_", "SQUEUE_", "SCANCEL_", "SCONTROL_", "SACCT_", "SINFO_", "SALLOC_", "SRUN_")
_MOST_NAMED = 200
"""So many arrays are named to squeue; for more, it is asked for all of the user's."""


@record(kw_only=False)
class _Answer:
    status: int
    out: str
    err: str


class _Unsure(SchedulerDown):
    """The command may have done what it was told."""


@record
class _Cluster:
    """What was asked once."""

    ceiling: Ceiling
    machines: frozenset[str]
    largest_array: int
    #: The longest time limit in minutes, without and with devices; None: no limit.
    longest: tuple[int | None, int | None]
    #: The shortest that a job which states none may get.
    usual: tuple[int | None, int | None]


class SlurmScheduler:
    """A `Scheduler` by Slurm's commands. Raises UsageError for arguments of sbatch that cannot be passed on.

    `environ` is that of the commands, and its PATH is where they are looked for. `user` owns the jobs, by number.
    """

    #: What tells a member its number, and the number of the first.
    member = ("SLURM_ARRAY_TASK_ID", 0)

    def __init__(
        self,
        settings: SlurmSettings,
        *,
        environ: Mapping[str, str] | None = None,
        user: int | None = None,
        patience: float | None = None,
    ) -> None:
        self._settings, self._extra = settings, extra_arguments(settings.args)
        self._environ = commands_environment(os.environ if environ is None else environ)
        self._whose = f"--user={os.getuid() if user is None else user}"
        self._patience, self._submit_patience = patience or PATIENCE, patience or SUBMIT_PATIENCE
        self._sizes: dict[str, int] = {}
        self._cancelled: set[SchedulerId] = set()
        self._accounts = True
        self._known: _Cluster | None = None

    @property
    def poll_interval(self) -> float:
        """Seconds between questions about the queue."""
        return self._settings.poll_interval

    @property
    def ceiling(self) -> Ceiling:
        """The most that one job can be given in the partitions that are used. Raises SchedulerDown, Refused."""
        return self._cluster.ceiling

    @property
    def largest_array(self) -> int:
        """How many members one array may have. Raises SchedulerDown, Refused."""
        return self._cluster.largest_array

    def machines(self) -> set[str]:
        """The architectures of the machines that jobs may get: ``{"x86_64"}``. Raises SchedulerDown, Refused."""
        return set(self._cluster.machines)

    def time_limit(self, requirements: Requirements, roomy: float = 0.0) -> float:
        """Seconds that a member will have; inf: no limit. Raises SchedulerDown, Refused."""
        special = bool(requirements.accelerators)
        limit = minutes_for(requirements, roomy, self._cluster.longest[special])
        if limit is None:
            limit = minutes(self._settings.time.strip()) if self._settings.time else self._cluster.usual[special]
        return math.inf if limit is None else limit * 60.0

    def submit(self, array: Array) -> Sequence[SchedulerId]:
        """Hand over an array. Raises SchedulerDown, Refused."""
        try:
            number = self._submitted(array)
        except _Unsure:
            found = self.find(array.label).get(array.label)
            if found is None:
                raise
            return found
        self._sizes[number] = array.size
        return members(number, array.size)

    def query(self, ids: Collection[SchedulerId]) -> Mapping[SchedulerId, Seen]:
        """Where they stand. Raises SchedulerDown."""
        if not ids:
            return {}
        wanted = set(ids)
        found = {row.id: answers.seen(row) for row in self._squeue(wanted) if row.id in wanted}
        if missing := wanted - found.keys():
            found |= dict.fromkeys(missing & self._cancelled, answers.CANCELLED)
            found |= self._remembered(missing) if self._accounts else {}
        return found

    def find(self, prefix: str) -> Mapping[str, Sequence[SchedulerId]]:
        """All arrays whose label begins so, whole, even where Slurm has forgotten some members. Raises SchedulerDown."""
        answer = self._ask("squeue", *_ALL, self._whose, f"--Format={answers.labels_format()}")
        found: dict[str, Sequence[SchedulerId]] = {}
        for label, size, array in answers.labelled(answer.out):
            if label.startswith(prefix) and label not in found:
                self._sizes[array] = size
                found[label] = members(array, size)
        return found

    def withdraw(self, ids: Collection[SchedulerId]) -> None:
        """End what is queued of their arrays. Raises SchedulerDown.

        Arrays are named whole: asked for a part of what is queued, a scancel that spares what runs would end all of it.
        """
        arrays = sorted(by_array(ids))
        for start in range(0, len(arrays), _MOST_NAMED):
            self._scancel("--state=PENDING", *arrays[start : start + _MOST_NAMED])
        self._cancelled.update(ids)

    def cancel(self, ids: Collection[SchedulerId]) -> None:
        """End them; those that are over are no error. Raises SchedulerDown."""
        for words in cancel_arguments(ids, self._sizes):
            self._scancel(*words)
        self._cancelled.update(ids)

    def close(self) -> None:
        """Nothing is held open."""

    # -- one command each --------------------------------------------------------------------------------------------

    def _submitted(self, array: Array) -> str:
        """The array's number. Raises SchedulerDown, Refused; _Unsure if it may have one nevertheless."""
        longest = self._cluster.longest[bool(array.requirements.accelerators)]
        words = sbatch_arguments(array, self._settings, self._extra, longest)
        answer = self._run("sbatch", *words, text=array.script, patience=self._submit_patience)
        if answer.status:
            error = refusals.refusal(f"job {array.name!r}", answer.err or answer.out)
            raise _Unsure(str(error)) if refusals.is_ambiguous(answer.err) else error
        numbers = [line.partition(";")[0].strip() for line in answer.out.splitlines()]
        number = next((one for one in reversed(numbers) if one.isdecimal()), None)
        if number is None:
            raise _Unsure(f"sbatch does not tell the number of job {array.name!r}: {refusals.one_line(answer.out)!r}")
        return number

    def _scancel(self, *words: str) -> None:
        answer = self._run("scancel", *words)
        wrong = [line for line in answer.err.splitlines() if line.strip() and not refusals.is_over_already(line)]
        if answer.status and wrong:
            raise SchedulerDown(f"Slurm does not cancel its jobs {' '.join(words)[:80]}: {refusals.one_line(answer.err)}")

    def _squeue(self, ids: Collection[SchedulerId]) -> Iterator[answers.Row]:
        arrays = sorted(by_array(ids))
        whose = f"--jobs={','.join(arrays)}" if len(arrays) <= _MOST_NAMED else self._whose
        answer = self._run("squeue", *_ALL, whose, f"--Format={answers.standing_format()}")
        if answer.status and not refusals.is_unknown_id(answer.err):
            raise self._down("squeue", answer)
        return answers.standing_rows(answer.out)

    def _remembered(self, ids: Collection[SchedulerId]) -> dict[SchedulerId, Seen]:
        """What the accounts say of those that are over; nothing where there are none, or none just now."""
        words = ("--allocations", "--noheader", "--parsable2", f"--format={answers.SACCT_FORMAT}")
        try:
            answer = self._run("sacct", *words, f"--jobs={','.join(sorted(by_array(ids)))}")
        except SchedulerDown:
            return {}
        if answer.status:
            self._accounts = not refusals.accounting_is_off(answer.err)
            return {}
        rows = {row.id: answers.seen(row) for row in answers.sacct_rows(answer.out, ids)}
        return {one: what for one, what in rows.items() if what.standing is Standing.ended}

    # -- the cluster ---------------------------------------------------------------------------------------------------

    @property
    def _cluster(self) -> _Cluster:
        if self._known is None:
            self._check_commands()
            self._known = self._look()
        return self._known

    def _check_commands(self) -> None:
        missing = [one for one in COMMANDS if shutil.which(one, path=self._environ.get("PATH", "")) is None]
        if missing:
            raise Refused(
                f"{missing[0]} is not on PATH here, so nothing can be submitted to Slurm: start the run where sbatch works, "
                "or load the module that has it",
                whole_run=True,
            )

    def _look(self) -> _Cluster:
        parts = partitions(self._show("partition"))
        plain, special = (self._chosen(parts, with_devices=devices) for devices in (False, True))
        every = [*plain, *(one for one in special if one not in plain)]
        within = {one.name for one in every}
        have = [one for one in machines(self._show("node")) if one.partitions & within]
        have = [one for one in have if one.usable] or have
        largest = largest_array(self._show("config"))
        if not largest:
            raise Refused("this Slurm takes no arrays (MaxArraySize=0), and Moil needs them", whole_run=True)
        return _Cluster(
            ceiling=ceiling(have, every),
            machines=frozenset(one.architecture for one in have if one.architecture),
            largest_array=largest,
            longest=(_longest(plain), _longest(special)),
            usual=(_usual(plain), _usual(special)),
        )

    def _show(self, what: str) -> str:
        return self._ask("scontrol", "--all", "--oneliner", "show", what).out

    def _chosen(self, parts: Sequence[Partition], *, with_devices: bool) -> list[Partition]:
        name = partition_of(self._settings, with_devices=with_devices)
        if name is None:
            return [one for one in parts if one.default]
        known = {one.name: one for one in parts}
        wanted = name.split(",")
        unknown = [one for one in wanted if one not in known]
        if unknown:
            have = ", ".join(sorted(known))
            raise Refused(f"Slurm has no partition {unknown[0]!r}; it has {have}: correct --slurm-partition", whole_run=True)
        return [known[one] for one in wanted]

    # -- below -----------------------------------------------------------------------------------------------------------

    def _ask(self, *words: str) -> _Answer:
        answer = self._run(*words)
        if answer.status:
            raise self._down(words[0], answer)
        return answer

    def _down(self, command: str, answer: _Answer) -> SchedulerDown:
        said = refusals.one_line(answer.err or answer.out) or f"exit status {answer.status}"
        return SchedulerDown(f"Slurm does not answer {command}: {said}")

    def _run(self, *words: str, text: str = "", patience: float | None = None) -> _Answer:
        """A command to its end. Raises SchedulerDown if it cannot be started, _Unsure if it does not come back."""
        bound = patience or self._patience
        path = shutil.which(words[0], path=self._environ.get("PATH", ""))
        if path is None:
            raise SchedulerDown(f"{words[0]} is not on PATH: load the module that has it")
        try:
            done = subprocess.run(
                [path, *words[1:]], input=text.encode(), capture_output=True, env=self._environ, timeout=bound, check=False
            )
        except subprocess.TimeoutExpired:
            raise _Unsure(f"{words[0]} did not come back in {bound:g} s") from None
        except OSError as error:
            raise SchedulerDown(f"{words[0]} cannot be started: {error.strerror}") from None
        return _Answer(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))


_ALL = ("--noheader", "--array", "--states=all")


def commands_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables for Slurm's commands: the user's, without those that change what the commands mean."""
    kept = {name: value for name, value in environ.items() if name in _KEPT or not name.startswith(_OTHERS)}
    return {**kept, "LC_ALL": "C"}


def _usual(parts: Sequence[Partition]) -> int | None:
    """The shortest time limit that these partitions give to a job that states none."""
    return min((one.usual for one in parts if one.usual is not None), default=None)


def _longest(parts: Sequence[Partition]) -> int | None:
    """The longest time limit of these partitions."""
    limits = [one.minutes for one in parts if one.minutes is not None]
    return max(limits) if limits and len(limits) == len(parts) else None


def open_slurm(site: Any) -> SlurmScheduler:
    """Made from a `moil.plugins.Site`."""
    return SlurmScheduler(site.others[SlurmSettings])
