"""The queues from which pilots take their work: more names in the job store, beside those of `moil.runtime.mailbox`.

    queues/<shape>/<chunk>   orders of one shape that are taken together, and what the shape's jobs ask for
    claims/<shape>/<chunk>   who has taken them; written once, by whoever comes first
    kills/<token>            the attempt is to end, or not to begin

All but the requests to end one are signed. A chunk's name begins with the time, so that names in order are the oldest
first. Who has claimed a chunk has all of its attempts, and owes the leader a letter about each: what came of it, or that it
was not begun. STORED FORMAT: a pilot that one leader has submitted serves the next.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from moil.core import wire
from moil.deployment import signing
from moil.errors import DamagedError, KeyExists
from moil.ports.job_store import JobStore
from moil.record import field, record
from moil.runtime.mailbox import Order

PILOTS = "pilot-"
"""How the batches of pilots are called: ``pilot-<shape>-<anything>``; the members are ``<batch>.<number>``."""
LARGEST = 64
"""The most orders in a chunk."""


@record
class Chunk:
    """Orders that are taken together."""

    orders: Sequence[Order]
    #: What the jobs of the shape ask for, in the leader's own form; no business of a pilot's.
    needs: Mapping[str, Any] = field(default_factory=dict)
    #: Seconds that a pilot of the shape has from its process's start, as far as the leader knows; 0: as many as it wants.
    limit: float = 0.0
    #: What must be left of that for an attempt without walltime, from 0 to 1.
    kept: float = 0.5
    #: Seconds without anything to take after which a pilot of the shape is to leave; 0: soon.
    idle: float = 0.0
    #: The same if others wait for its place.
    polite: float = 0.0


@record
class Claim:
    """Who has a chunk. `turn` counts the chunks that this pilot has taken."""

    pilot: str
    host: str
    turn: int = 0


class Queues:
    """The names above, in one run's store."""

    def __init__(self, store: JobStore, key: bytes) -> None:
        self._store, self._key = store, key

    # -- the leader ----------------------------------------------------------------------------------------------

    def write(self, shape: str, name: str, chunk: Chunk) -> None:
        """Offer a chunk."""
        blobs = list(map(_blob, chunk.orders))
        header = {"needs": dict(chunk.needs), **{name: getattr(chunk, name) for name in _TERMS}}
        self._put(f"queues/{shape}/{name}", wire.pack(header, blobs))

    def remove(self, shape: str, name: str) -> None:
        """None of its attempts is out. The claim goes last: without it, somebody might take the chunk again."""
        self._store.delete([f"queues/{shape}/{name}"])
        self._store.delete([f"claims/{shape}/{name}"])

    def offered(self) -> list[tuple[str, str]]:
        """Shape and name of every chunk that is there, claimed or not, the oldest of each shape first."""
        return [_parted(key) for key in self._store.keys("queues/")]

    def claimed(self) -> list[tuple[str, str]]:
        """Shape and name of every chunk that somebody has claimed."""
        return [_parted(key) for key in self._store.keys("claims/")]

    def claim_of(self, shape: str, name: str) -> Claim:
        """Who has it. Raises NoSuchKey, DamagedError."""
        return Claim(**json.loads(self._get(f"claims/{shape}/{name}")))

    def kill(self, tokens: Iterable[str]) -> None:
        """Whoever has these is to end them."""
        for token in tokens:
            self._store.put(f"kills/{token}", b"")

    def forget_kills(self, tokens: Iterable[str]) -> None:
        """They have ended."""
        self._store.delete([f"kills/{token}" for token in tokens])

    # -- whoever takes -------------------------------------------------------------------------------------------

    def free(self, shape: str) -> list[str]:
        """The names of the shape's chunks that nobody has claimed, the oldest first."""
        offered = [key.rpartition("/")[2] for key in self._store.keys(f"queues/{shape}/")]
        if not offered:
            return []
        taken = {key.rpartition("/")[2] for key in self._store.keys(f"claims/{shape}/")}
        return [name for name in offered if name not in taken]

    def is_another_shape_waiting(self, shape: str) -> bool:
        """Whether something is offered of another shape than this, that nobody has claimed."""
        waiting = {one for one in self.offered() if one[0] != shape}
        return bool(waiting) and not waiting.issubset(self.claimed())

    def claim(self, shape: str, name: str, claim: Claim) -> bool:
        """Take it; False: somebody was quicker."""
        told = {"pilot": claim.pilot, "host": claim.host, "turn": claim.turn}
        with suppress(KeyExists):
            self._put(f"claims/{shape}/{name}", json.dumps(told).encode(), if_absent=True)
            return True
        return False

    def unclaim(self, shape: str, name: str) -> None:
        """It was over when it was claimed."""
        self._store.delete([f"claims/{shape}/{name}"])

    def read(self, shape: str, name: str) -> Chunk:
        """What is in it. Raises NoSuchKey, DamagedError."""
        data = self._get(f"queues/{shape}/{name}")
        try:
            header, blobs = wire.unpack(data)
            terms = {name: header[name] for name in _TERMS if name in header}
            return Chunk(orders=[_order(blob) for blob in blobs], needs=header["needs"], **terms)
        except (LookupError, ValueError, TypeError) as error:
            raise DamagedError(f"the queue object {name} is damaged: {error}") from error

    def kills(self) -> set[str]:
        """The attempts that are to end."""
        return {key.partition("/")[2] for key in self._store.keys("kills/")}

    # -- signed --------------------------------------------------------------------------------------------------

    def _put(self, key: str, data: bytes, *, if_absent: bool = False) -> None:
        self._store.put(key, signing.sign(self._key, key, data), if_absent=if_absent)

    def _get(self, key: str) -> bytes:
        return signing.verify(self._key, key, self._store.get(key))


_TERMS = ("limit", "kept", "idle", "polite")
"""What a chunk says to pilots beside its orders; earlier versions have written only the first."""


def _parted(key: str) -> tuple[str, str]:
    _, shape, name = key.split("/")
    return shape, name


def _blob(order: Order) -> bytes:
    return wire.pack({"token": order.token, "memory": order.memory, "walltime": order.walltime}, [order.record])


def _order(blob: bytes) -> Order:
    header, (record,) = wire.unpack(blob)
    return Order(record=record, **header)
