"""An attempt's outcome, and how a failure is told."""

import os
import sys

import moil
from moil.adapters.memory import MemoryStore
from moil.runtime import codec, execute
from moil.runtime.execute import Execution, Place
from moil.runtime.records import Task


def test_a_file_of_a_view_is_shown_as_the_user_knows_it():
    view = os.path.join(sys.prefix, "roots", "0")
    assert execute.shown(f"{view}/workflow/main.py") == "workflow/main.py"
    assert execute.shown("/home/x/main.py") == "/home/x/main.py"


def test_a_traceback_of_a_view_has_its_lines_and_the_users_names(tmp_path, monkeypatch):
    monkeypatch.setattr(execute, "_ROOTS", f"{tmp_path}/roots/")
    file = tmp_path / "roots" / "0" / "main.py"
    file.parent.mkdir(parents=True)
    file.write_text("def job():\n    raise ValueError('alas')\n")
    names = {}
    exec(compile(file.read_text(), str(file), "exec"), names)
    try:
        names["job"]()
    except ValueError as error:
        failure = execute.describe(error)
    assert failure.where == "main.py:2 in job"
    assert 'File "main.py", line 2, in job\n    raise ValueError' in failure.traceback


@moil.service
def yields(number):
    """A service."""
    yield number


def test_what_a_service_yields_is_not_what_it_ends_with(tmp_path):
    store = MemoryStore()
    data, _ = codec.Encoder(None, lambda file: file).dumps((yields.bare(), (5,), {}))
    place = Place(store=store, cache=tmp_path, scratch=tmp_path, files=tmp_path, deferred=tmp_path / "deferred")
    execution = Execution(Task(job=3, attempt=2, name="yields", call=data, base=3, service=True), place)
    up = execution.start()
    value = up.value
    end = execution.stop()
    assert codec.loads(up.value) == 5
    assert up.value == value
    assert codec.loads(end.value) is None
    assert (up.job, up.attempt, end.job, end.attempt) == (3, 2, 3, 2)
