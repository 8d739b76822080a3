"""Attempts that end without a commit: what is tried again and when, what is given up, and what that ends."""

import pytest
from moil.core.workflow import failures
from story import job, service, up_and_running

from moil.core.policy import FREE_LOSSES, LONGEST_BACKOFF
from moil.core.records import Failure, Outcome

FREE = ["lost", "node_failed", "cancelled"]


def test_a_failed_job_is_tried_again(story):
    story.starts().then("submit main")
    story.ends("main").then("submit main, attempt 2")
    story.commits("main").then("finish")


def test_after_its_last_try_it_fails_and_the_run_with_it(story):
    story.starts().then("submit main")
    story.ends("main").then("submit main, attempt 2")
    story.ends("main", error="no luck").then("fail")
    assert story.workflow.failed
    assert story.job("main").failure == Failure(error="no luck")


def test_an_attempt_may_end_before_anybody_heard_of_it(story):
    story.starts().then("submit main")
    story.submits("main").then()
    story.ends("main").then("submit main, attempt 2")
    story.ends("main").then("fail")


def test_a_failure_that_nobody_described_is_described():
    story = up_and_running(job("a"), retries=0)
    story.ends("a", "timed_out").then("fail")
    assert story.job("a").failure == Failure(error="the attempt ended timed_out")


def test_a_retry_waits_for_the_end_of_its_back_off():
    story = up_and_running(job("a"), backoff=5.0)
    story.ends("a").then()
    assert (story.state("a"), story.workflow.next_deadline) == ("waiting", story.now + 5.0)
    story.waits(4.9).then()
    story.waits(0.1).then("submit a, attempt 2")
    assert story.workflow.next_deadline is None


def test_back_off_grows_with_each_try():
    story = up_and_running(job("a"), backoff=5.0, backoff_factor=3.0, retries=3)
    waits = []
    for attempt in (2, 3, 4):
        story.ends("a").then()
        waits.append(story.workflow.next_deadline - story.now)
        story.waits(waits[-1]).then(f"submit a, attempt {attempt}")
    assert waits == [5.0, 15.0, 45.0]


def test_back_off_has_a_bound_however_many_tries():
    story = up_and_running(job("a"), backoff=1.0, retries=3000)
    for attempt in range(2, 1500):
        story.ends("a").then()
        assert story.workflow.next_deadline <= story.now + LONGEST_BACKOFF
        story.waits(LONGEST_BACKOFF).then(f"submit a, attempt {attempt}")


def test_the_next_deadline_is_the_earliest():
    story = up_and_running(job("a"), job("b"), backoff=5.0)
    story.ends("b").then()
    story.now += 2
    story.ends("a").then()
    assert story.workflow.next_deadline == story.now + 3
    story.waits(10).then("submit b, attempt 2", "submit a, attempt 2")


def test_a_deadline_of_a_job_that_no_longer_waits_is_none():
    story = up_and_running(job("a"), job("b"), backoff=5.0)
    story.ends("a").then()
    story.is_cancelled().then("fail")
    assert story.workflow.next_deadline is None


def test_an_alarm_may_ring_for_nothing():
    story = up_and_running(job("a"), backoff=5.0)
    story.ends("a").then()
    story.waits(1).then()
    story.waits(1).then()
    story.waits(3).then("submit a, attempt 2")
    story.waits(50).then()


def test_an_alarm_rings_for_a_job_that_was_rolled_back_meanwhile():
    story = up_and_running(job("k", checkpoint=True), backoff=5.0, retries=1)
    story.commits("k", job("slow", retries=5), job("bad", retries=0)).then("submit slow", "submit bad")
    story.ends("slow").then()
    story.ends("bad").then("submit k, attempt 2")
    story.waits(10).then()


def test_a_job_may_have_its_own_count_of_retries():
    story = up_and_running(job("a", retries=0), job("b", retries=2), backoff=0.0, retries=1)
    story.ends("a").then()
    assert story.state("a") == "failed"
    story.ends("b").then("submit b, attempt 2")
    story.ends("b").then("submit b, attempt 3")
    story.ends("b").then("fail")


@pytest.mark.parametrize("outcome", ["failed", "out_of_memory", "timed_out", "completed"])
def test_what_a_job_does_costs_it_a_try(outcome):
    story = up_and_running(job("a"), retries=0)
    story.ends("a", outcome).then("fail")


def test_preemption_never_costs_a_try():
    story = up_and_running(job("a"), retries=0)
    for attempt in range(2, 50):
        story.ends("a", "preempted").then(f"submit a, attempt {attempt}")


@pytest.mark.parametrize("outcome", FREE)
def test_what_happens_to_a_job_is_free_up_to_a_bound(outcome):
    story = up_and_running(job("a"), retries=0, backoff=0.0)
    for attempt in range(2, FREE_LOSSES + 2):
        story.ends("a", outcome).then(f"submit a, attempt {attempt}")
    story.ends("a", outcome).then("fail")


