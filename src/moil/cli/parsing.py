"""What the command lines of all verbs have in common.

The essay at the head of a verb's module is its help text: it describes what is shown and, for a reading verb, the
fields of ``--json``, which stay as they are described.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from typing import Any, NoReturn

from moil.errors import UsageError


class Parser(argparse.ArgumentParser):
    """A parser whose complaint is one line, like every other error of the command."""

    def __init__(self, **options: Any) -> None:
        super().__init__(formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False, **options)

    def error(self, message: str) -> NoReturn:
        """Raises UsageError."""
        raise UsageError(f"{message}; see {self.prog} --help")


def verb_parser(module: str, essay: str | None) -> Parser:
    """The parser of the verb that `module` is; `essay` is the module's docstring."""
    return Parser(prog=f"moil {module.rpartition('.')[2]}", description=essay)


def store_parser(module: str, essay: str | None) -> Parser:
    """The parser of a verb that takes a STORE."""
    parser = verb_parser(module, essay)
    parser.add_argument("store", metavar="STORE", help="the job store of the run: what --job-store named")
    return parser


def reading_parser(module: str, essay: str | None) -> Parser:
    """The parser of a verb that takes a STORE and only reads it."""
    parser = store_parser(module, essay)
    add_json(parser)
    return parser


def add_json(parser: Parser) -> None:
    """``--json``."""
    parser.add_argument("--json", action="store_true", help="print one JSON object instead")


def print_json(fields: Mapping[str, Any]) -> None:
    """One JSON object."""
    json.dump(fields, sys.stdout, indent=2)
    print()
