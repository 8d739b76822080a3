"""What the reading verbs share: a run opened from outside, beside a leader that may be at work on it.

What they show comes from the run's stored status, which is small however large the run, and which the leader renews
every second. The journal is read only where the status does not tell: a leader that was killed could not write its last
one, so that the journal is replayed if it is small (`SMALL`); and single jobs stand nowhere else. Nothing here writes.
"""


from __future__ import annotations

import contextlib
import json
import re
import shlex
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from moil import plugins
from moil.adapters.directory import exists
from moil.core.graph import Job
from moil.core.workflow import Workflow
from moil.engine_settings import EngineSettings
from moil.errors import DamagedError, MoilError, NoSuchKey, StoreError, UsageError
from moil.ports.job_store import DurableStore
from moil.record import changed, record
from moil.resume import resume_words
from moil.runtime import journal, status
from moil.runtime.status import Status
from moil.session import RECORD, RECORD_FORMAT
from moil.settings import read, settings_of

SMALL = 8 * 1024 * 1024
"""Bytes of journal that are replayed without being asked for."""
MOST_NAMED = 5
_NUMBER = re.compile(r"(?:(?:.* )?#)?([0-9]+)")
LOOKS = 3
"""How often the status is looked for: the leader may just have replaced the one that was found."""

STATES = {
    "starting": "is being started",
    "running": "is running",
    "finished": "has finished",
    "failed": "has failed",
    "cancelled": "was cancelled",
    "interrupted": "was interrupted",
    "crashed": "has crashed: its leader is gone without a word",
}
"""Every state of a run, in words."""


@record
class Run:
    """A run, as it stands at this moment."""

    store: DurableStore
    record: Mapping[str, Any]
    status: Status
    now: float
    #: What kept us from exact figures, if anything did.
    caveat: str = ""

    @property
    def name(self) -> str:
        """The name of its main job."""
        return str(self.record["name"])

    @property
    def standing(self) -> str:
        """Its state, in words."""
        return STATES.get(self.status.state, f"is {self.status.state}")

    @property
    def led(self) -> bool:
        """Whether a leader is at work on it."""
        return self.status.state in ("running", "starting")

    @property
    def queue(self) -> list[tuple[str, int]]:
        """Why what waits in the batch system's queue does, and how many; none if nobody leads the run."""
        return Counter(self.status.queue).most_common() if self.led else []

    @property
    def seen(self) -> float:
        """When this was how it stood."""
        return self.now if self.led else self.status.heartbeat

    @property
    def elapsed(self) -> float:
        """Seconds since it was first started."""
        return max(0.0, self.seen - self.status.started_at) if self.status.started_at else 0.0

    @property
    def leader(self) -> str:
        """Who leads it, or led it last."""
        return f"process {self.status.pid} on {self.status.host}"

    @property
    def place(self) -> str:
        """Its STORE, as it is typed."""
        return shlex.quote(self.store.locator)

    @property
    def resume(self) -> str:
        """The command that resumes it; "" if it was started by a call of `moil.run`."""
        here = str(Path.cwd())
        folder = str(self.record.get("directory", here))
        words = resume_words(self.record["command"], self.store.locator, folder)
        there = f"cd {shlex.quote(folder)} && " if words and folder != here else ""
        return there + shlex.join(words)


@contextlib.contextmanager
def opened(locator: str) -> Iterator[DurableStore]:
    """The job store, for a while. Raises UsageError, StoreError."""
    store = open_store(locator)
    try:
        yield store
    finally:
        store.close()


def open_store(locator: str) -> DurableStore:
    """The job store that a STORE names. Raises UsageError if there is none."""
    wanted = next(one for one in settings_of(EngineSettings) if one.name == "job_store")
    locator = str(read(wanted, locator))
    path = locator.removeprefix("file://")
    if "://" not in path:
        _check_directory(Path(path))
    return plugins.open_store(locator)


def _check_directory(path: Path) -> None:
    """Raise UsageError if there is no job store, in words that say where one may be."""
    if not path.is_dir():
        cause = "it is a file" if path.exists() else "no such directory"
        raise UsageError(f"job store {path}: {cause}; give the directory that the first line of the run named")
    with contextlib.suppress(OSError):
        if not exists(path):
            stores = [one for one in path.iterdir() if exists(one)]
            newest = max(stores, key=lambda one: one.stat().st_mtime, default=None)
            cure = f"it holds {len(stores)} of them, the newest is {newest}" if newest else "give that of a run"
            raise UsageError(f"{path} is no job store; {cure}")


@contextlib.contextmanager
def opened_run(locator: str) -> Iterator[Run]:
    """The run in this job store. Raises UsageError, StoreError."""
    with opened(locator) as store:
        yield look(store)


def look(store: DurableStore) -> Run:
    """How the run stands. Raises UsageError if there is none, StoreError."""
    now = time.time()
    record = record_of(store)
    found = stored_status(store, now)
    if found is None:
        return Run(store=store, record=record, status=_before_the_first(store, now), now=now)
    if found.state != "crashed":
        return Run(store=store, record=record, status=found, now=now)
    try:
        replayed = replay_if_small(store)
    except StoreError as error:
        caveat = f"these are the last figures that its leader has written, and its journal cannot be read: {error}"
        return Run(store=store, record=record, status=found, now=now, caveat=caveat)
    if replayed is None:
        caveat = "these are the last figures that its leader has written; what it did after that counts too"
        return Run(store=store, record=record, status=found, now=now, caveat=caveat)
    return Run(store=store, record=record, status=_exact(found, replayed), now=now)


