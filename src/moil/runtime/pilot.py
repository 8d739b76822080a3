"""A pilot: a worker that takes attempt after attempt of one shape from the job store, until there are none or time is up.

    the scheduler -- starts --> pilot (this) -- fork --> supervisor -- fork --> job, and job, and job …

It takes a chunk of attempts at a time (`moil.runtime.queues`), sends some ahead to its supervisor, and posts what came of
them a sack at a time, so that a claim and a letter, which have to reach the disk, are shared by many when jobs are quick. A
chunk is no promise to do all of it: when one attempt takes long, or time is short, or the scheduler wants the pilot to
end, what has not been begun is given back by a letter that says so, and the leader offers it again.

With nothing to take it looks again at growing intervals, and leaves after `IDLE` seconds. Its last sack says that it has
left and owes nothing; one that was told to end leaves that to the scheduler, who knows why.
"""

from __future__ import annotations

import contextlib
import os
import random
import select
import time
from collections import deque
from collections.abc import Mapping

from moil.core.records import Outcome
from moil.errors import NoSuchKey
from moil.record import changed
from moil.runtime import messages, processes
from moil.runtime.berth import READY, Berth
from moil.runtime.mailbox import SACK, Letter, Mailbox, Order, Sack
from moil.runtime.queues import LARGEST, Chunk, Claim, Queues
from moil.runtime.remote_worker import ORPHANED, RemoteWorker, held, letter_of
from moil.runtime.slot import House

IDLE, FRESH, POLITE = 3.0, 1.0, 2.0
"""Seconds without anything to do after which a pilot leaves, if the leader has not asked for more: usually, if it has never
had anything to do, and if attempts of another shape wait for its place."""
QUICK, SLOW = 0.05, 0.5
"""Seconds between two looks for something to take, at first and at most."""
AHEAD = 0.05
"""Seconds of work in hand below which the next chunk is taken."""
MOST = 32
"""Attempts that the supervisor is sent ahead."""
LINGER = 0.1
"""The longest time, in seconds, for which a letter waits for others while there is more to do."""
LONG = 1.0
"""Seconds after which an attempt that still runs lets go of those that wait behind it."""
LOOK = 0.5
"""Seconds between looks for attempts that are to end."""
ALLOWANCE = 30.0
"""Seconds that must be left beyond an attempt's walltime."""
SPREAD = 8
"""Pilots begin to look at one of so many chunks at the head of the queue, or in its first quarter if that is long, so that
they seldom want the same."""
SMOOTHING = 0.3

_ENDS = ("SLURM_JOB_END_TIME",)
"""Variables in which a scheduler may say when it will end the pilot, in seconds since the epoch."""


def patience(terms: Chunk | None, *, in_the_way: bool) -> float:
    """Seconds for which a pilot stays with nothing to do. `terms` are those of the last chunk that it has taken."""
    usual = FRESH if terms is None else terms.idle or IDLE
    polite = terms.polite if terms is not None else 0.0
    return min(usual, polite or POLITE) if in_the_way else usual