def test_the_first_loss_is_made_good_at_once_and_the_next_one_after_a_pause():
    story = up_and_running(job("a"), retries=0, backoff=5.0)
    story.ends("a", "lost").then("submit a, attempt 2")
    story.ends("a", "node_failed").then()
    story.waits(5).then("submit a, attempt 3")


@pytest.mark.parametrize(
    ("outcome", "memory", "walltime"), [("out_of_memory", 1, 0), ("timed_out", 0, 1), ("failed", 0, 0), ("lost", 0, 0)]
)
def test_a_limit_that_was_too_low_grows(outcome, memory, walltime):
    story = up_and_running(job("a"), backoff=0.0)
    story.ends("a", outcome).then("submit a, attempt 2")
    assert (story.job("a").tries.memory_growth, story.job("a").tries.walltime_growth) == (memory, walltime)


def test_a_job_that_needs_more_room_is_tried_again_at_once():
    story = up_and_running(job("a"), job("b"), backoff=60.0)
    story.ends("a", "out_of_memory").then("submit a, attempt 2")
    story.ends("b", "timed_out").then("submit b, attempt 2")


def test_failing_fast_ends_everything_at_the_first_failure():
    story = up_and_running(
        job("bad"), job("out"), job("ready"), job("waiting", needs=["out"]), job("done"), fail_fast=True, retries=0
    )
    story.submits("out")
    story.commits("done").then()
    story.ends("bad").then("cancel out", "fail")
    assert story.states() == {
        "main": "done",
        "bad": "failed",
        "out": "failed",
        "ready": "failed",
        "waiting": "failed",
        "done": "done",
    }
    assert story.job("waiting").cause == story.job("bad").id
    assert story.workflow.stopped == "bad #2 failed"


def test_failing_fast_does_not_spare_services():
    story = up_and_running(service("s"), job("bad", services=["s"]), job("b", services=["s"]), fail_fast=True, retries=0)
    story.begins("s")
    story.is_up("s").then("submit bad", "submit b")
    story.ends("bad").then("cancel s", "fail")


def test_failing_fast_names_the_job_that_is_behind_it():
    story = up_and_running(job("a"), job("b"), job("c", needs=["a"]), fail_fast=True, retries=0)
    story.ends("a").then("fail")
    assert {story.job(name).cause for name in "bc"} == {story.job("a").id}
    assert story.job("a").cause is None


def test_failing_fast_waits_for_the_last_try():
    story = up_and_running(job("a"), job("b"), fail_fast=True, backoff=0.0)
    story.ends("a").then("submit a, attempt 2")
    assert not story.workflow.stopped


def test_failing_fast_a_checkpoint_that_can_still_roll_back_is_no_failure():
    story = up_and_running(job("k", checkpoint=True), job("b"), fail_fast=True, backoff=0.0)
    story.commits("k", job("bad", retries=0)).then("submit bad")
    story.ends("bad").then("submit k, attempt 2")
    assert not story.workflow.stopped


def test_a_cancelled_run_ends_at_once():
    story = up_and_running(job("out"), job("running"), job("ready"), job("waiting", needs=["out"]))
    story.submits("out", "running")
    story.begins("running")
    story.is_cancelled("cancelled by request").then("cancel out", "cancel running", "fail")
    assert story.workflow.failed
    assert story.workflow.stopped == "cancelled by request"
    story.commits("running").then()
    assert story.state("running") == "failed"


def test_in_a_cancelled_run_no_checkpoint_rolls_back():
    story = up_and_running(job("k", checkpoint=True))
    story.commits("k", job("below"), job("last", needs=["below"])).then("submit below")
    story.begins("below")
    story.is_cancelled().then("cancel below", "fail")
    assert story.state("k") == "done"


def test_a_cancelled_run_does_not_wait_for_its_services():
    story = up_and_running(service("s"), job("a", services=["s"]))
    story.begins("s")
    story.is_up("s").then("submit a")
    story.is_cancelled().then("cancel s", "fail")
    story.is_down("s").then()


def test_a_run_is_cancelled_before_anything_runs(story):
    story.starts().then("submit main")
    story.is_cancelled().then("fail")


def test_failures_are_the_jobs_that_are_behind_all_others():
    story = up_and_running(job("a"), job("b", needs=["a"]), job("c"), job("d"), retries=0)
    story.ends("c").then()
    story.ends("a").then()
    story.is_cancelled().then("fail")
    assert [str(one) for one in failures(story.workflow)] == ["a #2", "c #4"]


def test_every_outcome_is_known_to_the_tests():
    assert {one.value for one in Outcome} == {*FREE, "preempted", "failed", "out_of_memory", "timed_out", "completed"}
