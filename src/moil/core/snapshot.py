"""A workflow as one value, and back: what compaction of the journal writes instead of all events so far.

Only what cannot be worked out from the rest is taken as true when it is read back (`Workflow.revive`).
"""

from __future__ import annotations

from moil.core.graph import Job
from moil.core.policy import Policy
from moil.core.records import JobId
from moil.core.summary import Summary
from moil.core.workflow import Workflow
from moil.record import record


@record
class Snapshot:
    """The state of a run between two events."""

    jobs: tuple[Job, ...]
    next_id: JobId
    policy: Policy
    stopped: str
    finished: bool
    summary: Summary


def take(workflow: Workflow, summary: Summary) -> Snapshot:
    """The workflow as it stands. Shares its jobs with the workflow: encode it before the next event."""
    return Snapshot(
        jobs=tuple(workflow.graph.jobs.values()),
        next_id=workflow.graph.next_id,
        policy=workflow.policy,
        stopped=workflow.stopped,
        finished=workflow.finished,
        summary=summary,
    )


def restore(snapshot: Snapshot) -> Workflow:
    """A workflow that goes on exactly as the one the snapshot was taken of."""
    workflow = Workflow()
    workflow.graph.jobs = {job.id: job for job in snapshot.jobs}
    workflow.graph.next_id = snapshot.next_id
    workflow.policy = snapshot.policy
    workflow.restore(stopped=snapshot.stopped, finished=snapshot.finished)
    return workflow
