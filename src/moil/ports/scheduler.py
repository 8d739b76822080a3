"""What a scheduler of many machines is asked for: hand over an array, ask about many, find again, cancel many.

An adapter translates to its commands and back, and decides nothing: what to submit, when to ask, what a silence means
is the business of `moil.runtime.cluster`, which makes a `BatchSystem` of any scheduler. The methods may block for as
long as a command takes; they are never called in the leader's own thread, and never two at a time. The exceptions are the
properties and `time_limit`, which ask the scheduler nothing once `ceiling` has been told.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from enum import StrEnum
from typing import Protocol, TypeAlias

from moil.core.records import Outcome
from moil.core.requirements import Ceiling, Requirements
from moil.errors import MoilError
from moil.record import record

SchedulerId: TypeAlias = str
"""What the scheduler calls one member of an array: ``1234_7``."""


class SchedulerDown(MoilError):
    """The scheduler does not answer, or says that it cannot just now: the same call may work later."""

    exit_status = 2


class Refused(MoilError):
    """The scheduler will never take these: the message says why, and what to change. `whole_run`: nor any others."""

    exit_status = 2

    def __init__(self, message: str, *, whole_run: bool = False) -> None:
        super().__init__(message)
        self.whole_run = whole_run


@record
class Array:
    """Attempts of one shape, submitted together. Member k finds its number k (from 0) by `moil.runtime.cluster`'s rules."""

    #: Unique in all runs; the scheduler is made to remember it, so that `find` can ask for it.
    label: str
    #: What people see in the queue.
    name: str
    size: int
    requirements: Requirements
    #: An executable script that begins with ``#!``; the scheduler's own way tells it the member's number.
    script: str
    #: Seconds for which a member could go on being of use: more than `requirements` ask for, if more is to be had.
    roomy: float = 0.0
    #: Where the scheduler is to put what a member prints, as ``<its id>.log``: an absolute directory, or "" for nowhere.
    logs: str = ""


class Standing(StrEnum):
    """Where a member stands, as far as the scheduler knows."""

    #: It waits; `Seen.reason` says for what.
    queued = "queued"
    #: A machine has it.
    running = "running"
    #: It is over; `Seen.outcome` says how.
    ended = "ended"


@record
class Seen:
    """One member, as the scheduler sees it."""

    standing: Standing
    host: str = ""
    #: `completed` says only that the scheduler saw an exit status of 0.
    outcome: Outcome = Outcome.completed
    #: For people, with the limit and the cure where there is one: "ran longer than --time 00:10:00: raise walltime=".
    reason: str = ""
    #: It waits in vain until somebody does something: `reason` says what.
    stuck: bool = False
    #: The exit status of the member's script, where the scheduler tells.
    exit_status: int | None = None


class Scheduler(Protocol):
    """Four verbs, and what one has to know beforehand."""

    @property
    def ceiling(self) -> Ceiling:
        """The most that one job can be given; asked once, before anything is submitted. Raises SchedulerDown, Refused."""
        ...

    @property
    def poll_interval(self) -> float:
        """Seconds between two questions, if nothing is urgent: what this scheduler's owners would call polite."""
        ...

    @property
    def member(self) -> tuple[str, int]:
        """The variable that tells a member its number, and the number of the first."""
        ...

    def machines(self) -> set[str]:
        """The kinds of processor that members may meet (``x86_64``); empty if that cannot be told."""
        ...

    @property
    def largest_array(self) -> int:
        """How many members one array may have."""
        ...

    def time_limit(self, requirements: Requirements, roomy: float = 0.0) -> float:
        """Seconds that a member will have from its start (`Array`); inf: as many as it wants, 0: that is not known.

        Raises SchedulerDown, Refused, as `ceiling` does.
        """
        ...

    def submit(self, array: Array) -> Sequence[SchedulerId]:
        """Hand over an array; the ids are in the order of its members. Raises SchedulerDown, Refused."""
        ...

    def query(self, ids: Collection[SchedulerId]) -> Mapping[SchedulerId, Seen]:
        """Where they stand, in a call or two however many; what it does not know is left out. Raises SchedulerDown."""
        ...

    def find(self, prefix: str) -> Mapping[str, Sequence[SchedulerId]]:
        """All arrays whose label begins so, by label, and their members' ids in order. Raises SchedulerDown."""
        ...

    def withdraw(self, ids: Collection[SchedulerId]) -> None:
        """Of the arrays that these belong to, end all that has not begun, and nothing else. Raises SchedulerDown."""
        ...

    def cancel(self, ids: Collection[SchedulerId]) -> None:
        """End them, queued or running; those that are over are no error. Raises SchedulerDown."""
        ...

    def close(self) -> None:
        """Let go."""
        ...
