"""How far a run is, in a line."""

from __future__ import annotations

import io

import pytest

from moil.core.events import AttemptsSubmitted, RunStarted
from moil.core.policy import Policy
from moil.core.records import Call, Submitted
from moil.core.workflow import Workflow
from moil.progress import LineDisplay, in_queue


@pytest.mark.parametrize(
    ("reasons", "words"),
    [
        ({}, ""),
        ({"Priority": 3}, "Priority"),
        ({"Held: let it go": 1, "Held: let it go, or not": 2}, "Held"),
        ({"Resources": 1, "Priority": 4, "Held: let it go": 2}, "4 Priority, 2 Held, 1 Resources"),
        ({"a": 1, "b": 2, "c": 3, "d": 4}, "4 d, 3 c, 2 b"),
    ],
)
def test_why_what_is_in_the_queue_waits_is_said_in_few_words(reasons, words):
    assert in_queue(reasons) == words


def test_the_line_says_why_jobs_are_not_started():
    stream, reasons = io.StringIO(), {"Priority: be patient": 1}
    times = iter([0.0, 10.0, 10.0])
    display = LineDisplay(stream, lambda: reasons, now=lambda: next(times))
    workflow = Workflow()
    root = Call(name="main", task=b"")
    for event in (
        RunStarted(at=0.0, policy=Policy(retries=0), root=root),
        AttemptsSubmitted(at=0.0, attempts=(Submitted(job=1, attempt=1, external_id="x"),)),
    ):
        workflow.apply(event)
    display.on_events([], workflow)
    assert stream.getvalue() == "moil: 0 of 1 jobs done, 1 submitted (Priority), 0.0 jobs/s\n"
