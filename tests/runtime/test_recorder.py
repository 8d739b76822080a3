"""What a running job's calls go to: taken down and checked at once, in the user's own stack frame."""

from collections.abc import Iterator
from pathlib import Path

import pytest

import moil
from moil import File
from moil.adapters.memory import MemoryStore
from moil.authoring.context import ambient
from moil.authoring.promise import details
from moil.core.records import Call, PromiseRef, Stored
from moil.core.requirements import GIB, Accelerator, Ceiling, Request, Requirements
from moil.errors import CallError, MoilError, PromiseError, RequirementError
from moil.runtime import codec, deferred
from moil.runtime.files import FileAccess
from moil.runtime.recorder import AttemptRecorder
from moil.runtime.records import Needs, Task


@moil.job
def double(number: int) -> int:
    return 2 * number


@moil.job(memory="1 GiB", retries=3, checkpoint=True, local=True)
def heavy(*things: object, **named: object) -> tuple[int, int]:
    return (1, 2)


@moil.service(cores=2)
def lamp(name: str = "lamp") -> Iterator[str]:
    yield name


@moil.service
def torch(name: str) -> Iterator[str]:
    yield name


class Attempt:
    """A recorder at work, and what it has taken down."""

    def __init__(self, home: Path, *, service: bool = False, ceiling: Ceiling = Ceiling()) -> None:
        self.store = MemoryStore()
        self.home = home
        task = Task(job=7, attempt=2, name="main", call=b"", base=1, service=service, needs=Needs(Requirements(), ceiling))
        self.files = FileAccess(self.store, home / "cache", home / "files")
        self.recorder = AttemptRecorder(
            task, self.store, files=self.files, scratch=home / "scratch", deferred_calls=home / "deferred"
        )

    def __enter__(self) -> "Attempt":
        self._recording = ambient.recording(self.recorder)
        self._recording.__enter__()
        return self

    def __exit__(self, *why: object) -> None:
        self._recording.__exit__(*why)

    @property
    def calls(self) -> list[Call]:
        return self.recorder.calls

    def arguments(self, index: int) -> object:
        data = codec.fetch(self.calls[index].task, self.store)
        return codec.loads(data, lambda call, path: f"value {call} {path}")


@pytest.fixture
def attempt(tmp_path):
    with Attempt(tmp_path) as recording:
        yield recording


def test_a_call_is_taken_down(attempt):
    promise = double(3)
    assert details(promise).call == 0
    (call,) = attempt.calls
    assert (call.name, call.service, call.needs, call.after, call.services, call.request) == ("double", False, (), (), (), Request())
    assert attempt.arguments(0) == (double, (3,), {})


def test_options_are_taken_down(attempt):
    heavy(1)
    call = attempt.calls[0]
    assert call.request == Request(memory=GIB)
    assert (call.retries, call.checkpoint, call.local) == (3, True, True)
    heavy.options(name="light", memory=5, cores=0.5)(2)
    assert (attempt.calls[1].name, attempt.calls[1].request) == ("light", Request(memory=5, cores=0.5))


def test_promises_in_arguments_are_needs(attempt):
    one, two = double(1), double(2)
    heavy([two], key={"deep": (one, two)})
    assert attempt.calls[2].needs == (0, 1)
    assert attempt.arguments(2) == (heavy, (["value 1 ()"],), {"key": {"deep": ("value 0 ()", "value 1 ()")}})


def test_parts_and_unpacking(attempt):
    left, right = heavy()
    double(right)
    assert attempt.calls[1].needs == (0,)
    assert attempt.arguments(1)[1] == ("value 0 (('item', 1),)",)


def test_requirements_may_be_promised(attempt):
    sizes = heavy()
    double.options(memory=sizes[0], cores=sizes["k"].cores, disk="1 KiB")(1)
    call = attempt.calls[1]
    assert call.needs == (0,)
    assert call.request == Request(disk=1024)
    assert call.promised == (
        ("memory", PromiseRef(call=0, path=(("item", 0),))),
        ("cores", PromiseRef(call=0, path=(("item", "k"), ("attr", "cores")))),
    )


def test_a_promised_requirement_cannot_have_just_any_key(attempt):
    with pytest.raises(PromiseError, match=r"memory of job double is heavy\(…\)\[1.5\]: only text and numbers can be keys there"):
        double.options(memory=heavy()[1.5])(1)


def test_what_no_machine_can_meet_is_refused_at_the_call(tmp_path):
    with Attempt(tmp_path, ceiling=Ceiling(memory=GIB, accelerators=1)) as attempt:
        with pytest.raises(RequirementError, match="job double asks for memory=2 GiB, but the most.*: lower it, or run where"):
            double.options(memory=2 * GIB)(1)
        with pytest.raises(RequirementError, match="2 accelerator"):
            double.options(accelerators=(Accelerator(count=2),))(1)
    assert attempt.calls == []


def test_follow_ons(attempt):
    one, two = double(1), double(2)
    double.options(after=[two, one, two])(3)
    double.options(after=one)(3)
    double.options(after="a plain value has settled")(3)
    assert [call.after for call in attempt.calls[2:]] == [(0, 1), (0,), ()]


