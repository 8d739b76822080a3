"""When a job may run: values, parts, promises in values, follow-ons; wide and deep."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from story import Story, job, up_and_running


def test_a_job_waits_for_the_value_it_needs():
    story = up_and_running(job("a"), job("b", needs=["a"]))
    assert story.states() == {"main": "done", "a": "ready", "b": "waiting"}
    story.commits("a").then("submit b")
    story.commits("b").then("finish")


def test_jobs_without_needs_run_at_once():
    story = up_and_running(job("a"), job("b"))
    story.commits("b").then()
    story.commits("a").then("finish")


def test_a_job_waits_for_all_it_needs():
    story = up_and_running(job("a"), job("b"), job("c"), job("d", needs=["a", "b", "c"]))
    story.commits("c").then()
    story.commits("a").then()
    story.commits("b").then("submit d")


def test_a_value_may_be_needed_by_many():
    story = up_and_running(job("a"), job("b", needs=["a"]), job("c", needs=["a"]))
    story.commits("a").then("submit b", "submit c")


def test_a_job_that_only_needs_the_value_does_not_wait_for_descendants():
    story = up_and_running(job("a"), job("b", needs=["a"]))
    story.commits("a", job("below")).then("submit below", "submit b")


def test_a_promise_in_a_value_is_waited_for():
    story = up_and_running(job("a"), job("b", needs=["a"]))
    story.commits("a", job("deep"), returns=["deep"]).then("submit deep")
    story.commits("deep").then("submit b")


def test_promises_are_fulfilled_through_chains_of_values():
    story = up_and_running(job("a"), job("b", needs=["a"]))
    story.commits("a", job("one"), job("two"), returns=["one", "two"]).then("submit one", "submit two")
    story.commits("two", job("three"), returns=["three"]).then("submit three")
    story.commits("one").then()
    story.commits("three", job("four"), returns=["four"]).then("submit four")
    assert not story.job("a").fulfilled
    story.commits("four").then("submit b")
    assert story.job("a").fulfilled


def test_a_promise_may_stand_twice_in_a_value():
    story = up_and_running(job("a"), job("b", needs=["a"]))
    story.commits("a", job("x"), job("y"), returns=["y", "x", "y"]).then("submit x", "submit y")
    story.commits("x").then()
    story.commits("y").then("submit b")


def test_a_follow_on_waits_for_all_descendants():
    story = up_and_running(job("a"), job("z", after=["a"]))
    story.commits("a", job("child")).then("submit child")
    story.commits("child", job("grandchild")).then("submit grandchild")
    assert story.state("z") == "waiting"
    story.commits("grandchild").then("submit z")


def test_a_follow_on_may_need_values_too():
    story = up_and_running(job("a"), job("b"), job("z", needs=["a"], after=["b", "a"]))
    story.commits("b").then()
    story.commits("a", job("child")).then("submit child")
    story.commits("child").then("submit z")


def test_a_follow_on_of_a_failed_job_fails():
    story = up_and_running(job("a"), job("z", after=["a"]), retries=0)
    story.ends("a").then("fail")
    assert (story.state("z"), story.job("z").cause) == ("failed", story.job("a").id)


def test_a_follow_on_of_a_job_with_a_failed_descendant_fails_when_that_has_settled():
    story = up_and_running(job("a"), job("z", after=["a"]), retries=0)
    story.commits("a", job("bad"), job("good")).then("submit bad", "submit good")
    story.ends("bad").then()
    assert story.state("z") == "waiting"
    story.commits("good").then("fail")
    assert story.state("z") == "failed"


def test_who_needs_the_value_of_a_failed_job_fails_with_it():
    story = up_and_running(job("a"), job("b", needs=["a"]), job("c", needs=["b"]), job("free"), retries=0)
    story.ends("a").then()
    assert story.states() == {"main": "done", "a": "failed", "b": "failed", "c": "failed", "free": "ready"}
    assert story.job("c").cause == story.job("a").id
    story.commits("free").then("fail")


def test_who_needs_a_value_that_holds_a_failed_job_fails_with_it():
    story = up_and_running(job("a"), job("b", needs=["a"]), retries=0)
    story.commits("a", job("x"), job("deep"), returns=["x", "deep"]).then("submit x", "submit deep")
    story.ends("deep").then()
    assert (story.state("a"), story.state("b")) == ("done", "waiting")
    story.commits("x").then("fail")
    assert (story.state("b"), story.job("b").cause) == ("failed", story.job("deep").id)


def test_failure_does_not_spread_to_who_needs_only_a_value_that_is_there():
    story = up_and_running(job("a"), job("b", needs=["a"]), retries=0)
    story.commits("a", job("bad")).then("submit bad", "submit b")
    story.ends("bad").then()
    story.commits("b").then("fail")
    assert story.state("b") == "done"


def test_a_commit_after_a_failure_elsewhere_still_counts():
    story = up_and_running(job("bad"), job("a"), job("b", needs=["a"]), retries=0)
    story.ends("bad").then()
    story.commits("a").then("submit b")
    story.commits("b").then("fail")


@pytest.mark.slow
def test_recursion_20_000_deep():
    story = deep(20_000)
    story.commits("job").then("finish")
    assert all(one.fulfilled and one.settled for one in story.workflow.graph.jobs.values())
    assert len(story.workflow.graph.jobs) == 20_000


def deep(levels):
    """Each job returns the promise of its only child."""
    story = Story(check=False)
    story.starts("job").then("submit job")
    for _ in range(levels - 1):
        story.commits("job", job("job"), returns=["job"]).then("submit job")
    return story


@pytest.mark.slow
def test_a_failure_20_000_levels_deep_reaches_the_top():
    story = deep(20_000)
    story.ends("job", "failed").then()
    story.waits(100).then("submit job, attempt 2")
    story.ends("job", "failed").then("fail")
    assert story.workflow.root.broken
    assert story.workflow.root.failed_below


@pytest.mark.slow
def test_fan_out_and_fan_in_of_100_000():
    names = [f"j{number}" for number in range(100_000)]
    story = up_and_running(*map(job, names), job("sum", needs=names), check=False)
    for name in names[:-1]:
        story.commits(name).then()
    story.commits(names[-1]).then("submit sum")
    story.commits("sum").then("finish")


@pytest.mark.slow
def test_giving_up_100_000_jobs():
    names = [f"j{number}" for number in range(100_000)]
    story = up_and_running(*map(job, names), job("sum", needs=names), check=False)
    story.is_cancelled().then("fail")


@settings(max_examples=25)
@given(st.data())
def test_in_any_graph_each_job_runs_once_and_after_what_it_needs(data):
    """Random needs among siblings, finished in random order."""
    count = data.draw(st.integers(1, 8))
    names = [f"j{number}" for number in range(count)]
    calls = [job(name, needs=data.draw(subset(names[:index]))) for index, name in enumerate(names)]
    story = up_and_running(*calls)
    finished = []
    while ready := [name for name in names if story.state(name) == "ready"]:
        name = data.draw(st.sampled_from(ready))
        assert set(calls[names.index(name)]["needs"]) <= set(finished)
        finished.append(name)
        story.commits(name)
        story._unclaimed = []
    assert sorted(finished) == names
    assert story.workflow.finished


def subset(names):
    return st.lists(st.sampled_from(names), unique=True).map(sorted) if names else st.just([])
