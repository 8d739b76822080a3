"""A cluster of a scheduler that the test plays: what becomes of letters, of silence, of a leader's death."""

import time
from collections.abc import Sequence

import pytest

from moil.adapters.memory import MemoryDisk, MemoryStore
from moil.core.records import Outcome
from moil.core.requirements import Ceiling, Requirements
from moil.deployment import signing
from moil.errors import DamagedError, DeploymentError
from moil.ports.batch_system import Phase, Submission
from moil.ports.scheduler import Refused, SchedulerDown, Seen, Standing
from moil.runtime import cluster as clusters
from moil.runtime.clerk import Site
from moil.runtime.cluster import ClusterBatchSystem
from moil.runtime.mailbox import Letter, Mailbox, Order
from moil.runtime.queues import Queues
from moil.runtime.reactor import SelectorReactor, SystemClock

BOUND = 20.0


class PlayedScheduler:
    """Takes everything down; the test says how things stand."""

    poll_interval = 0.05
    largest_array = 3
    ceiling = Ceiling(cores=4.0)
    member = ("MEMBER", 0)

    def __init__(self):
        self.arrays, self.seen, self.errors, self.queries = {}, {}, [], 0
        self.cancelled, self.withdrawn = [], []

    def _maybe_fail(self):
        if self.errors:
            raise self.errors.pop(0)

    def machines(self):
        return set()

    def submit(self, array):
        self._maybe_fail()
        number = len(self.arrays) + 1
        self.arrays[array.label] = (array, [f"{number}_{k}" for k in range(array.size)])
        return self.arrays[array.label][1]

    def query(self, ids):
        self.queries += 1
        self._maybe_fail()
        return {one: self.seen[one] for one in ids if one in self.seen}

    def find(self, prefix):
        return {label: ids for label, (_, ids) in self.arrays.items() if label.startswith(prefix)}

    def time_limit(self, requirements, roomy=0.0):
        return max(requirements.walltime or 0.0, roomy)

    def withdraw(self, ids):
        self.withdrawn += sorted(ids)

    def cancel(self, ids):
        self.cancelled += sorted(ids)

    def close(self):
        pass


class Stage:
    """A cluster, and what it has reported."""

    def __init__(self, scheduler, disk, tmp_path, wants=lambda _: True, pilots=0):
        self.scheduler, self.store = scheduler, MemoryStore(disk)
        self.mailbox = Mailbox(self.store, signing.make_key(self.store))
        self.queues = Queues(self.store, signing.make_key(self.store))
        self.clock, self.said, self.reports = SystemClock(), [], []
        self.reactor = SelectorReactor(self.clock)
        self.batch = ClusterBatchSystem(
            Site(
                scheduler=scheduler, mailbox=self.mailbox, queues=self.queues, pilots=pilots, reactor=self.reactor, clock=self.clock, run="r1", name="study",
                script=lambda batch: f"#!/bin/sh\n# {batch}", logs=tmp_path, poll_interval=0.05, window=10,
                wants=wants, say=self.said.append,
            )
        )
        self.out = set()

    def submit(self, *tokens, name="job", **needs):
        self.out.update(tokens)
        return self.batch.submit([Submission(token=one, name=name, requirements=Requirements(**needs), task=b"t") for one in tokens])

    def until(self, found):
        patience = time.monotonic() + BOUND
        while not found():
            assert time.monotonic() < patience, (self.reports, self.scheduler.arrays, self.said)
            self.reactor.wait(self.clock.now() + 0.05)
            for one in self.batch.poll(self.out):
                self.reports.append(one)
                if one.phase is Phase.ended:
                    self.out.discard(one.id)

    def submitted(self):
        return sum(array.size for array, _ in self.scheduler.arrays.values())

    def ended(self, token):
        self.until(lambda: any(one.id == token and one.phase is Phase.ended for one in self.reports))
        return next(one for one in self.reports if one.id == token and one.phase is Phase.ended)

    def phases(self, token):
        return [one.phase for one in self.reports if one.id == token]

    def close(self):
        self.batch.close()
        self.reactor.close()


