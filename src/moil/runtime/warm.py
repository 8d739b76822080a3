"""Isolation `worker`: jobs run one after another in one process, for floods of tiny jobs.

The warm process takes attempts from the slot's queue by itself and tells the leader of them by itself, so that nobody
stands between them on the way of a job. What its supervisor must know is on a page of memory that both see, the
*board*: which attempt is running, since when, and within which limits. The supervisor looks at it now and then while
something runs, and sleeps when nothing does; the process wakes it up over the *gate*, a pair of sockets, if it has said
on the board that it sleeps.

An attempt that leaves something behind (a log, deferred calls) is put into the supervisor's hands before the next one
begins. A process in which a job failed is replaced.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import select
import socket
import time
from struct import Struct
from typing import NoReturn

from moil.core.records import Outcome
from moil.record import record
from moil.runtime import messages, processes
from moil.runtime.job_process import JobProcess, Order, enter, settle_in, used
from moil.runtime.limits import FIRST_SAMPLE, SAMPLE, Limits
from moil.runtime.messages import Message
from moil.runtime.slot import Ended, Gone, Slot

LOG_EVERY = 1.0
LONGEST_SLEEP = 1.0
"""Seconds after which the supervisor looks again although nobody has woken it."""

WOKEN, FIT, UNFIT, GO = b"W", b"F", b"U", b"G"


@record(kw_only=False)
class _Running:
    token: str
    started: float
    walltime: float
    memory: int


class _Board:
    """A page of memory that the warm process writes and its supervisor reads.

    What is there counts if the numbers at its beginning and its end are the same: then nobody was writing.
    """

    _FIELDS = Struct("<QddqB64pQ")
    _ASLEEP = 256

    def __init__(self) -> None:
        self._page = mmap.mmap(-1, 4096)
        self._number = 0

    def begin(self, order: Order) -> None:
        """It runs from now on."""
        self._write(1, order.token.encode(), time.monotonic(), order.walltime, order.memory)

    def rest(self) -> None:
        """Nothing runs."""
        self._write(0, b"", 0.0, 0.0, 0)

    def _write(self, busy: int, token: bytes, started: float, walltime: float, memory: int) -> None:
        self._number += 1
        self._FIELDS.pack_into(self._page, 0, self._number, started, walltime, memory, busy, token, self._number)

    def running(self) -> _Running | None:
        """What runs now."""
        while True:
            first, started, walltime, memory, busy, token, last = self._FIELDS.unpack_from(self._page)
            if first == last:
                return _Running(token.decode(), started, walltime, memory) if busy else None

    @property
    def asleep(self) -> bool:
        """Whether the supervisor has to be woken."""
        return self._page[self._ASLEEP] == 1

    @asleep.setter
    def asleep(self, value: bool) -> None:
        self._page[self._ASLEEP] = int(value)


class Warm:
    """The supervisor's side: keeps a warm process, and looks after what runs there."""

    def __init__(self, slot: Slot) -> None:
        self._slot = slot
        self._board = _Board()
        self._gate: socket.socket | None = None
        self._pid = self._pidfd = -1
        self._limits: Limits | None = None
        self._token = ""
        self._told = False
        self._next_sample = self._next_log = 0.0
        self._kills: dict[str, float] = {}

    def next(self) -> bytes:
        """The packet of a service, which gets a process of its own; meanwhile, look after all else. Raises Gone."""
        while True:
            if self._gate is None:
                self._start()
            assert self._gate is not None
            pause = self._look()
            ready = {fd for fd, _ in self._poll.poll(max(0.0, pause) * 1000)}
            self._board.asleep = False
            if self._gate.fileno() in ready:
                self._listen()
            elif self._pidfd in ready:
                self._died()
            if self._slot.channel.fileno() in ready:
                packet = self._slot.packet(self._slot.channel)
                if packet.startswith(messages.TASK):
                    return packet
                self._obey(messages.read(packet))

    def following(self) -> bytes | None:
        """Services come one at a time."""
        return None

    def let_end(self, seconds: float) -> None:
        """Wait so long for the process to end by itself, as it does when the leader is gone and its attempt is over."""
        if self._gate is not None:
            processes.wait_for(self._pidfd, seconds)

    # -- the process ---------------------------------------------------------------------------------------------

    def _start(self) -> None:
        self._gate, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._board.rest()
        parent = os.getpid()
        self._pid = os.fork()
        if self._pid == 0:
            self._gate.close()
            _be_warm(self._slot, self._board, theirs, parent)
        theirs.close()
        self._slot.own.add(self._pid)
        self._pidfd = os.pidfd_open(self._pid)
        self._limits, self._token = None, ""
        self._poll = select.poll()
        for one in (self._gate.fileno(), self._pidfd, self._slot.channel.fileno()):
            self._poll.register(one, select.POLLIN)

    def _listen(self) -> None:
        assert self._gate is not None
        said = self._gate.recv(1)
        if said == FIT:
            self._over(Ended())
            self._gate.send(GO)
        elif said == UNFIT:
            self._reap()
            self._over(Ended())
        elif not said:
            self._died()

    def _reap(self) -> int:
        _, status = os.waitpid(self._pid, 0)
        self._slot.own.discard(self._pid)
        processes.kill_children()
        assert self._gate is not None
        self._gate.close()
        os.close(self._pidfd)
        self._gate = None
        return os.waitstatus_to_exitcode(status)

    def _over(self, ended: Ended) -> None:
        running = self._board.running()
        if running is None:
            raise Gone  # it died between two attempts: only the leader knows whether it had taken one
        verdict = self._limits.verdict if self._limits and running.token == self._token else None
        if verdict is None and self._limits and self._limits.verdict:
            verdict = (Outcome.lost, "its process was ended, as the attempt before it had to be")
        self._slot.over(running.token, ended, verdict)

    def _died(self) -> None:
        """It has not said why."""
        assert self._gate is not None
        with contextlib.suppress(OSError):
            said = self._gate.recv(1, socket.MSG_DONTWAIT)
            if said == UNFIT:
                self._reap()
                self._over(Ended())
                return
        self._over(Ended(code=self._reap() or 1))

    # -- what runs in it -----------------------------------------------------------------------------------------

    def _look(self) -> float:
        """Keep limits, pass the log on; the seconds until that has to be done again."""
        running = self._board.running()
        if running is None:
            self._board.asleep = True
            if self._board.running() is None:
                return LONGEST_SLEEP
            return 0.0
        limits = self._limits_of(running)
        now = time.monotonic()
        if self._kills.pop(running.token, None) is not None:
            limits.end(Outcome.cancelled, "cancelled")
        if now >= self._next_sample:
            if not self._told:
                self._slot.tell(Message(messages.STARTED, running.token))
                self._told = True
            limits.keep(now)
            self._next_sample = now + SAMPLE
        if now >= self._next_log:
            self._slot.log.begin(running.token)
            self._slot.log.pass_on(lambda: self._runs(running.token))
            self._next_log = now + LOG_EVERY
        return (now + 0.01 if self._kills else min(self._next_sample, self._next_log)) - now

    def _runs(self, token: str) -> bool:
        running = self._board.running()
        return running is not None and running.token == token

    def _limits_of(self, running: _Running) -> Limits:
        if self._limits is None or running.token != self._token:
            self._token, self._told = running.token, False
            self._next_sample, self._next_log = running.started + FIRST_SAMPLE, running.started + LOG_EVERY
            self._limits = Limits(
                self._pid,
                memory=running.memory,
                walltime=running.walltime,
                started=running.started,
                baseline=self._slot.baseline,
            )
        return self._limits

    def _obey(self, order: Message) -> None:
        """An attempt that is to be ended may have been taken and not be on the board yet."""
        if order.kind == messages.KILL:
            now = time.monotonic()
            self._kills = {token: at for token, at in self._kills.items() if at > now - LONGEST_SLEEP}
            self._kills[order.token] = now


