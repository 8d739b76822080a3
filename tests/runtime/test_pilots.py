"""Pilots, by a scheduler that the test plays: what becomes of chunks, claims, letters and silence."""

import time

import pytest

from moil.adapters.memory import MemoryDisk
from moil.core.records import Outcome
from moil.core.requirements import Accelerator, Requirements
from moil.errors import DeploymentError
from moil.ports.batch_system import Phase, Submission
from moil.ports.scheduler import Refused, SchedulerDown, Seen, Standing
from moil.runtime import fleet
from moil.runtime.fleet import requirements_as_json, requirements_from, shape_of
from moil.runtime.mailbox import Letter, Sack
from moil.runtime.queues import Claim, Queues
from tests.runtime.test_cluster import BOUND, PlayedScheduler, Stage

SHAPE = shape_of(Requirements())
RUNNING = Seen(standing=Standing.running, host="c1")


@pytest.fixture(autouse=True)
def hurried(monkeypatch):
    for name in ("LATE", "KEPT"):
        monkeypatch.setattr(fleet, name, 0.1)
        monkeypatch.setattr(f"moil.runtime.cluster.{name}", 0.1)
    monkeypatch.setattr(fleet, "UNHEARD_OF", 0.3)
    monkeypatch.setattr("moil.runtime.clerk.HASTE", 0.02)


class Busy(PlayedScheduler):
    """Whatever is submitted runs."""

    def submit(self, array):
        ids = super().submit(array)
        self.seen.update((one, RUNNING) for one in ids)
        return ids


@pytest.fixture
def scheduler():
    return Busy()


@pytest.fixture
def disk():
    return MemoryDisk()


@pytest.fixture
def stage(scheduler, disk, tmp_path):
    found = Stage(scheduler, disk, tmp_path, pilots=2)
    yield found
    found.close()


class Played:
    """A pilot that the test plays."""

    def __init__(self, stage, number=0, shape=SHAPE):
        stage.until(lambda: len(self.all(stage, shape)) > number)
        self.stage, self.shape = stage, shape
        self.name, self.id = self.all(stage, shape)[number]
        self.turn = self.sacks = 0

    @staticmethod
    def all(stage, shape):
        found = []
        for label, (_, ids) in stage.scheduler.arrays.items():
            batch = label.rpartition(":")[2]
            if batch.startswith(f"pilot-{shape}-"):
                found += [(f"{batch}.{number}", one) for number, one in enumerate(ids)]
        return found

    def claim(self):
        """The tokens of the first free chunk."""
        queues = self.stage.queues
        self.stage.until(lambda: queues.free(self.shape))
        name = queues.free(self.shape)[0]
        assert queues.claim(self.shape, name, Claim(pilot=self.name, host="c1", turn=self.turn))
        self.turn += 1
        return [one.token for one in queues.read(self.shape, name).orders]

    def post(self, *letters, left=False):
        self.sacks += 1
        self.stage.mailbox.post_sack(f"many-{self.name}-{self.sacks}", Sack(letters=letters, pilot=self.name, left=left))

    def finish(self, *tokens, left=False):
        self.post(*[Letter(token=one, host="c1", record=b"value", usage={"wall": 0.001}) for one in tokens], left=left)

    def end(self, outcome=Outcome.completed, **more):
        self.stage.scheduler.seen[self.id] = Seen(standing=Standing.ended, outcome=outcome, host="c1", **more)


def free(stage, shape=SHAPE):
    return [one.token for name in stage.queues.free(shape) for one in stage.queues.read(shape, name).orders]


def test_two_pilots_take_what_is_there(stage, scheduler):
    stage.submit(*[f"{n}.1" for n in range(9)])
    first, second = Played(stage, 0), Played(stage, 1)
    assert first.claim() == ["0.1"]
    assert second.claim() == ["1.1"]
    stage.until(lambda: stage.phases("1.1") == [Phase.started])
    first.finish("0.1")
    second.finish("1.1")
    assert stage.ended("0.1").record == b"value"
    assert stage.ended("1.1").outcome is Outcome.completed
    assert stage.phases("1.1") == [Phase.started, Phase.ended]
    assert stage.submitted() == 2


