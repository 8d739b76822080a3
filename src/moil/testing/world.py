"""A whole run in one process, with time, chance and misfortune as arguments.

The leader, the core, the journal and the code that runs jobs are the real ones. Simulated are the clock, which jumps to
the next moment at which anything can happen, and the batch system, which runs an attempt in this process when the seed
says so. Everything that happens follows from the seed: a failure is reproduced by running it again.

    world = SimulatedWorld(seed=7, mishaps=Mishaps(lost=0.1))
    assert world.run(main, 3) == main(3)

Jobs of a simulated run share this process, so they must not change its working directory or its globals.
"""

from __future__ import annotations

import random
import shutil
import tempfile
import weakref
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from moil.adapters.memory import MemoryDisk, MemoryStore
from moil.authoring.context import Callee
from moil.authoring.file import File
from moil.authoring.job import job
from moil.core import invariants
from moil.core.events import Event, RunStarted
from moil.core.policy import Policy
from moil.core.records import Call, Failure, JobState, Outcome, Usage
from moil.core.requirements import Ceiling
from moil.core.workflow import Workflow
from moil.errors import WorkflowFailed
from moil.ports.batch_system import ExternalId, Phase, Report, Submission
from moil.ports.job_store import DurableStore
from moil.ports.reactor import at_once
from moil.runtime import codec, deferred, files, journal, report, values
from moil.runtime.execute import Execution, Place
from moil.runtime.leader import Leader, World
from moil.runtime.records import decode_task, encode_outcome

