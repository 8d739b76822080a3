"""What can happen to a run. The journal holds these and nothing else; see `core.records` before changing a field.

`at` is the leader's clock in seconds since the epoch: the core has no other time.
"""

from __future__ import annotations

from typing import TypeAlias

from moil.core.policy import Policy
from moil.core.records import Call, Data, Failure, JobId, Outcome, Submitted, Usage
from moil.record import record


@record
class RunStarted:
    """A leader took the run up: for the first time with a root call, later again without one."""

    at: float
    policy: Policy
    root: Call | None = None
    #: Digests of the files that the root's arguments refer to.
    files: tuple[str, ...] = ()


@record
class AttemptsSubmitted:
    """The batch system accepted these attempts."""

    at: float
    attempts: tuple[Submitted, ...]


@record
class AttemptStarted:
    """A worker began the attempt."""

    at: float
    job: JobId
    attempt: int
    host: str = ""


@record
class JobCommitted:
    """The job returned. `refs` are its own calls whose promises the value holds; `files` the digests it refers to."""

    at: float
    job: JobId
    attempt: int
    value: Data
    refs: tuple[int, ...] = ()
    calls: tuple[Call, ...] = ()
    files: tuple[str, ...] = ()
    usage: Usage = Usage()


@record
class ServiceUp:
    """The service yielded: its clients may run."""

    at: float
    job: JobId
    attempt: int
    value: Data
    files: tuple[str, ...] = ()


@record
class ServiceDown:
    """The service ended in good order after it was told to stop, or by itself."""

    at: float
    job: JobId
    attempt: int
    usage: Usage = Usage()


@record
class AttemptEnded:
    """The attempt ended without a commit."""

    at: float
    job: JobId
    attempt: int
    outcome: Outcome
    failure: Failure | None = None
    usage: Usage = Usage()


@record
class DeadlineReached:
    """The clock has come to `Workflow.next_deadline`."""

    at: float


@record
class CancelRequested:
    """Somebody asked that the run be given up."""

    at: float
    reason: str = "cancelled"


Event: TypeAlias = (
    RunStarted
    | AttemptsSubmitted
    | AttemptStarted
    | JobCommitted
    | ServiceUp
    | ServiceDown
    | AttemptEnded
    | DeadlineReached
    | CancelRequested
)

EVENT_TYPES: tuple[type, ...] = (
    RunStarted,
    AttemptsSubmitted,
    AttemptStarted,
    JobCommitted,
    ServiceUp,
    ServiceDown,
    AttemptEnded,
    DeadlineReached,
    CancelRequested,
)
"""In the order of their tags in the journal: append only."""