def test_chunks_are_large_first_and_small_at_the_end(stage):
    stage.submit(*[f"{n}.1" for n in range(200)])
    stage.until(lambda: len(free(stage)) == 200)
    sizes = [len(stage.queues.read(SHAPE, name).orders) for name in stage.queues.free(SHAPE)]
    assert sizes[0] == 25
    assert sizes[-1] == 1
    assert sizes == sorted(sizes, reverse=True)
    assert free(stage) == [f"{n}.1" for n in range(200)]


def test_there_are_no_more_pilots_than_are_needed(stage, scheduler):
    stage.submit("1.1")
    pilot = Played(stage)
    assert pilot.claim() == ["1.1"]
    stage.until(lambda: Phase.started in stage.phases("1.1"))
    assert stage.submitted() == 1
    stage.submit("2.1")
    assert Played(stage, 1).claim() == ["2.1"]


def test_an_idle_pilot_serves_what_comes_later(stage):
    stage.submit("1.1")
    pilot = Played(stage)
    pilot.finish(*pilot.claim())
    stage.ended("1.1")
    stage.submit("2.1")
    pilot.finish(*pilot.claim())
    stage.ended("2.1")
    assert stage.submitted() == 1


def test_one_that_has_left_is_replaced(stage):
    stage.submit("1.1")
    pilot = Played(stage)
    pilot.finish(*pilot.claim())
    pilot.finish(left=True)
    stage.ended("1.1")
    stage.submit("2.1")
    assert Played(stage, 1).claim() == ["2.1"]


def test_shapes_have_pilots_of_their_own(stage):
    stage.submit("1.1")
    stage.submit("2.1", memory=1)
    assert Played(stage).claim() == ["1.1"]
    assert Played(stage, shape=shape_of(Requirements(memory=1))).claim() == ["2.1"]


def test_services_are_submitted_themselves(stage, scheduler):
    stage.out.add("1.1")
    stage.batch.submit([Submission(token="1.1", name="service", requirements=Requirements(), task=b"t", service=True)])
    stage.until(lambda: stage.submitted() == 1)
    assert not any("pilot-" in label for label in scheduler.arrays)


@pytest.mark.parametrize("outcome", [Outcome.out_of_memory, Outcome.preempted, Outcome.node_failed])
def test_when_a_pilot_dies_what_ran_ends_and_the_rest_is_offered_again(stage, outcome):
    stage.submit(*[f"{n}.1" for n in range(40)])
    pilot = Played(stage)
    mine = pilot.claim()
    pilot.finish(mine[0])
    pilot.end(outcome, reason="because")
    found = stage.ended(mine[1])
    assert (found.outcome, found.failure.error) == (outcome, "because")
    stage.until(lambda: set(mine[2:]) <= set(free(stage)))
    assert not set(mine[:2]) & set(free(stage))


def test_an_attempt_does_not_pay_for_those_before_it(stage):
    stage.submit(*[f"{n}.1" for n in range(40)])
    pilot = Played(stage)
    mine = pilot.claim()
    pilot.finish(mine[0])
    stage.ended(mine[0])
    pilot.end(Outcome.timed_out, reason="ran longer than --time")
    assert stage.ended(mine[1]).outcome is Outcome.lost


def test_what_a_pilot_gives_back_is_offered_again(stage):
    stage.submit(*[f"{n}.1" for n in range(40)])
    pilot = Played(stage)
    mine = pilot.claim()
    pilot.post(*[Letter(token=one, host="c1", unbegun=True) for one in mine[1:]])
    stage.until(lambda: set(mine[1:]) <= set(free(stage)))
    assert mine[0] not in free(stage)
    assert not [one for one in stage.reports if one.phase is Phase.ended]


def test_a_letter_that_comes_late_still_counts(stage, scheduler, monkeypatch):
    monkeypatch.setattr(fleet, "LATE", 1.0)
    stage.submit("1.1")
    pilot = Played(stage)
    pilot.claim()
    pilot.end(Outcome.failed)
    stage.until(lambda: scheduler.queries > 0)
    pilot.finish("1.1")
    assert stage.ended("1.1").outcome is Outcome.completed