class Time:
    """What is left of a pilot's time."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._began, self._kept = time.time() - processes.age(), 0.0
        told = [float(environ[name]) for name in _ENDS if environ.get(name, "").isdecimal()]
        self._ends = min(told, default=0.0)

    def limit(self, seconds: float, kept: float) -> None:
        """The leader says so; the scheduler knows better how long it is, if it has said anything.

        So much of it, from 0 to 1, must be left for an attempt that says nothing.
        """
        self._kept = kept
        if seconds and not self._ends:
            self._ends = self._began + seconds

    def is_enough(self, walltime: float) -> bool:
        """Whether an attempt may begin."""
        if not self._ends:
            return True
        left = self._ends - time.time()
        return left > (walltime + ALLOWANCE if walltime else (self._ends - self._began) * self._kept)


class Hand:
    """The attempts that a pilot has: first those that its supervisor has been sent, the first of which runs."""

    def __init__(self, berth: Berth) -> None:
        self._berth = berth
        self._sent: deque[Order] = deque()
        self._waiting: deque[Order] = deque()
        #: When the first was begun, as far as is known.
        self.since = 0.0

    def __len__(self) -> int:
        return len(self._sent) + len(self._waiting)

    @property
    def first(self) -> Order | None:
        """The one that runs, or has just ended."""
        return self._sent[0] if self._sent else None

    @property
    def last(self) -> str:
        """The token of the last one that the supervisor has been sent."""
        return self._sent[-1].token if self._sent else ""

    def runs(self, token: str) -> bool:
        """Whether the supervisor has been sent it."""
        return any(one.token == token for one in self._sent)

    def take(self, orders: list[Order]) -> None:
        """Have these too."""
        self._waiting.extend(orders)

    def send(self) -> None:
        """Let the supervisor have some ahead."""
        if self._waiting and not self._sent:
            self.since = time.monotonic()
        while self._waiting and len(self._sent) < MOST and self._berth.give(self._waiting[0]):
            self._sent.append(self._waiting.popleft())

    def recall(self) -> None:
        """What has not been begun waits here again."""
        tokens = self._berth.take_back()
        self._waiting.extendleft(one for one in reversed(self._sent) if one.token in tokens)
        self._sent = deque(one for one in self._sent if one.token not in tokens)

    def drop(self, tokens: set[str] | None = None) -> list[Order]:
        """Let go of those that wait here, or of those among them."""
        gone = [one for one in self._waiting if tokens is None or one.token in tokens]
        self._waiting = deque(one for one in self._waiting if tokens is not None and one.token not in tokens)
        return gone

    def finish(self, token: str) -> None:
        """It is over."""
        self._sent = deque(one for one in self._sent if one.token != token)
        self.since = time.monotonic()


class Letters:
    """What has come of attempts and was not posted yet."""

    def __init__(self, mailbox: Mailbox, pilot: str) -> None:
        self._mailbox, self._pilot = mailbox, pilot
        self._letters: list[Letter] = []
        self._since = 0.0
        self._name, self._count = f"{SACK}{os.urandom(6).hex()}", 0

    def __bool__(self) -> bool:
        return bool(self._letters)

    def add(self, letter: Letter) -> None:
        """One more."""
        if not self._letters:
            self._since = time.monotonic()
        self._letters.append(letter)

    def is_due(self, *, at_once: bool) -> bool:
        """Whether they should not wait any longer."""
        late = time.monotonic() >= self._since + LINGER
        return bool(self._letters) and (at_once or late or len(self._letters) >= LARGEST)

    def post(self, *, left: bool = False) -> None:
        """Post them all."""
        sack = Sack(letters=tuple(self._letters), pilot=self._pilot, left=left)
        self._mailbox.post_sack(f"{self._name}-{self._count}", sack)
        self._letters, self._count = [], self._count + 1

    def pause(self) -> float:
        """Seconds until they are due."""
        return self._since + LINGER - time.monotonic() if self._letters else SLOW


class Pilot:
    """Takes attempts of one shape."""

    def __init__(self, house: House, mailbox: Mailbox, queues: Queues, name: str) -> None:
        self._house, self._queues, self._name = house, queues, name
        self._shape = name.split("-")[1]
        self._berth = Berth(house, name)
        self._hand = Hand(self._berth)
        self._letters = Letters(mailbox, name)
        self._time = Time(os.environ)
        self._returned: messages.Message | None = None
        #: Names of chunks that nobody had claimed a while ago.
        self._names: deque[str] = deque()
        #: What it has taken last.
        self._terms: Chunk | None = None
        self._turn = self._did = 0
        self._pace, self._walltime = 1.0, 0.0
        self._interval, self._look_at = QUICK, 0.0
        self._idle_since = self._kills_at = time.monotonic()
        self._leaves = self._told_to_end = self._is_in_the_way = False

    def work(self, worker: RemoteWorker) -> None:
        """Until there is nothing, or no time. `worker` is told of signals."""
        lock = self._house.work / f"{self._name}.lock"
        with held(lock):
            self._berth.open()
            while self._hand or not self._leaves:
                self._fill()
                self._wait(worker.woken)
                self._hear()
                self._heed(worker)
                if self._letters.is_due(at_once=not self._hand):
                    self._letters.post()
            if self._letters or not self._told_to_end:
                self._letters.post(left=not self._told_to_end)
            self._berth.close()
            lock.unlink(missing_ok=True)

    # -- taking --------------------------------------------------------------------------------------------------

    def _fill(self) -> None:
        now = time.monotonic()
        if self._wants_more() and now >= self._look_at:
            if self._claim():
                self._interval, self._look_at, self._is_in_the_way = QUICK, now, False
            else:
                self._is_in_the_way = not self._hand and self._queues.is_another_shape_waiting(self._shape)
                self._look_at, self._interval = time.monotonic() + self._interval, min(self._interval * 1.5, SLOW)
        if self._hand:
            self._idle_since = now
            self._hand.send()
        elif now > self._idle_since + patience(self._terms, in_the_way=self._is_in_the_way):
            self._leaves = True

    def _wants_more(self) -> bool:
        """When the supervisor has little to do, unless what it does turns out to be long."""
        if self._leaves or len(self._hand) * self._pace >= AHEAD:
            return False
        return not self._hand or time.monotonic() < self._hand.since + LONG / 2

    def _claim(self) -> bool:
        """Take a chunk, if there is one."""
        for has_looked in (False, True):
            if has_looked:
                self._look()
            while self._names:
                if self._take(self._names.popleft()):
                    return True
        return False

    def _look(self) -> None:
        """See what nobody has claimed."""
        free = self._queues.free(self._shape)
        start = random.randrange(min(len(free), max(SPREAD, len(free) // 4))) if free else 0  # noqa: S311 - no secret
        self._names.extend([*free[start:], *free[:start]])

    def _take(self, name: str) -> bool:
        """Take this one; False: somebody has it, or it was over already."""
        if not self._queues.claim(self._shape, name, Claim(pilot=self._name, host=self._house.host, turn=self._turn)):
            return False
        self._turn += 1
        try:
            chunk = self._queues.read(self._shape, name)
        except NoSuchKey:
            self._queues.unclaim(self._shape, name)
            return False
        self._time.limit(chunk.limit, chunk.kept)
        self._terms = changed(chunk, orders=())
        self._walltime = max((one.walltime for one in chunk.orders), default=0.0)
        self._hand.take(list(chunk.orders))
        return True

    # -- listening -----------------------------------------------------------------------------------------------

    def _wait(self, woken: int) -> None:
        poll = select.poll()
        for descriptor in (self._berth.channel.fileno(), woken):
            poll.register(descriptor, select.POLLIN)
        poll.poll(max(0.0, self._pause()) * 1000)
        with contextlib.suppress(BlockingIOError):
            os.read(woken, 64)

    def _pause(self) -> float:
        now, moments = time.monotonic(), [self._letters.pause()]
        if self._wants_more():
            moments.append(self._look_at - now)
        if self._hand:
            moments.append(self._kills_at + LOOK - now)
        if len(self._hand) > 1:
            moments.append(self._hand.since + LONG - now)
        return min(moments)

    def _hear(self) -> None:
        while (packet := self._berth.received()) is not None:
            if not packet:
                self._supervisor_is_gone()
                return
            if packet == READY:
                self._berth.ready = True
                self._hand.since = time.monotonic()
                continue
            told = messages.read(packet)
            self._end_those_before(told.token)
            if told.kind in (messages.RETURNED, messages.DONE):
                self._returned = told
            if told.kind in (messages.ENDED, messages.DONE):
                self._ended(told)
        self._hand.send()

    def _end_those_before(self, token: str) -> None:
        """What is said of one says that those before it are over (see `moil.runtime.messages`)."""
        while (first := self._hand.first) is not None and first.token != token and self._hand.runs(token):
            used = self._returned or messages.Message(messages.ENDED, first.token)
            self._ended(messages.Message(messages.ENDED, first.token, b"", used.wall, used.cpu, used.memory))

    def _ended(self, told: messages.Message) -> None:
        record = self._returned.body if self._returned is not None else None
        if told.kind == messages.DONE:
            told.body = b""
        self._letters.add(letter_of(told, record, host=self._house.host, told_to_end=self._told_to_end))
        self._returned = None
        self._did += 1
        self._pace += SMOOTHING * (told.wall - self._pace)
        self._hand.finish(told.token)

    def _supervisor_is_gone(self) -> None:
        """What it had begun has come to nothing."""
        self._hand.recall()
        self._berth.clean_up()
        self._end_those_before(self._hand.last)
        first = self._hand.first
        if first is not None:
            self._letters.add(
                Letter(
                    token=first.token,
                    host=self._house.host,
                    record=self._returned.body if self._returned is not None else None,
                    outcome=Outcome.lost,
                    error=ORPHANED,
                    terminated=self._told_to_end,
                )
            )
            self._hand.finish(first.token)
        self._returned = None
        self._berth.open()

    # -- obeying -------------------------------------------------------------------------------------------------

    def _heed(self, worker: RemoteWorker) -> None:
        now = time.monotonic()
        if worker.terminated and not self._told_to_end:
            self._told_to_end = self._leaves = True
            self._give_back()
            if self._hand.first is not None:
                self._berth.kill(self._hand.first.token)
        elif self._did and not self._leaves and not self._time.is_enough(self._walltime):
            self._leaves = True
            self._give_back()
        elif len(self._hand) > 1 and self._berth.ready and now >= self._hand.since + LONG:
            self._give_back()
        if self._hand and now >= self._kills_at + LOOK:
            self._kills_at = now
            self._kill(self._queues.kills())

    def _give_back(self) -> None:
        self._hand.recall()
        back = self._hand.drop()
        for order in back:
            self._letters.add(Letter(token=order.token, host=self._house.host, unbegun=True))
        if back:
            self._letters.post()

    def _kill(self, tokens: set[str]) -> None:
        if not tokens:
            return
        self._hand.recall()
        for order in self._hand.drop(tokens):
            self._letters.add(
                Letter(
                    token=order.token, host=self._house.host, outcome=Outcome.cancelled, error="cancelled", verdict=True
                )
            )
        first = self._hand.first
        if first is not None and first.token in tokens:
            self._berth.kill(first.token)
        self._hand.send()
