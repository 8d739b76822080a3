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

from moil.core.records import Outcome
from moil.errors import DamagedError
from moil.record import changed
from moil.runtime import deferred, messages, processes
from moil.runtime.mailbox import Letter, Mailbox, Order
from moil.runtime.messages import Message
from moil.runtime.records import decode_outcome
from moil.runtime.slot import House, Sockets, run_deferred
from moil.runtime.supervisor import Supervisor

LOOK = 0.5
"""Seconds between looks for a request to stop a service."""


class RemoteWorker:
    """Carries out one order after another."""

    def __init__(self, house: House, mailbox: Mailbox) -> None:
        self._house, self.mailbox = house, mailbox
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

    @property
    def woken(self) -> int:
        """What becomes readable when it does."""
        return self._woken

    def carry_out(self, order: Order) -> None:
        """From the order to the letter."""
        if self.mailbox.is_over(order.token):
            return
        lock = self._house.work / f"{order.token}.lock"
        with held(lock):
            letter = _Attempt(order, self._house, self.mailbox, self._is_terminated, self._woken).run()
            processes.kill_children()
            self.mailbox.post_outcome(letter)
            lock.unlink(missing_ok=True)

    def _is_terminated(self) -> bool:
        return self._terminated

    def _sweep(self, lock: Path) -> None:
        with contextlib.suppress(BlockingIOError, FileNotFoundError), held(lock):
            clean_up_after(self._house, lock.with_suffix("").name)
            lock.unlink(missing_ok=True)


@contextlib.contextmanager
def held(path: Path) -> Any:
    """A lock that nobody else has. Raises BlockingIOError."""
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield


class _Attempt:
    """One attempt, seen from the other end of its supervisor's socket."""

    def __init__(self, order: Order, house: House, mailbox: Mailbox, is_terminated: Callable[[], bool], woken: int) -> None:
        self._order, self._house, self._mailbox = order, house, mailbox
        self._is_terminated, self._woken = is_terminated, woken
        self._channel, self._queue = _supervised(house, order.token)
        self._record: bytes | None = None
        self._looks_for_stop = self._told_to_end = False

    def run(self) -> Letter:
        """Have it done."""
        poll = select.poll()
        for descriptor in (self._channel.fileno(), self._woken):
            poll.register(descriptor, select.POLLIN)
        with self._channel, self._queue:
            self._tell(self._task())
            while True:
                poll.poll(LOOK * 1000 if self._looks_for_stop else None)
                self._pass_on_orders()
                packet = _received(self._channel)
                if packet == b"":
                    return self._orphaned()
                if packet is None:
                    continue
                told = messages.read(packet)
                if told.kind == messages.ENDED:
                    return self._letter(told)
                self._take(told)

    def _task(self) -> Message:
        order = self._order
        flags = messages.SERVICE if order.service else 0
        return Message(messages.TASK, order.token, order.record, wall=order.walltime, memory=order.memory, flags=flags)

    def _pass_on_orders(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._woken, 64)
        if self._is_terminated() and not self._told_to_end:
            self._told_to_end = True
            self._tell(Message(messages.KILL, self._order.token))
        if self._looks_for_stop and self._mailbox.is_to_stop(self._order.token):
            self._looks_for_stop = False
            self._tell(Message(messages.STOP, self._order.token))

    def _tell(self, message: Message) -> None:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._channel.setblocking(True)
            self._channel.sendall(message.packet(f"{self._house.work}/{message.token}.order"))
            self._channel.setblocking(False)

    def _take(self, told: Message) -> None:
        if told.kind == messages.UP:
            self._mailbox.post_up(Letter(token=self._order.token, host=self._house.host, record=told.body))
            self._looks_for_stop = True
        elif told.kind == messages.RETURNED:
            self._record = told.body

    def _letter(self, told: Message) -> Letter:
        return letter_of(told, self._record, host=self._house.host, told_to_end=self._told_to_end)

    def _orphaned(self) -> Letter:
        """The supervisor was killed: end what it looked after, and do what that deferred."""
        processes.kill_children()
        clean_up_after(self._house, self._order.token)
        return Letter(
            token=self._order.token, host=self._house.host, record=self._record, outcome=Outcome.lost, error=ORPHANED
        )


ORPHANED = "the worker's supervisor was killed"


def letter_of(told: Message, record: bytes | None, *, host: str, told_to_end: bool) -> Letter:
    """What is written of an attempt that has ended in a slot. `record`: the outcome record, if one came."""
    outcome, why, by_supervisor = messages.ending(told)
    return Letter(
        token=told.token,
        host=host,
        record=record,
        outcome=outcome,
        error=why,
        verdict=by_supervisor,
        terminated=told_to_end and not _completed(record),
        usage={"wall": told.wall, "cpu": told.cpu, "memory": told.memory},
    )


def _completed(record: bytes | None) -> bool:
    if record is None:
        return False
    with contextlib.suppress(DamagedError):
        return decode_outcome(record).outcome is Outcome.completed
    return False


def clean_up_after(house: House, home: str) -> None:
    """A supervisor was killed that had this directory: do what its attempt deferred."""
    directory = house.work / home
    if deferred.pending(directory / "deferred"):
        with (house.work / "deferred.log").open("ab") as log:
            run_deferred(directory / "deferred", house.load, log.fileno(), keep=())
    shutil.rmtree(directory, ignore_errors=True)


def _received(channel: socket.socket) -> bytes | None:
    """The packet that has come; None: none, b"": the other end is closed."""
    try:
        return channel.recv(messages.PACKET)
    except BlockingIOError:
        return None
    except ConnectionResetError:
        return b""


def _supervised(house: House, token: str) -> tuple[socket.socket, socket.socket]:
    """Fork a supervisor; our ends of its channel, by which it gets its one attempt, and of its queue."""
    house = changed(house, isolation="job")
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    unused, queue = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    if os.fork() == 0:
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            ours.close()
            unused.close()
            supervisor = Supervisor(Sockets(theirs, queue), house, house.work / token)
            (house.work / f"{token}.log").unlink()  # it is read through its descriptor
            supervisor.serve()
            code = 0
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told and the process ends
            os.write(2, f"{messages.FAILED}{type(error).__name__}: {error}\n".encode())
        finally:
            os._exit(code)
    theirs.close()
    queue.close()
    ours.setblocking(False)
    return ours, unused