def test_who_was_terminated_hears_why_from_the_scheduler(stage):
    stage.submit("1.1")
    pilot = Played(stage)
    pilot.claim()
    pilot.post(Letter(token="1.1", host="c1", outcome=Outcome.cancelled, terminated=True, verdict=True, error="cancelled"))
    pilot.end(Outcome.timed_out, reason="time")
    assert stage.ended("1.1").outcome is Outcome.timed_out


def test_a_claim_that_is_seen_after_its_pilot_is_over(stage):
    stage.submit("1.1")
    pilot = Played(stage)
    stage.submit("2.1")
    pilot.end(Outcome.node_failed)
    stage.until(lambda: len(Played.all(stage, SHAPE)) == 3)
    name = stage.queues.free(SHAPE)[0]
    assert stage.queues.claim(SHAPE, name, Claim(pilot=pilot.name, host="c1"))
    token = stage.queues.read(SHAPE, name).orders[0].token
    assert stage.ended(token).outcome is Outcome.node_failed


@pytest.mark.slow
def test_a_claim_by_nobody_is_a_loss(stage):
    stage.submit("1.1")
    stage.until(lambda: free(stage))
    assert stage.queues.claim(SHAPE, stage.queues.free(SHAPE)[0], Claim(pilot="pilot-x-y.0", host="c1"))
    assert stage.ended("1.1").outcome is Outcome.lost


@pytest.mark.slow
def test_a_forged_claim_is_a_loss(stage):
    stage.submit("1.1")
    stage.until(lambda: free(stage))
    forged = Queues(stage.store, b"another key" * 3)
    assert forged.claim(SHAPE, stage.queues.free(SHAPE)[0], Claim(pilot="pilot-x-y.0", host="c1"))
    assert stage.ended("1.1").outcome is Outcome.lost


@pytest.mark.slow
def test_pilots_that_the_scheduler_forgets_are_over(stage, scheduler):
    stage.submit("1.1")
    pilot = Played(stage)
    pilot.claim()
    stage.until(lambda: scheduler.queries > 2)
    del scheduler.seen[pilot.id]
    assert stage.ended("1.1").outcome is Outcome.lost


def test_pilots_that_end_in_vain_end_the_run(stage, tmp_path):
    stage.submit("1.1")
    with pytest.raises(DeploymentError, match="no worker can be started: no such library"):
        for number in range(3):
            pilot = Played(stage, number)
            (tmp_path / f"{pilot.id}.log").write_text("no such library\n")
            pilot.end(Outcome.failed, exit_status=1)
        stage.ended("1.1")


@pytest.mark.slow
def test_pilots_that_found_nothing_are_no_failures(stage):
    for number in range(4):
        stage.submit(f"{number}.1")
        pilot = Played(stage, number)
        pilot.finish(*pilot.claim())
        stage.ended(f"{number}.1")
        pilot.finish(left=True)
        pilot.end()
        stage.until(lambda pilot=pilot: pilot.id not in stage.batch._watched())


def test_cancelled_while_nobody_has_it(stage):
    stage.submit(*[f"{n}.1" for n in range(40)])
    stage.until(lambda: len(free(stage)) == 40)
    stage.batch.cancel(["3.1"])
    assert stage.ended("3.1").outcome is Outcome.cancelled
    stage.until(lambda: len(free(stage)) == 39)
    assert "3.1" not in free(stage)
    stage.until(lambda: stage.queues.kills() == set())


def test_cancelled_while_a_pilot_has_it(stage):
    stage.submit("1.1")
    pilot = Played(stage)
    pilot.claim()
    stage.until(lambda: Phase.started in stage.phases("1.1"))
    stage.batch.cancel(["1.1"])
    stage.until(lambda: stage.queues.kills() == {"1.1"})
    pilot.post(Letter(token="1.1", host="c1", outcome=Outcome.cancelled, verdict=True, error="cancelled"))
    assert stage.ended("1.1").outcome is Outcome.cancelled
    stage.until(lambda: stage.queues.kills() == set())


def test_cancelled_and_given_back(stage):
    stage.submit("1.1")
    pilot = Played(stage)
    pilot.claim()
    stage.until(lambda: Phase.started in stage.phases("1.1"))
    stage.batch.cancel(["1.1"])
    pilot.post(Letter(token="1.1", host="c1", unbegun=True))
    assert stage.ended("1.1").outcome is Outcome.cancelled


