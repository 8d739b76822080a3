"""Between the core's commands and a batch system: what waits for room, what is out there, and what is heard of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator

from moil.core.commands import Cancel, StopService, Submit
from moil.core.events import AttemptEnded, AttemptsSubmitted, AttemptStarted, Event, JobCommitted, ServiceDown, ServiceUp
from moil.core.graph import Job
from moil.core.records import Data, Failure, JobId, Outcome, Submitted
from moil.core.requirements import Requirements
from moil.core.workflow import Workflow
from moil.errors import DamagedError, MoilError
from moil.ports.batch_system import BatchSystem, ExternalId, Phase, Report, Submission
from moil.runtime.records import OutcomeRecord, decode_outcome, encode_task, token
from moil.runtime.values import requirements_of, task_of


class Dispatcher:
    """Keeps the batch system's window full, and turns its reports into events."""

    def __init__(self, workflow: Workflow, batch: BatchSystem, read: Callable[[Data], bytes]) -> None:
        self._workflow, self._batch, self._read = workflow, batch, read
        self._ready: deque[Submit] = deque()
        self._out: dict[ExternalId, tuple[JobId, int]] = {}
        self._ids: dict[tuple[JobId, int], ExternalId] = {}
        #: Services that are up: they may stay so for long, and must not fill the window that their clients need.
        self._up: set[ExternalId] = set()
        #: Attempts that have reported before their end; a failure is kept back until then, when the log is complete.
        self._returned: dict[ExternalId, Event | None] = {}

    def adopt(self) -> None:
        """Take up the attempts that were out when the last leader ended."""
        for job in self._workflow.graph.jobs.values():
            if job.live:
                self._track(job.external_id, (job.id, job.attempt))
                if job.up:
                    self._up.add(job.external_id)

    def _track(self, external_id: ExternalId, attempt: tuple[JobId, int]) -> None:
        self._out[external_id] = attempt
        self._ids[attempt] = external_id

    # -- commands ------------------------------------------------------------------------------------------------

    def queue(self, command: Submit) -> None:
        """Submit it when there is room."""
        self._ready.append(command)

    def cancel(self, commands: Iterable[Cancel]) -> None:
        """End these attempts."""
        self._batch.cancel(self._external_ids(commands))

    def stop(self, commands: Iterable[StopService]) -> None:
        """Tell these services that they are no longer needed."""
        self._batch.stop(self._external_ids(commands))

    def _external_ids(self, commands: Iterable[Cancel | StopService]) -> list[ExternalId]:
        found = (self._ids.get((one.job, one.attempt)) for one in commands)
        return [one for one in found if one is not None]

    def cancel_all(self) -> None:
        """End all that is out."""
        self._batch.cancel(list(self._out))

    @property
    def busy(self) -> bool:
        """Whether anything is out."""
        return bool(self._out)

    # -- submitting ----------------------------------------------------------------------------------------------

    def submit(self, at: float) -> list[Event]:
        """Fill the window; the events say what was submitted, and what could not be."""
        wanted: list[tuple[Job, Requirements]] = []
        events: list[Event] = []
        room = self._batch.window - len(self._out) + len(self._up)
        while self._ready and len(wanted) < room:
            job = self._still_ready(self._ready.popleft())
            if job is None:
                continue
            try:
                wanted.append((job, requirements_of(self._workflow, job, self._read)))
            except MoilError as error:
                failure = Failure(error=f"{type(error).__name__}: {error}")
                outcome = Outcome.failed
                events.append(AttemptEnded(at=at, job=job.id, attempt=job.attempt, outcome=outcome, failure=failure))
        if wanted:
            events.append(self._hand_over(wanted, at))
        return events

    def _still_ready(self, command: Submit) -> Job | None:
        if not self._workflow.is_current(command.job, command.attempt) or (command.job, command.attempt) in self._ids:
            return None
        return self._workflow.graph[command.job]

    def _hand_over(self, wanted: list[tuple[Job, Requirements]], at: float) -> Event:
        ids = self._batch.submit([self._submission(job, needed) for job, needed in wanted])
        submitted = []
        for (job, needed), external_id in zip(wanted, ids, strict=True):
            self._track(external_id, (job.id, job.attempt))
            submitted.append(
                Submitted(job=job.id, attempt=job.attempt, external_id=external_id, cores=needed.cores, memory=needed.memory)
            )
        return AttemptsSubmitted(at=at, attempts=tuple(submitted))

    def _submission(self, job: Job, needed: Requirements) -> Submission:
        task = task_of(self._workflow, job, needed, self._workflow.policy.ceiling)
        return Submission(
            token=token(job.id, job.attempt),
            name=job.call.name,
            requirements=needed,
            task=encode_task(task),
            service=job.call.service,
            local=job.call.local,
        )

    # -- listening -----------------------------------------------------------------------------------------------

    def collect(self, at: float) -> Iterator[Event]:
        """What the batch system has to say, as events."""
        for report in self._batch.poll(self._out.keys()):
            known = self._out.get(report.id)
            if known is None:
                continue
            event = self._event(report, known, at)
            if report.phase is Phase.ended:
                del self._out[report.id], self._ids[known]
                self._returned.pop(report.id, None)
                self._up.discard(report.id)
            if event is not None:
                yield event

    def _event(self, report: Report, known: tuple[JobId, int], at: float) -> Event | None:
        job, attempt = known
        if report.phase is Phase.started:
            return AttemptStarted(at=at, job=job, attempt=attempt, host=report.host)
        if report.phase is Phase.ended:
            if report.id in self._returned:
                return self._after_all(report, known, at)
            if report.record is None:
                return self._ended(report, known, at, report.outcome, report.failure)
        try:
            assert report.record is not None
            record = decode_outcome(report.record)
        except DamagedError as error:
            failure = Failure(error=str(error), host=report.host)
            return self._kept(report, self._ended(report, known, at, Outcome.failed, failure))
        if report.phase is Phase.up:
            self._up.add(report.id)
            return ServiceUp(at=at, job=job, attempt=attempt, value=record.value, files=record.files)
        if record.outcome is not Outcome.completed:
            return self._kept(report, self._ended(report, known, at, record.outcome, record.failure))
        self._returned[report.id] = None
        return self._completed(report, known, at, record)

    def _kept(self, report: Report, event: Event) -> Event | None:
        """A failure is told when the attempt has ended."""
        if report.phase is Phase.ended:
            return event
        self._returned[report.id] = event
        return None

    def _after_all(self, report: Report, known: tuple[JobId, int], at: float) -> Event | None:
        """The failure that was kept back; but if the batch system ended the attempt, that is why it failed."""
        kept = self._returned[report.id]
        if kept is not None and report.failure is not None:
            return self._ended(report, known, at, report.outcome, report.failure)
        return kept

    def _completed(self, report: Report, known: tuple[JobId, int], at: float, record: OutcomeRecord) -> Event:
        job, attempt = known
        current = self._workflow.graph.get(job)
        if current is not None and current.call.service:
            return ServiceDown(at=at, job=job, attempt=attempt, usage=report.usage)
        return JobCommitted(
            at=at,
            job=job,
            attempt=attempt,
            value=record.value,
            refs=record.refs,
            calls=record.calls,
            files=record.files,
            usage=report.usage,
        )

    def _ended(
        self, report: Report, known: tuple[JobId, int], at: float, outcome: Outcome, failure: Failure | None
    ) -> Event:
        job, attempt = known
        if outcome is Outcome.completed:
            outcome, failure = Outcome.lost, Failure(error="the attempt ended without an outcome", host=report.host)
        return AttemptEnded(at=at, job=job, attempt=attempt, outcome=outcome, failure=failure, usage=report.usage)
