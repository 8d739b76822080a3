"""Anything that can happen, in any order, and news that is late, wrong or told twice.

Invariants are checked after each event. A twin that was restored from a snapshot hears the same events and must not
differ. In the end all goes well, and the run must come to its end: nothing may wait for ever.
"""

import copy
import random

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from moil.core import invariants
from moil.core.commands import Cancel, Fail, Finish, Submit
from moil.core.events import (
    AttemptEnded,
    AttemptsSubmitted,
    AttemptStarted,
    CancelRequested,
    DeadlineReached,
    JobCommitted,
    RunStarted,
    ServiceDown,
    ServiceUp,
)
from moil.core.graph import ROOT
from moil.core.policy import Policy
from moil.core.records import Call, JobState, Outcome, Submitted
from moil.core.snapshot import restore, take
from moil.core.summary import Summary
from moil.core.workflow import Workflow

OPEN = (JobState.ready, JobState.submitted, JobState.running)
MOST_JOBS = 40
#: Lists that say how far a look has got; they may be shorter after a snapshot was taken up.
CURSORS = ("cursor", "ref_cursor", "watchers")


def recorded_calls(chance, most):
    """What one job may have recorded: needs and follow-ons point backwards, and services are blocks in blocks."""
    calls, blocks = [], []
    for index in range(chance.randint(0, most)):
        if chance.random() < 0.3:
            del blocks[chance.randint(0, len(blocks)) :]
        earlier = [set(chance.sample(range(index), min(index, chance.choice([0, 0, 1, 2])))) for _ in range(2)]
        calls.append(
            Call(
                name=f"call{index}",
                task=b"task",
                service=chance.random() < 0.35,
                needs=tuple(sorted(earlier[0])),
                after=tuple(sorted(earlier[1] - set(blocks))) if chance.random() < 0.3 else (),
                services=tuple(blocks),
                retries=chance.choice([None, 0, 1, 3]),
                checkpoint=chance.random() < 0.2,
            )
        )
        if calls[-1].service:
            blocks.append(index)
    return tuple(calls)


policies = st.builds(Policy, retries=st.integers(0, 2), backoff=st.sampled_from([0.0, 1.0]), fail_fast=st.booleans())
seeds = st.integers(0, 2**32)


