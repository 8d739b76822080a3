"""Scenario I: what a job costs the leader as the graph grows. No processes: the workflow, the journal and the dispatcher
are the real ones, and a batch system that answers at once takes the place of the machines.

    python bench/scale.py --sizes 1000,10000,100000,1000000

A fan-out of N no-op jobs and one that follows on. Time and memory are those of one process for each size. `replay` is
what a restart takes to read the journal back.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

SIZES = "1000,10000,100000,1000000"


def main() -> None:
    options = _options()
    if options.one:
        print(*_measure(options.one))
        return
    print("| jobs | µs an event | µs a job | leader MiB | bytes a job | journal bytes a job | replay µs a job |")
    print("|--:|--:|--:|--:|--:|--:|--:|")
    base = float(_run(0)[2])
    for size in map(int, options.sizes.split(",")):
        jobs, seconds, peak, events, written, replayed = map(float, _run(size))
        each = (peak - base) * 1024 / jobs
        print(
            f"| {jobs:,.0f} | {seconds / events * 1e6:.1f} | {seconds / jobs * 1e6:.1f} | {peak / 1024:.0f} | {each:,.0f} "
            f"| {written / jobs:,.0f} | {replayed / jobs * 1e6:.1f} |",
            flush=True,
        )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", default=SIZES, help=f"jobs, separated by commas ({SIZES})")
    parser.add_argument("--one", type=int, default=None, help=argparse.SUPPRESS)
    return parser.parse_args()


def _run(size: int) -> list[str]:
    done = subprocess.run([sys.executable, __file__, "--one", str(size or 1)], check=True, capture_output=True, text=True)
    return done.stdout.split()


def _measure(size: int) -> tuple[int, float, int, int, int, float]:
    """Jobs, seconds, KiB at most, events, bytes of journal, seconds of replay."""
    from moil.adapters.directory import DirectoryStore
    from moil.core.events import RunStarted
    from moil.core.policy import Policy
    from moil.core.records import Call
    from moil.runtime import journal
    from moil.runtime.leader import Leader, World
    from moil.runtime.reactor import SystemClock

    with tempfile.TemporaryDirectory(dir=".") as home:
        store = DirectoryStore(Path(home, "store"), create=True)
        counter = _Counter()
        world = World(store=store, batch=_Instant(size), reactor=_Still(), clock=SystemClock(), header=journal.Header())
        log = store.open_journal([journal.encode_header(world.header)])
        leader = Leader(world, journal.replay(log.replay()), log, [counter])
        started = time.process_time()
        leader.run(RunStarted(at=time.time(), policy=Policy(), root=Call(name="fan", task=b"fan")))
        seconds = time.process_time() - started
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        jobs = len(leader.workflow.graph.jobs)
        leader.close()
        written = sum(one.stat().st_size for one in Path(home, "store", "journal").iterdir())
        started = time.process_time()
        journal.replay(store.read_journal())
        return jobs, seconds, peak, counter.events, written, time.process_time() - started


class _Counter:
    def __init__(self) -> None:
        self.events = 0

    def on_events(self, events: Sequence[object], workflow: object) -> None:
        self.events += len(events)

    def close(self) -> None:
        pass


class _Still:
    """There is always something to do."""

    def wait(self, until: float | None) -> None:
        pass

    def wake(self) -> None:
        pass


class _Instant:
    """Every attempt is over when it is asked about. The first one calls all the others, each with a task of its own."""

    poll_interval = None
    window = 256

    def __init__(self, size: int) -> None:
        from moil.core.requirements import Ceiling

        self.ceiling = Ceiling()
        self._size, self._out = size, []

    def submit(self, submissions: Sequence[object]) -> Sequence[str]:
        tokens = [one.token for one in submissions]
        self._out += tokens
        return tokens

    def poll(self, ids: Collection[str]) -> Iterable[object]:
        from moil.core.records import Usage
        from moil.ports.batch_system import Phase, Report

        out, self._out = self._out, []
        for token in out:
            record = self._outcome(int(token.partition(".")[0]))
            yield Report(id=token, phase=Phase.ended, record=record, usage=Usage(wall=0.001, cpu=0.001, memory=1 << 24))

    def _outcome(self, job: int) -> bytes:
        from moil.core.records import Call
        from moil.runtime.records import OutcomeRecord, encode_outcome

        if job > 1:
            return encode_outcome(OutcomeRecord(job=job, attempt=1, value=b"\x80\x05K\x01."))
        calls = [Call(name="noop", task=b"%060d" % number) for number in range(self._size)]
        calls.append(Call(name="sum", task=b"%060d" % self._size, after=tuple(range(self._size))))
        return encode_outcome(OutcomeRecord(job=1, attempt=1, value=b"\x80\x05N.", calls=tuple(calls)))

    def cancel(self, ids: Collection[str]) -> None:
        pass

    def stop(self, ids: Collection[str]) -> None:
        pass

    def close(self) -> None:
        pass


if __name__ == "__main__":
    os.environ.setdefault("PYTHONHASHSEED", "0")
    main()
