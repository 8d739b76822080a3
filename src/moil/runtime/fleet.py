"""What a leader knows of its pilots and of what lies in their queues.

    leader -- submit --> chunks in a shape's queue --(a pilot claims one)--> letters, or "not begun" --> offered again

An attempt is in exactly one chunk. A chunk belongs to nobody, until somebody claims it; then each of its attempts is over
when its letter is there, and goes into another chunk when the letter says that it was not begun. Pilots are submitted when
there are chunks that nobody has claimed and no pilot that is free to; how many, says `moil.runtime.shapes`.

When the scheduler says that a pilot is over, the first attempt that it owes a letter about ends with the scheduler's word,
since that one was running, and all the others are offered again. (If its time was up, and it had finished others before, the
attempt does not pay for those: it is lost.) A pilot whose last sack says that it has left owes nothing; one that nobody has
ever heard of is given some time, and then counts as lost. Pilots that end without having taken anything, one after another,
end the run with what their log says: what keeps them from working keeps all from it.

All is done in the leader's thread, but errands (`moil.runtime.recruiter`), which may block.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import Protocol

from moil.core.records import Outcome
from moil.core.requirements import Requirements
from moil.errors import DeploymentError
from moil.ports.batch_system import Submission
from moil.ports.scheduler import SchedulerId, Seen, Standing
from moil.record import changed
from moil.runtime.clerk import Clerk, Found, News, Site, order_of
from moil.runtime.mailbox import Order, Sack
from moil.runtime.queues import PILOTS, Chunk, Claim
from moil.runtime.recruiter import LEADER, Offer, Recruit, Recruiter
from moil.runtime.shapes import ChunkState, PilotState, ShapeState, requirements_as_json, requirements_from, shape_of

LATE = 5.0
"""Seconds for which letters of a pilot that is over are waited for, as one machine may see another's files late."""
KEPT = 3.0
"""Seconds for which a chunk that is through stays: long enough for the leader to have written down what came of it."""
UNHEARD_OF = 5.0
"""Seconds after which a claim by a pilot that is not known is the claim of one that is over."""
IN_VAIN, AFTER_ALL = 3, 10
"""So many pilots that end in a row without having taken anything end the run: while none ever has, and if some have."""
LONGEST_PAUSE = 60.0
"""The longest time, in seconds, for which none are submitted after one that has ended so."""
OVERLOOKED = 3
"""So many answers of the scheduler's in a row do not mention a pilot that is over."""
IDLE = 10.0
"""Seconds without anything to do after which a pilot leaves, if the user has said how many there are to be."""
POLITE = 2.0
"""Seconds without anything to do after which it makes room for another shape's attempts: about as long as a scheduler needs
to start something, so that it does not leave where there is room for both. One that may be asked often is quicker."""
HALF, MOST = 0.5, 0.9
"""What must be left of a pilot's time when an attempt without walltime begins that is not its first: if the user has said
how many pilots there are to be, and if not."""
UNKNOWN = 600.0
"""Seconds that a pilot counts on, if the scheduler does not tell."""
TIME_UP = "its pilot's time was up: with walltime= stated for the job, it is only begun where there is time enough"
_BLAMELESS = frozenset({Outcome.cancelled, Outcome.preempted, Outcome.node_failed})


class Stage(Protocol):
    """What the fleet asks of the batch system that it is part of."""

    def begun(self, token: str, host: str) -> None:
        """An attempt runs there."""
        ...

    def withdrawn(self, token: str, outcome: Outcome, why: str) -> None:
        """An attempt was not begun, and will not be."""
        ...

    def end_by_word(self, token: str, scheduler_id: SchedulerId, seen: Seen) -> None:
        """The scheduler says how it ended."""
        ...

    def is_cancelled(self, token: str) -> bool:
        """Whether it is to end."""
        ...

    def wants(self, token: str) -> bool:
        """Whether an attempt that a leader before has offered still has to end."""
        ...

    def last_words(self, scheduler_id: SchedulerId) -> str:
        """What a worker's log ends with."""
        ...