class AnythingGoes(RuleBasedStateMachine):
    """One run, its twin, and whatever may befall them."""

    def __init__(self):
        super().__init__()
        self.workflow, self.twin = Workflow(), None
        self.now = 1000.0
        self.submitted = set()
        self.last = None

    # -- telling -------------------------------------------------------------------------------------------------

    def tell(self, event):
        live = {(job.id, job.attempt) for job in self.jobs() if job.live}
        commands = self.workflow.apply(event)
        invariants.check(self.workflow)
        self.judge(event, commands, live)
        if self.twin:
            theirs = self.twin.apply(event)
            invariants.check(self.twin)
            assert sorted(map(repr, theirs)) == sorted(map(repr, commands))
            assert picture(self.twin) == picture(self.workflow)
        self.last = event

    def judge(self, event, commands, live):
        if isinstance(event, RunStarted):
            self.submitted.clear()
        for command in commands:
            if isinstance(command, Submit):
                assert (command.job, command.attempt) not in self.submitted, "submitted twice"
                self.submitted.add((command.job, command.attempt))
            elif isinstance(command, Cancel):
                assert (command.job, command.attempt) in live, "cancelled, and was not out"
        for job in self.jobs():
            assert job.state is not JobState.ready or (job.id, job.attempt) in self.submitted, "ready, and not submitted"
        ends = [command for command in commands if isinstance(command, Finish | Fail)]
        assert len(ends) <= 1
        if ends:
            assert self.workflow.finished
            assert commands[-1] is ends[0]
            assert isinstance(ends[0], Fail) == self.workflow.failed

    def jobs(self):
        return list(self.workflow.graph.jobs.values())

    def open_jobs(self, *, service=False):
        return [job for job in self.jobs() if job.state in OPEN and job.call.service == service]

    def who(self, job):
        return {"at": self.now, "job": job.id, "attempt": job.attempt}

    # -- what may happen -----------------------------------------------------------------------------------------

    @initialize(policy=policies, checkpoint=st.booleans())
    def a_run_starts(self, policy, checkpoint):
        self.tell(RunStarted(at=self.now, policy=policy, root=Call(name="main", task=b"task", checkpoint=checkpoint)))

    @rule(seed=seeds, count=st.integers(1, 6))
    def the_run_gets_on(self, seed, count):
        chance = random.Random(seed)
        for _ in range(count):
            if able := self.open_jobs() + self.open_jobs(service=True):
                job = chance.choice(able)
                self.gets_on(job, chance, chance.random())

    def gets_on(self, job, chance, fate):
        if fate < 0.15:
            self.tell(AttemptEnded(outcome=chance.choice(list(Outcome)), **self.who(job)))
        elif fate < 0.25:
            one = Submitted(job=job.id, attempt=job.attempt, external_id=f"{job.id}.{job.attempt}")
            self.tell(AttemptsSubmitted(at=self.now, attempts=(one,)))
        elif fate < 0.4:
            self.tell(AttemptStarted(host="node1", **self.who(job)))
        elif not job.call.service:
            self.returns(job, chance)
        elif fate < 0.45:
            self.tell(ServiceDown(**self.who(job)))
        else:
            self.service_gets_on(job)

    def returns(self, job, chance):
        calls = recorded_calls(chance, max(0, min(6, MOST_JOBS - len(self.jobs()))))
        refs = tuple(sorted(chance.sample(range(len(calls)), min(len(calls), chance.choice([0, 1, 2])))))
        self.tell(JobCommitted(value=b"value", calls=calls, refs=refs, **self.who(job)))

    @rule(seconds=st.sampled_from([0.0, 0.5, 10.0]))
    def time_passes(self, seconds):
        self.now += seconds
        self.tell(DeadlineReached(at=self.now))

    @rule(policy=policies)
    def another_leader_takes_over(self, policy):
        self.tell(RunStarted(at=self.now, policy=policy))

    @precondition(lambda self: len(self.workflow.graph.jobs) > 6)
    @rule()
    def somebody_cancels(self):
        finished, failed = self.workflow.finished, self.workflow.failed
        self.tell(CancelRequested(at=self.now))
        assert self.workflow.failed == (failed if finished else True)

    @rule(job=st.integers(1, MOST_JOBS), attempt=st.integers(0, 3), kind=st.integers(0, 5), outcome=st.sampled_from(Outcome))
    def something_late_or_wrong_is_heard(self, job, attempt, kind, outcome):
        if self.workflow.is_current(job, attempt):
            return
        before = picture(self.workflow)
        who = {"at": self.now, "job": job, "attempt": attempt}
        one = Submitted(job=job, attempt=attempt, external_id="late")
        news = [
            lambda: AttemptsSubmitted(at=self.now, attempts=(one,)),
            lambda: AttemptStarted(host="late", **who),
            lambda: JobCommitted(value=b"late", calls=(Call(name="late", task=b""),), **who),
            lambda: ServiceUp(value=b"late", **who),
            lambda: ServiceDown(**who),
            lambda: AttemptEnded(outcome=outcome, **who),
        ]
        self.tell(news[kind]())
        assert picture(self.workflow) == before

    @precondition(lambda self: isinstance(self.last, JobCommitted | AttemptStarted | ServiceUp | ServiceDown))
    @rule()
    def the_last_news_is_told_again(self):
        before = picture(self.workflow)
        self.tell(self.last)
        assert picture(self.workflow) == before

    @rule()
    def a_snapshot_is_taken(self):
        shot = take(self.workflow, Summary())
        self.twin = restore(copy.deepcopy(shot))
        invariants.check(self.twin)
        assert picture(self.twin) == picture(self.workflow)

    # -- and in the end ------------------------------------------------------------------------------------------

    @invariant()
    def a_deadline_is_one_that_somebody_waits_for(self):
        due = self.workflow.next_deadline
        waiting = [job.not_before for job in self.jobs() if job.state is JobState.waiting and job.not_before]
        assert due == min(waiting, default=None)

    def teardown(self):
        for _ in range(10 * MOST_JOBS):
            if not self.all_goes_well():
                break
        if self.jobs():
            assert self.workflow.finished, f"waits for ever: {picture(self.workflow)}"
            failed = [job for job in self.jobs() if job.state is JobState.failed]
            assert self.workflow.failed == bool(failed or self.workflow.stopped)
            assert self.workflow.failed or self.workflow.graph[ROOT].fulfilled

    def all_goes_well(self):
        """Let one good thing happen; False if none can."""
        services = [job for job in self.open_jobs(service=True) if not job.up or job.stopping]
        if jobs := self.open_jobs():
            self.tell(JobCommitted(value=b"value", **self.who(jobs[0])))
        elif services:
            self.service_gets_on(services[0])
        elif self.workflow.next_deadline is not None:
            self.now = self.workflow.next_deadline
            self.tell(DeadlineReached(at=self.now))
        else:
            return False
        return True

    def service_gets_on(self, job):
        if not job.up:
            self.tell(ServiceUp(value=b"address", **self.who(job)))
        elif job.stopping:
            self.tell(ServiceDown(**self.who(job)))


