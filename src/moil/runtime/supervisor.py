"""Looks after the attempts of one slot: has them run, watches them, ends them, cleans up after them.

A supervisor lives on the far ends of a slot's two sockets (`moil.runtime.messages`); at the near ends is whoever hands
out attempts (the `local` batch system, in the leader). It is a small, single-threaded process in which the user's
modules are imported already, so that a job is a fork away. The job's process is the head of a session of its own and
writes its outcome straight to the socket; the supervisor says that the attempt is over, once nothing of it is left.

    leader  -- TASK, KILL, STOP -->  supervisor  -- fork -->  job
            <-- UP, RETURNED ------------------------------- (the job)
            <-- STARTED, ENDED ----- (the supervisor)

With isolation `worker` jobs go by the supervisor: `moil.runtime.warm` says how.

Limits are kept here: walltime by the clock, memory by looking at the whole process tree now and then. When the other end
is gone, everything is ended.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from pathlib import Path

from moil.core.records import Outcome
from moil.runtime import messages, processes
from moil.runtime.job_process import JobProcess, Order, prepare_signals
from moil.runtime.limits import FIRST_SAMPLE, SAMPLE, Limits
from moil.runtime.messages import Message
from moil.runtime.slot import Ended, Gone, House, Slot, Sockets
from moil.runtime.warm import Warm

LOG_EVERY = 1.0
GRACE = 0.2
"""Seconds that an attempt gets to end by itself when the other end is gone: then what came of it is kept for the next leader
(`moil.runtime.outbox`), and it need not run again."""


class Supervisor:
    """One place in which attempts run, one after another."""

    def __init__(self, sockets: Sockets, house: House, home: Path, *, terse: bool = False) -> None:
        """`terse`: whoever listens knows that what is said of one attempt says that those before it are over."""
        self._slot = Slot(sockets, house, home)
        self._terse = terse
        self._source = Warm(self._slot) if house.isolation == "worker" else _Queue(self._slot)
        self._oom_kills = processes.kernel_oom_kills()

    def serve(self) -> None:
        """Take attempts until the other end is closed."""
        processes.become_subreaper()
        _empty_input()
        prepare_signals()
        try:
            packet: bytes | None = None
            while True:
                packet = self._run(Order.read(packet or self._source.next(), self._slot.home))
        except (Gone, BrokenPipeError, ConnectionResetError):
            self._source.let_end(GRACE)
            processes.kill_children()
            self._slot.clean_up()
            self._slot.home.remove()

    def _run(self, order: Order) -> bytes | None:
        """Run an attempt; the packet of the next one, if there is one already."""
        self._slot.log.begin(order.token)
        attempt = _Attempt(self._slot, order)
        try:
            attempt.look_after()
        except (Gone, ConnectionResetError):
            attempt.let_end(GRACE)
            processes.kill_tree(attempt.pid)
            processes.kill_children()
            raise Gone from None
        ended = attempt.end()
        verdict = attempt.verdict
        if verdict is None and ended.code == -signal.SIGKILL and self._kernel_has_killed():
            verdict = (Outcome.out_of_memory, "the machine ran out of memory, and its kernel killed the job")
        following = self._source.following() if self._terse else None
        self._slot.over(order.token, ended, verdict, goes_on=following is not None)
        return following

    def _kernel_has_killed(self) -> bool:
        before, self._oom_kills = self._oom_kills, processes.kernel_oom_kills()
        return self._oom_kills > before


class _Queue:
    """Isolation `job`: every attempt has a process of its own."""

    def __init__(self, slot: Slot) -> None:
        self._slot = slot
        self._poll = select.poll()
        for one in (slot.channel, slot.queue):
            self._poll.register(one, select.POLLIN)

    def next(self) -> bytes:
        """The packet of the next attempt. Raises Gone."""
        slot = self._slot
        while True:
            with contextlib.suppress(BlockingIOError):
                return slot.packet(slot.queue)
            ready = {fd for fd, _ in self._poll.poll()}
            if slot.channel.fileno() in ready:
                packet = slot.packet(slot.channel)
                if packet.startswith(messages.TASK):
                    return packet

    def following(self) -> bytes | None:
        """The packet of the next attempt, if it is there."""
        with contextlib.suppress(BlockingIOError, Gone):
            return self._slot.packet(self._slot.queue)
        return None

    def let_end(self, seconds: float) -> None:
        """Nothing of its own runs."""


class _Attempt:
    """One attempt in a fork of the supervisor, from its beginning to its last trace.

    All that this does while the job's process lives is done in memory that the two share, where each page costs when it
    is first written to. So it does nothing before it must.
    """

    def __init__(self, slot: Slot, order: Order) -> None:
        self._slot, self._order = slot, order
        self._started = time.monotonic()
        self._limits: Limits | None = None
        stop, self._stop_end = os.pipe() if order.service else (-1, -1)
        self.pid = self._fork(stop)
        self._pidfd = os.pidfd_open(self.pid)

    def _fork(self, stop: int) -> int:
        parent, slot, service = os.getpid(), self._slot, self._order.service
        if not service:
            slot.turn()
        voice = slot.channel if service else slot.voice  # services are started anew by every leader
        run, log = JobProcess(self._order, slot.house, voice, stop=stop).run, slot.log.fd
        pid = os.fork()
        if pid == 0:
            if stop >= 0:
                os.close(self._stop_end)
            run(parent, log)
        if stop >= 0:
            os.close(stop)
        return pid

    @property
    def limits(self) -> Limits:
        """What it may use, and whether it has."""
        if self._limits is None:
            order = self._order
            self._limits = Limits(
                self.pid,
                memory=order.memory,
                walltime=order.walltime,
                started=self._started,
                baseline=self._slot.baseline,
            )
        return self._limits

    @property
    def verdict(self) -> tuple[Outcome, str] | None:
        """What it was ended for, if so."""
        return None if self._limits is None else self._limits.verdict

    def let_end(self, seconds: float) -> None:
        """Wait so long for the job's process to end by itself; a service's never does."""
        if not self._order.service:
            processes.wait_for(self._pidfd, seconds)

    def look_after(self) -> None:
        """Until the job is over: obey orders, keep limits, pass the log on. Raises Gone."""
        poll = select.poll()
        poll.register(self._pidfd, select.POLLIN)
        poll.register(self._slot.channel, select.POLLIN)
        next_sample, next_log = self._started + FIRST_SAMPLE, self._started + LOG_EVERY
        pause, told = FIRST_SAMPLE, False
        while True:
            ready = [fd for fd, _ in poll.poll(max(0.0, pause) * 1000)]
            if self._pidfd in ready:
                return
            if ready:
                self._obey(self._slot.heard())
            now = time.monotonic()
            if now >= next_sample:
                if not told:
                    self._slot.tell(Message(messages.STARTED, self._order.token))
                    told = True
                self.limits.keep(now)
                next_sample = now + SAMPLE
            if now >= next_log:
                self._slot.log.pass_on()
                next_log = now + LOG_EVERY
            pause = min(next_sample, next_log) - time.monotonic()

    def _obey(self, order: Message) -> None:
        if order.token != self._order.token:
            return
        if order.kind == messages.STOP:
            self._stop()
        elif order.kind == messages.KILL:
            self.limits.end(Outcome.cancelled, "cancelled")

    def _stop(self) -> None:
        if self._stop_end >= 0:
            os.close(self._stop_end)
            self._stop_end = -1

    def end(self) -> Ended:
        """Reap the process, and all that it left."""
        _, status, usage = os.wait4(self.pid, 0)
        os.close(self._pidfd)
        self._stop()
        processes.kill_children(self._slot.own)
        peak = self._limits.peak if self._limits else 0
        return Ended(
            code=os.waitstatus_to_exitcode(status),
            cpu=usage.ru_utime + usage.ru_stime,
            memory=max(peak, usage.ru_maxrss * 1024),
            wall=time.monotonic() - self._started,
        )


def _empty_input() -> None:
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
