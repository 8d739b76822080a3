"""A run in numbers: a fold over its events that costs the same however many jobs there are.

This is what `moil status` and `moil stats` read, so that they answer at once for a run of any size.
"""

from __future__ import annotations

from moil.core.events import AttemptEnded, AttemptsSubmitted, Event, JobCommitted, RunStarted, ServiceDown, ServiceUp
from moil.core.records import JobId, Outcome, Submitted, Usage
from moil.core.workflow import Workflow
from moil.record import field, record


@record(frozen=False)
class NameStats:
    """All attempts of the jobs of one name. Times are seconds, memory is bytes."""

    done: int = 0
    ended: dict[str, int] = field(default_factory=dict)
    wall: float = 0.0
    longest: float = 0.0
    cpu: float = 0.0
    core_seconds: float = 0.0
    peak_memory: int = 0
    memory_asked: int = 0
    cores_asked: float = 0.0

    def add(self, usage: Usage, asked: Submitted | None) -> None:
        """Count one attempt that ended, well or not."""
        self.wall += usage.wall
        self.longest = max(self.longest, usage.wall)
        self.cpu += usage.cpu
        self.peak_memory = max(self.peak_memory, usage.memory)
        if asked is not None:
            self.core_seconds += asked.cores * usage.wall
            self.memory_asked = max(self.memory_asked, asked.memory)
            self.cores_asked = max(self.cores_asked, asked.cores)


@record(frozen=False)
class Summary:
    """What has happened so far."""

    started_at: float = 0.0
    resumed_at: float = 0.0
    updated_at: float = 0.0
    incarnations: int = 0
    retried: int = 0
    names: dict[str, NameStats] = field(default_factory=dict)
    asked: dict[JobId, Submitted] = field(default_factory=dict)
    #: Digests of all files that committed jobs refer to.
    files: set[str] = field(default_factory=set)

    def apply(self, event: Event, workflow: Workflow) -> None:
        """Take in an event. Call this BEFORE `workflow.apply(event)`, which may forget the job."""
        self.updated_at = event.at
        if isinstance(event, RunStarted):
            self.incarnations += 1
            self.started_at = self.started_at or event.at
            self.resumed_at = event.at
            self.files.update(event.files)
        elif isinstance(event, AttemptsSubmitted):
            for one in event.attempts:
                self.asked[one.job] = one
        elif isinstance(event, JobCommitted | ServiceDown):
            self._ended(event, Outcome.completed, workflow)
        elif isinstance(event, ServiceUp):
            self.files.update(event.files)
        elif isinstance(event, AttemptEnded):
            self._ended(event, event.outcome, workflow)

    def _ended(self, event: JobCommitted | ServiceDown | AttemptEnded, outcome: Outcome, workflow: Workflow) -> None:
        if not workflow.is_current(event.job, event.attempt):
            return
        name = workflow.graph[event.job].call.name
        stats = self.names.get(name)
        if stats is None:
            stats = self.names[name] = NameStats()
        stats.add(event.usage, self.asked.pop(event.job, None))
        if isinstance(event, JobCommitted):
            self.files.update(event.files)
        if outcome is Outcome.completed:
            stats.done += 1
        else:
            stats.ended[outcome.value] = stats.ended.get(outcome.value, 0) + 1
            self.retried += 1
