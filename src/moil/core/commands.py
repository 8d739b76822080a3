"""What the core asks the leader to do. Carried out only after the events that led to them are durable."""

from __future__ import annotations

from typing import TypeAlias

from moil.core.records import JobId
from moil.record import record


@record(kw_only=False)
class Submit:
    """Hand the job's next attempt (a job's or a service's) to the batch system when there is room."""

    job: JobId
    attempt: int


@record(kw_only=False)
class Cancel:
    """End the attempt; whatever it still reports is of no interest."""

    job: JobId
    attempt: int


@record(kw_only=False)
class StopService:
    """Tell the service that its last client has settled."""

    job: JobId
    attempt: int


@record(kw_only=False)
class Finish:
    """Every job is done: the run has its value."""


@record(kw_only=False)
class Fail:
    """Nothing can run any more and at least one job failed."""


Command: TypeAlias = Submit | Cancel | StopService | Finish | Fail
