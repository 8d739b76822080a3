"""Two ways for a supervisor to get an attempt's function run: in a fork of its own, or in a warm process.

`Forked`: a clean process for each job; a crash, a leaked thread or a changed global never reaches the next one. `Warm`:
jobs run one after another in one process, which is replaced when a job fails in it or has to be killed; for floods of
tiny jobs. Services always get a fork. Both give the supervisor a descriptor to wait on and say how the process ended.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn, Protocol

from moil.core import wire
from moil.runtime import processes
from moil.runtime.job_process import House, JobProcess, Order, settle_in


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How an attempt's process ended. `code` is an exit status, or minus the signal that killed it."""

    code: int = 0
    cpu: float = 0.0
    memory: int = 0


class Runner(Protocol):
    """Runs one attempt at a time."""

    pid: int

    def begin(self, order: Order) -> None:
        """Have the attempt begun."""
        ...

    def fileno(self) -> int:
        """What is readable when the attempt is over."""
        ...

    def stop(self) -> None:
        """Let a service go on."""
        ...

    def end(self) -> Ended:
        """How it ended; called when `fileno` is readable."""
        ...


class Forked:
    """A process for each attempt."""

    def __init__(self, house: House, channel: socket.socket, log: int) -> None:
        self._house, self._channel, self._log = house, channel, log
        self._stop_end = -1
        self._pidfd = -1
        self.pid = 0

    def begin(self, order: Order) -> None:
        """Fork."""
        stop, self._stop_end = os.pipe() if order.service else (-1, -1)
        parent = os.getpid()
        self.pid = os.fork()
        if self.pid == 0:
            if order.service:
                os.close(self._stop_end)
            JobProcess(order, self._house, self._channel, stop=stop).run(parent, self._log)
        if order.service:
            os.close(stop)
        self._pidfd = os.pidfd_open(self.pid)

    def fileno(self) -> int:
        """Readable when the process has ended."""
        return self._pidfd

    def stop(self) -> None:
        """Let a service go on."""
        if self._stop_end >= 0:
            os.close(self._stop_end)
            self._stop_end = -1

    def end(self) -> Ended:
        """Reap the process, and all that it left."""
        _, status, usage = os.wait4(self.pid, 0)
        os.close(self._pidfd)
        self.stop()
        processes.kill_children()
        return Ended(
            code=os.waitstatus_to_exitcode(status), cpu=usage.ru_utime + usage.ru_stime, memory=usage.ru_maxrss * 1024
        )


class Warm:
    """One process for many attempts."""

    def __init__(self, house: House, channel: socket.socket, log: int) -> None:
        self._house, self._channel, self._log = house, channel, log
        self._pipe: socket.socket | None = None
        self.pid = 0

    def begin(self, order: Order) -> None:
        """Hand the attempt to the warm process; start one if there is none."""
        if self._pipe is None:
            self._pipe = self._start()
        header = {
            "token": order.token,
            "memory": order.memory,
            "walltime": order.walltime,
            "service": False,
            "env": dict(order.env),
        }
        with contextlib.suppress(BrokenPipeError):  # then it has died, and `fileno` becomes readable
            self._pipe.sendall(wire.frame(wire.TASK, wire.pack(header, [order.record])))

    def _start(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        parent = os.getpid()
        self.pid = os.fork()
        if self.pid == 0:
            ours.close()
            _be_warm(theirs, self._house, self._channel, parent, self._log)
        theirs.close()
        return ours

    def fileno(self) -> int:
        """Readable when the attempt is over, or the process."""
        assert self._pipe is not None
        return self._pipe.fileno()

    def stop(self) -> None:
        """Services do not run here."""

    def end(self) -> Ended:
        """What the attempt used, or how the process died; a process that is not fit for another is replaced."""
        assert self._pipe is not None
        with contextlib.suppress(ConnectionResetError):
            frames = wire.FrameReader()
            while data := self._pipe.recv(1 << 16):
                for _, payload in frames.feed(data):
                    header, _ = wire.unpack(payload)
                    if not header["fit"]:
                        self._replace()
                    return Ended(cpu=header["cpu"], memory=header["memory"])
        return Ended(code=self._replace())

    def _replace(self) -> int:
        assert self._pipe is not None
        self._pipe.close()
        self._pipe = None
        _, status = os.waitpid(self.pid, 0)
        processes.kill_children()
        return os.waitstatus_to_exitcode(status)


def _be_warm(pipe: socket.socket, house: House, channel: socket.socket, parent: int, log: int) -> NoReturn:
    """The warm process: attempts come, one at a time, until one fails or the supervisor is gone."""
    code = 1
    try:
        settle_in(parent, log)
        frames = wire.FrameReader()
        fit = True
        while fit and (data := pipe.recv(1 << 18)):
            for _, payload in frames.feed(data):
                before = time.process_time()
                job = JobProcess(Order.read(payload, house.work), house, channel)
                fit = job.work()
                os.chdir("/")
                pipe.sendall(_report(fit=fit, cpu=time.process_time() - before))
        code = 0
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is told and the process ends
        os.write(2, f"moil: the worker failed: {type(error).__name__}: {error}\n".encode())
    finally:
        os._exit(code)


def _report(*, fit: bool, cpu: float) -> bytes:
    header: Mapping[str, Any] = {"fit": fit, "cpu": cpu, "memory": processes.own_memory()}
    return wire.frame(wire.ENDED, wire.pack(dict(header)))


def ready(poll: select.poll, seconds: float) -> list[int]:
    """The descriptors that have something to say within that time."""
    return [fd for fd, _ in poll.poll(max(0.0, seconds) * 1000)]


def why(code: int) -> str:
    """The end of a process that said nothing itself."""
    if code < 0:
        with contextlib.suppress(ValueError):
            return f"the job was killed by {signal.Signals(-code).name}"
        return f"the job was killed by signal {-code}"
    return f"the job's process ended with exit status {code} before the job returned"
