"""What a supervisor has in hand: a slot's sockets, its directory and its log; and what is done for every attempt there."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from collections.abc import Callable, Collection
from pathlib import Path

from moil.core.records import Outcome
from moil.ports.job_store import JobStore
from moil.record import record
from moil.runtime import deferred, messages, processes
from moil.runtime.attempt_log import AttemptLog
from moil.runtime.job_process import Channel, enter, place_of
from moil.runtime.messages import Message
from moil.runtime.outbox import Outbox, Voice
from moil.runtime.slot_directory import SlotDirectory


@record
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
    #: Its slots keep outcomes for a leader that comes after this one.
    has_outboxes: bool = False


@record(kw_only=False)
class Sockets:
    """The far ends of a slot's sockets."""

    channel: socket.socket
    queue: socket.socket


@record
class Ended:
    """How an attempt's process ended. `code` is an exit status, or minus the signal that killed it."""

    code: int = 0
    cpu: float = 0.0
    memory: int = 0
    wall: float = 0.0


class Gone(Exception):
    """The other ends of the sockets are closed."""


class Slot:
    """What a supervisor has in hand, and what it does for every attempt."""

    def __init__(self, sockets: Sockets, house: House, home: Path) -> None:
        self.channel, self.queue, self.house = sockets.channel, sockets.queue, house
        self.home = SlotDirectory(home)
        self.home.make()
        enter(self.home.scratch)
        place_of(house, self.home)
        self.outbox = Outbox(house.work) if house.has_outboxes else None
        self.voice: Channel = self.channel if self.outbox is None else Voice(self.channel, self.outbox)
        self.baseline = processes.own_memory()
        #: Processes that no attempt has started, and that outlive it.
        self.own: set[int] = set()
        self.log = AttemptLog(Path(f"{home}.log"), house.store, house.log_limit)

    def turn(self) -> None:
        """Between two attempts."""
        if self.outbox is not None:
            self.outbox.turn()

    def tell(self, message: Message) -> None:
        """Say it to the leader. Raises Gone."""
        try:
            self.channel.sendall(message.packet(f"{self.house.work}/{message.token}.told"))
        except OSError:
            raise Gone from None

    def heard(self) -> Message:
        """What the leader says. Raises Gone."""
        return messages.read(self.packet(self.channel))

    def packet(self, source: socket.socket) -> bytes:
        """The next packet of one of the sockets. Raises Gone, BlockingIOError."""
        try:
            packet = source.recv(messages.PACKET, 0 if source is self.channel else socket.MSG_DONTWAIT)
        except ConnectionResetError:
            packet = b""
        if not packet:
            raise Gone
        return packet

    def over(self, token: str, ended: Ended, verdict: tuple[Outcome, str] | None, *, goes_on: bool = False) -> None:
        """The attempt's process is gone: clean up after it, and say so. Raises Gone.

        If the slot goes on with another attempt then what is said of that says that this one is over.
        """
        outcome, why = verdict or (Outcome.failed, cause(ended.code))
        self.log.begin(token)
        if verdict or ended.code:
            self.log.note(why)
        self.clean_up()
        told = b""
        if verdict or ended.code:
            told = messages.ended(outcome, why, by_supervisor=verdict is not None)
        elif goes_on:
            return
        self.tell(Message(messages.ENDED, token, told, ended.wall, ended.cpu, ended.memory))

    def clean_up(self) -> None:
        """Run what was deferred, bring the log home, empty the directory; the next attempt begins in it."""
        if self.home.is_new():
            self.log.end()
            return
        if deferred.pending(self.home.deferred):
            run_deferred(self.home.deferred, self.house.load, self.log.fd, keep=self.own)
        self.log.end()
        self.home.renew()
        enter(self.home.scratch)


def cause(code: int) -> str:
    """The end of a process that said nothing itself."""
    if code < 0:
        with contextlib.suppress(ValueError):
            return f"the job was killed by {signal.Signals(-code).name}"
        return f"the job was killed by signal {-code}"
    return f"the job's process ended with exit status {code} before the job returned"


def run_deferred(file: Path, load: Callable[[], None], log: int, *, keep: Collection[int]) -> None:
    """Run deferred calls in a process of their own: they are the user's code, and may do anything.

    All children of this process are ended then but those to keep.
    """
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
    processes.kill_children(keep)
