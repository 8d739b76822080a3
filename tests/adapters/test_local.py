"""The batch system of this machine passes the suite, and shares the machine out as it should."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import moil
from moil.adapters.directory import DirectoryStore
from moil.adapters.local import Launch, LocalBatchSystem
from moil.adapters.machine import Machine
from moil.core.records import Outcome
from moil.core.requirements import GIB, MIB, Accelerator, Ceiling, Requirements
from moil.errors import UsageError
from moil.ports.batch_system import Phase, Submission
from moil.runtime import codec, entry, messages, processes
from moil.runtime.interpreter import worker_command
from moil.runtime.messages import Message
from moil.runtime.reactor import SelectorReactor, SystemClock
from moil.runtime.records import OutcomeRecord, encode_outcome, token
from moil.testing.batch_system import SMALL, BatchSystemTests, Bench, serves, touches

pytestmark = pytest.mark.slow


def make_bench(tmp_path, isolation="job", ceiling=None, command=None, late=None, env=None):
    store = DirectoryStore(tmp_path / "store", create=True)
    work = tmp_path / "work"
    work.mkdir()
    reactor = SelectorReactor(SystemClock())
    header = {
        "entry": entry.Entry(path=tuple(sys.path)).header(),
        "modules": ["moil.testing.batch_system"],
        "store": store.locator,
        "work": str(work),
        "log_limit": MIB,
        "isolation": isolation,
        "env": {},
        "sweep": [],
    }
    launch = Launch(command=command or worker_command(None), env=env or dict(os.environ), header=header, work=work)
    machine = Machine(ceiling or Ceiling(cores=2, memory=4 * GIB, disk=GIB, accelerators=2))
    return Bench(LocalBatchSystem(reactor, machine, launch, late=late or {}), reactor, store)


@pytest.fixture(params=["job", "worker"])
def bench(tmp_path, request):
    found = make_bench(tmp_path, request.param)
    yield found
    found.batch.close()
    found.reactor.close()


class TestLocal(BatchSystemTests):
    pass


@pytest.fixture
def small(tmp_path):
    found = make_bench(tmp_path, ceiling=Ceiling(cores=2, memory=GIB, disk=GIB, accelerators=1))
    yield found
    found.batch.close()
    found.reactor.close()


def test_a_service_that_holds_what_its_client_needs_is_a_deadlock_that_is_told(small, tmp_path):
    held = small.submit(serves, tmp_path / "note", requirements=Requirements(memory=900 * MIB, disk=MIB))
    small.wait(held, Phase.up)
    client = small.submit(touches, tmp_path / "x", 0.0, requirements=Requirements(memory=500 * MIB, disk=MIB))
    ended = small.wait(client, Phase.ended)
    assert ended.outcome is Outcome.failed
    assert "deadlock" in ended.failure.error
    assert "serves" in ended.failure.error


def test_what_a_slot_has_said_to_a_leader_before_counts(tmp_path):
    def said(job):
        return Message(messages.DONE, token(job, 1), encode_outcome(OutcomeRecord(job=job, attempt=1, value=b"before"))).packet()

    (tmp_path / "gone").mkdir()
    spilled = Message(messages.DONE, token(3, 1), bytes(messages.LARGEST + 1)).packet(str(tmp_path / "gone" / "3.1"))
    (tmp_path / "gone" / "3.1").unlink()
    bench = make_bench(tmp_path, late={token(1, 1): said(1), token(2, 1): said(2), token(3, 1): spilled})
    try:
        first = bench.submit(touches, tmp_path / "note", 0.0)
        assert bench.outcome(first).value == b"before", "it is not run"
        assert bench.outcome(token(2, 1)).value == b"before", "the leader before had it out"
        assert bench.wait(token(3, 1), Phase.ended).outcome is Outcome.lost, "its outcome was too long to be kept"
        assert not (tmp_path / "note").exists()
    finally:
        bench.batch.close()
        bench.reactor.close()


@moil.job
def tidies(path):
    """A job that leaves something to be done, and returns."""
    moil.defer(path.write_text, "deferred")


def test_what_ends_with_an_attempt_is_only_its_own(tmp_path):
    """A slot's warm process is there before a service and after it, and so it is when deferred calls have been made."""
    bench = make_bench(tmp_path, "worker", ceiling=Ceiling(cores=1, memory=GIB, disk=GIB, accelerators=0))
    try:
        bench.wait(bench.submit(touches, tmp_path / "first", 0.0), Phase.ended)
        before = set(processes.tree(os.getpid()))
        held = bench.submit(serves, tmp_path / "note")
        bench.wait(held, Phase.up)
        bench.batch.stop([held])
        bench.wait(held, Phase.ended)
        bench.wait(bench.submit(tidies, tmp_path / "later"), Phase.ended)
        assert (tmp_path / "later").exists()
        bench.wait(bench.submit(touches, tmp_path / "last", 0.0), Phase.ended)
        assert before <= set(processes.tree(os.getpid()))
    finally:
        bench.batch.close()
        bench.reactor.close()


