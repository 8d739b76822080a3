"""Looks after one attempt at a time: forks it, watches it, ends it, cleans up after it.

A supervisor lives on one end of a socket; at the other end is whoever hands out attempts (the `local` batch system, in
the leader). It is a small, single-threaded process in which the user's modules are imported already, so that a job is a
fork away. The job's process is the head of a session of its own and writes its outcome straight to the socket; the
supervisor adds the frame that says the attempt is over, once nothing of it is left.

    leader  -- TASK, KILL, STOP -->  supervisor  -- fork -->  job
            <-- UP, RETURNED ------------------------------- (the job)
            <-- ENDED -------------- (the supervisor)

Limits are kept here: walltime by the clock, memory by looking at the whole process tree every `SAMPLE` seconds. When
the other end is gone, everything is ended.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from moil.core import wire
from moil.core.records import Outcome
from moil.core.requirements import format_duration, format_size
from moil.ports.job_store import JobStore
from moil.runtime import deferred, processes, runners
from moil.runtime.attempt_log import AttemptLog
from moil.runtime.job_process import Order

SAMPLE = 0.1
FIRST_SAMPLE = 0.05
LOG_EVERY = 1.0
GRACE = 3.0
"""Seconds between asking a job to end and making it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """What all attempts of a machine share."""

    store: JobStore
    work: Path
    #: Local copies of the run's files, for all attempts.
    cache: Path
    load: Callable[[], None]
    log_limit: int
    isolation: str
    host: str


class _Gone(Exception):
    """The other end of the socket is closed."""


class Supervisor:
    """One place in which attempts run, one after another."""

    def __init__(self, channel: socket.socket, house: House, number: int) -> None:
        self._channel, self._house = channel, house
        self._frames = wire.FrameReader()
        self.baseline = processes.own_memory()
        self._waiting: list[tuple[bytes, bytes]] = []
        self._log = AttemptLog(house.work / f"slot-{number}.log", house.store, house.log_limit)
        self._forked = runners.Forked(house, channel, self._log.fd)
        self._warm = runners.Warm(house, channel, self._log.fd) if house.isolation == "worker" else None

    def serve(self) -> None:
        """Take attempts until the other end is closed."""
        processes.become_subreaper()
        try:
            while True:
                kind, payload = self._next_frame()
                if kind == wire.TASK:
                    _Watch(self, payload).run()
        except (_Gone, BrokenPipeError, ConnectionResetError):
            processes.kill_children()

    def _next_frame(self) -> tuple[bytes, bytes]:
        while not self._waiting:
            self.read_frames()
        return self._waiting.pop(0)

    def read_frames(self) -> None:
        """Read what is there. Raises _Gone."""
        data = self._channel.recv(1 << 18)
        if not data:
            raise _Gone
        self._waiting.extend(self._frames.feed(data))

    def orders(self) -> list[tuple[bytes, bytes]]:
        """What has come for the attempt that is running; a next attempt keeps waiting."""
        taken = [one for one in self._waiting if one[0] != wire.TASK]
        self._waiting = [one for one in self._waiting if one[0] == wire.TASK]
        return taken

    def runner(self, order: Order) -> runners.Runner:
        """What runs this attempt."""
        return self._forked if self._warm is None or order.service else self._warm

    @property
    def channel(self) -> socket.socket:
        """The socket to whoever hands out attempts."""
        return self._channel

    @property
    def house(self) -> House:
        """What all attempts share."""
        return self._house

    @property
    def log(self) -> AttemptLog:
        """The log of the attempt that is running."""
        return self._log


