"""What each event does to a job, and that news of an attempt that no longer counts does nothing."""

import pytest
from story import calls_of, job, service, up_and_running

from moil.core.events import AttemptEnded, AttemptsSubmitted, AttemptStarted, JobCommitted, ServiceDown, ServiceUp
from moil.core.records import Outcome, Submitted


def test_a_run_of_one_job(story):
    story.starts().then("submit main")
    assert story.state("main") == "ready"
    story.submits("main").then()
    assert story.state("main") == "submitted"
    story.begins("main").then()
    assert story.state("main") == "running"
    story.commits("main").then("finish")
    assert story.state("main") == "done"
    assert story.workflow.finished
    assert not story.workflow.failed


def test_what_the_events_say_is_remembered(story):
    story.starts().then("submit main")
    story.submits("main")
    assert story.job("main").external_id == "x1.1"
    story.now += 5
    story.begins("main", host="node7")
    assert (story.job("main").host, story.job("main").started_at) == ("node7", story.now)
    story.commits("main", value=b"42").then("finish")
    assert story.workflow.root.value == b"42"


def test_a_commit_makes_children_in_the_order_of_the_calls(story):
    story.starts().then("submit main")
    story.commits("main", job("a"), job("b"), job("c")).then("submit a", "submit b", "submit c")
    assert [(one.id, one.parent, one.index) for one in story.workflow.graph.children(story.job("main"))] == [
        (2, 1, 0),
        (3, 1, 1),
        (4, 1, 2),
    ]


def test_news_may_come_in_any_order_that_a_batch_system_can_think_of(story):
    story.starts().then("submit main")
    story.begins("main").then()  # a worker was faster than the answer to the submission
    story.submits("main").then()
    assert story.state("main") == "running"
    story.commits("main").then("finish")


def test_a_commit_may_be_all_that_is_heard(story):
    story.starts().then("submit main")
    story.commits("main").then("finish")


def test_a_job_is_done_when_it_has_returned_though_its_children_have_not():
    story = up_and_running(job("a"))
    assert (story.state("main"), story.job("main").settled) == ("done", False)
    story.commits("a").then("finish")
    assert story.job("main").settled


NEWS = [
    lambda **who: AttemptStarted(at=0.0, **who),
    lambda **who: JobCommitted(at=0.0, value=b"late", calls=calls_of([job("x")]), **who),
    lambda **who: ServiceUp(at=0.0, value=b"late", **who),
    lambda **who: ServiceDown(at=0.0, **who),
    *(lambda outcome=outcome, **who: AttemptEnded(at=0.0, outcome=outcome, **who) for outcome in Outcome),
    lambda **who: AttemptsSubmitted(at=0.0, attempts=(Submitted(external_id="late", **who),)),
]
any_news = pytest.mark.parametrize("news", NEWS, ids=range(len(NEWS)))


@any_news
def test_news_of_an_earlier_attempt_is_of_no_interest(news):
    story = up_and_running(job("a"), backoff=0.0)
    story.begins("a")
    story.ends("a").then("submit a, attempt 2")
    story.hears(news(job=2, attempt=1)).then()
    assert (story.state("a"), story.job("a").attempt, story.job("a").external_id) == ("ready", 2, "")


@any_news
@pytest.mark.parametrize("attempt", [1, 2])
def test_news_of_a_job_that_is_done_is_of_no_interest(news, attempt):
    story = up_and_running(job("a"), job("b"))
    story.commits("a", value=b"first").then()
    story.hears(news(job=2, attempt=attempt)).then()
    assert (story.state("a"), story.job("a").value) == ("done", b"first")
    assert story.workflow.graph.next_id == 4


@any_news
def test_news_of_a_job_that_failed_is_of_no_interest(news):
    story = up_and_running(job("a"), job("b"), retries=0)
    story.ends("a").then()
    story.hears(news(job=2, attempt=1)).then()
    assert story.state("a") == "failed"


@any_news
def test_news_of_a_job_that_waits_to_be_tried_again_is_of_no_interest(news):
    story = up_and_running(job("a"), backoff=5.0)
    story.ends("a").then()
    story.hears(news(job=2, attempt=1)).then()
    assert story.state("a") == "waiting"


@any_news
def test_news_of_a_job_that_nobody_knows_is_of_no_interest(news):
    story = up_and_running(job("a"))
    story.hears(news(job=99, attempt=1)).then()
    assert story.states() == {"main": "done", "a": "ready"}


def test_a_submission_of_an_earlier_attempt_is_of_no_interest():
    story = up_and_running(job("a"), backoff=0.0)
    story.submits("a")
    first = story.job("a").external_id
    story.ends("a", "preempted").then("submit a, attempt 2")
    assert (first, story.job("a").external_id) == ("x2.1", "")


def test_what_was_heard_twice_happened_once():
    story = up_and_running(service("s"), job("a", services=["s"]))
    for _ in range(2):
        story.submits("s").then()
    for _ in range(2):
        story.begins("s").then()
    story.is_up("s").then("submit a")
    story.is_up("s").then()
    story.begins("s").then()
    story.submits("s").then()
    assert story.job("s").up
    story.commits("a").then("stop s")
    story.commits("a").then()
    story.is_up("s").then()
    story.is_down("s").then("finish")
    story.is_down("s").then()


def test_nothing_happens_to_a_run_that_has_finished(story):
    story.starts().then("submit main")
    story.commits("main").then("finish")
    story.commits("main").then()
    story.ends("main").then()
    story.waits(100).then()
    story.is_cancelled().then()
    assert not story.workflow.failed


def test_the_root_is_the_first_job(story):
    story.starts("align").then("submit align")
    assert story.workflow.root.call.name == "align"
    assert str(story.workflow.root) == "align #1"
