"""A run at a glance: a small object in the job store, written by the leader as it goes, read by ``moil status``.

It costs the same for ten jobs and for a hundred thousand, on both sides. `Status.heartbeat` tells whether there is a
leader behind it. STORED FORMAT: JSON, ``status/<number>``, the highest number counts; `FORMAT` is in it.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from moil.core.events import Event
from moil.core.graph import Job
from moil.core.records import JobState
from moil.core.summary import NameStats
from moil.core.workflow import Workflow, failures
from moil.errors import DamagedError, NoSuchKey, StoreError
from moil.ports.clock import Clock
from moil.ports.job_store import JobStore
from moil.record import as_dict, field, record
from moil.runtime.journal import Replayed

FORMAT = 1
EVERY = 1.0
HEARTBEAT = 5.0
DEAF = 20.0
"""Seconds without a heartbeat after which a leader on another machine is taken for dead."""
MOST = 20


@record
class Status:
    """What there is to say about a run."""

    format: int = FORMAT
    state: str = "running"
    host: str = ""
    pid: int = 0
    heartbeat: float = 0.0
    started_at: float = 0.0
    resumed_at: float = 0.0
    #: Jobs that were done when the run was last taken up: the rate is of those since.
    done_before: int = 0
    jobs: dict[str, int] = field(default_factory=dict)
    retried: int = 0
    running: list[dict[str, Any]] = field(default_factory=list)
    failed_jobs: int = 0
    failures: list[dict[str, Any]] = field(default_factory=list)
    names: dict[str, dict[str, Any]] = field(default_factory=dict)
    #: Why what waits in the batch system's queue does, in its words, and how many do so.
    queue: dict[str, int] = field(default_factory=dict)


Reasons = Callable[[], Mapping[str, int]]
"""Asks the batch system for its `reasons`."""


def describe(
    run: Replayed, *, state: str, now: float, done_before: int = 0, queue: Mapping[str, int] = MappingProxyType({})
) -> Status:
    """The status of a run."""
    workflow, summary = run.workflow, run.summary
    jobs = workflow.graph.jobs.values()
    failed = list(failures(workflow))
    counts = Counter(job.state.value for job in jobs)
    running = sorted((job for job in jobs if job.state is JobState.running), key=lambda job: job.started_at)[:MOST]
    return Status(
        state=state,
        host=socket.gethostname(),
        pid=os.getpid(),
        heartbeat=now,
        started_at=summary.started_at,
        resumed_at=summary.resumed_at,
        done_before=done_before,
        failed_jobs=len(failed),
        jobs={one.value: counts.get(one.value, 0) for one in JobState},
        retried=summary.retried,
        running=[{"id": one.id, "name": one.call.name, "since": one.started_at, "host": one.host} for one in running],
        failures=[_failure(one) for one in failed[:MOST]],
        names={name: as_dict(stats) for name, stats in summary.names.items()},
        queue=dict(queue),
    )


def _failure(job: Job) -> dict[str, Any]:
    assert job.failure is not None
    return {"id": job.id, "name": job.call.name, "attempt": job.attempt, **as_dict(job.failure)}


def state_of(workflow: Workflow) -> str:
    """One word for where the run stands, as far as the workflow knows."""
    if not workflow.finished:
        return "running"
    if workflow.failed:
        return "cancelled" if workflow.stopped.startswith("cancelled") else "failed"
    return "finished"


class StatusWriter:
    """An observer that keeps the run's status in the store."""

    def __init__(self, store: JobStore, replayed: Replayed, clock: Clock, reasons: Reasons = dict) -> None:
        self._store, self._clock, self._reasons = store, clock, reasons
        self._run = replayed
        self._queue: Mapping[str, int] = {}
        self._numbers = [int(key.rpartition("/")[2]) for key in store.keys("status/")]
        self._next = 0.0
        self._dirty = True
        self.end_state = ""
        self._done_before = sum(job.state is JobState.done for job in replayed.workflow.graph.jobs.values())

    def on_events(self, events: Sequence[Event], workflow: Workflow) -> None:
        """Write when there is news, every second at most; and now and then when there is none."""
        queue = self._reasons()
        self._dirty = self._dirty or bool(events) or queue != self._queue
        self._queue = queue
        now = self._clock.now()
        if now >= self._next + (0.0 if self._dirty else HEARTBEAT - EVERY):
            self._write(state_of(workflow), now)

    def close(self) -> None:
        """The last word."""
        self._write(self.end_state or state_of(self._run.workflow), self._clock.now())

    def _write(self, state: str, now: float) -> None:
        status = describe(self._run, state=state, now=now, done_before=self._done_before, queue=self._queue)
        number = max(self._numbers, default=0) + 1
        self._store.put(f"status/{number:08d}", json.dumps(as_dict(status)).encode())
        self._store.delete([f"status/{old:08d}" for old in self._numbers])
        self._numbers = [number]
        self._next, self._dirty = now + EVERY, False


def read(store: JobStore, now: float) -> Status | None:
    """The last status that was written; "running" becomes "crashed" if the leader behind it is gone."""
    for key in reversed(list(store.keys("status/"))):
        with contextlib.suppress(NoSuchKey):
            found = _parsed(store.get(key), key)
            if found.get("format") != FORMAT:
                raise StoreError(f"the run's status has format {found.get('format')}; this version of Moil reads {FORMAT}")
            status = Status(**found)
            gone = status.state == "running" and not _alive(status, now)
            return Status(**{**found, "state": "crashed"}) if gone else status
    return None


def _parsed(data: bytes, key: str) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(data)
    except ValueError as error:
        raise DamagedError(f"object {key} of the job store is damaged: {error}") from error
    return found


def _alive(status: Status, now: float) -> bool:
    if status.host != socket.gethostname():
        return now - status.heartbeat < DEAF
    try:
        os.kill(status.pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def stats_of(status: Status) -> dict[str, NameStats]:
    """The figures by job name."""
    return {name: NameStats(**fields) for name, fields in status.names.items()}
