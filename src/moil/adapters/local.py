r"""Batch system ``local``: this machine, by way of warm processes and a fork for each job.

    leader --- zygote (a fresh interpreter that has imported the user's modules)
       \________ supervisor, supervisor, …  (forks of the zygote, one for each attempt that runs at the same time)
                        \____ the job (a fork of the supervisor)

The leader talks to each supervisor over a socket of its own (`moil.runtime.supervisor` has the protocol); the reactor
calls back when one of them has something to say, so nothing here ever polls. Attempts are started in the order they
came in; one that does not fit lets later ones pass, but only so often (`PATIENCE`), so that wide jobs get their turn.

Services hold their cores while they wait for their clients, and clients need cores to run: on a small machine that would
be a deadlock. So while nothing but services runs, the next attempt may share their cores. What cannot be shared
(memory, disk, accelerators) is a real deadlock when nothing is about to end, and the attempt fails and says so.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from moil.adapters.machine import Grant, Machine, device_variables, measure
from moil.core import wire
from moil.core.records import Failure, Outcome, Usage
from moil.core.requirements import Ceiling, format_size, parse_cores, parse_size
from moil.errors import UsageError
from moil.ports.batch_system import ExternalId, Phase, Report, Submission
from moil.ports.reactor import Reactor

PATIENCE = 200
SPILL = 64 * 1024
"""Bytes up to which a task record goes through the socket; a larger one goes through a file, so that no send blocks."""
LOOK_AHEAD = 64
QUIET = 3
"""Polls without news after which what looks like a deadlock is one: the leader has acted on all it knew."""
MOST_STARTS = 2
CLOSING = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """How to start a zygote, and what to tell it."""

    command: Sequence[str]
    env: Mapping[str, str]
    header: Mapping[str, Any]
    work: Path


@dataclass(slots=True)
class _Slot:
    """One supervisor, as the leader sees it."""

    channel: socket.socket
    frames: wire.FrameReader = field(default_factory=wire.FrameReader)
    submission: Submission | None = None
    grant: Grant | None = None
    returned: bool = False


class LocalBatchSystem:
    """Runs attempts on this machine."""

    poll_interval: float | None = None

    def __init__(self, reactor: Reactor, machine: Machine, launch: Launch, *, max_jobs: int | None = None) -> None:
        self._reactor, self._machine, self._launch = reactor, machine, launch
        self._max_jobs = max_jobs
        self._host = socket.gethostname()
        self._queue: deque[Submission] = deque()
        self._passed = 0
        self._services = 0
        self._stopping: set[ExternalId] = set()
        self._quiet_polls = 0
        self._slots: dict[ExternalId, _Slot] = {}
        self._idle: list[_Slot] = []
        self._known: set[ExternalId] = set()
        self._reports: list[Report] = []
        self._zygote = _Zygote(reactor, launch)

    @property
    def ceiling(self) -> Ceiling:
        """What this machine has."""
        return self._machine.ceiling

    @property
    def window(self) -> int:
        """Enough to look past a job that does not fit."""
        return 128

    def submit(self, submissions: Sequence[Submission]) -> Sequence[ExternalId]:
        """Queue the attempts; they start as soon as there is room."""
        for one in submissions:
            self._known.add(one.token)
            self._queue.append(one)
        self._start_what_fits()
        return [one.token for one in submissions]

    def poll(self, ids: Collection[ExternalId]) -> Iterable[Report]:
        """What has been reported since the last call."""
        self._quiet_polls = 0 if self._reports else self._quiet_polls + 1
        if self._quiet_polls >= QUIET:
            self._break_deadlock()
        reports, self._reports = self._reports, []
        unknown = [one for one in ids if one not in self._known]
        if unknown:
            told = {one.id for one in reports}
            gone = Failure(error="the machine's leader went away while the attempt ran", host=self._host)
            lost = (one for one in unknown if one not in told)
            reports.extend(Report(id=one, phase=Phase.ended, outcome=Outcome.lost, failure=gone) for one in lost)
        return reports

    def cancel(self, ids: Collection[ExternalId]) -> None:
        """End the attempts, queued or running."""
        queued = {one.token for one in self._queue} & set(ids)
        if queued:
            self._queue = deque(one for one in self._queue if one.token not in queued)
            for token in queued:
                self._ended(token, Outcome.cancelled, Failure(error="cancelled before it started", host=self._host))
        self._tell(wire.KILL, set(ids) - queued)

    def stop(self, ids: Collection[ExternalId]) -> None:
        """Let services go on to their end."""
        self._stopping.update(token for token in ids if token in self._slots)
        self._tell(wire.STOP, ids)

    def close(self) -> None:
        """End all that runs. Supervisors end when their socket closes, and everything of theirs before that."""
        for slot in [*self._slots.values(), *self._idle]:
            self._hang_up(slot)
        self._slots.clear()
        self._idle.clear()
        self._queue.clear()
        self._zygote.close()

    # -- starting ------------------------------------------------------------------------------------------------

    def _start_what_fits(self) -> None:
        blocked: list[Submission] = []
        while self._queue and len(blocked) < LOOK_AHEAD and not self._at_limit(blocked):
            submission = self._queue.popleft()
            grant = self._machine.take(submission.requirements, share_cores=self._only_services())
            if grant is None:
                blocked.append(submission)
                continue
            self._passed = self._passed + 1 if blocked else 0
            self._start(submission, grant)
        self._queue.extendleft(reversed(blocked))

    def _at_limit(self, blocked: list[Submission]) -> bool:
        if self._max_jobs is not None and len(self._slots) >= self._max_jobs:
            return True
        if blocked and self._passed >= PATIENCE:
            return True
        return self._machine.full and not self._only_services()

    def _only_services(self) -> bool:
        return self._services == len(self._slots)

    def _break_deadlock(self) -> None:
        """Nothing runs but services that nobody has stopped, and the next attempt cannot start beside them."""
        if not self._queue or not self._slots or not self._only_services() or self._stopping:
            return
        head = self._queue.popleft()
        holders = ", ".join(slot.submission.name for slot in self._slots.values() if slot.submission)
        wanted = head.requirements
        why = (
            f"deadlock: it needs {format_size(wanted.memory)} of memory, {format_size(wanted.disk)} of disk and "
            f"{sum(one.count for one in wanted.accelerators)} accelerator(s), and the services {holders}, which wait for "
            "their clients, hold the rest; ask for less, or raise --max-memory or --max-disk"
        )
        self._ended(head.token, Outcome.failed, Failure(error=why, host=self._host))

    def _start(self, submission: Submission, grant: Grant) -> None:
        slot = self._idle.pop() if self._idle else self._new_slot()
        slot.submission, slot.grant, slot.returned = submission, grant, False
        self._slots[submission.token] = slot
        self._services += submission.service
        try:
            slot.channel.sendall(wire.frame(wire.TASK, self._task(submission, grant)))
        except OSError:
            return  # the slot is gone: its reader will notice, and report the attempt lost
        self._reports.append(Report(id=submission.token, phase=Phase.started, host=self._host))
        self._reactor.wake()

    def _task(self, submission: Submission, grant: Grant) -> bytes:
        wanted = submission.requirements
        assert submission.task is not None, "the local batch system takes task records in submissions"
        header: dict[str, Any] = {
            "token": submission.token,
            "memory": wanted.memory,
            "walltime": wanted.walltime or 0.0,
            "service": submission.service,
            "env": device_variables(grant.devices) if self._machine.ceiling.accelerators else {},
        }
        if len(submission.task) <= SPILL:
            return wire.pack(header, [submission.task])
        file = self._launch.work / f"{submission.token}.task"
        file.write_bytes(submission.task)
        return wire.pack({**header, "file": str(file)})

    def _new_slot(self) -> _Slot:
        ours, theirs = socket.socketpair()
        self._zygote.hand_over(theirs)
        slot = _Slot(ours)
        self._reactor.add_reader(ours.fileno(), lambda: self._read(slot))
        return slot

    # -- listening -----------------------------------------------------------------------------------------------

    def _read(self, slot: _Slot) -> None:
        try:
            data = slot.channel.recv(1 << 20)
        except OSError:
            data = b""
        if not data:
            self._slot_died(slot)
            return
        for kind, payload in slot.frames.feed(data):
            self._take_frame(slot, kind, payload)
        self._start_what_fits()

    def _take_frame(self, slot: _Slot, kind: bytes, payload: bytes) -> None:
        header, blobs = wire.unpack(payload)
        used = Usage(wall=header.get("wall", 0.0), cpu=header.get("cpu", 0.0), memory=header.get("memory", 0))
        token: str = header["token"]
        if kind == wire.ENDED:
            outcome = Outcome(header["outcome"])
            failure = None if slot.returned and not header["verdict"] else Failure(error=header["error"], host=self._host)
            self._free(slot)
            self._ended(token, outcome, failure, used)
            return
        phase = Phase.up if kind == wire.UP else Phase.returned
        slot.returned = phase is Phase.returned
        self._reports.append(Report(id=token, phase=phase, record=blobs[0], usage=used, host=self._host))
        self._reactor.wake()

    def _slot_died(self, slot: _Slot) -> None:
        self._hang_up(slot)
        submission = slot.submission
        if submission is None:
            self._idle.remove(slot)
            return
        self._free(slot, keep=False)
        self._zygote.sweep([str(self._launch.work / submission.token)])
        why = "the worker's supervisor was killed" if self._zygote.alive else "the worker could not be started"
        self._ended(submission.token, Outcome.lost, Failure(error=why, host=self._host))
        self._start_what_fits()

    def _free(self, slot: _Slot, *, keep: bool = True) -> None:
        assert slot.submission is not None
        assert slot.grant is not None
        self._machine.give_back(slot.grant)
        del self._slots[slot.submission.token]
        self._services -= slot.submission.service
        self._stopping.discard(slot.submission.token)
        slot.submission = slot.grant = None
        if keep:
            self._idle.append(slot)

    def _ended(self, token: str, outcome: Outcome, failure: Failure | None, usage: Usage = Usage()) -> None:
        self._known.discard(token)
        self._reports.append(Report(id=token, phase=Phase.ended, outcome=outcome, failure=failure, usage=usage))
        self._reactor.wake()

    def _tell(self, kind: bytes, tokens: Iterable[str]) -> None:
        for token in tokens:
            slot = self._slots.get(token)
            if slot is not None:
                with contextlib.suppress(OSError):
                    slot.channel.sendall(wire.frame(kind, wire.pack({"token": token})))

    def _hang_up(self, slot: _Slot) -> None:
        self._reactor.remove_reader(slot.channel.fileno())
        slot.channel.close()


class _Zygote:
    """The process from which supervisors are forked; started again when it dies."""

    def __init__(self, reactor: Reactor, launch: Launch) -> None:
        self._reactor, self._launch = reactor, launch
        self._preload = True
        self._ready = False
        self._failures = 0
        self.alive = True
        self._start()

    def _start(self) -> None:
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._errors = self._launch.work / "zygote.log"
        with self._errors.open("ab") as errors:
            self._process = subprocess.Popen(
                [*self._launch.command, str(theirs.fileno())],
                env=dict(self._launch.env),
                stdin=subprocess.DEVNULL,
                stdout=errors,
                stderr=errors,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        theirs.close()
        with contextlib.suppress(BrokenPipeError):  # then it has ended already, and its reader is told
            self._channel.send(wire.frame(wire.INIT, wire.pack({**self._launch.header, "preload": self._preload})))
        self._reactor.add_reader(self._channel.fileno(), self._read)

    def hand_over(self, channel: socket.socket) -> None:
        """Have a supervisor forked that lives on this socket."""
        try:
            socket.send_fds(self._channel, [wire.frame(wire.SLOT, wire.pack({}))], [channel.fileno()])
        except OSError:
            pass  # it is gone: so the supervisor's end closes, and the attempt is reported lost
        finally:
            channel.close()

    def sweep(self, directories: Sequence[str]) -> None:
        """Have somebody clean up after attempts that nobody looks after any more."""
        with contextlib.suppress(OSError):
            self._channel.send(wire.frame(wire.SLOT, wire.pack({"directories": list(directories)})))

    def _read(self) -> None:
        try:
            data = self._channel.recv(1 << 16)
        except OSError:
            data = b""
        if data:
            header, _ = wire.unpack(next(iter(wire.FrameReader().feed(data)))[1])
            self._ready = not header["threads"]
            self._preload = self._preload and self._ready
            return
        self._hang_up()
        if not self._ready:
            self._failures += 1
            self._preload = False
        if self._failures > MOST_STARTS:
            self.alive = False
            raise UsageError(f"workers cannot be started: {self._last_words()}")
        self._ready = False
        self._start()

    def _last_words(self) -> str:
        lines = self._errors.read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else f"{self._launch.command[0]} ended at once; see {self._errors}"

    def _hang_up(self) -> None:
        self._reactor.remove_reader(self._channel.fileno())
        self._channel.close()
        self._process.wait()

    def close(self) -> None:
        """End it, and wait until all of its descendants are gone."""
        if not self.alive:
            return
        self.alive = False
        self._reactor.remove_reader(self._channel.fileno())
        self._channel.close()
        try:
            self._process.wait(CLOSING)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


def on_this_machine(site: Any) -> LocalBatchSystem:
    """Made from a `moil.plugins.Site`."""
    settings = site.settings
    ceiling = measure(
        site.work,
        cores=None if settings.max_cores is None else parse_cores(settings.max_cores, "max-cores"),
        memory=None if settings.max_memory is None else parse_size(settings.max_memory, "max-memory"),
        disk=None if settings.max_disk is None else parse_size(settings.max_disk, "max-disk"),
        accelerators=settings.max_accelerators,
    )
    launch = Launch(command=site.command, env=site.env, header=site.header, work=site.work)
    return LocalBatchSystem(site.reactor, Machine(ceiling), launch, max_jobs=settings.max_jobs)