@pytest.mark.parametrize("isolation", ["job", "worker"])
def test_a_task_that_cannot_be_read_fails_and_the_slot_goes_on(tmp_path, isolation):
    bench = make_bench(tmp_path, isolation, ceiling=Ceiling(cores=1, memory=GIB, disk=GIB, accelerators=0))
    try:
        broken = Submission(token=token(7, 1), name="broken", requirements=SMALL, task=b"M\x02no record")
        (attempt,) = bench.batch.submit([broken])
        found = bench.outcome(attempt)
        assert found.outcome is Outcome.failed
        assert "a task record is damaged" in found.failure.error
        assert bench.wait(attempt, Phase.ended)
        assert bench.outcome(bench.submit(touches, tmp_path / "note", 0.0)).outcome is Outcome.completed
    finally:
        bench.batch.close()
        bench.reactor.close()


@moil.job
def variable(name):
    """What a job, and a program that it starts, find in the environment."""
    return os.environ.get(name), subprocess.check_output(["sh", "-c", f"echo ${name}"], text=True).strip()


@pytest.mark.parametrize("given", [None, "1"])
def test_how_the_interpreter_is_linked_is_nothing_to_the_job(tmp_path, given):
    env = {name: value for name, value in os.environ.items() if name != "LD_BIND_NOW"} | ({"LD_BIND_NOW": given} if given else {})
    bench = make_bench(tmp_path, env=env)
    try:
        found = bench.outcome(bench.submit(variable, "LD_BIND_NOW"))
        assert codec.loads(codec.fetch(found.value, bench.store)) == (given, given or "")
    finally:
        bench.batch.close()
        bench.reactor.close()


def test_accelerators_are_not_shared(small, tmp_path):
    one = Requirements(cores=0.5, memory=MIB, disk=MIB, accelerators=(Accelerator(),))
    first = small.submit(touches, tmp_path / "first", 0.2, requirements=one)
    second = small.submit(touches, tmp_path / "second", 0.0, requirements=one)
    small.wait(second, Phase.ended)
    phases = [(report.id, report.phase) for report in small.reports]
    assert phases.index((first, Phase.returned)) < phases.index((second, Phase.returned))


def test_a_python_that_cannot_start_is_told(tmp_path):
    bench = make_bench(tmp_path, command=["/bin/false"])
    with pytest.raises(UsageError, match="workers cannot be started"):
        for _ in range(20):
            bench.wait(bench.submit(touches, tmp_path / "x", 0.0, requirements=SMALL), Phase.ended)
    bench.batch.close()
    bench.reactor.close()


@moil.job
def gives_away():
    """Gives a local copy away, which stays, and then a file of its own, which goes."""
    Path("first").write_text("1")
    copy = moil.File.save("first", move=True).path()
    moil.File.save(copy, move=True)
    Path("own").write_text("2")
    moil.File.save(Path("own"), move=True)
    return copy.read_text(), sorted(one.name for one in Path.cwd().iterdir())


def test_a_work_directory_behind_a_link_is_one_like_any_other(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "there")
    bench = make_bench(tmp_path / "link")
    try:
        found = bench.outcome(bench.submit(gives_away))
        assert found.failure is None, found.failure
        assert codec.loads(codec.fetch(found.value, bench.store)) == ("1", [])
    finally:
        bench.batch.close()
        bench.reactor.close()
