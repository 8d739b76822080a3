"""Run a job of a script that has no __main__ block, or of a module.

  moil run main.py a.txt b.txt --retries 3               the job main, or the only one in the file
  moil run main.py:align reads.fq --job-store run1       another one
  moil run -m analysis.main:align reads.fq               of a module, as after python -m

What stands behind the name of the script belongs to the job and to the engine: moil run main.py --help tells.

A script that names its dependencies in a block "# /// script" (PEP 723) is run in an environment that uv makes for it
once, and that is shipped to workers like any other.

The script is loaded as `multiprocessing.spawn` would, so a guarded block in it does not run. `sys.argv` and the first
entry of `sys.path` are what they would be under ``python main.py``.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
import traceback
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from moil import program
from moil.authoring.job import JobFunction
from moil.authoring.service import Service
from moil.cli.parsing import Parser, verb_parser
from moil.deployment import inline
from moil.errors import MoilError, UsageError
from moil.record import record
from moil.runtime import entry
from moil.runtime.interpreter import interpreter_flags
from moil.settings import nearest


def main(words: Sequence[str]) -> int:
    """``moil run SCRIPT[:FUNCTION] …``."""
    parser = verb_parser(__name__, __doc__)
    parser.usage = "moil run [-m] SCRIPT[:FUNCTION] …"
    parser.add_argument("-m", dest="is_module", action="store_true", help="SCRIPT is the name of a module")
    parser.add_argument("script", metavar="SCRIPT[:FUNCTION]", help="what to load, and the job to run")
    own = 2 if words[:1] == ["-m"] else 1
    _check_order(parser, words[:own])
    given = parser.parse_args(words[:own])
    target = _module(given.script) if given.is_module else _script(given.script)
    if target.script:
        _with_its_environment(target.script, words)
    command = [*_own_words(), "run", *words[:own]]
    module, loaded = _load(target, words[own:])
    callee = program.as_job(_chosen(module, target))
    return program.run_command(callee, words[own:], command=command, program=loaded)


def _check_order(parser: Parser, words: Sequence[str]) -> None:
    if words and words[-1].startswith("-") and words[-1] not in ("-h", "--help", "-m"):
        parser.error(f"{words[-1]} stands before the script; options of the job and of the engine follow it")


def _with_its_environment(script: str, words: Sequence[str]) -> None:
    """Go on in the environment that the script asks for, if it asks for one."""
    python = inline.python_for(inline.needs(script), lambda text: print(f"moil: {text}", file=sys.stderr, flush=True))
    if python:
        os.execv(python, [python, *interpreter_flags(), "-m", "moil", "run", *words])  # noqa: S606


@record
class _Target:
    """What to load: `name` as it was typed, without the function."""

    name: str
    script: str = ""
    module: str = ""
    function: str = ""


def _script(typed: str) -> _Target:
    name, function = _split(typed)
    if Path(typed).exists():
        name, function = typed, ""
    if Path(name).is_dir():
        raise UsageError(f"{name} is a directory; name a script in it, or use -m for a package")
    if not Path(name).exists():
        raise UsageError(f"{name}: no such file; give the path of a Python script, or use -m for a module")
    return _Target(name=name, script=os.path.abspath(name), function=function)


def _module(typed: str) -> _Target:
    name, function = _split(typed)
    return _Target(name=name, module=name, function=function)


def _split(typed: str) -> tuple[str, str]:
    name, colon, function = typed.rpartition(":")
    return (name, function) if colon and function.isidentifier() else (typed, "")


def _load(target: _Target, arguments: Sequence[str]) -> tuple[types.ModuleType, entry.Entry]:
    """The module, and what a worker needs to load it too. What it raises is shown as Python would show it."""
    if not sys.flags.safe_path:
        sys.path[:1] = [str(Path.cwd() if target.module else Path(target.script).resolve().parent)]
    try:
        module = _main_module(target.module)
        sys.argv[:] = [_origin(module) if module else target.name, *arguments]
        path = tuple(os.path.abspath(one) for one in sys.path)
        wanted = entry.Entry(script=target.script, module=module, path=path, argv=tuple(sys.argv))
        loaded = entry.load(wanted)
    except MoilError:
        raise
    except Exception as error:
        _show_traceback(error)
        raise UsageError(f"{target.name} cannot be loaded: {type(error).__name__}: {error}") from error
    assert loaded is not None
    return loaded, wanted


def _main_module(name: str) -> str:
    """The module that ``python -m`` would run: of a package, its ``__main__`` if it has one. Raises UsageError."""
    if not name:
        return ""
    spec = importlib.util.find_spec(name)
    if spec is None:
        raise UsageError(f"there is no module {name}; it is looked for in {Path.cwd()}, and where Python looks")
    inner = f"{name}.__main__"
    return inner if spec.submodule_search_locations is not None and importlib.util.find_spec(inner) else name


def _origin(module: str) -> str:
    spec = importlib.util.find_spec(module)
    return (spec.origin if spec else None) or module


def _show_traceback(error: Exception) -> None:
    """Without our own frames, which come first."""
    trace = error.__traceback__
    own = str(Path(program.__file__).parent)
    while trace is not None and trace.tb_frame.f_code.co_filename.startswith((own, "<frozen")):
        trace = trace.tb_next
    traceback.print_exception(type(error), error, trace)


def _chosen(module: types.ModuleType, target: _Target) -> Any:
    """The function to run. Raises UsageError, which lists the jobs."""
    jobs = _jobs(module)
    listed = f"its jobs are {', '.join(jobs)}" if jobs else "it has no job: put @moil.job above a function"
    if target.function:
        found = getattr(module, target.function, None)
        if found is None:
            raise UsageError(f"{target.name} has no {target.function!r}{nearest(target.function, jobs)}; {listed}")
    elif callable(getattr(module, "main", None)):
        found = module.main
    elif len(jobs) == 1:
        found = getattr(module, jobs[0])
    else:
        raise UsageError(f"{target.name} has no 'main', so say what to run: moil run {target.name}:FUNCTION; {listed}")
    return _runnable(found, target, listed)


def _runnable(found: Any, target: _Target, listed: str) -> Any:
    if isinstance(found, Service):
        what = "a service"
    elif isinstance(found, type):
        what = "a class"
    elif callable(found):
        return found
    else:
        what = f"of type {type(found).__name__}"
    raise UsageError(f"{target.function or 'main'} of {target.name} is {what}, so it cannot be run; {listed}")


def _jobs(module: types.ModuleType) -> list[str]:
    """The names of the jobs that were written in this module."""
    found: dict[str, Any] = vars(module)
    return [name for name, one in found.items() if isinstance(one, JobFunction) and one.__module__ == module.__name__]


def _own_words() -> list[str]:
    """What to type for this command: its name if that finds it, else what was typed."""
    typed = sys.argv[0]
    name = os.path.basename(typed)
    if name == "__main__.py":
        return sys.orig_argv[: len(sys.orig_argv) - len(sys.argv) + 1]
    found = shutil.which(name)
    return [name if found and os.path.abspath(found) == os.path.abspath(typed) else typed]
