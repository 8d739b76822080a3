"""The law: a workflow gives what the plain call gives, in any order of events and whatever befalls its attempts."""

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from moil.testing.programs import interpret, normal
from moil.testing.strategies import plans
from moil.testing.world import Mishaps, SimulatedWorld

RELAXED = settings(
    deadline=None,
    max_examples=60,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # a failure is reproduced by its seed; shrinking takes minutes
    print_blob=True,
)


@RELAXED
@given(plans(), st.integers(0, 2**32))
def test_a_run_in_random_order_gives_what_the_call_gives(plan, seed):
    assert normal(SimulatedWorld(seed).run(interpret, plan, [3])) == normal(interpret(plan, [3]))


@RELAXED
@given(plans(), st.integers(0, 2**32))
def test_so_does_one_whose_attempts_meet_with_mishaps(plan, seed):
    mishaps = Mishaps(lost=0.05, preempted=0.1, node_failed=0.05, unheard=0.05)
    assert normal(SimulatedWorld(seed, mishaps=mishaps).run(interpret, plan, [3])) == normal(interpret(plan, [3]))
