"""The three entry points of the engine: `run`, `main` and `add_options`.

Part of the composition root: what they need of the engine is put together in `moil.session`. Little is imported here, so
that a worker's interpreter can be started first: it comes up while the rest of the engine is brought in.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, ParamSpec, TypeVar

from moil import ending
from moil.authoring.context import Callee, ambient
from moil.authoring.file import File
from moil.authoring.job import JobFunction, job
from moil.errors import MoilError, UsageError, WorkflowFailed
from moil.runtime.interpreter import Interpreter, variables, worker_command

if TYPE_CHECKING:
    import argparse

    from moil.engine_settings import EngineSettings
    from moil.event_log import EventLog
    from moil.runtime.entry import Entry
    from moil.settings import Given, Resolved

P = ParamSpec("P")
R = TypeVar("R")

DECISIVE = frozenset({"batch-system", "batchsystem", "env", "help", "h", "version", "worker-python"})
"""Settings that decide whether a worker is needed on this machine, and which."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Give your own parser the engine's options; hand what it parses to ``moil.run(…, options=…)``."""
    from moil import options

    options.add_options(parser, sys.argv[1:])


def run(fn: Callable[..., R], /, *args: Any, options: argparse.Namespace | None = None, **settings: Any) -> R:
    """Run ``fn(*args)`` as the main job of a workflow, and return its value.

    Settings are those of the command line, as keyword arguments (``batch_system="slurm"``); what is not given comes
    from `options`, ``MOIL_*`` variables and configuration files. Raises WorkflowFailed if a job failed for good,
    Interrupted if the run was stopped, UsageError for a wrong setting.
    """
    ambient.refuse_run()
    with ExitStack() as stack:
        said = [name for name, value in settings.items() if (name, value) != ("batch_system", "local")]
        ahead = None if options else _guess(said, stack)
        return _run(as_job(fn), args, options, settings, ahead)  # type: ignore[no-any-return]


def _run(
    callee: Callee,
    args: Sequence[Any],
    options: argparse.Namespace | None,
    settings: Mapping[str, Any],
    ahead: Interpreter | None,
) -> Any:
    from moil import configuration

    flags: Mapping[str, Given] = {}
    if options:
        from moil.options import flags_from

        flags = flags_from(options)
    given = configuration.given_by_caller(settings, flags)
    found = configuration.settings_from(given)
    command = _command_line() if options else ()
    return start(callee, found, ahead=ahead, args=args, command=command)


def main(fn: Callable[..., Any], argv: Sequence[str] | None = None) -> NoReturn:
    """Make a command line of the function's signature, run it as a workflow, print the result, and exit.

    Exit status: 0 success, 1 the workflow failed, 2 the command line or the set-up is wrong, 130 interrupted.
    """
    ambient.refuse_run()
    if argv is None:
        ending.be_quick()
    raise SystemExit(run_command(as_job(fn), argv))


def run_command(
    callee: Callee,
    argv: Sequence[str] | None = None,
    *,
    command: Sequence[str] | None = None,
    program: Entry | None = None,
) -> int:
    """`main`, but for the exit: the exit status.

    `command` begins the words that start this program again; `program` is what workers load, this process's if None.
    """
    with ExitStack() as stack:
        ahead = _guess(sys.argv[1:] if argv is None else argv, stack)
        return _run_command(callee, argv, command, program, ahead)


def _run_command(
    callee: Callee,
    argv: Sequence[str] | None,
    command: Sequence[str] | None,
    program: Entry | None,
    ahead: Interpreter | None,
) -> int:
    from moil import configuration
    from moil.engine_settings import EngineSettings
    from moil.options import add_options, flags_from
    from moil.signature import command_line

    try:
        prog = shlex.join(command) if command else None
        make_file = File if "--restart" in (sys.argv if argv is None else argv) else File.from_url
        line = command_line(callee.fn, file_type=File, make_file=make_file, prog=prog)
        add_options(line.parser, sys.argv[1:] if argv is None else argv)
        call = line.parse(argv)
        resolved = configuration.settings_from(flags_from(call.namespace))
        found = resolved[EngineSettings]
        log = _log(found)
        words = _command_line() if command is None else [*command, *(argv or ())]
        bound = line.signature.bind(*call.args, **call.kwargs)
        bound.apply_defaults()
        bound.arguments.update({name: _at_home(one) for name, one in bound.arguments.items()})
        value = start(
            callee,
            resolved,
            ahead=ahead,
            log=log,
            args=bound.args,
            kwargs=bound.kwargs,
            arguments={name: _in_words(one) for name, one in bound.arguments.items()},
            command=words,
            program=program,
        )
        return _show(value, found.output)
    except MoilError as error:
        return _complain(error)
    except KeyboardInterrupt:
        print("moil: stopped at once; what is done is kept", file=sys.stderr)
        return 130


