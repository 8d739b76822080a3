"""Waiting for what other processes do: for a condition, with a bound."""

from __future__ import annotations

import time
from collections.abc import Callable


def wait_until(condition: Callable[[], object], *, bound: float, pause: float = 0.05) -> bool:
    """Whether the condition came true in so many seconds."""
    patience = time.monotonic() + bound
    while not condition():
        if time.monotonic() > patience:
            return False
        time.sleep(pause)
    return True
