"""The limits of an attempt that is running, and its end when it breaks them: walltime, memory, and the wish of somebody."""

from __future__ import annotations

import signal
import time

from moil.core.records import Outcome
from moil.core.requirements import format_duration, format_size
from moil.runtime import processes

FIRST_SAMPLE = 0.05
SAMPLE = 0.1
"""Seconds from an attempt's start to the first look at it, and from one to the next."""
GRACE = 3.0
"""Seconds between asking a job to end and making it."""


class Limits:
    """What one attempt may use. `baseline` is memory that it shares with its supervisor and has not asked for."""

    def __init__(self, pid: int, *, memory: int, walltime: float, started: float, baseline: int) -> None:
        self._pid, self._memory, self._walltime, self._started = pid, memory, walltime, started
        self._baseline = baseline
        self._killing_at: float | None = None
        #: What the supervisor has ended the attempt for, if so.
        self.verdict: tuple[Outcome, str] | None = None
        self.peak = 0

    def keep(self, now: float) -> None:
        """Look at what is used, and act."""
        resident = processes.tree_memory(self._pid)
        self.peak = max(self.peak, resident)
        if self._killing_at is not None:
            if now >= self._killing_at:
                processes.kill_tree(self._pid)
        elif self._memory and resident - self._baseline > self._memory:
            used, asked = format_size(resident - self._baseline), format_size(self._memory)
            self.verdict = (Outcome.out_of_memory, f"used {used} of memory, had asked for {asked}: raise memory=")
            processes.kill_tree(self._pid)
        elif self._walltime and now - self._started > self._walltime:
            limit = format_duration(self._walltime)
            self.end(Outcome.timed_out, f"ran longer than its walltime of {limit}: raise walltime=")

    def end(self, outcome: Outcome, why: str) -> None:
        """Ask it to end, and see to it that it does."""
        if self._killing_at is None:
            self.verdict = (outcome, why)
            self._killing_at = time.monotonic() + GRACE
            processes.kill_tree(self._pid, signal.SIGTERM)
