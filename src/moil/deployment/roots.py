"""The roots: the entries of the import path that hold the user's code, in the order in which Python asks them.

A root is a directory of the path that is neither the standard library's nor one that distributions are installed into.
Three others join them. An archive on the path is a root of one file. An editable install that works by a hook has a root
that is no directory but a table of names. And a site directory is a root for what was copied into it by hand.

An entry behind the site directories stays behind them: a plain editable install must not get in front of what it stands
behind at home.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol
from zipfile import BadZipFile, ZipFile

from moil.deployment.classify import Classifier, Owner
from moil.deployment.plan import PlannedRoot
from moil.deployment.request import Request
from moil.deployment.start import Start
from moil.deployment.sweep import Sweep, sweep_of
from moil.deployment.tree import Tree, inside, is_below, joined


class EditableInstall(Protocol):
    """What is asked of an editable install."""

    @property
    def name(self) -> str:
        """The distribution's name."""
        ...

    @property
    def roots(self) -> tuple[str, ...]:
        """Directories that it puts on the path."""
        ...

    @property
    def mapping(self) -> Mapping[str, str]:
        """Import names and the directories or files that its hook finds for them."""
        ...

    @property
    def namespaces(self) -> Mapping[str, list[str]]:
        """Namespace packages that its hook knows, and the directories that are their portions."""
        ...


@dataclass(slots=True, eq=False, kw_only=True)
class Root:
    """One root. Paths in its units are relative to `origin`, or begin with a name of `mapping`."""

    origin: str
    inner: str = ""
    after_site: bool = False
    archive: bool = False
    #: A root that is a table: by dotted name, the package's directory or the module's file.
    mapping: Mapping[str, str] | None = None
    reason: str = ""
    sweep: Sweep = Sweep.all
    #: The members of an archive.
    members: tuple[str, ...] = ()
    #: By path in a unit, where a thing of the table is at home.
    places: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, place in (self.mapping or {}).items():
            self.places[_unit_path(name, place)] = place

    @property
    def directory(self) -> str:
        """What stands on the import path."""
        return os.path.join(self.origin, self.inner) if self.inner else self.origin

    def at_home(self, path: str) -> str:
        """Where a path of a unit is."""
        if self.mapping is None:
            return os.path.join(self.origin, path) if path else self.origin
        top = path
        while top and top not in self.places:
            top = top.rpartition("/")[0]
        return os.path.join(self.places[top], inside(top, path)) if top != path else self.places[top]

    def in_unit(self, file: str) -> str:
        """The path in a unit of a file that lies in this root; "" if it does not."""
        places = [("", self.origin)] if self.mapping is None else list(self.places.items())
        for top, place in places:
            if is_below(file, place) and file != self.origin:
                return joined(top, inside(place, file))
        return ""

    def planned(self) -> PlannedRoot:
        """As it stands in a plan."""
        archive = os.path.basename(self.origin) if self.archive else ""
        return PlannedRoot(
            origin=self.origin, inner=self.inner, after_site=self.after_site, archive=archive, reason=self.reason
        )


def _unit_path(name: str, place: str) -> str:
    path = name.replace(".", "/")
    return path + _suffix(place) if os.path.isfile(place) else path


def _suffix(file: str) -> str:
    base = os.path.basename(file)
    return base[base.index(".") :] if "." in base else ""


def ordered(
    request: Request, classifier: Classifier, editables: Iterable[EditableInstall], unowned: Mapping[str, Iterable[str]]
) -> list[Root]:
    """The roots of the import path. `unowned` are the things in each site directory that were copied there."""
    every = list(editables)
    by_place = {os.path.realpath(place): one.name for one in every for place in one.roots}
    found: list[Root] = []
    seen: set[str] = set()
    after_site = False
    for entry in map(os.path.abspath, request.path):
        real = os.path.realpath(entry)
        if real in seen:
            continue
        seen.add(real)
        if classifier.is_site(entry):
            after_site = True
            found += _copied(entry, unowned)
        elif _is_users(entry, classifier) or real in by_place:
            reason = f"editable install of {by_place[real]}" if real in by_place else "on the import path"
            found += root_at(entry, request.home, reason=reason, after_site=after_site)
    for place, name in by_place.items():
        if place not in seen:
            found += root_at(place, request.home, reason=f"editable install of {name}", after_site=True)
    return [*found, *_hooked(every)]


def _is_users(entry: str, classifier: Classifier) -> bool:
    place = classifier.place(entry)
    return place is None or place[1] is Owner.user


def root_at(entry: str, home: str, *, reason: str, after_site: bool = False) -> Iterator[Root]:
    """The root of an entry of the path; nothing if it is neither a directory nor an archive."""
    if os.path.isdir(entry):
        yield Root(origin=entry, after_site=after_site, reason=reason, sweep=sweep_of(entry, home))
    elif os.path.isfile(entry):
        try:
            with ZipFile(entry) as archive:
                members = tuple(archive.namelist())
        except (OSError, BadZipFile):
            return
        yield Root(origin=entry, after_site=after_site, archive=True, reason=reason, members=members)


def _copied(site: str, unowned: Mapping[str, Iterable[str]]) -> Iterator[Root]:
    mapping = {_module_name(one): one for one in unowned.get(site, ())}
    if mapping:
        reason = f"in {site}, and no distribution's"
        yield Root(origin=site, after_site=True, mapping=mapping, reason=reason, sweep=Sweep.imported)


def _module_name(path: str) -> str:
    return os.path.basename(path).partition(".")[0]


def _hooked(editables: Iterable[EditableInstall]) -> Iterator[Root]:
    for one in editables:
        named = {**{name: places[0] for name, places in one.namespaces.items() if places}, **one.mapping}
        mapping = {name: found for name, place in named.items() if (found := _existing(place))}
        if mapping:
            origin = os.path.dirname(min(mapping.values(), key=len))
            reason = f"editable install of {one.name}"
            yield Root(origin=origin, after_site=True, mapping=mapping, reason=reason, sweep=Sweep.imported)


def _existing(place: str) -> str:
    candidates = (os.path.abspath(place), os.path.abspath(place) + ".py")
    return next((one for one in candidates if os.path.exists(one)), "")


def with_start(roots: list[Root], start: Start, request: Request) -> tuple[list[Root], Root | None]:
    """The roots with that of the start among them, in front if it is not on the path; and which it is."""
    if not start.origin:
        return roots, None
    for one in roots:
        if one.mapping is not None and one.in_unit(os.path.join(start.origin, start.file)) and start.module:
            return roots, one
    wanted = os.path.realpath(os.path.join(start.origin, start.inner))
    for one in roots:
        if one.mapping is None and os.path.realpath(one.origin) == wanted:
            one.origin, one.inner = (start.origin, start.inner) if start.inner else (one.origin, "")
            one.reason = f"holds {start.shown}"
            return roots, one
    own = next(root_at(start.origin, request.home, reason=f"holds {start.shown}"), None)
    if own is None:
        return roots, None
    own.inner = start.inner
    return [own, *roots], own


def enclosing(roots: Iterable[Root], file: str, tree: Tree) -> tuple[Root, str] | None:
    """The root that a file lies in, and its path there; the innermost if there are several."""
    best: tuple[Root, str] | None = None
    for spelling in dict.fromkeys((file, tree.real(file))):
        for one in roots:
            for place in dict.fromkeys((one.origin, tree.real(one.origin))):
                path = one.in_unit(one.origin + spelling[len(place) :]) if is_below(spelling, place) else ""
                path = path or one.in_unit(spelling)
                if path and (best is None or len(path) < len(best[1])):
                    best = one, path
        if best:
            return best
    return None
