"""Services: up before their clients run, down when the last has settled, and what happens when they are not."""

import pytest
from story import job, service, up_and_running


def with_clients(*clients, **policy):
    """A service that is up, and its clients, submitted."""
    story = up_and_running(service("s"), *(job(name, services=["s"]) for name in clients), **policy)
    story.begins("s")
    story.is_up("s").then(*(f"submit {name}" for name in clients))
    return story


def nested(**policy):
    """A service in a service, both up, and a client of both."""
    story = up_and_running(
        service("outer"),
        service("inner", services=["outer"]),
        job("a", services=["outer", "inner"]),
        **policy,
    )
    story.begins("outer")
    story.is_up("outer").then("submit inner")
    story.begins("inner")
    story.is_up("inner").then("submit a")
    return story


def test_clients_wait_until_the_service_is_up():
    story = up_and_running(service("s"), job("a", services=["s"]), job("free"))
    assert story.states() == {"main": "done", "s": "ready", "a": "waiting", "free": "ready"}
    story.begins("s").then()
    story.is_up("s").then("submit a")
    assert (story.state("s"), story.job("s").up) == ("running", True)


def test_the_service_stops_when_its_last_client_has_settled():
    story = with_clients("a", "b")
    story.commits("a").then()
    story.commits("b", job("below")).then("submit below")
    story.commits("below").then("stop s")
    story.is_down("s").then("finish")
    assert story.state("s") == "done"


def test_a_client_may_need_the_address():
    story = up_and_running(service("s"), job("a", services=["s"], needs=["s"]))
    story.is_up("s").then("submit a")
    assert story.job("s").fulfilled


def test_a_service_without_clients_goes_up_and_down():
    story = up_and_running(service("s"))
    story.is_up("s").then("stop s")
    story.is_down("s").then("finish")


def test_a_service_may_need_values_and_follow_on():
    story = up_and_running(job("data"), job("first"), service("s", needs=["data"], after=["first"]), job("a", services=["s"]))
    story.commits("data").then()
    story.commits("first").then("submit s")
    story.is_up("s").then("submit a")


def test_a_follow_on_of_a_service_waits_until_it_is_down():
    story = up_and_running(service("s"), job("a", services=["s"]), job("z", after=["s"]))
    story.is_up("s").then("submit a")
    story.commits("a").then("stop s")
    assert story.state("z") == "waiting"
    story.is_down("s").then("submit z")


def test_the_address_may_be_needed_outside_of_the_block():
    story = up_and_running(service("s"), job("z", needs=["s"]))
    story.is_up("s").then("stop s", "submit z")


def test_nested_services_go_up_from_outside_and_down_from_inside():
    story = nested()
    story.commits("a").then("stop inner")
    story.is_down("inner").then("stop outer")
    story.is_down("outer").then("finish")


def test_clients_that_failed_have_settled():
    story = with_clients("a", retries=0)
    story.ends("a").then("stop s")
    story.is_down("s").then("fail")


def test_a_service_that_does_not_come_up_is_tried_again():
    story = up_and_running(service("s"), job("a", services=["s"]), backoff=0.0)
    story.ends("s").then("submit s, attempt 2")
    story.is_up("s").then("submit a")


def test_a_service_that_never_comes_up_fails_its_clients():
    story = up_and_running(service("s"), job("a", services=["s"]), job("b", needs=["s"]), retries=0)
    story.ends("s").then("fail")
    assert story.states() == {"main": "done", "s": "failed", "a": "failed", "b": "failed"}
    assert story.job("a").cause == story.job("s").id


