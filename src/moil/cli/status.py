"""Where a run stands: its state, its jobs, what has run longest, what failed and where, and what to do next.

With --json:
  store, id, name, moil    the job store, the run's id, the name of its main job, the version that started it
  state                    starting, running, finished, failed, cancelled, interrupted or crashed
  leader                   host and pid of the process that leads the run, or led it last
  started_at, seen_at      when it was first started; when this is how it stood (seconds since the epoch)
  elapsed                  the seconds between these two
  caveat                   why the figures may be out of date; "" if they are not
  jobs                     total, and how many are waiting, ready, submitted, running, done, failed
  jobs_per_second          jobs done a second
  queue                    why what waits in the batch system's queue does, in its words: reason, count
  unsuccessful_attempts    attempts that ended without a result
  running                  at most 20 that began first: id, name, since, host
  failures                 at most 20 that failed by themselves: id, name, attempt, error, where, host, traceback
  next                     what to do now, best first: what, command
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from moil.cli.parsing import print_json, reading_parser
from moil.cli.reading import Run, next_steps, opened_run
from moil.cli.table import columns
from moil.core.records import JobState
from moil.core.requirements import format_duration

LONGEST = 5
SHOWN = (JobState.done, JobState.running, JobState.submitted, JobState.ready, JobState.waiting, JobState.failed)


def main(words: Sequence[str]) -> int:
    """``moil status STORE``."""
    given = reading_parser(__name__, __doc__).parse_args(words)
    with opened_run(given.store) as run:
        if given.json:
            print_json(as_json(run))
        else:
            print("\n".join(_report(run)))
    return 0


def as_json(run: Run) -> dict[str, Any]:
    """All there is to say, as documented above."""
    status = run.status
    return {
        "store": run.store.locator,
        "id": run.record["id"],
        "name": run.name,
        "moil": run.record["moil"],
        "state": status.state,
        "leader": {"host": status.host, "pid": status.pid},
        "started_at": status.started_at,
        "seen_at": run.seen,
        "elapsed": run.elapsed,
        "caveat": run.caveat,
        "jobs": {"total": sum(status.jobs.values()), **_counts(run)},
        "jobs_per_second": _rate(run),
        "queue": [{"reason": why, "count": count} for why, count in run.queue],
        "unsuccessful_attempts": status.retried,
        "running": status.running,
        "failures": status.failures,
        "next": next_steps(run),
    }


def _report(run: Run) -> Iterator[str]:
    yield f"Run {run.name} in {run.store.locator} {run.standing}."
    if run.caveat:
        yield f"Note that {run.caveat}."
    yield ""
    yield from columns(list(_figures(run)), indent=2)
    if run.status.running:
        yield from ["", "Running longest:" if run.led else "Running when it ended:"]
        yield from columns([_running(run, one) for one in run.status.running[:LONGEST]], indent=2)
    if run.status.failures:
        yield from ["", "Failed:"]
        for one in run.status.failures:
            yield from _failed(one)
    steps = [(f"{step['what']}:", step["command"]) for step in next_steps(run)]
    yield ""
    yield from columns(steps)


def _figures(run: Run) -> Iterator[tuple[str, str]]:
    counts = _counts(run)
    states = [f"{counts[state.value]} {state.value}" for state in SHOWN if counts[state.value]]
    yield "jobs", f"{sum(counts.values())}: {', '.join(states)}" if states else "none yet"
    if run.queue:
        yield "in the queue", "; ".join(f"{count} wait: {why}" for why, count in run.queue)
    if run.status.retried:
        yield "attempts", f"{run.status.retried} without a result"
    rate = _rate(run)
    yield "time", f"{format_duration(run.elapsed)}, {rate:.{0 if rate >= 10 else 1}f} jobs/s"
    if run.status.pid:
        yield "leader", run.leader


def _counts(run: Run) -> dict[str, int]:
    return {state.value: run.status.jobs.get(state.value, 0) for state in JobState}


def _rate(run: Run) -> float:
    since = run.elapsed - max(0.0, run.status.resumed_at - run.status.started_at)
    return (run.status.jobs.get("done", 0) - run.status.done_before) / since if since > 0 else 0.0


def _running(run: Run, one: dict[str, Any]) -> tuple[str, ...]:
    return f"#{one['id']}", one["name"], format_duration(max(0.0, run.seen - one["since"])), one["host"]


def _failed(one: dict[str, Any]) -> Iterator[str]:
    tries = f" after {one['attempt']} attempts" if one["attempt"] > 1 else ""
    host = f" on {one['host']}" if one["host"] else ""
    yield f"  {one['name']} #{one['id']}{tries}{host}: {one['error']}"
    if one["where"]:
        yield f"    at {one['where']}"