def test_follow_ons_of_promises_in_containers(attempt):
    many = [double(1), double(2)]
    double.options(after=[many, {"k": double(3)}])(3)
    assert attempt.calls[3].after == (0, 1, 2)


def test_clients_of_services(attempt):
    with lamp() as outer:
        double(outer)
        with torch(outer) as inner:
            heavy(inner)
        double(2)
    double(3)
    services = {call.name: call.services for call in attempt.calls}
    assert [(call.name, call.services) for call in attempt.calls] == [
        ("lamp", ()),
        ("double", (0,)),
        ("torch", (0,)),
        ("heavy", (0, 2)),
        ("double", (0,)),
        ("double", ()),
    ]
    assert services["torch"] == (0,)
    assert [call.service for call in attempt.calls] == [True, False, True, False, False, False]
    assert attempt.calls[0].request == Request(cores=2.0)
    assert attempt.calls[3].needs == (2,)


def test_a_block_that_raises_is_left(attempt):
    with pytest.raises(ZeroDivisionError), lamp():
        raise ZeroDivisionError
    double(1)
    assert attempt.calls[1].services == ()


def test_a_client_cannot_follow_on_its_own_service(attempt):
    with lamp() as light, pytest.raises(CallError, match="job double would wait for ever:.*the service lamp has settled.*after the with"):
        double.options(after=light)(1)
    double.options(after=light)(1)
    assert attempt.calls[1].after == (0,)


def test_in_a_service_a_call_is_a_call(tmp_path):
    with Attempt(tmp_path, service=True) as attempt:
        assert double(4) == 8
        with pytest.raises(CallError, match="service main uses the service lamp; nest them in the job instead"), lamp():
            pass
    assert attempt.calls == []


def test_a_wrong_call_is_told_at_the_call(attempt):
    with pytest.raises(TypeError, match=r"job double is called wrongly: missing a required argument: 'number'; call it as double"):
        double()
    with pytest.raises(TypeError, match="unexpected keyword argument 'x'"):
        double(1, x=2)
    assert attempt.calls == []


def test_a_promise_of_another_job_is_refused(attempt, tmp_path):
    with Attempt(tmp_path / "other"):
        foreign = double(1)
    with pytest.raises(PromiseError, match="promise of another job's call"):
        double(foreign)
    with pytest.raises(PromiseError, match=r"after= of job double is double\(…\), a promise of another job's call"):
        double.options(after=foreign)(1)
    with pytest.raises(PromiseError, match="memory of job double is .* a promise of another job's call"):
        double.options(memory=foreign)(1)


def test_an_argument_that_cannot_be_stored_is_named(attempt):
    with pytest.raises(CallError, match="argument 'number' of job double cannot be stored: cannot pickle 'generator' object"):
        double(x for x in [1])
    with pytest.raises(CallError, match="argument 'things' of job heavy cannot be stored"):
        heavy(1, (x for x in [1]), k=2)


def test_one_that_is_nested_too_deeply_is_told(attempt):
    nested: list[object] = []
    for _ in range(100_000):
        nested = [nested]
    with pytest.raises(CallError, match="an argument of job double is nested too deeply to be stored; pass a flatter one"):
        double(nested)


def test_a_job_that_cannot_be_stored_itself_is_told(attempt):
    generator = (x for x in [1])
    local = moil.job(lambda: generator)
    with pytest.raises(CallError, match="job <lambda> itself cannot be stored: .*; define it at the top level of a module"):
        local()


def test_a_local_job_is_stored_by_value(attempt):
    factor = 5

    @moil.job
    def local(number: int) -> int:
        return factor * number

    local(2)
    callee, args, _ = attempt.arguments(0)
    assert callee.fn(*args) == 10


def test_large_arguments_are_objects_of_their_own(attempt):
    heavy(b"x" * 100_000)
    assert isinstance(attempt.calls[0].task, Stored)
    assert attempt.arguments(0)[1] == (b"x" * 100_000,)


def test_files_in_arguments_are_saved(attempt):
    path = attempt.home / "x.txt"
    path.write_text("content")
    heavy(File(path))
    digest = codec.content_digest(b"content")
    assert attempt.files.saved == {digest}
    assert attempt.store.get(f"files/{digest}") == b"content"


def test_saving_and_fetching(attempt):
    path = attempt.home / "x.txt"
    path.write_text("content")
    saved = File.save(path)
    path.write_text("changed")
    assert (saved.name, saved.path().read_text()) == ("x.txt", "content")


def test_the_attempt_knows_itself(attempt):
    now = moil.current()
    assert (now.job_id, now.name, now.attempt, now.scratch) == (7, "main", 2, attempt.home / "scratch")
    assert now.requirements.cores == 1.0


def test_deferred_calls_are_written_down(attempt):
    moil.defer((attempt.home / "made").write_text, "late")
    assert deferred.pending(attempt.home / "deferred")
    deferred.run(attempt.home / "deferred")
    assert (attempt.home / "made").read_text() == "late"


def test_a_moil_error_is_not_dressed_up(attempt):
    with pytest.raises(MoilError, match="cannot save .*/none: No such file or directory"):
        heavy(File(attempt.home / "none"))
