"""The engine's options on the command line of a script.

Every setting of the settings classes becomes an option of an argparse parser, in groups of its own. The parser may be
ours or the user's: an option that it has already keeps its meaning, and the engine's is then called ``--moil-<name>``.
Toil's spellings are accepted and not shown. A value is judged when it is parsed, so that argparse names the option, but
kept as it was written, and only what was given gets into the namespace: `flags_from` hands exactly that to
`moil.settings.resolve`, which then knows where every value came from.

In the namespace an engine option lies under ``moil:<key>``, a name that no parameter of a function can have.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, TypeAlias

from moil import plugins
from moil.configuration import configured
from moil.errors import UsageError
from moil.measures import UNITS
from moil.settings import Given, Setting, read, settings_of

_DEST = "moil:"
_BATCH_SYSTEM = ("--batch-system", "--batchSystem", "--moil-batch-system")

_AddArgument: TypeAlias = Callable[..., argparse.Action]


def add_options(parser: argparse.ArgumentParser, words: Sequence[str]) -> None:
    """Give a parser that is to read these words an option for every setting."""
    known = plugins.settings_classes()
    add_engine_options(parser, *known)
    if any(word.startswith("--") for word in words):
        add_engine_options(parser, *_beside(known, _said(words) or configured()))


def _beside(known: Sequence[type[Any]], batch_system: str) -> Sequence[type[Any]]:
    return [one for one in plugins.settings_classes(batch_system) if one not in known]


def _said(words: Sequence[str]) -> str:
    """The batch system that a command line asks for, last of all; "" if none."""
    said = ""
    for place, word in enumerate(words):
        flag, _, value = word.partition("=")
        if flag in _BATCH_SYSTEM:
            said = value or "".join(words[place + 1 : place + 2])
    return said


def add_engine_options(parser: argparse.ArgumentParser, *classes: type[Any]) -> None:
    """Give `parser` an option for every setting of `classes`; call it after the parser's own options are there."""
    groups: dict[str, _AddArgument] = {}
    for one in settings_of(*classes):
        if one.group not in groups:
            groups[one.group] = parser.add_argument_group(one.group, conflict_handler="error").add_argument
        _add(groups[one.group], one)
        _add_toil_spellings(groups[one.group], one)


def flags_from(namespace: argparse.Namespace) -> dict[str, Given]:
    """The engine's options that were given, for `moil.settings.resolve`."""
    found: dict[str, object] = vars(namespace)
    return {name.removeprefix(_DEST): value for name, value in found.items() if isinstance(value, Given)}


class _Give(argparse.Action):
    def __init__(self, option_strings: Sequence[str], dest: str, *, many: bool = False, **rest: Any) -> None:
        super().__init__(option_strings, dest, **rest)
        self.many = many

    def __call__(
        self, _parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option_string: str | None = None
    ) -> None:
        value = self.const if self.nargs == 0 else values
        if self.many:
            before = getattr(namespace, self.dest, None)
            value = (*(before.value if before else ()), value)
        setattr(namespace, self.dest, Given(value, f"flag {option_string}"))


def _add(add: _AddArgument, one: Setting) -> None:
    if one.kind is bool:
        _add_flag(add, one, one.flag, _constant(True) | {"help": _help(one, shown=not one.default)})
        _add_flag(add, one, f"--no-{one.spelling}", _constant(False) | {"help": _help(one, shown=one.default)})
    else:
        _add_flag(add, one, one.flag, _valued(one) | {"help": _help(one)})


def _add_flag(add: _AddArgument, one: Setting, flag: str, how: dict[str, Any]) -> None:
    common = {"action": _Give, "dest": _DEST + one.key, "default": argparse.SUPPRESS}
    try:
        add(flag, **common, **how)
    except argparse.ArgumentError:
        if how["help"] != argparse.SUPPRESS:
            how["help"] += f" ({flag} is an option of the program)"
        add(f"--moil-{flag.removeprefix('--')}", **common, **how)


def _add_toil_spellings(add: _AddArgument, one: Setting) -> None:
    for spelling in one.details.get("toil", "").split():
        flag, _, constant = spelling.partition("=")
        how = (_constant(constant) if constant else _valued(one)) | {"help": argparse.SUPPRESS}
        with suppress(argparse.ArgumentError):
            add(flag, action=_Give, dest=_DEST + one.key, default=argparse.SUPPRESS, **how)


def _constant(value: object) -> dict[str, Any]:
    return {"nargs": 0, "const": value}


def _valued(one: Setting) -> dict[str, Any]:
    return {"type": _judge(one), "metavar": one.metavar, "many": one.many}


def _judge(one: Setting) -> Callable[[str], str]:
    def judge(text: str) -> str:
        try:
            read(one, (text,) if one.many else text, UNITS)
        except UsageError as error:
            raise argparse.ArgumentTypeError(str(error)) from None
        return text

    return judge


def _help(one: Setting, *, shown: bool = True) -> str:
    if not shown:
        return argparse.SUPPRESS
    negated = "do not " if one.default is True else ""
    default = "" if one.kind is bool or one.default in (None, ()) else f" (default: {_plain(one.default)})"
    return f"{negated}{one.details.get('help', '')}{default}".replace("%", "%%")


def _plain(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
