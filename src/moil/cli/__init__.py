"""The `moil` command: looks at runs, starts them, ends them, clears them away. A file per verb.

A verb is a module with a ``main(words)`` that returns the exit status. It is imported when it is asked for, so that
``moil --help`` costs no more than this file. Whatever a verb raises is put into one line here: its message says which
thing, why, and what to do, and its class says the exit status (see `moil.errors`).
"""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import sys
from collections.abc import Sequence

import moil
from moil import ending
from moil.cli.parsing import Parser
from moil.errors import MoilError, UsageError

VERBS = {
    "run": "run a script that has no __main__ block",
    "status": "where a run stands, and what to do next",
    "explain": "why a job is not running",
    "logs": "what jobs have printed",
    "stats": "what jobs used, and what they should ask for",
    "cancel": "end a run that is under way",
    "clean": "remove a run",
    "deploy": "what would be shipped to workers, and what was",
    "doctor": "check a cluster's set-up",
    "config": "each setting, its value and where it came from",
}
"""The verbs and what they do, in the order in which people meet them."""

_CLOSED_PIPE = 141
_INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Do what the command line says; the exit status."""
    if argv is None:
        ending.be_quick()
    try:
        status = _dispatch(list(sys.argv[1:] if argv is None else argv))
        sys.stdout.flush()
        return status
    except MoilError as error:
        print(f"moil: {error}", file=sys.stderr)
        return error.exit_status
    except BrokenPipeError:
        _let_go_of_output()
        return _CLOSED_PIPE
    except KeyboardInterrupt:
        return _INTERRUPTED


def _dispatch(words: list[str]) -> int:
    given, rest = (words[0], words[1:]) if words else ("--help", [])
    if given not in VERBS:
        return _without_verb(words)
    if given != "run" and isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    status: int = importlib.import_module(f"moil.cli.{given}").main(rest)
    return status


def _without_verb(words: Sequence[str]) -> int:
    """Help, the version, or a word that is no verb."""
    verbs = "\n".join(f"  {name:<9} {help_text}" for name, help_text in VERBS.items())
    parser = Parser(
        prog="moil",
        usage="moil VERB …   (moil VERB --help tells more)",
        description=f"Python functions as durable workflows.\n\n{verbs}",
        epilog="A script of your own is started as such: python main.py --help",
    )
    parser.add_argument("--version", action="version", version=f"moil {moil.__version__}")
    if words and not words[0].startswith("-"):
        raise UsageError(f"there is no verb {words[0]!r}{_nearest(words[0])}; see moil --help")
    parser.parse_args(words)
    parser.print_help()
    return 0


def _nearest(word: str) -> str:
    return importlib.import_module("moil.settings").nearest(word, VERBS)  # type: ignore[no-any-return]


def _let_go_of_output() -> None:
    """Nobody reads any more: keep the interpreter from complaining about that when it ends."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
