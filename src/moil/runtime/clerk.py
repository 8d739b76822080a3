"""The thread of a cluster's leader that talks to the scheduler; `moil.runtime.reader` is the one that looks into the store.

Neither decides anything: see `moil.runtime.cluster` for what becomes of what they find out. They are the only part of
the engine that knows real time by itself, because they wait for commands of others.
"""

from __future__ import annotations

import secrets
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from moil.core.requirements import Requirements
from moil.errors import DamagedError, MoilError, NoSuchKey
from moil.ports.batch_system import Submission
from moil.ports.clock import Clock
from moil.ports.reactor import Reactor
from moil.ports.scheduler import Array, Refused, Scheduler, SchedulerDown, SchedulerId, Seen
from moil.record import field, record
from moil.runtime.mailbox import Letter, Mailbox, Order, Sack
from moil.runtime.queues import PILOTS, Chunk, Claim, Queues

GATHER = 0.05
"""The least number of seconds between two submissions, so that attempts that come one by one still share an array."""
HASTE = 1.0
"""The least number of seconds between two questions to the scheduler."""
LONGEST_SILENCE = 60.0
"""The longest back-off, in seconds, while the scheduler does not answer."""
CLOSING = 30.0


@record
class Site:
    """What a cluster is made with."""

    scheduler: Scheduler
    mailbox: Mailbox
    queues: Queues
    reactor: Reactor
    clock: Clock
    #: The run's id: begins the labels of its arrays.
    run: str
    #: What people see of its pilots in the queue.
    name: str
    #: The script of a batch.
    script: Callable[[str], str]
    #: Where the scheduler's machinery may print to, if all machines see such a place.
    logs: Path | None
    poll_interval: float
    window: int
    #: How many pilots a shape may have at a time; 0: attempts are submitted themselves; None: as many as are of use.
    pilots: int | None = None
    #: Whether an attempt that a leader before has submitted is still of interest.
    wants: Callable[[str], bool]
    say: Callable[[str], None]


@record(kw_only=False)
class Found:
    """A chunk of a queue that leaders before have left, and who has it."""

    shape: str
    name: str
    chunk: Chunk
    claim: Claim | None


@record(kw_only=False, frozen=False)
class News:
    """What a thread has found out."""

    #: ("up", "outcomes" or "sack", what was posted there).
    letters: list[tuple[str, Letter]] = field(default_factory=list)
    seen: Mapping[SchedulerId, Seen] | None = None
    #: Those that were asked about: what is not among `seen`, the scheduler does not know.
    asked: Sequence[SchedulerId] = ()
    #: What leaders before have submitted: by token, the batch and the scheduler's id.
    found: Mapping[str, tuple[str, SchedulerId]] | None = None
    #: What is in the queues of pilots, and by batch the pilots that leaders before have submitted; "": one is forgotten.
    queued: list[Found] = field(default_factory=list)
    pilots: dict[str, Sequence[SchedulerId]] = field(default_factory=dict)
    #: Sacks, by their names; None: it is damaged.
    sacks: list[tuple[str, Sack | None]] = field(default_factory=list)
    #: Chunks (shape and name), and who has them.
    claims: list[tuple[str, str, Claim]] = field(default_factory=list)
    #: Chunks that this leader has claimed itself.
    taken: list[tuple[str, str]] = field(default_factory=list)
    #: Batches of pilots that were submitted, and those that the scheduler will not take.
    recruited: list[tuple[str, Sequence[SchedulerId]]] = field(default_factory=list)
    unfit: list[tuple[str, str]] = field(default_factory=list)
    submitted: list[tuple[str, str, SchedulerId]] = field(default_factory=list)
    #: Tokens, and why the scheduler will not take them.
    refused: list[tuple[str, str]] = field(default_factory=list)
    fatal: MoilError | None = None


