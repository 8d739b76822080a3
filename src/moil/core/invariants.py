"""What is true of a workflow between any two events. Tests and simulations call `check` after each one."""

from __future__ import annotations

from collections.abc import Iterator

from moil.core.graph import Graph, Job
from moil.core.records import JobState
from moil.core.workflow import Workflow


def check(workflow: Workflow) -> None:
    """Raises AssertionError with all that is wrong."""
    wrong = list(violations(workflow))
    assert not wrong, "\n".join(wrong)


def violations(workflow: Workflow) -> Iterator[str]:
    """Every invariant that does not hold, in words."""
    for job in workflow.graph.jobs.values():
        for holds, law in _laws(workflow, job):
            if not holds:
                yield f"{job} ({job.state.value}): {law}"


def _laws(workflow: Workflow, job: Job) -> Iterator[tuple[bool, str]]:
    graph = workflow.graph
    children = list(graph.children(job))
    open_children = sum(not child.settled for child in children)
    yield job.open_children == open_children, f"counts {job.open_children} unsettled children, has {open_children}"
    yield job.settled == (job.terminal and not open_children), "settled is: terminal, and all children settled"
    yield not children or job.state is JobState.done, "only a job that returned has children"
    yield not job.live or job.attempt > 0, "a live job has an attempt"
    yield job.state is not JobState.done or job.call.service or job.value is not None, "a job that is done has a value"
    yield not job.up or job.state is JobState.running, "a service that is up is running"
    yield job.state is not JobState.failed or (job.broken and job.failed_below), "a failed job is broken"
    yield job.fulfilled <= (job.value is not None), "a fulfilled job has a value"
    yield job.call.service or job.fulfilled == _fulfilled(graph, job), "fulfilled is: returned, and all refs fulfilled"
    yield from _readiness(workflow, job)
    if job.call.service:
        clients = sum(not client.settled for client in graph.clients(job))
        yield job.open_clients == clients, f"counts {job.open_clients} open clients, has {clients}"
        yield not (job.up and not clients and not job.stopping), "a service without open clients is told to stop"


def _readiness(workflow: Workflow, job: Job) -> Iterator[tuple[bool, str]]:
    if job.state in (JobState.ready, JobState.submitted):
        yield all(workflow.graph.sibling(job, index).up for index in job.call.services), "its services are up"
    if job.state is JobState.ready:
        yield workflow.blocker(job) is None, "nothing keeps a ready job"
    if job.state is JobState.waiting and not job.not_before and not workflow.stopped:
        blocker = workflow.blocker(job)
        yield blocker is not None, "a waiting job waits for something"
        yield blocker is None or _watches(workflow.graph, job), "a waiting job watches something that it waits for"


def _watches(graph: Graph, job: Job) -> bool:
    """A service that went down may be the first blocker, while the job still watches one inside it; that will do."""
    call = job.call
    needed = (graph.sibling(job, index) for index in (*call.needs, *call.after, *call.services))
    return any(job.id in (other.watchers or ()) for other in needed)


def _fulfilled(graph: Graph, job: Job) -> bool:
    return job.state is JobState.done and all(graph.child(job, index).fulfilled for index in job.refs)
