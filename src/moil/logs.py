"""The leader's log: what happens in a run, one line each, on standard error and in a file.

A retry is a warning, a failure for good is information (the report at the end of the run tells of it), and so is the
beginning of a run; everything else is for debugging.
Only the logger ``moil`` is used, and it is set up only where Moil owns the program (`moil.main`, the ``moil`` command):
a library does not touch the handlers of the program it is in.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from moil.core.events import (
    AttemptEnded,
    AttemptsSubmitted,
    AttemptStarted,
    CancelRequested,
    Event,
    JobCommitted,
    RunStarted,
    ServiceDown,
    ServiceUp,
)
from moil.core.records import JobId, JobState
from moil.core.requirements import format_duration
from moil.core.workflow import Workflow
from moil.engine_settings import EngineSettings
from moil.errors import UsageError

logger = logging.getLogger("moil")
logger.addHandler(logging.NullHandler())
OFF = logging.CRITICAL + 1


def set_up(settings: EngineSettings) -> None:
    """Send the log to standard error, and to a file if one is named. Raises UsageError."""
    level = OFF if settings.log_level == "off" else logging.getLevelName(settings.log_level.upper())
    shown = _StandardError()
    shown.setLevel(max(level, logging.WARNING) if settings.log_level == "info" else level)
    shown.setFormatter(logging.Formatter("moil: %(message)s"))
    handlers: list[logging.Handler] = [shown]
    if settings.log_file is not None:
        handlers.append(_file(settings.log_file, level))
    for old in logger.handlers[:]:
        logger.removeHandler(old)
        old.close()
    for new in handlers:
        logger.addHandler(new)
    logger.setLevel(level)
    logger.propagate = False


class _StandardError(logging.StreamHandler[TextIO]):
    """Asks for standard error each time: a live display puts itself in its place."""

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)


def _file(path: Path, level: int) -> logging.Handler:
    try:
        handler = logging.FileHandler(path, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"log file {path}: {error.strerror}; choose another with --log-file") from error
    handler.setLevel(level)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    return handler


class EventLog:
    """An observer that writes down what happens."""

    def on_events(self, events: Sequence[Event], workflow: Workflow) -> None:
        """One line an event, where the level asks for it."""
        for event in events:
            if isinstance(event, AttemptEnded):
                _attempt_ended(event, workflow)
            elif isinstance(event, RunStarted):
                jobs = len(workflow.graph.jobs)
                logger.info("the run starts" if event.root else f"the run goes on, with {jobs} jobs so far")
            elif isinstance(event, CancelRequested):
                logger.warning("the run is to be given up: %s", event.reason)
            elif logger.isEnabledFor(logging.DEBUG):
                _debug(event, workflow)

    def close(self) -> None:
        """Nothing is held."""


def _named(job: JobId, workflow: Workflow) -> str:
    known = workflow.graph.get(job)
    return f"#{job}" if known is None else str(known)


def _attempt_ended(event: AttemptEnded, workflow: Workflow) -> None:
    known = workflow.graph.get(event.job)
    why = event.failure.error if event.failure else event.outcome.value
    if known is None or known.state is JobState.done:
        then = ""
    elif known.state is JobState.failed:
        then = "; it will not be tried again"
    else:
        delay = known.not_before - event.at
        then = f"; next try in {format_duration(delay)}" if delay > 0 else "; it is tried again"
    name = _named(event.job, workflow)
    level = logging.WARNING if known is not None and known.state is not JobState.failed else logging.INFO
    logger.log(level, "%s attempt %d %s: %s%s", name, event.attempt, event.outcome.value, why, then)


def _debug(event: Event, workflow: Workflow) -> None:
    if isinstance(event, AttemptsSubmitted):
        for one in event.attempts:
            logger.debug("%s attempt %d submitted as %s", _named(one.job, workflow), one.attempt, one.external_id)
    elif isinstance(event, AttemptStarted):
        logger.debug("%s attempt %d started on %s", _named(event.job, workflow), event.attempt, event.host)
    elif isinstance(event, JobCommitted):
        used = format_duration(event.usage.wall)
        logger.debug("%s returned after %s, with %d calls", _named(event.job, workflow), used, len(event.calls))
    elif isinstance(event, ServiceUp | ServiceDown):
        state = "up" if isinstance(event, ServiceUp) else "down"
        logger.debug("service %s is %s", _named(event.job, workflow), state)
