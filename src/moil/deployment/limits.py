"""How much is too much, of the user's own files: remarks from 10 MB a file and 100 MB in all, an error from 1 GB.

Installed distributions are not counted: a large library is large, and is sent once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from moil.deployment.gather import words_of
from moil.deployment.plan import PlannedUnit, Source, UnitKind
from moil.errors import UsageError

LARGE_FILE = 10_000_000
LARGE = 100_000_000
MOST = 1_000_000_000
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
            yield f"{one.path} has {words_of(one.size)} and is shipped ({one.reason}); {_cure(one, shown)} leaves it out"
    if size > LARGE:
        names = ", ".join(f"{one.path} ({words_of(one.size)})" for one in largest[:3])
        yield f"the program has {words_of(size)}; its largest files are {names}"


def _far_too_much(size: int, largest: Iterable[Source], shown: Callable[[str], str]) -> str:
    lines = [f"  {words_of(one.size):>9}  {one.path}: {_cure(one, shown)}" for one in largest]
    return (
        f"the program's own files are {words_of(size)}, and no more than {words_of(MOST)} are shipped; leave some out, in "
        "[tool.moil] of pyproject.toml or by .moilignore, and let jobs read large data as files. The largest are:\n"
        + "\n".join(lines)
    )


def _cure(one: Source, shown: Callable[[str], str]) -> str:
    return f"deploy-exclude = [{shown(one.origin)!r}]"
