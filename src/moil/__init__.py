"""Moil: Python functions as durable workflows, on a laptop or on a cluster that holds none of their code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moil.authoring.context import ambient
from moil.authoring.file import File
from moil.authoring.job import current, defer, job
from moil.authoring.service import service
from moil.errors import MoilError
from moil.version import __version__

if TYPE_CHECKING:
    from moil.program import add_options, main, run

__all__ = ["File", "MoilError", "__version__", "add_options", "current", "defer", "job", "main", "run", "service"]

_ENTRY_POINTS = frozenset({"add_options", "main", "run"})


def __getattr__(name: str) -> Any:
    """`run`, `main` and `add_options` bring the whole engine in: they come when they are asked for, and not to a worker."""
    if name in _ENTRY_POINTS:
        if ambient.loading or ambient.recorder is not None:
            from moil.authoring import guard

            return getattr(guard, name)
        from moil import program

        return getattr(program, name)
    raise AttributeError(f"module 'moil' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
