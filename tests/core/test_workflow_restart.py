"""Another leader takes the run up: commands that may not have been carried out are said again, and what failed may try again."""

from story import job, service, up_and_running

from moil.core.graph import ROOT


def test_what_is_out_is_left_alone():
    story = up_and_running(job("submitted"), job("running"))
    story.submits("submitted", "running")
    story.begins("running")
    story.restarts().then()
    assert (story.state("submitted"), story.state("running")) == ("submitted", "running")
    story.commits("running").then()
    story.commits("submitted").then("finish")


def test_what_was_to_be_submitted_is_said_again():
    story = up_and_running(job("a"), job("b", needs=["a"]))
    story.restarts().then("submit a")
    story.commits("a").then("submit b")


def test_the_end_is_said_again(story):
    story.starts().then("submit main")
    story.commits("main").then("finish")
    story.restarts().then("finish")


def test_failed_jobs_get_another_go_with_all_their_tries():
    story = up_and_running(job("a"), job("b", needs=["a"]), backoff=0.0, retries=1)
    story.ends("a").then("submit a, attempt 2")
    story.ends("a").then("fail")
    story.restarts().then("submit a, attempt 3")
    assert (story.state("b"), story.job("b").cause, story.workflow.finished) == ("waiting", None, False)
    story.ends("a").then("submit a, attempt 4")
    story.commits("a").then("submit b")
    story.commits("b").then("finish")
    assert not story.workflow.failed


def test_a_cancelled_run_goes_on():
    story = up_and_running(job("a"), job("b", needs=["a"]))
    story.begins("a")
    story.is_cancelled().then("cancel a", "fail")
    story.restarts().then("submit a, attempt 2")
    assert story.workflow.stopped == ""
    story.commits("a").then("submit b")


def test_a_run_that_failed_fast_goes_on():
    story = up_and_running(job("a"), job("b"), retries=0, fail_fast=True)
    story.ends("a").then("fail")
    story.restarts().then("submit a, attempt 2", "submit b, attempt 2")


def test_a_new_leader_may_have_another_policy():
    story = up_and_running(job("a"), retries=0)
    story.ends("a").then("fail")
    story.restarts(retries=1, backoff=0.0).then("submit a, attempt 2")
    story.ends("a").then("submit a, attempt 3")


def test_back_off_goes_on():
    story = up_and_running(job("a"), backoff=10.0)
    story.ends("a").then()
    story.restarts().then()
    assert story.workflow.next_deadline == story.now + 10.0
    story.waits(10).then("submit a, attempt 2")


def test_values_that_hold_promises_are_waited_for_again():
    story = up_and_running(job("a"), job("b", needs=["a"]))
    story.commits("a", job("x"), job("y"), returns=["x", "y"]).then("submit x", "submit y")
    story.commits("x").then()
    story.restarts().then("submit y")
    story.commits("y").then("submit b")


def test_failure_below_a_value_is_forgotten():
    story = up_and_running(job("a"), job("b", needs=["a"]), retries=0)
    story.commits("a", job("deep"), returns=["deep"]).then("submit deep")
    story.ends("deep").then("fail")
    story.restarts().then("submit deep, attempt 2")
    assert not story.job("a").broken
    story.commits("deep").then("submit b")
    story.commits("b").then("finish")


def test_follow_ons_of_what_failed_wait_again():
    story = up_and_running(job("a"), job("z", after=["a"]), retries=0)
    story.commits("a", job("bad")).then("submit bad")
    story.ends("bad").then("fail")
    story.restarts().then("submit bad, attempt 2")
    story.commits("bad").then("submit z")


def test_stop_service_is_said_again():
    story = up_and_running(service("s"), job("a", services=["s"]))
    story.is_up("s").then("submit a")
    story.commits("a").then("stop s")
    story.restarts().then("stop s")
    story.is_down("s").then("finish")


def test_a_service_that_is_up_stays_so():
    story = up_and_running(service("s"), job("a", services=["s"]))
    story.begins("s")
    story.is_up("s").then("submit a")
    story.restarts().then("submit a")
    assert story.job("s").up
    story.commits("a").then("stop s")


def test_a_service_that_was_lost_with_its_leader_rolls_its_clients_back():
    story = up_and_running(service("s"), job("a", services=["s"]))
    story.begins("s")
    story.is_up("s").then("submit a")
    story.begins("a")
    story.restarts().then()
    story.ends("s", "lost").then("cancel a", "submit s, attempt 2")
    story.is_up("s").then("submit a, attempt 2")


