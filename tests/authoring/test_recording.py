"""Inside an attempt everything goes to its recorder, and nothing is done here and now."""

import copy
import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest

import moil
from moil import File
from moil.authoring.context import Options, ambient
from moil.authoring.job import JobFunction, found_at
from moil.authoring.promise import Details, Promise
from moil.errors import GuardError, MoilError, RequirementError


@moil.job(cores=2)
def double(number: int) -> int:
    return 2 * number


@moil.job(name="twice")
def renamed() -> None: ...


@moil.service(memory="1 GiB")
def lamp(name: str = "lamp") -> Iterator[str]:
    yield name


@moil.service(name="sun")
def star() -> Iterator[None]:
    yield


class Notebook:
    """A recorder that only takes down."""

    current = type("Attempt", (), {"name": "main", "scratch": Path("/scratch")})()

    def __init__(self) -> None:
        self.notes: list[object] = []

    def call(self, callee, args, kwargs):
        self.notes.append(("call", callee.name, args, kwargs))
        return Promise(Details(self, len(self.notes), callee.name, lambda: None))

    def enter(self, callee, args, kwargs):
        self.notes.append(("enter", callee.name, args, kwargs))
        return Promise(Details(self, len(self.notes), callee.name, lambda: None))

    def leave(self, promise):
        self.notes.append(("leave", repr(promise)))

    def defer(self, fn, args, kwargs):
        self.notes.append(("defer", fn, args, kwargs))

    def save(self, path, *, move=False):
        self.notes.append(("give away" if move else "save", Path(path).name))
        return File.stored(Path(path).name, "0" * 64, 3)

    def fetch(self, file):
        self.notes.append(("fetch", file.name))
        return Path("/local") / file.name


@pytest.fixture
def notes():
    recorder = Notebook()
    with ambient.recording(recorder):
        yield recorder.notes
    assert ambient.recorder is None


def test_a_call_is_a_promise(notes):
    assert repr(double(3)) == "<promise of double(…)>"
    double.options(name="other")(number=4)
    assert notes == [("call", "double", (3,), {}), ("call", "other", (), {"number": 4})]


def test_fn_is_no_call(notes):
    assert double.fn(3) == 6
    assert notes == []


def test_a_block_marks_the_clients_of_a_service(notes):
    with lamp("torch") as name:
        double(name)
    kinds = [one[0] for one in notes]
    assert kinds == ["enter", "call", "leave"]


def test_a_block_is_left_when_it_raises(notes):
    with pytest.raises(ZeroDivisionError), lamp():
        double(1 // 0)
    assert [one[0] for one in notes] == ["enter", "leave"]


def test_defer_and_current(notes):
    moil.defer(print, 1, end="")
    assert notes == [("defer", print, (1,), {"end": ""})]
    assert moil.current().name == "main"


def test_files_are_stored_and_fetched(notes, tmp_path):
    (tmp_path / "x").write_text("abc")
    saved = File.save(tmp_path / "x")
    assert (saved.name, saved.digest) == ("x", "0" * 64)
    assert File.save(tmp_path / "x", name="y", move=True).name == "y"
    assert saved.path() == Path("/local/x")
    assert saved.size == 3
    assert [one[0] for one in notes] == ["save", "give away", "fetch"]


def test_the_recorder_before_is_there_again():
    outer, inner = Notebook(), Notebook()
    with ambient.recording(outer):
        with ambient.recording(inner):
            double(1)
        double(2)
    assert (len(outer.notes), len(inner.notes)) == (1, 1)


def test_a_job_cannot_start_a_run(notes):
    with pytest.raises(MoilError, match="job main starts a run of its own; call the job directly instead"):
        moil.run(double, 1)


def test_nor_can_a_script_that_is_being_imported():
    with ambient.load("main.py"), pytest.raises(GuardError) as told:
        moil.main(double)
    first, second = str(told.value).splitlines()
    assert first.startswith("main.py starts a run while ")
    assert second == 'Put the line that starts the run under:  if __name__ == "__main__":'


def test_anywhere_else_a_run_may_start():
    ambient.refuse_run()


def test_only_what_another_process_can_find_is_found():
    assert found_at(__name__, "Notebook.call") is Notebook.call
    assert found_at(__name__, "no_such_name.at_all") is None
    assert found_at("no_such_module", "name") is None
    assert found_at(None, "name") is None


def test_options_add_up_and_none_takes_one_back():
    changed = double.options(memory="1 KiB", retries=2).options(disk=5, cores=None, checkpoint=True, local=True)
    assert changed.settings.request == {"memory": 1024, "disk": 5}
    assert (changed.settings.retries, changed.settings.checkpoint, changed.settings.local) == (2, True, True)
    assert double.settings.request == {"cores": 2.0}


@pytest.mark.parametrize(("after", "kept"), [("one", ("one",)), (["a", "b"], ("a", "b")), (("a",), ("a",)), ({"a"}, ("a",))])
def test_after_is_one_or_many(after, kept):
    assert double.options(after=after).settings.after == kept


@pytest.mark.parametrize("wrong", [True, -1, 1.5, "many"])
def test_retries_are_a_count(wrong):
    with pytest.raises(RequirementError, match="of job double is not a count: give 0 or more"):
        double.options(retries=wrong)


def test_a_service_has_options_too():
    assert lamp.options(memory="2 KiB").settings.request == {"memory": 2048}
    with pytest.raises(RequirementError, match="memory of job lamp: memory='lots' is not a size"):
        lamp.options(memory="lots")
    with pytest.raises(TypeError, match="job lamp has no option 'colour'"):
        lamp.options(colour="red")


def test_requirements_may_be_promises(notes):
    promise = double(3)
    assert double.options(memory=promise).settings.request["memory"] is promise


def test_names():
    assert [one.name for one in (double, renamed, lamp, star)] == ["double", "twice", "lamp", "sun"]
    assert [repr(one) for one in (renamed, star)] == ["<job twice>", "<service sun>"]
    assert moil.job(Notebook).name == "Notebook"


def test_what_has_no_name_is_called_after_its_type():
    class Callable:
        def __call__(self) -> None: ...

    assert JobFunction(Callable(), Options()).name == "Callable"


@pytest.mark.parametrize("one", [double, renamed, lamp, star])
def test_jobs_travel_by_name(one):
    assert pickle.loads(pickle.dumps(one)) is one
    assert copy.deepcopy(one) is one


@pytest.mark.parametrize("one", [double, lamp])
def test_options_travel_too(one):
    there = pickle.loads(pickle.dumps(one.options(memory=7)))
    assert there.settings.request["memory"] == 7
    assert there.fn is one.fn
    assert one.options(memory=7).bare() is one


@pytest.mark.parametrize("kind", [moil.job, moil.service])
def test_what_cannot_be_found_by_name_travels_by_value(kind):
    here = kind(local_function)
    there = pickle.loads(pickle.dumps(here))
    assert there.fn is local_function
    assert here.bare() is here


def local_function() -> Iterator[int]:
    yield 1


class Holder:
    @moil.job
    def method(self) -> str:
        return "called"


def test_a_method_of_the_class_is_the_job_itself():
    assert Holder.method.name == "method"
    assert Holder().method() == "called"
    assert Holder().method.name == "method"
    assert isinstance(Holder.method, JobFunction)