GENEROUS = Policy(retries=3, backoff=1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mishaps:
    """How likely it is that an attempt meets each of these, instead of running to its end."""

    lost: float = 0.0
    preempted: float = 0.0
    node_failed: float = 0.0
    #: It runs, and its outcome is lost on the way.
    unheard: float = 0.0


class SimulatedClock:
    """Time that passes only when nothing else can happen."""

    def __init__(self) -> None:
        self.time = 1_000_000.0

    def now(self) -> float:
        """The present."""
        return self.time


@dataclass(slots=True)
class _Running:
    submission: Submission
    execution: Execution | None = None
    stopped: bool = False
    reports: list[Report] = field(default_factory=list)
    told: list[Report] = field(default_factory=list)


class SimulatedBatchSystem:
    """Runs attempts in this process, in an order that the random numbers choose. Survives its leader."""

    poll_interval: float | None = None

    def __init__(self, chance: random.Random, home: Path, *, window: int = 8, mishaps: Mishaps = Mishaps()) -> None:
        self._chance, self._home, self._mishaps = chance, home, mishaps
        self.window = window
        self.ceiling = Ceiling(cores=64.0, memory=1 << 40, disk=1 << 40, accelerators=8)
        self.store: DurableStore | None = None
        self._out: dict[ExternalId, _Running] = {}
        self._over: dict[ExternalId, _Running] = {}
        self._news: list[Report] = []
        #: Every attempt that was run, in order: (job id, attempt).
        self.executed: list[tuple[int, int]] = []
        #: How many of these the leaders before the present one had seen.
        self.executed_before = 0

    @property
    def reasons(self) -> Mapping[str, int]:
        """None: it is chance."""
        return {}

    def submit(self, submissions: Sequence[Submission]) -> Sequence[ExternalId]:
        """Take them; each starts when its time comes."""
        for one in submissions:
            self._out[one.token] = _Running(one)
        return [one.token for one in submissions]

    def poll(self, ids: Collection[ExternalId]) -> Iterable[Report]:
        """What has happened since; unknown attempts are lost."""
        news, self._news = self._news, []
        known = {*self._out, *self._over}
        news += [Report(id=one, phase=Phase.ended, outcome=Outcome.lost) for one in ids if one not in known]
        return news

    def cancel(self, ids: Collection[ExternalId]) -> None:
        """They end at once."""
        for one in ids:
            if one in self._out:
                self._end(one, Outcome.cancelled)

    def stop(self, ids: Collection[ExternalId]) -> None:
        """Services end when their time comes."""
        for one in ids:
            if one in self._out:
                self._out[one].stopped = True

    def close(self) -> None:
        """A leader's end does not end what runs."""

    def forget(self) -> None:
        """Everything that ran is gone, as with the machine under it."""
        self._out.clear()
        self._over.clear()
        self._news.clear()

    def reconnect(self) -> None:
        """A new leader hears everything again: what the last one was told, it may not have written down."""
        self._news.clear()
        self._out.update(self._over)
        self._over.clear()
        for running in self._out.values():
            running.reports, running.told = [*running.told, *running.reports], []

    def act(self) -> bool:
        """Let one thing happen, if anything can."""
        able = [token for token, one in self._out.items() if one.reports or one.execution is None or one.stopped]
        if not able:
            return False
        token = self._chance.choice(able)
        running = self._out[token]
        if running.reports:
            self._tell(running.reports.pop(0))
        elif running.execution is None:
            self._start(token, running)
        else:
            self._finish(token, running)
        return True

    def _tell(self, one: Report) -> None:
        self._news.append(one)
        self._out[one.id].told.append(one)
        if one.phase is Phase.ended:
            self._over[one.id] = self._out.pop(one.id)

    def _end(self, token: ExternalId, outcome: Outcome) -> None:
        failure = Failure(error=f"simulated: {outcome.value}")
        self._tell(Report(id=token, phase=Phase.ended, outcome=outcome, failure=failure))

    def _start(self, token: ExternalId, running: _Running) -> None:
        fate = self._fate()
        if fate is not None and fate is not Outcome.completed:
            self._end(token, fate)
            return
        assert self.store is not None
        assert running.submission.task is not None
        task = decode_task(running.submission.task)
        self.executed.append((task.job, task.attempt))
        place = self._place(token)
        running.execution = Execution(task, place)
        record = running.execution.start() if task.service else running.execution.run()
        started = Report(id=token, phase=Phase.started, host="simulated")
        service_up = task.service and record.outcome is Outcome.completed
        phase = Phase.up if service_up else Phase.returned
        running.reports = [started, Report(id=token, phase=phase, record=encode_outcome(record), usage=Usage(wall=1.0))]
        if not service_up:
            running.reports.append(Report(id=token, phase=Phase.ended))
            self._clean_up(place)
        if fate is Outcome.completed:
            running.reports = [started, Report(id=token, phase=Phase.ended, outcome=Outcome.lost)]

    def _finish(self, token: ExternalId, running: _Running) -> None:
        assert running.execution is not None
        record = running.execution.stop()
        running.stopped = False
        self._clean_up(self._place(token))
        running.reports = [
            Report(id=token, phase=Phase.returned, record=encode_outcome(record)),
            Report(id=token, phase=Phase.ended),
        ]

    def _fate(self) -> Outcome | None:
        """None: all goes well. Completed: it runs, and nobody hears of it."""
        draw = self._chance.random()
        for outcome, chance in (
            (Outcome.lost, self._mishaps.lost),
            (Outcome.preempted, self._mishaps.preempted),
            (Outcome.node_failed, self._mishaps.node_failed),
            (Outcome.completed, self._mishaps.unheard),
        ):
            if draw < chance:
                return outcome
            draw -= chance
        return None

    def _place(self, token: str) -> Place:
        directory = self._home / token
        scratch = directory / "scratch"
        scratch.mkdir(parents=True, exist_ok=True)
        assert self.store is not None
        cache = self._home / "cache"
        return Place(
            store=self.store, cache=cache, scratch=scratch, files=directory / "files", deferred=directory / "deferred"
        )

    def _clean_up(self, place: Place) -> None:
        if deferred.pending(place.deferred):
            deferred.run(place.deferred)
        shutil.rmtree(place.scratch.parent, ignore_errors=True)


class _SimulatedReactor:
    def __init__(self, clock: SimulatedClock, batch: SimulatedBatchSystem) -> None:
        self._clock, self._batch = clock, batch

    def add_reader(self, fd: int, callback: Callable[[], None], patience: Callable[[], float] = at_once) -> None:
        raise NotImplementedError("a simulated world has no file descriptors")

    def remove_reader(self, fd: int) -> None:
        raise NotImplementedError("a simulated world has no file descriptors")

    def wake(self) -> None:
        return

    def wait(self, until: float | None) -> None:
        if not self._batch.act() and until is not None:
            self._clock.time = max(self._clock.time, until)


class _Checker:
    """An observer that has the invariants checked after each event, and gives up on a run that goes nowhere."""

    def __init__(self, most: int) -> None:
        self._left = most

    def on_events(self, events: Sequence[Event], workflow: Workflow) -> None:  # noqa: ARG002
        self._left -= 1
        if self._left < 0:
            states = ", ".join(f"{one} {one.state.value}" for one in workflow.graph.jobs.values() if not one.settled)
            raise AssertionError(f"the run goes nowhere: {states}")
        invariants.check(workflow)

    def close(self) -> None:
        return


class SimulatedWorld:
    """A clock, a batch system and a disk on which runs can start, die and start again."""

    def __init__(
        self, seed: int = 0, *, mishaps: Mishaps = Mishaps(), policy: Policy = GENEROUS, disk: MemoryDisk | None = None
    ) -> None:
        self.disk = MemoryDisk() if disk is None else disk
        self.clock = SimulatedClock()
        self.policy = policy
        self.home = Path(tempfile.mkdtemp(prefix="moil-world-"))
        weakref.finalize(self, shutil.rmtree, self.home, ignore_errors=True)
        chance = random.Random(seed)  # noqa: S311 - it is to be repeatable
        self.batch = SimulatedBatchSystem(chance, self.home, mishaps=mishaps)
        self.workflow: Workflow | None = None
        #: Jobs that were done when the last leader started: these must not run again.
        self.done_before: frozenset[int] = frozenset()

    def run(self, fn: Callable[..., Any], *args: Any, store: DurableStore | None = None, steps: int = 10_000) -> Any:
        """Run ``fn(*args)``, or go on with the run that is on the disk. Raises WorkflowFailed, and what a fault raises.

        `store` may be a `FaultyStore` on ``MemoryStore(world.disk)``. Invariants are checked all along.
        """
        store = MemoryStore(self.disk) if store is None else store
        self.batch.store = store
        world = World(
            store=store,
            batch=self.batch,
            reactor=_SimulatedReactor(self.clock, self.batch),
            clock=self.clock,
            header=journal.Header(host="simulated"),
        )
        log = store.open_journal([journal.encode_header(world.header)])
        replayed = journal.replay(log.replay())
        invariants.check(replayed.workflow)
        jobs = replayed.workflow.graph.jobs.values()
        self.done_before = frozenset(one.id for one in jobs if one.state is JobState.done)
        self.batch.reconnect()
        self.batch.executed_before = len(self.batch.executed)
        first = self._first(fn, args, store, fresh=not jobs)
        leader = Leader(world, replayed, log, [_Checker(steps)])
        self.workflow = leader.workflow
        leader.run(first)
        leader.close()
        return self._value(leader, store)

    def _first(self, fn: Callable[..., Any], args: Sequence[Any], store: DurableStore, *, fresh: bool) -> RunStarted:
        at = self.clock.now()
        if not fresh:
            return RunStarted(at=at, policy=self.policy)
        callee: Callee = fn if hasattr(fn, "settings") else job(fn)  # type: ignore[assignment]
        access = files.FileAccess(store, self.home / "cache", self.home / "files")
        encoder = codec.Encoder(self, lambda file: access.save(file.path()))
        data, found = encoder.dumps((callee.bare(), tuple(args), {}))
        root = Call(
            name=callee.name,
            task=codec.place(data, store),
            retries=callee.settings.retries,
            checkpoint=callee.settings.checkpoint,
        )
        return RunStarted(at=at, policy=self.policy, root=root, files=tuple(sorted(found.files | access.saved)))

    def _value(self, leader: Leader, store: DurableStore) -> Any:
        workflow = leader.workflow
        if workflow.failed:
            text = report.failure_report(workflow, store, store.locator, ())
            raise WorkflowFailed(report.headline(workflow), report=text)
        stored = values.collect(workflow, [workflow.root])
        access = files.FileAccess(store, self.home / "cache", self.home / "results")

        def make_file(name: str, digest: str, size: int) -> File:
            return File.stored(name, digest, size, access.fetch(File.stored(name, digest, size)))

        return codec.resolver(workflow.root.id, stored, leader.read, make_file)(0, ())

    def reboot(self) -> None:
        """All workers are gone; only the disk is left."""
        self.batch.forget()
