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

import contextlib
import os
import resource
import select
import shutil
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from moil.core import wire
from moil.core.records import Outcome
from moil.core.requirements import format_duration, format_size
from moil.runtime import deferred, processes
from moil.runtime.attempt_log import AttemptLog
from moil.runtime.job_process import JobProcess, Order
from moil.ports.job_store import JobStore

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
    load: Callable[[], None]
    log_limit: int
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

    @property
    def channel(self) -> socket.socket:
        return self._channel

    @property
    def house(self) -> House:
        return self._house

    @property
    def log(self) -> AttemptLog:
        return self._log


class _Watch:
    """One attempt, from its fork to its last trace."""

    def __init__(self, supervisor: Supervisor, payload: bytes) -> None:
        self._supervisor = supervisor
        self._house = supervisor.house
        self._order = Order.read(payload, self._house.work)
        self._verdict: tuple[Outcome, str] | None = None
        self._killing_at: float | None = None
        self._peak = 0
        #: What the job shares with this process it has not asked for.
        self._baseline = supervisor.baseline
        self._stop_end: int | None = None
        self._started = time.monotonic()

    def run(self) -> None:
        """Run the attempt and report its end."""
        order = self._order
        order.make_directories()
        self._supervisor.log.begin(order.token)
        oom_kills = processes.kernel_oom_kills()
        pid = self._fork()
        try:
            self._look_after(pid)
            _, status, usage = os.wait4(pid, 0)
        except (_Gone, ConnectionResetError):
            processes.kill_tree(pid)
            processes.kill_children()
            self._clean_up()
            raise _Gone from None
        processes.kill_children()
        if self._verdict is None and _killed(status) and processes.kernel_oom_kills() > oom_kills:
            self._verdict = (Outcome.out_of_memory, "the machine ran out of memory, and its kernel killed the job")
        self._end(status, usage)

    def _fork(self) -> int:
        stop_read, stop_write = os.pipe() if self._order.service else (-1, -1)
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            if stop_write >= 0:
                os.close(stop_write)
            self._become_job(parent, stop_read)
        if stop_read >= 0:
            os.close(stop_read)
            self._stop_end = stop_write
        return pid

    def _become_job(self, parent: int, stop: int) -> NoReturn:
        job = JobProcess(self._order, self._house, self._supervisor.channel, log=self._supervisor.log.fd, stop=stop)
        job.run(parent)

    def _look_after(self, pid: int) -> None:
        """Until the job's own process is gone: obey orders, keep limits, pass the log on."""
        pidfd = os.pidfd_open(pid)
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        poll.register(self._supervisor.channel, select.POLLIN)
        next_sample, next_log = self._started + FIRST_SAMPLE, self._started + LOG_EVERY
        try:
            while True:
                now = time.monotonic()
                ready = poll.poll(max(0.0, min(next_sample, next_log) - now) * 1000)
                if any(fd == pidfd for fd, _ in ready):
                    return
                if ready:
                    self._supervisor.read_frames()
                    self._obey(pid)
                now = time.monotonic()
                if now >= next_sample:
                    self._keep_limits(pid, now)
                    next_sample = now + SAMPLE
                if now >= next_log:
                    self._supervisor.log.pass_on()
                    next_log = now + LOG_EVERY
        finally:
            os.close(pidfd)

    def _obey(self, pid: int) -> None:
        for kind, payload in self._supervisor.orders():
            header, _ = wire.unpack(payload)
            if header["token"] != self._order.token:
                continue
            if kind == wire.STOP:
                self._close_stop_end()
            elif kind == wire.KILL:
                self._kill(pid, Outcome.cancelled, "cancelled")

    def _keep_limits(self, pid: int, now: float) -> None:
        order = self._order
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
            self._kill(pid, Outcome.timed_out, f"ran longer than its walltime of {limit}: raise walltime=")

    def _kill(self, pid: int, outcome: Outcome, why: str) -> None:
        if self._killing_at is None:
            self._verdict = (outcome, why)
            self._killing_at = time.monotonic() + GRACE
            processes.kill_tree(pid, signal.SIGTERM)

    def _close_stop_end(self) -> None:
        if self._stop_end is not None:
            os.close(self._stop_end)
            self._stop_end = None

    def _end(self, status: int, usage: resource.struct_rusage) -> None:
        code = os.waitstatus_to_exitcode(status)
        outcome, why = self._verdict or (Outcome.failed, _why(code))
        if self._verdict:
            self._supervisor.log.note(why)
        self._clean_up()
        header: dict[str, Any] = {
            "token": self._order.token,
            "outcome": outcome.value,
            "error": why,
            "wall": time.monotonic() - self._started,
            "cpu": usage.ru_utime + usage.ru_stime,
            "memory": max(self._peak, usage.ru_maxrss * 1024),
        }
        self._supervisor.channel.sendall(wire.frame(wire.ENDED, wire.pack(header)))

    def _clean_up(self) -> None:
        self._close_stop_end()
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


def _killed(status: int) -> bool:
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL


def _why(code: int) -> str:
    if code < 0:
        with contextlib.suppress(ValueError):
            return f"the job was killed by {signal.Signals(-code).name}"
        return f"the job was killed by signal {-code}"
    return f"the job's process ended with exit status {code} before the job returned"


def _remove(directory: Path) -> None:
    """Most attempts leave nothing: two calls are enough for those."""
    try:
        os.rmdir(directory / "scratch")
        os.rmdir(directory)
    except OSError:
        shutil.rmtree(directory, ignore_errors=True)
