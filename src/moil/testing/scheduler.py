"""What every scheduler must do: subclass `SchedulerTests` and give it the fixture ``bench``.

::

    class TestSlurm(SchedulerTests):
        @pytest.fixture
        def bench(self, tmp_path):
            scheduler = SlurmScheduler(SlurmSettings())
            yield SchedulerBench(scheduler, shared=tmp_path, number="$SLURM_ARRAY_TASK_ID")

Members are small shell scripts that say what they do in a directory which they and the tests share. Nothing here looks
at a clock but to give up; every wait is for something that the scheduler says, or that a member has written.
"""

# ruff: noqa: D102 - the name of a test says what is promised

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import pytest

from moil.core.records import Outcome
from moil.core.requirements import MIB, Accelerator, Requirements
from moil.ports.scheduler import Array, Refused, Scheduler, SchedulerId, Seen, Standing

BOUND = 60.0
SMALL = Requirements(cores=1, memory=32 * MIB, disk=MIB)
ODD_NAMES = ("a b", "it's", 'say "hi"', "two\nlines", "Zoë", "-x", "$HOME `id` %A", "", "n" * 300)
FOREVER = "exec sleep 600"


@dataclass
class SchedulerBench:
    """A scheduler to be tested, and what it is tested with."""

    scheduler: Scheduler
    #: A directory that the members see too.
    shared: Path
    #: What a member's shell finds its number by: ``$SLURM_ARRAY_TASK_ID``.
    number: str
    #: What the members call the shared directory, if it is not the same.
    inside: str = ""
    run: str = field(default_factory=lambda: f"moil:{secrets.token_hex(8)}:")
    _next: int = 0

    def array(self, body: str, size: int = 1, *, name: str = "", needs: Requirements = SMALL, logs: bool = False) -> Array:
        """An array whose members run this; ``@`` is the shared directory and ``#`` the member's number."""
        self._next += 1
        inside = self.inside or str(self.shared)
        text = body.replace("@", inside).replace("#", self.number)
        return Array(
            label=f"{self.run}{self._next}",
            name=name,
            size=size,
            requirements=needs,
            script=f"#!/bin/sh\n{text}\n",
            logs=inside if logs else "",
        )

    def submit(self, body: str, size: int = 1, *, needs: Requirements = SMALL) -> Sequence[SchedulerId]:
        """Submit an array whose members run this."""
        return self.scheduler.submit(self.array(body, size, needs=needs))

    def wait(self, ids: Collection[SchedulerId], standing: Standing = Standing.ended) -> Mapping[SchedulerId, Seen]:
        """What is seen of them when all stand so."""
        found: Mapping[SchedulerId, Seen] = {}

        def stand() -> bool:
            nonlocal found
            found = self.scheduler.query(ids)
            return len(found) == len(ids) and all(one.standing is standing for one in found.values())

        self.until(stand, lambda: f"{found}")
        return found

    def until(self, condition: Callable[[], bool], told: Callable[[], str] = str) -> None:
        """Wait for it."""
        patience = time.monotonic() + BOUND
        while not condition():
            assert time.monotonic() < patience, f"in vain: {told()}"
            time.sleep(0.05)

    def end(self, body: str, *, needs: Requirements = SMALL) -> Seen:
        """How a single member ends that runs this."""
        ids = self.submit(body, needs=needs)
        return self.wait(ids)[ids[0]]


