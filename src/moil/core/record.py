"""How values are declared: compared by what is in them, hashable, and not to be changed once they are made.

For a type checker ``@record`` is ``@dataclass(frozen=True, slots=True, kw_only=True)``, and for whoever asks (the
functions of `dataclasses`, msgspec) it is a dataclass, too. It is not made by the same machinery: every process of Moil
begins by making fifty such classes, most of which it makes no value of. `dataclasses` brings in the reader of Python's
own syntax, and compiles six functions for each class: an eighth of the time in which a worker comes up, and a tenth of
the memory that every fork of it is charged for. Here a class gets one function, compiled when the first value is made.
It does not forbid assignments, as that takes three times as long: checkers do.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any, TypeVar, dataclass_transform, overload

T = TypeVar("T")

_NOTHING: Any = object()
_SIGN = "__record_fields__"


class _Field:
    """What is said of a field beside its type."""

    __slots__ = ("compare", "default", "default_factory", "shown")

    def __init__(self, default: Any, default_factory: Any, *, compare: bool, shown: bool) -> None:
        self.default, self.default_factory, self.compare, self.shown = default, default_factory, compare, shown


def field(
    *,
    default: Any = _NOTHING,
    default_factory: Any = _NOTHING,
    compare: bool = True,
    repr: bool = True,  # noqa: A002 - the names of `dataclasses`
) -> Any:
    """A field with more than a type and a default, as in `dataclasses`."""
    return _Field(default, default_factory, compare=compare, shown=repr)


@overload
def record(cls: type[T], /) -> type[T]: ...


@overload
def record(*, kw_only: bool = True, frozen: bool = True) -> Callable[[type[T]], type[T]]: ...


@dataclass_transform(frozen_default=True, kw_only_default=True, eq_default=True, field_specifiers=(field,))
def record(cls: type[T] | None = None, /, *, kw_only: bool = True, frozen: bool = True) -> Any:
    """Make a class one of values. With ``kw_only=False`` they are made from positions as well.

    With ``frozen=False`` they may be changed, and have no hash.
    """

    def decorate(plain: type[T]) -> type[T]:
        return _made(plain, kw_only=kw_only, frozen=frozen)

    return decorate if cls is None else decorate(cls)


def names(kind: type[Any]) -> tuple[str, ...]:
    """The names of a record's fields."""
    found: tuple[str, ...] = getattr(kind, _SIGN)
    return found


def as_dict(value: Any) -> dict[str, Any]:
    """A record's fields by name; so are records in them, and in their tuples, lists and dictionaries."""
    return {name: _plain(getattr(value, name)) for name in names(type(value))}


def _plain(value: Any) -> Any:
    kind = type(value)
    if kind is tuple or kind is list:
        return kind(map(_plain, value))
    if kind is dict:
        return {name: _plain(one) for name, one in value.items()}
    return as_dict(value) if isinstance(kind.__dict__.get(_SIGN), tuple) else value


def changed(value: T, /, **fields: Any) -> T:
    """A record like this one, but for these fields."""
    kind = type(value)
    return kind(**{**{name: getattr(value, name) for name in names(kind)}, **fields})


def _made(plain: type[T], *, kw_only: bool, frozen: bool) -> type[T]:
    fields = {name: _field(plain, name) for name in plain.__annotations__}
    body = {name: value for name, value in plain.__dict__.items() if name not in fields and name not in _OF_A_CLASS}
    body.update({"__slots__": tuple(fields), "__qualname__": plain.__qualname__, _SIGN: tuple(fields)})
    meta: Any = type(plain)
    made = meta(plain.__name__, plain.__bases__, body)
    made.__init__ = _first_init(made, fields, kw_only=kw_only)
    made.__dataclass_fields__ = _AsDataclass(fields, kw_only=kw_only)
    _compare(made, fields, frozen=frozen)
    return made  # type: ignore[no-any-return]


_OF_A_CLASS = frozenset({"__dict__", "__weakref__"})


def _field(plain: type[Any], name: str) -> _Field:
    said = plain.__dict__.get(name, _NOTHING)
    return said if isinstance(said, _Field) else _Field(said, _NOTHING, compare=True, shown=True)


def _first_init(cls: Any, fields: dict[str, _Field], *, kw_only: bool) -> Callable[..., None]:
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807 - it is one
        cls.__init__ = _init(cls, fields, kw_only=kw_only)
        cls.__init__(self, *args, **kwargs)

    return __init__


def _init(cls: type[Any], fields: dict[str, _Field], *, kw_only: bool) -> Any:
    """Sets the fields, one after another."""
    known: dict[str, Any] = {"_NOTHING": _NOTHING}
    asked, body = ["self", *(["*"] if kw_only and fields else [])], []
    for name, said in fields.items():
        value = name
        if said.default_factory is not _NOTHING:
            known[f"_made_{name}"] = said.default_factory
            value = f"_made_{name}() if {name} is _NOTHING else {name}"
            asked.append(f"{name}=_NOTHING")
        elif said.default is not _NOTHING:
            known[f"_default_{name}"] = said.default
            asked.append(f"{name}=_default_{name}")
        else:
            asked.append(name)
        body.append(f"    self.{name} = {value}")
    exec(f"def __init__({', '.join(asked)}):\n{chr(10).join(body) or '    pass'}", known)  # noqa: S102 - as in `dataclasses`
    made = known["__init__"]
    made.__qualname__ = f"{cls.__qualname__}.__init__"
    return made


def _compare(cls: type[Any], fields: dict[str, _Field], *, frozen: bool) -> None:
    compared = [name for name, said in fields.items() if said.compare]
    values: Callable[[Any], Any] = attrgetter(*compared) if compared else _nothing
    shown = [name for name, said in fields.items() if said.shown]

    def equal(self: Any, other: object) -> Any:
        return values(self) == values(other) if type(other) is cls else NotImplemented

    def hashed(self: Any) -> int:
        return hash(values(self))

    def told(self: Any) -> str:
        return f"{cls.__qualname__}({', '.join(f'{name}={getattr(self, name)!r}' for name in shown)})"

    cls.__eq__, cls.__hash__, cls.__repr__ = equal, hashed if frozen else None, told  # type: ignore[assignment]


def _nothing(_: Any) -> tuple[()]:
    return ()


class _AsDataclass:
    """The record's ``__dataclass_fields__``, made when they are asked for."""

    def __init__(self, fields: dict[str, _Field], *, kw_only: bool) -> None:
        self._fields, self._kw_only = fields, kw_only

    def __get__(self, value: object, cls: type[Any]) -> dict[str, Any]:
        import dataclasses

        body: dict[str, Any] = {"__annotations__": cls.__annotations__, "__module__": cls.__module__}
        for name, said in self._fields.items():
            more: dict[str, Any] = {"compare": said.compare, "repr": said.shown}
            if said.default_factory is not _NOTHING:
                more["default_factory"] = said.default_factory
            elif said.default is not _NOTHING:
                more["default"] = said.default
            body[name] = dataclasses.field(**more)
        twin: Any = type(cls.__name__, (), body)
        dataclasses.dataclass(twin, init=False, repr=False, eq=False, kw_only=self._kw_only)
        found: dict[str, Any] = twin.__dataclass_fields__
        cls.__dataclass_fields__ = found
        return found
