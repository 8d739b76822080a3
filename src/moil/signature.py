"""A function's signature as a command line.

A parameter without a default is a positional argument, one with a default an option, and one that can only be given by
keyword an option in any case. An annotation says how a word is read; a collection takes many words, a `dict` words such
as NAME=VALUE. What is not annotated is of its default's type, else text. The docstring's first paragraph describes the
command, its lines about parameters (in Google's, NumPy's or Sphinx's style) describe them. A parameter that no word can
stand for is an error when the command line is built, not when it is used.

An option that is not given stays out of the call, so that the function's own default is the only one. Options may stand
between positional arguments; behind ``--`` nothing is an option. argparse takes ``-1e-9`` for an option, so such a number
is shielded from it by a blank.
"""

from __future__ import annotations

import argparse
import inspect
import os
import re
import sys
from collections import abc
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from enum import Enum
from itertools import takewhile
from pathlib import PurePath
from types import GenericAlias, NoneType, SimpleNamespace, UnionType
from typing import Any, Literal, NamedTuple, NoReturn, TypeAlias, Union, get_args, get_origin, get_type_hints

from moil.errors import MoilError, UsageError
from moil.record import changed, record
from moil.settings import nearest

Reader: TypeAlias = Callable[[str], Any]
"""From one word of the command line to a value; raises ValueError, or a MoilError whose message is for the user."""

_COLLECTIONS: dict[Any, Callable[[Iterable[Any]], Any]] = {
    **dict.fromkeys((list, abc.Iterable, abc.Collection, abc.Sequence, abc.MutableSequence), list),
    **dict.fromkeys((set, abc.Set, abc.MutableSet), set),
    frozenset: frozenset,
}
_NEVER_BY_NAME = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.VAR_POSITIONAL)
_SCIENTIFIC = r"(?i)-(?:(?:\d+\.?\d*|\.\d+)e[+-]?\d+|inf|nan)"
_MAPPINGS = (dict, abc.Mapping, abc.MutableMapping)
_TRUTH = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


class Call(NamedTuple):
    """What to call the function with, and the namespace that holds everything else, such as the engine's options."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    namespace: argparse.Namespace


@record(kw_only=False)
class CommandLine:
    """The command line of a function; its `parser` may be given further options before `parse` is called."""

    parser: argparse.ArgumentParser
    signature: inspect.Signature
    forms: Mapping[str, _Form]

    def parse(self, argv: Sequence[str] | None = None) -> Call:
        """Read a command line (``sys.argv`` if None). A wrong one ends the process: usage, one line, exit status 2."""
        words = [_shielded(word) for word in (sys.argv[1:] if argv is None else argv)]
        namespace = self.parser.parse_args(words) if "--" in words else self.parser.parse_intermixed_args(words)
        found = vars(namespace)
        bound = self.signature.bind_partial()
        for name, form in self.forms.items():
            if name in found and not (form.rest and not found[name]):
                bound.arguments[name] = self._value(form, found[name])
        if any(self.forms[name].parameter.kind in _NEVER_BY_NAME for name in bound.arguments):
            bound.apply_defaults()
        return Call(bound.args, bound.kwargs, namespace)

    def _value(self, form: _Form, found: Any) -> Any:
        if form.collect is None:
            return found
        if form.positional and form.optional and not found:
            return None
        try:
            return form.collect(found)
        except argparse.ArgumentTypeError as error:
            self.parser.error(f"argument {form.flag or form.shown}: {error}")


def command_line(
    fn: Callable[..., object], *, file_type: type, make_file: Callable[[str], Any], prog: str | None = None
) -> CommandLine:
    """The command line of `fn`; where a `file_type` is wanted, `make_file` makes one from a path or URL.

    The usage line speaks of engine options: `moil.options.add_engine_options` is to add them to the parser.
    Raises UsageError, naming the parameter and the cure, for a parameter that cannot be given on a command line.
    """
    target = inspect.unwrap(fn)
    signature = inspect.signature(target)
    grammar = _Grammar(target, file_type, make_file)
    forms = {one.name: grammar.form(one) for one in signature.parameters.values()}
    grammar.check(forms.values())
    doc = (inspect.getdoc(target) or "").splitlines()
    parser = argparse.ArgumentParser(
        prog=prog, description=_summary(doc), formatter_class=_Formatter, add_help=False, allow_abbrev=False
    )
    flags = ["-h"] if any(form.flag == "--help" for form in forms.values()) else ["-h", "--help"]
    parser.add_argument(*flags, action="help", help="show this help and exit")
    described = _described(doc)
    for name, form in forms.items():
        try:
            _add(parser, form, described.get(name, ""))
        except argparse.ArgumentError:
            grammar.refuse(form.parameter, f"its option {form.flag} is that of another parameter")
    usage = parser.format_usage().partition(": ")[2].strip()
    parser.usage = f"{usage} [engine options]".replace("%", "%%")
    return CommandLine(parser, signature, forms)


@record(kw_only=False)
class _Form:
    parameter: inspect.Parameter
    read: Reader
    choices: tuple[str, ...] = ()
    metavar: str | None = None
    collect: Callable[[Any], Any] | None = None
    count: int | None = None
    optional: bool = False

    @property
    def rest(self) -> bool:
        return self.parameter.kind is inspect.Parameter.VAR_POSITIONAL

    @property
    def required(self) -> bool:
        return self.parameter.default is inspect.Parameter.empty and not self.rest

    @property
    def switch(self) -> bool:
        return self.read is _truth and not self.collect

    @property
    def positional(self) -> bool:
        by_place = self.required and self.parameter.kind is not inspect.Parameter.KEYWORD_ONLY and not self.switch
        return by_place or self.rest

    @property
    def greedy(self) -> bool:
        return self.positional and self.collect is not None and self.count is None

    @property
    def nargs(self) -> int | str | None:
        if self.collect is None:
            return "?" if self.positional and self.optional else None
        if self.count is not None:
            return self.count
        return "+" if self.positional and not self.optional and not self.rest else "*"

    @property
    def shown(self) -> str:
        return (self.parameter.name.strip("_") or self.parameter.name).replace("_", "-")

    @property
    def flag(self) -> str | None:
        return None if self.positional else f"--{self.shown}"


class _Formatter(argparse.HelpFormatter):
    """As wide as the terminal; argparse would bring in `shutil` to ask, and asks for every command line."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=_columns() - 2)


