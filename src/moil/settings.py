"""Settings: what they are, and where each one's value comes from.

A settings class is a record; each field is a `setting(...)`, with help, group, choices and Toil's spellings. From
these come the flag ``--retries``, the variable ``MOIL_RETRIES`` and the key ``retries`` of ``[tool.moil]``. A class that
has a `prefix` gets ``--slurm-partition``, ``MOIL_SLURM_PARTITION`` and ``partition`` in ``[tool.moil.slurm]``:

    @record
    class SlurmSettings:
        prefix: ClassVar[str] = "slurm"
        partition: str | None = setting(None, help="submit to this partition", toil="--slurmPartition")

`resolve` asks the places in this order, and the first that knows a setting wins whole (nothing is merged): what was
given by flag or argument, ``MOIL_*`` variables, ``[tool.moil]`` of the nearest pyproject.toml, moil.toml in the user's
configuration directory, the default. It returns with every value the place that it came from.

Values are kept in the user's words (a size stays ``"4 GiB"``); whoever calls `resolve` hands in the `Units` that judge them.
"""

from __future__ import annotations

import functools
import importlib
import math
import os
import re
import shlex
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType, UnionType
from typing import Any, Literal, TypeAlias, TypedDict, TypeVar, Union, Unpack, cast, get_args, get_origin, get_type_hints

from moil.errors import UsageError
from moil.record import Field, declared, field, record

S = TypeVar("S")

Units: TypeAlias = Mapping[str, Callable[[object, str], object]]
"""By the name of a unit, what judges a value: called with the value and a name for it, it raises UsageError."""

NO_UNITS: Units = MappingProxyType({})

_WORDS = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
_WHOLE = r"\s*[+-]?\d+\s*"
_HUMP = r"(?<=[a-z])(?=[A-Z])"
_METAVARS = {"size": "SIZE", "duration": "TIME", "cores": "N", "int": "N"}


class Details(TypedDict, total=False):
    """What the metadata of a setting may hold."""

    help: str
    #: The heading that it stands under in ``--help``, and all that follow it up to the next heading.
    group: str
    #: What stands for its value in ``--help``.
    metavar: str
    #: The only values allowed; from the annotation where that is a `Literal`.
    choices: tuple[str, ...]
    #: Toil's options of the same meaning, with blanks between: ``--retryCount``; ``--logDebug=debug`` takes no value.
    toil: str
    #: The name of the unit that judges it; its value is then kept as it was written.
    unit: str
    #: The least number allowed.
    minimum: float
    #: Turns other spellings of a value into ours; a ValueError ("is not …") refuses it.
    translate: Callable[[Any], Any]


def setting(default: Any, /, **details: Unpack[Details]) -> Any:
    """A field of a settings class."""
    return field(default=default, metadata=details)


@record(kw_only=False)
class Given:
    """A value as it was written, and where."""

    value: object
    source: str


@record
class Setting:
    """One setting, and what it is called in every place where it can be given."""

    name: str
    prefix: str
    group: str
    kind: type
    optional: bool
    many: bool
    choices: tuple[str, ...]
    default: Any
    details: Details

    @property
    def key(self) -> str:
        """Its name among all settings: ``retries``, ``slurm_partition``."""
        return f"{self.prefix}_{self.name}" if self.prefix else self.name

    @property
    def spelling(self) -> str:
        """The key as people read it: ``slurm-partition``."""
        return self.key.replace("_", "-")

    @property
    def flag(self) -> str:
        """``--slurm-partition``."""
        return f"--{self.spelling}"

    @property
    def variable(self) -> str:
        """``MOIL_SLURM_PARTITION``."""
        return f"MOIL_{self.key.upper()}"

    @property
    def metavar(self) -> str:
        """What stands for its value."""
        choices = "{" + ",".join(self.choices) + "}" if self.choices else ""
        usual = _METAVARS.get(self.details.get("unit", self.kind.__name__), self.name.rpartition("_")[2].upper())
        return self.details.get("metavar") or choices or usual


def settings_of(*classes: type[Any]) -> Iterator[Setting]:
    """Every setting of these settings classes, in the order they were written."""
    for cls in classes:
        yield from _settings(cast("Any", cls))


@functools.cache
def _settings(cls: Any) -> tuple[Setting, ...]:
    hints = get_type_hints(cls)
    prefix = str(getattr(cls, "prefix", "")).replace("-", "_")
    group = f"{prefix or 'engine'} options"
    found = []
    for name, one in declared(cls).items():
        if not isinstance(one, Field):
            raise TypeError(f"{cls.__name__}: a settings class is a @record, not a @dataclass")
        details = cast("Details", one.metadata)
        group = details.get("group", group)
        kind, optional, many, choices = _taken_apart(hints[name], f"{cls.__name__}.{name}")
        found.append(
            Setting(
                name=name,
                prefix=prefix,
                group=group,
                kind=kind,
                optional=optional,
                many=many,
                choices=details.get("choices", choices),
                default=one.value,
                details=details,
            )
        )
    return tuple(found)


