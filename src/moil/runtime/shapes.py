"""What a fleet keeps count of, by shape: pilots and chunks; how many pilots there should be, and how large a chunk.

A *shape* is all that asks for the same. How many pilots it has is either a number that the user gave, or follows from what
there is to do. Then each attempt that nobody has taken stands for a pilot in the scheduler's queue, as it would for a job of
its own, unless jobs of its name are known to be quick: of those, one pilot is worth submitting for `WORTHWHILE` seconds of
work. So the scheduler sees an array of as many members as there are jobs, and those that come to run do what they find; what
is still in its queue when there is nothing left is taken out of it.

Only `QUEUED` wait there at a time, which is as much as a scheduler likes to look through, and more are submitted when half
of them have begun.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from moil.core.requirements import Accelerator, Requirements
from moil.ports.scheduler import SchedulerId, Seen
from moil.record import field, record
from moil.runtime.queues import LARGEST, Claim

T = TypeVar("T")

TIMES, LEAST = 4, 3600.0
"""A pilot of a given number asks for so many times the walltime of its attempts, and for so many seconds at least."""
WORTH = 0.5
"""Seconds of work in a chunk, when it is known how long attempts take."""
LIKELY = 64
"""So many pilots are thought to work at a time, if the user has not said how many there are."""
WORTHWHILE = 2.0
"""Seconds of work for which one more pilot is submitted: about what it takes to start one."""
QUEUED = 1000
"""The most pilots of a shape that wait in the scheduler's queue, if the user has not said how many there are."""
BRIEF, SETTLED = 0.5, 4.0
"""Seconds without anything to take after which what waits in the queue is taken out: if pilots have begun all that they have
taken, and if not. Then it is longer than one of them keeps what it will give back (`moil.runtime.pilot`)."""
SMOOTHING = 0.2
REMEMBERED = 1000
"""How many names of jobs are remembered: a program may give each of its jobs one of its own."""


@record(kw_only=False, frozen=False)
class ChunkState:
    """A chunk, and who has it."""

    shape: str
    name: str
    #: Those that are not over, in order, and what their jobs are called; "" if a leader before has put them there.
    tokens: dict[str, str]
    claim: Claim | None = None
    claimed_at: float = 0.0
    #: Which of its attempts ran when it was last looked at, and since when it has been seen to.
    first: str = ""
    first_since: float = 0.0
    #: Whether this leader is about to claim it.
    wanted_back: bool = False
    killed: set[str] = field(default_factory=set)

    @property
    def is_free(self) -> bool:
        """Whether pilots may take it."""
        return self.claim is None and not self.wanted_back


@record(kw_only=False, frozen=False)
class PilotState:
    """A pilot, and what is known of it."""

    name: str
    batch: str
    id: SchedulerId
    #: Whether it has been heard of.
    worked: bool = False
    #: Whether it has finished an attempt.
    finished: bool = False
    #: Whether it is not to begin any more, if it has not.
    withdrawn: bool = False
    #: Whether a leader before has submitted it, and may have withdrawn it.
    adopted: bool = False
    over: Seen | None = None
    over_at: float = 0.0
    overlooked: int = 0