@pytest.fixture
def scheduler():
    return PlayedScheduler()


@pytest.fixture
def disk():
    return MemoryDisk()


@pytest.fixture
def stage(scheduler, disk, tmp_path):
    found = Stage(scheduler, disk, tmp_path)
    yield found
    found.close()


@pytest.fixture(autouse=True)
def hurried(monkeypatch):
    monkeypatch.setattr(clusters, "LATE", 0.2)
    monkeypatch.setattr(clusters, "KEPT", 0.1)
    monkeypatch.setattr("moil.runtime.clerk.HASTE", 0.02)


def post(stage, token, **more):
    stage.mailbox.post_outcome(Letter(token=token, host="c1", **{"record": b"value", **more}))


def test_a_letter_is_an_outcome(stage):
    stage.submit("1.1")
    stage.until(lambda: stage.submitted() == 1)
    post(stage, "1.1")
    assert stage.ended("1.1").outcome is Outcome.completed
    assert stage.phases("1.1") == [Phase.started, Phase.returned, Phase.ended]


def test_attempts_of_one_shape_share_an_array(stage, scheduler):
    stage.submit("1.1", "2.1", "3.1", "4.1")
    stage.submit("5.1", memory=1)
    stage.until(lambda: stage.submitted() == 5)
    assert sorted(array.size for array, _ in scheduler.arrays.values()) == [1, 1, 3]


def test_each_member_finds_its_order(stage, scheduler):
    stage.submit("1.1", "2.1", "3.1")
    stage.until(lambda: stage.submitted() == 3)
    (label,) = scheduler.arrays
    orders = [stage.mailbox.order(label.rpartition(":")[2], number) for number in range(3)]
    assert [one.token for one in orders] == ["1.1", "2.1", "3.1"]


def test_what_is_written_down_is_forgotten(stage):
    stage.submit("1.1")
    stage.until(lambda: stage.submitted() == 1)
    post(stage, "1.1")
    stage.ended("1.1")
    stage.submit("2.1")  # so that there is something to look for
    stage.until(lambda: stage.mailbox.posted("outcomes") == [] and len(stage.mailbox.batches()) == 1)


@pytest.mark.parametrize("outcome", [Outcome.out_of_memory, Outcome.timed_out, Outcome.node_failed, Outcome.preempted, Outcome.failed])
def test_without_a_letter_the_schedulers_word_counts(stage, scheduler, tmp_path, outcome):
    (tmp_path / "1_0.log").touch()
    stage.submit("1.1")
    stage.until(lambda: stage.submitted() == 1)
    scheduler.seen["1_0"] = Seen(standing=Standing.ended, outcome=outcome, reason="because", host="c1")
    found = stage.ended("1.1")
    assert (found.outcome, found.failure.error) == (outcome, "because")


def test_a_worker_that_ends_well_and_says_nothing_is_lost(stage, scheduler, tmp_path):
    stage.submit("1.1")
    stage.until(lambda: stage.submitted() == 1)
    (tmp_path / "1_0.log").write_text("what happened\n")
    scheduler.seen["1_0"] = Seen(standing=Standing.ended)
    found = stage.ended("1.1")
    assert found.outcome is Outcome.lost
    assert "it said: what happened" in found.failure.error


def test_a_letter_that_comes_late_still_counts(stage, scheduler):
    stage.submit("1.1")
    stage.until(lambda: stage.submitted() == 1)
    scheduler.seen["1_0"] = Seen(standing=Standing.ended, outcome=Outcome.failed)
    stage.until(lambda: scheduler.queries > 0)
    post(stage, "1.1")
    assert stage.ended("1.1").outcome is Outcome.completed


def test_who_was_terminated_hears_why_from_the_scheduler(stage, scheduler):
    stage.submit("1.1")
    stage.until(lambda: stage.submitted() == 1)
    post(stage, "1.1", record=None, outcome=Outcome.cancelled, error="cancelled", terminated=True, verdict=True)
    scheduler.seen["1_0"] = Seen(standing=Standing.ended, outcome=Outcome.timed_out, reason="time")
    assert stage.ended("1.1").outcome is Outcome.timed_out


