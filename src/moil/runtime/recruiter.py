"""What a leader does for its pilots that may block: errands, run in the clerk's thread in the order they were given.

`moil.runtime.fleet` decides; here it is done, in the job store and by the scheduler. An errand that fails because the
scheduler does not answer is run again, so each can be run twice.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Collection, Sequence

from moil.core.requirements import Requirements
from moil.ports.scheduler import Array, Refused, SchedulerId
from moil.record import changed, record
from moil.runtime.clerk import News, Site
from moil.runtime.queues import Chunk, Claim

LEADER = "leader"
"""Who claims what no pilot is to have."""


@record
class Offer:
    """A chunk to be laid down."""

    shape: str
    name: str
    chunk: Chunk


@record
class Recruit:
    """Pilots to be submitted."""

    batch: str
    size: int
    requirements: Requirements
    roomy: float


class Recruiter:
    """Runs errands."""

    def __init__(self, site: Site, tell: Callable[[News], None]) -> None:
        self._site, self._queues, self._tell = site, site.queues, tell
        self._tried: set[str] = set()

    # -- queues --------------------------------------------------------------------------------------------------

    def offer(self, offers: Sequence[Offer]) -> None:
        """Lay these down."""
        for one in offers:
            self._queues.write(one.shape, one.name, one.chunk)

    def offer_again(self, shape: str, name: str, parts: Sequence[tuple[str, Collection[str]]]) -> None:
        """Lay these attempts of a chunk down under other names."""
        chunk = self._queues.read(shape, name)
        for new, tokens in parts:
            orders = [one for one in chunk.orders if one.token in tokens]
            self._queues.write(shape, new, changed(chunk, orders=orders))

    def take(self, shape: str, name: str) -> None:
        """Claim a chunk before anybody else does; who was quicker is for the reader to see."""
        if self._queues.claim(shape, name, Claim(pilot=LEADER, host=socket.gethostname())):
            self._tell(News(taken=[(shape, name)]))

    def kill(self, tokens: Collection[str]) -> None:
        """Have whoever has these end them."""
        self._queues.kill(tokens)

    def remove(self, shape: str, name: str, killed: Collection[str]) -> None:
        """A chunk is through."""
        self._queues.remove(shape, name)
        self._queues.forget_kills(killed)

    # -- the scheduler -------------------------------------------------------------------------------------------

    def recruit(self, wanted: Recruit) -> None:
        """Submit pilots. Raises SchedulerDown."""
        batch = wanted.batch
        label = f"moil:{self._site.run}:{batch}"
        if batch in self._tried:
            ids = self._site.scheduler.find(label).get(label)
            if ids is not None:
                self._tell(News(recruited=[(batch, ids)]))
                return
        self._tried.add(batch)
        self._site.mailbox.write_batch(batch, [])
        array = Array(
            label=label,
            name=self._site.name,
            size=wanted.size,
            requirements=wanted.requirements,
            script=self._site.script(batch),
            logs=str(self._site.logs or ""),
            roomy=wanted.roomy,
        )
        try:
            ids = self._site.scheduler.submit(array)
        except Refused as error:
            self._site.mailbox.remove_batch(batch)
            self._tell(News(fatal=error) if error.whole_run else News(unfit=[(batch, str(error))]))
        else:
            self._tried.discard(batch)
            self._tell(News(recruited=[(batch, ids)]))

    def withdraw(self, ids: Collection[SchedulerId]) -> None:
        """These, and all others of their arrays, need not begin any more. Raises SchedulerDown."""
        self._site.scheduler.withdraw(ids)

    def dismiss(self, batch: str) -> None:
        """None of these pilots is there any more."""
        self._site.mailbox.remove_batch(batch)
