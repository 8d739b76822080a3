"""What is always true, and that it is noticed when it is not."""

import pytest
from moil.core.invariants import check, violations
from moil.core.records import JobState
from story import job, service, up_and_running


def a_run():
    """A service that is up, a client that is ready, one that waits, and a value with a promise in it."""
    story = up_and_running(
        service("s"), job("a", services=["s"]), job("p"), job("w", needs=["a"]), service("t", after=["w"]), returns=["a"]
    )
    story.begins("s")
    story.is_up("s").then("submit a")
    story.commits("p", job("child"), returns=["child"]).then("submit child")
    return story


def test_all_is_well():
    assert list(violations(a_run().workflow)) == []


@pytest.mark.parametrize(
    ("name", "changes", "law"),
    [
        ("p", {"open_children": 7}, "counts 7 unsettled children, has 1"),
        ("p", {"settled": True}, "settled is: terminal, and all children settled"),
        ("p", {"state": JobState.running}, "only a job that returned has children"),
        ("a", {"state": JobState.running, "attempt": 0}, "a live job has an attempt"),
        ("p", {"value": None}, "a job that is done has a value"),
        ("s", {"state": JobState.ready}, "a service that is up is running"),
        ("a", {"state": JobState.failed}, "a failed job is broken"),
        ("a", {"fulfilled": True}, "a fulfilled job has a value"),
        ("p", {"fulfilled": True}, "fulfilled is: returned, and all refs fulfilled"),
        ("s", {"up": False}, "its services are up"),
        ("w", {"state": JobState.ready}, "nothing keeps a ready job"),
        ("a", {"state": JobState.waiting}, "a waiting job waits for something"),
        ("a", {"watchers": []}, "a waiting job watches something that it waits for"),
        ("s", {"open_clients": 5}, "counts 5 open clients, has 1"),
    ],
)
def test_what_is_wrong_is_noticed(name, changes, law):
    story = a_run()
    for field, value in changes.items():
        setattr(story.job(name), field, value)
    assert law in "\n".join(violations(story.workflow))
    with pytest.raises(AssertionError, match="#"):
        check(story.workflow)


def test_a_service_without_clients_that_was_not_told():
    story = up_and_running(service("s"))
    story.is_up("s").then("stop s")
    story.job("s").stopping = False
    assert list(violations(story.workflow)) == ["s #2 (running): a service without open clients is told to stop"]


def test_all_that_is_wrong_is_said():
    story = a_run()
    story.job("p").open_children = story.job("main").open_children = 9
    with pytest.raises(AssertionError) as told:
        check(story.workflow)
    assert len(str(told.value).splitlines()) == 2
