"""Deferred calls: written down before the job goes on, so that they run whatever becomes of it.

One file an attempt, beside its scratch directory, with a length-prefixed pickle for each call. Whoever looks after the
attempt runs what is in it when the attempt has ended: the attempt's supervisor, the batch system when that one is gone
too, or the next run on the machine when all are gone.
"""

from __future__ import annotations

import importlib
import os
import pickle
import struct
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

_LENGTH = struct.Struct("<Q")


def add(file: Path, fn: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    """Append a call to the attempt's file."""
    data: bytes = importlib.import_module("cloudpickle").dumps((fn, tuple(args), dict(kwargs)))
    with file.open("ab") as target:
        target.write(_LENGTH.pack(len(data)) + data)
        target.flush()
        os.fsync(target.fileno())


def pending(file: Path) -> bool:
    """Whether there is anything to run."""
    try:
        return file.stat().st_size > 0
    except FileNotFoundError:
        return False


def run(file: Path) -> None:
    """Run the calls in order, and remove the file. A call that fails is told on standard error; the others still run."""
    for data in _read(file):
        try:
            fn, args, kwargs = pickle.loads(data)
            fn(*args, **kwargs)
        except Exception:  # noqa: BLE001 - the user's code may raise anything, and the next call must still run
            sys.stderr.write("moil: a deferred call failed:\n")
            importlib.import_module("traceback").print_exc()
    file.unlink(missing_ok=True)


def _read(file: Path) -> Iterator[bytes]:
    data = file.read_bytes()
    start = 0
    while start + _LENGTH.size <= len(data):
        (length,) = _LENGTH.unpack_from(data, start)
        start += _LENGTH.size
        if start + length > len(data):
            return
        yield data[start : start + length]
        start += length