def test_cancelled_in_the_queue_and_running(stage, scheduler):
    stage.submit("1.1")
    stage.until(lambda: stage.submitted() == 1)
    stage.batch.cancel(["1.1"])
    stage.until(lambda: scheduler.cancelled == ["1_0"])
    scheduler.seen["1_0"] = Seen(standing=Standing.ended, outcome=Outcome.failed)
    assert stage.ended("1.1").outcome is Outcome.cancelled


def test_a_service_is_up_and_is_told_to_stop(stage):
    stage.submit("1.1")
    stage.until(lambda: stage.submitted() == 1)
    stage.mailbox.post_up(Letter(token="1.1", host="c1", record=b"address"))
    stage.until(lambda: Phase.up in stage.phases("1.1"))
    stage.batch.stop(["1.1"])
    assert stage.mailbox.is_to_stop("1.1")


def test_a_scheduler_that_is_down_is_tried_again_and_told_once(stage, scheduler):
    scheduler.errors = [SchedulerDown("slurmctld does not answer")] * 3
    stage.submit("1.1")
    stage.until(lambda: stage.submitted() == 1)
    assert len([one for one in stage.said if "does not answer" in one]) == 1
    stage.until(lambda: any("answers again" in one for one in stage.said))


def test_what_the_scheduler_refuses_fails_with_its_words(stage, scheduler):
    scheduler.errors = [Refused("no machine has so much memory")]
    stage.submit("1.1")
    found = stage.ended("1.1")
    assert (found.outcome, found.failure.error) == (Outcome.failed, "no machine has so much memory")


def test_what_is_wrong_with_all_ends_the_run(stage, scheduler):
    scheduler.errors = [Refused("no such partition", whole_run=True)]
    stage.submit("1.1")
    with pytest.raises(Refused, match="no such partition"):
        stage.ended("1.1")


def test_no_worker_can_be_started_at_all(stage):
    stage.submit("1.1")
    stage.until(lambda: stage.submitted() == 1)
    post(stage, "1.1", record=None, undeployed=True, error="no Python 3.11")
    with pytest.raises(DeploymentError, match="no worker can be started: no Python 3.11"):
        stage.ended("1.1")


def test_one_machine_that_is_broken_costs_no_try(stage):
    stage.submit("1.1", "2.1")
    stage.until(lambda: stage.submitted() == 2)
    post(stage, "1.1")
    stage.ended("1.1")
    post(stage, "2.1", record=None, undeployed=True, error="disk full")
    assert stage.ended("2.1").outcome is Outcome.node_failed


def test_the_launchers_exit_status_is_heard(stage, scheduler, tmp_path):
    stage.submit("1.1")
    stage.until(lambda: stage.submitted() == 1)
    (tmp_path / "1_0.log").write_text("moil: on c1: there is no Python\n")
    scheduler.seen["1_0"] = Seen(standing=Standing.ended, outcome=Outcome.failed, exit_status=90)
    with pytest.raises(DeploymentError, match="there is no Python"):
        stage.ended("1.1")


def test_a_forged_letter_is_not_believed(stage):
    stage.submit("1.1")
    stage.until(lambda: stage.submitted() == 1)
    forged = Mailbox(stage.store, b"another key" * 3)
    forged.post_outcome(Letter(token="1.1", host="c1", record=b"evil"))
    found = stage.ended("1.1")
    assert found.outcome is Outcome.failed
    assert "damaged or forged" in found.failure.error
    assert Phase.returned not in stage.phases("1.1")
    with pytest.raises(DamagedError):
        stage.mailbox.read("outcomes", "1.1")


