"""How far the run is: a live display on a terminal, one line every so often elsewhere. Always on standard error."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TextIO

from moil.core.events import AttemptEnded, Event, JobCommitted, ServiceDown
from moil.core.records import JobState
from moil.core.requirements import format_duration
from moil.core.workflow import Workflow
from moil.engine_settings import EngineSettings
from moil.ports.observer import Observer

if TYPE_CHECKING:
    from moil.runtime.status import Reasons

LINE_EVERY = 30.0
FIRST_LINE = 5.0
REDRAW_EVERY = 0.25
LONGEST = 5
MOST_REASONS = 3


def observers_for(
    settings: EngineSettings, reasons: Reasons = dict, stream: TextIO | None = None
) -> Sequence[Observer]:
    """The display that suits the stream and the settings. `reasons` tells why what waits in the queue does."""
    stream = stream or sys.stderr
    assert stream is not None, "a program without standard error shows no progress"
    if not settings.progress or settings.log_level in ("error", "critical", "off"):
        return ()
    return (LiveDisplay(stream, reasons),) if stream.isatty() else (LineDisplay(stream, reasons),)


class _Figures:
    """What both displays show."""

    def __init__(self, reasons: Reasons, now: Callable[[], float] = time.time) -> None:
        self.now, self._reasons = now, reasons
        self.started = now()
        self.finished_jobs = 0
        self.failed_attempts = 0

    def count(self, events: Sequence[Event]) -> None:
        for event in events:
            if isinstance(event, JobCommitted | ServiceDown):
                self.finished_jobs += 1
            elif isinstance(event, AttemptEnded):
                self.failed_attempts += 1

    def line(self, workflow: Workflow) -> str:
        counts = Counter(job.state for job in workflow.graph.jobs.values())
        total = sum(counts.values())
        parts = [f"{counts[JobState.done]} of {total} jobs done"]
        others = (JobState.running, JobState.submitted, JobState.ready, JobState.waiting, JobState.failed)
        waiting = in_queue(self._reasons())
        for state in others:
            if counts[state]:
                why = f" ({waiting})" if waiting and state is JobState.submitted else ""
                parts.append(f"{counts[state]} {state.value}{why}")
        elapsed = self.now() - self.started
        rate = self.finished_jobs / elapsed if elapsed > 0 else 0.0
        parts.append(f"{rate:.0f} jobs/s" if rate >= 10 else f"{rate:.1f} jobs/s")
        return ", ".join(parts)


def in_queue(reasons: Mapping[str, int]) -> str:
    """Why what waits in the queue does, in few words: the most frequent reasons, without their cures."""
    words: Counter[str] = Counter()
    for why, count in reasons.items():
        words[why.partition(":")[0]] += count
    if len(words) == 1:
        return next(iter(words))
    return ", ".join(f"{count} {why}" for why, count in words.most_common(MOST_REASONS))


class LineDisplay:
    """One line now and then, for logs."""

    def __init__(
        self, stream: TextIO, reasons: Reasons = dict, now: Callable[[], float] = time.time
    ) -> None:
        self._stream, self._figures = stream, _Figures(reasons, now)
        self._next = self._figures.started + FIRST_LINE
        self._workflow: Workflow | None = None

    def on_events(self, events: Sequence[Event], workflow: Workflow) -> None:
        """Count, and say something if it is time."""
        self._workflow = workflow
        self._figures.count(events)
        now = self._figures.now()
        if now >= self._next:
            self._next = now + LINE_EVERY
            print(f"moil: {self._figures.line(workflow)}", file=self._stream, flush=True)

    def close(self) -> None:
        """The last line."""
        if self._workflow is not None:
            elapsed = format_duration(self._figures.now() - self._figures.started)
            print(f"moil: {self._figures.line(self._workflow)}, in {elapsed}", file=self._stream, flush=True)


class LiveDisplay:
    """A few lines that are drawn again and again."""

    def __init__(self, stream: TextIO, reasons: Reasons = dict) -> None:
        from rich.console import Console
        from rich.live import Live

        self._figures = _Figures(reasons)
        self._live = Live(console=Console(file=stream), auto_refresh=False, transient=False)
        self._live.start()
        self._next = 0.0
        self._workflow: Workflow | None = None

    def on_events(self, events: Sequence[Event], workflow: Workflow) -> None:
        """Count, and draw if it is time."""
        self._workflow = workflow
        self._figures.count(events)
        now = self._figures.now()
        if now >= self._next:
            self._next = now + REDRAW_EVERY
            self._live.update(self._picture(workflow), refresh=True)

    def close(self) -> None:
        """Leave the last picture on the screen."""
        if self._workflow is not None:
            self._live.update(self._picture(self._workflow), refresh=True)
        self._live.stop()

    def _picture(self, workflow: Workflow) -> Any:
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.text import Text

        jobs = workflow.graph.jobs.values()
        done = sum(job.state is JobState.done for job in jobs)
        now = self._figures.now()
        elapsed = format_duration(now - self._figures.started)
        rows: list[Any] = [
            Text(f"{self._figures.line(workflow)}, {elapsed}"),
            ProgressBar(total=max(len(jobs), 1), completed=done, width=60),
        ]
        running = sorted((job for job in jobs if job.state is JobState.running), key=lambda job: job.started_at)
        rows += [Text(f"  {job} for {format_duration(now - job.started_at)}", style="dim") for job in running[:LONGEST]]
        failed = [job for job in jobs if job.state is JobState.failed and job.cause is None and job.failure]
        rows += [Text(f"  {job} failed: {job.failure.error}", style="red") for job in failed[-LONGEST:] if job.failure]
        return Group(*rows)
