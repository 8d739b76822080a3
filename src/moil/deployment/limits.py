"""How much is too much, of the user's own files: remarks from 10 MiB a file and 100 MiB in all, an error from 1 GiB.

Installed distributions are not counted: a large library is large, and is sent once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from moil.core.requirements import format_size
from moil.deployment.plan import PlannedUnit, Source, UnitKind
from moil.errors import UsageError

LARGE_FILE = 10 << 20
LARGE = 100 << 20
MOST = 1 << 30
_NAMED = 10


def check(units: Iterable[PlannedUnit], shown: Callable[[str], str]) -> Iterator[str]:
    """What should be said about sizes. Raises UsageError if there is far too much."""
    sources = [source for unit in units if unit.kind is UnitKind.code for source in unit.sources]
    size = sum(one.size for one in sources)
    largest = sorted(sources, key=lambda one: (-one.size, one.path))[:_NAMED]
    if size > MOST:
        raise UsageError(_far_too_much(size, largest, shown))
    for one in largest:
        if one.size > LARGE_FILE:
            what = f"{one.path} has {format_size(one.size)} and is shipped ({one.reason})"
            yield f"{what}; {_cure(one, shown)} leaves it out"
    if size > LARGE:
        names = ", ".join(f"{one.path} ({format_size(one.size)})" for one in largest[:3])
        yield f"the program has {format_size(size)}; its largest files are {names}"


def _far_too_much(size: int, largest: Iterable[Source], shown: Callable[[str], str]) -> str:
    lines = [f"  {format_size(one.size):>9}  {one.path}: {_cure(one, shown)}" for one in largest]
    return (
        f"the program's own files are {format_size(size)}, and no more than {format_size(MOST)} are shipped; leave some "
        "out, in [tool.moil] of pyproject.toml or by .moilignore, and let jobs read large data as files. The largest are:\n"
        + "\n".join(lines)
    )


def _cure(one: Source, shown: Callable[[str], str]) -> str:
    return f"deploy-exclude = [{shown(one.origin)!r}]"