def test_the_next_leader_adopts_what_is_out(stage, scheduler, disk, tmp_path):
    stage.submit("1.1", "2.1")
    stage.until(lambda: stage.submitted() == 2)
    second = Stage(scheduler, disk, tmp_path)
    second.out = {"1.1"}
    second.submit("2.1")  # its submission was not written down
    post(second, "1.1")
    assert second.ended("1.1").outcome is Outcome.completed
    scheduler.seen["1_1"] = Seen(standing=Standing.ended, outcome=Outcome.node_failed)
    assert second.ended("2.1").outcome is Outcome.node_failed
    assert second.submitted() == 2, "nothing was submitted again"
    second.close()


def test_what_the_next_leader_does_not_want_is_cancelled(stage, scheduler, disk, tmp_path):
    stage.submit("1.1")
    stage.until(lambda: stage.submitted() == 1)
    second = Stage(scheduler, disk, tmp_path, wants=lambda _: False)
    second.until(lambda: scheduler.cancelled == ["1_0"])
    second.close()


def test_what_nobody_knows_of_is_lost(stage):
    stage.out = {"7.1"}
    assert stage.ended("7.1").outcome is Outcome.lost


def test_close_leaves_nothing_in_the_queue(scheduler, disk, tmp_path):
    stage = Stage(scheduler, disk, tmp_path)
    stage.submit("1.1", "2.1")
    stage.until(lambda: stage.submitted() == 2)
    stage.until(lambda: stage.batch.poll(stage.out) is not None)
    stage.close()
    assert scheduler.cancelled == ["1_0", "1_1"]


def test_orders_travel_whole():
    store = MemoryStore()
    box = Mailbox(store, signing.make_key(store))
    orders: Sequence[Order] = [Order(token=f"{n}.1", record=bytes([n]), memory=n, walltime=1.5, service=n % 2 == 0) for n in range(150)]
    box.write_batch("b", orders)
    assert [box.order("b", number) for number in range(150)] == orders
    assert box.batches() == {"b": tuple(one.token for one in orders)}
    box.remove_batch("b")
    assert box.order("b", 0) is None


def test_why_attempts_wait_is_known_and_what_waits_in_vain_is_told_once(stage, scheduler):
    stage.submit("1.1", "2.1", "3.1")
    stage.until(lambda: stage.submitted() == 3)
    waits, held = Seen(standing=Standing.queued, reason="Priority"), Seen(standing=Standing.queued, reason="Held: let it go", stuck=True)
    scheduler.seen |= {"1_0": waits, "1_1": waits, "1_2": held}
    stage.until(lambda: stage.batch.reasons == {"Priority": 2, "Held: let it go": 1})
    scheduler.seen["1_1"] = Seen(standing=Standing.queued, reason="Held: let it go, or not", stuck=True)
    stage.until(lambda: stage.batch.reasons.get("Held: let it go, or not") == 1)
    assert stage.said == ["1 in the queue wait in vain: Held: let it go"]
    scheduler.seen |= dict.fromkeys(("1_0", "1_1", "1_2"), Seen(standing=Standing.ended, outcome=Outcome.lost))
    for token in ("1.1", "2.1", "3.1"):
        stage.ended(token)
    stage.until(lambda: stage.batch.reasons == {})


def test_what_the_scheduler_forgets_is_lost_and_not_waited_for(stage, scheduler):
    stage.submit("1.1")
    stage.until(lambda: stage.submitted() == 1)
    scheduler.seen["1_0"] = Seen(standing=Standing.queued)
    stage.until(lambda: scheduler.queries > 1)
    scheduler.seen.clear()
    found = stage.ended("1.1")
    assert (found.outcome, found.failure.error) == (Outcome.lost, "the scheduler knows nothing of it")


def test_workers_that_cannot_even_write_their_logs_end_the_run(stage, scheduler):
    stage.submit("1.1")
    stage.until(lambda: stage.submitted() == 1)
    scheduler.seen["1_0"] = Seen(standing=Standing.ended, outcome=Outcome.failed, reason="JobLaunchFailure", host="c1")
    with pytest.raises(DeploymentError, match=r"on c1 JobLaunchFailure; .* is the job store to be seen there\?"):
        stage.ended("1.1")
