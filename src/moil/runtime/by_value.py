"""What cannot be found again by its name (a lambda, a class made in a function) is stored as it is, by cloudpickle."""

from __future__ import annotations

import io
from types import FunctionType
from typing import Any

import cloudpickle

from moil.runtime.codec import PROTOCOL, Encoder, Found, by_reference


class ValuePickler(cloudpickle.Pickler):
    """As the codec's own pickler, but for functions and classes of no name."""

    def __init__(self, buffer: io.BytesIO, encoder: Encoder, found: Found) -> None:
        super().__init__(buffer, PROTOCOL)  # type: ignore[no-untyped-call]
        self._encoder, self._found = encoder, found

    def reducer_override(self, obj: Any) -> Any:
        """How an object is stored."""
        reduced = self._encoder.reduce(obj, self._found)
        if reduced is not NotImplemented:
            return reduced
        if isinstance(obj, FunctionType | type) and by_reference(obj):
            return NotImplemented
        return super().reducer_override(obj)  # type: ignore[no-untyped-call]
