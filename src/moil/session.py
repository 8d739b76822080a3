"""One run, from its first call to its value: opens what a leader needs, and puts everything away again.

This is part of the composition root: it knows the store, the batch system, the work directory and the observers, so
that none of them need know another.
"""

from __future__ import annotations

import atexit
import contextlib
import datetime as dt
import json
import os
import re
import shlex
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from moil import plugins, workdir
from moil.authoring import plain
from moil.authoring.context import Callee
from moil.authoring.file import File
from moil.core.events import RunStarted
from moil.core.records import Call, Stored
from moil.core.requirements import excess, parse_size
from moil.core.workflow import Workflow
from moil.engine_settings import EngineSettings
from moil.errors import Interrupted, MoilError, NoSuchKey, RequirementError, UsageError, WorkflowFailed
from moil.measures import to_policy
from moil.ports.batch_system import BatchSystem
from moil.ports.job_store import DurableStore
from moil.ports.observer import Observer
from moil.record import field, record
from moil.resume import resume_words
from moil.runtime import codec, entry, files, interpreter, journal, report, status, values
from moil.runtime.divided import DividedBatchSystem
from moil.runtime.leader import Leader, World
from moil.runtime.reactor import SelectorReactor, SystemClock
from moil.version import __version__

if TYPE_CHECKING:
    from moil.shipping import Shipping

RUNS = Path("moil-runs")
RECORD = "run.json"
RECORD_FORMAT = 1


@record
class Start:
    """What to run, and how."""

    callee: Callee
    args: Sequence[Any] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    settings: EngineSettings
    #: The adapters' own settings, by class.
    others: Mapping[type[Any], Any] = field(default_factory=dict)
    #: The arguments in words, where they came from a command line: a resumed run must be given the same.
    arguments: Mapping[str, str] = field(default_factory=dict)
    #: The words that start this program again; ``--job-store … --restart`` is added to them.
    command: Sequence[str] = ()
    #: Makes those who are told how it goes; they may ask why what waits in the batch system's queue does.
    observers: Callable[[status.Reasons], Sequence[Observer]] = lambda _reasons: ()
    say: Callable[[str], None] = lambda _text: None
    program: entry.Entry | None = None
    #: A worker that has been started already, if so.
    ahead: interpreter.Interpreter | None = None


