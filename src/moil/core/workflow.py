"""THE state machine: everything that decides what a run does next is in this file.

Theory of operation
-------------------
`apply(event)` changes the graph and returns the commands that follow. Nothing else does. Same events in the same
order, same workflow, same commands: that is what makes a restart a replay.

    waiting --> ready --> submitted --> running --> done
       ^                      |            |
       |                      v            v
       +----- try again ------+------------+-----> failed

Two predicates carry the meaning of the graph, and both are found bottom-up, without recursion:

* *fulfilled*: the job returned (a service: yielded), and every promise inside its value is fulfilled.
* *settled*: the job is done or failed, and so is all below it.

A job waits for ONE thing at a time. `_blocker` looks for the first condition that does not hold; the job is then put
on that job's list of watchers and looked at again when that job changes. Conditions that hold once hold for ever
(a cursor remembers how far the look got), so the work for a job is proportional to what it needs, however wide the
fan-in; and the same function is what `moil explain` prints. Two things make conditions false again: a service that
goes down (asked for last, each time anew) and a roll-back (which puts the cursors of those concerned back).

A *roll-back* forgets all below a job and runs it again: a checkpoint whose descendant failed, and the unsettled
clients of a service that died under them, since what they were told about it is no longer true.

Failure spreads only forwards: to whoever needs the value, follows on, or is a client. Jobs that have nothing to do with
it go on. In a run that fails fast the first failure ends everything.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from moil.core.commands import Cancel, Command, Fail, Finish, StopService, Submit
from moil.core.events import (
    AttemptEnded,
    AttemptsSubmitted,
    AttemptStarted,
    CancelRequested,
    DeadlineReached,
    Event,
    JobCommitted,
    RunStarted,
    ServiceDown,
    ServiceUp,
)
from moil.core.graph import ROOT, Graph, Job
from moil.core.policy import Policy, Tries, after_failure
from moil.core.records import Failure, JobId, JobState, Outcome


class Workflow:
    """All that the leader knows about a run."""

    def __init__(self) -> None:
        self.graph = Graph()
        self.policy = Policy()
        #: Why nothing new is begun, if so: "cancelled", or the failure of a run that fails fast.
        self.stopped = ""
        self.finished = False
        self._commands: list[Command] = []
        self._changed: deque[JobId] = deque()
        self._deadlines: list[tuple[float, JobId]] = []

    # -- what others may ask -------------------------------------------------------------------------------------

    @property
    def next_deadline(self) -> float | None:
        """When the next back-off ends, if any is on."""
        while self._deadlines and not self._still_due(*self._deadlines[0]):
            heapq.heappop(self._deadlines)
        return self._deadlines[0][0] if self._deadlines else None

    @property
    def root(self) -> Job:
        """The main job."""
        return self.graph[ROOT]

    @property
    def failed(self) -> bool:
        """The run has ended, and not well."""
        return self.finished and (self.root.failed_below or bool(self.stopped))

    def blocker(self, job: Job) -> Job | None:
        """The first job that this one waits for, or None if nothing keeps it."""
        found = self._blocker(job)
        return found[0] if found else None

    def is_current(self, job: JobId, attempt: int) -> bool:
        """Whether this attempt is the one that counts: news of any other is no longer of interest."""
        known = self.graph.get(job)
        return known is not None and known.attempt == attempt and known.state in _OPEN

    def apply(self, event: Event) -> list[Command]:
        """Take the event in and return what follows from it, in order."""
        self._commands = []
        _HANDLERS[type(event)](self, event)
        self._propagate()
        self._finish()
        return self._commands

    # -- events --------------------------------------------------------------------------------------------------

    def _on_run_started(self, event: RunStarted) -> None:
        self.policy = event.policy
        if event.root is not None:
            self._changed.extend(job.id for job in self.graph.add(None, (event.root,)))
            return
        self.revive(renew=True)
        self._say_again()

    def _say_again(self) -> None:
        """The commands that the last leader may not have lived to carry out."""
        for job in self.graph.jobs.values():
            if job.state is JobState.ready:
                self._commands.append(Submit(job.id, job.attempt))
            elif job.up and job.stopping:
                self._commands.append(StopService(job.id, job.attempt))
            elif job.up:
                self._try_stop(job)

    def _on_attempts_submitted(self, event: AttemptsSubmitted) -> None:
        for one in event.attempts:
            job = self._current(one.job, one.attempt)
            if job and job.state is JobState.ready:
                job.state, job.external_id, job.started_at = JobState.submitted, one.external_id, event.at

    def _on_attempt_started(self, event: AttemptStarted) -> None:
        job = self._current(event.job, event.attempt)
        if job and job.state in (JobState.ready, JobState.submitted):
            job.state, job.host, job.started_at = JobState.running, event.host, event.at

    def _on_job_committed(self, event: JobCommitted) -> None:
        job = self._current(event.job, event.attempt)
        if job is None:
            return
        job.state, job.value, job.refs, job.external_id = JobState.done, event.value, event.refs, ""
        self._changed.extend(child.id for child in self.graph.add(job, event.calls))
        self._changed.append(job.id)
        self._try_settle(job)

    def _on_service_up(self, event: ServiceUp) -> None:
        job = self._current(event.job, event.attempt)
        if job is None:
            return
        job.state, job.up, job.value, job.fulfilled = JobState.running, True, event.value, True
        self._wake(job)
        self._try_stop(job)

    def _on_service_down(self, event: ServiceDown) -> None:
        job = self._current(event.job, event.attempt)
        if job is None:
            return
        if not job.stopping:
            failure = Failure(error="the service ended before its clients had settled")
            self._attempt_failed(job, event.at, Outcome.failed, failure)
            return
        self._service_ended(job)

    def _service_ended(self, service: Job) -> None:
        """It is over, in good order or not so that it matters; but a restart may have given it new clients meanwhile."""
        service.state, service.up = JobState.done, False
        if service.open_clients:
            self._reopen(service)
            self._changed.append(service.id)
            return
        self._wake(service)
        self._try_settle(service)

    def _on_attempt_ended(self, event: AttemptEnded) -> None:
        job = self._current(event.job, event.attempt)
        if job is not None:
            self._attempt_failed(job, event.at, event.outcome, event.failure)

    def _on_deadline_reached(self, event: DeadlineReached) -> None:
        while self._deadlines and self._deadlines[0][0] <= event.at:
            at, job = heapq.heappop(self._deadlines)
            if self._still_due(at, job):
                self.graph[job].not_before = 0.0
                self._changed.append(job)

    def _on_cancel_requested(self, event: CancelRequested) -> None:
        if not self.finished:
            self._stop_everything(event.reason, None)

    # -- failure -------------------------------------------------------------------------------------------------

    def _attempt_failed(self, job: Job, at: float, outcome: Outcome, failure: Failure | None) -> None:
        was_up, job.up, job.state = job.up, False, JobState.waiting
        job.failure = failure or Failure(error=f"the attempt ended {outcome.value}")
        if was_up and job.stopping and outcome in _NOT_ITS_FAULT:
            self._service_ended(job)
            return
        if was_up:
            self._roll_back_clients(job)
        again = after_failure(self.policy, job.call.retries, job.tries, outcome)
        if again:
            job.stopping = False
            self._retry(job, at, again.tries, again.delay)
        else:
            self._fail(job, None)

    def _retry(self, job: Job, at: float, tries: Tries, delay: float) -> None:
        job.tries, job.state, job.external_id, job.cursor = tries, JobState.waiting, "", 0
        if delay > 0:
            job.not_before = at + delay
            heapq.heappush(self._deadlines, (job.not_before, job.id))
        self._changed.append(job.id)

    def _fail(self, job: Job, cause: JobId | None) -> None:
        """The job will not be tried again; unless a checkpoint above it can, everything that needs it fails too."""
        checkpoint = next((above for above in self.graph.ancestors(job) if self._can_roll_back(above)), None)
        if checkpoint is not None and not self.stopped:
            used = checkpoint.tries.used + 1
            self._roll_back(checkpoint)
            checkpoint.tries = Tries(used=used, losses=checkpoint.tries.losses)
            return
        job.state, job.cause, job.broken, job.failed_below = JobState.failed, cause, True, True
        self._wake(job)
        if job.call.service:  # a client in its back-off watches nothing
            self._changed.extend(client.id for client in self.graph.clients(job))
        self._try_settle(job)
        if self.policy.fail_fast and not self.stopped:
            self._stop_everything(f"{job} failed", job.id if cause is None else cause)

    def _can_roll_back(self, job: Job) -> bool:
        allowed = self.policy.retries if job.call.retries is None else job.call.retries
        return job.call.checkpoint and job.state is JobState.done and job.tries.used < allowed

    def _stop_everything(self, reason: str, cause: JobId | None) -> None:
        self.stopped = reason
        for job in list(self.graph.jobs.values()):
            if job.terminal:
                continue
            if job.live:
                self._commands.append(Cancel(job.id, job.attempt))
            job.state, job.cause, job.broken, job.failed_below, job.up = JobState.failed, cause, True, True, False
            job.failure = None
            self._wake(job)
            self._try_settle(job)

    # -- roll-back -----------------------------------------------------------------------------------------------

    def _roll_back_clients(self, service: Job) -> None:
        for client in list(self.graph.clients(service)):
            if not client.settled and not client.broken and client.state is not JobState.waiting:
                self._roll_back(client)

    def _roll_back(self, job: Job) -> None:
        """Forget all below the job, and what it returned, and let it run again."""
        for below in self.graph.detach(job):
            if below.live:
                self._commands.append(Cancel(below.id, below.attempt))
        if job.live:
            self._commands.append(Cancel(job.id, job.attempt))
        job.state, job.cursor, job.external_id = JobState.waiting, 0, ""
        job.value, job.refs, job.ref_cursor = None, (), 0
        job.broken = job.failed_below = job.up = job.stopping = False
        self._changed.append(job.id)
        self._unfulfil(job)

    def _unfulfil(self, job: Job) -> None:
        """Its value is gone: take back what was concluded from it, by siblings and, through values, above it."""
        todo = [job]
        while todo:
            gone = todo.pop()
            if not gone.fulfilled:
                continue
            gone.fulfilled = False
            for other in self.graph.dependents(gone):
                if other.state in (JobState.waiting, JobState.ready):
                    other.state, other.cursor = JobState.waiting, 0
                    self._changed.append(other.id)
            parent = self.graph.parent(gone)
            if parent is not None and gone.index in parent.refs:
                parent.ref_cursor = 0
                self._changed.append(parent.id)
                todo.append(parent)

    def restore(self, *, stopped: str, finished: bool) -> None:
        """Take up the jobs of a snapshot, which `graph` already holds."""
        self.revive(renew=False)
        self._commands = []
        self._propagate()
        self.stopped, self.finished = stopped, finished

    def revive(self, *, renew: bool) -> None:
        """Work out anew all that follows from the states; with `renew`, failed jobs get another go."""
        self.stopped, self.finished = "", False
        self._deadlines = []
        for job in self.graph.jobs.values():
            job.watchers, job.open_clients, job.open_children = None, 0, job.children
            job.cursor = job.ref_cursor = 0
            job.settled = job.failed_below = False
            if renew:
                job.broken, job.cause = False, None
            if renew and job.state is JobState.failed:
                job.state, job.tries, job.not_before = JobState.waiting, Tries(), 0.0
                job.up = job.stopping = False
        for job in reversed(list(self.graph.jobs.values())):
            self._recount(job)
        for job in self.graph.jobs.values():
            if job.state is JobState.waiting and job.not_before:
                heapq.heappush(self._deadlines, (job.not_before, job.id))
            job.fulfilled = job.call.service and job.value is not None
            self._changed.append(job.id)

    def _recount(self, job: Job) -> None:
        """Called for descendants before ancestors, and for clients before their services."""
        if job.open_clients and (job.stopping or job.state is JobState.done):
            self._reopen(job)
        job.failed_below = job.failed_below or job.state is JobState.failed
        job.settled = job.terminal and job.open_children == 0
        parent = self.graph.parent(job)
        if parent is not None and job.settled:
            parent.open_children -= 1
            parent.failed_below = parent.failed_below or job.failed_below
        if not job.settled:
            for service in job.call.services:
                self.graph.sibling(job, service).open_clients += 1

    def _reopen(self, service: Job) -> None:
        """It has ended, or was told to, but clients of it are to run: what they were told of it is no longer true."""
        self._roll_back_clients(service)
        if service.state is JobState.done:
            service.state, service.stopping, service.cursor, service.external_id = JobState.waiting, False, 0, ""

    # -- what follows --------------------------------------------------------------------------------------------

    def _propagate(self) -> None:
        while self._changed:
            job = self.graph.get(self._changed.popleft())
            if job is None:
                continue
            if job.state is JobState.waiting:
                self._try_ready(job)
            elif job.state is JobState.done and not job.fulfilled and not job.broken:
                self._try_fulfil(job)

    def _try_ready(self, job: Job) -> None:
        found = self._blocker(job)
        if found is None:
            if job.not_before == 0.0 and not self.stopped:
                job.state, job.attempt = JobState.ready, job.attempt + 1
                self._commands.append(Submit(job.id, job.attempt))
            return
        other, hopeless = found
        if hopeless:
            self._fail(job, _origin(other))
        else:
            _watch(other, job)

    def _blocker(self, job: Job) -> tuple[Job, bool] | None:
        """The first job that keeps this one from running, and whether it will do so for ever."""
        call, graph = job.call, self.graph
        needs = len(call.needs)
        while job.cursor < needs:
            other = graph.sibling(job, call.needs[job.cursor])
            if not other.fulfilled:
                return other, other.broken
            job.cursor += 1
        while job.cursor < needs + len(call.after):
            other = graph.sibling(job, call.after[job.cursor - needs])
            if other.failed_below or not other.settled:
                return other, other.failed_below and other.settled
            job.cursor += 1
        for index in call.services:
            other = graph.sibling(job, index)
            if not other.up or other.stopping:
                return other, other.broken
        return None

    def _try_fulfil(self, job: Job) -> None:
        while job.ref_cursor < len(job.refs):
            other = self.graph.child(job, job.refs[job.ref_cursor])
            if other.broken and not other.fulfilled:
                job.broken, job.cause = True, _origin(other)
                self._wake(job)
                return
            if not other.fulfilled:
                _watch(other, job)
                return
            job.ref_cursor += 1
        job.fulfilled = True
        self._wake(job)

    def _wake(self, job: Job) -> None:
        if job.watchers:
            self._changed.extend(job.watchers)
            job.watchers = None

    def _try_settle(self, job: Job) -> None:
        """Settle the job if it can be, then its parent, and so on upwards."""
        above: Job | None = job
        while above is not None and above.terminal and above.open_children == 0 and not above.settled:
            above.settled = True
            self._wake(above)
            self._leave_services(above)
            parent = self.graph.parent(above)
            if parent is not None:
                parent.open_children -= 1
                parent.failed_below = parent.failed_below or above.failed_below
            above = parent

    def _leave_services(self, job: Job) -> None:
        for index in job.call.services:
            service = self.graph.sibling(job, index)
            service.open_clients -= 1
            self._try_stop(service)

    def _try_stop(self, service: Job) -> None:
        if service.up and service.open_clients == 0 and not service.stopping:
            service.stopping = True
            self._commands.append(StopService(service.id, service.attempt))

    def _finish(self) -> None:
        root = self.graph.get(ROOT)
        if root is not None and root.settled and not self.finished:
            self.finished = True
            self._commands.append(Fail() if self.failed else Finish())

    # -- small things --------------------------------------------------------------------------------------------

    def _current(self, job: JobId, attempt: int) -> Job | None:
        return self.graph.get(job) if self.is_current(job, attempt) else None

    def _still_due(self, at: float, job: JobId) -> bool:
        known = self.graph.get(job)
        return known is not None and known.state is JobState.waiting and known.not_before == at


def _watch(other: Job, job: Job) -> None:
    """Have `job` looked at again when `other` changes."""
    if other.watchers is None:
        other.watchers = []
    other.watchers.append(job.id)


def _origin(job: Job) -> JobId:
    """The job whose own failure is behind this one's."""
    return job.id if job.cause is None else job.cause


_OPEN = frozenset({JobState.ready, JobState.submitted, JobState.running})
_NOT_ITS_FAULT = frozenset({Outcome.lost, Outcome.node_failed, Outcome.preempted, Outcome.cancelled})

# ruff: noqa: SLF001 - the table of its own handlers
_HANDLERS: dict[type, Callable[[Workflow, Any], None]] = {
    RunStarted: Workflow._on_run_started,
    AttemptsSubmitted: Workflow._on_attempts_submitted,
    AttemptStarted: Workflow._on_attempt_started,
    JobCommitted: Workflow._on_job_committed,
    ServiceUp: Workflow._on_service_up,
    ServiceDown: Workflow._on_service_down,
    AttemptEnded: Workflow._on_attempt_ended,
    DeadlineReached: Workflow._on_deadline_reached,
    CancelRequested: Workflow._on_cancel_requested,
}


def failures(workflow: Workflow) -> Iterable[Job]:
    """The jobs whose own failure is behind all others', in order."""
    jobs = workflow.graph.jobs.values()
    return [job for job in jobs if job.state is JobState.failed and job.cause is None and job.failure is not None]
