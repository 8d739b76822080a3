"""The leader: waits for events, has them written down, asks the core what follows, and does it.

One thread, one loop, one path; a restart is the same loop after a replay. Events are *believed* as soon as they come
in, but nothing that follows from them is *done* before they are durable: that is all the durability rule asks for, and
it lets the end of one job in a wide fan-out share its fsync with a hundred others (group commit). If the process dies
with events in memory, then nobody has seen anything that followed from them.
"""

from __future__ import annotations

from collections.abc import Sequence

from moil.core import snapshot
from moil.core.commands import Cancel, Command, Fail, Finish, StopService, Submit
from moil.core.events import CancelRequested, DeadlineReached, Event, JobCommitted
from moil.core.records import Data
from moil.core.summary import Summary
from moil.core.workflow import Workflow
from moil.errors import Interrupted
from moil.ports.batch_system import BatchSystem
from moil.ports.clock import Clock
from moil.ports.job_store import DurableStore, Journal
from moil.ports.observer import Observer
from moil.ports.reactor import Reactor
from moil.record import record
from moil.runtime import codec, journal
from moil.runtime.dispatch import Dispatcher

WRITING = 20
"""Returns that nothing waits for may stay unwritten until the work that would be lost with them is so many times what the
last write took: so writing takes a twentieth of the time at most, on a quick disk and on a slow one."""
LEAST_WORK = 0.015
"""And for so many seconds of work in any case: a flood of tiny jobs shares its writes, a longer job has its own."""
LONGEST_DELAY = 0.05
"""But no event for longer than this, in seconds."""
MOST_EVENTS = 500
"""How many such events may."""
COMPACT_AT = 16 * 1024 * 1024
"""Bytes of journal after which it is replaced by a snapshot, if that is worth it."""
WORTH = 0.5
"""The most that a snapshot may have of the journal's length. That of a run in which all goes well has not much less."""
HOUSEKEEPING = 1.0
"""Seconds between looks for requests from outside."""
CANCEL_REQUEST = "requests/cancel"


@record
class World:
    """Everything outside: a real one, or a simulated one."""

    store: DurableStore
    batch: BatchSystem
    reactor: Reactor
    clock: Clock
    header: journal.Header


class Leader:
    """Carries a workflow out."""

    def __init__(self, world: World, replayed: journal.Replayed, log: Journal, observers: Sequence[Observer] = ()) -> None:
        self.workflow: Workflow = replayed.workflow
        self.summary: Summary = replayed.summary
        self._world, self._journal, self._observers = world, log, observers
        self._dispatcher = Dispatcher(self.workflow, world.batch, self.read)
        self._unwritten: list[bytes] = []
        self._unwritten_since = 0.0
        self._work, self._worth = 0.0, LEAST_WORK
        self._bytes = 0
        self._compact_at = 0
        self._next_look = 0.0
        self._next_poll = 0.0
        self._interrupted = ""

    def read(self, data: Data) -> bytes:
        """The bytes behind stored data."""
        return codec.fetch(data, self._world.store)

    def interrupt(self, reason: str) -> None:
        """End the loop soon; safe in a signal handler."""
        self._interrupted = reason
        self._world.reactor.wake()

    def run(self, first: Event) -> None:
        """Until the workflow has finished. `first` is the start of this incarnation. Raises Interrupted, StoreError."""
        self._dispatcher.adopt()
        self._world.store.delete(list(self._world.store.keys(CANCEL_REQUEST)))
        self._take((first,))
        self._write()
        while not self.workflow.finished:
            if self._interrupted:
                self._write()
                raise Interrupted(self._interrupted)
            self._world.reactor.wait(self._until())
            self._take(self._news())
            self._keep_house()
        self._write()

    def close(self) -> None:
        """Tell the observers, and leave a journal that is quick to read."""
        if self._bytes > COMPACT_AT // 8 and not self._unwritten and self._compacts_well():
            self._compact()
        for one in self._observers:
            one.close()

    # -- in ------------------------------------------------------------------------------------------------------

    def _until(self) -> float | None:
        moments = [self.workflow.next_deadline, self._next_look]
        if self._unwritten:
            moments.append(self._unwritten_since + LONGEST_DELAY)
        if self._world.batch.poll_interval is not None:
            moments.append(self._next_poll)
        return min(moment for moment in moments if moment is not None)

    def _news(self) -> list[Event]:
        at = self._world.clock.now()
        interval = self._world.batch.poll_interval
        events: list[Event] = []
        if interval is None or at >= self._next_poll:
            events.extend(self._dispatcher.collect(at))
            self._next_poll = at + (interval or 0.0)
        deadline = self.workflow.next_deadline
        if deadline is not None and deadline <= at:
            events.append(DeadlineReached(at=at))
        return events

    def _keep_house(self) -> None:
        at = self._world.clock.now()
        if self._unwritten and (self._enough() or at >= self._unwritten_since + LONGEST_DELAY):
            self._write()
        if at < self._next_look:
            return
        self._next_look = at + HOUSEKEEPING
        if any(True for _ in self._world.store.keys(CANCEL_REQUEST)):
            self._world.store.delete([CANCEL_REQUEST])
            self._take((CancelRequested(at=at, reason="cancelled by request"),))
        if self._bytes > max(COMPACT_AT, self._compact_at):
            self._compact_at = 2 * self._bytes
            if self._compacts_well():
                self._compact()
        for one in self._observers:
            one.on_events((), self.workflow)

    def _enough(self) -> bool:
        return self._work >= self._worth or len(self._unwritten) >= MOST_EVENTS

    # -- the heart -----------------------------------------------------------------------------------------------

    def _take(self, events: Sequence[Event]) -> None:
        """Believe the events, have them written down if anything follows, and do what follows; until nothing does.

        Without events there may still be room for what waits to be submitted.
        """
        while True:
            commands: list[Command] = []
            for event in events:
                self._unwritten_since = self._unwritten_since if self._unwritten else event.at
                self._unwritten.append(journal.encode(event))
                if type(event) is JobCommitted:
                    self._work += event.usage.wall
                self.summary.apply(event, self.workflow)
                commands.extend(self.workflow.apply(event))
            if events:
                for one in self._observers:
                    one.on_events(events, self.workflow)
            if commands:
                self._write()
            events = self._carry_out(commands)
            if not events:
                return

    def _write(self) -> None:
        if self._unwritten:
            self._bytes += sum(map(len, self._unwritten))
            begun = self._world.clock.now()
            self._journal.append(self._unwritten)
            self._worth = max(LEAST_WORK, WRITING * (self._world.clock.now() - begun))
            self._unwritten, self._work = [], 0.0

    def _carry_out(self, commands: Sequence[Command]) -> Sequence[Event]:
        """Do it; what the batch system says to new submissions are events again."""
        for command in commands:
            if isinstance(command, Submit):
                self._dispatcher.queue(command)
        self._dispatcher.cancel(one for one in commands if isinstance(one, Cancel))
        self._dispatcher.stop(one for one in commands if isinstance(one, StopService))
        if any(isinstance(one, Finish | Fail) for one in commands):
            return ()
        return self._dispatcher.submit(self._world.clock.now())

    def _compacts_well(self) -> bool:
        return journal.snapshot_length(self.workflow) <= WORTH * self._bytes

    def _compact(self) -> None:
        self._write()
        record = journal.encode_snapshot(snapshot.take(self.workflow, self.summary))
        fresh = self._world.store.open_journal([journal.encode_header(self._world.header), record], compact=True)
        self._journal.close()
        self._journal, self._bytes, self._compact_at = fresh, 0, 2 * len(record)
