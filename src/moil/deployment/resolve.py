"""From the name in an import to the file that it means, among the user's roots only.

It is Python's own search, without running anything: the first root that has a package or a module of the name wins, and
only if none has, the directories of that name in all roots are the portions of a namespace. Below a regular package the
search goes on in its directory alone. Packages that extend their own `__path__` at run time are beyond it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from moil.deployment.roots import Root
from moil.deployment.tree import Tree, joined
from moil.record import record


@record(kw_only=False)
class Place:
    """A package, a module or a portion of a namespace: a path in the units of a root."""

    root: Root
    path: str


@record(kw_only=False)
class Hit:
    """What a name means. `file` is the module's own, or the ``__init__`` of a package; None for a namespace."""

    name: str
    file: Place | None = None
    #: Where its modules are looked for; () for a module.
    search: tuple[Place, ...] = ()


class Resolver:
    """Finds names in these roots."""

    def __init__(self, roots: Sequence[Root], tree: Tree) -> None:
        self._tree = tree
        self._top = tuple(Place(root, root.inner) for root in roots)
        self._known: dict[str, Hit | None] = {}

    def find(self, name: str) -> Hit | None:
        """What a dotted name means; None if no root has it."""
        if name not in self._known:
            self._known[name] = self._find(name)
        return self._known[name]

    def _find(self, name: str) -> Hit | None:
        above, _, last = name.rpartition(".")
        if not above:
            return self._among(self._top, name, name)
        package = self.find(above)
        found = self._among(package.search, last, name) if package else None
        return found or self._in_tables(name)

    def nearest(self, name: str) -> Hit | None:
        """What the longest beginning of a dotted name means that a root has."""
        while name:
            found = self.find(name)
            if found is not None:
                return found
            name = name.rpartition(".")[0]
        return None

    def file_of(self, hit: Hit | None) -> Place | None:
        """The file of a module or package, or of the nearest package above it that has one; None if none has."""
        while hit is not None and hit.file is None and "." in hit.name:
            hit = self.find(hit.name.rpartition(".")[0])
        return hit.file if hit is not None else None

    def _among(self, places: Sequence[Place], last: str, name: str) -> Hit | None:
        portions: list[Place] = []
        for place in places:
            found = self._in(place, last, name)
            if found is not None and found.file is not None:
                return found
            portions += found.search if found else ()
        return Hit(name, None, tuple(portions)) if portions else None

    def _in(self, place: Place, last: str, name: str) -> Hit | None:
        root = place.root
        if root.archive:
            return _in_archive(root, joined(place.path, last), name)
        if root.mapping is not None and not place.path:
            return self._in_table(root, last)
        directory = root.at_home(place.path)
        if self._tree.is_directory(directory, last):
            return self._package(root, joined(place.path, last), directory, last, name)
        file = self._tree.module(directory, last)
        return Hit(name, Place(root, joined(place.path, file))) if file else None

    def _package(self, root: Root, path: str, directory: str, last: str, name: str) -> Hit:
        here = Place(root, path)
        init = self._tree.module(os.path.join(directory, last), "__init__")
        if init:
            return Hit(name, Place(root, joined(path, init)), (here,))
        file = self._tree.module(directory, last)
        if file:
            return Hit(name, Place(root, joined(os.path.dirname(path), file)))
        return Hit(name, None, (here,))

    def _in_tables(self, name: str) -> Hit | None:
        """A name that a table holds as it is, dots and all."""
        roots = [place.root for place in self._top if place.root.mapping is not None]
        return next((found for root in roots if (found := self._in_table(root, name)) is not None), None)

    def _in_table(self, root: Root, name: str) -> Hit | None:
        table = root.mapping or {}
        if name not in table:
            below = any(one.startswith(name + ".") for one in table)
            return Hit(name, None, (Place(root, name.replace(".", "/")),)) if below else None
        path = next(path for path, place in root.places.items() if place == table[name] and _is_called(path, name))
        if os.path.isfile(table[name]):
            return Hit(name, Place(root, path))
        init = self._tree.module(table[name], "__init__")
        return Hit(name, Place(root, f"{path}/{init}") if init else None, (Place(root, path),))

    def unit(self, place: Place) -> str:
        """The outermost regular package that a file lies in; "" if it lies in none."""
        root = place.root
        path = ""
        for part in place.path.split("/")[:-1]:
            path = joined(path, part)
            if root.mapping is not None and not _is_in_table(root, path):
                continue
            if self._tree.is_package(root.at_home(path)):
                return path
        return ""


def _is_called(path: str, name: str) -> bool:
    return path.partition(".")[0] == name.replace(".", "/")


def _is_in_table(root: Root, path: str) -> bool:
    return any(path == top or path.startswith(top + "/") for top in root.places)


def _in_archive(root: Root, path: str, name: str) -> Hit | None:
    members = root.members
    for init in (f"{path}/__init__.py", f"{path}/__init__.pyc"):
        if init in members:
            return Hit(name, Place(root, init), (Place(root, path),))
    for file in (f"{path}.py", f"{path}.pyc"):
        if file in members:
            return Hit(name, Place(root, file))
    below = any(one.startswith(path + "/") for one in members)
    return Hit(name, None, (Place(root, path),)) if below else None


def dotted(path: str) -> str:
    """The name that a module's path in a root gives it."""
    parts = path.split("/")
    parts[-1] = parts[-1].partition(".")[0]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
