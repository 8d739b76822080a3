"""The process in which a job's function runs: a fork of a warm supervisor.

It becomes the head of a session, dies with its supervisor, has the attempt's scratch directory as working directory
and the attempt's log as standard output and error, writes its outcome to the socket, and is gone without looking back:
no exit handlers of the supervisor's, no flush of anything but its own streams.
"""

from __future__ import annotations

import contextlib
import gc
import os
import resource
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn, Protocol

from moil.core import wire
from moil.core.records import Outcome
from moil.ports.job_store import JobStore
from moil.runtime import processes
from moil.runtime.execute import Execution, Place, describe
from moil.runtime.records import OutcomeRecord, decode_task, encode_outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What the batch system says of an attempt, around the task record, which is none of its business."""

    token: str
    directory: Path
    record: bytes
    memory: int = 0
    walltime: float = 0.0
    service: bool = False
    env: Mapping[str, str] = field(default_factory=dict)

    @staticmethod
    def read(payload: bytes, work: Path) -> Order:
        """From a TASK frame; a large record lies in a file, which is removed."""
        header, blobs = wire.unpack(payload)
        if "file" in header:
            spilled = Path(header["file"])
            record = spilled.read_bytes()
            spilled.unlink()
        else:
            record = blobs[0]
        return Order(
            token=header["token"],
            directory=work / header["token"],
            record=record,
            memory=header["memory"],
            walltime=header["walltime"],
            service=header["service"],
            env=header["env"],
        )

    def make_directories(self) -> None:
        """An empty scratch directory, whatever an earlier leader has left."""
        try:
            os.mkdir(self.directory)
            os.mkdir(self.scratch)
        except FileExistsError:
            shutil.rmtree(self.directory)
            os.makedirs(self.scratch)

    @property
    def scratch(self) -> Path:
        """The attempt's working directory."""
        return self.directory / "scratch"

    @property
    def deferred(self) -> Path:
        """Where its deferred calls are written down."""
        return self.directory / "deferred"


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


class JobProcess:
    """The process itself, from the fork on."""

    def __init__(self, order: Order, house: House, channel: socket.socket, *, stop: int = -1) -> None:
        self._order, self._house, self._channel, self._stop = order, house, channel, stop
        self._started = time.monotonic()
        self._cpu = _cpu()

    def run(self, parent: int, log: int) -> NoReturn:
        """Do the job and end the process."""
        code = 1
        try:
            settle_in(parent, log)
            self.work()
            code = 0
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is told and the process ends
            os.write(2, f"moil: the worker failed: {type(error).__name__}: {error}\n".encode())
        finally:
            os._exit(code)

    def work(self) -> bool:
        """Do the job and report; whether the process is fit for another."""
        order = self._order
        os.environ.update(order.env)
        enter(order.scratch)
        try:
            self._house.load()
            task = decode_task(order.record)
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is told and the process ends
            self._report(wire.RETURNED, unloadable(order.token, error))
            return False
        execution = Execution(task, self._place())
        if task.service:
            self._serve(execution)
            return False
        record = execution.run()
        self._report(wire.RETURNED, record)
        return record.outcome is Outcome.completed

    def _serve(self, execution: Execution) -> None:
        up = execution.start()
        if up.outcome is not Outcome.completed:
            self._report(wire.RETURNED, up)
            return
        self._report(wire.UP, up)
        os.read(self._stop, 1)
        self._report(wire.RETURNED, execution.stop())

    def _place(self) -> Place:
        order = self._order
        return Place(
            store=self._house.store,
            cache=self._house.cache,
            scratch=order.scratch,
            files=order.directory / "files",
            deferred=order.deferred,
        )

    def _report(self, kind: bytes, record: OutcomeRecord) -> None:
        if record.failure is not None:
            sys.stderr.write(record.failure.traceback)
        flush()
        data = encode_outcome(record)
        header = {"token": self._order.token, **self._usage()}
        self._channel.sendall(wire.frame(kind, wire.pack(header, [data])))

    def _usage(self) -> dict[str, Any]:
        return {"wall": time.monotonic() - self._started, "cpu": _cpu() - self._cpu, "memory": _peak()}


def settle_in(parent: int, log: int) -> None:
    """Leave the supervisor's session and streams behind."""
    os.setsid()
    processes.die_with_parent(parent)
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, _on_terminate)
    reseed()


def enter(scratch: Path) -> None:
    """Make the scratch directory the place for everything temporary."""
    os.chdir(scratch)
    os.environ["TMPDIR"] = str(scratch)
    tempfile.tempdir = None


def reseed() -> None:
    """Forks of one process must not draw the same random numbers; `random` sees to itself, NumPy does not."""
    numpy: Any = sys.modules.get("numpy.random")
    if numpy is not None:
        numpy.seed()


def flush() -> None:
    """Bring out what the job printed."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(ValueError, OSError, AttributeError):
            stream.flush()


def _cpu() -> float:
    """Seconds of CPU that this process and its children have used."""
    own, below = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + below.ru_utime + below.ru_stime


def _peak() -> int:
    """The most memory that this process, or one of its children, has used."""
    return 1024 * max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def unloadable(token: str, error: BaseException) -> OutcomeRecord:
    """The user's program cannot be loaded on this worker."""
    job, _, attempt = token.partition(".")
    return OutcomeRecord(job=int(job), attempt=int(attempt), outcome=Outcome.failed, failure=describe(error))


def _on_terminate(number: int, frame: object) -> NoReturn:
    """Let `finally` and `with` do their work before the process goes."""
    raise SystemExit(128 + number)


def freeze() -> None:
    """Before forking: what is there now is for good, so that the collector need not touch (and copy) it."""
    gc.collect()
    gc.freeze()


