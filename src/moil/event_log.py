"""The leader's log: what happens in a run, one line each, for the logger ``moil``.

A retry is a warning, a failure for good is information (the report at the end of the run tells of it), and so is the
beginning of a run; everything else is for debugging. Who wants to hear of it has brought `logging` in (the program that
uses Moil as a library), or is asked to do so when there is something to hear (`moil.logs`); for nobody it is not worth the
time that takes.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

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

if TYPE_CHECKING:
    from logging import Logger

NAME = "moil"
_DEBUG, _INFO, _WARNING = 10, 20, 30
_RARE = (AttemptEnded, CancelRequested)


class EventLog:
    """An observer that writes down what happens."""

    def __init__(self, set_up: Callable[[], None] | None = None) -> None:
        """`set_up`: has somebody listen, to warnings and worse, once there is one; None: who listens does so already."""
        self._set_up = set_up

    def on_events(self, events: Sequence[Event], workflow: Workflow) -> None:
        """One line an event, where the level asks for it."""
        if self._set_up is not None and any(_is_warning(one, workflow) for one in events if isinstance(one, _RARE)):
            self._set_up()
            self._set_up = None
        logger = _logger()
        if logger is None:
            return
        for event in events:
            if isinstance(event, AttemptEnded):
                _attempt_ended(event, workflow, logger)
            elif isinstance(event, RunStarted):
                jobs = len(workflow.graph.jobs)
                logger.info("the run starts" if event.root else f"the run goes on, with {jobs} jobs so far")
            elif isinstance(event, CancelRequested):
                logger.warning("the run is to be given up: %s", event.reason)
            elif logger.isEnabledFor(_DEBUG):
                _debug(event, workflow, logger)

    def close(self) -> None:
        """Nothing is held."""


def _logger() -> Logger | None:
    if "logging" not in sys.modules:
        return None
    import logging

    logger = logging.getLogger(NAME)
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())
    return logger


def _named(job: JobId, workflow: Workflow) -> str:
    known = workflow.graph.get(job)
    return f"#{job}" if known is None else str(known)


def _is_warning(event: AttemptEnded | CancelRequested, workflow: Workflow) -> bool:
    if isinstance(event, CancelRequested):
        return True
    known = workflow.graph.get(event.job)
    return known is not None and known.state is not JobState.failed


def _attempt_ended(event: AttemptEnded, workflow: Workflow, logger: Logger) -> None:
    known = workflow.graph.get(event.job)
    why = event.failure.error if event.failure else event.outcome.value
    if known is None or known.state is JobState.done:
        then = ""
    elif known.state is JobState.failed:
        then = "; it will not be tried again"
    else:
        delay = known.not_before - event.at
        then = f"; next try in {format_duration(delay)}" if delay > 0 else "; it is tried again"
    name, level = _named(event.job, workflow), _WARNING if _is_warning(event, workflow) else _INFO
    logger.log(level, "%s attempt %d %s: %s%s", name, event.attempt, event.outcome.value, why, then)


def _debug(event: Event, workflow: Workflow, logger: Logger) -> None:
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