def _taken_apart(hint: Any, where: str) -> tuple[type, bool, bool, tuple[str, ...]]:
    parts = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    kinds = [part for part in parts if part is not type(None)]
    optional = len(kinds) < len(parts)
    many = get_origin(kinds[0]) is tuple
    kind: Any = get_args(kinds[0])[0] if many else kinds[0]
    if get_origin(kind) is Literal:
        return str, optional, many, get_args(kind)
    if kind not in (bool, int, float, str, Path):
        raise TypeError(f"{where}: a setting cannot be a {hint}")
    return kind, optional, many, ()


def read(one: Setting, value: object, units: Units = NO_UNITS) -> Any:
    """The value of a setting from what was written; the UsageError says what is wrong with it, but not where it is."""
    try:
        if one.many:
            return tuple(_single(one, item, units) for item in _items(value))
        return _single(one, value, units)
    except ValueError as complaint:
        raise UsageError(f"{one.spelling}={value!r} {complaint}") from None


def _items(value: object) -> Iterable[object]:
    if isinstance(value, str):
        return shlex.split(value)
    if isinstance(value, Mapping):
        return [f"{name}={text}" for name, text in value.items()]
    if isinstance(value, list | tuple):
        return value
    raise ValueError("is not a list")


def _single(one: Setting, value: object, units: Units) -> Any:
    if "translate" in one.details:
        value = one.details["translate"](value)
    if one.optional and (value is None or (value == "none" and ("unit" in one.details or one.kind not in (str, Path)))):
        return None
    if "unit" in one.details:
        return _judged(value, units.get(one.details["unit"]), one.spelling)
    if one.choices:
        return _choice(value, one.choices)
    found = _READERS[one.kind](value)
    if "minimum" in one.details and found < one.details["minimum"]:
        raise ValueError(f"is less than {one.details['minimum']:g}")
    return found


def _judged(value: object, judge: Callable[[object, str], object] | None, name: str) -> object:
    if judge:
        judge(value, name)
    return value


def _choice(value: object, choices: tuple[str, ...]) -> str:
    for candidate in (value, re.sub(_HUMP, "-", value).lower()) if isinstance(value, str) else ():
        if candidate in choices:
            return candidate
    raise ValueError(f"is none of {', '.join(choices)}{nearest(str(value), choices)}")


def _switch(value: object) -> bool:
    found = _WORDS.get(value.strip().lower()) if isinstance(value, str) else value
    if isinstance(found, bool):
        return found
    raise ValueError("is neither true nor false")


def _whole(value: object) -> int:
    found = int(value) if isinstance(value, str) and re.fullmatch(_WHOLE, value) else value
    if isinstance(found, int) and not isinstance(found, bool):
        return found
    raise ValueError("is not a whole number")


def _number(value: object) -> float:
    with suppress(ValueError):
        if isinstance(value, str | int | float) and not isinstance(value, bool) and math.isfinite(float(value)):
            return float(value)
    raise ValueError("is not a number")


def _text(value: object) -> str:
    if isinstance(value, str | Path):
        return str(value)
    raise ValueError("is not text")


def _path(value: object) -> Path:
    if isinstance(value, str | Path):
        return Path(value).expanduser()
    raise ValueError("is not a path")


_READERS: dict[type, Callable[[object], Any]] = {bool: _switch, int: _whole, float: _number, str: _text, Path: _path}


