"""The conformance suite of batch systems: subclass it, give it one, and it must do what the engine relies on.

    class TestSlurm(BatchSystemTests):
        @pytest.fixture
        def bench(self, tmp_path):
            store = DirectoryStore(tmp_path / "store", create=True)
            with SelectorReactor… as reactor:
                yield Bench(SlurmBatchSystem(…), reactor, store)

Nothing here looks at a clock; every wait is for a report, and bounded.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

from moil.authoring.job import JobFunction, defer, job
from moil.authoring.service import Service, service
from moil.core.records import Outcome
from moil.core.requirements import MIB, Requirements
from moil.ports.batch_system import BatchSystem, ExternalId, Phase, Report, Submission
from moil.ports.job_store import DurableStore
from moil.ports.reactor import Reactor
from moil.runtime import codec
from moil.runtime.records import OutcomeRecord, Task, decode_outcome, encode_task, token

BOUND = 60.0
SMALL = Requirements(cores=1, memory=256 * MIB, disk=MIB)


@job
def answer(number: int) -> int:
    """A job that returns."""
    sys.stdout.write("answering\n")
    return number + 1


@job
def raises() -> None:
    """A job that fails."""
    raise ValueError("as it should")


@job
def touches(path: Path, seconds: float) -> None:
    """A job that takes a while, and says that it has begun."""
    path.write_text(str(os.getpid()))
    time.sleep(seconds)


@job
def defers(path: Path) -> None:
    """A job that leaves something to be done, and dies."""
    defer(path.write_text, "deferred")
    os.abort()


@service
def serves(path: Path) -> Iterator[int]:
    """A service."""
    yield 5
    path.write_text("stopped")


@dataclass
class Bench:
    """A batch system to be tested, and what it is tested with."""

    batch: BatchSystem
    reactor: Reactor
    store: DurableStore
    now: Callable[[], float] = time.time
    reports: list[Report] = field(default_factory=list)
    _next: int = 1

    def submit(self, callee: JobFunction[..., Any] | Service[..., Any], *args: object, **more: Any) -> ExternalId:
        """Submit a call as a job of its own."""
        data, _ = codec.Encoder(None, lambda file: file).dumps((callee.bare(), args, {}))
        number, self._next = self._next, self._next + 1
        of_service = isinstance(callee, Service)
        task = Task(job=number, attempt=1, name=callee.name, call=data, base=number, service=of_service)
        needs = more.get("requirements", SMALL)
        submission = Submission(
            token=token(number, 1), name=callee.name, requirements=needs, task=encode_task(task), service=of_service
        )
        return self.batch.submit([submission])[0]

    def wait(self, attempt: ExternalId, phase: Phase) -> Report:
        """The report of this phase; all that come before it are kept."""
        patience = self.now() + BOUND
        while True:
            found = next((one for one in self.reports if one.id == attempt and one.phase is phase), None)
            if found is not None:
                return found
            assert self.now() < patience, f"{attempt} was not reported {phase.value}; reports: {self.reports}"
            self.reactor.wait(self.now() + 0.2)
            out = {one.id for one in self.reports} | {attempt}
            for one in self.batch.poll(out - self.ended()):
                self.reports.extend(_in_phases(one))

    def ended(self) -> set[ExternalId]:
        """Attempts that are over."""
        return {one.id for one in self.reports if one.phase is Phase.ended}

    def outcome(self, attempt: ExternalId) -> OutcomeRecord:
        """What the attempt returned."""
        record = self.wait(attempt, Phase.returned).record
        assert record is not None
        return decode_outcome(record)


def _in_phases(report: Report) -> list[Report]:
    """What is reported in one go, as if it had been told bit by bit."""
    if report.phase is Phase.ended and report.record is not None:
        return [replace(report, phase=Phase.returned), replace(report, record=None)]
    return [report]


class BatchSystemTests:
    """What every batch system must do. Subclasses give the fixture ``bench``."""

    #: Whether it keeps memory limits by itself.
    enforces_memory: ClassVar[bool] = True

    def test_a_job_returns_its_value(self, bench: Bench) -> None:
        """Started (if that is said), returned, ended, in this order."""
        attempt = bench.submit(answer, 41)
        record = bench.outcome(attempt)
        assert record.outcome is Outcome.completed
        assert codec.loads(codec.fetch(record.value, bench.store)) == 42
        bench.wait(attempt, Phase.ended)
        phases = [one.phase for one in bench.reports if one.id == attempt]
        assert phases[phases[0] is Phase.started :] == [Phase.returned, Phase.ended]

    def test_many_at_once(self, bench: Bench) -> None:
        """More than fit on the machine."""
        ids = [bench.submit(answer, number) for number in range(20)]
        found = [codec.loads(codec.fetch(bench.outcome(one).value, bench.store)) for one in ids]
        assert found == [number + 1 for number in range(20)]
        assert len(set(ids)) == 20

    def test_a_failure_is_told_with_its_reason(self, bench: Bench) -> None:
        """An exception is an outcome, not an accident."""
        record = bench.outcome(bench.submit(raises))
        assert record.outcome is Outcome.failed
        assert record.failure is not None
        assert "as it should" in record.failure.error

    def test_a_cancelled_job_ends_and_its_process_is_gone(self, bench: Bench, tmp_path: Path) -> None:
        """Cancel is prompt."""
        attempt = bench.submit(touches, tmp_path / "begun", 600.0)
        bench.wait(attempt, Phase.started)
        bench.batch.cancel([attempt])
        assert bench.wait(attempt, Phase.ended).outcome is Outcome.cancelled

    def test_one_that_is_cancelled_in_the_queue_never_runs(self, bench: Bench, tmp_path: Path) -> None:
        """All that were submitted end, run or not."""
        ids = [bench.submit(touches, tmp_path / f"begun-{number}", 600.0) for number in range(100)]
        bench.wait(ids[0], Phase.started)
        bench.batch.cancel(ids)
        assert {bench.wait(one, Phase.ended).outcome for one in ids} == {Outcome.cancelled}

    def test_an_unknown_attempt_is_lost(self, bench: Bench) -> None:
        """As after a restart."""
        assert bench.wait("999.1", Phase.ended).outcome is Outcome.lost

    def test_a_service_is_up_until_it_is_told_to_stop(self, bench: Bench, tmp_path: Path) -> None:
        """What follows the yield runs then."""
        attempt = bench.submit(serves, tmp_path / "note")
        record = bench.wait(attempt, Phase.up).record
        assert record is not None
        assert codec.loads(codec.fetch(decode_outcome(record).value, bench.store)) == 5
        assert not (tmp_path / "note").exists()
        bench.batch.stop([attempt])
        bench.wait(attempt, Phase.ended)
        assert (tmp_path / "note").read_text() == "stopped"

    def test_deferred_calls_run_even_after_a_crash(self, bench: Bench, tmp_path: Path) -> None:
        """And the crash is told."""
        attempt = bench.submit(defers, tmp_path / "note")
        assert bench.wait(attempt, Phase.ended).outcome is Outcome.failed
        assert (tmp_path / "note").read_text() == "deferred"

    def test_a_walltime_is_kept(self, bench: Bench, tmp_path: Path) -> None:
        """The job ends, and is told to have run out of time."""
        short = Requirements(cores=1, memory=256 * MIB, disk=MIB, walltime=0.3)
        attempt = bench.submit(touches, tmp_path / "begun", 600.0, requirements=short)
        assert bench.wait(attempt, Phase.ended).outcome is Outcome.timed_out

    def test_close_ends_what_runs(self, bench: Bench, tmp_path: Path) -> None:
        """Nothing outlives it."""
        attempt = bench.submit(touches, tmp_path / "begun", 600.0)
        bench.wait(attempt, Phase.started)
        while not (tmp_path / "begun").exists() or not (tmp_path / "begun").read_text():
            bench.reactor.wait(bench.now() + 0.05)
        bench.batch.close()
        with pytest.raises(ProcessLookupError):
            os.kill(int((tmp_path / "begun").read_text()), 0)
