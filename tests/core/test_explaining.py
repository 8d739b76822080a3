"""Why a job is not running: a sentence for every state, and a chain of them to what can act."""

import pytest
from moil.core.explain import LONGEST_CHAIN
from story import Story, job, service, up_and_running


def test_ready():
    story = up_and_running(job("a"), job("b"))
    assert story.explains("b") == ["b #3 is ready and waits for its turn behind 1 other(s)."]


def test_submitted():
    story = up_and_running(job("a"))
    story.submits("a")
    assert story.explains("a", after=90) == ["a #2 is in the queue of the batch system as x2.1, for 1 min 30 s."]


@pytest.mark.parametrize(("host", "where"), [("node7", " on node7"), ("", "")])
def test_running(host, where):
    story = up_and_running(job("a"))
    story.begins("a", host=host)
    assert story.explains("a", after=2) == [f"a #2 has been running{where} for 2.0 s (attempt 1)."]


def test_a_clock_that_went_back_is_no_matter():
    story = up_and_running(job("a"))
    story.begins("a")
    assert story.explains("a", after=-50) == ["a #2 has been running on node1 for 0 ms (attempt 1)."]


def test_a_service_that_is_up():
    story = up_and_running(service("s"), job("a", services=["s"]))
    story.begins("s", host="")
    story.is_up("s").then("submit a")
    assert story.explains("s", after=1) == ["s #2 is a service, up for 1.0 s; 1 client(s) have not settled."]


def test_done():
    story = up_and_running(job("a"), job("b"))
    story.commits("a")
    assert story.explains("a") == ["a #2 is done, and so is all below it."]


def test_returned_but_not_settled():
    story = up_and_running(job("a"), job("b"))
    story.commits("a")
    assert story.explains("main") == [
        "main #1 has returned; 1 of its 2 children have not settled.",
        "b #3 is ready and waits for its turn behind 0 other(s).",
    ]


def test_done_with_a_failure_below():
    story = up_and_running(job("a"), retries=0)
    story.ends("a", error="no luck").then("fail")
    assert story.explains("main") == ["main #1 is done, but something below it failed.", "a #2 failed: no luck."]


def test_waiting_for_a_value():
    story = up_and_running(job("a"), job("b", needs=["a"]), job("c", needs=["b"]))
    assert story.explains("c") == [
        "c #4 waits for the value of b #3.",
        "b #3 waits for the value of a #2.",
        "a #2 is ready and waits for its turn behind 0 other(s).",
    ]


def test_waiting_for_a_promise_in_a_value():
    story = up_and_running(job("a"), job("b", needs=["a"]))
    story.commits("a", job("x"), returns=["x"]).then("submit x")
    assert story.explains("b")[:2] == [
        "b #3 waits for the value of a #2.",
        "a #2 has returned; 1 of its 1 children have not settled.",
    ]


def test_waiting_for_the_right_promise_in_a_value():
    story = up_and_running(job("a"), job("b", needs=["a"]))
    story.commits("a", job("other"), job("x"), returns=["x"]).then("submit other", "submit x")
    story.submits("other", "x")
    assert story.explains("b", after=5) == [
        "b #3 waits for the value of a #2.",
        "a #2 has returned; 2 of its 2 children have not settled.",
        "x #5 is in the queue of the batch system as x5.1, for 5.0 s.",
    ]


def test_waiting_to_follow_on():
    story = up_and_running(job("a"), job("z", needs=["a"], after=["a"]))
    story.commits("a", job("x")).then("submit x")
    assert story.explains("z")[0] == "z #3 waits for a #2 and all its descendants to settle."


def test_waiting_for_a_service():
    story = up_and_running(service("s"), job("a", services=["s"]))
    assert story.explains("a") == [
        "a #3 waits for the service s #2 to be up.",
        "s #2 is ready and waits for its turn behind 0 other(s).",
    ]


def test_waiting_for_a_service_whose_address_was_known():
    story = up_and_running(service("s"), job("a", services=["s"], needs=["s"]), backoff=0.0)
    story.is_up("s").then("submit a")
    story.ends("s", "lost").then("submit s, attempt 2")
    assert story.explains("a")[0] == "a #3 waits for the service s #2 to be up."


def test_waiting_for_the_end_of_a_back_off():
    story = up_and_running(job("a"), backoff=8.0)
    story.ends("a", error="no luck").then()
    assert story.explains("a", after=2) == ["a #2 waits 6.0 s before its next try (attempt 1 no luck)."]


def test_failed():
    story = up_and_running(job("a"), job("b", needs=["a"]), retries=0)
    story.ends("a", error="no luck").then("fail")
    assert story.explains("b") == ["b #3 was not run, because job #2 failed.", "a #2 failed: no luck."]


def test_following_on_what_failed_below():
    story = up_and_running(job("a"), job("z", after=["a"]), retries=0)
    story.commits("a", job("bad")).then("submit bad")
    story.ends("bad", error="no luck").then("fail")
    assert story.explains("z") == [
        "z #3 was not run, because something below job #2 failed.",
        "a #2 is done, but something below it failed.",
        "bad #4 failed: no luck.",
    ]


def test_cancelled():
    story = up_and_running(job("a"))
    story.is_cancelled("cancelled by request").then("fail")
    assert story.explains("a") == ["a #2 was not run: cancelled by request."]


def test_stopped_without_a_reason():
    story = up_and_running(job("a"))
    story.is_cancelled("").then("fail")
    assert story.explains("a") == ["a #2 was not run: the run was stopped."]


def test_a_chain_has_an_end():
    count = 2 * LONGEST_CHAIN
    calls = [job("j0"), *(job(f"j{index}", needs=[f"j{index - 1}"]) for index in range(1, count))]
    told = up_and_running(*calls).explains(f"j{count - 1}")
    assert len(told) == LONGEST_CHAIN + 1
    assert told[-1] == "… and so on."


def test_even_one_that_should_not_be_there_has_an_end():
    """The recorder refuses to make a circle; should there be one, it is shown and not followed for ever."""
    story = Story(check=False)
    story.starts().then("submit main")
    story.commits("main", job("a", needs=["b"]), job("b", needs=["a"])).then()
    assert story.explains("a") == ["a #2 waits for the value of b #3.", "b #3 waits for the value of a #2."]
