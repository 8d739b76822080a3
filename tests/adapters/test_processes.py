"""A scheduler of processes on this machine: what it cannot write or start is told, and it goes on."""

import shutil
import time

import pytest

from moil.adapters.processes import ProcessScheduler
from moil.core.records import Outcome
from moil.core.requirements import GIB, Ceiling, Requirements
from moil.ports.scheduler import Array, SchedulerDown, Standing

BOUND = 30.0
PATH = {"PATH": "/usr/bin:/bin"}


@pytest.fixture
def work(tmp_path):
    made = tmp_path / "a work directory"
    made.mkdir()
    return made


@pytest.fixture
def scheduler(work):
    made = ProcessScheduler(Ceiling(cores=2, memory=GIB, disk=GIB, accelerators=0), work, most=2, environ=PATH)
    yield made
    made.close()


def array(label, script, logs=""):
    text = f"#!/bin/sh\n{script}\n"
    return Array(label=label, name="a", size=1, requirements=Requirements(), script=text, logs=str(logs))


def end_of(scheduler, ids):
    patience = time.monotonic() + BOUND
    while (seen := scheduler.query(ids)[ids[0]]).standing is not Standing.ended:
        assert time.monotonic() < patience
        time.sleep(0.01)
    return seen


def test_members_end_as_their_scripts_do(scheduler, work):
    good = scheduler.submit(array("a", "echo $MEMBER_NUMBER", work))
    bad = scheduler.submit(array("b", "exit 3"))
    assert end_of(scheduler, good).outcome is Outcome.completed
    assert (work / f"{good[0]}.log").read_text() == "0\n"
    seen = end_of(scheduler, bad)
    assert (seen.outcome, seen.exit_status) == (Outcome.failed, 3)
    assert scheduler.find("a") == {"a": good}


def test_a_member_that_cannot_be_started_has_failed_and_the_next_is_started(scheduler, work):
    lost = scheduler.submit(array("a", "true", work / "gone"))
    seen = end_of(scheduler, lost)
    assert seen.outcome is Outcome.failed
    assert "could not be started" in seen.reason
    assert "gone" in seen.reason
    assert end_of(scheduler, scheduler.submit(array("b", "true"))).outcome is Outcome.completed


def test_an_array_that_cannot_be_written_can_be_submitted_again(scheduler, work):
    shutil.rmtree(work)
    with pytest.raises(SchedulerDown, match="cannot write .*array-1: no such file"):
        scheduler.submit(array("a", "true"))
    work.mkdir()
    assert end_of(scheduler, scheduler.submit(array("a", "true"))).outcome is Outcome.completed
