"""What a program reaches: from what it has loaded and what it starts with, along the imports of the user's own files.

Reached is a module and, whole, the outermost regular package that it lies in, with the imports of all that is in there,
because a package may import any of its modules by a name that it makes up. A module in no package brings the modules
beside it only if it lies in a namespace, where they are as good as one package. Every file keeps the first reason why.
"""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Callable
from zipfile import ZipFile

from moil.deployment.imports import Import, scan
from moil.deployment.plan import LeftOut
from moil.deployment.resolve import Hit, Place, Resolver
from moil.deployment.roots import Root
from moil.deployment.scans import Scans
from moil.deployment.sweep import Sweep, sweep_of
from moil.deployment.tree import Tree, inside
from moil.deployment.walk import Found, Walk, Walker
from moil.record import field, record


@record(kw_only=False)
class Package:
    """A regular package that is shipped whole."""

    walk: Walk
    reason: str


@record(kw_only=False, frozen=False)
class Reached:
    """The outcome. Places in units, by root."""

    packages: dict[Place, Package] = field(default_factory=dict)
    #: Modules in no regular package.
    modules: dict[Place, Found] = field(default_factory=dict)
    archives: dict[Root, str] = field(default_factory=dict)
    #: Directories that are portions of a namespace, of which a module is reached.
    spaces: dict[Place, str] = field(default_factory=dict)
    reasons: dict[Place, str] = field(default_factory=dict)
    #: Names at the top of the import system that the user's code does not have: who imports them.
    others: dict[str, str] = field(default_factory=dict)
    #: Names inside the user's packages that are not there.
    missing: dict[str, str] = field(default_factory=dict)
    left_out: list[LeftOut] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


@record
class Means:
    """What it takes to follow imports. `is_known`: a top-level name belongs to Python or to something installed."""

    resolver: Resolver
    tree: Tree
    scans: Scans
    walker: Walker
    home: str
    is_known: Callable[[str], bool]


class Follower:
    """Follows imports until there is nothing new."""

    def __init__(self, means: Means) -> None:
        self._means = means
        self.reached = Reached()
        self._queue: deque[tuple[Place, Found]] = deque()

    def add(self, place: Place, reason: str, *, always: bool = False) -> None:
        """A file that is reached. `always`: it is shipped even if an exclusion speaks of it."""
        if place.root.archive:
            self._add_archive(place.root, reason)
        elif place not in self.reached.reasons and not self._means.walker.is_never(place.root.at_home(place.path)):
            self.reached.reasons[place] = reason
            unit = self._means.resolver.unit(place)
            if unit:
                self._add_package(Place(place.root, unit), reason)
            if not unit or always:
                self._add_module(place, always=always)

    def follow(self) -> None:
        """Follow what has been added, and what that adds."""
        while self._queue:
            place, found = self._queue.popleft()
            self._read(place, found)

    def _add_module(self, place: Place, *, always: bool) -> None:
        origin = place.root.at_home(place.path)
        found, rule = self._means.walker.file(place.path, origin)
        if found is None and always:
            entry = self._means.tree.listing(os.path.dirname(origin)).get(os.path.basename(origin))
            found = Found(place.path, entry, followed=True) if entry else None
        if found is None:
            self.reached.left_out.append(LeftOut(path=origin, rule=rule))
            return
        self.reached.modules[place] = found
        self._queue.append((place, found))
        if _is_in_namespace(place):
            self._add_space(Place(place.root, os.path.dirname(place.path)), f"beside {place.path}")

    def _add_package(self, place: Place, reason: str) -> None:
        if place not in self.reached.packages:
            walk = self._means.walker.walk(place.path, place.root.at_home(place.path))
            self.reached.packages[place] = Package(walk, reason)
            self._queue += [(Place(place.root, one.path), one) for one in walk.found if one.entry.name.endswith(".py")]

    def _add_space(self, place: Place, reason: str) -> None:
        directory = place.root.at_home(place.path)
        if place in self.reached.spaces or sweep_of(directory, self._means.home) is not Sweep.all:
            return
        self.reached.spaces[place] = reason
        for name in self._means.tree.listing(directory):
            if name.endswith(".py") and self._means.tree.is_file(directory, name):
                self.add(Place(place.root, f"{place.path}/{name}"), reason)

    def _add_archive(self, root: Root, reason: str) -> None:
        if root in self.reached.archives:
            return
        self.reached.archives[root] = reason
        with ZipFile(root.origin) as archive:
            for member in root.members:
                if member.endswith(".py"):
                    self._follow_all(Place(root, member), scan(archive.read(member)) or [])

    def _read(self, place: Place, found: Found) -> None:
        status = found.entry.status()
        if status is None or not found.entry.name.endswith((".py", ".pyw")):
            status = status if place in self.reached.modules and "." not in found.entry.name else None
        if status is None:
            return
        imports = self._means.scans.of(found.entry.path, status)
        if imports is None:
            self.reached.remarks.append(f"{found.entry.path} cannot be read as Python, so what it imports is not known")
        else:
            self._follow_all(place, imports)

    def _follow_all(self, place: Place, imports: list[Import]) -> None:
        for one in imports:
            who = f"imported by {place.path}:{one.line}"
            base = _absolute(one, place)
            if base is None:
                continue
            if not one.names:
                self._follow_name(base, who, is_module=True)
            for name in one.names:
                self._follow_name(f"{base}.{name}" if name != "*" else base, who, is_module=False)

    def _follow_name(self, name: str, who: str, *, is_module: bool) -> None:
        top = name.partition(".")[0]
        if top in sys.builtin_module_names:
            return
        hit = self._means.resolver.nearest(name)
        file = self._means.resolver.file_of(hit)
        if hit is not None and file is not None:
            self.add(file, who)
            if hit.name != name and is_module:
                self.reached.missing.setdefault(name, who)
        elif hit is None or self._means.is_known(top):
            self.reached.others.setdefault(top, who)
        else:
            self._reach_namespace(hit, name, who, is_module=is_module)

    def _reach_namespace(self, hit: Hit, name: str, who: str, *, is_module: bool) -> None:
        if hit.name != name and is_module:
            self.reached.others.setdefault(name.partition(".")[0], who)
            self.reached.missing.setdefault(name, who)
        for place in hit.search:
            if not place.root.archive and (hit.name == name or not is_module):
                self._add_space(place, who)


def _is_in_namespace(place: Place) -> bool:
    return "/" in place.path and not place.root.inner


def _absolute(one: Import, place: Place) -> str | None:
    """The dotted name that an import asks for; None if it leads out of the root."""
    if not one.level:
        return one.module or None
    inner = place.root.inner
    path = inside(inner, place.path) if inner and place.path.startswith(inner + "/") else place.path
    parts = path.split("/")[:-1]
    if one.level - 1 >= len(parts):
        return None
    kept = parts[: len(parts) - (one.level - 1)]
    return ".".join([*kept, *filter(None, [one.module])])


