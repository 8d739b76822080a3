"""What the slots of a machine have lately told their leader, for the one that comes after it.

A leader that is killed takes with it what it has heard and not yet written down, and what was still on its way: outcomes
of jobs that have ended, and would run again. So an outcome is put into a file of its slot's before it is sent. Nothing is
flushed: what is in a file survives the death of any process. After a power failure these jobs run again, as any do whose
outcome is not in the journal.

A slot has two files, used in turn: when one is full, the other is emptied. What is on the way to a leader, and what it
has not written down, is always far less than one of them holds.

STORED FORMAT, in the run's work directory: a length and a packet (see `moil.runtime.messages`), again and again. Whoever
changes either changes `FORMAT`, which is in the files' names, so that no leader takes up what it cannot read.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from struct import Struct
from typing import TYPE_CHECKING

from moil.runtime import messages

if TYPE_CHECKING:
    from moil.runtime.job_process import Channel

FORMAT = 1
LARGEST = 1 << 20
_LENGTH = Struct("<I")


class Outbox:
    """That of one slot."""

    def __init__(self, work: Path | None) -> None:
        """`work` None: it is kept in memory, and nobody will find it."""
        self._names = [work / f"{os.getpid()}-{number}.outbox{FORMAT}" for number in range(2)] if work else []
        how = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._files = [os.open(name, how, 0o600) for name in self._names] or [os.memfd_create("outbox") for _ in range(2)]
        self._current = 0

    def turn(self) -> None:
        """Between two attempts: go on in the other file if this one is full.

        Another process of the slot may have done so before; then what it has begun there stays.
        """
        if self._is_full():
            self._current = 1 - self._current
            if self._is_full():
                os.ftruncate(self._files[self._current], 0)

    def _is_full(self) -> bool:
        return os.fstat(self._files[self._current]).st_size >= LARGEST

    def keep(self, packet: bytes) -> None:
        """Put it there. Where there is no room the job may have to run again, if the leader is killed just then."""
        file, data = self._files[self._current], _LENGTH.pack(len(packet)) + packet
        try:
            written = os.write(file, data)
            if written < len(data):
                os.ftruncate(file, os.fstat(file).st_size - written)
        except OSError:
            pass

    def remove(self) -> None:
        """With all that is in it."""
        for file in self._files:
            os.close(file)
        for name in self._names:
            name.unlink(missing_ok=True)


class Voice:
    """A channel, of which all that is sent is kept."""

    def __init__(self, channel: Channel, outbox: Outbox) -> None:
        self._channel, self._outbox = channel, outbox

    def sendall(self, packet: bytes) -> None:
        """Keep it, and send it. Raises OSError."""
        self._outbox.keep(packet)
        self._channel.sendall(packet)


def read(work: Path) -> dict[str, bytes]:
    """By token, the packets in which slots of leaders before have said what came of an attempt."""
    found = {}
    for path in sorted(work.glob(f"*.outbox{FORMAT}")):
        for packet in _packets(path.read_bytes()):
            kind, token = messages.kind_and_token(packet)
            if kind in (messages.RETURNED, messages.DONE):
                found[token] = packet
    return found


def _packets(data: bytes) -> Iterator[bytes]:
    start = 0
    while start + _LENGTH.size <= len(data):
        (length,) = _LENGTH.unpack_from(data, start)
        start += _LENGTH.size + length
        if start <= len(data):
            yield data[start - length : start]