class Session:
    """A run in this process."""

    def __init__(self, start: Start) -> None:
        self._start = start
        self._settings = start.settings
        self._clock = SystemClock()
        self._own_store = start.settings.job_store is None
        #: Whether the store has been made for this run, and whether the run has begun.
        self._is_new = self._has_begun = False
        self._shipping: Shipping | None = None
        self._workflow: Workflow | None = None

    def run(self) -> Any:
        """The workflow's value. Raises WorkflowFailed, Interrupted, and every error of set-up."""
        with contextlib.ExitStack() as stack:
            if self._start.ahead is not None:
                stack.callback(self._start.ahead.close, 0.0)
            store = self._store = self._open_store()
            stack.callback(store.close)
            stack.callback(self._forget_unbegun)
            run_id = self._run_id(store)
            work = workdir.prepare(self._settings.work_dir, run_id, force=self._settings.force_work_dir)
            stack.callback(self._remove_work, work)
            reactor = SelectorReactor(self._clock)
            stack.callback(reactor.close)
            batch = self._open_batch(reactor, work, run_id)
            stack.callback(batch.close)
            world = World(store=store, batch=batch, reactor=reactor, clock=self._clock, header=self._header())
            return self._lead(world, work)

    # -- setting up ----------------------------------------------------------------------------------------------

    def _open_store(self) -> DurableStore:
        locator = self._settings.job_store
        if locator is None:
            if self._settings.restart:
                raise UsageError("--restart needs --job-store: name the run that is to be resumed")
            return self._new_store(str(_fresh_locator(self._start.callee.name)))
        if self._settings.restart:
            return self._existing_store(locator)
        if _is_used(locator):
            again = shlex.join(resume_words(self._start.command, locator, str(Path.cwd())))
            how = f"--restart ({again})" if again else "restart=True"
            raise UsageError(
                f"job store {locator} already holds a run; resume it with {how}, "
                f"or remove it with: moil clean {shlex.quote(locator)}"
            )
        return self._new_store(locator)

    def _new_store(self, locator: str) -> DurableStore:
        store = plugins.open_store(locator, create=True)
        run_id = f"{_now():%Y%m%d-%H%M%S}-{os.urandom(4).hex()}"
        record = {
            "format": RECORD_FORMAT,
            "id": run_id,
            "name": self._start.callee.name,
            "arguments": dict(self._start.arguments),
            "command": list(self._start.command),
            "directory": str(Path.cwd()),
            "moil": __version__,
            "python": sys.version.split()[0],
        }
        store.put(RECORD, json.dumps(record, indent=1).encode())
        self._is_new = True
        return store

    def _existing_store(self, locator: str) -> DurableStore:
        if not _is_used(locator):
            raise UsageError(f"job store {locator} holds no run that could be resumed; start one without --restart")
        return plugins.open_store(locator)

    def _run_id(self, store: DurableStore) -> str:
        try:
            record = json.loads(store.get(RECORD))
        except NoSuchKey:
            raise UsageError(f"job store {store.locator} holds no run; remove it with: moil clean {store.locator}") from None
        if record["format"] != RECORD_FORMAT:
            raise UsageError(f"the run in {store.locator} was started by Moil {record['moil']}; resume it with that version")
        self._check_arguments(record["arguments"])
        run_id: str = record["id"]
        return run_id

    def _check_arguments(self, before: Mapping[str, str]) -> None:
        """A run goes on with what it was started with; other arguments would be silently ignored."""
        now = self._start.arguments
        changed = [name for name in now if before and now[name] != before.get(name)]
        if changed:
            name = changed[0]
            raise UsageError(
                f"the run in {self._store.locator} was started with {name}={before.get(name)} and can only go on with that, "
                f"not with {name}={now[name]}; leave the arguments as they were, or start another run"
            )

    def _open_batch(self, reactor: SelectorReactor, work: Path, run_id: str) -> BatchSystem:
        program = self._start.program or entry.find()
        site = self._site(reactor, work, program)
        name = self._settings.batch_system
        if not plugins.is_scheduler(name):
            return plugins.open_batch_system(name, site)
        from moil.shipping import Program, Shipping

        self._shipping = Shipping(
            site,
            self._store,
            Program(
                entry=program,
                modules=_modules_of(self._start.callee),
                flags=interpreter.interpreter_flags(),
                run=run_id,
                clock=self._clock,
                say=self._start.say,
                wants=self._wants,
            ),
        )
        return DividedBatchSystem(self._shipping.open(), lambda: plugins.open_batch_system("local", site))

    def _wants(self, token: str) -> bool:
        """Whether an attempt that a leader before has submitted is one that counts."""
        job, _, attempt = token.partition(".")
        return self._workflow is None or self._workflow.is_current(int(job), int(attempt))

    def _site(self, reactor: SelectorReactor, work: Path, program: entry.Entry) -> plugins.Site:
        return plugins.Site(
            settings=self._settings,
            others=self._start.others,
            reactor=reactor,
            command=interpreter.worker_command(
                self._settings.worker_python if self._settings.batch_system == "local" else None
            ),
            env={**os.environ, **interpreter.variables(self._settings.env)},
            header={
                "entry": program.header(),
                "modules": _modules_of(self._start.callee),
                "store": self._store.locator,
                "work": str(work),
                "log_limit": parse_size(self._settings.max_log_size, "max-log-size"),
                "isolation": self._settings.isolation,
                "env": {},
                "sweep": [str(one) for one in workdir.leftovers(work)],
            },
            work=work,
            ahead=self._start.ahead,
        )

    def _header(self) -> journal.Header:
        return journal.Header(host=socket.gethostname(), pid=os.getpid(), at=self._clock.now())

    # -- running -------------------------------------------------------------------------------------------------

    def _lead(self, world: World, work: Path) -> Any:
        log = world.store.open_journal([journal.encode_header(world.header)])
        replayed = journal.replay(log.replay())
        self._workflow = replayed.workflow
        fresh = not replayed.workflow.graph.jobs
        if not any(job.live for job in replayed.workflow.graph.jobs.values()):
            collect_garbage(world.store, replayed)
        first = self._first_event(world, work, fresh=fresh)
        if self._shipping is not None:
            self._shipping.rehearse(first.root)
        self._has_begun = True
        self._start.say(f"run {self._start.callee.name} is kept in {world.store.locator}")
        writer = status.StatusWriter(world.store, replayed, self._clock, lambda: world.batch.reasons)
        observers = [writer, *self._start.observers(lambda: world.batch.reasons)]
        leader = Leader(world, replayed, log, observers)
        try:
            with _interruptible(leader):
                leader.run(first)
            return self._value(leader, world)
        except (Interrupted, KeyboardInterrupt) as error:
            writer.end_state = "interrupted"
            raise self._interrupted(str(error) or "stopped at once") from None
        finally:
            self._close(leader, world.batch, replayed)

    def _first_event(self, world: World, work: Path, *, fresh: bool) -> RunStarted:
        policy = to_policy(self._settings, world.batch.ceiling)
        at = self._clock.now()
        if not fresh:
            return RunStarted(at=at, policy=policy)
        access = files.FileAccess(world.store, work / "cache", work / "files")
        encoder = codec.Encoder(self, lambda file: access.save(_required(file)))
        callee = self._start.callee
        data, found = encoder.dumps((callee.bare(), tuple(self._start.args), dict(self._start.kwargs)))
        asked = dict(callee.settings.request)
        call = Call(
            name=callee.name,
            task=codec.place(data, world.store),
            request=values.plain_request(asked, callee.name),
            retries=callee.settings.retries,
            checkpoint=callee.settings.checkpoint,
        )
        too_much = excess(call.request, policy.ceiling)
        if too_much:
            raise RequirementError(f"job {callee.name} asks for {too_much}: lower it, or run where there is more")
        return RunStarted(at=at, policy=policy, root=call, files=tuple(sorted(found.files | access.saved)))

    def _value(self, leader: Leader, world: World) -> Any:
        workflow = leader.workflow
        if workflow.failed:
            kept = not self._to_be_removed(workflow)
            locator, resume = (world.store.locator, self.resume()) if kept else ("", ())
            text = report.failure_report(workflow, world.store, locator, resume)
            raise WorkflowFailed(report.headline(workflow), report=text)
        entry.alias_main()
        stored = values.collect(workflow, [workflow.root])
        make_file = Results(world.store).make_file
        return codec.resolver(workflow.root.id, stored, leader.read, make_file)(0, ())

    def _close(self, leader: Leader, batch: BatchSystem, replayed: journal.Replayed) -> None:
        """Workers first: they write to the store, which may be about to go."""
        workflow = leader.workflow
        batch.close()
        with contextlib.suppress(MoilError) if sys.exc_info()[0] else contextlib.nullcontext():
            leader.close()
            if self._to_be_removed(workflow):
                self._remove_store()
            elif workflow.finished:
                collect_garbage(self._store, replayed)

    def _to_be_removed(self, workflow: Workflow) -> bool:
        if not workflow.finished:
            return False
        when = self._settings.clean
        return when in ("always", "on-error" if workflow.failed else "on-success")

    def _forget_unbegun(self) -> None:
        """A run whose set-up was wrong leaves nothing behind."""
        if self._is_new and not self._has_begun:
            self._remove_store()

    def _remove_store(self) -> None:
        self._store.destroy()
        if self._own_store:
            with contextlib.suppress(OSError):
                RUNS.rmdir()

    def _remove_work(self, work: Path) -> None:
        workdir.remove(work)

    def resume(self) -> list[str]:
        """The words that resume this run."""
        return resume_words(self._start.command, self._store.locator, str(Path.cwd()))

    def _interrupted(self, why: str) -> Interrupted:
        command = self.resume()
        how = f"resume with: {shlex.join(command)}" if command else f"resume it with restart=True, {self._store.locator}"
        return Interrupted(f"{why}; what is done is kept; {how}")