def record_of(store: DurableStore) -> Mapping[str, Any]:
    """What was written down about the run when it was made. Raises UsageError, DamagedError."""
    try:
        record: dict[str, Any] = json.loads(store.get(RECORD))
        if record["format"] == RECORD_FORMAT:
            return record
        version = record["moil"]
    except NoSuchKey:
        place = shlex.quote(store.locator)
        raise UsageError(f"job store {store.locator} holds no run; remove it with: moil clean {place}") from None
    except (ValueError, LookupError, TypeError) as error:
        raise DamagedError(f"job store {store.locator}: its {RECORD} is damaged ({error})") from error
    raise UsageError(f"the run in {store.locator} was started by Moil {version}; look at it with that version")


def stored_status(store: DurableStore, now: float) -> Status | None:
    """The last status that the leader has written. Raises StoreError, DamagedError."""
    try:
        for _ in range(LOOKS):
            found = status.read(store, now)
            if found is not None:
                return found
    except (ValueError, TypeError, AttributeError) as error:
        raise DamagedError(f"job store {store.locator}: the run's status cannot be read ({error})") from error
    return None


def _before_the_first(store: DurableStore, now: float) -> Status:
    """A leader writes a status before its first record but the header."""
    replayed = replay_if_small(store)
    header = replayed.leader if replayed else None
    if replayed is None or header is None:
        return Status(state="crashed", heartbeat=now)
    state = "starting" if now - header.at < status.DEAF else "crashed"
    told = Status(state=state, host=header.host, pid=header.pid, heartbeat=header.at)
    return changed(_exact(told, replayed), started_at=header.at)


def _exact(found: Status, replayed: journal.Replayed) -> Status:
    """What the leader would have written if it had come to it."""
    exact = status.describe(replayed, state=found.state, now=0.0)
    last = max(found.heartbeat, replayed.summary.updated_at)
    return changed(exact, host=found.host, pid=found.pid, heartbeat=last)


def replay(store: DurableStore) -> journal.Replayed:
    """The run as its journal tells it. Raises DamagedError."""
    return journal.replay(store.read_journal())


def replay_if_small(store: DurableStore) -> journal.Replayed | None:
    """The same, or None if that could take more than a moment. Raises DamagedError."""
    records: list[bytes] = []
    size = 0
    for entry in store.read_journal():
        records.append(entry)
        size += len(entry)
        if size > SMALL:
            return None
    return journal.replay(records)


def find_job(workflow: Workflow, wanted: str) -> Job:
    """The job that ``42``, ``#42``, ``align #42`` or ``align`` means. Raises UsageError."""
    number = job_number(wanted)
    if number is not None:
        found = workflow.graph.get(number)
        if found is None:
            raise UsageError(f"the run has no job #{number}; {_extent(workflow)}")
        return found
    named = [job for job in workflow.graph.jobs.values() if job.call.name == wanted]
    if len(named) == 1:
        return named[0]
    if not named:
        raise UsageError(f"the run has no job called {wanted!r}; {_extent(workflow)}")
    some = ", ".join(f"#{job.id}" for job in named[:MOST_NAMED]) + (", …" if len(named) > MOST_NAMED else "")
    raise UsageError(f"{len(named)} jobs are called {wanted!r}; give the number of one: {some}")


def job_number(wanted: str) -> int | None:
    """The number in ``42``, ``#42`` or ``align #42``."""
    found = _NUMBER.fullmatch(wanted)
    return int(found[1]) if found else None


def _extent(workflow: Workflow) -> str:
    jobs = workflow.graph.jobs
    return f"it has {len(jobs)}, up to #{max(jobs)}" if jobs else "it has none yet"


def gone(store: DurableStore) -> bool:
    """Whether the whole store was removed under our eyes, as that of a run that ends well is."""
    try:
        open_store(store.locator).close()
    except UsageError:
        return True
    except MoilError:
        return False
    return False


def next_steps(run: Run) -> list[dict[str, str]]:
    """What to do now, the most useful first: what for, and the command."""
    steps = [
        {"what": f"what {one['name']} #{one['id']} printed", "command": f"moil logs {run.place} {one['id']}"}
        for one in run.status.failures[:3]
    ]
    if run.led:
        steps += [{"what": "cancel it", "command": f"moil cancel {run.place}"}]
    elif run.status.state != "finished":
        how = run.resume or f"moil.run(…, job_store={run.store.locator!r}, restart=True)"
        steps += [{"what": "resume it", "command": how}]
    if not run.led:
        steps += [{"what": "remove it", "command": f"moil clean {run.place}"}]
    return steps


def unless_gone(store: DurableStore, error: StoreError) -> None:
    """Raise the error again, unless the store has been removed meanwhile."""
    if not gone(store):
        raise error
