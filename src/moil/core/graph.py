"""The jobs of a run, and who is whose child.

A job's children are the calls it made: they get consecutive ids when it commits, so the k-th call of a parent is found
by adding, and an id stays short however deep the recursion. Everything here is plain data; only `core.workflow`
changes it. A `Job` is stored in snapshots as it is (see `core.records` before changing a field), apart from
`watchers`, which are rebuilt.
"""

from __future__ import annotations

from collections.abc import Iterator

from moil.core.policy import Tries
from moil.core.records import LIVE, TERMINAL, Call, Data, Failure, JobId, JobState
from moil.record import field, record

ROOT: JobId = 1


@record(frozen=False)
class Job:
    """One call of the workflow, and how far it has come."""

    id: JobId
    parent: JobId | None
    index: int
    call: Call
    state: JobState = JobState.waiting
    attempt: int = 0
    tries: Tries = Tries()
    #: The end of its back-off.
    not_before: float = 0.0
    #: How many of `call.needs` and `call.after` are known to hold.
    cursor: int = 0
    external_id: str = ""
    started_at: float = 0.0
    host: str = ""
    value: Data | None = None
    refs: tuple[int, ...] = ()
    #: How many of `refs` are known to be fulfilled.
    ref_cursor: int = 0
    fulfilled: bool = False
    #: It, or something its value holds, failed: whoever waits for it fails too.
    broken: bool = False
    first_child: JobId = 0
    children: int = 0
    open_children: int = 0
    settled: bool = False
    failed_below: bool = False
    #: Services only.
    up: bool = False
    stopping: bool = False
    open_clients: int = 0
    failure: Failure | None = None
    #: The job whose failure made this one fail.
    cause: JobId | None = None
    #: None is a short word for none: most jobs have none, ever.
    watchers: list[JobId] | None = field(default=None, compare=False, repr=False)

    @property
    def live(self) -> bool:
        """The batch system has it or a worker has it."""
        return self.state in LIVE

    @property
    def terminal(self) -> bool:
        """It is done or failed."""
        return self.state in TERMINAL

    def __str__(self) -> str:
        return f"{self.call.name} #{self.id}"


class Graph:
    """All jobs by id, in the order of their ids."""

    def __init__(self) -> None:
        self.jobs: dict[JobId, Job] = {}
        self.next_id: JobId = ROOT

    def __getitem__(self, job: JobId) -> Job:
        return self.jobs[job]

    def get(self, job: JobId) -> Job | None:
        """The job, or None if there is none of this id (it was rolled back, say)."""
        return self.jobs.get(job)

    def add(self, parent: Job | None, calls: tuple[Call, ...]) -> list[Job]:
        """Make jobs of the calls; they are children of `parent`."""
        made = [
            Job(id=self.next_id + index, parent=parent.id if parent else None, index=index, call=call)
            for index, call in enumerate(calls)
        ]
        for job in made:
            self.jobs[job.id] = job
        if parent:
            parent.first_child, parent.children, parent.open_children = self.next_id, len(made), len(made)
        for job in made:
            for service in job.call.services:
                self.jobs[self.next_id + service].open_clients += 1
        self.next_id += len(made)
        return made

    def parent(self, job: Job) -> Job | None:
        """Its parent, or None for the root."""
        return None if job.parent is None else self.jobs[job.parent]

    def sibling(self, job: Job, index: int) -> Job:
        """The parent's call number `index`."""
        return self.jobs[job.id - job.index + index]

    def child(self, job: Job, index: int) -> Job:
        """Its own call number `index`."""
        return self.jobs[job.first_child + index]

    def children(self, job: Job) -> Iterator[Job]:
        """Its calls, in the order it made them."""
        for child in range(job.first_child, job.first_child + job.children):
            yield self.jobs[child]

    def siblings(self, job: Job) -> Iterator[Job]:
        """All calls of its parent, itself among them."""
        parent = self.parent(job)
        return iter((job,)) if parent is None else self.children(parent)

    def descendants(self, job: Job) -> Iterator[Job]:
        """All below it, parents before children, without recursion."""
        todo = [job]
        while todo:
            for child in self.children(todo.pop()):
                yield child
                if child.children:
                    todo.append(child)

    def ancestors(self, job: Job) -> Iterator[Job]:
        """Its parent, its parent's parent, and so on up to the root."""
        above = self.parent(job)
        while above is not None:
            yield above
            above = self.parent(above)

    def clients(self, service: Job) -> Iterator[Job]:
        """The calls that use the service."""
        for job in self.siblings(service):
            if service.index in job.call.services:
                yield job

    def dependents(self, job: Job) -> Iterator[Job]:
        """The calls whose arguments or requirements hold a promise of it."""
        for other in self.siblings(job):
            if job.index in other.call.needs:
                yield other

    def detach(self, job: Job) -> list[Job]:
        """Forget all below it, and return what was forgotten."""
        gone = list(self.descendants(job))
        for below in gone:
            del self.jobs[below.id]
        job.first_child = job.children = job.open_children = 0
        return gone
