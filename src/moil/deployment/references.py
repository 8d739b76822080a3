"""What a pickle refers to by name, found out without importing any of it or running anything that it asks for."""

from __future__ import annotations

import io
import pickle
from typing import Any, Self

_BY_VALUE = "cloudpickle"


def references(data: bytes) -> frozenset[str] | None:
    """Its classes and functions, as ``module:name``. None: there is code in it, which may refer to more."""
    found: set[str] = set()
    try:
        _Reader(data, found).load()
    except Exception:  # noqa: BLE001 - what stands for the objects in it need not do for all that a pickle can ask of them
        return None
    return None if any(one.startswith(_BY_VALUE) for one in found) else frozenset(found)


class _Reader(pickle.Unpickler):
    def __init__(self, data: bytes, found: set[str]) -> None:
        super().__init__(io.BytesIO(data))
        self._found = found

    def find_class(self, module: str, name: str) -> Any:
        self._found.add(f"{module}:{name}")
        return _Anything


class _Anything:
    """Stands for every class and function, and for whatever they make."""

    def __new__(cls, *_args: Any, **_kwargs: Any) -> Self:
        return object.__new__(cls)

    def __init__(self, *_args: Any, **_kwargs: Any) -> None:
        pass

    def __call__(self, *_args: Any, **_kwargs: Any) -> Self:
        return self

    def __setstate__(self, _state: Any) -> None:
        pass

    def __setitem__(self, _key: Any, _value: Any) -> None:
        pass

    def append(self, _item: Any) -> None:
        """As of a list."""

    def extend(self, _items: Any) -> None:
        """As of a list."""

    def add(self, _item: Any) -> None:
        """As of a set."""