def nearest(name: str, names: Iterable[str]) -> str:
    """``"; did you mean 'retries'?"`` if one of `names` is close to `name`, else nothing."""
    close = importlib.import_module("difflib").get_close_matches(name, list(names), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


@record(kw_only=False)
class Origin:
    """The value of a setting, and the place that it came from."""

    setting: Setting
    value: Any
    source: str


@record(kw_only=False)
class Resolved:
    """Settings with their provenance: ``resolved[EngineSettings].retries``, and `origins` for every field."""

    origins: tuple[Origin, ...]
    instances: Mapping[type[Any], Any]

    def __getitem__(self, cls: type[S]) -> S:
        """The settings of one class."""
        return cast("S", self.instances[cls])


def arguments(values: Mapping[str, object], *classes: type[Any], caller: str = "moil.run") -> dict[str, Given]:
    """Settings given as keyword arguments of a call, for `moil.settings.resolve`. Raises UsageError if one is unknown."""
    known = [one.key for one in settings_of(*classes)]
    for name in values:
        if name not in known:
            raise UsageError(f"{caller}() has no setting {name!r}{nearest(name, known)}")
    return {name: Given(value, f"argument {name} of {caller}()") for name, value in values.items()}


def resolve(
    *classes: type[Any],
    given: Mapping[str, Given] = MappingProxyType({}),
    environ: Mapping[str, str] | None = None,
    directory: Path | None = None,
    units: Units = NO_UNITS,
    others: Callable[[], Collection[str]] = tuple,
) -> Resolved:
    """The settings of `classes`, each value from the first place that has one.

    The pyproject.toml is looked for in `directory` (the current one if None) and above it. A key that no setting has is
    an error; `others` tells the prefixes of further classes, whose tables may stand in the files but are not looked at.
    """
    environ = os.environ if environ is None else environ
    known = {cls: list(settings_of(cls)) for cls in classes}
    everything = [one for some in known.values() for one in some]
    files = [_settings_in(file, everything, others) for file in _files(directory or Path.cwd(), environ)]
    places = [given, _variables(everything, environ), *files]
    origins = {cls: [_origin(one, places, units) for one in some] for cls, some in known.items()}
    return Resolved(
        origins=tuple(origin for some in origins.values() for origin in some),
        instances={cls: cls(**{origin.setting.name: origin.value for origin in some}) for cls, some in origins.items()},
    )


def _origin(one: Setting, places: Iterable[Mapping[str, Given]], units: Units) -> Origin:
    found = next((place[one.key] for place in places if one.key in place), None)
    if found is None:
        return Origin(one, one.default, "default")
    try:
        return Origin(one, read(one, found.value, units), found.source)
    except UsageError as error:
        raise UsageError(f"{found.source}: {error}") from None


def _variables(known: Iterable[Setting], environ: Mapping[str, str]) -> dict[str, Given]:
    return {one.key: Given(environ[one.variable], f"variable {one.variable}") for one in known if environ.get(one.variable)}


@record(kw_only=False)
class _Section:
    """A table of a file: `names` lead to it."""

    path: Path
    names: tuple[str, ...]
    table: Mapping[str, object]

    def __str__(self) -> str:
        return f"{self.path} [{'.'.join(self.names)}]" if self.names else str(self.path)

    def inner(self, name: str) -> _Section:
        table = self.table.get(name, {})
        if not isinstance(table, dict):
            raise UsageError(f"{self}: {name!r} is not a table of settings")
        return _Section(self.path, (*self.names, name), cast("dict[str, object]", table))


def _settings_in(
    section: _Section, known: Collection[Setting], others: Callable[[], Collection[str]], prefix: str = ""
) -> dict[str, Given]:
    keys = {_dashes(one.name): one.key for one in known if one.prefix == prefix}
    tables = {_dashes(one.prefix): one.prefix for one in known if one.prefix and not prefix}
    found: dict[str, Given] = {}
    for name, value in section.table.items():
        if _dashes(name) in keys:
            key = keys[_dashes(name)]
            if key in found:
                raise UsageError(f"{section}: {name!r} is there twice, once with - and once with _")
            found[key] = Given(value, str(section))
        elif _dashes(name) in tables:
            found |= _settings_in(section.inner(name), known, tuple, tables[_dashes(name)])
        elif _dashes(name) not in (passed_over := {_dashes(other) for other in others()}):
            close = nearest(_dashes(name), [*keys, *tables, *passed_over])
            raise UsageError(f"{section}: there is no setting {name!r}{close}")
    return found


def _dashes(name: str) -> str:
    return name.replace("_", "-")


def _files(directory: Path, environ: Mapping[str, str]) -> Iterator[_Section]:
    project = _nearest_project(directory.absolute())
    if project:
        yield _Section(project, (), _load(project)).inner("tool").inner("moil")
    user = _user_file(environ)
    if user:
        yield _Section(user, (), _load(user))


def _nearest_project(directory: Path) -> Path | None:
    files = (folder / "pyproject.toml" for folder in (directory, *directory.parents))
    return next((file for file in files if file.is_file()), None)


def _user_file(environ: Mapping[str, str]) -> Path | None:
    config, home = environ.get("XDG_CONFIG_HOME", ""), environ.get("HOME", "")
    folder = Path(config) if Path(config).is_absolute() else Path(home, ".config") if home else None
    file = folder / "moil.toml" if folder else None
    return file if file and file.is_file() else None


def _load(path: Path) -> dict[str, object]:
    try:
        with path.open("rb") as file:
            found: dict[str, object] = importlib.import_module("tomllib").load(file)
            return found
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise UsageError(f"{path} is not valid TOML: {error}") from None
