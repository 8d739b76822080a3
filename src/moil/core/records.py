"""The values that pass between the floors: calls, what came of them, what they used.

All are frozen. Their fields are part of the journal's stored format: adding one with a default is compatible, anything
else needs a new `moil.runtime.journal.FORMAT` and a way to read the old one.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TypeAlias

from moil.core.requirements import Request
from moil.record import field, record

JobId: TypeAlias = int
"""Given in the order of the journal, from 1: the same on every replay."""


@record(kw_only=False)
class Stored:
    """Bytes that are an object of the job store."""

    key: str


Data: TypeAlias = bytes | Stored
"""The bytes themselves when they are few, else where they are."""


class JobState(StrEnum):
    """Where a job stands."""

    #: Something it needs is not there yet: a promise, a follow-on's predecessor, a service, the end of a back-off.
    waiting = "waiting"
    #: It may be submitted as soon as there is room.
    ready = "ready"
    #: The batch system has it.
    submitted = "submitted"
    #: A worker has it.
    running = "running"
    #: It returned, and that is written down.
    done = "done"
    #: It will not be tried again, or something it needs failed.
    failed = "failed"


class Outcome(StrEnum):
    """How an attempt ended, in Slurm's words."""

    #: The function returned and the outcome was committed.
    completed = "completed"
    #: The function raised, or the process died for a reason of its own.
    failed = "failed"
    #: Somebody cancelled it.
    cancelled = "cancelled"
    #: It ran longer than its walltime.
    timed_out = "timed_out"
    #: It used more memory than it had asked for.
    out_of_memory = "out_of_memory"
    #: The machine under it failed.
    node_failed = "node_failed"
    #: The scheduler took its place away.
    preempted = "preempted"
    #: Nobody knows of it any more.
    lost = "lost"


LIVE = frozenset({JobState.submitted, JobState.running})
TERMINAL = frozenset({JobState.done, JobState.failed})


@record
class PromiseRef:
    """A part of what a call of the same parent returns. `path` holds ("item", key) and ("attr", name) steps."""

    call: int
    path: tuple[tuple[str, str | int], ...] = ()


@record
class Call:
    """One call of a job or a service, as its parent recorded it. Other calls are named by their place in the parent."""

    name: str
    #: Function and arguments, pickled (see runtime.codec).
    task: Data
    #: A service: a client waits until it is up, and it ends when its last client has settled.
    service: bool = False
    #: The calls whose promises its arguments and requirements hold, ascending.
    needs: tuple[int, ...] = ()
    #: The calls that must have settled first.
    after: tuple[int, ...] = ()
    #: The services of which it is a client, outermost first.
    services: tuple[int, ...] = ()
    request: Request = field(default_factory=Request)
    #: Fields of the request that a promise gives.
    promised: tuple[tuple[str, PromiseRef], ...] = ()
    #: How many further tries after the first; None means: the run's default.
    retries: int | None = None
    checkpoint: bool = False
    local: bool = False


@record
class Usage:
    """What an attempt used: seconds of wall clock and CPU, peak memory in bytes."""

    wall: float = 0.0
    cpu: float = 0.0
    memory: int = 0


@record
class Failure:
    """Why an attempt failed, for people: `error` is one line, `where` the innermost frame of the user's code."""

    error: str
    where: str = ""
    traceback: str = ""
    host: str = ""


@record
class Submitted:
    """One attempt that the batch system has accepted, and what was asked for it."""

    job: JobId
    attempt: int
    external_id: str
    cores: float = 1.0
    memory: int = 0
