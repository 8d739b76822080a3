"""The places on this machine in which attempts run, as the leader sees them: see `moil.runtime.messages`.

A slot is sent more than it can do at once when what it does is quick, so that it never waits for the leader, and the
leader is woken for many attempts together. Only jobs with the same requirements are sent ahead: they follow each other
in what the first was granted. Nothing is lost by it, as the leader holds the slot's end of the queue too: what nobody
has begun it can take back, when an attempt turns out to be long or another slot has nothing to do.
"""

from __future__ import annotations

import contextlib
import socket
from collections import deque

from moil.adapters.machine import Grant
from moil.ports.batch_system import Submission
from moil.runtime import messages
from moil.runtime.messages import Message

AHEAD = 0.02
"""Seconds of work that a slot may have before it."""
MOST = 32
"""Attempts that it may have before it."""
SMOOTHING = 0.3


class Slot:
    """One supervisor and what it has to do, in order: the first is running, or about to."""

    def __init__(self, number: int, *, quickest: float) -> None:
        kind = socket.AF_UNIX, socket.SOCK_SEQPACKET
        self.number = number
        self.channel, self.far_channel = socket.socketpair(*kind)
        self._queue, self.far_queue = socket.socketpair(*kind)
        self._quickest = quickest
        self._pace = AHEAD
        self.outstanding: deque[Submission] = deque()
        self.grant: Grant | None = None
        #: The attempt whose outcome has come, while its end has not.
        self.returned = ""

    @property
    def home(self) -> str:
        """The name of its directory."""
        return f"{self.number}.slot"

    def note(self, wall: float) -> None:
        """An attempt took so long."""
        self._pace += SMOOTHING * (max(wall, self._quickest) - self._pace)

    @property
    def room(self) -> int:
        """How many more attempts it may be sent ahead."""
        return min(MOST, int(AHEAD / self._pace)) - len(self.outstanding)

    @property
    def work(self) -> float:
        """Seconds that what it has not begun will take."""
        return max(0, len(self.outstanding) - 1) * self._pace

    @property
    def spare(self) -> float:
        """The same, if it has ended one and that has yet to be heard."""
        return max(0, len(self.outstanding) - 2) * self._pace

    def takes(self, submission: Submission) -> bool:
        """Whether the attempt can follow those that it has, in the same grant."""
        if submission.service or self.grant is None or not self.outstanding or self.outstanding[0].service:
            return False
        mine = self.grant.requirements
        return submission.requirements is mine or submission.requirements == mine

    def give(self, submission: Submission, message: Message, spill: str) -> bool:
        """Send an attempt; False: there is no room for more. A slot that is gone is told of by its channel's end."""
        packet = message.packet(spill)
        try:
            if submission.service:
                self.channel.send(packet)
            else:
                self._queue.send(packet, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except OSError:
            pass
        self.outstanding.append(submission)
        return True

    def tell(self, kind: bytes, token: str) -> None:
        """An order about what runs."""
        with contextlib.suppress(OSError):
            self.channel.send(Message(kind, token).packet())

    def take_back(self) -> list[Submission]:
        """What has not been begun, in order; it is the slot's no longer.

        Not always the last that were sent: the far end may take one while this takes those around it.
        """
        tokens = set(messages.drain(self.far_queue))
        back = [one for one in self.outstanding if one.token in tokens]
        self.outstanding = deque(one for one in self.outstanding if one.token not in tokens)
        return back

    def finish(self, token: str) -> Submission | None:
        """The attempt is over; None: it is not here any more."""
        for one in self.outstanding:
            if one.token == token:
                self.outstanding.remove(one)
                return one
        return None

    def hang_up(self) -> None:
        """The supervisor, if there is one, ends what runs. What it has not begun can still be taken back."""
        self.channel.close()
        self._queue.close()

    def close(self) -> None:
        """Let go of the rest."""
        self.far_queue.close()
