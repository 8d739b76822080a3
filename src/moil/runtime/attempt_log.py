"""What an attempt prints: into a file of its slot, from there to the job store while it runs, bounded, the end kept.

The file is the buffer that survives any death of the job. It goes to the store in pieces, ``logs/<token>/<number>``,
so nothing is ever written twice; when there is more than the limit, pieces after the first are dropped, oldest first.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from moil.errors import StoreError
from moil.ports.job_store import JobStore

PIECE = 256 * 1024


class AttemptLog:
    """The log of one attempt after another, in one file."""

    def __init__(self, file: Path, store: JobStore, limit: int) -> None:
        self.fd = os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        self._store, self._limit = store, max(limit, 2 * PIECE)
        self._begin("")

    def _begin(self, token: str) -> None:
        self.token, self._passed, self._number = token, 0, 0
        self._pieces: list[tuple[str, int]] = []

    def begin(self, token: str) -> None:
        """The next attempt; the file is empty, as `end` has left it."""
        if token != self.token:
            self._begin(token)

    def note(self, text: str) -> None:
        """A line of the engine's own."""
        os.write(self.fd, f"moil: {text}\n".encode())

    def pass_on(self, is_its: Callable[[], bool] = lambda: True) -> None:
        """Send what is new to the store; only the end of it, if more has come than is kept anyway.

        `is_its` says, after a look into the file, whether what was there can only be this attempt's.
        """
        size = os.fstat(self.fd).st_size
        if size - self._passed > self._limit:
            self._passed = size - self._limit
        while self._passed < size:
            piece = os.pread(self.fd, min(PIECE, size - self._passed), self._passed)
            if not piece:
                break
            if not is_its():
                return
            self._passed += len(piece)
            self._store_piece(piece)
        if size > self._limit:
            os.ftruncate(self.fd, 0)
            self._passed = 0

    def _store_piece(self, piece: bytes) -> None:
        key = f"logs/{self.token}/{self._number:06d}"
        self._number += 1
        self._store.put(key, piece)
        self._pieces.append((key, len(piece)))
        total = sum(size for _, size in self._pieces)
        while total > self._limit and len(self._pieces) > 2:
            key, size = self._pieces.pop(1)
            self._store.delete([key])
            total -= size

    def end(self) -> None:
        """The attempt is over: send the rest. A store that refuses costs the log, never the job."""
        if not os.fstat(self.fd).st_size:
            return
        try:
            self.pass_on()
        except StoreError as error:
            os.write(2, f"moil: the log of attempt {self.token} is incomplete: {error}\n".encode())
        os.ftruncate(self.fd, 0)


def read(store: JobStore, token: str) -> bytes:
    """What is kept of an attempt's log."""
    pieces: list[bytes] = []
    expected = 0
    for key in store.keys(f"logs/{token}/"):
        number = int(key.rpartition("/")[2])
        if number != expected:
            pieces.append(b"\n[... dropped: the log grew beyond --max-log-size ...]\n")
        pieces.append(store.get(key))
        expected = number + 1
    return b"".join(pieces)
