"""What a workflow returned, as text to be printed."""

from __future__ import annotations

import datetime as dt
import importlib
import json
from collections import abc
from collections.abc import Callable, Mapping
from enum import Enum
from pathlib import PurePath
from typing import Any


def render_result(value: object, *, default: Callable[[Any], Any] | None = None) -> str | None:
    """What to print for a result: text as it is, None not at all, else JSON where that can be, else the repr.

    `default` is asked first about every value that JSON has no name for, as of `json.dumps`; a TypeError from it means
    that it does not know either.
    """
    if value is None:
        return None
    if isinstance(value, str):
        return str(value.value if isinstance(value, Enum) else value)
    try:
        return json.dumps(_plain(value, default or _unknown), ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return repr(value)


def _unknown(value: object) -> Any:
    raise TypeError(f"JSON has no name for {type(value).__name__}")


def _plain(value: Any, default: Callable[[Any], Any]) -> Any:
    if isinstance(value, Enum):
        return _plain(value.value, default)
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, Mapping):
        return {_plain(name, default): _plain(item, default) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, default) for item in value]
    if isinstance(value, abc.Set):
        return _in_order([_plain(item, default) for item in value])
    try:
        known = default(value)
    except TypeError:
        known = _known(value)
    return _plain(known, default)


def _in_order(items: list[Any]) -> list[Any]:
    try:
        return sorted(items)
    except TypeError:
        return sorted(items, key=repr)


def _known(value: Any) -> Any:
    if hasattr(type(value), "__dataclass_fields__"):
        return {field.name: getattr(value, field.name) for field in importlib.import_module("dataclasses").fields(value)}
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    of_numpy = getattr(value, "tolist", None)
    return of_numpy() if callable(of_numpy) else _unknown(value)
