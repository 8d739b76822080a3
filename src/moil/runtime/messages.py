"""What goes between a leader and the slots in which attempts run: one message, one packet.

A slot has two sockets, both of packets, so that a message arrives whole however many processes write.

    queue    leader -> slot    TASK: attempts, to be taken one after another. Whoever runs them takes one when it has
                               done with the last, so the leader can take back, from its own copy of the far end, what
                               nobody has begun: that is what makes it safe to send ahead.
    channel  leader -> slot    KILL, STOP; TASK: a service, which has the slot for itself
             slot -> leader    STARTED (of those that are not over at once), UP, RETURNED, ENDED; DONE is both of these

A slot does its attempts in the order in which they were sent, one after another: whatever it says of one says that those
before it are over, too, as if ENDED had been said of each. A terse supervisor leaves it at that, which saves the leader
being woken.

A message is a fixed head, the attempt's token and a body. A body that is too long for a packet lies in a file, which the
reader removes. Both ends are of one version of Moil. What slots have told is stored for a while (`moil.runtime.outbox`):
whoever changes a packet changes the format there.
"""

from __future__ import annotations

import contextlib
import os
import socket
from struct import Struct

from moil.core import wire
from moil.core.records import Outcome
from moil.record import record

TASK, KILL, STOP = b"T", b"K", b"P"
STARTED, UP, RETURNED, DONE, ENDED = b"S", b"U", b"R", b"D", b"E"

LARGEST = 60_000
"""Bytes of a body that go in a packet."""
PACKET = 64 * 1024
"""What to receive with."""

SERVICE, VARIABLES, SPILLED = 1, 2, 4
"""Flags. VARIABLES: the body is an envelope with environment variables in its header."""

FAILED = "moil: a supervisor failed: "
"""What begins the line that one writes to standard error when it cannot go on."""

_HEAD = Struct("<cBBddq")


@record(kw_only=False, frozen=False)
class Message:
    """One message. Of a task, `wall` and `memory` are its limits (0: none); of the others, what was used."""

    kind: bytes
    token: str
    body: bytes = b""
    wall: float = 0.0
    cpu: float = 0.0
    memory: int = 0
    flags: int = 0

    def packet(self, spill: str = "") -> bytes:
        """As it goes; a body that is too long goes into the file `spill`."""
        body, flags = self.body, self.flags
        if len(body) > LARGEST:
            body, flags = _spill(body, spill), flags | SPILLED
        token = self.token.encode()
        return _HEAD.pack(self.kind, flags, len(token), self.wall, self.cpu, self.memory) + token + body


def _spill(body: bytes, file: str) -> bytes:
    with open(file, "wb") as target:
        target.write(body)
    return file.encode()


NO_OUTCOME = "the job's process ended with exit status 0 before the job returned"


def ended(outcome: Outcome, why: str, *, by_supervisor: bool) -> bytes:
    """The body of an ENDED of which there is something to say: why, and whether it was the supervisor who ended it."""
    return wire.pack({"outcome": outcome.value, "why": why, "by_supervisor": by_supervisor})


def ending(told: Message) -> tuple[Outcome, str, bool]:
    """What an ENDED says, in the words of `ended`."""
    if not told.body:
        return Outcome.failed, NO_OUTCOME, False
    said = wire.unpack(told.body)[0]
    return Outcome(said["outcome"]), said["why"], said["by_supervisor"]


def drain(queue: socket.socket) -> list[str]:
    """The tokens of what waits in a queue, taken from it unread: a file that holds a long body goes."""
    tokens: list[str] = []
    with contextlib.suppress(BlockingIOError):
        while packet := queue.recv(PACKET, socket.MSG_DONTWAIT):
            _, token = kind_and_token(packet)
            if packet[1] & SPILLED:
                os.unlink(packet[_HEAD.size + len(token) :])
            tokens.append(token)
    return tokens


def kind_and_token(packet: bytes) -> tuple[bytes, str]:
    """What a packet says, and of which attempt."""
    kind, _, length, _, _, _ = _HEAD.unpack_from(packet)
    return kind, packet[_HEAD.size : _HEAD.size + length].decode()


def read(packet: bytes) -> Message:
    """The message in a packet. Raises OSError if the file that holds its body is gone."""
    kind, flags, length, wall, cpu, memory = _HEAD.unpack_from(packet)
    start = _HEAD.size + length
    body = packet[start:]
    if flags & SPILLED:
        with open(body, "rb") as source:
            body = source.read()
        os.unlink(source.name)
    return Message(kind, packet[_HEAD.size : start].decode(), body, wall, cpu, memory, flags)