def _columns() -> int:
    with suppress(ValueError, OSError):
        return int(os.environ.get("COLUMNS", "0")) or os.get_terminal_size(1).columns or 80
    return 80


class _Switch(argparse.Action):
    def __call__(
        self, _parser: argparse.ArgumentParser, namespace: argparse.Namespace, _values: Any, option_string: str | None = None
    ) -> None:
        setattr(namespace, self.dest, option_string == self.option_strings[0])

    def format_usage(self) -> str:
        return " | ".join(self.option_strings)


def _add(parser: argparse.ArgumentParser, form: _Form, text: str) -> None:
    name, help_text = form.parameter.name, _help(form, text)
    if form.positional:
        parser.add_argument(name, metavar=form.shown, type=_reporting(form.read), nargs=form.nargs, help=help_text)
    elif form.switch:
        given = form.required and not form.optional
        absent = None if form.required and form.optional else argparse.SUPPRESS
        flags = (f"--{form.shown}", f"--no-{form.shown}")
        parser.add_argument(*flags, dest=name, action=_Switch, nargs=0, default=absent, required=given, help=help_text)
    else:
        parser.add_argument(
            f"--{form.shown}",
            dest=name,
            action="extend" if form.nargs == "*" else "store",
            nargs=form.nargs,
            type=_reporting(form.read),
            default=argparse.SUPPRESS,
            required=form.required,
            metavar="{" + ",".join(form.choices) + "}" if form.choices else form.metavar or form.shown.upper(),
            help=help_text,
        )


def _shielded(word: str) -> str:
    return f" {word}" if _is_scientific(word) else word


def _unshielded(word: str) -> str:
    return word[1:] if _is_scientific(word[1:]) else word


def _is_scientific(word: str) -> bool:
    return word.startswith("-") and re.fullmatch(_SCIENTIFIC, word) is not None


def _reporting(read: Reader) -> Reader:
    def reader(shielded: str) -> Any:
        word = _unshielded(shielded)
        try:
            return read(word)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"{word!r} {error}") from None
        except OSError as error:
            raise argparse.ArgumentTypeError(f"{word!r}: {error.strerror or error}") from None
        except MoilError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return reader


def _help(form: _Form, text: str) -> str:
    choices = f"one of {', '.join(form.choices)}" if form.positional and form.choices else ""
    said = "; ".join(part for part in (text, choices) if part)
    default = _shown_default(form)
    return (f"{said} (default: {default})".strip() if default else said).replace("%", "%%")