def test_what_the_scheduler_refuses_fails_with_its_words(stage, scheduler):
    scheduler.errors = [Refused("no machine has so much memory")]
    stage.submit("1.1")
    found = stage.ended("1.1")
    assert (found.outcome, found.failure.error) == (Outcome.failed, "no machine has so much memory")
    stage.until(lambda: free(stage) == [])


def test_while_the_scheduler_is_down_pilots_go_on(stage, scheduler):
    stage.submit("1.1")
    pilot = Played(stage)
    pilot.claim()
    stage.until(lambda: Phase.started in stage.phases("1.1"))
    scheduler.errors = [SchedulerDown("slurmctld does not answer")] * 2
    stage.submit("2.1")
    pilot.finish("1.1")
    pilot.finish(*pilot.claim())
    stage.ended("2.1")


def test_what_is_through_is_swept(stage):
    stage.submit("1.1")
    pilot = Played(stage)
    pilot.finish(*pilot.claim())
    stage.ended("1.1")
    stage.submit("2.1")  # so that there is something to look for
    stage.until(lambda: stage.mailbox.posted("outcomes") == [] and stage.queues.claimed() == [])
    assert free(stage) == ["2.1"]


def test_the_next_leader_takes_up_queues_claims_and_pilots(stage, scheduler, disk, tmp_path):
    stage.submit(*[f"{n}.1" for n in range(12)])
    pilot = Played(stage)
    mine = pilot.claim()
    second = Stage(scheduler, disk, tmp_path, pilots=2)
    pilot.stage = second
    second.out = {"0.1", "1.1", "2.1"}
    second.submit("3.1", "4.1")  # their submission was not written down
    pilot.finish(*mine)
    assert second.ended("0.1").outcome is Outcome.completed
    pilot.finish(*pilot.claim())
    second.ended("1.1")
    assert second.submitted() == 2, "no pilot was submitted again"
    assert sorted(free(second)) == sorted(f"{n}.1" for n in range(2, 12)), "nothing was offered again"
    second.close()


def test_what_the_next_leader_does_not_want_is_never_begun(stage, scheduler, disk, tmp_path):
    stage.submit("1.1", "2.1")
    stage.until(lambda: len(free(stage)) == 2)
    second = Stage(scheduler, disk, tmp_path, pilots=2, wants=lambda token: token == "2.1")
    second.out = {"2.1"}
    second.until(lambda: free(second) == ["2.1"])
    second.close()


def test_the_next_leader_sweeps_what_is_over(stage, scheduler, disk, tmp_path):
    stage.submit("1.1", "2.1")
    Played(stage).claim()
    second = Stage(scheduler, disk, tmp_path, pilots=2, wants=lambda token: token == "2.1")
    second.out = {"2.1"}
    second.until(lambda: second.queues.claimed() == [] and second.queues.kills() == set())
    assert free(second) == ["2.1"]
    second.close()


def test_what_ended_without_a_leader_is_not_offered_again(stage, scheduler, disk, tmp_path):
    stage.submit("1.1", "2.1")
    pilot = Played(stage)
    mine = [*pilot.claim(), *pilot.claim()]
    pilot.finish(*mine)
    pilot.post(left=True)
    second = Stage(scheduler, disk, tmp_path, pilots=2)
    second.out = {"1.1", "2.1"}
    patience = time.monotonic() + BOUND
    while second.batch._news.qsize() < 2:
        assert time.monotonic() < patience
        time.sleep(0.01)
    both = [second.batch._news.get(), second.batch._news.get()]
    for news in sorted(both, key=lambda one: one.found is not None):
        second.batch._news.put(news)  # heard at once: first the outcomes, and then what was there before
    assert {second.ended(token).outcome for token in mine} == {Outcome.completed}
    second.submit("3.1")
    second.until(lambda: free(second) == ["3.1"])
    second.close()