class SchedulerTests:
    """What every scheduler must do. Subclasses give the fixture ``bench``."""

    #: Whether it ends what uses more memory than it had asked for.
    enforces_memory: ClassVar[bool] = True

    def test_each_member_runs_once_and_knows_its_number(self, bench: SchedulerBench) -> None:
        ids = bench.submit("echo run >> @/ran.#", 5)
        seen = bench.wait(ids)
        assert len(set(ids)) == 5
        assert {one.outcome for one in seen.values()} == {Outcome.completed}
        ran = {path.name: path.read_text() for path in bench.shared.glob("ran.*")}
        assert ran == {f"ran.{number}": "run\n" for number in range(5)}

    def test_ids_are_in_the_order_of_the_members(self, bench: SchedulerBench) -> None:
        ids = bench.submit("exit #", 4)
        seen = bench.wait(ids)
        assert [seen[one].outcome for one in ids] == [Outcome.completed, *[Outcome.failed] * 3]
        assert [seen[one].exit_status for one in ids] == [0, 1, 2, 3]

    def test_a_running_member_has_a_machine(self, bench: SchedulerBench) -> None:
        ids = bench.submit(FOREVER)
        assert bench.wait(ids, Standing.running)[ids[0]].host
        bench.scheduler.cancel(ids)

    def test_an_exit_status_is_told(self, bench: SchedulerBench) -> None:
        seen = bench.end("exit 91")
        assert (seen.outcome, seen.exit_status) == (Outcome.failed, 91)
        assert "91" in seen.reason

    def test_a_member_that_is_killed_has_failed(self, bench: SchedulerBench) -> None:
        seen = bench.end("kill -KILL $$")
        assert seen.outcome is Outcome.failed
        assert "9" in seen.reason

    def test_what_is_cancelled_ends(self, bench: SchedulerBench) -> None:
        ids = bench.submit(FOREVER, 2)
        bench.wait(ids, Standing.running)
        bench.scheduler.cancel(ids[:1])
        assert bench.wait(ids[:1])[ids[0]].outcome is Outcome.cancelled
        assert bench.scheduler.query(ids)[ids[1]].standing is Standing.running
        bench.scheduler.cancel(ids)
        assert bench.wait(ids)[ids[1]].outcome is Outcome.cancelled

    def test_what_is_cancelled_in_the_queue_never_runs(self, bench: SchedulerBench) -> None:
        ids = bench.submit(f"touch @/began.#; {FOREVER}", 40)
        bench.wait(ids[:1], Standing.running)
        bench.scheduler.cancel(ids)
        assert {one.outcome for one in bench.wait(ids).values()} == {Outcome.cancelled}
        assert len(list(bench.shared.glob("began.*"))) < 40

    def test_a_part_of_an_array_is_cancelled_in_the_queue(self, bench: SchedulerBench) -> None:
        ids = bench.submit(FOREVER, 40)
        bench.wait(ids[:1], Standing.running)
        bench.scheduler.cancel(ids[20:])
        assert {one.outcome for one in bench.wait(ids[20:]).values()} == {Outcome.cancelled}
        assert bench.scheduler.query(ids)[ids[0]].standing is Standing.running
        bench.scheduler.cancel(ids)
        assert {one.outcome for one in bench.wait(ids).values()} == {Outcome.cancelled}

    def test_what_has_not_begun_is_withdrawn(self, bench: SchedulerBench) -> None:
        ids, others = bench.submit(FOREVER, 40), bench.submit(FOREVER, 2)
        bench.wait(ids[:1], Standing.running)
        bench.scheduler.withdraw(ids[:1])
        standing: dict[Standing, set[SchedulerId]] = {}

        def none_waits() -> bool:
            seen = bench.scheduler.query(ids)
            standing.update({kind: {one for one in seen if seen[one].standing is kind} for kind in Standing})
            return not standing[Standing.queued]

        bench.until(none_waits, lambda: f"{standing}")
        assert ids[0] in standing[Standing.running]
        assert len(standing[Standing.running]) < 40
        assert Standing.ended not in {one.standing for one in bench.scheduler.query(others).values()}
        bench.scheduler.withdraw(ids)
        assert bench.scheduler.query(ids)[ids[0]].standing is Standing.running
        bench.scheduler.cancel([*ids, *others])
        assert {one.outcome for one in bench.wait([*ids, *others]).values()} == {Outcome.cancelled}

    def test_what_was_withdrawn_is_over(self, bench: SchedulerBench) -> None:
        first = bench.submit(FOREVER, 40)
        bench.wait(first[:1], Standing.running)
        ids = bench.submit(FOREVER, 3)
        bench.scheduler.withdraw(ids)
        bench.scheduler.cancel(first)
        bench.until(lambda: Standing.queued not in {one.standing for one in bench.scheduler.query(ids).values()})
        bench.scheduler.cancel(ids)
        assert {one.outcome for one in bench.wait(ids).values()} == {Outcome.cancelled}

    def test_it_says_how_long_a_member_may_run(self, bench: SchedulerBench) -> None:
        assert bench.scheduler.time_limit(SMALL) >= 0
        wanted = Requirements(memory=MIB, walltime=120.0)
        assert bench.scheduler.time_limit(wanted) >= 120.0
        assert bench.scheduler.time_limit(wanted, 240.0) >= bench.scheduler.time_limit(wanted)

    def test_cancelling_what_is_over_is_no_error(self, bench: SchedulerBench) -> None:
        ids = bench.submit("true", 2)
        bench.wait(ids)
        bench.scheduler.cancel(ids)
        bench.scheduler.cancel(ids[:1])
        assert {one.outcome for one in bench.scheduler.query(ids).values()} <= {Outcome.completed}

    def test_what_it_does_not_know_is_left_out(self, bench: SchedulerBench) -> None:
        ids = bench.submit("true", 2)
        unknown = [one.replace(ids[0].partition("_")[0], "99999999") for one in ids]
        assert bench.scheduler.query(unknown) == {}
        assert bench.scheduler.query([]) == {}
        assert set(bench.scheduler.query([*ids, *unknown])) == set(ids)
        bench.scheduler.cancel(unknown)

    def test_arrays_are_found_by_how_their_labels_begin(self, bench: SchedulerBench) -> None:
        first, second = bench.array(FOREVER, 3), bench.array(FOREVER, 1)
        ids = {one.label: bench.scheduler.submit(one) for one in (first, second)}
        found = bench.scheduler.find(bench.run)
        assert {label: list(some) for label, some in found.items()} == {label: list(some) for label, some in ids.items()}
        assert list(bench.scheduler.find(first.label)) == [first.label]
        assert bench.scheduler.find("moil:nobody") == {}
        bench.scheduler.cancel([one for some in ids.values() for one in some])

    def test_an_array_is_found_whole_while_some_of_it_has_ended(self, bench: SchedulerBench) -> None:
        array = bench.array(f"[ # = 0 ] || {FOREVER}", 3)
        ids = bench.scheduler.submit(array)
        bench.wait(ids[:1])
        assert list(bench.scheduler.find(bench.run)[array.label]) == list(ids)
        bench.scheduler.cancel(ids)

    def test_another_leader_finds_and_cancels_them(self, bench: SchedulerBench) -> None:
        bench.submit(FOREVER, 2)
        (ids,) = bench.scheduler.find(bench.run).values()
        bench.scheduler.cancel(ids)
        assert {one.outcome for one in bench.wait(ids).values()} == {Outcome.cancelled}

    @pytest.mark.parametrize("name", ODD_NAMES)
    def test_odd_names_do_no_harm(self, bench: SchedulerBench, name: str) -> None:
        ids = bench.scheduler.submit(bench.array("exit 3", name=name))
        assert bench.wait(ids)[ids[0]].exit_status == 3

    def test_what_no_machine_has_is_refused(self, bench: SchedulerBench) -> None:
        most = bench.scheduler.ceiling
        for needs in (
            Requirements(cores=(most.cores or 100_000) + 1, memory=MIB),
            Requirements(memory=2**60),
            Requirements(memory=MIB, accelerators=(Accelerator(model="unheard-of", count=9),)),
        ):
            with pytest.raises(Refused) as refused:
                bench.submit("true", needs=needs)
            assert not refused.value.whole_run

    def test_it_says_what_one_job_can_get(self, bench: SchedulerBench) -> None:
        most = bench.scheduler.ceiling
        assert most.cores is None or most.cores >= 1
        assert most.memory is None or most.memory >= SMALL.memory
        assert bench.scheduler.largest_array >= 40

    def test_a_job_can_get_all_of_that(self, bench: SchedulerBench) -> None:
        most = bench.scheduler.ceiling
        needs = Requirements(cores=most.cores or 1, memory=most.memory or MIB)
        assert bench.end("true", needs=needs).outcome is Outcome.completed

    def test_a_walltime_is_no_obstacle(self, bench: SchedulerBench) -> None:
        assert bench.end("true", needs=Requirements(memory=MIB, walltime=1.5)).outcome is Outcome.completed

    def test_the_leader_s_variables_stay_at_home(self, bench: SchedulerBench, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MOIL_TEST_SECRET", "hush")
        assert bench.end('[ -z "$MOIL_TEST_SECRET" ]').outcome is Outcome.completed

    def test_what_a_member_prints_is_kept_where_it_was_told(self, bench: SchedulerBench) -> None:
        ids = bench.scheduler.submit(bench.array("echo said.#; echo loudly.# >&2", 2, logs=True))
        bench.wait(ids)
        for number, one in enumerate(ids):
            log = bench.shared / f"{one}.log"
            bench.until(lambda log=log: log.exists() and len(log.read_text().split()) == 2)  # type: ignore[misc]
            assert sorted(log.read_text().split()) == [f"loudly.{number}", f"said.{number}"]

    def test_one_that_takes_too_much_memory_is_ended_and_told_so(self, bench: SchedulerBench) -> None:
        if self.enforces_memory:
            seen = bench.end("python3 -c 'print(len(bytearray(600 << 20)))'")
            assert seen.outcome is Outcome.out_of_memory
            assert "raise memory=" in seen.reason