def _shown_default(form: _Form) -> str:
    default = form.parameter.default
    if form.required or form.rest or default is None or default is False:
        return ""
    return f"--{form.shown}" if default is True else _shown(default)


def _shown(value: object) -> str:
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, Mapping):
        return " ".join(f"{name}={_shown(item)}" for name, item in value.items())
    if isinstance(value, list | tuple | set | frozenset):
        return " ".join(_shown(item) for item in value)
    return str(value)


@record(kw_only=False)
class _Grammar:
    """Which forms there are; it names function, parameter and cure where there is none."""

    target: Callable[..., object]
    file_type: type
    make_file: Callable[[str], Any]

    @property
    def name(self) -> str:
        return getattr(self.target, "__name__", "the function")

    def refuse(self, parameter: inspect.Parameter, reason: str) -> NoReturn:
        raise UsageError(
            f"parameter {parameter.name!r} of {self.name}() cannot be given on a command line: {reason}; "
            f"call moil.run({self.name}, ...) behind an argparse parser of your own, or give it another type"
        )

    def check(self, forms: Iterable[_Form]) -> None:
        greedy = [form for form in forms if form.greedy]
        if len(greedy) > 1:
            first = greedy[0].parameter.name
            reason = f"{first!r} takes all arguments already, unless one of the two has a default or is keyword-only"
            self.refuse(greedy[1].parameter, reason)

    def form(self, parameter: inspect.Parameter) -> _Form:
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            self.refuse(parameter, "a command line takes only options that have a name in the signature")
        try:
            form = self._shape(parameter, self._annotation(parameter))
        except _UnwritableError as reason:
            self.refuse(parameter, str(reason))
        if form.rest and form.collect:
            self.refuse(parameter, "each of its values would itself take many words")
        return changed(form, collect=tuple) if form.rest else form

    def _annotation(self, parameter: inspect.Parameter) -> Any:
        if parameter.annotation is inspect.Parameter.empty:
            return _kind_of(None if parameter.default is inspect.Parameter.empty else parameter.default)
        holder = SimpleNamespace(__annotations__={"it": parameter.annotation})
        try:
            return get_type_hints(holder, getattr(self.target, "__globals__", {}))["it"]
        except (NameError, AttributeError, SyntaxError, TypeError) as error:
            raise _UnwritableError(f"its annotation cannot be evaluated ({error})") from None

    def _shape(self, parameter: inspect.Parameter, kind: Any) -> _Form:
        kind, optional = _without_none(kind)
        origin, items = get_origin(kind) or kind, get_args(kind)
        if origin is tuple and items and items[-1] is not Ellipsis:
            readers = [_reporting(self._word(parameter, item).read) for item in items]
            return _Form(parameter, str, collect=_row(readers), count=len(items), optional=optional)
        if origin is tuple or origin in _COLLECTIONS:
            word = self._word(parameter, items[0] if items else str)
            return changed(word, collect=_COLLECTIONS.get(origin, tuple), optional=optional)
        if origin in _MAPPINGS:
            name, value = (self._word(parameter, item) for item in items or (str, str))
            return _Form(parameter, _pair(name, value), metavar="NAME=VALUE", collect=dict, optional=optional)
        return changed(self._word(parameter, kind), optional=optional)

    def _word(self, parameter: inspect.Parameter, kind: Any) -> _Form:
        kind, _ = _without_none(kind)
        if get_origin(kind) is Literal:
            choices = {_shown(value): value for value in get_args(kind)}
            return _Form(parameter, _choice(choices), tuple(choices))
        if kind in (Any, object, str):
            return _Form(parameter, str)
        if isinstance(kind, type):
            return self._word_of_class(parameter, kind)
        raise _UnwritableError(f"no word can stand for {_type_name(kind)}")

    def _word_of_class(self, parameter: inspect.Parameter, kind: type) -> _Form:
        if issubclass(kind, self.file_type):
            return _Form(parameter, self.make_file, metavar="FILE")
        if issubclass(kind, Enum):
            return _Form(parameter, _choice(kind.__members__), tuple(kind.__members__))
        if issubclass(kind, PurePath):
            return _Form(parameter, kind, metavar="PATH")
        if kind in _READERS:
            return _Form(parameter, _READERS[kind], metavar="N")
        raise _UnwritableError(f"no word can stand for {_type_name(kind)}")


