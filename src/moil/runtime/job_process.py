"""The process in which a job's function runs: a fork of a warm supervisor.

It becomes the head of a session, dies with its supervisor, has the attempt's scratch directory as working directory
and the attempt's log as standard output and error, writes its outcome to the socket, and is gone without looking back:
no exit handlers of the supervisor's, no flush of anything but its own streams.
"""

from __future__ import annotations

import gc
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Mapping
from os import _exit, dup2, setsid
from pathlib import Path
from typing import Any, NoReturn, Protocol

from moil.core import wire
from moil.core.records import Outcome
from moil.errors import DamagedError
from moil.ports.job_store import JobStore
from moil.record import field, record
from moil.runtime import messages
from moil.runtime.execute import Execution, Place, describe
from moil.runtime.processes import die_with_parent
from moil.runtime.records import OutcomeRecord, decode_task, encode_outcome
from moil.runtime.slot_directory import SlotDirectory


@record
class Order:
    """What the batch system says of an attempt, around the task record, which is none of its business."""

    token: str
    home: SlotDirectory
    record: bytes
    memory: int = 0
    walltime: float = 0.0
    service: bool = False
    env: Mapping[str, str] = field(default_factory=dict)

    @staticmethod
    def read(packet: bytes, home: SlotDirectory) -> Order:
        """From a packet that says TASK."""
        found = messages.read(packet)
        env, record = _variables(found.body) if found.flags & messages.VARIABLES else (_NO_VARIABLES, found.body)
        return Order(
            token=found.token,
            home=home,
            record=record,
            memory=found.memory,
            walltime=found.wall,
            service=bool(found.flags & messages.SERVICE),
            env=env,
        )


_NO_VARIABLES: Mapping[str, str] = {}


def _variables(body: bytes) -> tuple[Mapping[str, str], bytes]:
    header, (record,) = wire.unpack(body)
    return header["env"], record


class House(Protocol):
    """What all attempts of a machine share."""

    @property
    def store(self) -> JobStore:
        """The run's job store."""
        ...

    @property
    def work(self) -> Path:
        """The run's directory for temporary files on this machine."""
        ...

    @property
    def cache(self) -> Path:
        """Local copies of files, for all attempts."""
        ...

    @property
    def load(self) -> Callable[[], None]:
        """Imports the user's program, unless that is done."""
        ...


class Channel(Protocol):
    """What outcomes are sent through."""

    def sendall(self, packet: bytes, /) -> None:
        """One packet. Raises OSError."""
        ...


class JobProcess:
    """The process itself.

    What can be made ready before the fork is made ready there: a page that the fork is the first to write to must be copied,
    while its parent, once the fork before is gone, has them all to itself. And what comes after the fork has been practised
    (`moil.runtime.practice`), but for `run` and how it settles in, which are short, and look little up by name.
    """

    def __init__(
        self, order: Order, house: House, channel: Channel, *, stop: int = -1, cpu_before: float = 0.0
    ) -> None:
        self._order, self._house, self._channel, self._stop = order, house, channel, stop
        self._started = time.monotonic()
        self._cpu_before = cpu_before
        self._spill = f"{house.work}/{order.token}.outcome"
        self._load = house.load
        self._execution: Execution | DamagedError
        try:
            self._execution = Execution(decode_task(order.record), place_of(house, order.home))
        except DamagedError as error:
            self._execution = error

    def run(self, parent: int, log: int) -> NoReturn:
        """Do the job and end the process."""
        code = 1
        try:
            settle_in(parent, log)
            self.carry_out()
            code = 0
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is told and the process ends
            os.write(2, f"moil: the worker failed: {type(error).__name__}: {error}\n".encode())
        finally:
            _exit(code)

    def carry_out(self) -> None:
        """Do the job, and tell what came of it."""
        self.report(messages.RETURNED, self.work())

    def work(self) -> OutcomeRecord:
        """Do the job; what came of it has yet to be reported."""
        order = self._order
        if order.env:
            os.environ.update(order.env)
        try:
            self._load()
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is told and the process ends
            return _told(unloadable(order.token, error))
        execution = self._execution
        if isinstance(execution, DamagedError):
            return _told(unloadable(order.token, execution))
        return _told(self._serve(execution) if execution.is_service else execution.run())

    def _serve(self, execution: Execution) -> OutcomeRecord:
        up = execution.start()
        if up.outcome is not Outcome.completed:
            return up
        flush()
        self.report(messages.UP, up)
        os.read(self._stop, 1)
        return execution.stop()

    def report(self, kind: bytes, record: OutcomeRecord) -> float:
        """Tell the leader; the seconds of CPU that this process has used so far."""
        cpu, peak = used()
        body, wall = encode_outcome(record), time.monotonic() - self._started
        told = messages.Message(kind, self._order.token, body, wall, cpu - self._cpu_before, peak)
        self._channel.sendall(told.packet(self._spill))
        return cpu


def place_of(house: House, home: SlotDirectory) -> Place:
    """The same for all attempts of a slot: made once, before any of them is forked."""
    if home.place is None:
        home.place = Place(
            store=house.store, cache=house.cache, scratch=home.scratch, files=home.files, deferred=home.deferred
        )
    return home.place


def _told(record: OutcomeRecord) -> OutcomeRecord:
    """With all that is to be printed brought out."""
    if record.failure is not None:
        sys.stderr.write(record.failure.traceback)
    flush()
    return record


def settle_in(parent: int, log: int) -> None:
    """Leave the supervisor's session and streams behind; its standard input is empty already, its signals are ready."""
    setsid()
    die_with_parent(parent)
    dup2(log, 1)
    dup2(log, 2)
    reseed()


def prepare_signals() -> None:
    """In the supervisor, for all jobs to come: the first Python that a fresh fork runs is the dearest."""
    supervisor = os.getpid()
    before = signal.getsignal(signal.SIGTERM)

    def on_terminate(number: int, frame: object) -> None:
        """Let `finally` and `with` do their work before a job's process goes; the supervisor ends as before."""
        if os.getpid() != supervisor:
            raise SystemExit(128 + number)
        if before is not signal.SIG_IGN:
            os._exit(128 + number)

    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, on_terminate)


def enter(scratch: Path) -> None:
    """Make the scratch directory the place for everything temporary."""
    os.chdir(scratch)
    os.environ["TMPDIR"] = str(scratch)
    tempfile: Any = sys.modules.get("tempfile")
    if tempfile is not None:
        tempfile.tempdir = None


def reseed() -> None:
    """Forks of one process must not draw the same random numbers; `random` sees to itself, NumPy does not."""
    numpy: Any = sys.modules.get("numpy.random")
    if numpy is not None:
        numpy.seed()


def flush() -> None:
    """Bring out what the job printed."""
    for stream in (sys.stdout, sys.stderr):
        try:  # noqa: SIM105 - a context manager would be written to, and its class, and its methods
            stream.flush()
        except (ValueError, OSError, AttributeError):
            pass


def used() -> tuple[float, int]:
    """Seconds of CPU that this process and its children have used, and the most memory that one of them has."""
    own, below = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + below.ru_utime + below.ru_stime, 1024 * max(own.ru_maxrss, below.ru_maxrss)


def unloadable(token: str, error: BaseException) -> OutcomeRecord:
    """The user's program cannot be loaded on this worker."""
    job, _, attempt = token.partition(".")
    return OutcomeRecord(job=int(job), attempt=int(attempt), outcome=Outcome.failed, failure=describe(error))


def freeze() -> None:
    """Before forking: what is there now is for good, so that the collector need not touch (and copy) it."""
    gc.collect()
    gc.freeze()
