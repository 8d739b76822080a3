"""Where a leader and its workers on other machines leave things for each other: a few names in the job store.

    batches/<batch>/tokens      JSON: the tokens of its members, in order
    batches/<batch>/<chunk>     the orders of so many members: each member reads its own chunk
    up/<token>                  a service yielded
    outcomes/<token>            the attempt is over; written once, by whoever comes first
    outcomes/many-<any name>    the same of several attempts, by a pilot, to which they belong (`moil.runtime.queues`)
    stop/<token>                a service's last client has settled

All but the requests to stop are signed under the run's key, and what a record is for is part of what is signed. An
outcome stays until the leader has written down what it says; `forget` removes it, and the chunks of a batch once none of
its members is out any more. STORED FORMAT: a worker that was queued by one leader is heard by the next.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from moil.core import wire
from moil.core.records import Outcome
from moil.deployment import signing
from moil.errors import DamagedError, KeyExists, NoSuchKey
from moil.ports.job_store import JobStore
from moil.record import field, record

CHUNK = 64
"""Orders to one object: few enough that a member does not read much of others', many enough to be few objects."""


@record
class Order:
    """One attempt for a worker: its limits, and the task record."""

    token: str
    record: bytes
    memory: int = 0
    walltime: float = 0.0
    service: bool = False


@record
class Letter:
    """What a worker says of an attempt. `record` is the outcome record, if the job's process got so far."""

    token: str
    host: str
    record: bytes | None = None
    outcome: Outcome = Outcome.completed
    #: Why it ended, if the outcome record does not say.
    error: str = ""
    #: The worker itself ended the attempt (a limit), so that what the record says counts less.
    verdict: bool = False
    #: Somebody sent SIGTERM: the scheduler knows why.
    terminated: bool = False
    #: The program could not be brought to the machine, or not be started there.
    undeployed: bool = False
    #: It was not begun, and will not be by whoever says so.
    unbegun: bool = False
    usage: Mapping[str, Any] = field(default_factory=dict)


@record
class Sack:
    """Letters that were posted together, and the pilot who did that. `left`: they are its last, and all is accounted for."""

    letters: tuple[Letter, ...]
    pilot: str = ""
    left: bool = False


SACK = "many-"
"""How the name of a sack begins; no token begins so."""