@pytest.mark.slow
def test_the_next_leader_gives_up_on_pilots_that_are_gone(stage, scheduler, disk, tmp_path):
    stage.submit("1.1", "2.1")
    Played(stage).claim()
    scheduler.arrays.clear()
    second = Stage(scheduler, disk, tmp_path, pilots=2)
    second.out = {"1.1", "2.1"}
    assert second.ended("1.1").outcome is Outcome.lost
    assert Played(second).claim() == ["2.1"]
    second.close()


def test_close_cancels_pilots(scheduler, disk, tmp_path):
    stage = Stage(scheduler, disk, tmp_path, pilots=2)
    stage.submit("1.1", "2.1")
    first, second = Played(stage, 0), Played(stage, 1)
    stage.until(lambda: len(stage.batch._watched()) == 2)
    stage.close()
    assert sorted(scheduler.cancelled) == sorted([first.id, second.id])


def test_requirements_travel():
    wanted = Requirements(cores=0.5, memory=7, walltime=2.0, accelerators=(Accelerator(count=2, model="a100"),))
    assert requirements_from(requirements_as_json(wanted)) == wanted
    assert shape_of(wanted) != shape_of(Requirements())


# -- as many as are of use -------------------------------------------------------------------------------------------


@pytest.fixture
def free_stage(scheduler, disk, tmp_path):
    found = Stage(scheduler, disk, tmp_path, pilots=None)
    yield found
    found.close()


def test_an_array_has_a_member_for_each_attempt_and_the_program_s_name(free_stage, scheduler):
    free_stage.submit("1.1", "2.1", "3.1", name="count")
    free_stage.until(lambda: free_stage.submitted() == 3)
    (array,) = [array for array, _ in scheduler.arrays.values()]
    assert (array.size, array.name, array.roomy) == (3, "study", 0.0)


def test_what_asks_for_devices_is_submitted_itself_unless_pilots_are_asked_for(free_stage, stage, scheduler):
    devices = (Accelerator(count=1),)
    free_stage.submit("1.1", "2.1", accelerators=devices)
    free_stage.until(lambda: free_stage.submitted() == 2)
    assert not Played.all(free_stage, shape_of(Requirements(accelerators=devices)))
    stage.submit("3.1", accelerators=devices)
    assert Played(stage, shape=shape_of(Requirements(accelerators=devices))).claim() == ["3.1"]


def test_members_do_what_others_were_submitted_for(free_stage, scheduler):
    free_stage.submit("1.1", "2.1", "3.1")
    pilot = Played(free_stage)
    for _ in range(3):
        pilot.finish(*pilot.claim())
    for token in ("1.1", "2.1", "3.1"):
        assert free_stage.ended(token).outcome is Outcome.completed
    assert free_stage.submitted() == 3


def test_those_that_are_not_needed_any_more_are_taken_out_of_the_queue(free_stage, scheduler, monkeypatch):
    monkeypatch.setattr("moil.runtime.shapes.BRIEF", 0.1)
    free_stage.submit("1.1", "2.1", "3.1")
    pilot = Played(free_stage)
    taken = [pilot.claim() for _ in range(3)]
    free_stage.until(lambda: scheduler.withdrawn)
    others = [one for _, one in Played.all(free_stage, SHAPE) if one != pilot.id]
    assert scheduler.withdrawn == others
    assert scheduler.cancelled == []
    for tokens in taken:
        pilot.finish(*tokens)
    pilot.post(left=True)
    free_stage.until(lambda: pilot.id not in free_stage.batch._watched())
    free_stage.submit("4.1")
    fresh = Played(free_stage, 3)
    fresh.finish(*fresh.claim())
    assert free_stage.ended("4.1").outcome is Outcome.completed


def test_one_that_was_withdrawn_too_late_is_heard_all_the_same(free_stage, scheduler, monkeypatch):
    monkeypatch.setattr("moil.runtime.shapes.BRIEF", 0.1)
    free_stage.submit("1.1", "2.1")
    first, second = Played(free_stage, 0), Played(free_stage, 1)
    one, two = first.claim(), first.claim()
    free_stage.until(lambda: scheduler.withdrawn == [second.id])
    first.post(Letter(token=two[0], host="c1", unbegun=True))
    second.finish(*second.claim())
    first.finish(*one)
    assert free_stage.ended(two[0]).outcome is Outcome.completed
    assert free_stage.ended(one[0]).outcome is Outcome.completed


