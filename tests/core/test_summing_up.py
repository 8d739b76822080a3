"""A run in numbers."""

import pytest
from moil.core.records import Usage
from moil.core.summary import NameStats
from story import BEGIN, job, service, up_and_running

USED = Usage(wall=10.0, cpu=5.0, memory=100)


def test_times(story):
    story.starts().then("submit main")
    story.now += 5
    story.restarts().then("submit main")
    story.now += 1
    story.begins("main")
    told = story.summary
    assert (told.started_at, told.resumed_at, told.updated_at, told.incarnations) == (BEGIN, BEGIN + 5, BEGIN + 6, 2)


def test_jobs_of_one_name_are_added_up():
    story = up_and_running(job("align"), {**job("align")})
    first, second = story.workflow.graph.children(story.job("main"))
    story.submits("align", cores=2.0, memory=300)
    story.commits("align", usage=USED).then()
    assert (first.state.value, second.state.value) == ("ready", "done")
    stats = story.summary.names["align"]
    assert stats == NameStats(
        done=1, wall=10.0, longest=10.0, cpu=5.0, core_seconds=20.0, peak_memory=100, memory_asked=300, cores_asked=2.0
    )


def test_the_most_is_kept():
    stats = NameStats()
    stats.add(Usage(wall=3.0, memory=50), None)
    stats.add(Usage(wall=1.0, memory=80), None)
    assert (stats.wall, stats.longest, stats.peak_memory, stats.cores_asked) == (4.0, 3.0, 80, 0.0)


@pytest.mark.parametrize("outcome", ["failed", "lost", "preempted"])
def test_attempts_that_ended_without_a_commit(outcome):
    story = up_and_running(job("a"), backoff=0.0)
    story.ends("a", outcome, usage=USED).then("submit a, attempt 2")
    story.ends("a", outcome).then("submit a, attempt 3") if outcome == "preempted" else story.commits("a").then("finish")
    stats = story.summary.names["a"]
    assert stats.ended == {outcome: 2 if outcome == "preempted" else 1}
    assert story.summary.retried == sum(stats.ended.values())
    assert stats.wall == 10.0


def test_news_that_does_not_count_is_not_counted():
    story = up_and_running(job("a"), job("b"))
    story.commits("a", usage=USED, files=("f1",)).then()
    story.commits("a", usage=USED, files=("f2",)).then()
    story.ends("a", usage=USED).then()
    assert story.summary.names["a"].done == 1
    assert story.summary.files == {"f1"}


def test_a_service_counts_when_it_is_down():
    story = up_and_running(service("s"), job("b"))
    story.is_up("s", files=("f",)).then("stop s")
    assert "s" not in story.summary.names
    story.is_down("s", usage=USED).then()
    assert story.summary.names["s"].done == 1
    assert story.summary.files == {"f"}


def test_what_was_asked_is_let_go_when_the_attempt_has_ended():
    story = up_and_running(job("a"), job("b"))
    story.submits("a", "b")
    story.commits("a").then()
    assert list(story.summary.asked) == [story.job("b").id]
