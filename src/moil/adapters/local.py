r"""Batch system ``local``: this machine, by way of warm processes and a fork for each job.

    leader --- zygote (a fresh interpreter that has imported the user's modules)
       \________ supervisor, supervisor, …  (forks of the zygote, one for each attempt that runs at the same time)
                        \____ the job (a fork of the supervisor)

The leader talks to each supervisor over sockets of its own (`moil.adapters.slots`); the reactor calls back when one of
them has something to say, so nothing here ever polls. Attempts are started in the order they came in; one that does not
fit lets later ones pass, but only so often (`PATIENCE`), so that wide jobs get their turn.

Services hold their cores while they wait for their clients, and clients need cores to run: on a small machine that would
be a deadlock. So while nothing but services runs, the next attempt may share their cores. What cannot be shared
(memory, disk, accelerators) is a real deadlock when nothing is about to end, and the attempt fails and says so.
"""

from __future__ import annotations

import contextlib
import socket
from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from moil.adapters.machine import Grant, Machine, device_variables, measure
from moil.adapters.slots import Slot
from moil.core import wire
from moil.core.records import Failure, Outcome, Usage
from moil.core.requirements import Ceiling, format_size, parse_cores, parse_size
from moil.errors import UsageError
from moil.ports.batch_system import ExternalId, Phase, Report, Submission
from moil.ports.reactor import Reactor
from moil.record import record
from moil.runtime import messages, outbox
from moil.runtime.interpreter import Interpreter
from moil.runtime.messages import Message

PATIENCE = 200
LOOK_AHEAD = 64
QUIET = 3
"""Polls without news after which what looks like a deadlock is one: the leader has acted on all it knew."""
MOST_STARTS = 2
CLOSING = 10.0
QUICKEST = {"job": 0.002, "worker": 0.0003}
"""Seconds that an attempt takes at least, by isolation."""
MOST_PATIENCE = {"job": 0.008, "worker": 0.0}
"""Seconds for which an outcome may lie there while all slots have enough to do, so that it is heard together with others:
that takes a quarter off the leader's CPU time in a recursion (`bench/`, C). Warm workers tell of many at once anyway."""
WORTH_MOVING = 0.002
"""Seconds of work that are worth moving from one slot to another."""
TOGETHER = 64
"""Messages of one slot that are read before others have their turn."""


@record
class Launch:
    """How to start a zygote, and what to tell it."""

    command: Sequence[str]
    env: Mapping[str, str]
    header: Mapping[str, Any]
    work: Path
    #: One that has been started already, if so.
    ahead: Interpreter | None = None


