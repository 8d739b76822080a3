"""What workers fetch on demand: large distributions of the environment that nothing the program is known to need requires.

All that a virtual environment has of its own is shipped, since no look at a program can say what it will import. But a
machine that begins to work has no use for most of it. So what is neither imported by the user's code, nor loaded by the
program at home, nor required by anything of that sort, is left in the job store until something on that machine imports
it. What of it may be looked at without an import is always there (its *front*): its metadata, so that versions, entry
points and console scripts are those at home, and the beginnings of its packages, by which modules are listed.

It must be possible to tell by a name at the top of the import system that the distribution is wanted. So none of this
is for distributions that have programs or data outside the site directory, that act when Python starts (``.pth``), or
that share a name with what is there from the beginning. (What setuptools has act then only stands in for distutils, and
is in the front, too: nearly every virtual environment of Python 3.11 and older has it, and few programs want it.) And
what one requires comes with it, as its libraries may be loaded without an import: so what is there from the beginning has
there all that it requires, and a small distribution that requires one that waits, waits too.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from moil.deployment.plan import Gathered, PlannedUnit, Source, UnitKind
from moil.record import changed

LEAST = 1_000_000
"""Bytes. Of smaller ones alone it takes no longer to fetch them than to find out that they are wanted."""
FRONT = "metadata"
_METADATA = (".dist-info", ".egg-info")
_CODE = (".py", ".so", ".pyc")
STAND_IN = "_distutils_hack"
"""A module that setuptools has loaded when Python starts. It brings in the rest when distutils is imported."""
_ACTS_AT_START = frozenset({f"{STAND_IN}/", "distutils-precedence.pth"})


def divide(
    units: Sequence[PlannedUnit],
    needed: Collection[str],
    requirements: Mapping[str, Collection[str]],
    code: Iterable[PlannedUnit] = (),
) -> list[PlannedUnit]:
    """The same distributions, those that can wait marked as such, and their front.

    `needed`: the names of those that cannot wait; `requirements`: all that each of the others requires, directly or not, by
    name. `code`: the user's own units, whose import names hide those of distributions.
    """
    if not any(one.size >= LEAST and one.name not in needed for one in units):
        return list(units)
    tops = {one.name: _without_stand_in(tops_of(one)) for one in units}
    names = {name: frozenset(_import_names(found)) for name, found in tops.items()}
    taken = {name for one in code for name in _import_names(tops_of(one, root=""))}
    able = {one.name for one in units if one.name not in needed and _can_be_told(tops[one.name], names[one.name])}
    large = {one.name for one in units if one.size >= LEAST}
    waiting = _waiting({name for name in able if names[name].isdisjoint(taken)}, large, names, requirements)
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


def _waiting(
    able: set[str], large: set[str], names: Mapping[str, frozenset[str]], requirements: Mapping[str, Collection[str]]
) -> set[str]:
    """Of those that are able to wait, those that do. What is found to be impossible stays so, so this comes to an end."""
    waiting = able & large
    while True:
        waiting |= {name for name in able if not waiting.isdisjoint(requirements.get(name, ()))}
        at_once = [name for name in names if name not in waiting]
        shown = frozenset().union(*(names[name] for name in at_once))
        unable = {name for name in waiting if names[name] & shown}
        unable |= {other for name in at_once for other in requirements.get(name, ()) if other in waiting}
        if not unable:
            return waiting
        waiting -= unable
        able -= unable


def _can_be_told(tops: Iterable[str], names: Collection[str]) -> bool:
    """Whether import names stand for all there is."""
    return bool(names) and sys.stdlib_module_names.isdisjoint(names) and all(map(_has_place, tops))


def tops_of(unit: PlannedUnit, root: str = "site/") -> set[str]:
    """What lies at the top of a directory, directories with a slash; "" if something lies elsewhere."""
    if isinstance(unit.sources, Gathered) and root == "site/":
        return {*unit.sources.gist.tops}
    start = len(root)
    parts = {one.path[start:].partition("/")[:2] if one.path.startswith(root) else ("", "") for one in unit.sources}
    return {f"{first}{slash}" for first, slash in parts}


def _without_stand_in(tops: set[str]) -> set[str]:
    return tops - _ACTS_AT_START if tops >= _ACTS_AT_START else tops


def _has_place(top: str) -> bool:
    folders = tuple(f"{ending}/" for ending in (*_METADATA, ".libs"))
    return bool(_import_name(top)) or top.endswith((*folders, *_CODE)) or top == "__pycache__/"


def _import_names(tops: Iterable[str]) -> Iterator[str]:
    return filter(None, map(_import_name, tops))


def _import_name(top: str) -> str:
    """The name by which something at the top is imported; "" if there is none."""
    name = top[:-1] if top.endswith("/") else top.partition(".")[0] if top.endswith(_CODE) else ""
    return name if name.isidentifier() and name != "__pycache__" else ""


def _front(units: Iterable[PlannedUnit]) -> PlannedUnit:
    sources = {source.path: source for unit in units for source in unit.notable if is_of_front(source)}
    return PlannedUnit(
        name=FRONT,
        kind=UnitKind.front,
        reason="of what is fetched on demand",
        sources=tuple(sources[path] for path in sorted(sources)),
    )


def is_of_front(source: Source) -> bool:
    """Whether it is to be there although its distribution is not."""
    first, slash, rest = source.path.removeprefix("site/").partition("/")
    if f"{first}{slash}" in _ACTS_AT_START:
        return True
    return first.endswith(_METADATA) or rest == "__init__.py" or (not slash and first.endswith(".py"))
