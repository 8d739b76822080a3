"""What workers fetch on demand: large distributions of the environment that nothing the program is known to need requires.

All that a virtual environment has of its own is shipped, since no look at a program can say what it will import. But a
machine that begins to work has no use for most of it. So what is neither imported by the user's code, nor loaded by the
program at home, nor required by anything of that sort, is left in the job store until something on that machine imports
it. What of it may be looked at without an import is always there (its *front*): its metadata, so that versions, entry
points and console scripts are those at home, and the beginnings of its packages, by which modules are listed.

It must be possible to tell by a name at the top of the import system that the distribution is wanted. So none of this
is for distributions that have programs or data outside the site directory, that act when Python starts (``.pth``), or
that share a name with what is there from the beginning.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from moil.core.record import changed
from moil.deployment.plan import PlannedUnit, Source, UnitKind

LEAST = 1_000_000
"""Bytes. Smaller ones come at once: that takes no longer than to find out that they are wanted."""
FRONT = "metadata"
_METADATA = (".dist-info", ".egg-info")
_CODE = (".py", ".so", ".pyc")


def divide(
    units: Sequence[PlannedUnit], needed: Collection[str], requirements: Mapping[str, Collection[str]]
) -> list[PlannedUnit]:
    """The same distributions, those that can wait marked as such, and their front.

    `needed`: the names of those that cannot wait; `requirements`: what each requires, by name.
    """
    names = {one.name: frozenset(_import_names(one)) for one in units}
    waiting = {one.name for one in units if one.name not in needed and one.size >= LEAST and _can_be_told(one)}
    while shared := _sharing(waiting, names):
        waiting -= shared
    if not waiting:
        return list(units)
    divided = [
        changed(
            one,
            kind=UnitKind.on_demand,
            import_names=tuple(sorted(names[one.name])),
            requires=tuple(sorted(waiting.intersection(requirements.get(one.name, ())))),
        )
        if one.name in waiting
        else one
        for one in units
    ]
    return [*divided, _front(one for one in divided if one.kind is UnitKind.on_demand)]


def _sharing(waiting: Collection[str], names: Mapping[str, frozenset[str]]) -> set[str]:
    """Those that share an import name with one that cannot wait."""
    taken = frozenset().union(*(found for name, found in names.items() if name not in waiting))
    return {name for name in waiting if names[name] & taken}


def _can_be_told(unit: PlannedUnit) -> bool:
    """Whether an import name stands for all there is of it."""
    names = set(_import_names(unit))
    return bool(names) and names.isdisjoint(sys.stdlib_module_names) and all(_has_place(one.path) for one in unit.sources)


def _has_place(path: str) -> bool:
    first, slash, _ = _below_site(path).partition("/")
    if not slash:
        return first.endswith(_CODE)
    return bool(_import_name(path)) or first.endswith((*_METADATA, ".libs")) or first == "__pycache__"


def _import_names(unit: PlannedUnit) -> Iterator[str]:
    return (name for one in unit.sources if (name := _import_name(one.path)))


def _import_name(path: str) -> str:
    """The name at the top of the import system that a file belongs to; "" if there is none."""
    first, slash, _ = _below_site(path).partition("/")
    name = first if slash else first.partition(".")[0] if first.endswith(_CODE) else ""
    return name if name.isidentifier() and name != "__pycache__" else ""


def _below_site(path: str) -> str:
    return path.removeprefix("site/") if path.startswith("site/") else ""


def _front(units: Iterable[PlannedUnit]) -> PlannedUnit:
    sources = {source.path: source for unit in units for source in unit.sources if _is_of_front(source)}
    return PlannedUnit(
        name=FRONT,
        kind=UnitKind.front,
        reason="of what is fetched on demand",
        sources=tuple(sources[path] for path in sorted(sources)),
    )


def _is_of_front(source: Source) -> bool:
    parts = _below_site(source.path).split("/")
    is_beginning = len(parts) == 2 and parts[1] == "__init__.py"
    is_module = len(parts) == 1 and parts[0].endswith(".py")
    return parts[0].endswith(_METADATA) or is_beginning or is_module
