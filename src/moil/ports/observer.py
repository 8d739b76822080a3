"""Who is told what happens: displays, logs, statistics. An observer changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from moil.core.events import Event
from moil.core.workflow import Workflow


class Observer(Protocol):
    """Told after the fact, in the leader's thread; must be quick."""

    def on_events(self, events: Sequence[Event], workflow: Workflow) -> None:
        """These events have been applied to `workflow`."""
        ...

    def close(self) -> None:
        """The leader has ended."""
        ...
