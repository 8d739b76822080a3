"""Checkpoints: when a descendant fails for good, all below is forgotten, and the checkpoint runs again."""

from story import job, service, up_and_running


def rolled_back(**policy):
    """A checkpoint whose only child has failed for good once."""
    story = up_and_running(job("k", checkpoint=True), backoff=0.0, **policy)
    story.commits("k", job("bad", retries=0)).then("submit bad")
    story.ends("bad").then("submit k, attempt 2")
    return story


def test_a_checkpoint_runs_again_when_a_child_has_failed_for_good():
    story = rolled_back()
    assert story.states() == {"main": "done", "k": "ready"}
    story.commits("k", job("good")).then("submit good")
    story.commits("good").then("finish")


def test_also_when_a_deeper_descendant_has():
    story = up_and_running(job("k", checkpoint=True), backoff=0.0, retries=1)
    story.commits("k", job("x")).then("submit x")
    story.commits("x", job("y")).then("submit y")
    story.ends("y").then("submit y, attempt 2")
    story.ends("y").then("submit k, attempt 2")
    assert story.states() == {"main": "done", "k": "ready"}


def test_what_still_runs_below_is_cancelled():
    story = up_and_running(job("k", checkpoint=True), backoff=0.0)
    story.commits("k", job("bad", retries=0), job("out"), job("ready"), job("x"))
    story.then("submit bad", "submit out", "submit ready", "submit x")
    story.begins("out")
    story.commits("x", job("below")).then("submit below")
    story.submits("below")
    story.ends("bad").then("cancel out", "cancel below", "submit k, attempt 2")


def test_the_attempt_that_failed_is_over_and_is_not_cancelled():
    story = up_and_running(job("k", checkpoint=True), backoff=0.0)
    story.commits("k", job("bad", retries=0)).then("submit bad")
    story.begins("bad")
    story.ends("bad").then("submit k, attempt 2")


def test_news_of_what_was_forgotten_is_of_no_interest():
    story = up_and_running(job("k", checkpoint=True), backoff=0.0)
    story.commits("k", job("bad", retries=0), job("other")).then("submit bad", "submit other")
    event_of_other = story.job("other").id
    story.ends("bad").then("submit k, attempt 2")
    assert story.workflow.graph.get(event_of_other) is None
    assert not story.workflow.is_current(event_of_other, 1)


def test_numbers_are_not_given_twice():
    story = rolled_back()
    story.commits("k", job("good")).then("submit good")
    assert story.job("good").id == 4


def test_a_roll_back_costs_a_try():
    story = rolled_back(retries=1)
    story.commits("k", job("bad", retries=0)).then("submit bad")
    story.ends("bad").then("fail")
    assert (story.state("bad"), story.state("k")) == ("failed", "done")


def test_tries_of_its_own_count():
    story = up_and_running(job("k", checkpoint=True), backoff=0.0, retries=1)
    story.ends("k").then("submit k, attempt 2")
    story.commits("k", job("bad", retries=0)).then("submit bad")
    story.ends("bad").then("fail")


def test_a_checkpoint_may_have_its_own_count_of_retries():
    story = up_and_running(job("k", checkpoint=True, retries=2), backoff=0.0, retries=0)
    for attempt in (2, 3):
        story.commits("k", job("bad")).then("submit bad")
        story.ends("bad").then(f"submit k, attempt {attempt}")
    story.commits("k", job("bad")).then("submit bad")
    story.ends("bad").then("fail")


def test_free_losses_are_remembered_over_a_roll_back():
    story = up_and_running(job("k", checkpoint=True), backoff=0.0)
    story.ends("k", "lost").then("submit k, attempt 2")
    story.commits("k", job("bad", retries=0)).then("submit bad")
    story.ends("bad").then("submit k, attempt 3")
    assert (story.job("k").tries.used, story.job("k").tries.losses) == (1, 1)


def test_the_innermost_checkpoint_rolls_back_first():
    story = up_and_running(job("outer", checkpoint=True), backoff=0.0, retries=1)
    story.commits("outer", job("inner", checkpoint=True)).then("submit inner")
    story.commits("inner", job("bad", retries=0)).then("submit bad")
    story.ends("bad").then("submit inner, attempt 2")
    story.commits("inner", job("bad", retries=0)).then("submit bad")
    story.ends("bad").then("submit outer, attempt 2")
    story.commits("outer", job("inner", checkpoint=True)).then("submit inner")
    story.commits("inner").then("finish")


def test_siblings_that_wait_for_its_value_wait_again():
    story = up_and_running(job("k", checkpoint=True), job("b", needs=["k"]), backoff=0.0)
    story.commits("k", job("bad", retries=0)).then("submit bad", "submit b")
    story.ends("bad").then("submit k, attempt 2")
    assert story.state("b") == "waiting"
    story.commits("k").then("submit b, attempt 2")


def test_siblings_that_had_its_value_are_left_alone():
    story = up_and_running(job("k", checkpoint=True), job("b", needs=["k"]), backoff=0.0)
    story.commits("k", job("bad", retries=0)).then("submit bad", "submit b")
    story.begins("b")
    story.ends("bad").then("submit k, attempt 2")
    story.commits("b").then()
    story.commits("k").then("finish")


def test_follow_ons_wait_for_the_checkpoint_to_settle():
    story = up_and_running(job("k", checkpoint=True), job("z", after=["k"]), backoff=0.0)
    story.commits("k", job("bad", retries=0)).then("submit bad")
    story.ends("bad").then("submit k, attempt 2")
    story.commits("k").then("submit z")


def test_a_checkpoint_that_is_a_client_keeps_its_service():
    story = up_and_running(service("s"), job("k", checkpoint=True, services=["s"]), backoff=0.0)
    story.is_up("s").then("submit k")
    story.commits("k", job("bad", retries=0)).then("submit bad")
    story.ends("bad").then("submit k, attempt 2")
    story.commits("k").then("stop s")


def test_services_below_are_cancelled_with_all_else():
    story = up_and_running(job("k", checkpoint=True), backoff=0.0)
    story.commits("k", service("s"), job("bad", services=["s"], retries=0)).then("submit s")
    story.is_up("s").then("submit bad")
    story.ends("bad").then("cancel s", "submit k, attempt 2")


def test_the_main_job_may_be_a_checkpoint(story):
    story.starts(checkpoint=True).then("submit main")
    story.commits("main", job("bad", retries=0)).then("submit bad")
    story.ends("bad").then("submit main, attempt 2")
    story.commits("main").then("finish")


def test_failure_that_spreads_below_a_checkpoint_is_one_failure():
    story = up_and_running(job("k", checkpoint=True), backoff=0.0, retries=1)
    story.commits("k", job("bad", retries=0), job("b", needs=["bad"]), job("c", needs=["b"])).then("submit bad")
    story.ends("bad").then("submit k, attempt 2")
    assert story.job("k").tries.used == 1


def test_a_service_below_that_fails_for_good_rolls_the_checkpoint_back():
    story = up_and_running(job("k", checkpoint=True), backoff=0.0)
    story.commits("k", service("s", retries=0), job("a", services=["s"])).then("submit s")
    story.is_up("s").then("submit a")
    story.begins("a")
    story.ends("s").then("cancel a", "submit k, attempt 2")
