"""The law: outside a run a job is its function, a service its context manager, and everything means the plain thing."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import moil
from moil import File
from moil.authoring.context import ambient
from moil.errors import CallError, FileError, GuardError, MoilError, RequirementError


@moil.job(cores=2, memory="1 GiB")
def double(number: int) -> int:
    """Twice as much."""
    return 2 * number


@moil.job
def chain(number: int) -> list[int]:
    return [double(number), double.options(memory=double(3), after=[double(1)], retries=2)(number), double.fn(number)]


@moil.service
def lamp(log: list[str], name: str = "lamp") -> Iterator[str]:
    log.append(f"{name} on")
    yield name
    log.append(f"{name} off")


@moil.job
def with_scratch() -> Path:
    path = moil.current().scratch / "x"
    path.write_text("x")
    return path


@moil.job
def saves() -> File:
    path = moil.current().scratch / "kept.txt"
    path.write_text("kept")
    return File.save(path)


@moil.job
def defers(log: list[str]) -> None:
    moil.defer(log.append, "first")
    moil.defer(log.append, "second")
    log.append("body")


class Holder:
    @moil.job
    def method(self, number: int) -> int:
        return number + 1


def test_a_job_is_its_function():
    assert double(4) == 8
    assert chain(5) == [10, 10, 10]
    assert (double.__name__, double.__doc__) == ("double", "Twice as much.")


def test_a_job_may_be_a_method():
    assert Holder().method(1) == 2


def test_a_service_is_a_context_manager():
    log: list[str] = []
    with lamp(log) as outer, lamp(log, "torch") as inner:
        assert (outer, inner) == ("lamp", "torch")
    assert log == ["lamp on", "torch on", "torch off", "lamp off"]


def test_a_service_is_entered_once():
    use = lamp([])
    with use:
        pass
    with pytest.raises(CallError, match="entered twice"), use:
        pass


def test_the_scratch_directory_is_gone_afterwards():
    assert not with_scratch().exists()


def test_a_saved_file_outlives_the_scratch_directory():
    assert saves().path().read_text() == "kept"


def test_deferred_calls_run_in_order_when_the_job_ends():
    log: list[str] = []
    defers(log)
    assert log == ["body", "first", "second"]


def test_there_is_nothing_to_wait_for_outside_a_job():
    with pytest.raises(MoilError, match="outside a job"):
        moil.defer(print)
    with pytest.raises(MoilError, match="outside a job"):
        moil.current()


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"memory": "4 GiBs"}, "memory of job noop: memory='4 GiBs' is not a size"),
        ({"cores": 0}, "cores=0 is not a number of cores"),
        ({"walltime": "soon"}, "walltime='soon' is not a time"),
        ({"accelerators": "a:b:c:d"}, "accelerators='a:b:c:d' is not understood"),
        ({"preemptible": "yes"}, "preemptible='yes' is not understood"),
        ({"retries": -1}, "retries=-1 of job noop is not a count"),
    ],
)
def test_a_malformed_requirement_is_told_where_it_is_written(options, complaint):
    def noop() -> None: ...

    with pytest.raises(RequirementError) as caught:
        moil.job(**options)(noop)
    assert complaint in str(caught.value)


def test_an_unknown_option_is_told():
    with pytest.raises(TypeError, match="no option 'colour'"):
        moil.job(colour="red")(print)


def test_what_is_no_function_is_no_job():
    with pytest.raises(TypeError, match="is for functions"):
        moil.job(3)


def test_a_run_during_the_import_of_the_program_is_refused():
    with ambient.load("main.py"), pytest.raises(GuardError, match="__main__"):
        moil.run(double, 1)


@pytest.mark.parametrize(
    ("name", "why"), [("none", "no such file"), ("file/none", "no such file"), ("a\0b", "no such file"), ("x" * 300, "File name too long")]
)
def test_a_file_that_cannot_be_had_is_told_with_its_path(tmp_path, name, why):
    (tmp_path / "file").touch()
    with pytest.raises(FileError, match=f"{name[:4]}.*: {why}"):
        File.save(tmp_path / name)


@moil.job
def saves_directory() -> File:
    path = moil.current().scratch / "tree"
    path.mkdir()
    (path / "x").write_text("kept")
    return File.save(path)


@pytest.mark.parametrize("kind", ["file", "directory"])
def test_what_is_given_away_is_gone_from_its_place(tmp_path, kind):
    path = tmp_path / "data"
    path.mkdir() if kind == "directory" else path.write_text("kept")
    file = File.save(path, move=True)
    assert not path.exists() and file.path().name == "data" and file.is_directory == (kind == "directory")


@pytest.mark.parametrize("kind", ["file", "directory"])
def test_of_a_link_only_the_link_is_given_away(tmp_path, kind):
    target = tmp_path / "data"
    if kind == "directory":
        target.mkdir()
        (target / "x").write_text("kept")
    else:
        target.write_text("kept")
    (tmp_path / "link").symlink_to("data")
    file = File.save(tmp_path / "link", move=True)
    assert target.exists() and not (tmp_path / "link").is_symlink()
    assert (file.path() / "x" if kind == "directory" else file.path()).read_text() == "kept"


def test_what_cannot_be_taken_from_its_place_stays_whole(tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "x").write_text("kept")

    def refused(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "rename", refused)
    monkeypatch.setattr(Path, "rename", refused)
    with pytest.raises(FileError, match="cannot give away .*data: Permission denied; save it without move=True"):
        File.save(tmp_path / "data", move=True)
    assert (tmp_path / "data" / "x").read_text() == "kept"


def test_what_a_job_has_kept_is_not_taken_from_others():
    kept = saves()
    again = File.save(kept.path(), move=True)
    assert kept.path().read_text() == again.path().read_text() == "kept"


def test_a_saved_directory_outlives_it_too():
    assert (saves_directory().path() / "x").read_text() == "kept"


def test_current_outside_a_run():
    @moil.job
    def who() -> tuple[int, str, int, bool]:
        now = moil.current()
        return now.job_id, now.name, now.attempt, now.requirements.preemptible

    assert who() == (0, "who", 1, False)


def test_deferred_calls_run_when_the_job_fails():
    log: list[str] = []

    @moil.job
    def fails() -> None:
        moil.defer(log.append, "cleaned")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    assert log == ["cleaned"]


def test_a_service_has_an_attempt_of_its_own():
    log: list[str] = []

    @moil.service
    def keeper() -> Iterator[str]:
        moil.defer(log.append, "swept")
        yield moil.current().name
        log.append("down")

    with keeper() as name:
        assert name == "keeper"
        assert log == []
    assert log == ["down", "swept"]


def test_in_the_block_of_a_service_the_attempt_is_still_the_jobs():
    @moil.job
    def who() -> str:
        with lamp([]):
            return moil.current().name

    assert who() == "who"


def test_a_service_goes_down_when_the_block_raises():
    log: list[str] = []

    @moil.service
    def careful() -> Iterator[None]:
        try:
            yield
        finally:
            log.append("down")

    with pytest.raises(ZeroDivisionError), careful():
        raise ZeroDivisionError
    assert log == ["down"]


def test_what_is_no_generator_is_no_service():
    with pytest.raises(TypeError, match="is for"):
        moil.service(3)


def test_a_service_that_does_not_come_up_is_tidied_up():
    log: list[object] = []

    @moil.service
    def broken() -> Iterator[None]:
        log.append(moil.current().scratch)
        assert moil.current().scratch is log[0]
        moil.defer(log.append, "swept")
        raise ZeroDivisionError
        yield

    with pytest.raises(ZeroDivisionError), broken():
        pass
    assert log[1:] == ["swept"]
    assert not log[0].exists()
