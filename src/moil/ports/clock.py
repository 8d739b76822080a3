"""Time as an argument: the engine never asks the operating system for it directly."""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    """Seconds since the epoch."""

    def now(self) -> float:
        """The present."""
        ...
