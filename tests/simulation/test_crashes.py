"""The process dies at its n-th write, for every n; the run that goes on gives the same, and repeats nothing."""

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from moil.adapters.memory import MemoryStore
from moil.testing.faults import Fault, FaultyStore, SimulatedCrash
from moil.testing.programs import Plan, Step, interpret, normal
from moil.testing.strategies import plans
from moil.testing.world import Mishaps, SimulatedWorld

LEAF = Plan(number=5)
PROGRAM = Plan(
    steps=(
        Step(kind="call", args=(0,), plan=Plan(steps=(Step(kind="call", args=(1,), plan=LEAF),), returns=(2,))),
        Step(kind="pair", args=(2,)),
        Step(kind="save", args=(3,)),
        Step(kind="memory", args=(4,), plan=LEAF),
        Step(kind="service", args=(1,), steps=(Step(kind="call", args=(6,), plan=LEAF), Step(kind="box", args=(7,), plan=LEAF))),
        Step(kind="after", args=(5, 7), plan=LEAF),
        Step(kind="flaky", args=(8,)),
        Step(kind="checkpoint", args=(3,), plan=LEAF),
    ),
    returns=(2, 3, 4, 5, 7, 8, 9, 10, 11),
    shape="dict",
)
NO_SERVICES = Plan(steps=tuple(step for step in PROGRAM.steps if step.kind != "service"), returns=(2, 3, 4, 5), shape="box")


def run_until_done(world, plan, faults):
    """Run, dying at each fault; resume after each death. Gives the value and how often it died."""
    deaths = 0
    for fault in [*faults, None]:
        store = MemoryStore(world.disk)
        try:
            return world.run(interpret, plan, [3], store=FaultyStore(store, fault) if fault else store), deaths
        except SimulatedCrash:
            deaths += 1
            world.reboot()
    raise AssertionError("unreachable")


@pytest.mark.parametrize("when", ["before", "after", "torn"])
@pytest.mark.parametrize("plan", [PROGRAM, NO_SERVICES], ids=["services", "no services"])
def test_death_at_every_write(when, plan):
    expected = normal(interpret(plan, [3]))
    write, died = 0, True
    while died:
        write += 1
        world = SimulatedWorld(write)
        value, deaths = run_until_done(world, plan, [Fault(write, when)])
        died = deaths > 0
        assert normal(value) == expected
        if plan is NO_SERVICES:
            assert_nothing_repeated(world)
    assert write > 12


def assert_nothing_repeated(world):
    """What was done when the last leader started was not run by it."""
    for job, _ in world.batch.executed[world.batch.executed_before :]:
        assert job not in world.done_before


@settings(
    deadline=None,
    max_examples=60,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    print_blob=True,
)
@given(plans(), st.integers(0, 2**32), st.lists(st.integers(1, 40), max_size=4), st.sampled_from(["before", "after", "torn"]))
def test_death_at_random_writes_of_random_programs(plan, seed, writes, when):
    world = SimulatedWorld(seed, mishaps=Mishaps(lost=0.05, unheard=0.05))
    value, _ = run_until_done(world, plan, [Fault(write, when) for write in writes])
    assert normal(value) == normal(interpret(plan, [3]))


@settings(deadline=None, max_examples=30, suppress_health_check=list(HealthCheck), phases=[Phase.generate], print_blob=True)
@given(plans(), st.integers(0, 2**32), st.lists(st.integers(1, 40), max_size=3))
def test_workers_that_outlive_their_leader_are_adopted(plan, seed, writes):
    world = SimulatedWorld(seed)
    world.reboot = lambda: None
    value, _ = run_until_done(world, plan, [Fault(write, "after") for write in writes])
    assert normal(value) == normal(interpret(plan, [3]))


@pytest.mark.parametrize("when", ["before", "after", "torn"])
def test_death_at_every_write_of_a_run_that_compacts_its_journal(when, monkeypatch):
    monkeypatch.setattr("moil.runtime.leader.COMPACT_AT", 600)
    monkeypatch.setattr("moil.runtime.leader.WORTH", 100.0)
    monkeypatch.setattr("moil.runtime.leader.HOUSEKEEPING", 0.05)
    expected = normal(interpret(PROGRAM, [3]))
    write, died = 0, True
    while died:
        write += 1
        world = SimulatedWorld(write)
        value, deaths = run_until_done(world, PROGRAM, [Fault(write, when)])
        died = deaths > 0
        assert normal(value) == expected
    assert write > 20