class _UnwritableError(Exception):
    """No word can stand for a value of some type."""


def _type_name(kind: Any) -> str:
    return kind.__qualname__ if isinstance(kind, type) else str(kind).replace("typing.", "")


def _without_none(kind: Any) -> tuple[Any, bool]:
    kind = getattr(kind, "__supertype__", kind)
    if get_origin(kind) not in (Union, UnionType):
        return kind, False
    others = [one for one in get_args(kind) if one is not NoneType]
    return (others[0], True) if len(others) == 1 else (kind, False)


def _kind_of(default: object) -> Any:
    if default is None:
        return str
    if isinstance(default, tuple):
        return GenericAlias(tuple, (_kind_of(default[0]) if default else str, ...))
    if isinstance(default, list | set | frozenset):
        return GenericAlias(type(default), (_kind_of(next(iter(default), None)),))
    if isinstance(default, dict):
        return GenericAlias(dict, (str, _kind_of(next(iter(default.values()), None))))
    return type(default)


def _truth(word: str) -> bool:
    if word.lower() in _TRUTH:
        return _TRUTH[word.lower()]
    raise ValueError("is neither true nor false")


def _whole(word: str) -> int:
    try:
        return int(word)
    except ValueError:
        raise ValueError("is not a whole number") from None


def _number(word: str) -> float:
    try:
        return float(word)
    except ValueError:
        raise ValueError("is not a number") from None


_READERS: dict[type, Reader] = {bool: _truth, int: _whole, float: _number}


def _choice(choices: Mapping[str, Any]) -> Reader:
    def read(word: str) -> Any:
        if word in choices:
            return choices[word]
        raise ValueError(f"is none of {', '.join(choices)}{nearest(word, choices)}")

    return read


def _pair(name: _Form, value: _Form) -> Reader:
    def read(word: str) -> tuple[Any, Any]:
        left, equals, right = word.partition("=")
        if not equals:
            raise ValueError("is not NAME=VALUE")
        return name.read(left), value.read(right)

    return read


def _row(readers: Sequence[Reader]) -> Callable[[Sequence[str]], tuple[Any, ...]]:
    return lambda words: tuple(read(word) for read, word in zip(readers, words, strict=True))


_FIELD = (
    r":(?:param|parameter|arg|argument|key|keyword)\s+(?:[^:]*\s)?\*{0,2}(?P<names>\w+)\s*:\s*(?P<text>.*)"
)
_GOOGLE = r"\s+\*{0,2}(?P<names>\w+)\s*(?:\(.*?\))?\s*:\s*(?P<text>.*)"
_NUMPY = r"(?P<names>\*{0,2}\w+(?:\s*,\s*\*{0,2}\w+)*)\s*(?::.*)?\Z(?P<text>)"
_HEADERS = ("args", "arguments", "parameters", "params", "keyword args", "keyword arguments", "other parameters")


def _summary(doc: Sequence[str]) -> str:
    paragraph = takewhile(lambda line: line.strip() and not line.startswith(":") and not _is_header(line), doc)
    return " ".join(line.strip() for line in paragraph)


def _is_header(line: str) -> bool:
    return line.rstrip().endswith(":") and line.rstrip(": ").lower() in _HEADERS


def _described(doc: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for index, entry in _entries(doc):
        text = " ".join(line.strip() for line in (entry["text"], *_below(doc, index))).strip()
        for name in re.findall(r"\w+", entry["names"]):
            found.setdefault(name, text)
    return found


def _below(doc: Sequence[str], index: int) -> Iterator[str]:
    indent = len(doc[index]) - len(doc[index].lstrip())
    return takewhile(lambda line: line[: indent + 1].isspace(), doc[index + 1 :])


def _entries(doc: Sequence[str]) -> Iterator[tuple[int, re.Match[str]]]:
    style: str | None = None
    for index, line in enumerate(doc):
        if re.fullmatch(r"-{3,}", doc[index + 1].strip() if index + 1 < len(doc) else ""):
            style = _NUMPY if line.strip().lower() in _HEADERS else None
        elif line.strip() and not line[0].isspace() and style is not _NUMPY:
            style = _GOOGLE if _is_header(line) else None
        entry = re.match(_FIELD, line) or (re.match(style, line) if style else None)
        if entry:
            yield index, entry
