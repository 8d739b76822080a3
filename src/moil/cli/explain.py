"""Why a job is not running: what it does or waits for, what that waits for in turn, and so on to what can act.

JOB is a number (42, #42), or a name if only one job has it. The run's journal is read, and nothing is changed.

With --json:
  store, run_state       the job store, and the state of the run (see moil status)
  id, name, state        of the job: waiting, ready, submitted, running, done or failed
  attempt, host          of its last attempt; 0 and "" before the first
  because                the sentences, the first about the job itself
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from moil.cli.parsing import print_json, reading_parser
from moil.cli.reading import Run, find_job, opened_run, replay
from moil.core.explain import chain, explain
from moil.core.graph import Job
from moil.core.records import JobState


def main(words: Sequence[str]) -> int:
    """``moil explain STORE JOB``."""
    parser = reading_parser(__name__, __doc__)
    parser.add_argument("job", metavar="JOB", help="its number (42 or #42), or its name if no other job has it")
    given = parser.parse_args(words)
    with opened_run(given.store) as run:
        workflow = replay(run.store).workflow
        job = find_job(workflow, given.job)
        sentences = explain(workflow, job, run.seen)
        if chain(workflow, job)[-1].state is JobState.submitted:
            sentences += [f"Of what is in the queue {count} wait: {why}." for why, count in run.queue]
        sentences += _about_the_run(run, job)
        if given.json:
            print_json(_as_json(run, job, sentences))
        else:
            print("\n".join(sentences))
    return 0


def _about_the_run(run: Run, job: Job) -> list[str]:
    """A job of a run that nobody leads waits for a leader, whatever else it waits for."""
    if run.led or job.terminal:
        return []
    how = f": {run.resume}" if run.resume else ""
    return [f"But the run {run.standing}, so nothing goes on until it is resumed{how}"]


def _as_json(run: Run, job: Job, sentences: Sequence[str]) -> dict[str, Any]:
    return {
        "store": run.store.locator,
        "run_state": run.status.state,
        "id": job.id,
        "name": job.call.name,
        "state": job.state.value,
        "attempt": job.attempt,
        "host": job.host,
        "because": list(sentences),
    }
