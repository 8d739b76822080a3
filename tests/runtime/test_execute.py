"""How a failure is told."""

import os
import sys

from moil.runtime import execute


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