@record(kw_only=False, frozen=False)
class ShapeState:
    """The pilots and chunks of a shape. `most`: how many pilots it may have, from 1; None: as many as there is work for."""

    name: str
    requirements: Requirements
    most: int | None = None
    #: Batches that were asked for, and how many pilots are in them.
    asked: dict[str, int] = field(default_factory=dict)
    pilots: dict[str, PilotState] = field(default_factory=dict)
    chunks: dict[str, ChunkState] = field(default_factory=dict)
    #: Seconds that attempts of jobs of this name take, as far as that is known.
    paces: dict[str, float] = field(default_factory=dict)
    #: Since when there has been nothing to take.
    bare_since: float | None = None

    def is_quick(self, name: str) -> bool:
        """Whether attempts of such jobs are known to take little time."""
        return name in self.paces and self.paces[name] <= WORTH

    def took(self, name: str, seconds: float) -> None:
        """An attempt is over."""
        before = self.paces.pop(name, None)
        if len(self.paces) >= REMEMBERED:
            del self.paces[next(iter(self.paces))]
        self.paces[name] = seconds if before is None else before + SMOOTHING * (seconds - before)

    def has_taken(self, name: str, seconds: float) -> None:
        """An attempt has been running for so long: that makes slow what was thought quick."""
        if name in self.paces:
            self.paces[name] = max(self.paces[name], seconds)

    def wanted(self) -> int:
        """How many pilots more there should be."""
        free = [one for one in self.chunks.values() if one.is_free]
        if not free:
            return 0
        busy = {one.claim.pilot for one in self.chunks.values() if one.claim is not None}
        alive = [one for one in self.pilots.values() if one.over is None and not one.withdrawn]
        expected = sum(self.asked.values())
        idle = expected + sum(one.name not in busy for one in alive)
        if self.most is not None:
            return min(self.most - len(alive) - expected, len(free) - idle)
        queued = expected + sum(not one.worked for one in alive)
        more = self._useful([name for one in free for name in one.tokens.values()]) - idle
        return min(more, QUEUED - queued) if queued <= QUEUED // 2 else 0

    def _useful(self, names: Collection[str]) -> int:
        """How many pilots are worth having for these attempts."""
        known = [self.paces[one] for one in names if one in self.paces]
        return len(names) - len(known) + min(len(known), math.ceil(sum(known) / WORTHWHILE))

    def surplus(self, now: float) -> list[PilotState]:
        """Those that need not begin any more, now that there has been nothing to take for a while."""
        if self.most is not None or any(one.is_free for one in self.chunks.values()):
            self.bare_since = None
            return []
        self.bare_since = now if self.bare_since is None else self.bare_since
        may_come_back = any(len(one.tokens) > 1 for one in self.chunks.values())
        if now < self.bare_since + (SETTLED if may_come_back else BRIEF):
            return []
        return [one for one in self.pilots.values() if not one.worked and not one.withdrawn and one.over is None]

    def parted(self, members: Sequence[T], name_of: Callable[[T], str]) -> Iterator[Sequence[T]]:
        """These in chunks: large while there is much to do, small towards the end, or when each takes long."""
        waiting = sum(len(one.tokens) for one in self.chunks.values() if one.claim is None) + len(members)
        slowest = max((self.paces.get(name, 0.0) for name in set(map(name_of, members))), default=0.0)
        largest = max(1, min(LARGEST, int(WORTH / slowest) if slowest else LARGEST))
        most = LIKELY if self.most is None else self.most
        start = 0
        while start < len(members):
            size = max(1, min(largest, (waiting - start) // (4 * most)))
            yield members[start : start + size]
            start += size

    @property
    def roomy(self) -> float:
        """Seconds that a pilot would like to have, at least; 0: what one of its attempts would get."""
        walltime = self.requirements.walltime
        return max(TIMES * walltime, LEAST) if walltime and self.most is not None else 0.0


def shape_of(requirements: Requirements) -> str:
    """The name of all that asks for the same."""
    return hashlib.sha256(json.dumps(requirements_as_json(requirements), sort_keys=True).encode()).hexdigest()[:16]


def requirements_as_json(requirements: Requirements) -> dict[str, Any]:
    """What JSON can hold. STORED FORMAT: the next leader submits pilots by it."""
    return {
        "cores": requirements.cores,
        "memory": requirements.memory,
        "disk": requirements.disk,
        "walltime": requirements.walltime,
        "accelerators": [[one.kind, one.count, one.model] for one in requirements.accelerators],
        "preemptible": requirements.preemptible,
    }


def requirements_from(needs: Mapping[str, Any]) -> Requirements:
    """What `requirements_as_json` has made."""
    devices = tuple(Accelerator(kind=kind, count=count, model=model) for kind, count, model in needs["accelerators"])
    return Requirements(**{**needs, "accelerators": devices})