# -- the warm process ----------------------------------------------------------------------------------------------


def _be_warm(slot: Slot, board: _Board, gate: socket.socket, parent: int) -> NoReturn:
    code = 1
    try:
        settle_in(parent, slot.log.fd)
        _take_attempts(slot, board, gate)
        code = 0
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is told and the process ends
        os.write(2, f"moil: the worker failed: {type(error).__name__}: {error}\n".encode())
    finally:
        os._exit(code)


def _take_attempts(slot: Slot, board: _Board, gate: socket.socket) -> None:
    """Until one fails, or the leader is gone."""
    cpu = used()[0]
    while packet := _taken(slot, board):
        order = Order.read(packet, slot.home)
        board.begin(order)
        if board.asleep:
            gate.send(WOKEN)
        slot.turn()
        enter(slot.home.scratch)
        job = JobProcess(order, slot.house, slot.voice, cpu_before=cpu)
        record = job.work()
        fit = record.outcome is Outcome.completed
        if fit and _leaves_nothing(slot):
            cpu = job.report(messages.DONE, record)
            continue
        cpu = job.report(messages.RETURNED, record)
        gate.send(FIT if fit else UNFIT)
        if not fit or not gate.recv(1):
            return


def _taken(slot: Slot, board: _Board) -> bytes:
    """The next attempt's packet; none, if the leader is gone."""
    try:
        return slot.queue.recv(messages.PACKET, socket.MSG_DONTWAIT)
    except BlockingIOError:
        board.rest()
        return slot.queue.recv(messages.PACKET)


def _leaves_nothing(slot: Slot) -> bool:
    """Whether there is nothing to be done for the attempt that has ended, or only what can be done here."""
    if os.fstat(slot.log.fd).st_size:
        return False
    if not slot.home.is_new():
        if slot.home.deferred.exists():
            return False
        slot.home.renew()
    return True