def start(
    callee: Callee,
    resolved: Resolved,
    *,
    ahead: Interpreter | None = None,
    log: EventLog | None = None,
    **more: Any,
) -> Any:
    """Run it in a session of its own, which says how it goes on standard error. `more` are fields of a `Start`."""
    from moil.engine_settings import EngineSettings

    settings = resolved[EngineSettings]
    ahead = _needed(settings, ahead)
    from moil.event_log import EventLog
    from moil.progress import observers_for
    from moil.session import Session, Start

    return Session(
        Start(
            callee=callee,
            settings=settings,
            others=resolved.instances,
            observers=lambda reasons: (log or EventLog(), *observers_for(settings, reasons)),
            say=lambda text: print(f"moil: {text}", file=sys.stderr),
            ahead=ahead,
            **more,
        )
    ).run()


def _log(settings: EngineSettings) -> EventLog:
    """What listens to it comes in when there is something to hear, unless it is to hear of everything. Raises UsageError."""
    from moil.event_log import EventLog

    def set_up() -> None:
        from moil import logs

        logs.set_up(settings)

    if settings.log_file is None and settings.log_level != "debug" and "logging" not in sys.modules:
        return EventLog(set_up)
    set_up()
    return EventLog()


def _guess(words: Iterable[str], stack: ExitStack) -> Interpreter | None:
    """A worker on this machine, if nothing of what was said is against it; `stack` ends it if it has not ended then.

    Most runs need one. If this one does not, because a file of settings says so, some time of another core is lost.
    """
    said = {word.lower().lstrip("-").partition("=")[0].replace("_", "-") for word in words}
    if said & DECISIVE or any(f"MOIL_{name.replace('-', '_').upper()}" in os.environ for name in DECISIVE):
        return None
    ahead = Interpreter(worker_command(None), os.environ)
    stack.callback(ahead.close, 0.0)
    return ahead


def _needed(settings: EngineSettings, guessed: Interpreter | None) -> Interpreter | None:
    """The worker that a run on this machine needs."""
    if settings.batch_system != "local":
        return None
    command, env = worker_command(settings.worker_python), {**os.environ, **variables(settings.env)}
    if guessed is not None and (guessed.command, guessed.env) == (command, env):
        return guessed
    return Interpreter(command, env)


def as_job(fn: Callable[..., Any]) -> JobFunction[..., Any]:
    """The function as a job, with no options of its own unless it has them. Raises UsageError."""
    if isinstance(fn, JobFunction):
        return fn
    if not callable(fn):
        raise UsageError(f"{fn!r} is not a function, so it cannot be run")
    return job(fn)


def _at_home(value: Any) -> Any:
    """Paths on the command line are relative to where it was typed; jobs run elsewhere."""
    if isinstance(value, Path):
        return Path(os.path.abspath(value))
    if type(value) in (list, tuple, set, frozenset):
        return type(value)(_at_home(one) for one in value)
    return value


def _in_words(value: Any) -> str:
    """An argument as people know it; a file by its name, since it has been stored and need not be there any more."""
    if isinstance(value, File):
        return value.name
    if type(value) in (list, tuple):
        return ", ".join(_in_words(one) for one in value)
    return repr(value)


def _command_line() -> list[str]:
    """The words that started this program, whatever it has done to `sys.argv` since."""
    return list(sys.orig_argv)


def _show(value: Any, output: str | None) -> int:
    """Print the result; files in it go to `output`, or beside us under their own names."""
    if isinstance(value, File):
        print(_export(value, output))
        return 0
    from moil.result import render_result

    text = render_result(value, default=lambda one: _export_into(one, output))
    if text is not None:
        print(text)
    return 0


def _export(file: File, output: str | None) -> str:
    if output is None:
        target = _free_name(Path(file.name))
    elif os.path.isdir(output) or output.endswith("/"):
        target = Path(output, file.name)
    else:
        file.export(output)
        return output
    file.export(target)
    return str(target)


def _export_into(value: Any, output: str | None) -> Any:
    """A file among others in a result: `output` is a directory."""
    if not isinstance(value, File):
        raise TypeError
    target = Path(output, value.name) if output else _free_name(Path(value.name))
    file_there = _free_name(target) if target.exists() and not output else target
    value.export(file_there)
    return str(file_there)


def _free_name(wanted: Path) -> Path:
    """A result never replaces a file that nobody named."""
    number, path = 1, wanted
    while path.exists():
        path = wanted.with_name(f"{wanted.stem}-{number}{wanted.suffix}")
        number += 1
    return path


def _complain(error: MoilError) -> int:
    if isinstance(error, WorkflowFailed) and error.report:
        print(f"\n{error.report}\n", file=sys.stderr)
    print(f"moil: {error}", file=sys.stderr)
    return error.exit_status