class _Watch:
    """One attempt, from its beginning to its last trace."""

    def __init__(self, supervisor: Supervisor, payload: bytes) -> None:
        self._supervisor = supervisor
        self._house = supervisor.house
        self._order = Order.read(payload, self._house.work)
        self._runner = supervisor.runner(self._order)
        self._verdict: tuple[Outcome, str] | None = None
        self._killing_at: float | None = None
        self._peak = 0
        #: What the job shares with this process it has not asked for.
        self._baseline = supervisor.baseline
        self._started = time.monotonic()

    def run(self) -> None:
        """Run the attempt and report its end."""
        self._order.make_directories()
        self._supervisor.log.begin(self._order.token)
        oom_kills = processes.kernel_oom_kills()
        self._runner.begin(self._order)
        try:
            self._look_after()
            ended = self._runner.end()
        except (_Gone, ConnectionResetError):
            processes.kill_tree(self._runner.pid)
            processes.kill_children()
            self._clean_up()
            raise _Gone from None
        if self._verdict is None and ended.code == -signal.SIGKILL and processes.kernel_oom_kills() > oom_kills:
            self._verdict = (Outcome.out_of_memory, "the machine ran out of memory, and its kernel killed the job")
        self._report(ended)

    def _look_after(self) -> None:
        """Until the job is over: obey orders, keep limits, pass the log on."""
        poll = select.poll()
        poll.register(self._runner.fileno(), select.POLLIN)
        poll.register(self._supervisor.channel, select.POLLIN)
        next_sample, next_log = self._started + FIRST_SAMPLE, self._started + LOG_EVERY
        self._obey()
        while True:
            ready = runners.ready(poll, min(next_sample, next_log) - time.monotonic())
            if self._runner.fileno() in ready:
                return
            if ready:
                self._supervisor.read_frames()
                self._obey()
            now = time.monotonic()
            if now >= next_sample:
                self._keep_limits(now)
                next_sample = now + SAMPLE
            if now >= next_log:
                self._supervisor.log.pass_on()
                next_log = now + LOG_EVERY

    def _obey(self) -> None:
        for kind, payload in self._supervisor.orders():
            header, _ = wire.unpack(payload)
            if header["token"] != self._order.token:
                continue
            if kind == wire.STOP:
                self._runner.stop()
            elif kind == wire.KILL:
                self._kill(Outcome.cancelled, "cancelled")

    def _keep_limits(self, now: float) -> None:
        order, pid = self._order, self._runner.pid
        resident = processes.tree_memory(pid)
        self._peak = max(self._peak, resident)
        if self._killing_at is not None:
            if now >= self._killing_at:
                processes.kill_tree(pid)
        elif order.memory and resident - self._baseline > order.memory:
            used, asked = format_size(resident - self._baseline), format_size(order.memory)
            self._verdict = (Outcome.out_of_memory, f"used {used} of memory, had asked for {asked}: raise memory=")
            processes.kill_tree(pid)
        elif order.walltime and now - self._started > order.walltime:
            limit = format_duration(order.walltime)
            self._kill(Outcome.timed_out, f"ran longer than its walltime of {limit}: raise walltime=")

    def _kill(self, outcome: Outcome, why: str) -> None:
        if self._killing_at is None:
            self._verdict = (outcome, why)
            self._killing_at = time.monotonic() + GRACE
            processes.kill_tree(self._runner.pid, signal.SIGTERM)

    def _report(self, ended: runners.Ended) -> None:
        outcome, why = self._verdict or (Outcome.failed, runners.why(ended.code))
        if self._verdict or ended.code:
            self._supervisor.log.note(why)
        self._clean_up()
        header: dict[str, Any] = {
            "token": self._order.token,
            "outcome": outcome.value,
            "error": why,
            "verdict": self._verdict is not None,
            "wall": time.monotonic() - self._started,
            "cpu": ended.cpu,
            "memory": max(self._peak, ended.memory),
        }
        self._supervisor.channel.sendall(wire.frame(wire.ENDED, wire.pack(header)))

    def _clean_up(self) -> None:
        if deferred.pending(self._order.deferred):
            run_deferred(self._order.deferred, self._house.load, self._supervisor.log.fd)
        self._supervisor.log.end()
        _remove(self._order.directory)


def run_deferred(file: Path, load: Callable[[], None], log: int) -> None:
    """Run deferred calls in a process of their own: they are the user's code, and may do anything."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.dup2(log, 1)
            os.dup2(log, 2)
            load()
            deferred.run(file)
            code = 0
        finally:
            os._exit(code)
    os.waitpid(pid, 0)
    processes.kill_children()


def _remove(directory: Path) -> None:
    """Most attempts leave nothing: two calls are enough for those."""
    try:
        os.rmdir(directory / "scratch")
        os.rmdir(directory)
    except OSError:
        shutil.rmtree(directory, ignore_errors=True)
