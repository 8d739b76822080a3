"""How many pilots a shape should have, and how large a chunk: by number, and by what there is to do."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moil.core.records import Outcome
from moil.core.requirements import Requirements
from moil.ports.scheduler import Seen, Standing
from moil.runtime.queues import LARGEST, Claim
from moil.runtime.shapes import BRIEF, LIKELY, QUEUED, REMEMBERED, SETTLED, ChunkState, PilotState, ShapeState


def shape(attempts=0, *, most=None, pilots=0, pace=None, **more):
    made = ShapeState("s", Requirements(), most, **more)
    if pace is not None:
        made.took("job", pace)
    if attempts:
        made.chunks["free"] = ChunkState("s", "free", dict.fromkeys(map(str, range(attempts)), "job"))
    for number in range(pilots):
        made.pilots[f"p.{number}"] = PilotState(f"p.{number}", "p", f"1_{number}")
    return made


def claim(made, number, *, pilot, attempts=1):
    made.chunks[f"c{number}"] = ChunkState(
        "s", f"c{number}", {f"{number}-{one}": "job" for one in range(attempts)}, Claim(pilot=pilot, host="h")
    )
    made.pilots[pilot].worked = True


def test_each_attempt_is_worth_a_pilot_while_nobody_knows_how_long_they_take():
    assert shape(30).wanted() == 30
    assert shape(30, pilots=12).wanted() == 18
    assert shape(30, asked={"b": 30}).wanted() == 0


def test_who_has_something_to_do_is_not_counted_on():
    made = shape(5, pilots=2)
    claim(made, 0, pilot="p.0")
    assert made.wanted() == 4


def test_quick_attempts_are_worth_few():
    assert shape(1000, pace=0.01).wanted() == 5
    assert shape(1, pace=0.01).wanted() == 1
    assert shape(1, pace=0.01, pilots=1).wanted() == 0
    assert shape(1000, pace=3600.0).wanted() == 1000


def test_what_is_quick_is_a_matter_of_the_job_s_name():
    made = shape(10, pace=0.01)
    made.chunks["other"] = ChunkState("s", "other", {"a": "long", "b": "long", "c": ""})
    assert made.wanted() == 1 + 3


def test_one_that_runs_on_makes_slow_what_was_thought_quick():
    made = shape(10, pace=0.01)
    assert made.is_quick("job")
    made.has_taken("job", 60.0)
    made.has_taken("unheard of", 60.0)
    assert not made.is_quick("job")
    assert made.wanted() == 10
    assert "unheard of" not in made.paces
    for _ in range(100):
        made.took("job", 0.01)
    assert made.is_quick("job")


def test_not_all_names_are_remembered():
    made = shape(1, pace=0.01)
    for number in range(REMEMBERED):
        made.took(f"job {number}", 1.0)
        made.took("often", 1.0)
    assert len(made.paces) == REMEMBERED
    assert "job" not in made.paces
    assert made.paces["often"] == 1.0


def test_no_more_than_so_many_wait_in_the_queue_and_more_come_when_half_have_begun():
    assert shape(5000).wanted() == QUEUED
    made = shape(5000, pilots=QUEUED)
    assert made.wanted() == 0
    for number in range(QUEUED // 2 - 1):
        claim(made, number, pilot=f"p.{number}")
    assert made.wanted() == 0
    claim(made, QUEUED, pilot=f"p.{QUEUED - 1}")
    assert made.wanted() == QUEUED // 2


def test_a_given_number_is_a_number_of_pilots():
    assert shape(30, most=4).wanted() == 1, "for there is one chunk"
    assert shape(30, most=4, pilots=4).wanted() <= 0
    assert shape(0, most=4).wanted() == 0


def test_those_that_are_over_or_withdrawn_do_not_count():
    made = shape(3, pilots=3)
    made.pilots["p.0"].withdrawn = True
    made.pilots["p.1"].over = Seen(standing=Standing.ended, outcome=Outcome.lost)
    assert made.wanted() == 2


@pytest.mark.parametrize(("attempts", "seconds"), [(1, BRIEF), (2, SETTLED)])
def test_what_waits_in_vain_is_taken_out_of_the_queue_but_not_at_once(attempts, seconds):
    made = shape(pilots=3)
    claim(made, 0, pilot="p.0", attempts=attempts)
    assert made.surplus(10.0) == []
    assert made.surplus(10.0 + 0.9 * seconds) == []
    assert [one.name for one in made.surplus(10.0 + seconds)] == ["p.1", "p.2"]
    made.pilots["p.1"].withdrawn = True
    assert [one.name for one in made.surplus(10.0 + seconds)] == ["p.2"]


def test_something_to_take_keeps_all_of_them():
    made = shape(pilots=3)
    assert made.surplus(10.0) == []
    made.chunks["free"] = ChunkState("s", "free", {"1": "job"})
    assert made.surplus(10.0 + SETTLED) == []
    del made.chunks["free"]
    assert made.surplus(10.0 + SETTLED) == [], "it begins anew"
    assert len(made.surplus(10.0 + SETTLED + BRIEF)) == 3


def test_a_given_number_stays():
    made = shape(most=3, pilots=3)
    made.surplus(10.0)
    assert made.surplus(100.0) == []


@pytest.mark.parametrize("walltime", [None, 60.0, 7200.0])
def test_only_a_given_number_asks_for_more_time_than_an_attempt_does(walltime):
    wanted = Requirements(walltime=walltime)
    assert ShapeState("s", wanted, None).roomy == 0.0
    assert ShapeState("s", wanted, 3).roomy == (max(3600.0, 4 * walltime) if walltime else 0.0)


@given(
    members=st.lists(st.integers(), max_size=600),
    most=st.none() | st.integers(1, 50),
    pace=st.none() | st.floats(0.0001, 100.0),
    waiting=st.integers(0, 3000),
)
def test_chunks_are_all_of_it_in_order_and_none_is_large_or_empty(members, most, pace, waiting):
    made = shape(waiting, most=most, pace=pace)
    parts = list(made.parted(members, lambda _: "job"))
    assert [one for part in parts for one in part] == members
    share = max(1, (waiting + len(members)) // (4 * (most or LIKELY)))
    assert all(1 <= len(part) <= min(LARGEST, share) for part in parts)
    assert all(pace is None or len(part) * pace <= 0.5 or len(part) == 1 for part in parts)
