"""What an attempt's end costs, and what the next one is given."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from moil.core.policy import FREE_LOSSES, LONGEST_BACKOFF, Again, Policy, Tries, after_failure, effective
from moil.core.records import Outcome
from moil.core.requirements import GIB, Accelerator, Ceiling, Request, Requirements

FREE = (Outcome.lost, Outcome.node_failed, Outcome.cancelled)
ITS_FAULT = (Outcome.failed, Outcome.timed_out, Outcome.out_of_memory, Outcome.completed)


@given(st.integers(0, 5000), st.integers(0, 5000))
def test_preemption_is_free_for_ever(used, losses):
    tries = Tries(used=used, losses=losses)
    assert after_failure(Policy(retries=0), None, tries, Outcome.preempted) == Again(tries, 0.0)


@pytest.mark.parametrize("outcome", FREE)
def test_losses_are_free_up_to_a_bound(outcome):
    policy = Policy(retries=0, backoff=7.0)
    assert after_failure(policy, None, Tries(), outcome) == Again(Tries(losses=1), 0.0)
    assert after_failure(policy, None, Tries(losses=1), outcome) == Again(Tries(losses=2), 7.0)
    assert after_failure(policy, None, Tries(losses=FREE_LOSSES), outcome) is None
    again = after_failure(Policy(retries=1), None, Tries(losses=FREE_LOSSES), outcome)
    assert again == Again(Tries(used=1, losses=FREE_LOSSES), 1.0)


@pytest.mark.parametrize("outcome", ITS_FAULT)
def test_the_rest_costs_tries(outcome):
    assert after_failure(Policy(retries=2), None, Tries(used=1), outcome).tries.used == 2
    assert after_failure(Policy(retries=2), None, Tries(used=2), outcome) is None


def test_a_jobs_own_count_comes_first():
    assert after_failure(Policy(retries=0), 1, Tries(), Outcome.failed) is not None
    assert after_failure(Policy(retries=9), 0, Tries(), Outcome.failed) is None


@pytest.mark.parametrize(
    ("outcome", "tries", "delay"),
    [
        (Outcome.out_of_memory, Tries(used=1, memory_growth=1), 0.0),
        (Outcome.timed_out, Tries(used=1, walltime_growth=1), 0.0),
        (Outcome.failed, Tries(used=1), 4.0),
    ],
)
def test_what_is_counted(outcome, tries, delay):
    assert after_failure(Policy(backoff=4.0), None, Tries(), outcome) == Again(tries, delay)


@given(st.integers(0, 100_000), st.sampled_from(Outcome), st.floats(0, 100), st.floats(1, 10))
def test_back_off_never_exceeds_its_bound(used, outcome, backoff, factor):
    policy = Policy(retries=200_000, backoff=backoff, backoff_factor=factor)
    again = after_failure(policy, None, Tries(used=used), outcome)
    assert 0 <= again.delay <= LONGEST_BACKOFF


def test_a_job_that_asked_for_nothing_gets_the_defaults():
    defaults = Requirements(cores=2.0, memory=4 * GIB, disk=3 * GIB, walltime=60.0, accelerators=(Accelerator(),), preemptible=True)
    assert effective(Policy(defaults=defaults), Request(), Tries()) == defaults


def test_a_job_gets_what_it_asked_for():
    asked = Request(cores=0.5, memory=1, disk=2, walltime=3.0, accelerators=(), preemptible=False)
    defaults = Requirements(accelerators=(Accelerator(),), preemptible=True, walltime=9.0)
    assert effective(Policy(defaults=defaults), asked, Tries()) == Requirements(
        cores=0.5, memory=1, disk=2, walltime=3.0, accelerators=(), preemptible=False
    )


def test_defaults_never_exceed_the_ceiling():
    policy = Policy(
        defaults=Requirements(cores=8.0, memory=8 * GIB, disk=8 * GIB), ceiling=Ceiling(cores=2.0, memory=GIB, disk=2 * GIB)
    )
    assert effective(policy, Request(), Tries()) == Requirements(cores=2.0, memory=GIB, disk=2 * GIB)


def test_memory_grows_up_to_the_ceiling():
    policy = Policy(ceiling=Ceiling(memory=5 * GIB))
    asked = Request(memory=GIB)
    grown = [effective(policy, asked, Tries(memory_growth=times)).memory for times in range(5)]
    assert grown == [GIB, 2 * GIB, 4 * GIB, 5 * GIB, 5 * GIB]


def test_memory_never_shrinks_to_the_ceiling():
    """What was asked for above the ceiling is refused elsewhere, and not silently made less."""
    policy = Policy(ceiling=Ceiling(memory=GIB))
    assert effective(policy, Request(memory=2 * GIB), Tries(memory_growth=1)).memory == 2 * GIB


def test_walltime_grows_and_no_limit_stays_none():
    policy = Policy(growth=3.0)
    assert effective(policy, Request(walltime=10.0), Tries(walltime_growth=2)).walltime == 90.0
    assert effective(policy, Request(), Tries(walltime_growth=2)).walltime is None


@given(st.integers(0, 100_000), st.integers(0, 100_000))
def test_growth_has_no_end_that_it_could_fall_off(memory_growth, walltime_growth):
    found = effective(
        Policy(), Request(memory=GIB, walltime=60.0), Tries(memory_growth=memory_growth, walltime_growth=walltime_growth)
    )
    assert found.memory >= GIB
    assert found.walltime >= 60.0
