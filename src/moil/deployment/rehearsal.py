"""The clean room, from inside: a worker's Python on the leader's machine, that imports the program and unpickles a job.

Nothing of what lies at home may be found here but by way of the deployment. Most of it cannot be anyway, since the import
path is a worker's; but a program may put directories on the path itself, which are not there on a worker. So an import
goes on as if they were empty, and is refused if nothing but they had it. What was found out is told as one line of JSON on
standard output.
"""

from __future__ import annotations

import base64
import importlib
import importlib.machinery
import json
import os
import pickle
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType, TracebackType
from typing import Any

from moil.record import as_dict, record

MARK = "moil-rehearsal:"
_OURS = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "")


@record
class Finding:
    """What went wrong; all empty if nothing did."""

    error: str = ""
    #: The module that could not be found, and the file and line that asked for it.
    missing: str = ""
    asked_by: str = ""
    traceback: str = ""
    #: It was found at home, at a place that is not shipped.
    at_home: str = ""


def tell(finding: Finding) -> None:
    """On standard output."""
    sys.__stdout__.write(f"\n{MARK}{json.dumps(as_dict(finding))}\n")  # type: ignore[union-attr]


def heard(output: str) -> Finding | None:
    """What a rehearsal has told, if it has."""
    for line in reversed(output.splitlines()):
        if line.startswith(MARK):
            return Finding(**json.loads(line.removeprefix(MARK)))
    return None


def rehearse(load: Callable[[], None], words: Mapping[str, Any]) -> None:
    """Import the program, and unpickle the call in `words`. Tells what went wrong, and ends the process."""
    guard = _Guard(words["forbidden"])
    sys.meta_path.insert(0, guard)
    try:
        load()
        for name in words["modules"]:
            importlib.import_module(name)
        if words["call"]:
            pickle.loads(base64.b64decode(words["call"]))
        found = Finding()
    except BaseException as error:  # noqa: BLE001 - the user's program may raise anything, and it is told
        found = _finding(error, guard)
    sys.stdout.flush()
    tell(found)
    sys.__stdout__.flush()  # type: ignore[union-attr]
    os._exit(0)


def _finding(error: BaseException, guard: _Guard) -> Finding:
    missing = error.name or "" if isinstance(error, ModuleNotFoundError) else ""
    return Finding(
        error=f"{type(error).__name__}: {error}",
        missing=missing,
        asked_by=_asker(error),
        traceback="".join(traceback.format_exception(type(error), error, _users_part(error.__traceback__))),
        at_home=guard.refused.get(missing, ""),
    )


def _users_part(trace: TracebackType | None) -> TracebackType | None:
    """Without the frames of the engine's that come first; all if there are no others."""
    found = trace
    while found is not None and _is_ours(found.tb_frame.f_code.co_filename):
        found = found.tb_next
    return found or trace


def _is_ours(file: str) -> bool:
    return file.startswith(("<frozen", _OURS))


def _asker(error: BaseException) -> str:
    """The innermost line of the user's that asked for it."""
    found = ""
    for frame, line in traceback.walk_tb(error.__traceback__):
        file = frame.f_code.co_filename
        if not _is_ours(file):
            found = f"{file}:{line}"
    return found


class _Guard:
    """Leaves out of an import what it would find in a place that is not shipped. Made before the program is loaded."""

    def __init__(self, forbidden: Sequence[str]) -> None:
        self._forbidden = tuple(os.path.join(one, "") for one in forbidden)
        self._shipped = tuple(os.path.join(one, "") for one in (sys.prefix, sys.base_prefix, *sys.path) if one)
        self.refused: dict[str, str] = {}

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Nothing, or ModuleNotFoundError."""
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        origin = spec.origin if spec is not None else None
        if origin is None or not self._is_at_home(origin):
            return None
        rest = [one for one in (sys.path if path is None else path) if not self._is_at_home(os.path.join(one, ""))]
        spec = importlib.machinery.PathFinder.find_spec(name, rest, target)
        if spec is None:
            self.refused[name] = origin
            raise ModuleNotFoundError(f"No module named {name!r} among what is shipped", name=name)
        return spec

    def _is_at_home(self, place: str) -> bool:
        return place.startswith(self._forbidden) and not place.startswith(self._shipped)