def test_a_service_is_opened_again_for_a_client_that_failed():
    story = up_and_running(service("s"), job("a", services=["s"]), job("b", services=["s"]), retries=0)
    story.is_up("s").then("submit a", "submit b")
    story.commits("b").then()
    story.ends("a").then("stop s")
    story.is_down("s").then("fail")
    story.restarts().then("submit s, attempt 2")
    story.is_up("s").then("submit a, attempt 2")
    story.commits("a").then("stop s, attempt 2")
    story.is_down("s").then("finish")


def test_nested_services_are_opened_again_and_close_from_inside():
    story = up_and_running(
        service("outer"), service("inner", services=["outer"]), job("a", services=["outer", "inner"]), retries=0
    )
    story.is_up("outer").then("submit inner")
    story.is_up("inner").then("submit a")
    story.ends("a").then("stop inner")
    story.is_down("inner").then("stop outer")
    story.is_down("outer").then("fail")
    story.restarts().then("submit outer, attempt 2")
    story.is_up("outer").then("submit inner, attempt 2")
    story.is_up("inner").then("submit a, attempt 2")
    story.commits("a").then("stop inner, attempt 2")
    story.is_down("inner").then("stop outer, attempt 2")
    story.is_down("outer").then("finish")


def test_a_service_that_was_stopping_opens_again_when_it_is_down():
    story = up_and_running(service("s"), job("a", services=["s"]), retries=0)
    story.is_up("s").then("submit a")
    story.ends("a").then("stop s")
    story.restarts().then("stop s")
    assert story.state("a") == "waiting"
    story.is_down("s").then("submit s, attempt 2")
    story.is_up("s").then("submit a, attempt 2")
    story.commits("a").then("stop s, attempt 2")
    story.is_down("s").then("finish")


def test_a_service_that_was_stopping_opens_again_when_it_is_lost():
    story = up_and_running(service("s"), job("a", services=["s"]), retries=0)
    story.is_up("s").then("submit a")
    story.ends("a").then("stop s")
    story.restarts().then("stop s")
    story.ends("s", "lost").then("submit s, attempt 2")
    story.is_up("s").then("submit a, attempt 2")


def test_a_client_whose_descendant_failed_is_rolled_back_when_its_service_opens_again():
    """What it had told its descendants about the service is no longer true."""
    story = up_and_running(service("s"), job("a", services=["s"]), retries=0)
    story.is_up("s").then("submit a")
    story.commits("a", job("below")).then("submit below")
    story.ends("below").then("stop s")
    story.is_down("s").then("fail")
    story.restarts().then("submit s, attempt 2")
    story.is_up("s").then("submit a, attempt 2")


def test_a_service_that_failed_gets_another_go():
    story = up_and_running(service("s"), job("a", services=["s"], needs=["s"]), retries=0)
    story.is_up("s").then("submit a")
    story.ends("s").then("fail")
    story.restarts().then("submit s, attempt 2")
    story.is_up("s").then("submit a, attempt 2")


def test_a_leader_may_die_before_anything_happened(story):
    story.starts().then("submit main")
    story.restarts().then("submit main")
    story.restarts().then("submit main")
    assert list(story.workflow.graph.jobs) == [ROOT]


def test_a_rolled_back_client_keeps_what_it_broke_broken():
    """Failure for good is not taken back by the death of a service: who was told of it has failed already."""
    story = up_and_running(service("s"), job("a", services=["s"]), job("b", needs=["a"]), retries=0, backoff=0.0)
    story.is_up("s").then("submit a")
    story.commits("a", job("bad"), job("slow"), returns=["bad"]).then("submit bad", "submit slow")
    story.ends("bad").then()
    assert story.state("b") == "failed"
    story.ends("s", "lost").then("submit s, attempt 2")
    assert story.job("a").broken
    story.is_up("s").then()
    story.commits("slow").then("stop s, attempt 2")
    story.is_down("s").then("fail")


def test_the_cause_of_an_earlier_failure_is_forgotten():
    story = up_and_running(job("a"), retries=0)
    story.commits("a", job("x"), returns=["x"]).then("submit x")
    story.ends("x").then("fail")
    assert story.job("a").cause == story.job("x").id
    story.restarts().then("submit x, attempt 2")
    assert story.job("a").cause is None
