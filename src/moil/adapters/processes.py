"""Batch system ``processes``: this machine, as if it were a cluster whose machines hold nothing.

A scheduler of the smallest kind: members of arrays are started as processes, as many at a time as there are cores, with
next to nothing in their environment. All the rest is what a cluster's is: the launcher, the machine's cache, letters in
the job store. It is for trying out at home whether a program will run on a cluster, and for tests.

What it has been given is in memory, so it ends with its leader, and a restart finds nothing.
"""

from __future__ import annotations

import math
import os
import signal
import socket
import subprocess
import threading
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from moil.adapters.disk import shown
from moil.adapters.machine import count_cores, measure
from moil.core.records import Outcome
from moil.core.requirements import Ceiling, Requirements
from moil.ports.scheduler import Array, SchedulerDown, SchedulerId, Seen, Standing
from moil.record import record

MEMBER = "MEMBER_NUMBER"
CLOSING = 10.0


@record(kw_only=False, frozen=False)
class _Member:
    id: SchedulerId
    number: int
    script: Path
    log: Path | None
    process: subprocess.Popen[bytes] | None = None
    cancelled: bool = False
    #: Why it could not be started.
    error: str = ""

    @property
    def seen(self) -> Seen:
        host = socket.gethostname()
        if self.error:
            return Seen(standing=Standing.ended, host=host, outcome=Outcome.failed, reason=self.error)
        if self.process is None:
            return Seen(standing=Standing.ended if self.cancelled else Standing.queued, outcome=Outcome.cancelled)
        status = self.process.poll()
        if status is None:
            return Seen(standing=Standing.running, host=host)
        outcome = Outcome.cancelled if self.cancelled else Outcome.failed if status else Outcome.completed
        reason = f"the worker ended with exit status {status}" if status else ""
        return Seen(standing=Standing.ended, host=host, outcome=outcome, reason=reason, exit_status=status)


class ProcessScheduler:
    """A `Scheduler` that starts processes."""

    poll_interval = 0.5
    largest_array = 100
    member = (MEMBER, 0)

    def __init__(self, ceiling: Ceiling, work: Path, *, most: int, environ: Mapping[str, str]) -> None:
        self.ceiling = ceiling
        self._work, self._most, self._environ = work, most, dict(environ)
        self._members: dict[SchedulerId, _Member] = {}
        self._arrays: dict[str, list[SchedulerId]] = {}
        self._queue: deque[_Member] = deque()
        self._running: list[_Member] = []
        self._changed = threading.Condition()
        self._closing = False
        threading.Thread(target=self._start_some, name="moil-processes", daemon=True).start()

    def machines(self) -> set[str]:
        """That of the leader's machine."""
        return {os.uname().machine}

    def time_limit(self, requirements: Requirements, roomy: float = 0.0) -> float:  # noqa: ARG002 - there is none
        """None: inf."""
        return math.inf

    def submit(self, array: Array) -> Sequence[SchedulerId]:
        """Queue them. Raises SchedulerDown."""
        number = len(self._arrays) + 1
        script = self._work / f"array-{number}"
        try:
            script.write_text(array.script)
            script.chmod(0o500)
        except OSError as error:
            raise SchedulerDown(f"cannot write {shown(str(script))}: {_cause(error)}; it is tried again") from error
        made = []
        for index in range(array.size):
            name = f"{number}_{index}"
            made.append(_Member(name, index, script, Path(array.logs, f"{name}.log") if array.logs else None))
        with self._changed:
            self._arrays[array.label] = [one.id for one in made]
            self._members.update((one.id, one) for one in made)
            self._queue.extend(made)
            self._changed.notify()
        return [one.id for one in made]

    def query(self, ids: Collection[SchedulerId]) -> Mapping[SchedulerId, Seen]:
        """How they stand."""
        with self._changed:
            return {one: self._members[one].seen for one in ids if one in self._members}

    def find(self, prefix: str) -> Mapping[str, Sequence[SchedulerId]]:
        """Those of this leader."""
        return {label: ids for label, ids in self._arrays.items() if label.startswith(prefix)}

    def withdraw(self, ids: Collection[SchedulerId]) -> None:
        """Those of their arrays that have no process yet."""
        arrays = {one.partition("_")[0] for one in ids}
        with self._changed:
            for member in self._queue:
                member.cancelled = member.cancelled or member.id.partition("_")[0] in arrays
            self._queue = deque(one for one in self._queue if not one.cancelled)

    def cancel(self, ids: Collection[SchedulerId]) -> None:
        """SIGTERM to their process groups."""
        with self._changed:
            for member in (self._members[one] for one in ids if one in self._members):
                member.cancelled = member.cancelled or member.process is None or member.process.poll() is None
                if member.process is not None and member.process.poll() is None:
                    _signal(member.process, signal.SIGTERM)
            self._queue = deque(one for one in self._queue if not one.cancelled)

    def close(self) -> None:
        """End all that is left."""
        with self._changed:
            self._closing = True
            self._queue.clear()
            self._changed.notify()
            running = [one.process for one in self._running if one.process is not None]
        for process in running:
            try:
                process.wait(CLOSING)
            except subprocess.TimeoutExpired:
                _signal(process, signal.SIGKILL)
                process.wait()

    def _start_some(self) -> None:
        while True:
            with self._changed:
                self._running = [one for one in self._running if one.process is not None and one.process.poll() is None]
                while self._queue and len(self._running) < self._most:
                    self._start(self._queue.popleft())
                if self._closing:
                    return
                self._changed.wait(0.02 if self._running else None)

    def _start(self, member: _Member) -> None:
        try:
            self._launch(member)
        except OSError as error:
            where = "" if error.filename is None else f" ({shown(str(error.filename))})"
            member.error = f"the worker could not be started: {_cause(error)}{where}"

    def _launch(self, member: _Member) -> None:
        with open(member.log or os.devnull, "ab") as log:
            member.process = subprocess.Popen(
                ["/bin/sh", str(member.script)],
                env={**self._environ, MEMBER: str(member.number)},
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._running.append(member)


def _cause(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


def _signal(process: subprocess.Popen[bytes], number: int) -> None:
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return


def open_processes(site: Any) -> ProcessScheduler:
    """Made from a `moil.plugins.Site`."""
    settings = site.settings
    ceiling = measure(site.work, cores=None, memory=None, disk=None, accelerators=settings.max_accelerators)
    kept = {name: value for name in ("PATH", "HOME", "USER", "LANG") if (value := os.environ.get(name)) is not None}
    most = min(settings.max_jobs or count_cores(), count_cores())
    return ProcessScheduler(ceiling, site.work, most=most, environ=kept)