def test_a_crash_under_clients_rolls_them_back():
    story = up_and_running(
        service("s"),
        *(job(name, services=["s"]) for name in ("running", "ready", "settled", "returned")),
        job("waiting", services=["s"], needs=["running"]),
        backoff=0.0,
    )
    story.is_up("s").then("submit running", "submit ready", "submit settled", "submit returned")
    story.begins("running")
    story.commits("settled")
    story.commits("returned", job("below")).then("submit below")
    story.submits("below")
    story.ends("s").then("cancel running", "cancel below", "submit s, attempt 2")
    assert story.states() == {
        "main": "done",
        "s": "ready",
        "running": "waiting",
        "ready": "waiting",
        "settled": "done",
        "returned": "waiting",
        "waiting": "waiting",
    }
    story.is_up("s").then("submit running, attempt 2", "submit ready, attempt 2", "submit returned, attempt 2")


def test_a_roll_back_costs_the_clients_no_try():
    story = with_clients("a", retries=1, backoff=0.0)
    story.ends("s").then("submit s, attempt 2")
    story.is_up("s").then("submit a, attempt 2")
    story.ends("a").then("submit a, attempt 3")


def test_a_crash_without_open_clients_disturbs_nobody():
    story = up_and_running(service("s"), job("a", services=["s"], after=["first"]), job("first"), backoff=0.0)
    story.is_up("s").then()
    story.ends("s", "lost").then("submit s, attempt 2")
    story.commits("first").then()
    story.is_up("s").then("submit a")


def test_what_was_concluded_from_a_rolled_back_client_is_taken_back():
    story = up_and_running(
        service("s"), job("a", services=["s"]), job("ready", needs=["a"]), job("z", needs=["a"], after=["ready"]), backoff=0.0
    )
    story.is_up("s").then("submit a")
    story.commits("a", job("below")).then("submit below", "submit ready")
    story.ends("s", "lost").then("submit s, attempt 2")
    assert (story.state("ready"), story.state("z"), story.job("a").value) == ("waiting", "waiting", None)
    story.is_up("s").then("submit a, attempt 2")
    story.commits("a").then("stop s, attempt 2", "submit ready, attempt 2")


def test_and_so_is_what_was_concluded_above_it_through_values():
    story = up_and_running(job("p"), job("q", needs=["p"]), backoff=0.0)
    story.commits("p", service("s"), job("a", services=["s"]), returns=["a"]).then("submit s")
    story.is_up("s").then("submit a")
    story.commits("a", job("below")).then("submit below", "submit q")
    assert story.job("p").fulfilled
    story.ends("s", "lost").then("submit s, attempt 2")
    assert not story.job("p").fulfilled
    assert story.state("q") == "waiting"
    story.is_up("s").then("submit a, attempt 2")
    story.commits("a").then("stop s, attempt 2", "submit q, attempt 2")


def test_who_runs_already_with_a_value_that_was_taken_back_runs_on():
    story = up_and_running(service("s"), job("a", services=["s"]), job("b", needs=["a"]), backoff=0.0)
    story.is_up("s").then("submit a")
    story.commits("a", job("below")).then("submit below", "submit b")
    story.begins("b")
    story.ends("s", "lost").then("submit s, attempt 2")
    story.commits("b").then()
    assert story.state("b") == "done"


def test_a_service_that_ends_by_itself_has_failed_its_clients():
    story = with_clients("a", backoff=0.0)
    story.is_down("s").then("submit s, attempt 2")
    assert story.job("s").failure.error == "the service ended before its clients had settled"
    story.is_up("s").then("submit a, attempt 2")


def test_a_service_may_end_by_itself_when_nobody_needs_it_any_more():
    story = with_clients("a")
    story.commits("a").then("stop s")
    story.is_down("s").then("finish")


def test_a_service_that_ends_too_often_fails_its_clients():
    story = with_clients("a", retries=1, backoff=0.0)
    story.is_down("s").then("submit s, attempt 2")
    story.is_up("s").then("submit a, attempt 2")
    story.begins("a")
    story.is_down("s").then("cancel a, attempt 2", "fail")
    assert (story.state("s"), story.state("a")) == ("failed", "failed")


def test_losses_of_a_service_are_free():
    story = with_clients("a", retries=0, backoff=0.0)
    story.ends("s", "node_failed").then("submit s, attempt 2")