class Mailbox:
    """The names above, in one run's store."""

    def __init__(self, store: JobStore, key: bytes) -> None:
        self._store, self._key = store, key

    # -- the leader ----------------------------------------------------------------------------------------------

    def write_batch(self, batch: str, orders: Sequence[Order]) -> None:
        """Lay down what the members of a batch are to do."""
        for chunk in range(0, len(orders), CHUNK):
            blobs = [wire.pack(_order_header(one), [one.record]) for one in orders[chunk : chunk + CHUNK]]
            self._put(f"batches/{batch}/{chunk // CHUNK}", wire.pack({}, blobs))
        tokens = json.dumps([one.token for one in orders]).encode()
        self._put(f"batches/{batch}/tokens", tokens)

    def batches(self) -> dict[str, tuple[str, ...]]:
        """The tokens of every batch that is there."""
        names = {key.split("/")[1] for key in self._store.keys("batches/") if key.endswith("/tokens")}
        return {name: tuple(json.loads(self._get(f"batches/{name}/tokens"))) for name in sorted(names)}

    def remove_batch(self, batch: str) -> None:
        """None of its members is out."""
        self._store.delete(list(self._store.keys(f"batches/{batch}/")))

    def posted(self, kind: str) -> list[str]:
        """The tokens that have something under ``outcomes`` or ``up``."""
        return [key.partition("/")[2] for key in self._store.keys(f"{kind}/")]

    def read(self, kind: str, token: str) -> Letter:
        """What was posted. Raises DamagedError."""
        return _letter(self._get(f"{kind}/{token}"), token)

    def read_sack(self, name: str) -> Sack:
        """What was posted under such a name. Raises DamagedError."""
        data = self._get(f"outcomes/{name}")
        try:
            header, blobs = wire.unpack(data)
            letters = tuple(map(_letter, blobs, header["tokens"]))
            return Sack(letters=letters, pilot=header["pilot"], left=header["left"])
        except (LookupError, ValueError) as error:
            raise DamagedError(f"the outcomes {name} are damaged: {error}") from error

    def forget(self, names: Iterable[str]) -> None:
        """What was posted under these has been written down."""
        gone = list(names)
        singles = [one for one in gone if not one.startswith(SACK)]
        self._store.delete([f"outcomes/{one}" for one in gone])
        self._store.delete([f"{kind}/{one}" for kind in ("up", "stop") for one in singles])

    def ask_to_stop(self, token: str) -> None:
        """A service is no longer needed."""
        self._store.put(f"stop/{token}", b"")

    # -- a worker ------------------------------------------------------------------------------------------------

    def order(self, batch: str, member: int) -> Order | None:
        """What member number `member` is to do; None if the batch is over. Raises DamagedError."""
        try:
            data = self._get(f"batches/{batch}/{member // CHUNK}")
        except NoSuchKey:
            return None
        _, blobs = wire.unpack(data)
        header, (record,) = wire.unpack(blobs[member % CHUNK])
        return Order(record=record, **header)

    def is_over(self, token: str) -> bool:
        """Whether somebody has posted an outcome already."""
        return f"outcomes/{token}" in self._store.keys(f"outcomes/{token}")

    def is_to_stop(self, token: str) -> bool:
        """Whether the service is no longer needed."""
        return f"stop/{token}" in self._store.keys(f"stop/{token}")

    def post_up(self, letter: Letter) -> None:
        """The service yielded."""
        with suppress(KeyExists):
            self._put(f"up/{letter.token}", _letter_bytes(letter), if_absent=True)

    def post_outcome(self, letter: Letter) -> bool:
        """The attempt is over; False: another worker said so before."""
        try:
            self._put(f"outcomes/{letter.token}", _letter_bytes(letter), if_absent=True)
        except KeyExists:
            return False
        return True

    def post_sack(self, name: str, sack: Sack) -> None:
        """These attempts are over. The name is nobody else's."""
        header = {"pilot": sack.pilot, "left": sack.left, "tokens": [one.token for one in sack.letters]}
        self._put(f"outcomes/{name}", wire.pack(header, [_letter_bytes(one) for one in sack.letters]))

    # -- signed --------------------------------------------------------------------------------------------------

    def _put(self, key: str, data: bytes, *, if_absent: bool = False) -> None:
        self._store.put(key, signing.sign(self._key, key, data), if_absent=if_absent)

    def _get(self, key: str) -> bytes:
        return signing.verify(self._key, key, self._store.get(key))


def _order_header(order: Order) -> dict[str, Any]:
    return {"token": order.token, "memory": order.memory, "walltime": order.walltime, "service": order.service}


_LETTER_FIELDS = ("host", "error", "verdict", "terminated", "undeployed")


def _letter_bytes(letter: Letter) -> bytes:
    header = {name: getattr(letter, name) for name in _LETTER_FIELDS}
    header |= {"outcome": letter.outcome.value, "usage": dict(letter.usage), "unbegun": letter.unbegun}
    return wire.pack(header, [] if letter.record is None else [letter.record])


def _letter(data: bytes, token: str) -> Letter:
    try:
        header, blobs = wire.unpack(data)
        fields = {name: header[name] for name in _LETTER_FIELDS}
        record = blobs[0] if blobs else None
        fields["unbegun"] = header.get("unbegun", False)
        return Letter(token=token, record=record, outcome=Outcome(header["outcome"]), usage=header["usage"], **fields)
    except (LookupError, ValueError) as error:
        raise DamagedError(f"the outcome of attempt {token} is damaged: {error}") from error