class LocalBatchSystem:
    """Runs attempts on this machine."""

    poll_interval: float | None = None

    def __init__(
        self,
        reactor: Reactor,
        machine: Machine,
        launch: Launch,
        *,
        max_jobs: int | None = None,
        late: Mapping[ExternalId, bytes] = MappingProxyType({}),
    ) -> None:
        """`late`: what slots of leaders before have said of attempts (see `moil.runtime.outbox`)."""
        self._reactor, self._machine, self._launch = reactor, machine, launch
        self._late = dict(late)
        self._max_jobs = max_jobs
        self._host = socket.gethostname()
        self._queue: deque[Submission] = deque()
        self._passed = 0
        self._services = 0
        self._stopping: set[ExternalId] = set()
        self._quiet_polls = 0
        self._made = 0
        #: Slots that have something to do, by number; where each attempt is.
        self._busy: dict[int, Slot] = {}
        self._where: dict[ExternalId, Slot] = {}
        self._idle: list[Slot] = []
        self._known: set[ExternalId] = set()
        self._reports: list[Report] = []
        self._buffer = memoryview(bytearray(messages.PACKET))
        self._zygote = _Zygote(reactor, launch)

    @property
    def ceiling(self) -> Ceiling:
        """What this machine has."""
        return self._machine.ceiling

    @property
    def window(self) -> int:
        """Enough to look past a job that does not fit, and to send ahead."""
        return 64 + 32 * int(self._machine.ceiling.cores or 1)

    @property
    def reasons(self) -> Mapping[str, int]:
        """None: what waits here waits for room."""
        return {}

    def submit(self, submissions: Sequence[Submission]) -> Sequence[ExternalId]:
        """Queue the attempts; they start as soon as there is room."""
        for one in submissions:
            self._known.add(one.token)
            if self._late and (late := self._heard_late(one.token)):
                self._reports.append(late)
                self._reactor.wake()
            else:
                self._queue.append(one)
        self._start_what_fits()
        return [one.token for one in submissions]

    def poll(self, ids: Collection[ExternalId]) -> Iterable[Report]:
        """What has been reported since the last call."""
        self._quiet_polls = 0 if self._reports else self._quiet_polls + 1
        if self._quiet_polls >= QUIET:
            self._break_deadlock()
        reports, self._reports = self._reports, []
        unknown = () if self._known.issuperset(ids) else [one for one in ids if one not in self._known]
        if unknown:
            told = {one.id for one in reports}
            gone = Failure(error="the machine's leader went away while the attempt ran", host=self._host)
            reports.extend(
                self._heard_late(one) or Report(id=one, phase=Phase.ended, outcome=Outcome.lost, failure=gone)
                for one in unknown
                if one not in told
            )
        return reports

    def _heard_late(self, token: ExternalId) -> Report | None:
        """What a slot has said to a leader before, of an attempt that is done; None: nothing."""
        packet = self._late.pop(token, None)
        if packet is None:
            return None
        try:
            told = messages.read(packet)
        except OSError:
            return None
        self._known.discard(token)
        used = Usage(wall=told.wall, cpu=told.cpu, memory=told.memory)
        return Report(id=token, phase=Phase.ended, record=told.body, usage=used, host=self._host)

    def cancel(self, ids: Collection[ExternalId]) -> None:
        """End the attempts, queued or running."""
        gone = set(ids)
        if not gone:
            return
        for slot in {id(slot): slot for one in gone if (slot := self._where.get(one))}.values():
            self._take_back(slot)
        queued = [one.token for one in self._queue if one.token in gone]
        self._queue = deque(one for one in self._queue if one.token not in gone)
        for token in queued:
            self._ended(token, Outcome.cancelled, Failure(error="cancelled before it started", host=self._host))
        self._tell(messages.KILL, gone.difference(queued))
        self._start_what_fits()

    def stop(self, ids: Collection[ExternalId]) -> None:
        """Let services go on to their end."""
        self._stopping.update(token for token in ids if token in self._where)
        self._tell(messages.STOP, ids)

    def close(self) -> None:
        """End all that runs. Supervisors end when their socket closes, and everything of theirs before that."""
        for slot in [*self._busy.values(), *self._idle]:
            self._hang_up(slot)
            slot.close()
        self._busy.clear()
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
        if self._queue:
            self._send_ahead()
        elif not self._machine.full:
            self._share_out()

    def _send_ahead(self) -> None:
        """What is next in the queue, to those who are about to come to their end, as long as it fits there."""
        most = 1 + len(self._queue) // max(1, len(self._busy))
        for slot in self._busy.values():
            for _ in range(min(most, slot.room)):
                if not self._queue or not slot.takes(self._queue[0]) or not self._give(slot, self._queue[0]):
                    break
                self._queue.popleft()

    def _share_out(self) -> None:
        """There is room, and nobody in the queue: half of what was sent ahead to one slot is better off elsewhere."""
        slot = max(self._busy.values(), key=lambda one: one.work, default=None)
        if slot is None or slot.work < WORTH_MOVING:
            return
        self._take_back(slot)
        for _ in range(len(self._queue) // 2):
            if self._give(slot, self._queue[0]):
                self._queue.popleft()
        while self._queue and not self._at_limit([]):
            grant = self._machine.take(self._queue[0].requirements)
            if grant is None:
                break
            self._start(self._queue.popleft(), grant)
        self._send_ahead()

    def _take_back(self, slot: Slot) -> None:
        """To the head of the queue."""
        back = slot.take_back()
        for one in back:
            del self._where[one.token]
        self._queue.extendleft(reversed(back))

    def _at_limit(self, blocked: list[Submission]) -> bool:
        if self._max_jobs is not None and len(self._busy) >= self._max_jobs:
            return True
        if blocked and self._passed >= PATIENCE:
            return True
        return self._machine.full and not self._only_services()

    def _only_services(self) -> bool:
        return self._services == len(self._busy)

    def _break_deadlock(self) -> None:
        """Nothing runs but services that nobody has stopped, and the next attempt cannot start beside them."""
        if not self._queue or not self._busy or not self._only_services() or self._stopping:
            return
        head = self._queue.popleft()
        holders = ", ".join(slot.outstanding[0].name for slot in self._busy.values())
        wanted = head.requirements
        why = (
            f"deadlock: it needs {format_size(wanted.memory)} of memory, {format_size(wanted.disk)} of disk and "
            f"{sum(one.count for one in wanted.accelerators)} accelerator(s), and the services {holders}, which wait for "
            "their clients, hold the rest; ask for less, or raise --max-memory or --max-disk"
        )
        self._ended(head.token, Outcome.failed, Failure(error=why, host=self._host))

    def _start(self, submission: Submission, grant: Grant) -> None:
        slot = self._idle.pop() if self._idle else self._new_slot()
        slot.grant = grant
        self._busy[slot.number] = slot
        self._services += submission.service
        self._give(slot, submission)

    def _give(self, slot: Slot, submission: Submission) -> bool:
        """Send an attempt to a slot that has been granted what it needs."""
        assert slot.grant is not None
        given = slot.give(submission, self._task(submission, slot.grant), f"{self._launch.work}/{submission.token}.task")
        if given:
            self._where[submission.token] = slot
        return given

    def _task(self, submission: Submission, grant: Grant) -> Message:
        wanted, body = submission.requirements, submission.task
        assert body is not None, "the local batch system takes task records in submissions"
        flags = messages.SERVICE if submission.service else 0
        if self._machine.ceiling.accelerators:
            flags |= messages.VARIABLES
            body = wire.pack({"env": device_variables(grant.devices)}, [body])
        walltime = wanted.walltime or 0.0
        return Message(messages.TASK, submission.token, body, wall=walltime, memory=wanted.memory, flags=flags)

    def _new_slot(self) -> Slot:
        self._made += 1
        slot = Slot(self._made, quickest=QUICKEST[self._launch.header["isolation"]])
        self._zygote.hand_over(slot)
        self._reactor.add_reader(slot.channel.fileno(), lambda: self._read(slot), self._patience)
        return slot

    def _patience(self) -> float:
        """Half of what all slots have before them that they have not begun, if there is no room for more."""
        if not self._machine.full:
            return 0.0
        least = min((slot.spare for slot in self._busy.values()), default=0.0)
        return min(MOST_PATIENCE[self._launch.header["isolation"]], least / 2)

    # -- listening -----------------------------------------------------------------------------------------------

    def _read(self, slot: Slot) -> None:
        for _ in range(TOGETHER):
            try:
                size = slot.channel.recv_into(self._buffer, 0, socket.MSG_DONTWAIT)
            except BlockingIOError:
                break
            except OSError:
                size = 0
            if not size:
                self._slot_died(slot)
                return
            self._take(slot, messages.read(bytes(self._buffer[:size])))
        self._reactor.wake()
        self._start_what_fits()

    def _take(self, slot: Slot, told: Message) -> None:
        kind, token = told.kind, told.token
        if self._where.get(token) is not slot:
            return
        while slot.outstanding[0].token != token:
            before = slot.outstanding[0].token
            self._over(slot, Message(messages.ENDED, before), Usage())
        if kind == messages.STARTED:
            if slot.returned != token:  # the job's own word may come before its supervisor's
                self._reports.append(Report(id=token, phase=Phase.started, host=self._host))
            slot.note(1.0)
            self._take_back(slot)
            return
        used = Usage(wall=told.wall, cpu=told.cpu, memory=told.memory)
        if kind == messages.ENDED:
            self._over(slot, told, used)
            return
        slot.note(told.wall)
        if kind == messages.DONE:
            self._free(slot, token)
            self._known.discard(token)
            self._reports.append(Report(id=token, phase=Phase.ended, record=told.body, usage=used, host=self._host))
            return
        phase = Phase.up if kind == messages.UP else Phase.returned
        slot.returned = token if phase is Phase.returned else ""
        self._reports.append(Report(id=token, phase=phase, record=told.body, usage=used, host=self._host))

    def _over(self, slot: Slot, told: Message, used: Usage) -> None:
        outcome, failure = self._verdict(slot, told)
        self._free(slot, told.token)
        self._ended(told.token, outcome, failure, used)

    def _verdict(self, slot: Slot, told: Message) -> tuple[Outcome, Failure | None]:
        """How the supervisor says that the attempt ended; that it did not say why is no failure if its outcome came."""
        outcome, why, by_supervisor = messages.ending(told)
        excused = slot.returned == told.token and not by_supervisor
        return outcome, None if excused else Failure(error=why, host=self._host)

    def _slot_died(self, slot: Slot) -> None:
        """What it had begun is lost, and the first in its queue for sure: it may be at fault."""
        self._hang_up(slot)
        if slot in self._idle:
            self._idle.remove(slot)
            slot.close()
            return
        first = slot.outstanding[0].token
        back = [one for one in slot.take_back() if one.token != first]
        for one in back:
            del self._where[one.token]
        slot.close()
        self._queue.extendleft(reversed(back))
        self._zygote.sweep([str(self._launch.work / slot.home)])
        why = self._zygote.why_gone() if self._zygote.alive else "the worker could not be started"
        for token in dict.fromkeys([first, *(one.token for one in slot.outstanding)]):
            self._free(slot, token, keep=False)
            self._ended(token, Outcome.lost, Failure(error=why, host=self._host))
        self._start_what_fits()

    def _free(self, slot: Slot, token: str, *, keep: bool = True) -> None:
        """The attempt is over. What was granted goes on to the next one like it; else it is given back."""
        del self._where[token]
        self._stopping.discard(token)
        ended = slot.finish(token)
        self._services -= ended is not None and ended.service
        if slot.outstanding or slot.grant is None:
            return
        self._machine.give_back(slot.grant)
        slot.grant = None
        del self._busy[slot.number]
        if keep:
            self._idle.append(slot)

    def _ended(self, token: str, outcome: Outcome, failure: Failure | None, usage: Usage = Usage()) -> None:
        self._known.discard(token)
        self._reports.append(Report(id=token, phase=Phase.ended, outcome=outcome, failure=failure, usage=usage))
        self._reactor.wake()

    def _tell(self, kind: bytes, tokens: Iterable[str]) -> None:
        for token in tokens:
            slot = self._where.get(token)
            if slot is not None:
                slot.tell(kind, token)

    def _hang_up(self, slot: Slot) -> None:
        self._reactor.remove_reader(slot.channel.fileno())
        slot.hang_up()


class _Zygote:
    """The process from which supervisors are forked; started again when it dies."""

    def __init__(self, reactor: Reactor, launch: Launch) -> None:
        self._reactor, self._launch = reactor, launch
        self._preload = True
        self._ready = False
        self._failures = 0
        self.alive = True
        self._start(launch.ahead)

    def _start(self, ahead: Interpreter | None = None) -> None:
        command, env = list(self._launch.command), dict(self._launch.env)
        if ahead is None or (ahead.command, ahead.env) != (command, env):
            ahead = Interpreter(command, env)
        self._process, self._channel = ahead, ahead.channel
        with contextlib.suppress(BrokenPipeError):  # then it has ended already, and its reader is told
            self._channel.send(wire.frame(wire.INIT, wire.pack({**self._launch.header, "preload": self._preload})))
        self._reactor.add_reader(self._channel.fileno(), self._read)

    def hand_over(self, slot: Slot) -> None:
        """Have a supervisor forked that lives on the slot's sockets."""
        order = wire.frame(wire.SLOT, wire.pack({"home": slot.home}))
        with contextlib.suppress(OSError):  # it is gone: so the supervisor's end closes, and the attempt is reported lost
            socket.send_fds(self._channel, [order], [slot.far_channel.fileno(), slot.far_queue.fileno()])
        slot.far_channel.close()

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

    def why_gone(self) -> str:
        """What became of a supervisor that is not there any more: it has said so, or had no time to."""
        said = [line.removeprefix(messages.FAILED) for line in self._process.new_words() if line.startswith(messages.FAILED)]
        return f"the worker's supervisor failed: {said[-1]}" if said else "the worker's supervisor was killed"

    def _last_words(self) -> str:
        return self._process.last_words() or f"{self._launch.command[0]} ended at once"

    def _hang_up(self) -> None:
        self._reactor.remove_reader(self._channel.fileno())
        self._channel.close()
        self._process.wait(CLOSING)

    def close(self) -> None:
        """End it, and wait until all of its descendants are gone."""
        if not self.alive:
            return
        self.alive = False
        self._reactor.remove_reader(self._channel.fileno())
        self._process.close(CLOSING)


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
    launch = Launch(command=site.command, env=site.env, header=site.header, work=site.work, ahead=site.ahead)
    late = outbox.read(site.work)
    return LocalBatchSystem(site.reactor, Machine(ceiling), launch, max_jobs=settings.max_jobs, late=late)
