"""A pilot that really runs, in a process of its own: what it takes, what it gives back, and what it writes."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import moil
from moil.adapters.directory import DirectoryStore
from moil.core.records import Outcome
from moil.core.requirements import MIB
from moil.deployment import signing
from moil.runtime import pilot as pilots
from moil.runtime import processes
from moil.runtime.codec import Encoder
from moil.runtime.mailbox import Letter, Mailbox, Order
from moil.runtime.pilot import Hand, Pilot
from moil.runtime.queues import Chunk, Queues
from moil.runtime.records import Task, decode_outcome, encode_task
from moil.runtime.remote_worker import RemoteWorker
from moil.runtime.slot import House

SHAPE, NAME = "abc", "pilot-abc-1.0"
BOUND = 30.0


@moil.job
def double(number):
    return 2 * number


@moil.job
def own_process(_number):
    return os.getpid()


@moil.job
def waits(path):
    patience = time.monotonic() + BOUND
    while not os.path.exists(path):
        assert time.monotonic() < patience
        time.sleep(0.01)


@moil.job
def dies(_number):
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(BOUND)


@moil.job
def hungry(_number):
    kept = b"x" * (200 * MIB)
    time.sleep(BOUND)
    return len(kept)


def order(token, job, *args, **limits):
    call, _ = Encoder(None, lambda file: file).dumps((job, args, {}))
    number, _, attempt = token.partition(".")
    record = encode_task(Task(job=int(number), attempt=int(attempt), name=job.name, call=call, base=1))
    return Order(token=token, record=record, **limits)


@dataclass
class Bench:
    store: DirectoryStore
    work: Path
    isolation: str = "job"
    load: Any = field(default=lambda: None)
    pid: int = 0
    _read: dict[str, Letter] = field(default_factory=dict)

    def __post_init__(self):
        key = signing.make_key(self.store)
        self.mailbox, self.queues = Mailbox(self.store, key), Queues(self.store, key)

    def offer(self, name, *orders, shape=SHAPE, **terms):
        self.queues.write(shape, name, Chunk(orders=orders, **terms))

    def start(self):
        self.pid = os.fork()
        if self.pid == 0:
            try:
                house = House(
                    store=self.store, work=self.work, cache=self.work, load=self.load, log_limit=MIB,
                    isolation=self.isolation, host="here",
                )
                worker = RemoteWorker(house, self.mailbox)
                worker.begin()
                Pilot(house, self.mailbox, self.queues, NAME).work(worker)
                os._exit(0)
            except BaseException as error:  # noqa: BLE001 - it must not go on as pytest
                os.write(2, f"{error!r}\n".encode())
            finally:
                os._exit(1)

    def sacks(self):
        return [self.mailbox.read_sack(name) for name in sorted(self.mailbox.posted("outcomes"))]

    def letters(self):
        return {letter.token: letter for sack in self.sacks() for letter in sack.letters}

    def until(self, found):
        patience = time.monotonic() + BOUND
        while not found():
            assert time.monotonic() < patience, self.sacks()
            time.sleep(0.01)

    def wait(self):
        """Its exit status, when it ends by itself."""
        _, status = os.waitpid(self.pid, 0)
        self.pid = 0
        return os.waitstatus_to_exitcode(status)

    def end(self):
        if self.pid:
            os.kill(self.pid, signal.SIGTERM)
            self.wait()


@pytest.fixture
def bench(tmp_path, monkeypatch):
    for name in ("IDLE", "FRESH", "POLITE"):
        monkeypatch.setattr(pilots, name, 0.2)
    monkeypatch.setattr(pilots, "LONG", 60.0)  # however slow this machine is
    monkeypatch.setattr(pilots, "LOOK", 0.05)
    monkeypatch.delenv("SLURM_JOB_END_TIME", raising=False)
    (tmp_path / "work").mkdir()
    found = Bench(DirectoryStore(tmp_path / "store", create=True), tmp_path / "work")
    yield found
    found.end()


def values(bench):
    return {token: decode_outcome(letter.record).outcome for token, letter in bench.letters().items() if letter.record}


@pytest.mark.slow
@pytest.mark.parametrize("isolation", ["job", "worker"])
def test_it_takes_all_that_is_there_and_leaves(bench, isolation):
    bench.isolation = isolation
    bench.offer("1", *[order(f"{n}.1", double, n) for n in range(40)])
    bench.offer("2", order("50.1", double, 1))
    bench.start()
    assert bench.wait() == 0
    assert values(bench) == {f"{n}.1": Outcome.completed for n in [*range(40), 50]}
    assert [one.left for one in bench.sacks()].count(True) == 1
    assert {bench.queues.claim_of(SHAPE, name).pilot for name in "12"} == {NAME}
    assert list(bench.work.iterdir()) == []


@pytest.mark.slow
def test_each_job_has_a_process_of_its_own(bench):
    bench.offer("1", *[order(f"{n}.1", own_process, n) for n in range(5)])
    bench.start()
    bench.wait()
    assert len({decode_outcome(letter.record).value for letter in bench.letters().values()}) == 5


@pytest.mark.slow
def test_one_that_takes_long_lets_go_of_those_behind_it(bench, tmp_path, monkeypatch):
    monkeypatch.setattr(pilots, "LONG", 0.2)
    bench.offer("1", order("1.1", waits, str(tmp_path / "go")), *[order(f"{n}.1", double, n) for n in range(2, 6)])
    bench.start()
    bench.until(lambda: len(bench.letters()) == 4)
    assert all(letter.unbegun for letter in bench.letters().values())
    (tmp_path / "go").touch()
    assert bench.wait() == 0
    assert values(bench) == {"1.1": Outcome.completed}


@pytest.mark.slow
def test_one_that_is_told_to_end_says_so_of_what_runs_and_gives_back_the_rest(bench, tmp_path, monkeypatch):
    monkeypatch.setattr(pilots, "LONG", 60.0)
    bench.offer("1", order("1.1", waits, str(tmp_path / "never")), order("2.1", double, 2))
    bench.start()
    bench.until(lambda: (bench.work / NAME).exists() and bench.queues.claimed())
    bench.until(lambda: any((bench.work / NAME).glob("scratch")))
    os.kill(bench.pid, signal.SIGTERM)
    assert bench.wait() == 0
    letters = bench.letters()
    assert letters["2.1"].unbegun
    assert letters["1.1"].terminated or letters["1.1"].unbegun
    assert not any(one.left for one in bench.sacks())


@pytest.mark.slow
def test_what_is_to_end_ends_and_what_has_not_begun_does_not_begin(bench, tmp_path, monkeypatch):
    monkeypatch.setattr(pilots, "LONG", 60.0)
    bench.offer("1", order("1.1", waits, str(tmp_path / "never")), order("2.1", double, 2), order("3.1", double, 3))
    bench.queues.kill(["1.1", "2.1"])
    bench.start()
    assert bench.wait() == 0
    letters = bench.letters()
    assert {letters[one].outcome for one in ("1.1", "2.1")} == {Outcome.cancelled}
    assert values(bench)["3.1"] is Outcome.completed


@pytest.mark.slow
def test_limits_are_those_of_each_attempt(bench):
    bench.offer(
        "1",
        order("1.1", hungry, 1, memory=60 * MIB),
        order("2.1", waits, "/never", walltime=0.3),
        order("3.1", double, 3, memory=60 * MIB),
    )
    bench.start()
    bench.until(lambda: "1.1" in bench.letters())
    bench.end()
    assert bench.letters()["1.1"].outcome is Outcome.out_of_memory


@pytest.mark.slow
def test_a_supervisor_that_is_killed_costs_one_attempt(bench):
    bench.offer("1", order("1.1", double, 1), order("2.1", dies, 2), order("3.1", double, 3))
    bench.start()
    assert bench.wait() == 0
    letters = bench.letters()
    assert letters["2.1"].outcome is Outcome.lost
    assert values(bench) == {"1.1": Outcome.completed, "3.1": Outcome.completed}


@pytest.mark.slow
def test_a_program_that_cannot_be_imported_is_each_job_s_error(bench):
    def load():
        raise ImportError("no such thing")

    bench.load = load
    bench.offer("1", order("1.1", double, 1), order("2.1", double, 2))
    bench.start()
    assert bench.wait() == 0
    failures = [str(decode_outcome(letter.record).failure) for letter in bench.letters().values()]
    assert ["no such thing" in one for one in failures] == [True, True]


@pytest.mark.slow
def test_a_program_that_leaves_threads_is_imported_by_each_job(bench, tmp_path):
    def load():
        import threading

        with (tmp_path / "loads").open("a") as file:
            file.write(f"{os.getpid()}\n")
        threading.Thread(target=time.sleep, args=(BOUND,), daemon=True).start()

    bench.load = load
    bench.offer("1", order("1.1", double, 1), order("2.1", double, 2))
    bench.start()
    assert bench.wait() == 0
    assert set(values(bench).values()) == {Outcome.completed}
    assert len((tmp_path / "loads").read_text().split()) == 3, "once in vain, and then for each"


@pytest.mark.slow
def test_it_begins_nothing_that_its_time_is_too_short_for(bench, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_END_TIME", str(int(time.time()) + 60))
    bench.offer("1", *[order(f"{n}.1", double, n, walltime=100.0) for n in range(3)])
    bench.start()
    assert bench.wait() == 0
    done = values(bench)
    assert done["0.1"] is Outcome.completed, "but the first, for which it was submitted"
    assert len(done) + sum(letter.unbegun for letter in bench.letters().values()) == 3


def test_time(monkeypatch):
    now = 1000.0
    monkeypatch.setattr(pilots.time, "time", lambda: now)
    time_left = pilots.Time({"SLURM_JOB_END_TIME": "1600"})
    time_left.limit(10.0, 0.5)
    assert time_left.is_enough(500.0)
    assert not time_left.is_enough(580.0)
    now = 1400.0
    assert not time_left.is_enough(0.0)
    assert pilots.Time({}).is_enough(1e9)


def test_time_is_counted_from_when_the_process_began(monkeypatch):
    now = 1000.0
    monkeypatch.setattr(pilots.time, "time", lambda: now)
    monkeypatch.setattr(pilots.processes, "age", lambda: 100.0)
    time_left = pilots.Time({})
    time_left.limit(1000.0, 0.9)
    assert not time_left.is_enough(0.0)
    assert time_left.is_enough(860.0)
    assert not time_left.is_enough(880.0)
    time_left.limit(1000.0, 0.8)
    assert time_left.is_enough(0.0)


@pytest.mark.skipif(not processes.LINUX, reason="/proc is Linux's")
def test_how_old_a_process_is():
    begun = time.monotonic()
    words = [sys.executable, "-c", "from moil.runtime import processes; print(processes.age())"]
    told = float(subprocess.run(words, capture_output=True, text=True, check=True).stdout)
    assert 0 <= told <= time.monotonic() - begun + 0.02
    assert processes.age() >= told


def test_one_that_is_told_to_end_while_it_has_nothing_writes_nothing(bench, monkeypatch):
    monkeypatch.setattr(pilots, "FRESH", 60.0)
    bench.start()
    bench.until(lambda: (bench.work / NAME).exists())
    os.kill(bench.pid, signal.SIGTERM)
    assert bench.wait() == 0
    assert bench.sacks() == []


@pytest.mark.slow
def test_it_stays_for_as_long_as_the_leader_asks(bench, monkeypatch):
    monkeypatch.setattr(pilots, "IDLE", 0.0)
    bench.offer("1", order("1.1", double, 1), idle=60.0)
    bench.start()
    bench.until(lambda: "1.1" in bench.letters())
    bench.offer("2", order("2.1", double, 2))
    bench.until(lambda: "2.1" in bench.letters())
    assert bench.wait() == 0, "the second did not ask for that"


@pytest.mark.slow
def test_it_makes_room_for_what_waits_of_another_shape(bench, monkeypatch):
    monkeypatch.setattr(pilots, "IDLE", 60.0)
    bench.offer("1", order("1.1", double, 1))
    bench.start()
    bench.until(lambda: "1.1" in bench.letters())
    bench.offer("2", order("2.1", double, 2), shape="def")
    assert bench.wait() == 0
    assert "2.1" not in bench.letters()
    assert bench.sacks()[-1].left


def test_one_that_finds_nothing_does_not_wait_for_long(bench, monkeypatch):
    monkeypatch.setattr(pilots, "IDLE", 60.0)
    bench.start()
    assert bench.wait() == 0
    assert [one.left for one in bench.sacks()] == [True]


@pytest.mark.parametrize(
    ("terms", "in_the_way", "seconds"),
    [
        (None, False, 1.0),
        (None, True, 1.0),
        ((0.0, 2.0), False, 3.0),
        ((0.0, 2.0), True, 2.0),
        ((0.0, 0.5), True, 0.5),
        ((0.0, 0.0), True, 2.0),
        ((10.0, 2.0), False, 10.0),
        ((10.0, 2.0), True, 2.0),
    ],
)
def test_how_long_it_stays_with_nothing_to_do(terms, in_the_way, seconds):
    chunk = None if terms is None else Chunk(orders=(), idle=terms[0], polite=terms[1])
    assert pilots.patience(chunk, in_the_way=in_the_way) == seconds


class HalfTaken:
    """A berth whose supervisor took one attempt while the others were taken back."""

    def give(self, _order):
        return True

    def take_back(self):
        return {"two", "four"}


def test_what_the_supervisor_takes_during_a_recall_stays_with_it():
    hand = Hand(HalfTaken())
    hand.take([Order(token=name, record=b"") for name in ("one", "two", "three", "four")])
    hand.send()
    hand.take([Order(token="five", record=b"")])
    hand.recall()
    assert hand.runs("one")
    assert hand.runs("three")
    assert [one.token for one in hand.drop()] == ["two", "four", "five"]
    assert len(hand) == 2