def test_a_crash_while_it_stops_is_its_own_fault():
    story = with_clients("a", backoff=0.0)
    story.commits("a").then("stop s")
    story.ends("s").then("submit s, attempt 2")
    story.is_up("s").then("stop s, attempt 2")
    story.is_down("s").then("finish")


def test_a_crash_while_it_stops_may_be_its_last():
    story = with_clients("a", retries=0)
    story.commits("a").then("stop s")
    story.ends("s").then("fail")


def test_a_service_that_is_lost_while_it_stops_has_done_its_work():
    for outcome in ("lost", "node_failed", "preempted", "cancelled"):
        story = with_clients("a", retries=0)
        story.commits("a").then("stop s")
        story.ends("s", outcome).then("finish")
        assert story.state("s") == "done"


def test_a_crash_outside_rolls_back_what_is_inside():
    story = nested(backoff=0.0)
    story.begins("a")
    story.ends("outer").then("cancel inner", "cancel a", "submit outer, attempt 2")
    story.is_up("outer").then("submit inner, attempt 2")
    story.is_up("inner").then("submit a, attempt 2")


def test_a_crash_inside_leaves_what_is_outside():
    story = nested(backoff=0.0)
    story.begins("a")
    story.ends("inner").then("cancel a", "submit inner, attempt 2")
    assert story.job("outer").up
    story.is_up("inner").then("submit a, attempt 2")


def test_a_crash_outside_while_the_inside_stops():
    story = nested(backoff=0.0)
    story.commits("a").then("stop inner")
    story.ends("outer", "lost").then("cancel inner", "submit outer, attempt 2")
    story.is_up("outer").then("submit inner, attempt 2")
    story.is_up("inner").then("stop inner, attempt 2")
    story.is_down("inner").then("stop outer, attempt 2")
    story.is_down("outer").then("finish")


def test_a_client_that_waits_for_the_inner_service_when_the_outer_one_goes():
    story = up_and_running(
        service("outer"),
        service("inner", services=["outer"]),
        job("a", services=["outer", "inner"]),
        backoff=0.0,
    )
    story.is_up("outer").then("submit inner")
    story.ends("outer", "lost").then("submit outer, attempt 2")
    story.is_up("outer").then("submit inner, attempt 2")
    story.is_up("inner").then("submit a")


def test_an_inner_service_that_fails_for_good_fails_its_clients_only():
    story = up_and_running(
        service("outer"),
        service("inner", services=["outer"]),
        job("a", services=["outer", "inner"]),
        job("b", services=["outer"]),
        retries=0,
    )
    story.is_up("outer").then("submit inner", "submit b")
    story.ends("inner").then()
    assert (story.state("a"), story.state("b")) == ("failed", "ready")
    story.commits("b").then("stop outer")
    story.is_down("outer").then("fail")


def test_a_failed_client_stays_failed_when_the_service_crashes():
    story = with_clients("a", "b", retries=0, backoff=0.0)
    story.ends("a").then()
    story.ends("s", "lost").then("submit s, attempt 2")
    assert (story.state("a"), story.state("b")) == ("failed", "waiting")
    story.is_up("s").then("submit b, attempt 2")


@pytest.mark.parametrize("needs", [["s", "late"], ["late", "s"]])
def test_who_needs_only_the_address_runs_whenever_it_is_looked_at(needs):
    story = up_and_running(service("s"), job("late"), job("z", needs=needs), retries=0)
    story.is_up("s").then("stop s")
    story.ends("s").then()
    story.commits("late").then("submit z")
    story.commits("z").then("fail")


def test_a_value_that_holds_an_address_is_fulfilled_whenever_it_is_looked_at():
    story = up_and_running(job("p"), job("q", needs=["p"]), retries=0)
    story.commits("p", job("late"), service("s"), returns=["late", "s"]).then("submit late", "submit s")
    story.is_up("s").then("stop s")
    story.ends("s").then()
    story.commits("late").then("submit q")