def picture(workflow):
    """All that matters of a workflow, as plain data."""
    jobs = {
        number: {name: getattr(job, name) for name in job.__slots__ if name not in CURSORS}
        for number, job in workflow.graph.jobs.items()
    }
    return jobs, workflow.graph.next_id, workflow.stopped, workflow.finished, workflow.next_deadline, workflow.policy


TestAnythingGoes = pytest.mark.slow(AnythingGoes.TestCase)
TestAnythingGoes.settings = settings(
    deadline=None,
    max_examples=100,
    stateful_step_count=40,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # a story of forty events shrinks for minutes
    print_blob=True,
)


def storm(seed):
    """The same by plain chance, which goes deeper than Hypothesis does in the same time."""
    chance = random.Random(seed)
    run = AnythingGoes()
    run.a_run_starts(some_policy(chance), chance.random() < 0.3)
    for _ in range(chance.randint(1, 50)):
        fate = chance.random()
        if fate < 0.8:
            run.the_run_gets_on(chance.getrandbits(32), 1)
        elif fate < 0.87:
            run.time_passes(chance.choice([0.0, 0.5, 10.0]))
        elif fate < 0.92:
            run.another_leader_takes_over(some_policy(chance))
        elif fate < 0.93:
            run.somebody_cancels()
        elif fate < 0.97:
            run.a_snapshot_is_taken()
        else:
            outcome = chance.choice(list(Outcome))
            run.something_late_or_wrong_is_heard(chance.randint(1, 60), chance.randint(0, 3), chance.randint(0, 5), outcome)
        run.a_deadline_is_one_that_somebody_waits_for()
    run.teardown()


def some_policy(chance):
    return Policy(retries=chance.randint(0, 2), backoff=chance.choice([0.0, 1.0]), fail_fast=chance.random() < 0.15)


def storms(seeds):
    for seed in seeds:
        try:
            storm(seed)
        except AssertionError as error:
            error.add_note(f"to see it again: storm({seed})")
            raise


@pytest.mark.slow
def test_storms():
    storms(range(300))


@pytest.mark.exhaustive
@pytest.mark.parametrize("block", range(1, 9))
def test_many_storms(block):
    storms(range(1000 * block, 1000 * (block + 1)))
