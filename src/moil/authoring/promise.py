"""A stand-in for what a child job will return.

A promise may be passed on, returned, put into containers, and asked for a part by ``[key]`` or ``.name``. Everything
else would need the value now, and raises at once, so that the mistake is found where it is made and not on a worker.
`repr` is the exception: debuggers and tracebacks call it.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Iterator
from typing import Any, Never

from moil.errors import PromiseError

Steps = tuple[tuple[str, Any], ...]


class Promise:
    """Part `path` of what call number `call` of the job that is running will return."""

    __slots__ = ("_moil",)
    _moil: Details

    def __init__(self, details: Details) -> None:
        object.__setattr__(self, "_moil", details)

    def __getitem__(self, key: Any) -> Promise:
        if isinstance(key, Promise):
            self._moil.refuse("index it by another promise")
        return Promise(self._moil.part(("item", key)))

    def __getattr__(self, name: str) -> Promise:
        if name.startswith("__"):
            raise AttributeError(name)
        return Promise(self._moil.part(("attr", name)))

    def __iter__(self) -> Iterator[Promise]:
        length = self._moil.length()
        if length is None:
            self._moil.refuse("iterate over it", "annotate the job's return type as tuple[X, Y] to unpack it, or")
        return iter([self[index] for index in range(length)])

    def __repr__(self) -> str:
        return f"<promise of {self._moil.describe()}>"

    def __copy__(self) -> Promise:
        return self

    def __deepcopy__(self, memo: object) -> Promise:
        return self

    def __reduce__(self) -> Never:
        self._moil.refuse("pickle it yourself")

    def __setattr__(self, name: str, value: object) -> Never:
        self._moil.refuse(f"set .{name} of it")

    def __delattr__(self, name: str) -> Never:
        self._moil.refuse(f"delete .{name} of it")


class Details:
    """What is behind a promise; kept apart so that every plain name stays free for parts of the value."""

    __slots__ = ("call", "hint", "name", "origin", "path")

    def __init__(self, origin: object, call: int, name: str, hint: Callable[[], Any], path: Steps = ()) -> None:
        self.origin = origin
        self.call = call
        self.name = name
        self.hint = hint
        self.path = path

    def part(self, step: tuple[str, Any]) -> Details:
        """One step further in."""
        return Details(self.origin, self.call, self.name, self.hint, (*self.path, step))

    def describe(self) -> str:
        """As the user would write it."""
        steps = "".join(f"[{key!r}]" if how == "item" else f".{key}" for how, key in self.path)
        return f"{self.name}(…){steps}"

    def length(self) -> int | None:
        """How many items the value has, if its type says so."""
        found: Any = self.hint()
        for how, key in self.path:
            found = _part_type(found, how, key)
        fields = getattr(found, "_fields", None)
        if isinstance(fields, tuple):
            return len(fields)
        items = typing.get_args(found)
        if typing.get_origin(found) is tuple and Ellipsis not in items:
            return len(items)
        return None

    def refuse(self, doing: str, hint: str = "") -> Never:
        """Raises PromiseError, which names the job and the cures."""
        cure = f"pass it to a job, which gets the value, or call {self.name}.fn(…) for the value now"
        if hint:
            cure = f"{hint} {cure}"
        raise PromiseError(f"{self.describe()} is a promise: the job has not run yet, so you cannot {doing}; {cure}")


def _part_type(hint: Any, how: str, key: Any) -> Any:
    if how == "item" and isinstance(key, int) and typing.get_origin(hint) is tuple:
        items = typing.get_args(hint)
        if Ellipsis in items:
            return items[0]
        return items[key] if -len(items) <= key < len(items) else None
    names = getattr(hint, "_fields", None)
    if how == "item" and isinstance(key, int) and isinstance(names, tuple) and -len(names) <= key < len(names):
        return _hints(hint).get(names[key])
    if how == "attr" and isinstance(hint, type):
        return _hints(hint).get(str(key))
    return None


def _hints(of: Any) -> dict[str, Any]:
    try:
        return typing.get_type_hints(of)
    except (NameError, TypeError):
        return {}


def return_hint(fn: Callable[..., Any]) -> Callable[[], Any]:
    """Look the annotated return type up when it is needed, not before: most promises are never unpacked."""
    return lambda: _hints(fn).get("return")


_REFUSED = {
    "use it as a truth value (if, while, and, or, not)": "__bool__",
    "compare it": "__eq__ __ne__ __lt__ __le__ __gt__ __ge__",
    "hash it (as a key or in a set)": "__hash__",
    "turn it into text": "__str__ __format__ __bytes__",
    "turn it into a number": "__int__ __float__ __complex__ __index__ __round__ __trunc__ __floor__ __ceil__",
    "take its length": "__len__ __length_hint__",
    "search in it": "__contains__",
    "call it": "__call__",
    "change an item of it": "__setitem__ __delitem__",
    "calculate with it": (
        "__add__ __sub__ __mul__ __matmul__ __truediv__ __floordiv__ __mod__ __divmod__ __pow__ __lshift__ __rshift__"
        " __and__ __xor__ __or__ __radd__ __rsub__ __rmul__ __rmatmul__ __rtruediv__ __rfloordiv__ __rmod__"
        " __rdivmod__ __rpow__ __rlshift__ __rrshift__ __rand__ __rxor__ __ror__ __iadd__ __isub__ __imul__"
        " __neg__ __pos__ __abs__ __invert__"
    ),
    "use it in a with statement": "__enter__ __exit__ __aenter__ __aexit__",
    "await it": "__await__ __aiter__ __anext__",
    "iterate over it": "__next__ __reversed__",
    "use it as a path": "__fspath__",
}


def _refusal(doing: str) -> Callable[..., Never]:
    def refuse(self: Promise, *args: object) -> Never:
        self._moil.refuse(doing)

    return refuse


for _doing, _names in _REFUSED.items():
    for _name in _names.split():
        setattr(Promise, _name, _refusal(_doing))

assert isinstance(Promise.__iter__, types.FunctionType)


def details(promise: Promise) -> Details:
    """What is behind a promise."""
    found: Details = object.__getattribute__(promise, "_moil")
    return found
