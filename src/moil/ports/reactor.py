"""What wakes the leader: file descriptors that become readable, and the clock.

The leader is one thread. An adapter that lives on pipes registers them here and is called in that thread when there is
something to read; one that must block does so in a thread of its own and calls `wake`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


def at_once() -> float:
    """No patience at all."""
    return 0.0


class Reactor(Protocol):
    """Waits for whatever comes first."""

    def add_reader(self, fd: int, callback: Callable[[], None], patience: Callable[[], float] = at_once) -> None:
        """Call `callback` in the leader's thread whenever `fd` is readable.

        `patience` says, when it has become so, for how many seconds nobody would miss that: what else comes meanwhile is
        then heard together with it.
        """
        ...

    def remove_reader(self, fd: int) -> None:
        """Stop watching `fd`; do this before closing it."""
        ...

    def wake(self) -> None:
        """End the present or the next `wait`. Safe from any thread and from signal handlers."""
        ...

    def wait(self, until: float | None) -> None:
        """Run callbacks until something happened, or until the clock shows `until`."""
        ...
