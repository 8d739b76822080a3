"""The real reactor and the real clock."""

from __future__ import annotations

import contextlib
import selectors
import socket
import time
from _thread import get_ident
from collections.abc import Callable

from moil.ports.clock import Clock
from moil.ports.reactor import at_once


class SystemClock:
    """The machine's clock."""

    def now(self) -> float:
        """Seconds since the epoch."""
        return time.time()


class SelectorReactor:
    """Waits with the operating system's best selector; `wake` is a byte in a socket."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._selector = selectors.DefaultSelector()
        self._woken, self._waker = socket.socketpair()
        self._woken.setblocking(False)
        self._waker.setblocking(False)
        self._awake = False
        #: The thread that runs callbacks now: what it wakes is about to be awake.
        self._running = 0
        self.add_reader(self._woken.fileno(), self._drain)

    def add_reader(self, fd: int, callback: Callable[[], None], patience: Callable[[], float] = at_once) -> None:
        """Call `callback` whenever `fd` is readable, and at the latest after what `patience` says then."""
        self._selector.register(fd, selectors.EVENT_READ, (callback, patience))

    def remove_reader(self, fd: int) -> None:
        """Stop watching `fd`."""
        with contextlib.suppress(KeyError):
            self._selector.unregister(fd)

    def wake(self) -> None:
        """End the present or the next `wait`."""
        if not self._awake and self._running != get_ident():
            self._awake = True
            with contextlib.suppress(BlockingIOError):
                self._waker.send(b"\0")

    def wait(self, until: float | None) -> None:
        """Run callbacks until something happened or the time has come."""
        timeout = None if until is None else max(0.0, until - self._clock.now())
        ready = self._selector.select(timeout)
        patience = min((key.data[1]() for key, _ in ready), default=0.0)
        if patience > 0.0:
            time.sleep(patience)
            ready = self._selector.select(0)
        self._running = get_ident()
        try:
            for key, _ in ready:
                key.data[0]()
        finally:
            self._running = 0

    def close(self) -> None:
        """Let go of the descriptors."""
        self._selector.close()
        self._woken.close()
        self._waker.close()

    def _drain(self) -> None:
        self._awake = False
        with contextlib.suppress(BlockingIOError):
            self._woken.recv(4096)