def test_terms_are_those_of_one_attempt(free_stage):
    free_stage.submit("1.1", walltime=60.0)
    name = shape_of(Requirements(walltime=60.0))
    free_stage.until(lambda: free_stage.queues.free(name))
    chunk = free_stage.queues.read(name, free_stage.queues.free(name)[0])
    assert (chunk.limit, chunk.kept, chunk.idle) == (60.0, 0.9, 0.0)


def test_what_the_scheduler_has_of_a_leader_without_pilots_is_not_offered(scheduler, disk, tmp_path):
    before = Stage(scheduler, disk, tmp_path, pilots=0)
    before.submit("1.1")
    before.until(lambda: before.submitted() == 1)
    after = Stage(scheduler, disk, tmp_path, pilots=None)
    after.submit("1.1")  # its submission was not written down
    after.until(lambda: after.batch._watched())
    after.mailbox.post_outcome(Letter(token="1.1", host="c1", record=b"value"))
    assert after.ended("1.1").outcome is Outcome.completed
    assert free(after) == []
    assert after.submitted() == 1
    after.close()


def test_what_is_in_a_queue_is_not_submitted_by_a_leader_without_pilots(scheduler, disk, tmp_path):
    before = Stage(scheduler, disk, tmp_path, pilots=None)
    before.submit("1.1")
    pilot = Played(before)
    before.until(lambda: free(before) == ["1.1"])
    after = Stage(scheduler, disk, tmp_path, pilots=0)
    after.submit("1.1")  # its submission was not written down
    pilot.stage = after
    pilot.finish(*pilot.claim())
    assert after.ended("1.1").record == b"value"
    assert after.submitted() == 1
    after.close()


def test_pilots_of_a_leader_before_that_the_scheduler_has_forgotten_are_not_waited_for(scheduler, disk, tmp_path, monkeypatch):
    monkeypatch.setattr(fleet, "OVERLOOKED", 1_000_000)
    before = Stage(scheduler, disk, tmp_path, pilots=None)
    before.submit("1.1", "2.1", "3.1")
    first = Played(before)
    taken = first.claim()
    for _, forgotten in Played.all(before, SHAPE)[1:]:
        del scheduler.seen[forgotten]
    after = Stage(scheduler, disk, tmp_path, pilots=None)
    after.out = {"1.1", "2.1", "3.1"}
    after.until(lambda: after.submitted() == 5)  # two more, for two
    fresh = Played(after, 3)
    fresh.finish(*fresh.claim(), *fresh.claim())
    first.stage = after
    first.finish(*taken)
    for token in ("1.1", "2.1", "3.1"):
        assert after.ended(token).outcome is Outcome.completed
    after.close()


def test_many_that_a_leader_before_has_withdrawn_are_no_failures(scheduler, disk, tmp_path):
    before = Stage(scheduler, disk, tmp_path, pilots=None)
    tokens = [f"{number}.1" for number in range(40)]
    before.submit(*tokens)
    before.until(lambda: before.submitted() == 40)  # many arrays, one after another
    first = Played(before)
    after = Stage(scheduler, disk, tmp_path, pilots=None)
    after.out = set(tokens)
    after.until(lambda: len(after.batch._watched()) == 40)
    for _, one in Played.all(after, SHAPE)[1:]:
        del scheduler.seen[one]  # only now does the scheduler forget them
    after.until(lambda: len(after.batch._fleet._gone) == 39)
    first.stage = after
    while after.queues.free(SHAPE):
        first.finish(*first.claim())
    for token in tokens:
        assert after.ended(token).outcome is Outcome.completed
    after.close()


def test_a_leader_without_pilots_has_one_for_what_is_left_in_a_queue(scheduler, disk, tmp_path):
    before = Stage(scheduler, disk, tmp_path, pilots=None)
    before.submit("1.1")
    before.until(lambda: free(before) == ["1.1"])
    scheduler.arrays.clear()
    after = Stage(scheduler, disk, tmp_path, pilots=0)
    after.out = {"1.1"}
    pilot = Played(after)
    pilot.finish(*pilot.claim())
    assert after.ended("1.1").outcome is Outcome.completed
    after.close()
