"""How values are declared: compared by what is in them, hashable, and not to be changed once they are made.

For a type checker ``@record`` is ``@dataclass(frozen=True, slots=True, kw_only=True)``, and it is one for `dataclasses`
and for msgspec, too. It is not made by the same machinery, because every process of Moil begins by making fifty such
classes, for each of which a dataclass compiles six functions, and because the leader makes several values for each job,
which a frozen dataclass takes three times as long for. At run time nothing keeps you from changing one: checkers do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from operator import attrgetter
from typing import Any, TypeVar, dataclass_transform, overload

T = TypeVar("T")


@overload
def record(cls: type[T], /) -> type[T]: ...


@overload
def record(*, kw_only: bool) -> Callable[[type[T]], type[T]]: ...


@dataclass_transform(frozen_default=True, kw_only_default=True, eq_default=True, field_specifiers=(field,))
def record(cls: type[T] | None = None, /, *, kw_only: bool = True) -> Any:
    """Make a class one of values. With ``kw_only=False`` they are made from positions as well."""

    def decorate(plain: type[T]) -> type[T]:
        made = dataclass(plain, repr=False, eq=False, match_args=False, slots=True, kw_only=kw_only)
        _compare(made, tuple(one.name for one in fields(made) if one.compare))  # type: ignore[arg-type]
        return made

    return decorate if cls is None else decorate(cls)


def _compare(cls: type[Any], names: tuple[str, ...]) -> None:
    values: Callable[[Any], Any] = attrgetter(*names) if names else _nothing

    def equal(self: Any, other: object) -> Any:
        return values(self) == values(other) if type(other) is cls else NotImplemented

    def hashed(self: Any) -> int:
        return hash(values(self))

    cls.__eq__, cls.__hash__, cls.__repr__ = equal, hashed, _shown  # type: ignore[assignment]


def _nothing(_: Any) -> tuple[()]:
    return ()


def _shown(self: Any) -> str:
    inside = ", ".join(f"{one.name}={getattr(self, one.name)!r}" for one in fields(self) if one.repr)
    return f"{type(self).__qualname__}({inside})"
