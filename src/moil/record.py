"""How values are declared: compared by what is in them, hashable, and not to be changed once they are made.

For a type checker ``@record`` is ``@dataclass(frozen=True, slots=True, kw_only=True)``, and for whoever asks (the
functions of `dataclasses`, msgspec) it is a dataclass, too. It is not made by the same machinery: every process of Moil
begins by making fifty such classes, most of which it makes no value of. `dataclasses` brings in the reader of Python's
own syntax, and compiles six functions for each class: an eighth of the time in which a worker comes up, and a tenth of
the memory that every fork of it is charged for. Here a class gets one function, compiled when the first value is made.
It does not forbid assignments, as that takes three times as long: checkers do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import attrgetter
from types import MappingProxyType
from typing import Any, TypeVar, dataclass_transform, overload

T = TypeVar("T")

NOTHING: Any = object()
_NO_METADATA: Mapping[str, Any] = MappingProxyType({})
_FIELDS = "__dataclass_fields__"


class Field:
    """What is said of a field: its value if none is given, or what makes it (`NOTHING` where there is none), and more.

    Asked for anything else it answers as a field of `dataclasses` does.
    """

    __slots__ = ("_owner", "_twin", "compare", "factory", "metadata", "shown", "value")

    def __init__(self, value: Any, factory: Any, *, compare: bool, shown: bool, metadata: Mapping[str, Any]) -> None:
        self.value, self.factory, self.compare, self.shown, self.metadata = value, factory, compare, shown, metadata
        self._twin: Any = None

    def belongs(self, owner: type[Any], name: str, *, kw_only: bool) -> None:
        """It is the field `name` of `owner`."""
        self._owner = owner, name, kw_only

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if self._twin is None:
            self._twin = self._as_dataclass()
        return getattr(self._twin, name)

    def _as_dataclass(self) -> Any:
        import dataclasses

        owner, name, kw_only = self._owner
        more: dict[str, Any] = {"compare": self.compare, "repr": self.shown, "metadata": self.metadata}
        if self.factory is not NOTHING:
            more["default_factory"] = self.factory
        elif self.value is not NOTHING:
            more["default"] = self.value
        body: dict[str, Any] = {"__annotations__": {name: owner.__annotations__[name]}, "__module__": owner.__module__}
        body[name] = dataclasses.field(**more)
        twin: Any = dataclasses.dataclass(type(owner.__name__, (), body), init=False, repr=False, eq=False, kw_only=kw_only)
        return twin.__dataclass_fields__[name]


def field(
    *,
    default: Any = NOTHING,
    default_factory: Any = NOTHING,
    compare: bool = True,
    repr: bool = True,  # noqa: A002 - the names of `dataclasses`
    metadata: Mapping[str, Any] = _NO_METADATA,
) -> Any:
    """A field with more than a type and a default, as in `dataclasses`."""
    return Field(default, default_factory, compare=compare, shown=repr, metadata=metadata)


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
    return tuple(declared(kind))


def declared(kind: type[Any]) -> Mapping[str, Field]:
    """What is said of a record's fields, by name."""
    found: Mapping[str, Field] = getattr(kind, _FIELDS)
    return found


def as_dict(value: Any) -> dict[str, Any]:
    """A record's fields by name; so are records in them, and in their tuples, lists and dictionaries."""
    return {name: _plain(getattr(value, name)) for name in declared(type(value))}


def _plain(value: Any) -> Any:
    kind = type(value)
    if kind is tuple or kind is list:
        return kind(map(_plain, value))
    if kind is dict:
        return {name: _plain(one) for name, one in value.items()}
    return as_dict(value) if _FIELDS in kind.__dict__ else value


def changed(value: T, /, **others: Any) -> T:
    """A record like this one, but for these fields."""
    kind = type(value)
    return kind(**{**{name: getattr(value, name) for name in declared(kind)}, **others})


def _made(plain: type[T], *, kw_only: bool, frozen: bool) -> type[T]:
    fields = {name: _field(plain, name) for name, kind in plain.__annotations__.items() if not _is_of_the_class(kind)}
    body = {name: value for name, value in plain.__dict__.items() if name not in fields and name not in _OF_A_CLASS}
    body.update({"__slots__": tuple(fields), "__qualname__": plain.__qualname__})
    meta: Any = type(plain)
    made = meta(plain.__name__, plain.__bases__, body)
    made.__init__ = _first_init(made, fields, kw_only=kw_only)
    for name, said in fields.items():
        said.belongs(made, name, kw_only=kw_only)
    made.__dataclass_fields__ = fields
    _compare(made, fields, frozen=frozen)
    return made  # type: ignore[no-any-return]


_OF_A_CLASS = frozenset({"__dict__", "__weakref__"})


def _field(plain: type[Any], name: str) -> Field:
    said = plain.__dict__.get(name, NOTHING)
    if isinstance(said, Field):
        return said
    return Field(said, NOTHING, compare=True, shown=True, metadata=_NO_METADATA)


def _is_of_the_class(annotation: object) -> bool:
    return str(annotation).startswith(("ClassVar[", "typing.ClassVar["))


def _first_init(cls: Any, fields: dict[str, Field], *, kw_only: bool) -> Callable[..., None]:
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807 - it is one
        cls.__init__ = _init(cls, fields, kw_only=kw_only)
        cls.__init__(self, *args, **kwargs)

    return __init__


def _init(cls: type[Any], fields: dict[str, Field], *, kw_only: bool) -> Any:
    """Sets the fields, one after another."""
    known: dict[str, Any] = {"NOTHING": NOTHING}
    asked, body = ["self", *(["*"] if kw_only and fields else [])], []
    for name, said in fields.items():
        value = name
        if said.factory is not NOTHING:
            known[f"_made_{name}"] = said.factory
            value = f"_made_{name}() if {name} is NOTHING else {name}"
            asked.append(f"{name}=NOTHING")
        elif said.value is not NOTHING:
            known[f"_default_{name}"] = said.value
            asked.append(f"{name}=_default_{name}")
        else:
            asked.append(name)
        body.append(f"    self.{name} = {value}")
    exec(f"def __init__({', '.join(asked)}):\n{chr(10).join(body) or '    pass'}", known)  # noqa: S102 - as in `dataclasses`
    made = known["__init__"]
    made.__qualname__ = f"{cls.__qualname__}.__init__"
    return made


def _compare(cls: type[Any], fields: dict[str, Field], *, frozen: bool) -> None:
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
