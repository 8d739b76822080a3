"""What a failed run says at its end: one block for each job that failed by itself, and what to do next."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from moil.core.graph import Job
from moil.core.records import JobState
from moil.core.workflow import Workflow, failures
from moil.ports.job_store import JobStore
from moil.runtime import attempt_log
from moil.runtime.records import token

MOST_BLOCKS = 10
LAST_LINES = 20


def failure_report(workflow: Workflow, store: JobStore, locator: str, resume: Sequence[str]) -> str:
    """The blocks, and the command that resumes. Without a locator the store is about to go, and is not spoken of."""
    failed = list(failures(workflow))
    blocks = [_block(job, store, locator) for job in failed[:MOST_BLOCKS]]
    if len(failed) > MOST_BLOCKS:
        how = f": moil status {shlex.quote(locator)}" if locator else ""
        blocks.append(f"… and {len(failed) - MOST_BLOCKS} more{how}")
    skipped = sum(job.state is JobState.failed for job in workflow.graph.jobs.values()) - len(failed)
    if skipped and failed:
        why = "the run was stopped" if workflow.stopped else "they needed one of these"
        blocks.append(f"{skipped} job(s) were not run, because {why}.")
    if resume:
        blocks.append(f"Resume with: {shlex.join(resume)}")
    return "\n\n".join(blocks)


def headline(workflow: Workflow) -> str:
    """The failure in one line."""
    failed = list(failures(workflow))
    if not failed:
        return f"the run was stopped: {workflow.stopped}" if workflow.stopped else "the run failed"
    first = failed[0]
    assert first.failure is not None
    more = f" (and {len(failed) - 1} more jobs)" if len(failed) > 1 else ""
    return f"job {first} failed: {first.failure.error}{more}"


def _block(job: Job, store: JobStore, locator: str) -> str:
    failure = job.failure
    assert failure is not None
    where = f" on {failure.host}" if failure.host else ""
    tries = f" after {job.attempt} attempts" if job.attempt > 1 else ""
    lines = [f"Job {job} failed{tries}{where}: {failure.error}"]
    if failure.where:
        lines.append(f"  at {failure.where}")
    tail = last_lines(store, job)
    if tail:
        lines.append(f"  its last {len(tail)} line(s) of output:")
        lines.extend(f"    | {line}" for line in tail)
    if locator:
        lines.append(f"  all of it: moil logs {shlex.quote(locator)} {job.id}")
    return "\n".join(lines)


def last_lines(store: JobStore, job: Job) -> list[str]:
    """The end of what the job's last attempt printed."""
    text = attempt_log.read(store, token(job.id, job.attempt)).decode(errors="replace")
    return text.splitlines()[-LAST_LINES:]
