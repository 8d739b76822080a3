"""A workflow restored from a snapshot goes on as the one it was taken of. See also test_workflow_machine."""

import copy

import pytest
from moil.core import invariants
from moil.core.snapshot import restore, take
from story import job, service, up_and_running


def resumed(story):
    """The story goes on with a workflow that was restored."""
    story.workflow = restore(copy.deepcopy(take(story.workflow, story.summary)))
    invariants.check(story.workflow)
    return story


def test_what_is_restored_is_what_was_taken():
    story = resumed(up_and_running(job("a"), job("b", needs=["a"]), retries=7))
    assert (story.workflow.graph.next_id, story.workflow.policy.retries) == (4, 7)
    assert story.states() == {"main": "done", "a": "ready", "b": "waiting"}
    story.commits("a").then("submit b")
    story.commits("b").then("finish")


def test_a_snapshot_holds_the_summary_too():
    story = up_and_running(job("a"))
    assert take(story.workflow, story.summary).summary is story.summary


def test_values_that_were_fulfilled_still_are():
    story = up_and_running(job("a"), job("b"), job("c", needs=["a", "b"]))
    story.commits("a", job("x"), returns=["x"]).then("submit x")
    story.commits("x").then()
    resumed(story)
    assert story.job("a").fulfilled
    story.commits("b").then("submit c")


def test_promises_in_values_are_still_waited_for():
    story = up_and_running(job("a"), job("b", needs=["a"]))
    story.commits("a", job("x"), job("y"), returns=["x", "y"]).then("submit x", "submit y")
    story.commits("x").then()
    resumed(story).commits("y").then("submit b")


def test_broken_values_are_still_broken():
    story = up_and_running(job("a"), job("other"), job("b", needs=["a", "other"]), retries=0)
    story.commits("a", job("bad"), returns=["bad"]).then("submit bad")
    story.ends("bad").then()
    resumed(story)
    assert story.job("a").broken
    assert story.state("b") == "failed"
    story.commits("other").then("fail")


def test_back_off_is_kept():
    story = up_and_running(job("a"), job("b"), backoff=5.0)
    story.ends("a").then()
    resumed(story)
    assert story.workflow.next_deadline == story.now + 5.0
    story.waits(5).then("submit a, attempt 2")


def test_services_stay_up_and_stop_for_their_last_client():
    story = up_and_running(service("s"), service("t", services=["s"]), job("a", services=["s", "t"]))
    story.is_up("s").then("submit t")
    story.is_up("t").then("submit a")
    resumed(story).commits("a").then("stop t")
    resumed(story).is_down("t").then("stop s")
    resumed(story).is_down("s").then("finish")


@pytest.mark.parametrize("fail_fast", [False, True])
def test_a_run_that_has_ended_has_ended(fail_fast):
    story = up_and_running(job("a"), job("b"), retries=0, fail_fast=fail_fast)
    story.ends("a")
    story.then(*(["fail"] if fail_fast else []))
    if not fail_fast:
        story.commits("b").then("fail")
    stopped = story.workflow.stopped
    resumed(story)
    assert (story.workflow.finished, story.workflow.failed, story.workflow.stopped) == (True, True, stopped)


def test_failure_below_an_unsettled_client_is_forgotten_with_it():
    story = up_and_running(service("s"), job("a", services=["s"]), retries=0, backoff=0.0)
    story.is_up("s").then("submit a")
    story.commits("a", job("bad"), job("slow")).then("submit bad", "submit slow")
    story.ends("bad").then()
    resumed(story)
    story.ends("s", "lost").then("submit s, attempt 2")
    story.is_up("s").then("submit a, attempt 2")
    story.commits("a").then("stop s, attempt 2")
    story.is_down("s").then("finish")


def test_what_was_found_broken_stays_so_though_a_value_before_it_was_taken_back():
    story = up_and_running(job("k", checkpoint=True, retries=1), job("a"), returns=["k", "a"], retries=0, backoff=0.0)
    story.commits("k", job("bad")).then("submit bad")
    story.commits("a", job("worse"), returns=["worse"]).then("submit worse")
    story.ends("worse").then()
    story.ends("bad").then("submit k, attempt 2")
    assert story.job("main").broken
    assert resumed(story).job("main").broken
    story.commits("k").then("fail")
