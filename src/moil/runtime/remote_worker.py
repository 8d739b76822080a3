"""A worker on another machine: takes an order, has it carried out under limits, and posts what came of it.

    the scheduler -- starts --> worker (this) -- fork --> supervisor -- fork --> the job

The supervisor is the one that serves attempts on the leader's own machine (`moil.runtime.supervisor`); here this process
is at the other end of its socket, and the job store stands for the leader. When the scheduler sends SIGTERM, the job is
given its chance to clean up, and the letter says that somebody else must tell why.

What a worker leaves behind that was killed outright (a scratch directory, deferred calls) is found by the next worker of
the run on the same machine: a lock on the attempt's name shows whether anybody still looks after it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import shutil
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from moil.core import wire
from moil.core.records import Outcome
from moil.errors import DamagedError
from moil.runtime import deferred, processes
from moil.runtime.mailbox import Letter, Mailbox, Order
from moil.runtime.records import decode_outcome
from moil.runtime.supervisor import House, Supervisor, run_deferred

LOOK = 0.5
"""Seconds between looks for a request to stop a service."""


class RemoteWorker:
    """Carries out one order after another."""

    def __init__(self, house: House, mailbox: Mailbox) -> None:
        self._house, self._mailbox = house, mailbox
        self._woken, self._waker = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._terminated = False

    def begin(self) -> None:
        """Before the first order: be told of signals, and clean up after those who could not."""
        processes.become_subreaper()
        signal.signal(signal.SIGTERM, self._on_terminate)
        signal.set_wakeup_fd(self._waker, warn_on_full_buffer=False)
        for lock in self._house.work.glob("*.lock"):
            self._sweep(lock)

    def _on_terminate(self, _number: int, _frame: object) -> None:
        self._terminated = True

    @property
    def terminated(self) -> bool:
        """Whether the scheduler wants this worker to end."""
        return self._terminated

    def carry_out(self, order: Order) -> None:
        """From the order to the letter."""
        if self._mailbox.is_over(order.token):
            return
        lock = self._house.work / f"{order.token}.lock"
        with _held(lock):
            letter = _Attempt(order, self._house, self._mailbox, self._is_terminated, self._woken).run()
            processes.kill_children()
            self._mailbox.post_outcome(letter)
            lock.unlink(missing_ok=True)

    def _is_terminated(self) -> bool:
        return self._terminated

    def _sweep(self, lock: Path) -> None:
        with contextlib.suppress(BlockingIOError, FileNotFoundError), _held(lock):
            directory = lock.with_suffix("")
            if deferred.pending(directory / "deferred"):
                with (self._house.work / "deferred.log").open("ab") as log:
                    run_deferred(directory / "deferred", self._house.load, log.fileno())
            shutil.rmtree(directory, ignore_errors=True)
            lock.unlink(missing_ok=True)


@contextlib.contextmanager
def _held(path: Path) -> Any:
    """A lock that nobody else has. Raises BlockingIOError."""
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield


class _Attempt:
    """One attempt, seen from the other end of its supervisor's socket."""

    def __init__(
        self, order: Order, house: House, mailbox: Mailbox, is_terminated: Callable[[], bool], woken: int
    ) -> None:
        self._order, self._house, self._mailbox = order, house, mailbox
        self._is_terminated, self._woken = is_terminated, woken
        self._channel = _supervised(house)
        self._record: bytes | None = None
        self._looks_for_stop = self._told_to_end = False

    def run(self) -> Letter:
        """Have it done."""
        header = {
            "token": self._order.token,
            "memory": self._order.memory,
            "walltime": self._order.walltime,
            "service": self._order.service,
            "env": {},
        }
        frames = wire.FrameReader()
        poll = select.poll()
        for descriptor in (self._channel.fileno(), self._woken):
            poll.register(descriptor, select.POLLIN)
        with self._channel:
            self._tell(wire.TASK, wire.pack(header, [self._order.record]))
            while True:
                poll.poll(LOOK * 1000 if self._looks_for_stop else None)
                self._pass_on_orders()
                data = _received(self._channel)
                if data == b"":
                    return self._orphaned()
                for kind, payload in frames.feed(data or b""):
                    if kind == wire.ENDED:
                        return self._letter(wire.unpack(payload)[0])
                    self._take(kind, payload)

    def _pass_on_orders(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._woken, 64)
        if self._is_terminated() and not self._told_to_end:
            self._told_to_end = True
            self._tell(wire.KILL, wire.pack({"token": self._order.token}))
        if self._looks_for_stop and self._mailbox.is_to_stop(self._order.token):
            self._looks_for_stop = False
            self._tell(wire.STOP, wire.pack({"token": self._order.token}))

    def _tell(self, kind: bytes, payload: bytes) -> None:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._channel.setblocking(True)
            self._channel.sendall(wire.frame(kind, payload))
            self._channel.setblocking(False)

    def _take(self, kind: bytes, payload: bytes) -> None:
        _, blobs = wire.unpack(payload)
        if kind == wire.UP:
            self._mailbox.post_up(Letter(token=self._order.token, host=self._house.host, record=blobs[0]))
            self._looks_for_stop = True
        elif kind == wire.RETURNED:
            self._record = blobs[0]

    def _letter(self, header: dict[str, Any]) -> Letter:
        return Letter(
            token=self._order.token,
            host=self._house.host,
            record=self._record,
            outcome=Outcome(header["outcome"]),
            error=header["error"],
            verdict=header["verdict"],
            terminated=self._told_to_end and not self._completed(),
            usage={name: header[name] for name in ("wall", "cpu", "memory")},
        )

    def _completed(self) -> bool:
        if self._record is None:
            return False
        with contextlib.suppress(DamagedError):
            return decode_outcome(self._record).outcome is Outcome.completed
        return False

    def _orphaned(self) -> Letter:
        """The supervisor was killed: end what it looked after, and do what that deferred."""
        processes.kill_children()
        directory = self._house.work / self._order.token
        if deferred.pending(directory / "deferred"):
            with (self._house.work / "deferred.log").open("ab") as log:
                run_deferred(directory / "deferred", self._house.load, log.fileno())
        shutil.rmtree(directory, ignore_errors=True)
        why = "the worker's supervisor was killed"
        return Letter(token=self._order.token, host=self._house.host, record=self._record, outcome=Outcome.lost, error=why)


def _received(channel: socket.socket) -> bytes | None:
    """What has come; None: nothing, b"": the other end is closed."""
    try:
        return channel.recv(1 << 20)
    except BlockingIOError:
        return None
    except ConnectionResetError:
        return b""


def _supervised(house: House) -> socket.socket:
    """Fork a supervisor; our end of its socket."""
    ours, theirs = socket.socketpair()
    if os.fork() == 0:
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            ours.close()
            supervisor = Supervisor(theirs, house, os.getpid())
            (house.work / f"slot-{os.getpid()}.log").unlink()  # it is read through its descriptor
            supervisor.serve()
            code = 0
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told and the process ends
            os.write(2, f"moil: a supervisor failed: {type(error).__name__}: {error}\n".encode())
        finally:
            os._exit(code)
    theirs.close()
    ours.setblocking(False)
    return ours
