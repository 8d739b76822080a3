"""What runs attempts on machines. Moil never schedules many machines itself: it submits, asks and cancels.

An adapter is made with a `Reactor`; it either wakes the leader when there is news (`poll_interval` None) or is asked
every `poll_interval` seconds.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Protocol, TypeAlias

from moil.core.records import Failure, Outcome, Usage
from moil.core.requirements import Ceiling, Requirements
from moil.record import record

ExternalId: TypeAlias = str


@record
class Submission:
    """One attempt to run. `token` is unique in the run and the same after a restart: by it attempts are found again."""

    token: str
    name: str
    requirements: Requirements
    #: The task record (see runtime.codec); None where the worker fetches it from the job store.
    task: bytes | None = None
    service: bool = False
    #: It is to run on the leader's machine.
    local: bool = False


class Phase(StrEnum):
    """What a report says."""

    #: A worker began the attempt; of one that is over in no time this need not be said.
    started = "started"
    #: The service yielded; `Report.record` holds the value.
    up = "up"
    #: The function returned; `Report.record` holds the outcome record, and an `ended` report follows.
    returned = "returned"
    #: The attempt is over and its place is free. With a `Report.record` it has returned as well, in one report.
    ended = "ended"


@record
class Report:
    """News of one attempt."""

    id: ExternalId
    phase: Phase
    outcome: Outcome = Outcome.completed
    record: bytes | None = None
    failure: Failure | None = None
    usage: Usage = Usage()
    host: str = ""


class BatchSystem(Protocol):
    """Submits many, asks about many, cancels many."""

    @property
    def ceiling(self) -> Ceiling:
        """The most that one job can be given."""
        ...

    @property
    def poll_interval(self) -> float | None:
        """Seconds between polls, or None if the batch system wakes the leader itself."""
        ...

    @property
    def window(self) -> int:
        """How many attempts it wants to hold at once, queued and running."""
        ...

    @property
    def reasons(self) -> Mapping[str, int]:
        """Why what waits in its queue does, in its own words, and how many do so; empty where it does not say."""
        ...

    def submit(self, submissions: Sequence[Submission]) -> Sequence[ExternalId]:
        """Hand over attempts; the answer is in the same order. Raises StoreError or UsageError, then none was taken."""
        ...

    def poll(self, ids: Collection[ExternalId]) -> Iterable[Report]:
        """News since the last poll; an id that nobody knows of is reported `ended` as `lost`."""
        ...

    def cancel(self, ids: Collection[ExternalId]) -> None:
        """End these attempts, with all their processes; their `ended` reports still come."""
        ...

    def stop(self, ids: Collection[ExternalId]) -> None:
        """Tell these services that their last client has settled."""
        ...

    def close(self) -> None:
        """End everything that is still running here, and let go."""
        ...