class Clerk:
    """Talks to the scheduler, one command at a time."""

    def __init__(self, site: Site, tell: Callable[[News], None]) -> None:
        self._site, self._tell = site, tell
        self._changed = threading.Condition()
        self._pending: dict[str, Submission] = {}
        self._hand_over_at = 0.0
        self._cancels: set[SchedulerId] = set()
        self._errands: deque[Callable[[], None]] = deque()
        self._calls: deque[Callable[[], None]] = deque()
        self._watched: Sequence[SchedulerId] = ()
        self._asked_at = 0.0
        self._ask_at = 0.0
        self._found: dict[str, tuple[str, SchedulerId]] | None = None
        #: What leaders before have offered to pilots.
        self._offered: set[str] = set()
        self._silent_since: float | None = None
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="moil-clerk", daemon=True)
        self._thread.start()

    # -- from the leader's thread --------------------------------------------------------------------------------

    def submit(self, submissions: Iterable[Submission]) -> None:
        """Hand them over: at once, unless others have been a moment ago."""
        with self._changed:
            self._pending.update((one.token, one) for one in submissions)
            self._changed.notify()

    def errand(self, do: Callable[[], None], *, calls: bool = False) -> None:
        """Do this in the clerk's thread, in turn. `calls`: it talks to the scheduler, and is tried until that answers."""
        with self._changed:
            (self._calls if calls else self._errands).append(do)
            self._changed.notify()

    def withdraw(self, tokens: Collection[str]) -> set[str]:
        """Those of these that have not been handed over yet, and now never will be."""
        with self._changed:
            return {token for token in tokens if self._pending.pop(token, None) is not None}

    def has(self, token: str) -> bool:
        """Whether it has yet to be handed over."""
        with self._changed:
            return token in self._pending

    def cancel(self, ids: Iterable[SchedulerId]) -> None:
        """End these."""
        wanted = set(ids)
        if not wanted:
            return
        with self._changed:
            self._cancels.update(wanted)
            self._ask_at = min(self._ask_at, time.monotonic() + HASTE)
            self._changed.notify()

    def watch(self, ids: Sequence[SchedulerId]) -> None:
        """Ask about these from now on."""
        with self._changed:
            if ids and not self._watched:
                self._ask_at = time.monotonic() + min(HASTE, self._site.poll_interval)
                self._changed.notify()
            self._watched = ids

    def hurry(self) -> None:
        """Ask soon."""
        with self._changed:
            self._ask_at = min(self._ask_at, self._asked_at + HASTE)
            self._changed.notify()

    def close(self, ids: Collection[SchedulerId]) -> None:
        """End all of these, and the thread."""
        with self._changed:
            self._pending.clear()
            self._cancels.update(ids)
            self._closing = True
            self._changed.notify()
        self._thread.join(CLOSING)

    # -- the thread ----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        delay = HASTE
        while True:
            self._wait()
            try:
                self._step()
                self._heard()
                delay = HASTE
            except SchedulerDown as error:
                self._not_heard(error)
                if self._closing:
                    return
                with self._changed:
                    self._changed.wait(delay)
                delay = min(delay * 2, LONGEST_SILENCE)
            except MoilError as error:
                self._tell(News(fatal=error))
                return
            except Exception as error:  # noqa: BLE001 - a defect must end the run, not leave it waiting for ever
                self._tell(News(fatal=defect(error)))
                return
            if self._closing and not self._cancels:
                return

    def _wait(self) -> None:
        with self._changed:
            while not self._due():
                self._changed.wait(self._until())

    def _due(self) -> bool:
        now = time.monotonic()
        return bool(
            self._closing
            or self._found is None
            or self._cancels
            or self._errands
            or self._calls
            or (self._pending and now >= self._hand_over_at)
            or (self._watched and now >= self._ask_at)
        )

    def _until(self) -> float | None:
        moments = [self._ask_at] if self._watched else []
        if self._pending:
            moments.append(self._hand_over_at)
        return max(0.0, min(moments) - time.monotonic()) if moments else None

    def _step(self) -> None:
        if self._closing:
            self._end_some()
            return
        if self._found is None:
            self._find()
        _run_all(self._errands)
        if self._cancels:
            self._end_some()
        _run_all(self._calls)
        for array in self._arrays():
            self._hand_over(array)
        if self._watched and time.monotonic() >= self._ask_at:
            self._ask()

    def _find(self) -> None:
        """What leaders before have submitted."""
        found: dict[str, tuple[str, SchedulerId]] = {}
        batches = self._site.mailbox.batches()
        prefix = f"moil:{self._site.run}:"
        arrays = self._site.scheduler.find(prefix) if batches else {}
        pilots = {}
        for label, ids in arrays.items():
            batch = label.removeprefix(prefix)
            if batch.startswith(PILOTS):
                pilots[batch] = ids
            for token, scheduler_id in zip(batches.get(batch, ()), ids, strict=False):
                found[token] = (batch, scheduler_id)
        for batch in batches:
            if f"{prefix}{batch}" not in arrays:
                self._site.mailbox.remove_batch(batch)
        queued, pilots = self._queued(), self._not_forgotten(pilots)
        with self._changed:
            self._found = found
            self._offered = {order.token for one in queued for order in one.chunk.orders}
        self._tell(News(found=found, queued=queued, pilots=pilots))

    def _not_forgotten(self, pilots: Mapping[str, Sequence[SchedulerId]]) -> dict[str, Sequence[SchedulerId]]:
        """Without those of which the scheduler knows nothing any more: nobody need wait for them."""
        known = self._site.scheduler.query([one for ids in pilots.values() for one in ids])
        return {batch: [one if one in known else "" for one in ids] for batch, ids in pilots.items()}

    def _queued(self) -> list[Found]:
        """What is in the queues of pilots."""
        queues = self._site.queues
        claimed = set(queues.claimed())
        return [
            Found(shape, name, queues.read(shape, name), claim_of(queues, shape, name) if (shape, name) in claimed else None)
            for shape, name in queues.offered()
        ]

    def _end_some(self) -> None:
        with self._changed:
            ids = list(self._cancels)
        if ids:
            self._site.scheduler.cancel(ids)
        with self._changed:
            self._cancels.difference_update(ids)

    def _arrays(self) -> Iterator[list[Submission]]:
        """What is pending, by shape."""
        assert self._found is not None
        with self._changed:
            if time.monotonic() < self._hand_over_at:
                return
            pending = list(self._pending.values())
        if pending:
            self._hand_over_at = time.monotonic() + GATHER
        shapes: dict[tuple[str, Requirements], list[Submission]] = {}
        for one in pending:
            if one.token in self._offered:
                self.withdraw([one.token])
            elif one.token in self._found:
                batch, scheduler_id = self._found[one.token]
                self._tell(News(submitted=[(one.token, batch, scheduler_id)]))
                self.withdraw([one.token])
            else:
                shapes.setdefault((one.name, one.requirements), []).append(one)
        most = max(1, self._site.scheduler.largest_array)
        for members in shapes.values():
            for start in range(0, len(members), most):
                yield members[start : start + most]

    def _hand_over(self, members: Sequence[Submission]) -> None:
        batch = secrets.token_hex(6)
        self._site.mailbox.write_batch(batch, [order_of(one) for one in members])
        tokens = [one.token for one in members]
        try:
            ids = self._site.scheduler.submit(self._array(batch, members))
        except Refused as error:
            self._site.mailbox.remove_batch(batch)
            told = News(fatal=error) if error.whole_run else News(refused=[(token, str(error)) for token in tokens])
            self._tell(told)
        except SchedulerDown:
            self._site.mailbox.remove_batch(batch)
            raise
        else:
            self._tell(News(submitted=list(zip(tokens, [batch] * len(tokens), ids, strict=True))))
            with self._changed:
                self._ask_at = min(self._ask_at, time.monotonic() + HASTE) if not self._watched else self._ask_at
        self.withdraw(tokens)

    def _array(self, batch: str, members: Sequence[Submission]) -> Array:
        return Array(
            label=f"moil:{self._site.run}:{batch}",
            name=members[0].name,
            size=len(members),
            requirements=members[0].requirements,
            script=self._site.script(batch),
            logs=str(self._site.logs or ""),
        )

    def _ask(self) -> None:
        watched = self._watched
        seen = self._site.scheduler.query(watched)
        with self._changed:
            self._asked_at = time.monotonic()
            self._ask_at = self._asked_at + self._site.poll_interval
        self._tell(News(seen=seen, asked=watched))

    # -- silence -------------------------------------------------------------------------------------------------

    def _not_heard(self, error: SchedulerDown) -> None:
        if self._silent_since is None:
            self._silent_since = time.monotonic()
            self._site.say(f"{error}; it is tried again until it answers")

    def _heard(self) -> None:
        if self._silent_since is not None:
            self._site.say(f"the scheduler answers again, after {time.monotonic() - self._silent_since:.0f} s")
            self._silent_since = None


def claim_of(queues: Queues, shape: str, name: str) -> Claim | None:
    """Who has it; None: nobody after all. One that is damaged is nobody's, and its chunk is lost as if its pilot were."""
    try:
        return queues.claim_of(shape, name)
    except NoSuchKey:
        return None
    except DamagedError:
        return Claim(pilot="", host="")


def _run_all(errands: deque[Callable[[], None]]) -> None:
    """One that raises stays the first."""
    while errands:
        errands[0]()
        errands.popleft()


def order_of(submission: Submission) -> Order:
    """An attempt as its worker reads it."""
    assert submission.task is not None
    wanted = submission.requirements
    return Order(
        token=submission.token,
        record=submission.task,
        memory=wanted.memory,
        walltime=wanted.walltime or 0.0,
        service=submission.service,
    )


def defect(error: Exception) -> MoilError:
    """What ends a run when a thread fails in a way that nobody has thought of."""
    where = traceback.extract_tb(error.__traceback__)[-1]
    return MoilError(
        f"a defect of Moil's ended the run: {type(error).__name__}: {error} ({where.filename}:{where.lineno}); what is done "
        "is kept, resume with --restart; please report it"
    )