def collect_garbage(store: DurableStore, replayed: journal.Replayed) -> None:
    """Remove what attempts have stored that never committed. Only while nothing runs."""
    kept = {f"files/{digest}" for digest in files.referenced(store, replayed.summary.files)}
    for job in replayed.workflow.graph.jobs.values():
        kept.update(data.key for data in (job.call.task, job.value) if isinstance(data, Stored))
    store.delete([key for prefix in ("files/", "values/") for key in store.keys(prefix) if key not in kept])


class Results:
    """Local copies of the files in a run's value, which outlive its job store; removed when this process ends."""

    def __init__(self, store: DurableStore) -> None:
        self._store = store
        self._access: files.FileAccess | None = None

    def make_file(self, name: str, digest: str, size: int) -> File:
        """The file, at home."""
        if self._access is None:
            home = Path(plain.new_directory(prefix="moil-results-"))
            atexit.register(plain.discard, home)
            self._access = files.FileAccess(self._store, home / "cache", home)
        return File.stored(name, digest, size, self._access.fetch(File.stored(name, digest, size)))


@contextlib.contextmanager
def _interruptible(leader: Leader) -> Iterator[None]:
    """The first Ctrl-C (or SIGTERM) ends the run in good order, the second at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def on_signal(number: int, frame: FrameType | None) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(number)
        leader.interrupt(f"stopped by {signal.Signals(number).name}")

    asked: list[int] = []
    before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _now() -> dt.datetime:
    """Here and now: names of runs are for the person who started them."""
    return dt.datetime.now().astimezone()


def _fresh_locator(name: str) -> Path:
    stamp = f"{_now():%Y%m%d-%H%M%S}"
    suffix = os.urandom(2).hex()
    return RUNS.absolute() / f"{re.sub(r'[^A-Za-z0-9_.-]+', '', name) or 'run'}-{stamp}-{suffix}"


def _is_used(locator: str) -> bool:
    path = locator.removeprefix("file://")
    if "://" in path:
        plugins.open_store(locator).close()
        return True
    return Path(path).exists() and any(Path(path).iterdir())


def _modules_of(callee: Callee) -> list[str]:
    module = getattr(callee.fn, "__module__", None)
    return [module] if module and module not in ("__main__", entry.PRIVATE_NAME) and module in sys.modules else []


def _required(file: File) -> Path:
    file.require()
    return file.path()
