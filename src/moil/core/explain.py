"""Why a job is not running, in sentences. The engine's own look (`Workflow.blocker`), put into words."""

from __future__ import annotations

from moil.core.graph import Job
from moil.core.records import JobState
from moil.core.requirements import format_duration
from moil.core.workflow import Workflow

LONGEST_CHAIN = 20


def explain(workflow: Workflow, job: Job, now: float) -> list[str]:
    """What the job is doing or waits for, and what that waits for in turn, until something that can act is found."""
    found = chain(workflow, job)
    lines = [_state(workflow, one, now) for one in found[:LONGEST_CHAIN]]
    return [*lines, "… and so on."] if len(found) > LONGEST_CHAIN else lines


def chain(workflow: Workflow, job: Job) -> list[Job]:
    """The job, what it waits for, what that waits for in turn, and so on, to one more than people want to read."""
    found = {job.id: job}
    nearer = _waits_for(workflow, job)
    while nearer is not None and nearer.id not in found and len(found) <= LONGEST_CHAIN:
        found[nearer.id] = nearer
        nearer = _waits_for(workflow, nearer)
    return list(found.values())


def _waits_for(workflow: Workflow, job: Job) -> Job | None:
    if job.state is JobState.waiting:
        return workflow.blocker(job)
    if job.state is JobState.failed and job.cause is not None:
        return workflow.graph.get(job.cause)
    if job.state is not JobState.done:
        return None
    if job.settled:
        return next((child for child in workflow.graph.children(job) if child.failed_below), None)
    children = [workflow.graph.child(job, index) for index in job.refs] + list(workflow.graph.children(job))
    return next((child for child in children if not child.settled), None)


def _state(workflow: Workflow, job: Job, now: float) -> str:
    describe = {
        JobState.waiting: _waiting,
        JobState.ready: _ready,
        JobState.submitted: _submitted,
        JobState.running: _running,
        JobState.done: _done,
        JobState.failed: _failed,
    }
    return f"{job} {describe[job.state](workflow, job, now)}."


def _waiting(workflow: Workflow, job: Job, now: float) -> str:
    blocker = workflow.blocker(job)
    if blocker is None:
        tried = f"attempt {job.attempt} {job.failure.error if job.failure else 'failed'}"
        return f"waits {format_duration(max(0.0, job.not_before - now))} before its next try ({tried})"
    if blocker.index in job.call.needs and not blocker.fulfilled:
        return f"waits for the value of {blocker}"
    if blocker.index in job.call.after:
        return f"waits for {blocker} and all its descendants to settle"
    return f"waits for the service {blocker} to be up"


def _ready(workflow: Workflow, job: Job, now: float) -> str:
    ahead = sum(1 for other in workflow.graph.jobs.values() if other.state is JobState.ready and other.id < job.id)
    return f"is ready and waits for its turn behind {ahead} other(s)"


def _submitted(workflow: Workflow, job: Job, now: float) -> str:
    waited = format_duration(max(0.0, now - job.started_at))
    return f"is in the queue of the batch system as {job.external_id}, for {waited}"


def _running(workflow: Workflow, job: Job, now: float) -> str:
    where = f" on {job.host}" if job.host else ""
    since = format_duration(max(0.0, now - job.started_at))
    if job.up:
        return f"is a service, up{where} for {since}; {job.open_clients} client(s) have not settled"
    return f"has been running{where} for {since} (attempt {job.attempt})"


def _done(workflow: Workflow, job: Job, now: float) -> str:
    if job.settled:
        return "is done, but something below it failed" if job.failed_below else "is done, and so is all below it"
    return f"has returned; {job.open_children} of its {job.children} children have not settled"


def _failed(workflow: Workflow, job: Job, now: float) -> str:
    if job.cause is not None:
        cause = workflow.graph.get(job.cause)
        below = "something below " if cause is not None and cause.state is JobState.done else ""
        return f"was not run, because {below}job #{job.cause} failed"
    return f"failed: {job.failure.error}" if job.failure else f"was not run: {workflow.stopped or 'the run was stopped'}"