class Fleet:
    """The pilots of one run."""

    def __init__(self, site: Site, clerk: Clerk, stage: Stage, tell: Callable[[News], None]) -> None:
        self._site, self._clerk, self._stage = site, clerk, stage
        self._recruiter = Recruiter(site, tell)
        self._shapes: dict[str, ShapeState] = {}
        #: Where each attempt is; None: it is about to be offered.
        self._where: dict[str, ChunkState | None] = {}
        self._early: list[Submission] | None = []
        self._by_id: dict[SchedulerId, PilotState] = {}
        self._gone: dict[str, Seen] = {}
        self._through: list[tuple[float, ChunkState]] = []
        self._in_vain, self._proven, self._recruit_at = 0, False, 0.0
        #: Pilots that have been heard of before the scheduler told their ids, and whether they have left.
        self._forward: dict[str, bool] = {}
        self._count = 0

    # -- asked by the batch system ---------------------------------------------------------------------------------

    def has(self, token: str) -> bool:
        """Whether the attempt is in a queue or with a pilot."""
        return token in self._where

    @property
    def ids(self) -> list[SchedulerId]:
        """The pilots that are not over, as the scheduler calls them."""
        return [name for name, one in self._by_id.items() if one.over is None]

    @property
    def busy(self) -> bool:
        """Whether there is anything that pilots could claim or write about."""
        return any(shape.chunks for shape in self._shapes.values())

    def submit(self, submissions: Iterable[Submission]) -> None:
        """Offer these to pilots."""
        fresh = [one for one in submissions if one.token not in self._where]
        self._where.update((one.token, None) for one in fresh)
        if self._early is None:
            self._offer(fresh)
        else:
            self._early.extend(fresh)

    def cancel(self, tokens: Iterable[str]) -> None:
        """End these; those that nobody has taken are taken back."""
        chunks: dict[str, tuple[ChunkState, list[str]]] = {}
        for token in tokens:
            chunk = self._where.get(token)
            if chunk is not None:
                chunks.setdefault(chunk.name, (chunk, []))[1].append(token)
            elif token in self._where:
                self._early = [one for one in self._early or [] if one.token != token]
                self._stage.withdrawn(token, Outcome.cancelled, "cancelled before it was submitted")
        for chunk, some in chunks.values():
            self._take_back(chunk, some)

    def done(self, token: str, wall: float = 0.0) -> None:
        """The attempt is over."""
        chunk = self._where.pop(token, None)
        if chunk is None:
            return
        shape = self._shapes[chunk.shape]
        if wall:
            shape.took(chunk.tokens[token], wall)
        self._leave(chunk, token)

    def unbegun(self, tokens: Iterable[str]) -> None:
        """Who had claimed these attempts gives them back."""
        chunks: dict[str, tuple[ChunkState, list[str]]] = {}
        for token in tokens:
            chunk = self._where.get(token)
            if chunk is not None:
                chunks.setdefault(chunk.name, (chunk, []))[1].append(token)
        for chunk, some in chunks.values():
            self._offer_again(chunk, some)

    # -- news ------------------------------------------------------------------------------------------------------

    def take(self, news: News) -> None:
        """What the threads have found out, but letters, which come after this."""
        for batch, ids in news.recruited:
            self._recruited(batch, ids)
        for batch, why in news.unfit:
            self._unfit(batch, why)
        for shape, name, claim in news.claims:
            self._claimed(shape, name, claim)
        for shape, name in news.taken:
            self._taken(shape, name)

    def adopt(
        self, queued: Sequence[Found], pilots: Mapping[str, Sequence[SchedulerId]], submitted: Collection[str]
    ) -> None:
        """What leaders before have left. A name that comes later stands for what was offered again.

        `submitted`: attempts that are jobs of the scheduler's themselves.
        """
        for found in queued:
            self._adopt(found)
        for batch, ids in pilots.items():
            if batch.split("-")[1] in self._shapes and any(ids):
                self._recruited(batch, ids, adopted=True)
            else:
                self._clerk.cancel(filter(None, ids))
                self._clerk.errand(partial(self._recruiter.dismiss, batch))
        early, self._early = self._early or [], None
        for one in early:
            if one.token in submitted and self._where[one.token] is None:
                del self._where[one.token]
        self._offer([one for one in early if self._where.get(one.token, self) is None])

    def _adopt(self, found: Found) -> None:
        orders = found.chunk.orders
        mine = [one.token for one in orders if one.token in self._where or self._stage.wants(one.token)]
        self._shapes.setdefault(found.shape, self._shape(found.shape, requirements_from(found.chunk.needs)))
        chunk = self._put(found.shape, found.name, dict.fromkeys(mine, ""))
        if found.claim is not None:
            self._claimed(found.shape, found.name, found.claim)
        if unwanted := [one.token for one in orders if one.token not in mine]:
            self._take_back(chunk, unwanted)
        self._look_through(chunk)

    def seen(self, seen: Mapping[SchedulerId, Seen], asked: Collection[SchedulerId]) -> None:
        """What the scheduler says of those that it was asked about."""
        for scheduler_id in asked:
            pilot = self._by_id.get(scheduler_id)
            if pilot is None or pilot.over is not None:
                continue
            told = seen.get(scheduler_id)
            pilot.overlooked = 0 if told else pilot.overlooked + 1
            if pilot.overlooked >= OVERLOOKED:
                told = Seen(standing=Standing.ended, outcome=Outcome.lost, reason="the scheduler knows nothing of its pilot")
            if told is not None and told.standing is Standing.ended:
                pilot.over, pilot.over_at = told, self._site.clock.now()

    def heard(self, sack: Sack) -> None:
        """A pilot has posted this. If it has left, it owes nothing."""
        self._works()
        name = sack.pilot
        for shape in self._shapes.values():
            pilot = shape.pilots.get(name)
            if pilot is not None:
                pilot.worked = True
                pilot.finished = pilot.finished or any(not (one.unbegun or one.terminated) for one in sack.letters)
                if sack.left:
                    self._over(shape, pilot, Seen(standing=Standing.ended), blame=False)
                return
        if name not in self._gone:
            self._forward[name] = sack.left

    def _works(self) -> None:
        self._in_vain, self._proven, self._recruit_at = 0, True, 0.0

    def step(self) -> None:
        """Whatever time has brought. Raises DeploymentError if pilots cannot be started at all."""
        now = self._site.clock.now()
        for shape in self._shapes.values():
            for pilot in [one for one in shape.pilots.values() if one.over is not None]:
                assert pilot.over is not None
                if now >= pilot.over_at + LATE:
                    self._over(shape, pilot, pilot.over, blame=True)
            for chunk in [one for one in shape.chunks.values() if one.claim is not None]:
                self._look_after(shape, chunk, now)
            if self._early is None and now >= self._recruit_at:
                self._recruit(shape)
            self._withdraw(shape, now)
        while self._through and now >= self._through[0][0] + KEPT:
            _, chunk = self._through.pop(0)
            self._clerk.errand(partial(self._recruiter.remove, chunk.shape, chunk.name, chunk.killed))

    # -- chunks ------------------------------------------------------------------------------------------------------

    def _offer(self, submissions: Sequence[Submission]) -> None:
        shapes: dict[str, list[Submission]] = {}
        for one in submissions:
            shapes.setdefault(shape_of(one.requirements), []).append(one)
        for name, members in shapes.items():
            shape = self._shapes.setdefault(name, self._shape(name, members[0].requirements))
            terms = self._terms(shape)
            offers = []
            for part in shape.parted(members, lambda one: one.name):
                chunk = self._put(name, self._name(), {one.token: one.name for one in part})
                orders: list[Order] = [order_of(one) for one in part]
                offers.append(Offer(shape=name, name=chunk.name, chunk=changed(terms, orders=orders)))
            self._clerk.errand(partial(self._recruiter.offer, offers))

    def _shape(self, name: str, requirements: Requirements) -> ShapeState:
        """Without pilots there may be queues all the same, left by a leader before."""
        pilots = self._site.pilots
        return ShapeState(name, requirements, None if pilots is None else max(1, pilots))

    def _terms(self, shape: ShapeState) -> Chunk:
        """What chunks of a shape say beside what is in them."""
        limit = self._site.scheduler.time_limit(shape.requirements, shape.roomy)
        fixed = shape.most is not None
        return Chunk(
            orders=(),
            needs=requirements_as_json(shape.requirements),
            limit=0.0 if limit == math.inf else limit or (0.0 if fixed else UNKNOWN),
            kept=HALF if fixed else MOST,
            idle=IDLE if fixed else 0.0,
            polite=min(POLITE, self._site.poll_interval),
        )

    def _offer_again(self, chunk: ChunkState, tokens: Sequence[str]) -> None:
        """Under another name, for nobody but its owner may take from a chunk that is claimed."""
        for token in tokens:
            if self._stage.is_cancelled(token):
                self._stage.withdrawn(token, Outcome.cancelled, "cancelled before it was begun")
        wanted = frozenset(tokens)
        left = [(token, name) for token, name in chunk.tokens.items() if token in wanted]
        parts = [
            (self._put(chunk.shape, self._name(), dict(part)).name, frozenset(token for token, _ in part))
            for part in self._shapes[chunk.shape].parted(left, lambda one: one[1])
        ]
        if parts:
            self._clerk.errand(partial(self._recruiter.offer_again, chunk.shape, chunk.name, parts))

    def _put(self, shape: str, name: str, tokens: Mapping[str, str]) -> ChunkState:
        chunk = ChunkState(shape, name, dict(tokens))
        self._shapes[shape].chunks[name] = chunk
        for token in tokens:
            before = self._where.get(token)
            self._where[token] = chunk
            if before is not None:
                self._leave(before, token)
        return chunk

    def _leave(self, chunk: ChunkState, token: str) -> None:
        chunk.tokens.pop(token, None)
        self._look_through(chunk)

    def _look_through(self, chunk: ChunkState) -> None:
        """Whether there is nothing left in it."""
        if not chunk.tokens and self._shapes[chunk.shape].chunks.pop(chunk.name, None) is not None:
            self._through.append((self._site.clock.now(), chunk))

    def _name(self) -> str:
        self._count += 1
        return f"{int(self._site.clock.now() * 1000):014d}-{self._count:08d}-{secrets.token_hex(3)}"

    # -- claims ------------------------------------------------------------------------------------------------------

    def _claimed(self, shape_name: str, name: str, claim: Claim) -> None:
        shape = self._shapes.get(shape_name)
        chunk = shape.chunks.get(name) if shape is not None else None
        if shape is None or chunk is None or chunk.claim is not None:
            return
        if claim.pilot == LEADER:
            self._taken(shape_name, name)
            return
        chunk.claim, chunk.claimed_at = claim, self._site.clock.now()
        self._works()
        if claim.pilot in shape.pilots:
            shape.pilots[claim.pilot].worked = True
        token, job = next(iter(chunk.tokens.items()), ("", ""))
        if token and not shape.is_quick(job):
            self._stage.begun(token, claim.host)

    def _take_back(self, chunk: ChunkState, tokens: Sequence[str]) -> None:
        """These are to end, wherever they are."""
        chunk.killed.update(tokens)
        self._clerk.errand(partial(self._recruiter.kill, tokens))
        if chunk.claim is None and not chunk.wanted_back:
            chunk.wanted_back = True
            self._clerk.errand(partial(self._recruiter.take, chunk.shape, chunk.name))

    def _taken(self, shape: str, name: str) -> None:
        """A leader has it, so nobody else will begin what is in it."""
        chunk = self._shapes[shape].chunks.get(name)
        if chunk is not None:
            chunk.claim = Claim(pilot=LEADER, host="")
            self._offer_again(chunk, list(chunk.tokens))

    def _look_after(self, shape: ShapeState, chunk: ChunkState, now: float) -> None:
        """See that somebody has it, and say which of its attempts runs if it takes long."""
        assert chunk.claim is not None
        name = chunk.claim.pilot
        if name in shape.pilots:
            if now >= chunk.claimed_at + 1.0 and chunk.tokens:
                chunk.claimed_at = now
                token, job = next(iter(chunk.tokens.items()))
                if token == chunk.first:
                    shape.has_taken(job, now - chunk.first_since)
                else:
                    chunk.first, chunk.first_since = token, now
                self._stage.begun(token, chunk.claim.host)
        elif any(name.startswith(f"{batch}.") for batch in shape.asked):
            chunk.claimed_at = now
        elif name in self._gone or now >= chunk.claimed_at + UNHEARD_OF:
            lost = Seen(standing=Standing.ended, outcome=Outcome.lost, reason="its pilot is gone", host=chunk.claim.host)
            self._settle(shape, name, "", self._gone.get(name, lost), blame=True)

    # -- pilots ------------------------------------------------------------------------------------------------------

    def _recruit(self, shape: ShapeState) -> None:
        wanted = shape.wanted()
        largest = max(1, self._site.scheduler.largest_array)
        while wanted > 0:
            size = min(wanted, largest)
            wanted -= size
            batch = f"{PILOTS}{shape.name}-{secrets.token_hex(6)}"
            shape.asked[batch] = size
            recruit = Recruit(batch=batch, size=size, requirements=shape.requirements, roomy=shape.roomy)
            self._clerk.errand(partial(self._recruiter.recruit, recruit), calls=True)

    def _withdraw(self, shape: ShapeState, now: float) -> None:
        """Take those out of the scheduler's queue that it has not begun, when there is nothing for them."""
        surplus = shape.surplus(now)
        for pilot in surplus:
            pilot.withdrawn = True
        if surplus:
            self._clerk.errand(partial(self._recruiter.withdraw, [one.id for one in surplus]), calls=True)

    def _recruited(self, batch: str, ids: Sequence[SchedulerId], *, adopted: bool = False) -> None:
        shape = self._shapes[batch.split("-")[1]]
        shape.asked.pop(batch, None)
        for number, scheduler_id in enumerate(ids):
            if not scheduler_id:
                continue
            pilot = PilotState(f"{batch}.{number}", batch, scheduler_id, adopted=adopted)
            pilot.worked = pilot.name in self._forward or any(
                one.claim is not None and one.claim.pilot == pilot.name for one in shape.chunks.values()
            )
            shape.pilots[pilot.name] = self._by_id[scheduler_id] = pilot
            if self._forward.pop(pilot.name, False):
                self._over(shape, pilot, Seen(standing=Standing.ended), blame=False)

    def _unfit(self, batch: str, why: str) -> None:
        """The scheduler will not have pilots of this shape."""
        shape = self._shapes[batch.split("-")[1]]
        shape.asked.pop(batch, None)
        for chunk in [one for one in shape.chunks.values() if one.claim is None]:
            tokens = list(chunk.tokens)
            self._take_back(chunk, tokens)
            for token in tokens:
                self._stage.withdrawn(token, Outcome.failed, why)

    def _over(self, shape: ShapeState, pilot: PilotState, seen: Seen, *, blame: bool) -> None:
        del shape.pilots[pilot.name], self._by_id[pilot.id]
        if seen.outcome is Outcome.timed_out and pilot.finished:
            seen = changed(seen, outcome=Outcome.lost, reason=TIME_UP)
        self._gone[pilot.name] = seen
        self._settle(shape, pilot.name, pilot.id, seen, blame=blame)
        if not any(one.batch == pilot.batch for one in shape.pilots.values()):
            self._clerk.errand(partial(self._recruiter.dismiss, pilot.batch))
        if blame and not (pilot.worked or pilot.withdrawn or pilot.adopted or seen.outcome in _BLAMELESS):
            self._was_in_vain(pilot, seen)

    def _was_in_vain(self, pilot: PilotState, seen: Seen) -> None:
        self._in_vain += 1
        if self._proven:
            self._recruit_at = self._site.clock.now() + min(2.0**self._in_vain, LONGEST_PAUSE)
        if self._in_vain >= (AFTER_ALL if self._proven else IN_VAIN):
            why = self._stage.last_words(pilot.id) or seen.reason or "the scheduler does not say why it ended"
            raise DeploymentError(f"no worker can be started: {why}")

    def _settle(self, shape: ShapeState, name: str, scheduler_id: SchedulerId, seen: Seen, *, blame: bool) -> None:
        """What a pilot has claimed and not written about."""
        owed = [one for one in shape.chunks.values() if one.claim is not None and one.claim.pilot == name]
        owed.sort(key=lambda one: one.claim.turn if one.claim else 0)
        for chunk in owed:
            tokens = list(chunk.tokens)
            if blame and tokens:
                blame = False
                self._stage.end_by_word(tokens.pop(0), scheduler_id, seen)
            self._offer_again(chunk, tokens)
